"""No error of any class shows a token, nor do the local variables of its frames."""

from __future__ import annotations

import asyncio
import json
import pickle
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from llama_index.core.schema import NodeWithScore, TextNode
from pydantic import SecretStr, ValidationError

import cfaig_integrations
from cfaig_integrations import AIGateway, AsyncAIGateway, GatewayError
from cfaig_integrations.errors import ConfigError
from cfaig_integrations.langchain import ChatCloudflareAIGateway, CloudflareAIGatewayLLM
from cfaig_integrations.llama_index import CloudflareAIGateway
from tests.client.loopback import JSON, SSE, Loopback, Reply, piece, streamed
from tests.models import CLASSES, every_class

TOKEN = "canary-of-the-token"
KEY = "canary-of-the-provider"
OURS = str(Path(cfaig_integrations.__file__).parent)
HEADERS = {"x-api-key": KEY}
ECHO = {
    "error": {"message": f"Who is Bearer {TOKEN}?", "code": f"x-{TOKEN}"},
    "request": {"headers": {"authorization": f"Bearer {TOKEN}", "x-api-key": KEY}, "all": [TOKEN, KEY]},
}
ECHOED = {**JSON, "x-seen": TOKEN, "authorization": f"Bearer {TOKEN}", "x-api-key": KEY}


def chain(error: BaseException | None) -> Iterator[BaseException]:
    seen: set[int] = set()
    waiting = [error]
    while waiting:
        each = waiting.pop()
        if each is not None and id(each) not in seen:
            seen.add(id(each))
            waiting += [each.__cause__, each.__context__]
            yield each


def shown(error: BaseException) -> Iterator[tuple[str, str]]:
    """What a tool that reports errors sees of one: its text, its fields, and the variables of our frames."""
    for each in chain(error):
        if isinstance(each, GatewayError):
            yield "error", f"{each} {each!r} {vars(each)} {pickle.dumps(each)!r}"
        trace = each.__traceback__
        while trace is not None:
            frame = trace.tb_frame
            if frame.f_code.co_filename.startswith(OURS):
                for name, value in frame.f_locals.items():
                    where = f"{Path(frame.f_code.co_filename).name}:{frame.f_code.co_name}:{name}"
                    yield where, repr(value)
                    yield from ((where, part) for part in parts(value))
            trace = trace.tb_next


def parts(value: Any) -> Iterator[str]:
    """What a tool prints that shows containers item by item, and only the start of a long text."""
    if isinstance(value, dict):
        for name, each in value.items():
            yield f"{name!r} {each!r}"
            yield from parts(each)
    elif isinstance(value, list | tuple):
        for each in value:
            yield repr(each)
            yield from parts(each)
    elif isinstance(value, str | bytes):
        yield repr(value[:80])


def check(error: BaseException, *, echoed: bool = False, secrets: tuple[str, ...] = (TOKEN, KEY)) -> None:
    """No secret is in the error; where the server echoed one, variables may hold it."""
    leaks = {where for where, text in shown(error) if any(each in text for each in secrets)}
    assert not sorted(leaks & {"error"} if echoed else leaks)


def answered(call: Callable[..., Any], *arguments: Any) -> Any:
    result = call(*arguments)
    return asyncio.run(result) if asyncio.iscoroutine(result) else result


def echoes(reply: Reply) -> bool:
    return any(TOKEN in text for text in (str(reply.pieces), str(reply.headers)))


def arguments(server: Loopback, **more: Any) -> dict[str, Any]:
    base = {"account_id": "acc", "api_token": TOKEN, "base_url": server.base_url, "extra_headers": HEADERS}
    return {**base, "max_retries": 0, "timeout": 0.2 if server.usual.end == "stall" else 600, **more}


def langchain_chat(more: dict[str, Any], stream: bool) -> Any:
    model = ChatCloudflareAIGateway(model="openai/gpt-5.4", api="chat_completions", **more)
    return list(model.stream("x")) if stream else model.invoke("x")


async def alangchain_chat(more: dict[str, Any], stream: bool) -> Any:
    model = ChatCloudflareAIGateway(model="openai/gpt-5.4", api="chat_completions", **more)
    return [each async for each in model.astream("x")] if stream else await model.ainvoke("x")


