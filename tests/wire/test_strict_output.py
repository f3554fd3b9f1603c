"""What leaves is legal on every wire, whatever the conversation holds; and nothing but a `GatewayError` is raised."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cfaig_integrations.core.chat import ChatRequest, FunctionTool, NamedTool, OutputSchema
from cfaig_integrations.core.content import (
    Citation,
    Media,
    Opaque,
    Reasoning,
    Refusal,
    Text,
    ToolCall,
    ToolResult,
    Turn,
    Wire,
)
from cfaig_integrations.core.legal import legal
from cfaig_integrations.core.text import repair_surrogates
from cfaig_integrations.errors import ConfigError, GatewayError
from cfaig_integrations.gateway.models.routes import route
from cfaig_integrations.wire import jsonio
from cfaig_integrations.wire.codec import PLAIN, Quirks
from cfaig_integrations.wire.registry import codec
from tests.wire.harness import needs_complete_recordings, validate_request

WIRES: tuple[Wire, ...] = ("chat_completions", "responses", "messages", "run")
NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,63}")
ID = re.compile(r"[A-Za-z0-9_.:-]{1,64}")
OPENAI = Quirks(call_id_limit=40, openai_history=True)
GROK = Quirks(closed_history=True, schema_description=False, refused=frozenset({"stop", "top_k"}))
MINIMAX = Quirks(bare_tools=True, schema_type_only=True, json_object=False, no_forced_tool=True)
MISTRAL = Quirks(mistral_turns=True, one_system=True, data_urls_only=True)


def sent(wire: Wire, request: ChatRequest, quirks: Quirks = PLAIN, *, stream: bool = False) -> dict[str, Any]:
    """The body as the server reads it."""
    body: dict[str, Any] = json.loads(jsonio.dump(codec(wire).encode(legal(request)[0], stream=stream, quirks=quirks)))
    return body


def calls(wire: Wire, body: dict[str, Any]) -> Iterator[tuple[str, str, Any]]:
    """Id, name and arguments of each call."""
    if wire == "responses":
        for item in body["input"]:
            if item.get("type") == "function_call":
                yield item["call_id"], item["name"], json.loads(item["arguments"])
        return
    for message in body["messages"]:
        for call in message.get("tool_calls", ()):
            if call["type"] == "function":
                yield call["id"], call["function"]["name"], json.loads(call["function"]["arguments"])
        for block in message["content"] if wire == "messages" and isinstance(message["content"], list) else ():
            if block["type"] == "tool_use":
                yield block["id"], block["name"], block["input"]


def answered(wire: Wire, body: dict[str, Any]) -> Iterator[str]:
    """The ids that results name."""
    if wire == "responses":
        yield from (item["call_id"] for item in body["input"] if item.get("type") == "function_call_output")
        return
    for message in body["messages"]:
        if message["role"] == "tool":
            yield message["tool_call_id"]
        for block in message["content"] if wire == "messages" and isinstance(message["content"], list) else ():
            if block["type"] == "tool_result":
                yield block["tool_use_id"]


def tools(wire: Wire, body: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Name and schema of each declared function."""
    for tool in body.get("tools", ()):
        function = tool.get("function", tool)
        yield function["name"], function["input_schema" if wire == "messages" else "parameters"]


