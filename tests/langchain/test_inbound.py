"""Messages as programs and other packages write them, and what each wire is sent."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any, Literal, cast

import pytest
from langchain_core.messages import AIMessage, BaseMessage, ChatMessage, HumanMessage, SystemMessage, ToolMessage

from cfaig_integrations.core.chat import Continuation
from cfaig_integrations.core.content import Citation, Media, Opaque, Reasoning, Text, ToolCall, Turn
from cfaig_integrations.core.replay import replay_state, restore
from cfaig_integrations.errors import ConfigError, GatewayError, UnsupportedContent
from cfaig_integrations.langchain.inbound import continuation_of, to_turn, to_turns
from cfaig_integrations.simulator import Simulator
from tests.langchain.conftest import Make

CALL = {"name": "w", "args": {"c": 1}, "id": "call_1", "type": "tool_call"}


def of_provider(provider: str, content: list[Any], **arguments: Any) -> AIMessage:
    return AIMessage(content, response_metadata={"model_provider": provider}, **arguments)


def test_calls_without_ids_are_all_kept() -> None:
    message = AIMessage("", tool_calls=[{**CALL, "id": None}, {**CALL, "name": "v", "id": None}])  # type: ignore[list-item]
    assert [call.name for call in to_turn(message).tool_calls] == ["w", "v"]


@pytest.mark.parametrize(
    "block",
    [
        {"type": "tool_use", "id": "call_1", "name": "w", "input": {"c": 1}},
        {"type": "tool_call", "id": "call_1", "name": "w", "args": {"c": 1}},
        {"type": "function_call", "id": "fc_1", "call_id": "call_1", "name": "w", "arguments": '{"c":1}'},
    ],
    ids=lambda block: block["type"],
)
def test_calls_in_content_blocks_alone_are_sent(block: dict[str, Any]) -> None:
    turn = to_turn(AIMessage([{"type": "text", "text": "a"}, block]))
    assert turn.parts == (Text("a"), ToolCall("call_1", "w", '{"c":1}'))


def test_calls_that_a_program_removed_are_not_sent() -> None:
    block = {"type": "tool_call", "id": "call_1", "name": "w", "args": {}}
    turn = to_turn(of_provider("cloudflare_ai_gateway", [{"type": "text", "text": "a"}, block]))
    assert turn.parts == (Text("a"),)
    some = AIMessage([block, {**block, "id": "call_2"}], tool_calls=[{**CALL, "id": "call_2"}])  # type: ignore[list-item]
    assert [call.id for call in to_turn(some).tool_calls] == ["call_2"]


def test_calls_of_one_tool_keep_the_order_of_their_blocks() -> None:
    blocks = [{"type": "tool_call", "id": name, "name": "w", "args": {}} for name in ("call_2", "call_1")]
    turn = to_turn(AIMessage(blocks, tool_calls=[CALL, {**CALL, "id": "call_2", "args": {"c": 2}}]))  # type: ignore[list-item]
    assert turn.parts == (ToolCall("call_2", "w", '{"c":2}'), ToolCall("call_1", "w", '{"c":1}'))


@pytest.mark.parametrize("provider", ["openai", "anthropic", "google_genai"])
def test_standard_blocks_of_server_tools_are_left_out(provider: str) -> None:
    blocks = [
        {"type": "server_tool_call", "name": "web_search", "args": {}, "id": "ws_1"},
        {"type": "server_tool_result", "tool_call_id": "ws_1", "status": "success"},
        {"type": "text", "text": "a"},
    ]
    assert to_turn(of_provider(provider, blocks)).parts == (Text("a"),)


@pytest.mark.parametrize(("provider", "wire"), [("openai", "responses"), ("anthropic", "messages")])
def test_a_native_block_is_sent_back_to_its_provider(provider: str, wire: str) -> None:
    raw = {"type": "redacted_thinking", "data": "x"}
    wrapped = {"type": "non_standard", "value": raw}
    for block in (raw, wrapped):
        assert to_turn(of_provider(provider, [block])).parts == (Opaque(wire, raw),)  # type: ignore[arg-type]
    with pytest.raises(UnsupportedContent):
        to_turn(AIMessage([wrapped]))


ITEM = {
    "type": "reasoning",
    "id": "rs_1",
    "summary": [{"type": "summary_text", "text": "hm"}],
    "encrypted_content": "E",
}


@pytest.mark.parametrize(
    "block",
    [ITEM, {"type": "reasoning", "reasoning": "hm", "id": "rs_1", "extras": {"encrypted_content": "E"}}],
    ids=["item", "standard"],
)
def test_encrypted_reasoning_of_another_package_goes_back(
    make: Make, simulator: Simulator, block: dict[str, Any]
) -> None:
    result = of_provider("openai", [block, {"type": "text", "text": "a"}])
    make(api="responses").invoke([HumanMessage("q"), result, HumanMessage("and?")], store=True)
    assert simulator.requests[-1].body["input"][1] == ITEM


def test_anthropic_citations_go_back() -> None:
    raw = {"type": "char_location", "cited_text": "c", "document_title": "t", "document_index": 0}
    turn = to_turn(of_provider("anthropic", [{"type": "text", "text": "a", "citations": [raw]}]))
    assert turn.parts == (Text("a", (Citation(title="t", quoted="c", raw=raw),)),)


@pytest.mark.parametrize("api", ["chat_completions", "responses", "messages"])
@pytest.mark.parametrize(
    "message",
    [ChatMessage("x", role="developer"), SystemMessage("x", additional_kwargs={"__openai_role__": "developer"})],
    ids=["chat", "system"],
)
def test_the_developer_role_is_sent_where_the_format_has_it(
    make: Make, simulator: Simulator, api: str, message: BaseMessage
) -> None:
    make(api=api).invoke([message, HumanMessage("q")])
    body = simulator.requests[-1].body
    if api == "messages":
        assert body["system"] == "x"
    else:
        assert (body.get("messages") or body["input"])[0] == {"role": "developer", "content": "x"}


@pytest.mark.parametrize(
    "block",
    [
        {"type": "image_url"},
        {"type": "image_url", "image_url": None},
        {"type": "input_audio"},
        {"type": "tool_result"},
        {"type": "document", "source": "x"},
        {"type": "image", "source": {"type": "base64", "media_type": "image/png"}},
        {"type": "image", "base64": b"aGk=", "mime_type": "image/png"},
        {"type": "image", "mime_type": "image/png"},
        {"type": "file", "file": {"filename": "x"}},
        {"type": "input_file"},
    ],
    ids=str,
)
def test_malformed_blocks_raise_an_error_with_their_type(block: dict[str, Any]) -> None:
    with pytest.raises(UnsupportedContent) as caught:
        to_turn(HumanMessage([block]))
    assert caught.value.field
    assert caught.value.remedy


@pytest.mark.parametrize(
    "data",
    ["data:application/pdf;base64,JVBERi0=", "data:application/pdf;name=a%20b.pdf;base64,JVBERi0=", "JVBERi0="],
)
def test_file_data_may_be_a_data_url_or_base64(data: str) -> None:
    turn = to_turn(HumanMessage([{"type": "file", "file": {"file_data": data, "filename": "a.pdf"}}]))
    assert turn.parts == (Media("file", data="JVBERi0=", mime="application/pdf", name="a.pdf"),)


@pytest.mark.parametrize("head", ["", ";charset=utf-8", ";name=a.txt"])
def test_a_data_url_without_a_media_type_has_that_of_its_block(head: str) -> None:
    block = {"type": "file", "url": f"data:{head};base64,SGk=", "mime_type": "text/plain"}
    assert to_turn(HumanMessage([block])).parts == (Media("file", data="SGk=", mime="text/plain"),)


@pytest.mark.parametrize("kind", ["file", "text-plain"])
def test_document_fields_reach_anthropic(make: Make, simulator: Simulator, kind: str) -> None:
    marks = {"citations": {"enabled": True}, "context": "from 2020", "cache_control": {"type": "ephemeral"}}
    content: dict[str, Any] = {"base64": "JVBERi0=", "mime_type": "application/pdf"}
    if kind == "text-plain":
        content = {"text": "hi", "mime_type": "text/plain"}
    make(api="messages").invoke([HumanMessage([{"type": kind, **content, "extras": marks}])])
    document = simulator.requests[-1].body["messages"][0]["content"][0]
    assert {key: document[key] for key in marks} == marks


def test_calls_with_broken_arguments_keep_their_place(make: Make, simulator: Simulator) -> None:
    """LangChain keeps them in a list of their own."""
    items = [
        {"type": "function_call", "id": f"fc_{n}", "call_id": f"call_{n}", "name": "w", "arguments": arguments}
        for n, arguments in enumerate(['{"c":', '{"c": 2}'])
    ]
    reply = {"id": "resp_1", "object": "response", "model": "m", "status": "completed", "output": items}
    simulator.reply_raw(body=json.dumps(reply))
    model = make(api="responses")
    result = model.invoke("q")
    assert (len(result.tool_calls), len(result.invalid_tool_calls)) == (1, 1)
    results = [ToolMessage("r", tool_call_id=f"call_{n}") for n in range(2)]
    model.invoke([HumanMessage("q"), result, *results], store=True)
    items[0]["arguments"] = json.dumps({"invalid_arguments": '{"c":'}, separators=(",", ":"))
    assert simulator.requests[-1].body["input"][1:3] == items


def test_a_replaced_call_keeps_nothing_of_the_original() -> None:
    result = Turn("assistant", (ToolCall("call_1", "w", "{}", extras={"responses": {"item": {"id": "fc_1"}}}),))
    edited = Turn("assistant", (ToolCall("call_9", "w", "{}"),))
    assert restore(edited, replay_state(result)) is edited
    assert restore(Turn("assistant", (ToolCall("call_1", "w", "{}"),)), replay_state(result)) == result


def test_merged_messages_are_sent_in_their_own_order() -> None:
    opaque = Opaque("messages", {"type": "redacted_thinking", "data": "x"})
    state = replay_state(Turn("assistant", (Text("one"), opaque))) or {}
    both = {"parts": [*state["parts"], *state["parts"]]}
    shown = Turn("assistant", (Text("one"), Text("one")))
    assert restore(shown, both) is shown


def test_a_tool_result_of_a_user_is_a_tool_turn() -> None:
    result = {"type": "tool_result", "tool_use_id": "call_1", "content": "r", "is_error": True}
    turns = to_turns([HumanMessage([result, {"type": "text", "text": "and?"}])])
    assert [turn.role for turn in turns] == ["tool", "user"]


def test_reasoning_of_another_package_keeps_its_signature() -> None:
    for block in (
        {"type": "thinking", "thinking": "hm", "signature": "S"},
        {"type": "reasoning", "reasoning": "hm", "extras": {"signature": "S"}},
    ):
        part = to_turn(of_provider("anthropic", [cast("Any", block)])).parts[0]
        assert part == Reasoning("hm", {"messages": {"signature": "S"}})


FOUND = {
    "type": "search_result",
    "title": "Tea",
    "source": "https://x/t",
    "content": [{"type": "text", "text": "Hot."}],
}
CITED = {**FOUND, "citations": {"enabled": True}}


@pytest.mark.parametrize("message", ["human", "tool"])
def test_search_results_are_blocks_for_anthropic_and_text_for_others(
    make: Make, simulator: Simulator, message: str
) -> None:
    marked = {**CITED, "cache_control": {"type": "ephemeral"}}
    content: list[Any] = [marked, FOUND]
    prompt: list[BaseMessage] = [HumanMessage([*content, {"type": "text", "text": "Which?"}])]
    if message == "tool":
        prompt = [HumanMessage("Which?"), AIMessage("", tool_calls=[CALL]), ToolMessage(content, tool_call_id="call_1")]  # type: ignore[list-item]
    make(api="messages").invoke(prompt)
    [*_, last] = simulator.requests[-1].body["messages"]
    blocks = last["content"] if message == "human" else last["content"][0]["content"]
    assert blocks[0] == marked
    assert blocks[1] == {**FOUND, "citations": {"enabled": False}}
    for api in ("chat_completions", "responses", "run"):
        make(api=api).invoke(prompt)
        sent = json.dumps(simulator.requests[-1].body)
        assert sent.count("https://x/t") == sent.count("Hot.") == 2


@pytest.mark.parametrize("lacking", ["title", "source", "content"])
def test_an_incomplete_search_result_raises(lacking: str) -> None:
    with pytest.raises(UnsupportedContent, match="search_result"):
        to_turns([HumanMessage([{key: value for key, value in FOUND.items() if key != lacking}])])


OUTPUTS: dict[str, tuple[dict[str, Any], Any]] = {
    "apply_patch_call_output": ({"call_id": "c", "status": "completed", "output": "done"}, "done"),
    "computer_call_output": (
        {"call_id": "c", "output": {"type": "input_image", "image_url": "data:image/png;base64,QUJD"}},
        [{"type": "input_image", "image_url": "data:image/png;base64,QUJD"}],
    ),
    "local_shell_call_output": ({"id": "c", "output": "a"}, "a"),
    "mcp_approval_response": ({"approval_request_id": "c", "approve": True}, "yes"),
}


@pytest.mark.parametrize("kind", OUTPUTS)
def test_outputs_of_openais_built_in_tools_are_sent_as_items(kind: str) -> None:
    facts, content = OUTPUTS[kind]
    item = {"type": kind, **facts}
    for message in (
        HumanMessage([item]),
        HumanMessage([{"type": "non_standard", "value": item}]),
        HumanMessage([{"type": "non_standard", "value": {"wire": "responses", "raw": item}}]),
        ToolMessage(content, tool_call_id="c", additional_kwargs={"type": kind}),
    ):
        assert to_turn(message) == Turn("user", (Opaque("responses", item),))


@pytest.mark.parametrize(
    ("result", "status"),
    [("no", "success"), ("", "success"), ("I would rather not", "success"), ("nope", "success"), ("yes", "error")],
)
def test_only_explicit_approvals_approve(result: str, status: Literal["success", "error"]) -> None:
    extra = {"type": "mcp_approval_response"}
    (part,) = to_turn(ToolMessage(result, tool_call_id="c", additional_kwargs=extra, status=status)).parts
    assert isinstance(part, Opaque)
    assert part.raw["approve"] is False


@pytest.mark.parametrize("value", [{1, 2}, object(), b"x"])
def test_arguments_that_are_not_json_raise(value: Any) -> None:
    call = {"name": "f", "args": {"a": value}, "id": "1", "type": "tool_call"}
    with pytest.raises(ConfigError, match="arguments of a tool call are not JSON"):
        to_turn(AIMessage("", tool_calls=[cast("Any", call)]))


def nested(depth: int) -> Any:
    value: Any = 5
    for _ in range(depth):
        value = [value]
    return value


ODD_BLOCKS: list[dict[str, Any]] = [
    {"type": {"a": 1}},
    {"type": None},
    {},
    {"type": "text", "text": 5},
    {"type": "text", "text": "a", "annotations": 5},
    {"type": "text", "text": "a", "annotations": [5]},
    {"type": "text", "text": "a", "citations": {"a": 1}},
    {"type": "image", "url": 5},
    {"type": "image", "id": 5},
    {"type": "image", "source": {"type": [1]}},
    {"type": "image_url", "image_url": 5},
    {"type": "reasoning", "summary": 5},
    {"type": "reasoning", "reasoning": "a", "extras": 5},
    {"type": "thinking", "thinking": 5},
    {"type": "tool_use", "input": nested(3000), "id": "1", "name": "f"},
    {"type": "non_standard", "value": 5},
    {"type": "non_standard", "value": {"type": {"a": 1}}},
    {"type": "tool_result", "tool_use_id": 5, "content": 5},
    {"type": "search_result", "content": 5},
]


@pytest.mark.parametrize("place", range(len(ODD_BLOCKS)))
@pytest.mark.parametrize("provider", [None, 5, "openai", "anthropic", "cloudflare_ai_gateway"])
def test_any_block_is_converted_or_raises(place: int, provider: Any) -> None:
    content: list[Any] = [ODD_BLOCKS[place]]
    for message in (of_provider(provider, content), HumanMessage(content), ToolMessage(content, tool_call_id="1")):
        with suppress(GatewayError):
            to_turns([message])


@pytest.mark.parametrize(
    "extra",
    [
        {"reasoning_content": 5},
        {"reasoning": {"summary": [5]}},
        {"tool_outputs": 5},
        {"tool_outputs": [5]},
        {"audio": {"id": "x", "data": 5}},
        {"function_call": 5},
        {"refusal": 5},
        {"type": 5},
        {"cf_aig_turn": {"version": 2, "parts": [5], "digest": 5}},
    ],
)
def test_malformed_additional_kwargs_are_ignored(extra: dict[str, Any]) -> None:
    (turn,) = to_turns([AIMessage("x", additional_kwargs=extra)])
    assert turn.text == "x"
    assert to_turns([ToolMessage("x", tool_call_id="1", additional_kwargs=extra)])[0].role == "tool"


@pytest.mark.parametrize(
    "reported", [5, {}, [1], {"wire": 5}, {"wire": "x", "requested_model": "m", "history": {"a": 1}}]
)
def test_malformed_gateway_metadata_continues_nothing(reported: Any) -> None:
    message = AIMessage("x", response_metadata={"gateway": reported, "id": {"a": 1}})
    assert continuation_of("m", [message], to_turns([message])) == Continuation()
