"""The legacy host: the universal endpoint, the providers' own paths, the list of models."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import httpx
import pytest

from cfaig_integrations.simulator import Simulator

from .conftest import error_of

Post = Callable[..., httpx.Response]

HELLO: list[dict[str, Any]] = [{"role": "user", "content": "Say hello"}]
KIMI = "@cf/moonshotai/kimi-k2.6"


@pytest.fixture
def post(sim: Simulator) -> Post:
    base = f"{sim.url}/v1/{sim.account_id}/default"

    def send(path: str, body: Any, headers: dict[str, str] | None = None) -> httpx.Response:
        gateway_token = {"cf-aig-authorization": f"Bearer {sim.api_token}"}
        return httpx.post(base + path, json=body, headers=gateway_token if headers is None else headers)

    return send


def bearer(sim: Simulator) -> dict[str, str]:
    return {"authorization": f"Bearer {sim.api_token}"}


def step(provider: str, endpoint: str, query: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return {"provider": provider, "endpoint": endpoint, "headers": {}, "query": query, **fields}


OPENAI = step("openai", "chat/completions", {"model": "gpt-4.1", "messages": HELLO})
CLAUDE = step("anthropic", "v1/messages", {"model": "claude-haiku-4-5", "max_tokens": 50, "messages": HELLO})


@pytest.mark.parametrize(
    ("path", "body", "model", "field"),
    [
        ("/openai/chat/completions", {"model": "gpt-4.1", "messages": HELLO}, "openai/gpt-4.1", "choices"),
        ("/openai/v1/chat/completions", {"model": "gpt-4.1", "messages": HELLO}, "openai/gpt-4.1", "choices"),
        ("/openai/responses", {"model": "gpt-4.1", "input": "hi"}, "openai/gpt-4.1", "output"),
        ("/anthropic/v1/messages", CLAUDE["query"], "anthropic/claude-haiku-4-5", "content"),
        ("/grok/v1/chat/completions", {"model": "grok-4.6", "messages": HELLO}, "xai/grok-4.6", "choices"),
        ("/groq/chat/completions", {"model": "openai-oss", "messages": HELLO}, "groq/openai-oss", "choices"),
        (
            "/google-ai-studio/v1beta/openai/chat/completions",
            {"model": "gemini-2.5-flash", "messages": HELLO},
            "google/gemini-2.5-flash",
            "choices",
        ),
    ],
)
def test_provider_paths(sim: Simulator, post: Post, path: str, body: Any, model: str, field: str) -> None:
    answer = post(path, body)
    assert answer.status_code == 200, answer.text
    assert answer.json()[field]
    assert answer.headers["cf-aig-step"] == "0"
    (entry,) = sim.logs()
    assert (entry["model"], entry["provider"]) == (model, model.partition("/")[0])


@pytest.mark.parametrize("path", [f"/workers-ai/run/{KIMI}", f"/workers-ai/{KIMI}"])
def test_workers_ai_paths_need_the_token_in_authorization(sim: Simulator, post: Post, path: str) -> None:
    answer = post(path, {"messages": HELLO}, {**bearer(sim), "cf-aig-authorization": f"Bearer {sim.api_token}"})
    assert answer.json()["result"]["choices"], answer.text
    assert sim.logs()[0]["model"] == KIMI
    assert error_of(post(path, {"messages": HELLO}))[:2] == (401, 10000)


def test_workers_ai_in_openai_format(sim: Simulator, post: Post) -> None:
    chat = post("/workers-ai/v1/chat/completions", {"model": KIMI, "messages": HELLO}, bearer(sim))
    assert chat.json()["choices"]
    embedded = post("/workers-ai/v1/embeddings", {"model": "@cf/baai/bge-m3", "input": ["a", "b"]}, bearer(sim))
    assert len(embedded.json()["data"]) == 2


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        ("/nobody/chat/completions", 400, 2008),
        ("/openai/images/generations", 400, 7000),
        ("/cohere/v2/chat", 400, 7000),
        ("/google-ai-studio/v1beta/models/gemini:generateContent", 400, 7000),
    ],
)
def test_paths_that_are_not_served(post: Post, path: str, status: int, code: int) -> None:
    assert error_of(post(path, {"model": "m", "messages": HELLO}))[:2] == (status, code)


def test_the_first_step_that_succeeds_answers(sim: Simulator, post: Post) -> None:
    sim.fault("provider_error")
    sim.reply("From Claude")
    answer = post("", [OPENAI, CLAUDE])
    assert answer.status_code == 200
    assert answer.headers["cf-aig-step"] == "1"
    assert answer.json()["content"][0]["text"] == "From Claude"
    failed, succeeded = sim.logs()
    assert [failed["success"], succeeded["success"]] == [False, True]
    assert [failed["step"], succeeded["step"]] == [0, 1]
    assert failed["event_id"] == succeeded["event_id"] == answer.headers["cf-aig-event-id"]
    assert succeeded["id"] == answer.headers["cf-aig-log-id"] != failed["id"]


def test_the_last_step_answers_when_all_fail(sim: Simulator, post: Post) -> None:
    sim.fault("provider_error", times=2)
    answer = post("", [OPENAI, CLAUDE])
    assert (answer.status_code, answer.headers["cf-aig-step"]) == (500, "1")
    assert answer.json()["type"] == "error", "in the format of the last step"


def test_a_step_may_stream_and_has_its_own_settings(sim: Simulator, post: Post) -> None:
    sim.fault("slow_first_byte", seconds=30)
    slow = {**OPENAI, "config": {"requestTimeout": 10, "maxAttempts": 1}}
    streamed = step("workers-ai", KIMI, {"messages": HELLO, "stream": True}, headers=bearer(sim))
    answer = post("", [slow, streamed], {**bearer(sim), "cf-aig-metadata": '{"user": "ann"}'})
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert answer.text.endswith("data: [DONE]\n\n")
    assert [entry["metadata"] for entry in sim.logs()] == [{"user": "ann"}] * 2


@pytest.mark.parametrize(
    "body",
    [
        [],
        "text",
        [1],
        [{"provider": "openai"}],
        [{**OPENAI, "query": "text"}],
        [{**OPENAI, "surprise": 1}],
        [OPENAI] * 30,
    ],
)
def test_lists_of_steps_that_are_wrong(post: Post, body: Any) -> None:
    assert error_of(post("", body))[:2] == (400, 2004)


def test_the_universal_endpoint_needs_the_token(post: Post) -> None:
    assert error_of(post("", [OPENAI], {}))[:2] == (401, 2009)


def test_provider_keys_are_not_logged(sim: Simulator, post: Post) -> None:
    key = "sk-canary-471147114711"
    post("", [{**OPENAI, "headers": {"Authorization": f"Bearer {key}"}}])
    (entry,) = sim.logs()
    assert entry["byok"] is True
    assert key not in str(entry)


def test_models_of_the_legacy_host(sim: Simulator) -> None:
    url = f"{sim.legacy_url}/models"
    listed = {model["id"]: model for model in httpx.get(url, headers=bearer(sim)).json()["data"]}
    assert f"workers-ai/{KIMI}" in listed
    assert listed["openai/gpt-4.1"]["cost_in"] > 0