def langchain_llm(more: dict[str, Any], stream: bool) -> Any:
    model = CloudflareAIGatewayLLM(model="openai/gpt-5.4", api="chat_completions", **more)
    return list(model.stream("x")) if stream else model.invoke("x")


def llama_index(more: dict[str, Any], stream: bool) -> Any:
    llm = CloudflareAIGateway(model="openai/gpt-5.4", api="chat_completions", **more)
    return list(llm.stream_complete("x")) if stream else llm.complete("x")


async def allama_index(more: dict[str, Any], stream: bool) -> Any:
    llm = CloudflareAIGateway(model="openai/gpt-5.4", api="chat_completions", **more)
    return [each async for each in await llm.astream_complete("x")] if stream else await llm.acomplete("x")


CHATS: list[Callable[[dict[str, Any], bool], Any]] = [
    langchain_chat,
    alangchain_chat,
    langchain_llm,
    llama_index,
    allama_index,
]
REPLIES: list[tuple[str, Reply]] = [
    ("refused without a word", Reply([b"{}"], 401)),
    ("another's answer", Reply([b'{"x": 1}'])),
    ("refused", Reply([json.dumps(ECHO).encode()], 401, ECHOED)),
    ("refused in text", Reply([f"no {TOKEN} {KEY}".encode()], 500, ECHOED)),
    ("refused in 200", Reply([json.dumps(ECHO).encode()], 200, ECHOED)),
    ("page", Reply([f"<html><title>{TOKEN}</title>{KEY}".encode()], 200, ECHOED)),
    ("error page", Reply([f"<html><title>{TOKEN}</title>{KEY}".encode()], 502, ECHOED)),
    ("redirect", Reply([b""], 302, {"location": f"https://{KEY}@x.example/{TOKEN}?token={TOKEN}"})),
    ("no json", Reply([f'{{"seen": "Bearer {TOKEN}", "x-api-key": "{KEY}", '.encode()], 200, ECHOED)),
    ("not ours", Reply([json.dumps({"seen": [TOKEN, KEY]}).encode()], 200, ECHOED)),
    ("cut", Reply([b"{"], end="cut")),
    ("reset", Reply(end="reset", silent=True)),
    ("silent", Reply(end="stall", silent=True)),
    ("stream of an error", streamed(f"data: {json.dumps(ECHO)}\n\n".encode())),
    ("stream that errs", streamed(piece("a"), f"data: {json.dumps(ECHO)}\n\n".encode())),
    ("stream of nonsense", streamed(piece("a"), f'data: {{"x": "{TOKEN} {KEY}"\n\n'.encode(), piece("b"))),
    ("stream that breaks", streamed(piece("a"), end="reset")),
    ("stream that ends", Reply([piece("a")], headers=SSE)),
    ("no HTTP", Reply(raw=f"{TOKEN} {KEY}\r\n\r\n".encode(), end="cut")),
    ("no header", Reply(raw=f"HTTP/1.1 200 OK\r\n{TOKEN} {KEY}\r\n\r\n".encode(), end="cut")),
]


@pytest.mark.parametrize("token", ["text", "callable"])
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("call", CHATS, ids=lambda call: call.__name__)
@pytest.mark.parametrize("reply", [row[1] for row in REPLIES], ids=[row[0] for row in REPLIES])
def test_a_failed_call_shows_no_token(
    server: Loopback, reply: Reply, call: Callable[[dict[str, Any], bool], Any], stream: bool, token: str
) -> None:
    server.usual = reply
    more = arguments(server, api_token=(lambda: TOKEN) if token == "callable" else TOKEN)
    with pytest.raises(GatewayError) as caught:
        answered(call, more, stream)
    check(caught.value, echoed=echoes(reply))
    assert server.until(lambda: bool(server.seen))
    assert server.seen[0].headers["authorization"] == f"Bearer {TOKEN}"


def of_the_api(more: dict[str, Any]) -> dict[str, Any]:
    return {name: more[name] for name in ("account_id", "api_token", "base_url", "max_retries")}