def texts(value: Any) -> Iterator[str]:
    """Every string in a JSON value."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for each in value.values():
            yield from texts(each)
    elif isinstance(value, list):
        for each in value:
            yield from texts(each)


# Any text, name, id and schema

CHARACTERS = st.characters() | st.characters(categories=["Cs"]) | st.sampled_from('\x00\n"\\{}é天😀\u202e')
WORDS = st.text(CHARACTERS, max_size=12)
NAMES = WORDS | st.sampled_from(["f", "f.g", "f_g", "w" * 80, "3d", "-x", "Weather in a city", "wetter_für", ""])
IDS = WORDS | st.sampled_from(["call_1", "functions.f:0", "x" * 50, "x" * 500, ""])
ARGUMENTS = WORDS | st.sampled_from(
    ['{"a": 1}', '{"a": "b', '{"a": "x\ny"}', '"{}"', "null", "[]", '{"a": NaN}', '{"a": "\\ud83d"}', "[" * 5000]
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | WORDS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner, max_size=3),
    max_leaves=6,
)
SCHEMAS = st.fixed_dictionaries(
    {}, optional={"type": st.just("object"), "properties": st.dictionaries(WORDS, st.just({"type": "string"}))}
) | st.just({"$ref": "#/$defs/N", "$defs": {"N": {"type": "object", "properties": {"n": {"$ref": "#/$defs/N"}}}}})
EXTRAS = st.sampled_from([{}, {"messages": {"signature": "s"}}, {"chat_completions": {"field": "reasoning"}}])
SAID = st.one_of(
    st.builds(Text, WORDS, st.lists(st.builds(Citation, WORDS, WORDS), max_size=1).map(tuple)),
    st.builds(Reasoning, WORDS, EXTRAS),
    st.builds(Refusal, WORDS),
    st.builds(ToolCall, IDS, NAMES, ARGUMENTS, st.sampled_from(["function", "function", "custom"])),
    st.builds(
        Opaque,
        st.sampled_from(WIRES),
        st.just(
            {"type": "web_search_call", "id": "ws_1", "status": "completed", "action": {"type": "search", "query": "q"}}
        ),
    ),
)
MEDIA = st.builds(
    Media,
    st.sampled_from(["image", "video", "file"]),
    data=st.sampled_from(["QQ==", ""]),
    mime=st.sampled_from(["image/png", "application/pdf", "", "x"]),
    name=WORDS,
)
GIVEN = st.builds(Text, WORDS) | MEDIA | st.builds(Media, st.just("image"), url=WORDS)
RESULTS = st.builds(ToolResult, IDS, st.lists(st.builds(Text, WORDS) | MEDIA, max_size=2).map(tuple), st.booleans())
TURNS = st.lists(
    st.one_of(
        st.builds(Turn, st.just("system"), st.lists(st.builds(Text, WORDS), max_size=2).map(tuple), NAMES),
        st.builds(Turn, st.just("user"), st.lists(GIVEN, max_size=3).map(tuple), NAMES),
        st.builds(Turn, st.just("assistant"), st.lists(SAID, max_size=3).map(tuple), NAMES),
        st.builds(Turn, st.just("tool"), st.lists(RESULTS, max_size=2).map(tuple)),
    ),
    max_size=6,
).map(tuple)
REQUESTS = st.builds(
    ChatRequest,
    st.just("m"),
    TURNS,
    tools=st.lists(st.builds(FunctionTool, NAMES, WORDS, SCHEMAS), max_size=3).map(tuple),
    tool_choice=st.sampled_from([None, "auto", "none", "required"]) | st.builds(NamedTool, NAMES),
    parallel_tool_calls=st.none() | st.booleans(),
    output=st.none() | st.builds(OutputSchema, SCHEMAS, NAMES),
    extra_body=st.dictionaries(WORDS.map("x-{}".format), JSON, max_size=1),  # no field of the body
)
QUIRKS = st.sampled_from([PLAIN, OPENAI, GROK, MINIMAX, MISTRAL])


@pytest.mark.parametrize("wire", WIRES)
@given(request=REQUESTS, quirks=QUIRKS, stream=st.booleans())
def test_requests_are_valid_json_with_legal_ids_and_names(
    wire: Wire, request: ChatRequest, quirks: Quirks, stream: bool
) -> None:
    try:
        body = sent(wire, request, quirks, stream=stream)
    except GatewayError:
        return
    for id_, name, arguments in calls(wire, body):
        assert ID.fullmatch(id_)
        assert len(id_) <= (quirks.call_id_limit if wire in ("chat_completions", "run") else 64)
        assert NAME.fullmatch(name)
        assert isinstance(arguments, dict)
    for id_ in answered(wire, body):
        assert ID.fullmatch(id_)
    for name, schema in tools(wire, body):
        assert NAME.fullmatch(name)
        assert schema["type"] == "object"
        assert isinstance(schema["properties"], dict)
    for message in body.get("messages", ()):
        assert "name" not in message or NAME.fullmatch(message["name"])
    assert "tool_choice" not in body or body["tools"]


@needs_complete_recordings
@pytest.mark.parametrize("wire", ["chat_completions", "responses", "messages"])
@given(request=REQUESTS, stream=st.booleans())
def test_requests_match_the_official_types(wire: Wire, request: ChatRequest, stream: bool) -> None:
    try:
        body = sent(wire, request, stream=stream)
    except GatewayError:
        return
    unknown = {f".{key}: unknown key" for key in map(repair_surrogates, request.extra_body)}
    unknown |= {f".messages[{at}].reasoning: unknown key" for at in range(len(body.get("messages", ())))}
    kind = {"chat_completions": "chat"}.get(wire, wire)
    errors: list[str] = validate_request(kind, body)
    # A block that this wire made goes back as it came, whatever it is.
    assert [
        each for each in errors if each not in unknown and "web_search_call" not in each and "ws_1" not in each
    ] == []


@pytest.mark.parametrize("wire", WIRES)
@given(texts_=st.lists(WORDS.filter(str.strip), min_size=4, max_size=4))
def test_any_text_is_sent_unchanged(wire: Wire, texts_: list[str]) -> None:
    system, question, answer, result = texts_
    turns = (
        Turn("system", (Text(system),)),
        Turn("user", (Text(question),)),
        Turn("assistant", (Text(answer), ToolCall("c", "f", json.dumps({"text": result})))),
        Turn("tool", (ToolResult("c", (Text(result),)),)),
    )
    body = sent(wire, ChatRequest("m", turns))
    there = list(texts(body))
    for text in texts_:
        assert repair_surrogates(text) in there
    assert [arguments for _, _, arguments in calls(wire, body)] == [{"text": repair_surrogates(result)}]


# Single cases


@pytest.mark.parametrize("wire", WIRES)
@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", {}),
        ("  ", {}),
        ("null", {}),
        ('"{}"', {}),
        ('"{\\"a\\": 1}"', {"a": 1}),
        ('{"a": "x\ny"}', {"a": "x\ny"}),
        ('[{"a": 1}]', {"a": 1}),
        ('\ufeff{"a": 1}', {"a": 1}),
        ('```json\n{"a": 1}\n```', {"a": 1}),
        ('{"a": "\\ud83d\\ude00"}', {"a": "😀"}),
        ('{"a": "\\ud83d"}', {"a": "\ufffd"}),
        ('{"a": "\ud83d"}', {"a": "\ufffd"}),
        ('{"a": "b', {"invalid_arguments": '{"a": "b'}),
        ("I call f", {"invalid_arguments": "I call f"}),
        ("[1]", {"invalid_arguments": "[1]"}),
        ("7", {"invalid_arguments": "7"}),
        ('{"a": NaN}', {"invalid_arguments": '{"a": NaN}'}),
        ('{"a": 1e999}', {"invalid_arguments": '{"a": 1e999}'}),
        ('{"a": "1e999"}', {"a": "1e999"}),
        ("\ud83d", {"invalid_arguments": "\ufffd"}),
        ('{"a":' * 2000 + "1" + "}" * 2000, {"invalid_arguments": '{"a":' * 2000 + "1" + "}" * 2000}),
    ],
)
def test_arguments_are_one_json_object(wire: Wire, text: str, expected: dict[str, Any]) -> None:
    turns = (Turn("user", (Text("hi"),)), Turn("assistant", (ToolCall("c", "f", text),)))
    assert [arguments for _, _, arguments in calls(wire, sent(wire, ChatRequest("m", turns)))] == [expected]


@pytest.mark.parametrize("wire", ["chat_completions", "responses", "run"])
@pytest.mark.parametrize("text", ['{"b":1,"a":2}', ' {"a" : 1e5}\n', '{"a":"\\u00e9é"}', '{"a":1,"a":2}', "{}"])
def test_arguments_that_are_an_object_are_unchanged(wire: Wire, text: str) -> None:
    turns = (Turn("user", (Text("hi"),)), Turn("assistant", (ToolCall("c", "f", text),)))
    body = sent(wire, ChatRequest("m", turns))
    assert text in list(texts(body))


@pytest.mark.parametrize("wire", WIRES)
@pytest.mark.parametrize(
    "ids",
    [
        ["a", "b"],
        ["", ""],
        ["a", "a"],
        ["x" * 65, "x" * 66],
        ["é", "è"],
        ["a b", "a_b"],
        ["\ud800", "\ud801"],
        ["", "a"],
    ],
)
def test_ids_of_calls_and_results_match_and_differ_between_calls(wire: Wire, ids: list[str]) -> None:
    turns = (
        Turn("user", (Text("hi"),)),
        Turn("assistant", tuple(ToolCall(id_, "f", "{}") for id_ in ids)),
        Turn("tool", tuple(ToolResult(id_, (Text(str(at)),)) for at, id_ in enumerate(ids))),
    )
    body = sent(wire, ChatRequest("m", turns), OPENAI)
    sent_ids = [id_ for id_, _, _ in calls(wire, body)]
    assert list(answered(wire, body)) == sent_ids
    assert len(set(sent_ids)) == len(sent_ids)
    assert all(ID.fullmatch(id_) and len(id_) <= 40 for id_ in sent_ids)


@pytest.mark.parametrize("wire", WIRES)
@pytest.mark.parametrize("schema", [{"type": "string"}, {"type": ["string", "null"]}, {"properties": [1]}, "text", 7])
def test_a_schema_that_is_not_of_an_object_is_refused(wire: Wire, schema: Any) -> None:
    tool = FunctionTool("f", "", schema)
    with pytest.raises(ConfigError, match="'f'") as caught:
        sent(wire, ChatRequest("m", (Turn("user", (Text("hi"),)),), tools=(tool,)))
    assert caught.value.field == "tools"


def deep(levels: int) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": "string"}
    for _ in range(levels):
        schema = {"type": "object", "properties": {"p": schema}}
    return schema


HELLO = (Turn("user", (Text("hi"),)),)
BAD: dict[str, tuple[dict[str, Any], str]] = {
    "a deep tool": ({"tools": (FunctionTool("f", "", deep(400)),)}, "tools"),
    "a deep output": ({"output": OutputSchema(deep(400))}, "output|output_config|response_format|text"),
    "an object in a schema": ({"tools": (FunctionTool("f", "", {"properties": {"a": object()}}),)}, "tools"),
    "NaN": ({"extra_body": {"x": float("nan")}}, "x"),
    "an object": ({"extra_body": {"x": object()}}, "x"),
    "a NaN temperature": ({"temperature": float("nan")}, "temperature"),
}


@pytest.mark.parametrize("wire", WIRES)
@pytest.mark.parametrize("what", BAD)
def test_values_that_json_cannot_express_are_refused_by_argument(wire: Wire, what: str) -> None:
    fields, field = BAD[what]
    with pytest.raises(ConfigError) as caught:
        sent(wire, ChatRequest("m", HELLO, **fields))
    assert re.fullmatch(field, caught.value.field)
    assert caught.value.remedy
    assert len(str(caught.value)) < 600


@pytest.mark.parametrize("wire", WIRES)
def test_parts_of_a_tool_result_are_separated(wire: Wire) -> None:
    parts = (Text("one"), Text("two"))
    turns = (
        Turn("system", parts),
        Turn("user", parts),
        Turn("assistant", (*parts, ToolCall("c", "f", "{}"))),
        Turn("tool", (ToolResult("c", parts),)),
    )
    there = list(texts(sent(wire, ChatRequest("m", turns))))
    assert there.count("onetwo") <= 1  # what the model wrote, in its pieces
    assert sum("onetwo" in text for text in there) <= 1


@pytest.mark.parametrize("wire", WIRES)
def test_a_tool_choice_without_tools_is_not_sent(wire: Wire) -> None:
    body = sent(wire, ChatRequest("m", HELLO, tool_choice="auto", parallel_tool_calls=False))
    assert not {"tool_choice", "parallel_tool_calls"} & body.keys()
    tool = FunctionTool("f", "", {})
    assert sent(wire, ChatRequest("m", HELLO, tools=(tool,), tool_choice="auto"))["tool_choice"] in (
        "auto",
        {"type": "auto"},
    )


EXTRA: list[tuple[Wire, dict[str, Any], dict[str, Any], str, Any]] = [
    ("responses", {"store": False, "reasoning_effort": "low"}, {"include": ["x"]}, "include", {"x", "reasoning"}),
    ("responses", {"output": OutputSchema({"type": "object"})}, {"text": {"verbosity": "low"}}, "text", None),
    ("responses", {"reasoning_effort": "low"}, {"reasoning": {"summary": "auto"}}, "reasoning", None),
    ("messages", {"reasoning_effort": "low"}, {"output_config": {"x": 1}}, "output_config", None),
    ("chat_completions", {"tools": (FunctionTool("f", "", {}),)}, {"tools": [{"type": "x"}]}, "tools", None),
    ("chat_completions", {"stop": ("a",)}, {"stop": ["b", "a"]}, "stop", None),
    ("run", {"stop": ("a",)}, {"stop": ["b"]}, "stop", None),
]


@pytest.mark.parametrize(("wire", "fields", "extra", "key", "_"), EXTRA)
def test_extra_body_is_merged(wire: Wire, fields: dict[str, Any], extra: dict[str, Any], key: str, _: object) -> None:
    both = sent(wire, ChatRequest("m", HELLO, extra_body=extra, **fields))[key]
    ours = sent(wire, ChatRequest("m", HELLO, **fields))[key]
    for one in (ours, extra[key]):
        for each in one.items() if isinstance(one, dict) else one:
            assert each in (both.items() if isinstance(one, dict) else both)


@pytest.mark.parametrize("wire", WIRES)
def test_extra_body_that_contradicts_an_argument_is_refused(wire: Wire) -> None:
    key = "input" if wire == "responses" else "messages"
    with pytest.raises(ConfigError, match=key):
        sent(wire, ChatRequest("m", HELLO, extra_body={key: []}))
    if wire != "messages":
        extra = {"text": {"format": {"type": "text"}}} if wire == "responses" else {"response_format": {"type": "text"}}
        with pytest.raises(ConfigError, match="extra_body"):
            sent(wire, ChatRequest("m", HELLO, output=OutputSchema({"type": "object"}), extra_body=extra))


# Limits of single models


def test_closed_history() -> None:
    turns = (
        Turn("system", (Text("s"),), extras={"chat_completions": {"role": "developer", "x": 1}}),
        Turn("user", (Text("u"),), name="Ann", extras={"chat_completions": {"x": 1}}),
        Turn(
            "assistant",
            (
                Reasoning("hm", {"chat_completions": {"field": "reasoning_content"}}),
                Text("t"),
                Refusal("no"),
                ToolCall("c", "f", "{}", extras={"chat_completions": {"x": 1}}),
            ),
            name="bot",
            extras={"chat_completions": {"x": 1}},
        ),
        Turn("tool", (ToolResult("c", (Text("r"),), extras={"chat_completions": {"x": 1}}),), name="f"),
    )
    assert sent("chat_completions", ChatRequest("m", turns), GROK)["messages"] == [
        {"role": "system", "content": "s"},
        {"role": "user", "content": "u"},
        {
            "role": "assistant",
            "content": "tno",
            "name": "bot",
            "tool_calls": [{"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}],
        },
        {"role": "tool", "content": "r", "tool_call_id": "c"},
    ]


def test_a_thinking_budget_is_refused_where_thinking_is_adaptive() -> None:
    quirks = Quirks(adaptive_thinking=True)
    with pytest.raises(ConfigError, match="adaptive"):
        sent("messages", ChatRequest("m", HELLO, thinking={"type": "enabled", "budget_tokens": 2000}), quirks)
    body = sent("messages", ChatRequest("m", HELLO, thinking={"type": "adaptive"}, reasoning_effort="low"), quirks)
    assert (body["thinking"], body["output_config"]) == ({"type": "adaptive"}, {"effort": "low"})


def test_schema_with_type_and_properties_only() -> None:
    schema = {
        "type": "object",
        "title": "A",
        "required": ["b"],
        "properties": {"b": {"$ref": "#/$defs/B"}, "c": {"type": "array", "items": {"$ref": "#/$defs/B"}}},
        "$defs": {"B": {"type": "object", "properties": {"x": {"type": "string"}}}},
    }
    written = {"type": "object", "properties": {"x": {"type": "string"}}}
    tool = FunctionTool("f", "", {}, strict=True, extras={"chat_completions": {"x": 1}})
    body = sent("chat_completions", ChatRequest("m", HELLO, tools=(tool,), output=OutputSchema(schema)), MINIMAX)
    assert body["response_format"]["json_schema"]["schema"] == {
        "type": "object",
        "properties": {"b": written, "c": {"type": "array", "items": written}},
    }
    assert body["tools"][0]["function"] == {
        "name": "f",
        "description": "",
        "parameters": {"type": "object", "properties": {}},
    }
    with pytest.raises(ConfigError, match="without a schema"):
        sent("chat_completions", ChatRequest("m", HELLO, output=OutputSchema(None)), MINIMAX)
    anything = {"type": "object", "properties": {"b": {"$ref": "#/$defs/B"}}, "$defs": {"B": True}}
    body = sent("chat_completions", ChatRequest("m", HELLO, output=OutputSchema(anything)), MINIMAX)
    assert body["response_format"]["json_schema"]["schema"] == {"type": "object", "properties": {"b": True}}
    endless = {**schema, "$defs": {"B": {"type": "object", "properties": {"b": {"$ref": "#/$defs/B"}}}}}
    with pytest.raises(ConfigError, match="recursion"):
        sent("chat_completions", ChatRequest("m", HELLO, output=OutputSchema(endless)), MINIMAX)


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        ("@cf/zai-org/glm-5.2", ["One.\n\nTwo.", "hi", "Three.\n\nFour."]),
        ("@hf/nousresearch/hermes-2-pro-mistral-7b", ["One.\n\nTwo.", "hi", "Three.\n\nFour."]),
        ("openai/gpt-4.1", ["One.", "Two.", "hi", "Three.", "Four."]),
    ],
)
def test_adjacent_system_messages_are_merged_where_a_second_is_refused(model: str, expected: list[str]) -> None:
    one, two, three, four = (Turn("system", (Text(f"{n}."),)) for n in ("One", "Two", "Three", "Four"))
    request = ChatRequest(model, (one, two, *HELLO, three, four))
    body = sent("chat_completions", request, route(request, api="chat_completions").quirks)
    assert [m["content"] for m in body["messages"]] == expected


def test_unstored_items_have_no_ids() -> None:
    item = {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "gAAA"}
    turn = Turn("assistant", (Reasoning("", {"responses": {"item": item}}), Text("ok")))
    turns = (*HELLO, turn, *HELLO)
    kept = sent("responses", ChatRequest("m", turns))
    assert kept["input"][1]["id"] == "rs_1"
    assert "include" not in kept
    unstored = Turn("assistant", turn.parts, extras={"responses": {"stored": False}})
    for request in (
        ChatRequest("m", turns, store=False),
        ChatRequest("m", turns, extra_body={"store": False}),
        ChatRequest("m", turns, items_by_id=False),
        ChatRequest("m", (*HELLO, unstored, *HELLO)),
    ):
        body = sent("responses", request)
        assert body["input"][1] == {key: value for key, value in item.items() if key != "id"}
        assert body["include"] == ["reasoning.encrypted_content"]
