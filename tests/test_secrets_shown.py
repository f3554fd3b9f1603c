"""Nothing that shows an object, a call or its failure shows a secret: a table of objects, places and ways to look."""

from __future__ import annotations

import asyncio
import copy
import json
import logging
import pickle
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from langchain_core.load import dumpd, dumps
from langchain_core.tracers.run_collector import RunCollectorCallbackHandler
from llama_index.core.base.llms.types import ChatMessage
from pydantic import SecretStr

from cfaig_integrations import AIGateway, AsyncAIGateway, GatewayError
from cfaig_integrations.langchain import (
    ChatCloudflareAIGateway,
    CloudflareAIGatewayDecisionModel,
    CloudflareAIGatewayEmbeddings,
    CloudflareAIGatewayLLM,
    CloudflareAIGatewayReranker,
)
from cfaig_integrations.llama_index import CloudflareAIGateway, CloudflareAIGatewayEmbedding, CloudflareAIGatewayRerank
from tests.client.loopback import Loopback, Reply, loopback

TOKEN, HEADER, KEY, MCP = (f"canary-{name}-4711" for name in ("token", "header", "provider-key", "mcp"))
ALL = (TOKEN, HEADER, KEY, MCP)
HEADERS = {"x-custom": HEADER, "x-api-key": KEY}


def mcp(secret: object = MCP) -> dict[str, Any]:
    return {"mcp_servers": [{"type": "url", "name": "x", "url": "https://x.example", "authorization_token": secret}]}


def base(**more: Any) -> dict[str, Any]:
    return {"account_id": "acc", "api_token": TOKEN, "extra_headers": HEADERS, "max_retries": 0, **more}


CHAT: dict[str, Any] = {"model": "openai/gpt-5.4", "api": "chat_completions"}
MODELS: dict[str, Callable[..., Any]] = {
    "lc chat": lambda **more: ChatCloudflareAIGateway(**CHAT, **base(**more)),
    "lc llm": lambda **more: CloudflareAIGatewayLLM(**CHAT, **base(**more)),
    "lc embeddings": lambda **more: CloudflareAIGatewayEmbeddings(model="@cf/baai/bge-m3", **base(**more)),
    "lc reranker": lambda **more: CloudflareAIGatewayReranker(**base(**more)),
    "lc decisions": lambda **more: CloudflareAIGatewayDecisionModel(**base(**more)),
    "li llm": lambda **more: CloudflareAIGateway(**CHAT, **base(**more)),
    "li embedding": lambda **more: CloudflareAIGatewayEmbedding(model_name="@cf/baai/bge-m3", **base(**more)),
    "li rerank": lambda **more: CloudflareAIGatewayRerank(**base(**more)),
    "lc bound": lambda **more: ChatCloudflareAIGateway(**CHAT, **base(**more)).bind(extra_headers=HEADERS, **more),
    "li copy": lambda **more: CloudflareAIGateway(**CHAT, **base(**more)).with_gateway(metadata={"a": 1}),
}
OBJECTS: dict[str, Callable[[Any], object]] = {
    "repr": repr,
    "str": str,
    "format": lambda model: f"{model}",
    "vars": vars,
    "rich": lambda model: list(model.__rich_repr__()),
    "pretty": lambda model: list(model.__repr_args__()),
    "copy": lambda model: vars(copy.copy(model)),
    "deepcopy": lambda model: vars(copy.deepcopy(model)),
    "items": lambda model: [[name, repr(value)] for name, value in model],
    "model_dump": lambda model: model.model_dump(),
    "model_dump_json": lambda model: model.model_dump_json(),
    "to_dict": lambda model: model.to_dict(),
    "to_json": lambda model: model.to_json(),
    "to_payload": lambda model: model.to_payload(),
    "dumpd": dumpd,
    "dumps": dumps,
    "asdict": lambda model: model.asdict(),
    "identifying": lambda model: model._identifying_params,
    "tracing": lambda model: model._get_ls_params(),
    "serialized": lambda model: model._serialized,
}
"""The ways to look at a model; a way that a class does not have is left out."""


def seen(look: Callable[[Any], object], model: Any) -> str:
    try:
        return str(look(model))
    except AttributeError:
        return ""


@pytest.mark.parametrize("make", MODELS)
def test_no_object_shows_a_secret(make: str) -> None:
    model = MODELS[make](extra_body=mcp(SecretStr(MCP)))
    shown = {name: seen(look, model) for name, look in OBJECTS.items()}
    assert "Gateway" in shown["repr"]
    assert not [(name, secret) for name, text in shown.items() for secret in ALL if secret in text]


@pytest.mark.parametrize("make", [make for make in MODELS if make != "lc bound"])  # langchain-core pickles that one
def test_no_pickle_holds_the_token_or_a_header(make: str) -> None:
    data = pickle.dumps(MODELS[make]())
    assert not [secret for secret in (TOKEN, HEADER, KEY) if secret.encode() in data]


@pytest.mark.parametrize("make", ["lc chat", "lc llm", "li llm", "li embedding", "li rerank"])
def test_traces_hide_credentials_of_mcp_servers(make: str) -> None:
    """Plain text too, in everything that a framework passes to observers of its calls."""
    model = MODELS[make](extra_body=mcp())
    looks = {"repr", "str", "to_dict", "identifying", "asdict", "serialized", "tracing"}
    if make.startswith("li"):  # in LangChain it is what `load` restores
        looks.add("to_json")
    assert not [look for look in looks if MCP in seen(OBJECTS[look], model)]


