"""What LangChain writes down of a model, what it makes of that, and by what name it caches answers."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest
from langchain_core.caches import InMemoryCache
from langchain_core.load import dumpd, dumps, load

from cfaig_integrations import GatewayOptions, gateway_context
from cfaig_integrations.gateway.connection import timeouts
from cfaig_integrations.langchain import ChatCloudflareAIGateway
from cfaig_integrations.simulator import Simulator
from tests.langchain.conftest import Make


def loaded(written: Any, simulator: Simulator) -> ChatCloudflareAIGateway:
    result = load(
        written,
        allowed_objects=[ChatCloudflareAIGateway],
        valid_namespaces=["cfaig_integrations"],
        secrets_map={"CLOUDFLARE_API_TOKEN": simulator.api_token},
    )
    assert isinstance(result, ChatCloudflareAIGateway)
    return result


ARGUMENTS: dict[str, dict[str, Any]] = {
    "plain": {},
    "sampling": {"temperature": 0.0, "top_p": 0.5, "stop": ["x"], "seed": 0, "logprobs": False, "n": 2},
    "objects": {"thinking": {"type": "enabled", "budget_tokens": 2000}, "extra_body": {"a": [{"b": None}]}},
    "no gateway": {"gateway_id": None},
    "other gateway": {"gateway_id": "mine"},
    "gateway": {
        "gateway": GatewayOptions(cache_ttl=60, collect_log=False, custom_cost={"total_cost": 0.1}),
        "gateway_metadata": {"team": "docs", "tier": 1},
    },
    "seconds": {"timeout": 5, "stream_idle_timeout": 7.5, "max_retries": 0},
    "two timeouts": {"timeout": (1, 2)},
    "httpx timeout": {"timeout": httpx.Timeout(3, connect=4)},
    "langchain": {"output_version": "v1", "disable_streaming": "tool_calling", "stream_usage": False},
    "run metadata": {"run_metadata": False, "metadata_keys": ["user_id"]},
}


@pytest.mark.parametrize("arguments", ARGUMENTS)
def test_a_model_is_the_same_after_a_round_trip(make: Make, simulator: Simulator, arguments: str) -> None:
    model = make(**ARGUMENTS[arguments])
    written = dumpd(model)
    again = loaded(json.loads(json.dumps(written)), simulator)
    assert again.asdict() == model.asdict()
    assert dumpd(again) == written
    assert "not_implemented" not in json.dumps(written)
    assert timeouts(again.timeout) == timeouts(model.timeout)


def test_a_loaded_model_calls_the_same_gateway(make: Make, simulator: Simulator) -> None:
    model = make(**ARGUMENTS["gateway"], temperature=0.3)
    loaded(dumpd(model), simulator).invoke("Hi")
    sent = simulator.requests[-1]
    assert sent.body["temperature"] == 0.3
    assert sent.headers["cf-aig-cache-ttl"] == "60"
    assert json.loads(sent.headers["cf-aig-metadata"]).items() >= {"team": "docs", "tier": 1}.items()


def test_no_gateway_stays_none(make: Make, simulator: Simulator) -> None:
    loaded(dumpd(make(gateway_id=None)), simulator).invoke("Hi")
    assert "cf-aig-gateway-id" not in simulator.requests[-1].headers


def test_a_token_from_the_environment_is_enough(
    make: Make, simulator: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CLOUDFLARE_API_TOKEN", simulator.api_token)
    again = load(dumpd(make()), allowed_objects=[ChatCloudflareAIGateway], valid_namespaces=["cfaig_integrations"])
    assert again.invoke("Hi").content


def later() -> str:
    return "token-of-a-function"


def test_no_secret_is_serialized_or_shown(make: Make, simulator: Simulator) -> None:
    with httpx.Client(headers={"x-key": "secret-of-client"}) as client:
        model = make(extra_headers={"x-key": "secret-of-header"}, http_client=client)
        tools = [{"type": "mcp", "server_label": "x", "server_url": "https://x", "authorization": "secret-of-tool"}]
        cached = model._get_llm_string(tools=tools, extra_headers={"x": "secret-of-call"})
        for shown in (dumps(model), repr(model), str(model.asdict()), cached, repr(model._serialized)):
            assert simulator.api_token not in shown
            assert "secret" not in shown.replace('"type": "secret"', "").replace("'type': 'secret'", "")
    model.api_token = later
    assert "later" not in dumps(model)
    assert model.lc_secrets == {"api_token": "CLOUDFLARE_API_TOKEN"}


def test_the_serialized_id_can_be_imported(make: Make) -> None:
    assert dumpd(make())["id"] == ["cfaig_integrations", "langchain", "ChatCloudflareAIGateway"]


@pytest.mark.parametrize("how", ["set", "copied", "copied deeply"])
def test_a_changed_model_is_serialized_anew(make: Make, how: str) -> None:
    model = make()
    assert model._serialized["kwargs"].get("temperature") is None
    if how == "set":
        model.temperature = 0.5
    else:
        model = model.model_copy(update={"temperature": 0.5}, deep=how == "copied deeply")
    assert model._serialized["kwargs"]["temperature"] == 0.5


DIFFERENT: list[dict[str, Any]] = [
    {},
    {"model": "openai/gpt-4.1-mini"},
    {"api": "responses"},
    {"temperature": 0.5},
    {"temperature": 0.0},
    {"stop": ["x"]},
    {"thinking": {"type": "disabled"}},
    {"extra_body": {"user": "u"}},
    {"extra_headers": {"x-a": "1"}},
    {"extra_headers": {"x-a": "2"}},
    {"gateway_id": None},
    {"gateway_id": "other"},
    {"gateway": GatewayOptions(allowed_models=["a/b"])},
    {"gateway_metadata": {"tier": 1}},
    {"output_version": "v1"},
    {"base_url": "https://example.com/client/v4"},
    {"account_id": "f" * 32},
]


def test_different_models_have_different_cache_keys(make: Make) -> None:
    names = [
        make(**{"model": "openai/gpt-4.1", **arguments})._get_llm_string() for arguments in without_place(DIFFERENT)
    ]
    assert len(set(names)) == len(names)
    assert [make(**arguments)._get_llm_string() for arguments in ({}, {})] == [names[0]] * 2


def without_place(words: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """All but those that the fixture says itself."""
    return [result for result in words if not result.keys() & {"base_url", "account_id"}]


@pytest.mark.parametrize("word", ["base_url", "account_id"])
def test_another_gateway_is_another_cache_key(make: Make, word: str) -> None:
    here = make()
    there = here.model_copy(update=next(result for result in DIFFERENT if word in result))
    assert here._get_llm_string() != there._get_llm_string()


@pytest.mark.parametrize(
    "arguments",
    [{"temperature": 0.5}, {"model": "a/b"}, {"extra_headers": {"a": "b"}}, {"response_format": {"type": "x"}}],
)
def test_call_arguments_are_part_of_the_cache_key(make: Make, arguments: dict[str, Any]) -> None:
    model = make()
    assert model._get_llm_string(**arguments) != model._get_llm_string()
    assert model._get_llm_string(["x"], **arguments) != model._get_llm_string(**arguments)
    assert model._get_llm_string(**arguments) == make()._get_llm_string(**arguments)


@pytest.mark.parametrize("arguments", [{"options": {"skip_cache": True}}, {"metadata": {"tier": "gold"}}])
def test_gateway_context_is_part_of_the_cache_key(make: Make, simulator: Simulator, arguments: dict[str, Any]) -> None:
    for answer in ("outside", "inside"):
        simulator.reply(answer)
    model = make(cache=InMemoryCache())
    assert model.invoke("Hi").content == "outside"
    with gateway_context(**arguments):
        assert model.invoke("Hi").content == "inside"
        assert model.invoke("Hi").content == "inside"
    with gateway_context():
        assert model.invoke("Hi").content == "outside"


def test_a_changed_model_has_another_cache_key(make: Make, simulator: Simulator) -> None:
    for answer in ("one", "two", "three"):
        simulator.reply(answer)
    model = make(cache=InMemoryCache())
    assert model.invoke("Hi").content == "one"
    assert model.invoke("Hi").content == "one"
    copied = model.model_copy(update={"temperature": 0.5})
    model.temperature = 0.1
    assert (model.invoke("Hi").content, copied.invoke("Hi").content) == ("two", "three")
