"""Messages as programs, agents and other packages write them, and what each wire is sent."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from llama_index.core.base.llms.types import (
    ChatMessage,
    DocumentBlock,
    ImageBlock,
    MessageRole,
    TextBlock,
    ThinkingBlock,
    ToolCallBlock,
)
from pydantic import BaseModel

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
    Wire,
)
from cfaig_integrations.errors import ConfigError, UnsupportedContent
from cfaig_integrations.llama_index.inbound import to_turns
from cfaig_integrations.llama_index.outbound import to_message
from cfaig_integrations.simulator import Simulator
from tests.langchain.media import PDF, png
from tests.llama_index.kit import (
    CALL,
    EPHEMERAL,
    MARKED,
    message,
    model,
    parts_of,
    point,
    restored_from_json,
    sent,
    tool,
    turn_of,
    user,
)

# Roles


@pytest.mark.parametrize(
    ("role", "expected"),
    [
        ("system", "system"),
        ("developer", "system"),
        ("user", "user"),
        ("assistant", "assistant"),
        ("chatbot", "assistant"),
        ("model", "assistant"),
    ],
)
def test_every_role_becomes_a_turn(role: str, expected: str) -> None:
    turn = turn_of(message(role, "hi"))
    assert (turn.role, turn.parts) == (expected, (Text("hi"),))


def test_a_role_may_be_a_string() -> None:
    changed = user("hi")
    changed.role = "assistant"  # type: ignore[assignment]
    assert turn_of(changed) == Turn("assistant", (Text("hi"),))
    changed.role = "narrator"  # type: ignore[assignment]
    with pytest.raises(ConfigError, match="narrator") as raised:
        turn_of(changed)
    assert raised.value.field == "role"
    assert "chatbot" in raised.value.remedy


@pytest.mark.parametrize("blocks", [("Be brief.",), ("Be ", "brief.")], ids=["plain", "in pieces"])
def test_a_developer_message_keeps_its_role_where_the_wire_has_it(
    simulator: Simulator, blocks: tuple[str, ...]
) -> None:
    messages = message("developer", *blocks), user("hi")
    assert sent(simulator, "chat_completions", *messages)["messages"][0]["role"] == "developer"
    assert sent(simulator, "responses", *messages)["input"][0]["role"] == "developer"
    assert sent(simulator, "messages", *messages)["system"]


# Text


def test_empty_texts_are_left_out() -> None:
    assert parts_of("", "a", "", " ") == (Text("a"), Text(" "))
    assert parts_of("") == ()
    assert turn_of(model("")) == Turn("assistant", ())


def test_a_message_without_blocks_has_no_parts() -> None:
    assert to_turns([ChatMessage(role=MessageRole.USER), ChatMessage(role=MessageRole.ASSISTANT)]) == (
        Turn("user", ()),
        Turn("assistant", ()),
    )


def test_a_refusal_becomes_a_refusal_part() -> None:
    assert turn_of(model("I am here.", "No.", refusal="No.")).parts == (Text("I am here."), Refusal("No."))
    assert turn_of(model("No.", "No.", refusal="No.")).parts == (Text("No."), Refusal("No."))
    assert turn_of(model(refusal="No.")).parts == (Refusal("No."),)


def test_a_refusal_that_the_user_replaced_is_not_sent() -> None:
    assert turn_of(model("Yes.", refusal="No.")).parts == (Text("Yes."),)


# Cache points


def test_a_cache_point_marks_the_block_before_it(simulator: Simulator) -> None:
    requested = user("long", point("1h"), ImageBlock(url="https://a.example/i.png"), point(), "short")
    assert [part.extras for part in turn_of(requested).parts if isinstance(part, Text | Media)] == [
        {"messages": {"cache_control": {"type": "ephemeral", "ttl": "1h"}}},
        MARKED,
        {},
    ]
    content = sent(simulator, "messages", requested)["messages"][0]["content"]
    assert [block.get("cache_control", {}).get("ttl") for block in content] == ["1h", "5m", None]


@pytest.mark.parametrize("api", ["chat_completions", "responses"])
def test_a_cache_point_is_ignored_by_other_wires(simulator: Simulator, api: Wire) -> None:
    with_points = sent(simulator, api, user("long", point()), model("ok", point()), user("so?", point()))
    assert with_points == sent(simulator, api, user("long"), model("ok"), user("so?"))
    assert sent(simulator, api, message("system", "rules", point()), user("so?"))


def test_a_cache_point_marks_calls_and_results(simulator: Simulator) -> None:
    requested = user("go"), model(CALL, point()), tool("sunny", "warm", point()), user("so?")
    result = turn_of(requested[2]).parts
    assert result == (ToolResult("call_1", (Text("sunny"), Text("warm")), extras=MARKED),)
    _, called, answered = sent(simulator, "messages", *requested)["messages"]
    assert called["content"][0]["cache_control"] == EPHEMERAL
    assert [block.get("cache_control") for block in answered["content"]] == [EPHEMERAL, None]


def test_reasoning_is_never_marked() -> None:
    thought = ThinkingBlock(content="hm", additional_information={"signature": "S"})
    marked = turn_of(model("a", thought, point()))
    assert marked.parts == (Text("a", extras=MARKED), Reasoning("hm", {"messages": {"signature": "S"}}))
    redacted = {"type": "redacted_thinking", "data": "x"}
    marked = turn_of(model("a", ThinkingBlock(additional_information=redacted), point()))
    assert marked.parts == (Text("a", extras=MARKED), Opaque("messages", redacted))


@pytest.mark.parametrize(
    "original", [user(point(), "a"), model(ThinkingBlock(content="hm"), point())], ids=["first", "hm"]
)
def test_a_cache_point_without_a_block_before_it_is_refused(original: ChatMessage) -> None:
    with pytest.raises(ConfigError, match="before it") as raised:
        turn_of(original)
    assert "same message" in raised.value.remedy


def test_cache_control_of_a_message_marks_its_last_block() -> None:
    mark = {"type": "ephemeral"}
    expected = {"messages": {"cache_control": mark}}
    assert parts_of("a", "b", cache_control=mark) == (Text("a"), Text("b", extras=expected))
    assert turn_of(tool("a", cache_control=mark)).parts == (ToolResult("call_1", (Text("a"),), extras=expected),)


def test_a_cache_point_on_a_reply_survives_its_replay_state() -> None:
    answer = Turn("assistant", (Text("a", (Citation(url="https://a.example"),)), Text("b")))
    original = to_message(answer)
    original.blocks.append(point())
    assert turn_of(original).parts == (answer.parts[0], Text("b", extras=MARKED))


# Thoughts


@pytest.mark.parametrize(
    ("entries", "extras"),
    [
        ({}, {}),
        ({"signature": "S"}, {"messages": {"signature": "S"}}),
        ({"type": "thinking", "signature": "S"}, {"messages": {"signature": "S"}}),
        ({"signature": ""}, {}),
        ({"id": "rs_1", "type": "reasoning", "encrypted_content": None, "status": None}, {}),
        (
            {"id": "rs_1", "type": "reasoning", "encrypted_content": "E", "status": None},
            {
                "responses": {
                    "item": {
                        "type": "reasoning",
                        "id": "rs_1",
                        "summary": [{"type": "summary_text", "text": "hm"}],
                        "encrypted_content": "E",
                    }
                }
            },
        ),
    ],
    ids=lambda value: json.dumps(value)[:50],
)
def test_reasoning_of_another_package_goes_back_to_its_provider(
    entries: dict[str, Any], extras: dict[str, Any]
) -> None:
    thought = ThinkingBlock(content="hm", additional_information=entries)
    assert turn_of(model(thought, "a")).parts == (Reasoning("hm", extras), Text("a"))


def test_encrypted_reasoning_reaches_its_wire(simulator: Simulator) -> None:
    thought = ThinkingBlock(additional_information={"id": "rs_1", "encrypted_content": "E"})
    item = sent(simulator, "responses", user("a"), model(thought, "b"), user("c"))["input"][1]
    assert (item["type"], item["encrypted_content"], item["summary"]) == ("reasoning", "E", [])


def test_redacted_thinking_goes_back_unchanged() -> None:
    raw = {"type": "redacted_thinking", "data": "x"}
    assert turn_of(model(ThinkingBlock(additional_information=raw))).parts == (Opaque("messages", raw),)


def test_empty_reasoning_is_left_out() -> None:
    assert turn_of(model(ThinkingBlock(num_tokens=3), "a")).parts == (Text("a"),)


# Tool calls and results


def test_arguments_as_text_are_sent_unchanged() -> None:
    broken = ToolCallBlock(tool_call_id="b", tool_name="w", tool_kwargs='{"c": ')
    spaced = ToolCallBlock(tool_name="w", tool_kwargs='{"c" : 1}')
    assert turn_of(model(CALL, broken, spaced)).parts == (
        ToolCall("call_1", "w", '{"c":1}'),
        ToolCall("b", "w", '{"c": '),
        ToolCall("", "w", '{"c" : 1}'),
    )


def test_arguments_that_are_not_json_are_refused() -> None:
    with pytest.raises(ConfigError, match="not JSON") as raised:
        turn_of(model(ToolCallBlock(tool_name="w", tool_kwargs={"c": object()})))
    assert raised.value.field == "tool_kwargs"


class Function(BaseModel):
    name: str = "w"
    arguments: str = '{"c":1}'


class OpenAICall(BaseModel):
    id: str = "call_1"
    type: str = "function"
    function: Function = Function()


@pytest.mark.parametrize(
    "call",
    [
        OpenAICall(),
        OpenAICall().model_dump(),
        {"id": "call_1", "type": "function", "function": Function()},
        {"id": "call_1", "function": {"name": "w", "arguments": {"c": 1}}},
        {"type": "function_call", "id": "fc_1", "call_id": "call_1", "name": "w", "arguments": '{"c":1}'},
        {"id": "call_1", "name": "w", "input": {"c": 1}},
    ],
    ids=str,
)
def test_calls_in_additional_kwargs_are_read(call: Any) -> None:
    original = model("a", tool_calls=[call])
    for each in (original, restored_from_json(original)):
        assert turn_of(each).parts == (Text("a"), ToolCall("call_1", "w", '{"c":1}'))


def test_a_call_in_blocks_and_kwargs_is_sent_once() -> None:
    assert turn_of(model(CALL, tool_calls=[OpenAICall()])).tool_calls == (ToolCall("call_1", "w", '{"c":1}'),)


def test_a_custom_call_keeps_its_kind() -> None:
    call = {"id": "c", "type": "custom", "custom": {"name": "sh", "input": "ls"}}
    assert turn_of(model(tool_calls=[call])).parts == (ToolCall("c", "sh", "ls", kind="custom"),)


@pytest.mark.parametrize("call", ["w", {"id": "call_1"}, {"function": None}], ids=str)
def test_an_invalid_call_is_refused(call: Any) -> None:
    with pytest.raises(UnsupportedContent, match="additional_kwargs"):
        turn_of(model("a", tool_calls=[call]))


def test_a_function_message_answers_by_name(simulator: Simulator) -> None:
    requested = (
        user("go"),
        model("", function_call={"name": "w", "arguments": "{}"}),
        message("function", "sunny", name="w"),
    )
    assert to_turns(requested)[1:] == (
        Turn("assistant", (ToolCall("w", "w", "{}"),)),
        Turn("tool", (ToolResult("w", (Text("sunny"),)),)),
    )
    assert sent(simulator, "messages", *requested)
    assert turn_of(message("function", "sunny", name="w", tool_call_id="c")).parts[0] == ToolResult(
        "c", (Text("sunny"),)
    )


def test_a_result_holds_every_block_of_the_tool() -> None:
    assert turn_of(tool("a", ImageBlock(url="https://a.example/i.png"))).parts == (
        ToolResult("call_1", (Text("a"), Media("image", url="https://a.example/i.png", mime="image/png"))),
    )
    assert turn_of(tool()).parts == (ToolResult("call_1", ()),)
    assert turn_of(message("tool", "a", call_id="c")).parts == (ToolResult("c", (Text("a"),)),)


def test_a_result_without_a_call_id_is_refused() -> None:
    with pytest.raises(ConfigError, match="does not name the call") as raised:
        turn_of(message("tool", "a"))
    assert raised.value.field == "tool_call_id"


def test_a_call_in_a_result_is_refused() -> None:
    with pytest.raises(UnsupportedContent, match="ToolCall"):
        turn_of(tool(CALL))


def test_a_call_id_in_an_assistant_message_is_ignored(simulator: Simulator) -> None:
    # What an agent remembers of a tool with return_direct.
    requested = user("go"), model(CALL), tool("sunny"), model("sunny", tool_call_id="call_1"), user("thanks")
    body = sent(simulator, "chat_completions", *requested)
    assert body["messages"][3] == {"role": "assistant", "content": "sunny"}


def test_an_unknown_block_is_refused() -> None:
    original = user("a")
    original.blocks.append({"type": "text", "text": "b"})  # type: ignore[arg-type]
    with pytest.raises(UnsupportedContent, match="dict"):
        turn_of(original)


def test_a_subclass_of_a_text_block_is_text() -> None:
    class Quote(TextBlock):
        pass

    original = user("a")
    original.blocks.append(Quote(text="b"))
    assert turn_of(original).parts == (Text("a"), Text("b"))


# Whatever the conversation

texts = st.text(max_size=30)
calls = st.builds(
    ToolCallBlock,
    tool_call_id=st.text("abc_1", min_size=1, max_size=6),
    tool_name=st.sampled_from(["w", "v"]),
    tool_kwargs=st.one_of(st.dictionaries(texts, st.one_of(texts, st.integers(), st.booleans(), st.none())), texts),
)
blocks = st.one_of(st.builds(TextBlock, text=texts), st.builds(ThinkingBlock, content=texts))
spoken = st.builds(message, st.sampled_from(["system", "developer", "user", "model"]), st.builds(TextBlock, text=texts))
answers = st.tuples(st.lists(blocks, max_size=3), st.lists(calls, max_size=3)).map(
    lambda both: model(*both[0], *both[1])
)
results = st.tuples(texts, st.text("abc_1", max_size=6)).map(lambda both: tool(both[0], tool_call_id=both[1]))
conversations = st.lists(st.one_of(spoken, answers, results), max_size=8)


@given(conversations)
def test_a_conversation_survives_json(conversation: list[ChatMessage]) -> None:
    assert to_turns([restored_from_json(each) for each in conversation]) == to_turns(conversation)


@given(conversations)
def test_texts_and_calls_are_neither_lost_nor_invented(conversation: list[ChatMessage]) -> None:
    for each, turn in zip(conversation, to_turns(conversation), strict=True):
        answer = "".join(block.text for block in each.blocks if isinstance(block, TextBlock))
        results_ = [part for part in turn.parts if isinstance(part, ToolResult)]
        heard = [turn.text] + [part.text for result in results_ for part in result.parts if isinstance(part, Text)]
        assert "".join(heard) == answer
        called = [block for block in each.blocks if isinstance(block, ToolCallBlock)]
        assert [(call.id, call.name) for call in turn.tool_calls] == [(c.tool_call_id, c.tool_name) for c in called]
        for call, block in zip(turn.tool_calls, called, strict=True):
            visible = block.tool_kwargs
            assert call.arguments == visible if isinstance(visible, str) else json.loads(call.arguments) == visible


WITH_ALL_KINDS = [
    user("a", point(), ImageBlock(image=png()), DocumentBlock(data=PDF), cache_control={"type": "ephemeral"}),
    model("a", CALL, point(), refusal="a", tool_calls=[{"id": "c", "function": {"name": "w", "arguments": "{}"}}]),
    model(function_call={"name": "w", "arguments": "{}"}),
    to_message(
        Turn("assistant", (Text("a"), Text("b"), Opaque("messages", {"type": "redacted_thinking", "data": "x"})))
    ),
    tool("a", point()),
]


@given(conversations)
@example(WITH_ALL_KINDS)
def test_messages_are_not_changed(conversation: list[ChatMessage]) -> None:
    before = [(list(map(id, each.blocks)), each.model_dump_json()) for each in conversation]
    to_turns(conversation)
    assert [(list(map(id, each.blocks)), each.model_dump_json()) for each in conversation] == before


def reply_of(answer: list[Part], refused: list[Refusal], wanted_value: list[ToolCall]) -> Turn:
    calls_ = (ToolCall(f"c{n}", call.name, call.arguments, call.kind) for n, call in enumerate(wanted_value))
    return Turn("assistant", (*answer, *refused, *calls_))


said_parts = st.one_of(
    st.builds(Text, st.text(min_size=1), st.just(()), st.sampled_from([{}, {"responses": {"item": {"id": "m"}}}])),
    st.builds(Reasoning, st.text(min_size=1), st.sampled_from([{}, {"messages": {"signature": "S"}}])),
    st.just(Opaque("messages", {"type": "redacted_thinking", "data": "x"})),
)
refusals = st.builds(Refusal, st.text(min_size=1))
wanted_calls = st.builds(
    ToolCall, st.just(""), st.just("w"), st.one_of(st.just("{}"), st.text()), st.sampled_from(["function", "custom"])
)
replies = st.builds(
    reply_of, st.lists(said_parts, max_size=5), st.lists(refusals, max_size=1), st.lists(wanted_calls, max_size=3)
)


@pytest.mark.parametrize("blank", ["", " ", "\n"], ids=repr)
def test_empty_arguments_are_replayed_unless_they_were_edited(blank: str) -> None:
    reply = Turn("assistant", (ToolCall("c", "w", blank),))
    visible = to_message(reply)
    assert turn_of(visible) == reply
    (block,) = visible.blocks
    assert isinstance(block, ToolCallBlock)
    block.tool_kwargs = {"city": "Rome"}
    assert turn_of(visible).tool_calls[0].arguments == '{"city":"Rome"}'


@given(replies)
def test_every_reply_survives_the_round_trip(reply: Turn) -> None:
    visible = to_message(reply)
    assert turn_of(visible) == reply
    assert turn_of(restored_from_json(visible)) == reply