NODES = [NodeWithScore(node=TextNode(text=text)) for text in "ab"]
OTHERS: dict[str, Callable[[dict[str, Any]], Any]] = {
    "embeddings": lambda more: CLASSES["lc embeddings"](**more).embed_query("x"),
    "aembeddings": lambda more: CLASSES["lc embeddings"](**more).aembed_query("x"),
    "embedding": lambda more: CLASSES["li embedding"](**more).get_query_embedding("x"),
    "aembedding": lambda more: CLASSES["li embedding"](**more).aget_query_embedding("x"),
    "reranker": lambda more: CLASSES["lc reranker"](**more).rerank(["a", "b"], "x"),
    "rerank": lambda more: CLASSES["li rerank"](**more).postprocess_nodes(NODES, query_str="x"),
    "log": lambda more: AIGateway(**of_the_api(more)).log("x"),
    "alog": lambda more: AsyncAIGateway(**of_the_api(more)).log("x"),
}


@pytest.mark.parametrize("name", OTHERS)
@pytest.mark.parametrize("reply", [row[1] for row in REPLIES[:12]], ids=[row[0] for row in REPLIES[:12]])
def test_a_failed_call_of_other_classes_shows_no_token(server: Loopback, reply: Reply, name: str) -> None:
    server.usual = reply
    with pytest.raises(GatewayError) as caught:
        answered(OTHERS[name], arguments(server))
    sent = (TOKEN,) if "log" in name else (TOKEN, KEY)
    check(caught.value, echoed=echoes(reply), secrets=sent)


BAD_ARGUMENTS: list[tuple[str, dict[str, Any]]] = [
    ("a gateway that is none", {"gateway_id": "no gateway"}),
    ("an account that is none", {"account_id": "no account"}),
    ("the token as the account", {"account_id": TOKEN}),
    ("the quoted token as the account", {"account_id": f"'{TOKEN}'"}),
    ("a token as the account", {"account_id": f"cfut_{KEY}"}),
    ("an address that is none", {"base_url": "ftp://x"}),
    ("an address with a token", {"base_url": f"https://x.example/?token={TOKEN}"}),
    ("an address with a password", {"base_url": f"https://x:{TOKEN}@x.example"}),
    ("a broken address with a password", {"base_url": f"https://x:{TOKEN}@[::1"}),
    ("an unknown argument", {"accountid": "acc"}),
    ("a bad timeout", {"timeout": -1}),
    ("a bad option", {"gateway": {"cache_ttl": 1}}),
    ("a wrong type beside it", {"run_metadata": "perhaps"}),
    *((f"token {each!r}", {"api_token": each.format(TOKEN)}) for each in (
        "'{0}'", '"{0}"', "`{0}`", "Bearer {0}", " {0}", "{0} ", "{0}\n", "{0}\x00", "é{0}", '"{0}', "{0}'",
    )),
    ("a token of the wrong type", {"api_token": [TOKEN]}),
    ("a token in a dict", {"api_token": {"x": TOKEN}}),
    ("a token in bytes", {"api_token": TOKEN.encode()}),
    ("a token under its other name", {"api_key": [TOKEN], "api_token": None}),
    ("a client that is text", {"http_client": TOKEN}),
    ("a timeout that is text", {"timeout": TOKEN, "extra_headers": {"x-api-key": KEY}}),
    ("headers as text", {"extra_headers": f"x-api-key: {KEY}"}),
    ("headers of the wrong type", {"extra_headers": {"x-api-key": [KEY]}}),
    ("a list of headers", {"extra_headers": [("x-api-key", KEY)]}),
    *((f"header {each!r}", {"extra_headers": {"x-api-key": each.format(KEY)}}) for each in (
        "{0} ", " {0}", "{0}\n", "{0}\r\nx: y", "{0}\x00", "\t{0}", "é{0}", "{0}\ud800",
    )),
]  # fmt: skip