def test_two_secrets_are_two_keys_of_a_cache() -> None:
    for first, second in ((mcp(SecretStr("a")), mcp(SecretStr("b"))), (mcp("a"), mcp("b"))):
        one, same, other = (MODELS["lc chat"](extra_body=each) for each in (first, first, second))
        assert one._get_llm_string() == same._get_llm_string() != other._get_llm_string()
        one, same, other = (MODELS["lc llm"](extra_body=each) for each in (first, first, second))
        assert one.asdict() == same.asdict() != other.asdict()
    one, other = (ChatCloudflareAIGateway(**CHAT, **base(extra_headers={"x": each})) for each in "ab")
    assert one._get_llm_string() != other._get_llm_string()


def chat(make: str, model: Any, **call: Any) -> Any:
    if make.startswith("lc"):
        return model.invoke("hi", **call)
    return model.chat([ChatMessage("hi")], **call)


async def achat(make: str, model: Any, **call: Any) -> Any:
    if make.startswith("lc"):
        return await model.ainvoke("hi", **call)
    return await model.achat([ChatMessage("hi")], **call)


def call_in(form: str, make: str, model: Any, **call: Any) -> Any:
    return asyncio.run(achat(make, model, **call)) if form == "async" else chat(make, model, **call)


CALLERS = ["lc chat", "lc llm", "li llm"]
PLACES: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "constructor": ({"extra_body": mcp(SecretStr(MCP))}, {}),
    "call": ({}, {"extra_body": mcp(SecretStr(MCP)), "extra_headers": {"x-call": SecretStr(HEADER)}}),
}


@pytest.mark.parametrize("form", ["sync", "async"])
@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("make", CALLERS)
def test_a_secret_is_sent_and_no_watcher_sees_it(
    server: Loopback, caplog: pytest.LogCaptureFixture, make: str, place: str, form: str
) -> None:
    from tests.llama_index.test_secrets import watched

    constructor, call = PLACES[place]
    caplog.set_level(logging.DEBUG)
    for name in ("httpx", "httpcore", "asyncio", "cfaig_integrations"):
        caplog.set_level(logging.DEBUG, name)
    runs = RunCollectorCallbackHandler()
    if make.startswith("lc"):
        call = {**call, "config": {"callbacks": [runs]}}
    with watched() as reprs:
        result = call_in(form, make, MODELS[make](base_url=server.base_url, **constructor), **call)
    (sent,) = server.seen
    assert sent.headers["authorization"] == f"Bearer {TOKEN}"
    assert (sent.headers["x-custom"], sent.headers["x-api-key"]) == (HEADER, KEY)
    assert place == "constructor" or sent.headers["x-call"] == HEADER
    assert json.loads(sent.body)["mcp_servers"][0]["authorization_token"] == MCP
    texts = [repr(result), str(vars(result)) if hasattr(result, "__dict__") else "", *reprs]
    texts += [f"{record.getMessage()} {vars(record)}" for record in caplog.records]
    texts += [f"{run!r} {vars(run)} {run.model_dump_json()}" for run in runs.traced_runs]
    assert any("hi" in text for text in texts)
    assert any(record.name.startswith("httpcore") for record in caplog.records)
    assert not [(secret, text[:300]) for secret in ALL for text in texts if secret in text]


FAILURES: dict[str, Reply | None] = {
    "refused": None,
    "cut": Reply([b"{"], end="cut"),
    "401": Reply([b'{"error": {"message": "no"}}'], 401),
    "no HTTP": Reply(raw=b"nonsense\r\n\r\n", end="cut"),
}
TESTS = str(Path(__file__).resolve().parent)


def frames(error: BaseException) -> Iterator[str]:
    """All that a report with local variables shows of an error and its causes, except the frames of these tests."""
    waiting = [traceback.TracebackException.from_exception(error, capture_locals=True)]
    while waiting:
        report = waiting.pop()
        waiting += [each for each in (report.__cause__, report.__context__) if each is not None]
        yield "".join(report.format_exception_only())
        yield from (
            f"{frame.filename}:{frame.name} {name} = {value}"
            for frame in report.stack
            if not frame.filename.startswith(TESTS)
            for name, value in (frame.locals or {}).items()
        )


@pytest.mark.parametrize("form", ["sync", "async"])
@pytest.mark.parametrize("make", CALLERS)
@pytest.mark.parametrize("failure", FAILURES)
def test_a_report_with_local_variables_shows_no_secret(server: Loopback, failure: str, make: str, form: str) -> None:
    reply = FAILURES[failure]
    if reply is None:
        server.stop()
    else:
        server.usual = reply
    model = MODELS[make](base_url=server.base_url)
    with pytest.raises(GatewayError) as caught:
        call_in(form, make, model, **PLACES["call"][1])
    shown = list(frames(caught.value))
    assert any("request = " in each for each in shown)
    assert not [each[:400] for each in shown if any(secret in each for secret in ALL)]


@pytest.mark.parametrize("status", [302, 308])
@pytest.mark.parametrize("form", ["sync", "async"])
@pytest.mark.parametrize("make", ["lc chat", "li llm"])
def test_no_redirect_is_followed(server: Loopback, make: str, form: str, status: int) -> None:
    with loopback() as elsewhere:
        for location in ("/client/v4/elsewhere", f"{elsewhere.base_url}/x", f"http://user@127.0.0.1:{elsewhere.port}/"):
            server.usual = Reply([b"moved"], status, {"location": location})
            with pytest.raises(GatewayError):
                call_in(form, make, MODELS[make](base_url=server.base_url))
        assert len(server.seen) == 3
        assert not elsewhere.accepted


@pytest.mark.parametrize("kind", [AIGateway, AsyncAIGateway])
def test_the_client_of_the_gateways_api_shows_no_token(kind: Any) -> None:
    client = kind(account_id="acc", api_token=TOKEN)
    for look in (repr, str, lambda each: repr(getattr(each, "__dict__", "")), lambda each: repr(copy.copy(each))):
        assert TOKEN not in look(client)
