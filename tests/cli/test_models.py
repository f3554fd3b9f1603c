"""`cfaig models`: formats, limits and capabilities."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from cfaig_integrations.cli.catalog import third_party
from tests.cli.kit import Outcome, Request, Response, environment, error, raw_server, result, run

PATH = "GET /ai/models/search"


def listed(name: str, task: str = "Text Generation", **properties: Any) -> dict[str, Any]:
    return {
        "id": "429b9e8b-d99e-44de-91ad-706cf8183658",
        "source": 1,
        "name": name,
        "description": f"This is {name}.",
        "task": {"id": "t", "name": task},
        "tags": [],
        "properties": [{"property_id": key, "value": value} for key, value in properties.items()],
    }


CATALOG = [
    listed("@cf/openai/gpt-oss-120b", context_window="128000", function_calling="true", reasoning="true"),
    listed("@cf/acme/new-1b", context_window="9000", vision="true"),
    listed("@cf/baai/bge-m3", "Text Embeddings", output_dimensions="1024"),
    *(listed(f"@cf/acme/many-{number:03}") for number in range(150)),
]


def search(request: Request) -> Response:
    query = parse_qs(urlsplit(request.path).query)
    page, size = int(query["page"][0]), int(query["per_page"][0])
    found = [each for each in CATALOG if query.get("search", [""])[0] in each["name"]]
    return result(found[(page - 1) * size : page * size])


def models(*arguments: str) -> Outcome:
    with raw_server({PATH: search}) as server:
        return run("models", *arguments, env=environment(server))


def by_id(outcome: Outcome) -> dict[str, Any]:
    return {line["id"]: line for line in outcome.lines}


def test_all_pages_of_the_account_and_the_other_vendors() -> None:
    outcome = models("--json")
    names = by_id(outcome)
    assert outcome.code == 0
    assert {each["name"] for each in CATALOG} <= names.keys()
    assert {model.id for model in third_party()} <= names.keys()
    assert [*names] == sorted(names)


@pytest.mark.parametrize(
    ("name", "fields"),
    [
        (
            "@cf/openai/gpt-oss-120b",
            {
                "wires": ["chat_completions", "responses", "run"],
                "wires_with_tools": ["responses", "chat_completions"],
                "context_window": 128_000,
                "capabilities": ["tools", "tool_choice", "schema", "reasoning"],
            },
        ),
        ("@cf/acme/new-1b", {"context_window": 9000, "max_input": 8192, "is_guess": True}),
        (
            "@cf/baai/bge-m3",
            {
                "kind": "embedding",
                "wires": ["run", "embeddings"],
                "limits": {"texts_per_request": 100, "dimensions": 1024},
            },
        ),
        ("anthropic/claude-haiku-4.5", {"wires": ["messages", "run"], "max_output": 64_000}),
        ("openai/gpt-image-2", {"kind": "image generation", "wires": ["run"]}),
        ("cloudflare/auto", {"wires": ["chat_completions", "responses"]}),
        ("dynamic/support", {"kind": "chat", "wires": ["chat_completions"], "is_guess": True}),
        ("openai/gpt-9-of-tomorrow", {"is_guess": True, "context_window": 128_000}),
    ],
)
def test_an_id_shows_one_model(name: str, fields: dict[str, Any]) -> None:
    (model,) = models(name, "--json").lines
    assert {key: model[key] for key in fields} == fields
    text = models(name).stdout
    assert name in text
    assert ("a guess" in text) == bool(model.get("is_guess"))


@pytest.mark.parametrize(
    ("arguments", "names"),
    [
        (("claude-haiku",), {"anthropic/claude-haiku-4.5"}),
        (("--author", "minimax", "--kind", "chat"), {"minimax/m2.7", "minimax/m3"}),
        (("gpt-oss", "--author", "openai"), {"@cf/openai/gpt-oss-120b"}),
        (("gpt-oss", "--author", "OpenAI"), {"@cf/openai/gpt-oss-120b"}),
        (("--wire", "embeddings"), {"@cf/baai/bge-m3"}),
        (("new", "--can", "image"), {"@cf/acme/new-1b"}),
        (("--can", "video", "--can", "schema", "--author", "alibaba"), {"alibaba/qwen3.8-max"}),
    ],
)
def test_filters_select_models(arguments: tuple[str, ...], names: set[str]) -> None:
    assert by_id(models(*arguments, "--json")).keys() == names


def test_ids_are_never_broken_and_rows_fit() -> None:
    outcome = models()
    lines = outcome.stdout.splitlines()
    assert max(map(len, lines)) <= 100
    assert {model.id for model in third_party()} <= {line.split()[0] for line in lines if line.strip()}


def test_without_an_account_only_the_other_vendors_are_listed() -> None:
    outcome = run("models", "--json", env=environment(None, CLOUDFLARE_API_TOKEN=None))
    assert outcome.code == 0
    assert by_id(outcome).keys() == {model.id for model in third_party()}
    assert "CLOUDFLARE_API_TOKEN" in outcome.stderr


def test_offline_nothing_is_sent() -> None:
    with raw_server({PATH: search}) as server:
        outcome = run("models", "--offline", "--json", env=environment(server))
        assert not server.requests
    assert by_id(outcome).keys() == {model.id for model in third_party()}


@pytest.mark.parametrize(
    ("arguments", "code", "text"),
    [
        (("nothing like this",), 1, "No model found"),
        (("anthropic/claude-haiku-4.5", "--author", "openai"), 1, "No model found"),
        (("--can", "fly"), 2, "Use tools, tool_choice"),
        (("--wire", "soap"), 2, "--wire"),
        (("bad//id",), 2, "not a valid model id"),
    ],
)
def test_what_is_invalid_or_not_found_is_named(arguments: tuple[str, ...], code: int, text: str) -> None:
    outcome = models(*arguments)
    assert (outcome.code, text in outcome.stderr) == (code, True)


def test_an_error_of_the_api_ends_the_command() -> None:
    with raw_server({PATH: error(401, 10000, "Authentication error")}) as server:
        outcome = run("models", env=environment(server))
    assert (outcome.code, "Workers AI > Read" in outcome.stderr) == (1, True)
