"""The conversation on the Responses wire: what users say, what tools answer, and the model's opaque item given back."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from cfaig_integrations.core.content import (
    Citation,
    Media,
    Opaque,
    Part,
    Reasoning,
    Refusal,
    Text,
    ToolCall,
    ToolResult,
    Turn,
)
from cfaig_integrations.errors import UnsupportedContent
from cfaig_integrations.wire.jsonio import dump
from tests.wire.harness import folded
from tests.wire.responses_forms import (
    CODEC,
    HELLO,
    OUTPUTS,
    PNG,
    assistant,
    body_of,
    call,
    custom,
    items_of,
    message,
    reasoning,
    response,
    stream,
    text_part,
    user,
)


@pytest.mark.parametrize(
    ("part", "form"),
    [
        (PNG, {"type": "input_image", "image_url": "data:image/png;base64,iVBORw0K"}),
        (Media("image", url="https://x/y.png"), {"type": "input_image", "image_url": "https://x/y.png"}),
        (Media("image", file_id="file-1"), {"type": "input_image", "file_id": "file-1"}),
        (
            Media("image", file_id="file-1", extras={"responses": {"detail": "high"}}),
            {"type": "input_image", "file_id": "file-1", "detail": "high"},
        ),
        (
            Media("file", data="JVBE", mime="application/pdf", name="a.pdf"),
            {"type": "input_file", "filename": "a.pdf", "file_data": "data:application/pdf;base64,JVBE"},
        ),
        (
            Media("file", data="JVBE", mime="application/pdf"),
            {"type": "input_file", "filename": "document.pdf", "file_data": "data:application/pdf;base64,JVBE"},
        ),
        (
            Media("file", data="JVBE", mime="application/pdf; x=1"),
            {"type": "input_file", "filename": "document.pdf", "file_data": "data:application/pdf; x=1;base64,JVBE"},
        ),
        (Media("file", url="https://x/y.pdf"), {"type": "input_file", "file_url": "https://x/y.pdf"}),
        (Media("file", file_id="file-1", name="a"), {"type": "input_file", "file_id": "file-1"}),
        (Text("hi"), {"type": "input_text", "text": "hi"}),
        (
            Text("hi", extras={"responses": {"prompt_cache_breakpoint": {"mode": "explicit"}}}),
            {"type": "input_text", "text": "hi", "prompt_cache_breakpoint": {"mode": "explicit"}},
        ),
        (Text("hi", extras={"messages": {"cache_control": {}}}), {"type": "input_text", "text": "hi"}),
        (
            Opaque("responses", {"type": "input_audio", "input_audio": {}}),
            {"type": "input_audio", "input_audio": {}},
        ),
    ],
)
def test_input_parts(part: Part, form: dict[str, Any]) -> None:
    content = [{"type": "input_text", "text": "look:"}, form]
    assert items_of(user(Text("look:"), part)) == [{"role": "user", "content": content}]
    result = Turn("tool", (ToolResult("c", (Text("look:"), part)),))  # type: ignore[arg-type]
    assert items_of(result) == [{"type": "function_call_output", "call_id": "c", "output": content}]


def test_system_turns_stay_in_place() -> None:
    developer = Turn("system", (Text("b"),), extras={"responses": {"role": "developer"}})
    assert items_of(Turn("system", (Text("a"),)), HELLO, developer) == [
        {"role": "system", "content": "a"},
        {"role": "user", "content": "hello"},
        {"role": "developer", "content": "b"},
    ]


def test_speaker_names_are_omitted() -> None:
    assert items_of(replace(HELLO, name="Ada")) == items_of(HELLO)
    assert items_of(Turn("assistant", (Text("a"),), name="planner")) == [{"role": "assistant", "content": "a"}]


def test_text_of_a_reply_in_a_user_turn() -> None:
    parts = CODEC.decode(dump(response(message(text_part("a"))))).turn.parts
    assert items_of(Turn("user", parts)) == [{"role": "user", "content": "a"}]


def test_an_opaque_item_is_not_part_of_a_message() -> None:
    approval = {"type": "mcp_approval_response", "approval_request_id": "r", "approve": True}
    assert items_of(user(Text("a"), Opaque("responses", approval), Text("b"))) == [
        {"role": "user", "content": "a"},
        approval,
        {"role": "user", "content": "b"},
    ]


# What tools answer


def results(*results: ToolResult) -> Turn:
    return Turn("tool", results)


def test_tool_results_are_items() -> None:
    calls = assistant(ToolCall("a", "f", "{}"), ToolCall("b", "g", "x", "custom"))
    answers = results(ToolResult("a", (Text("1"),), failed=True), ToolResult("b", (Text("2"),)), ToolResult("c", ()))
    assert items_of(HELLO, calls, answers)[3:] == [
        {"type": "function_call_output", "call_id": "a", "output": "1"},
        {"type": "custom_tool_call_output", "call_id": "b", "output": "2"},
        {"type": "function_call_output", "call_id": "c", "output": ""},
    ]


def test_result_of_a_programs_call_names_the_program() -> None:
    reply = CODEC.decode(dump(response(call(caller={"type": "program", "caller_id": "p"}))))
    answered = items_of(HELLO, reply.turn, results(ToolResult("call_1", (Text("1"),))))[-1]
    assert answered["caller"] == {"type": "program", "caller_id": "p"}


def test_extras_can_change_the_type_of_a_result() -> None:
    shot = {"type": "computer_screenshot", "image_url": "https://x/y.png"}
    extras = {"responses": {"type": "computer_call_output", "output": shot}}
    assert items_of(results(ToolResult("a", (), extras=extras))) == [
        {"type": "computer_call_output", "call_id": "a", "output": shot}
    ]


def test_results_in_a_user_turn_stay_in_order() -> None:
    kinds = [
        item.get("type", item.get("role"))
        for item in items_of(user(ToolResult("a", (Text("1"),)), Text("now"), ToolResult("b", ())))
    ]
    assert kinds == ["function_call_output", "user", "function_call_output"]


# Assistant turns


@pytest.mark.parametrize("what", OUTPUTS)
@pytest.mark.parametrize("streamed", [False, True])
def test_a_reply_is_sent_back_unchanged(what: str, streamed: bool) -> None:
    output = OUTPUTS[what]
    answer = response(*output)
    reply = folded(CODEC, stream(answer).encode()) if streamed else CODEC.decode(dump(answer))
    if what == "object arguments":
        output = [call('{"city":"Oslo"}')]  # the official types want text
    if what == "cut arguments":
        output = [call(json.dumps({"invalid_arguments": '{"city":"Os'}, separators=(",", ":")))]
    expected = output or [{"role": "assistant", "content": ""}]
    assert items_of(HELLO, reply.turn, HELLO)[1:-1] == expected


def test_parts_of_two_messages_are_not_merged() -> None:
    output = [message(text_part("a"), text_part("b")), message(text_part("c"), text_part("d"), id_="msg_2")]
    turn = CODEC.decode(dump(response(*output))).turn
    cut = replace(turn, parts=(turn.parts[0], turn.parts[3]))
    assert items_of(HELLO, cut)[1:] == [message(text_part("a")), message(text_part("d"), id_="msg_2")]


def test_parts_of_another_format_take_the_simplest_form() -> None:
    of_messages = {"messages": {"signature": "s"}}
    turn = assistant(
        Reasoning("hm", of_messages),
        Text("Hello, ", (Citation(url="https://x"),)),
        Text("world"),
        ToolCall("toolu_1", "f", '{"a":', extras=of_messages),
        Refusal("no"),
        ToolCall("x", "g", "text", "custom"),
    )
    assert items_of(turn) == [
        {"role": "assistant", "content": "Hello, world"},
        {"type": "function_call", "call_id": "toolu_1", "name": "f", "arguments": '{"invalid_arguments":"{\\"a\\":"}'},
        {"role": "assistant", "content": "no"},
        {"type": "custom_tool_call", "call_id": "x", "name": "g", "input": "text"},
    ]


def test_an_empty_text_with_calls_is_omitted() -> None:
    assert items_of(assistant(Text(""), ToolCall("a", "f", "{}"))) == [
        {"type": "function_call", "call_id": "a", "name": "f", "arguments": "{}"}
    ]


@pytest.mark.parametrize("role", ["user", "assistant"])
def test_server_tool_blocks_of_another_format_are_omitted_and_others_refused(role: Any) -> None:
    trace = Opaque("messages", {"type": "web_search_tool_result", "content": []})
    assert items_of(Turn(role, (trace, Text("a")))) == [{"role": role, "content": "a"}]
    with pytest.raises(UnsupportedContent, match="messages"):
        items_of(Turn(role, (Opaque("messages", {"type": "container_upload"}), Text("a"))))


def test_unstored_items_have_no_ids_and_only_encrypted_reasoning() -> None:
    approval = {"type": "mcp_approval_request", "id": "mcpr_1", "name": "f", "arguments": "{}", "server_label": "d"}
    hidden = reasoning("b", id_="rs_2", encrypted_content="gAAA")
    search = {"type": "web_search_call", "id": "ws_1", "status": "completed"}
    output = [reasoning("a"), hidden, search, message(text_part("a")), call(), custom(), approval]
    turn = CODEC.decode(dump(response(*output))).turn
    body = body_of(HELLO, turn, store=False)
    bare = [{key: value for key, value in item.items() if key != "id"} for item in output]
    assert body["input"][1:] == [*bare[1:6], approval]
    assert body["include"] == ["reasoning.encrypted_content"]
    assert body_of(HELLO, turn, store=True)["input"][1:] == output
    assert body_of(HELLO, turn)["input"][1:] == output


@pytest.mark.parametrize("store", [True, False])
@pytest.mark.parametrize(
    ("turns", "sent"),
    [
        (["reasoning", "user"], ["user"]),
        (["reasoning"], []),
        (["opaque item", "user"], ["user"]),
        (["call", "reasoning", "result", "user"], ["call", "result", "user"]),
        (["reasoning", "reasoning", "user"], ["user"]),
        (["reasoning", "call", "result"], ["reasoning", "call", "result"]),
        (["reasoning", "reasoning", "message", "user"], ["reasoning", "reasoning", "message", "user"]),
        (["reasoning", "plain", "reasoning", "system"], ["reasoning", "plain", "system"]),
    ],
)
def test_reasoning_is_sent_back_only_with_its_following_item(turns: list[str], sent: list[str], store: bool) -> None:
    made = {
        "reasoning": CODEC.decode(dump(response(reasoning("a", encrypted_content="gAAA")))).turn,
        "opaque item": assistant(Opaque("responses", reasoning("a"))),
        "call": CODEC.decode(dump(response(call()))).turn,
        "message": CODEC.decode(dump(response(message(text_part("a"))))).turn,
        "plain": assistant(Text("a")),
        "result": Turn("tool", (ToolResult("call_1", (Text("4"),)),)),
        "user": HELLO,
        "system": Turn("system", (Text("s"),)),
    }
    kinds = {"function_call": "call", "function_call_output": "result", "assistant": "plain"}
    items = items_of(*(made[turn] for turn in turns), store=store)
    found = [kind if (kind := item.get("type")) else item["role"] for item in items]
    assert [kinds.get(kind, kind) for kind in found] == sent


def test_encoding_does_not_change_the_reply() -> None:
    answer = response(message(text_part("a"), text_part("b")), call(), OUTPUTS["unknown item"][0])
    turn, again = CODEC.decode(dump(answer)).turn, CODEC.decode(dump(answer)).turn
    for item in items_of(HELLO, turn, store=False):
        item["content"] = "changed"
        item["type"] = "changed"
    assert turn == again
