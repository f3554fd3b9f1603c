"""Names, ids and forced calls over a whole exchange: valid in the request, the user's own in the reply."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from typing import Any

import pytest

from cfaig_integrations.core.chat import ChatReply, ChatRequest, FunctionTool, NamedTool, NativeTool
from cfaig_integrations.core.content import Reasoning, Text, ToolCall, ToolResult, Turn, Wire
from cfaig_integrations.core.fold import fold
from cfaig_integrations.core.legal import legal, legal_name
from cfaig_integrations.errors import NotFound
from cfaig_integrations.gateway import exchange
from cfaig_integrations.gateway.actions import HttpResponse
from cfaig_integrations.gateway.connection import Connection
from cfaig_integrations.gateway.models import routes
from cfaig_integrations.gateway.options import GatewayOptions
from cfaig_integrations.gateway.settings import resolve
from tests.gateway.test_exchange import JSON, SSE, run
from tests.wire.chat_kit import delta, sse

WIRES: tuple[Wire, ...] = ("chat_completions", "responses", "messages", "run")
MODELS = {"run": "@cf/zai-org/glm-5.2", "messages": "anthropic/claude-haiku-4.5"}
LEGAL = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,63}")
NAMES = ["weather.get", "basic/music", "Weather in a city", "w" * 80, "wetter_für", "天气", "3d", "-", "", "\ud83d"]
HELLO = Turn("user", (Text("hi"),))


def connect(api: Any, **options: Any) -> Connection:
    settings = resolve(account_id="acc", api_token="tok", base_url="http://host/client/v4")
    return Connection(settings=settings, api=api, options=GatewayOptions(**options) if options else None)


def tool(name: str) -> FunctionTool:
    return FunctionTool(name, "T.", {"type": "object", "properties": {}})


def calling(wire: Wire, name: str, *, stream: bool) -> list[Any]:
    """A response that calls a tool, as outcomes of a script."""
    if wire == "responses":
        item = {"type": "function_call", "id": "fc_1", "call_id": "c1", "name": name, "arguments": "{}"}
        whole: Any = {"id": "r", "object": "response", "status": "completed", "model": "m", "output": [item]}
        events: list[Any] = [
            {"type": "response.created", "response": {"id": "r"}},
            {"type": "response.output_item.added", "output_index": 0, "item": {**item, "arguments": ""}},
            {"type": "response.output_item.done", "output_index": 0, "item": item},
            {"type": "response.completed", "response": whole},
        ]
    elif wire == "messages":
        block = {"type": "tool_use", "id": "c1", "name": name, "input": {}}
        whole = {"id": "m", "type": "message", "role": "assistant", "model": "m", "content": [block]}
        whole |= {"stop_reason": "tool_use", "usage": {"input_tokens": 1, "output_tokens": 1}}
        events = [
            {"type": "message_start", "message": {**whole, "content": [], "stop_reason": None}},
            {"type": "content_block_start", "index": 0, "content_block": block},
            {"type": "content_block_stop", "index": 0},
            {"type": "message_delta", "delta": {"stop_reason": "tool_use"}, "usage": {"output_tokens": 1}},
            {"type": "message_stop"},
        ]
    else:
        call = {"id": "c1", "type": "function", "function": {"name": name, "arguments": "{}"}}
        message = {"role": "assistant", "content": "", "tool_calls": [call]}
        whole = {"id": "1", "choices": [{"index": 0, "message": message, "finish_reason": "tool_calls"}]}
        events = [delta(tool_calls=[{"index": 0, **call}]), delta(finish="tool_calls")]
    if not stream:
        return [HttpResponse(200, JSON, json.dumps(whole).encode())]
    return [HttpResponse(200, SSE, None), sse(*events, done=wire in ("chat_completions", "run")).encode()]


def exchange_with(
    api: Any, request: ChatRequest, *outcomes: Any, stream: bool, **options: Any
) -> tuple[ChatReply, Any]:
    if not stream:
        ended = run(exchange.chat(connect(api, **options), request), *outcomes)
        assert ended.raised is None, ended.raised
        return ended.result[0], ended
    ended = run(exchange.stream(connect(api, **options), request), *outcomes)
    assert ended.raised is None, ended.raised
    return fold(ended.result.info.wire, ended.result.waiting), ended


def sent_names(wire: Wire, body: dict[str, Any]) -> list[str]:
    tools = (body["input"] if "model" in body and isinstance(body.get("input"), dict) else body)["tools"]
    return [each.get("function", each)["name"] for each in tools]


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("wire", WIRES)
@pytest.mark.parametrize("name", NAMES)
def test_a_tool_of_any_name_is_sent_under_a_valid_name(wire: Wire, name: str, stream: bool) -> None:
    request = ChatRequest(MODELS.get(wire, "openai/gpt-4.1"), (HELLO,), tools=(tool(name), tool("other")))
    renamed = legal(request)[0].tools[0]
    assert isinstance(renamed, FunctionTool)
    reply, ended = exchange_with(wire, request, *calling(wire, renamed.name, stream=stream), stream=stream)
    assert sent_names(wire, ended.bodies[0]) == [renamed.name, "other"]
    assert LEGAL.fullmatch(renamed.name)
    assert [call.name for call in reply.turn.tool_calls] == [name]


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("wire", WIRES)
def test_calls_of_an_unknown_tool_keep_their_name(wire: Wire, stream: bool) -> None:
    called = Turn("assistant", (ToolCall("c0", "no.such tool", "{}"),))
    turns = (HELLO, called, Turn("tool", (ToolResult("c0", (Text("no such tool"),)),)))
    request = ChatRequest(MODELS.get(wire, "openai/gpt-4.1"), turns, tools=(tool("no_such_tool"),))
    written = legal(request)[0].turns[1].tool_calls[0].name
    assert written != "no_such_tool"
    reply, ended = exchange_with(wire, request, *calling(wire, written, stream=stream), stream=stream)
    assert written in json.dumps(ended.bodies[0])
    assert "no.such tool" not in json.dumps(ended.bodies[0])
    assert [call.name for call in reply.turn.tool_calls] == ["no.such tool"]


def test_different_names_stay_different() -> None:
    names = ["a.b", "a_b", "a b", "a/b", "x" * 64, "x" * 65, "x" * 66]
    request = ChatRequest("m", (HELLO,), tools=tuple(map(tool, names)))
    renamed, back = legal(request)
    made = [each.name for each in renamed.tools if isinstance(each, FunctionTool)]
    assert len(set(made)) == len(names)
    assert all(map(LEGAL.fullmatch, made))
    assert [back.get(name, name) for name in made] == names
    assert made[1] == "a_b"


def test_valid_names_are_unchanged_and_renamed_tools_are_cached() -> None:
    request = ChatRequest("m", (HELLO,), tools=(tool("a"), NativeTool({"type": "web_search"})))
    assert legal(request)[0] is request
    odd = replace(request, tools=(tool("a.b"), request.tools[0]))
    once, again = legal(odd)[0], legal(odd)[0]
    assert once.tools[0] is again.tools[0]
    assert once.tools[1] is request.tools[0]


@pytest.mark.parametrize(
    "raw",
    [
        {"type": "custom", "name": "my tool"},
        {"type": "custom", "custom": {"name": "my tool", "format": {}}},
        {"name": "my tool", "input_schema": {}},
    ],
)
def test_native_tools_and_the_tool_choice_are_renamed(raw: dict[str, Any]) -> None:
    renamed, back = legal(ChatRequest("m", (HELLO,), tools=(NativeTool(raw),), tool_choice=NamedTool("my tool")))
    assert isinstance(renamed.tools[0], NativeTool)
    assert json.dumps(renamed.tools[0].raw) == json.dumps(raw).replace("my tool", "my_tool")
    assert renamed.tool_choice == NamedTool("my_tool")
    assert back == {"my_tool": "my tool"}


@pytest.mark.parametrize("name", NAMES)
def test_names_of_speakers_are_valid(name: str) -> None:
    turn = Turn("user", (Text("hi"),), name=name)
    (made,) = legal(ChatRequest("m", (turn,)))[0].turns
    assert made.name == (legal_name(name) if name else "")
    assert not made.name or LEGAL.fullmatch(made.name)


def test_calls_without_ids_are_paired_in_order() -> None:
    turns = (
        HELLO,
        Turn("assistant", (ToolCall("", "f", "1"), ToolCall("a", "f", "2"))),
        Turn("tool", (ToolResult("", (Text("1"),)), ToolResult("a", (Text("2"),)))),
        Turn("assistant", (ToolCall("a", "f", "3"), ToolCall("", "f", "4"))),
        Turn("tool", (ToolResult("a", (Text("3"),)), ToolResult("lost", (Text("4"),)))),
    )
    made = legal(ChatRequest("m", turns))[0].turns
    ids = {call.arguments: call.id for turn in made for call in turn.tool_calls}
    assert len(set(ids.values())) == 4
    assert ids["2"] == "a"
    for turn in made:
        for part in turn.parts:
            if isinstance(part, ToolResult):
                assert isinstance(part.parts[0], Text)
                assert part.call_id == ids[part.parts[0].text]


# Forced calls that come as text

FORCED = {
    "name and arguments": ('{"name": "f", "arguments": {"a": 1}}', {"a": 1}),
    "arguments as text": ('{"name": "f", "arguments": "{\\"a\\": 1}"}', {"a": 1}),
    "parameters": ('{"name": "functions.f", "parameters": {"a": 1}}', {"a": 1}),
    "flat": ('{"name": "f", "a": 1}', {"a": 1}),
    "nested": ('{"type": "function", "function": {"name": "f", "arguments": {"a": 1}}}', {"a": 1}),
    "a fence": ('```json\n{"name": "f", "arguments": {}}\n```', {}),
    "another tool": ('{"name": "g", "arguments": {}}', None),
    "prose": ("I will call f.", None),
    "cut": ('{"name": "f", "arguments": {"a', None),
}


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("choice", ["required", NamedTool("f"), "auto", None])
@pytest.mark.parametrize("what", FORCED)
def test_a_forced_call_in_text_becomes_a_call(
    monkeypatch: pytest.MonkeyPatch, what: str, choice: Any, stream: bool
) -> None:
    text, arguments = FORCED[what]
    model = "@cf/openai/gpt-oss-120b"
    original = routes.route

    def route(*args: Any, **keywords: Any) -> routes.Route:
        chosen = original(*args, **keywords)
        return replace(chosen, quirks=replace(chosen.quirks, forced_as_text=True))

    monkeypatch.setattr(routes, "route", route)
    request = ChatRequest(model, (HELLO,), tools=(tool("f"),), tool_choice=choice)
    message = {"role": "assistant", "content": text}
    whole = {"id": "1", "choices": [{"index": 0, "message": message, "finish_reason": "stop"}]}
    outcomes = [HttpResponse(200, JSON, json.dumps(whole).encode())]
    if stream:
        pieces = [text[at : at + 3] for at in range(0, len(text), 3)]
        events = sse(*(delta(content=piece) for piece in pieces), delta(finish="stop")).encode()
        outcomes = [HttpResponse(200, SSE, None), events]  # type: ignore[list-item]
    reply, _ = exchange_with("chat_completions", request, *outcomes, stream=stream)
    if arguments is None or choice in ("auto", None):
        assert (reply.turn.text, reply.turn.tool_calls, reply.finish) == (text, (), "stop")
        return
    (call,) = reply.turn.tool_calls
    assert (call.name, json.loads(call.arguments), reply.finish) == ("f", arguments, "tool_calls")
    assert call.id
    assert reply.turn.text == ""


# Items that are not stored

ITEM = {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "gAAA"}
STORED_TURN = Turn("assistant", (Reasoning("", {"responses": {"item": ITEM}}), Text("ok")))
NOT_FOUND = "Item with id 'rs_1' not found. Items are not persisted when `store` is set to false."
RESPONSE = {"id": "r", "object": "response", "status": "completed", "model": "m", "output": []}


def not_found() -> HttpResponse:
    return HttpResponse(404, JSON, json.dumps({"error": {"message": NOT_FOUND, "code": None}}).encode())


@pytest.mark.parametrize("stream", [False, True])
def test_an_item_that_is_not_stored_is_sent_again_without_its_id(stream: bool) -> None:
    request = ChatRequest("openai/gpt-5.4", (HELLO, STORED_TURN, HELLO))
    good = HttpResponse(200, JSON, json.dumps(RESPONSE).encode())
    outcomes = [not_found(), replace(good, body=None), good.body] if stream else [not_found(), good]
    start = exchange.stream if stream else exchange.chat
    ended = run(start(connect("responses"), request), *outcomes, *([None] if stream else []))
    assert ended.raised is None
    first, second = ended.bodies
    assert first["input"][1] == ITEM
    assert second["input"][1] == {key: value for key, value in ITEM.items() if key != "id"}
    assert second["include"] == ["reasoning.encrypted_content"]
    again = run(exchange.chat(connect("responses"), request), not_found(), not_found())
    assert isinstance(again.raised, NotFound)
    assert again.raised.requests_sent == 2


def test_zero_data_retention_sends_no_item_ids() -> None:
    request = ChatRequest("openai/gpt-5.4", (HELLO, STORED_TURN, HELLO))
    good = HttpResponse(200, JSON, json.dumps(RESPONSE).encode())
    _, ended = exchange_with("responses", request, good, stream=False, zdr=True)
    (body,) = ended.bodies
    assert "id" not in body["input"][1]
    assert body["include"] == ["reasoning.encrypted_content"]


@pytest.mark.parametrize("stream", [False, True])
def test_items_of_an_unstored_reply_are_sent_without_ids(stream: bool) -> None:
    answer = {**RESPONSE, "store": False, "output": [ITEM]}
    events = [{"type": "response.created", "response": {"id": "r"}}, {"type": "response.completed", "response": answer}]
    outcomes: list[Any] = [HttpResponse(200, JSON, json.dumps(answer).encode())]
    if stream:
        outcomes = [HttpResponse(200, SSE, None), sse(*events, done=False).encode()]
    request = ChatRequest("openai/gpt-5.4", (HELLO,))
    reply, _ = exchange_with("responses", request, *outcomes, stream=stream)
    again = replace(request, turns=(HELLO, reply.turn, HELLO))
    _, ended = exchange_with("responses", again, HttpResponse(200, JSON, json.dumps(RESPONSE).encode()), stream=False)
    assert "id" not in ended.bodies[0]["input"][1]
    assert ended.bodies[0]["include"] == ["reasoning.encrypted_content"]