@every_class
@pytest.mark.parametrize("bad", [row[1] for row in BAD_ARGUMENTS], ids=[row[0] for row in BAD_ARGUMENTS])
def test_an_invalid_constructor_argument_is_not_quoted(make: Callable[..., Any], bad: dict[str, Any]) -> None:
    good = {"account_id": "acc", "api_token": TOKEN}
    with pytest.raises((GatewayError, ValueError)) as caught:
        make(**good | bad)
    texts = f"{caught.value} {caught.value!r} {pickle.dumps(caught.value)!r}"
    if isinstance(caught.value, ValidationError):
        texts += repr(caught.value.errors())
    assert TOKEN not in texts
    assert KEY not in texts
    assert getattr(caught.value, "value", None) is None or TOKEN not in repr(vars(caught.value))
    if not ({"api_token", "account_id", "base_url", "extra_headers", "http_client"} & bad.keys()):
        check(caught.value)


@every_class
def test_no_frame_shows_the_environment(make: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLOUDFLARE_API_TOKEN", TOKEN)
    monkeypatch.setenv("CLOUDFLARE_ACCOUNT_ID", "no account")
    with pytest.raises(GatewayError) as caught:
        make()
    check(caught.value)
    monkeypatch.setenv("CLOUDFLARE_ACCOUNT_ID", "acc")
    monkeypatch.setenv("CLOUDFLARE_API_TOKEN", f"'{TOKEN}'")
    with pytest.raises(GatewayError) as caught:
        make()
    check(caught.value)


@pytest.mark.parametrize("token", [f"'{TOKEN}'", f"Bearer {TOKEN}", "acc", [TOKEN], None, ""])
@pytest.mark.parametrize("call", CHATS, ids=lambda call: call.__name__)
def test_the_token_of_a_function_is_not_quoted(
    server: Loopback, token: Any, call: Callable[[dict[str, Any], bool], Any]
) -> None:
    with pytest.raises(GatewayError) as caught:
        answered(call, arguments(server, api_token=lambda: token), False)
    check(caught.value)
    assert not server.seen


@pytest.mark.parametrize("reply", [row[1] for row in REPLIES if row[0] in {"no HTTP", "no header"}])
@pytest.mark.parametrize("call", CHATS, ids=lambda call: call.__name__)
def test_errors_of_the_http_library_show_no_token(
    server: Loopback, reply: Reply, call: Callable[[dict[str, Any], bool], Any]
) -> None:
    server.usual = reply
    with pytest.raises(GatewayError) as caught:
        answered(call, arguments(server), False)
    for each in chain(caught.value):
        assert TOKEN not in f"{each} {each!r}"


@pytest.mark.parametrize("make", [make for name, make in CLASSES.items() if "rerank" not in name])
def test_fields_of_the_body_are_not_shown(make: Callable[..., Any]) -> None:
    model = make(account_id="acc", api_token=TOKEN, extra_body={"mcp_servers": [{"authorization_token": KEY}]})
    assert KEY not in repr(model)


@pytest.mark.parametrize("raised", [ValueError, KeyError, AttributeError, StopIteration, StopAsyncIteration, OSError])
@pytest.mark.parametrize("is_async", [False, True], ids=["sync", "async"])
@pytest.mark.parametrize("call", CHATS, ids=lambda call: call.__name__)
def test_a_token_function_that_raises_is_a_config_error(
    server: Loopback, call: Callable[[dict[str, Any], bool], Any], raised: type[Exception], is_async: bool
) -> None:
    """Its own exception is not raised: LlamaIndex takes a ValueError for an unreadable answer of the model."""

    def fails() -> str:
        raise raised(TOKEN)

    async def afails() -> str:
        return fails()

    with pytest.raises(ConfigError, match="api_token") as caught:
        answered(call, arguments(server, api_token=afails if is_async else fails), False)
    assert (caught.value.field, caught.value.requests_sent) == ("api_token", 0)
    assert TOKEN not in str(caught.value)
    if not is_async:
        assert any(type(each) is raised for each in chain(caught.value))
    assert not server.seen


@pytest.mark.parametrize("call", CHATS, ids=lambda call: call.__name__)
def test_a_token_function_may_return_a_secret(server: Loopback, call: Callable[[dict[str, Any], bool], Any]) -> None:
    server.usual = Reply()
    answered(call, arguments(server, api_token=lambda: SecretStr(TOKEN)), False)
    assert server.seen[0].headers["authorization"] == f"Bearer {TOKEN}"
