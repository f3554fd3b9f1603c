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
def test_every_role_that_speaks(role: str, expected: str) -> None:
    turn = turn_of(message(role, "hi"))
    assert (turn.role, turn.parts) == (expected, (Text("hi"),))


def test_a_role_given_as_a_word_is_the_role() -> None:
    changed = user("hi")
    changed.role = "assistant"  # type: ignore[assignment]
    assert turn_of(changed) == Turn("assistant", (Text("hi"),))
    changed.role = "narrator"  # type: ignore[assignment]
    with pytest.raises(ConfigError, match="narrator") as raised:
        turn_of(changed)
    assert raised.value.field == "role"
    assert "chatbot" in raised.value.remedy


@pytest.mark.parametrize("blocks", [("Be brief.",), ("Be ", "brief.")], ids=["plain", "in pieces"])
def test_a_developer_is_one_where_the_wire_knows_them(simulator: Simulator, blocks: tuple[str, ...]) -> None:
    messages = message("developer", *blocks), user("hi")
    assert sent(simulator, "chat_completions", *messages)["messages"][0]["role"] == "developer"
    assert sent(simulator, "responses", *messages)["input"][0]["role"] == "developer"
    assert sent(simulator, "messages", *messages)["system"]


# Text


def test_empty_texts_are_left_out() -> None:
    assert parts_of("", "a", "", " ") == (Text("a"), Text(" "))
    assert parts_of("") == ()
    assert turn_of(model("")) == Turn("assistant", ())


def test_a_message_without_blocks_says_nothing() -> None:
    assert to_turns([ChatMessage(role=MessageRole.USER), ChatMessage(role=MessageRole.ASSISTANT)]) == (
        Turn("user", ()),
        Turn("assistant", ()),
    )


def test_a_refusal_is_one_again() -> None:
    assert turn_of(model("I am here.", "No.", refusal="No.")).parts == (Text("I am here."), Refusal("No."))
    assert turn_of(model("No.", "No.", refusal="No.")).parts == (Text("No."), Refusal("No."))
    assert turn_of(model(refusal="No.")).parts == (Refusal("No."),)


def test_a_refusal_that_the_user_wrote_over_is_gone() -> None:
    assert turn_of(model("Yes.", refusal="No.")).parts == (Text("Yes."),)


# Cache points


def test_a_cache_point_marks_the_block_before_it(simulator: Simulator) -> None:
    asked = user("long", point("1h"), ImageBlock(url="https://a.example/i.png"), point(), "short")
    assert [part.extras for part in turn_of(asked).parts if isinstance(part, Text | Media)] == [
        {"messages": {"cache_control": {"type": "ephemeral", "ttl": "1h"}}},
        MARKED,
        {},
    ]
    content = sent(simulator, "messages", asked)["messages"][0]["content"]
    assert [block.get("cache_control", {}).get("ttl") for block in content] == ["1h", "5m", None]


@pytest.mark.parametrize("api", ["chat_completions", "responses"])
def test_a_cache_point_says_nothing_elsewhere(simulator: Simulator, api: Wire) -> None:
    with_points = sent(simulator, api, user("long", point()), model("ok", point()), user("so?", point()))
    assert with_points == sent(simulator, api, user("long"), model("ok"), user("so?"))
    assert sent(simulator, api, message("system", "rules", point()), user("so?"))


def test_a_cache_point_marks_calls_and_results(simulator: Simulator) -> None:
    asked = user("go"), model(CALL, point()), tool("sunny", "warm", point()), user("so?")
    result = turn_of(asked[2]).parts
    assert result == (ToolResult("call_1", (Text("sunny"), Text("warm")), extras=MARKED),)
    _, called, answered = sent(simulator, "messages", *asked)["messages"]
    assert called["content"][0]["cache_control"] == EPHEMERAL
    assert [block.get("cache_control") for block in answered["content"]] == [EPHEMERAL, None]


def test_a_thought_is_never_marked() -> None:
    thought = ThinkingBlock(content="hm", additional_information={"signature": "S"})
    marked = turn_of(model("a", thought, point()))
    assert marked.parts == (Text("a", extras=MARKED), Reasoning("hm", {"messages": {"signature": "S"}}))


@pytest.mark.parametrize(
    "given", [user(point(), "a"), model(ThinkingBlock(content="hm"), point())], ids=["first", "hm"]
)
def test_a_cache_point_behind_nothing_is_refused(given: ChatMessage) -> None:
    with pytest.raises(ConfigError, match="before it") as raised:
        turn_of(given)
    assert "same message" in raised.value.remedy


def test_a_mark_beside_the_blocks_is_on_the_last() -> None:
    mark = {"type": "ephemeral"}
    expected = {"messages": {"cache_control": mark}}
    assert parts_of("a", "b", cache_control=mark) == (Text("a"), Text("b", extras=expected))
    assert turn_of(tool("a", cache_control=mark)).parts == (ToolResult("call_1", (Text("a"),), extras=expected),)


def test_a_cache_point_on_an_answer_of_ours_is_kept() -> None:
    said = Turn("assistant", (Text("a", (Citation(url="https://a.example"),)), Text("b")))
    given = to_message(said)
    given.blocks.append(point())
    assert turn_of(given).parts == (said.parts[0], Text("b", extras=MARKED))


# Thoughts


@pytest.mark.parametrize(
    ("known", "extras"),
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
def test_a_thought_of_another_package_goes_back_to_its_maker(known: dict[str, Any], extras: dict[str, Any]) -> None:
    thought = ThinkingBlock(content="hm", additional_information=known)
    assert turn_of(model(thought, "a")).parts == (Reasoning("hm", extras), Text("a"))


def test_an_encrypted_thought_reaches_its_wire(simulator: Simulator) -> None:
    thought = ThinkingBlock(additional_information={"id": "rs_1", "encrypted_content": "E"})
    item = sent(simulator, "responses", user("a"), model(thought, "b"), user("c"))["input"][1]
    assert (item["type"], item["encrypted_content"], item["summary"]) == ("reasoning", "E", [])


def test_a_redacted_thought_goes_back_word_for_word() -> None:
    raw = {"type": "redacted_thinking", "data": "x"}
    assert turn_of(model(ThinkingBlock(additional_information=raw))).parts == (Opaque("messages", raw),)


def test_an_empty_thought_is_left_out() -> None:
    assert turn_of(model(ThinkingBlock(num_tokens=3), "a")).parts == (Text("a"),)


# Tool calls and results


def test_the_text_of_arguments_is_kept() -> None:
    broken = ToolCallBlock(tool_call_id="b", tool_name="w", tool_kwargs='{"c": ')
    spaced = ToolCallBlock(tool_name="w", tool_kwargs='{"c" : 1}')
    assert turn_of(model(CALL, broken, spaced)).parts == (
        ToolCall("call_1", "w", '{"c":1}'),
        ToolCall("b", "w", '{"c": '),
        ToolCall("", "w", '{"c" : 1}'),
    )


def test_arguments_that_are_no_json_are_refused() -> None:
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
def test_calls_of_messages_without_blocks_for_them(call: Any) -> None:
    given = model("a", tool_calls=[call])
    for each in (given, restored_from_json(given)):
        assert turn_of(each).parts == (Text("a"), ToolCall("call_1", "w", '{"c":1}'))


def test_calls_shown_twice_are_called_once() -> None:
    assert turn_of(model(CALL, tool_calls=[OpenAICall()])).tool_calls == (ToolCall("call_1", "w", '{"c":1}'),)


def test_a_custom_call_stays_one() -> None:
    call = {"id": "c", "type": "custom", "custom": {"name": "sh", "input": "ls"}}
    assert turn_of(model(tool_calls=[call])).parts == (ToolCall("c", "sh", "ls", kind="custom"),)


@pytest.mark.parametrize("call", ["w", {"id": "call_1"}, {"function": None}], ids=str)
def test_what_is_no_call_is_refused(call: Any) -> None:
    with pytest.raises(UnsupportedContent, match="additional_kwargs"):
        turn_of(model("a", tool_calls=[call]))


def test_a_function_is_answered_by_its_name(simulator: Simulator) -> None:
    asked = (
        user("go"),
        model("", function_call={"name": "w", "arguments": "{}"}),
        message("function", "sunny", name="w"),
    )
    assert to_turns(asked)[1:] == (
        Turn("assistant", (ToolCall("w", "w", "{}"),)),
        Turn("tool", (ToolResult("w", (Text("sunny"),)),)),
    )
    assert sent(simulator, "messages", *asked)
    assert turn_of(message("function", "sunny", name="w", tool_call_id="c")).parts[0] == ToolResult(
        "c", (Text("sunny"),)
    )


def test_a_result_holds_all_that_the_tool_returned() -> None:
    assert turn_of(tool("a", ImageBlock(url="https://a.example/i.png"))).parts == (
        ToolResult("call_1", (Text("a"), Media("image", url="https://a.example/i.png", mime="image/png"))),
    )
    assert turn_of(tool()).parts == (ToolResult("call_1", ()),)
    assert turn_of(message("tool", "a", call_id="c")).parts == (ToolResult("c", (Text("a"),)),)


def test_a_result_of_no_call_is_refused() -> None:
    with pytest.raises(ConfigError, match="does not name the call") as raised:
        turn_of(message("tool", "a"))
    assert raised.value.field == "tool_call_id"


def test_a_result_holds_no_call() -> None:
    with pytest.raises(UnsupportedContent, match="ToolCall"):
        turn_of(tool(CALL))


def test_an_answer_that_is_a_tools_is_the_assistants(simulator: Simulator) -> None:
    # What an agent remembers of a tool with return_direct.
    asked = user("go"), model(CALL), tool("sunny"), model("sunny", tool_call_id="call_1"), user("thanks")
    body = sent(simulator, "chat_completions", *asked)
    assert body["messages"][3] == {"role": "assistant", "content": "sunny"}


def test_an_unknown_block_is_refused() -> None:
    given = user("a")
    given.blocks.append({"type": "text", "text": "b"})  # type: ignore[arg-type]
    with pytest.raises(UnsupportedContent, match="dict"):
        turn_of(given)


def test_a_users_own_kind_of_text_is_text() -> None:
    class Quote(TextBlock):
        pass

    given = user("a")
    given.blocks.append(Quote(text="b"))
    assert turn_of(given).parts == (Text("a"), Text("b"))


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
def test_a_stored_conversation_is_the_same_conversation(conversation: list[ChatMessage]) -> None:
    assert to_turns([restored_from_json(each) for each in conversation]) == to_turns(conversation)


@given(conversations)
def test_no_word_and_no_call_is_lost_or_made_up(conversation: list[ChatMessage]) -> None:
    for each, turn in zip(conversation, to_turns(conversation), strict=True):
        said = "".join(block.text for block in each.blocks if isinstance(block, TextBlock))
        results_ = [part for part in turn.parts if isinstance(part, ToolResult)]
        heard = [turn.text] + [part.text for result in results_ for part in result.parts if isinstance(part, Text)]
        assert "".join(heard) == said
        called = [block for block in each.blocks if isinstance(block, ToolCallBlock)]
        assert [(call.id, call.name) for call in turn.tool_calls] == [(c.tool_call_id, c.tool_name) for c in called]
        for call, block in zip(turn.tool_calls, called, strict=True):
            shown = block.tool_kwargs
            assert call.arguments == shown if isinstance(shown, str) else json.loads(call.arguments) == shown


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
def test_messages_stay_as_they_are(conversation: list[ChatMessage]) -> None:
    before = [(list(map(id, each.blocks)), each.model_dump_json()) for each in conversation]
    to_turns(conversation)
    assert [(list(map(id, each.blocks)), each.model_dump_json()) for each in conversation] == before


def reply_of(said: list[Part], refused: list[Refusal], wanted: list[ToolCall]) -> Turn:
    calls_ = (ToolCall(f"c{n}", call.name, call.arguments, call.kind) for n, call in enumerate(wanted))
    return Turn("assistant", (*said, *refused, *calls_))


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
def test_no_arguments_are_said_again_as_they_were_unless_somebody_adds_some(blank: str) -> None:
    reply = Turn("assistant", (ToolCall("c", "w", blank),))
    shown = to_message(reply)
    assert turn_of(shown) == reply
    (block,) = shown.blocks
    assert isinstance(block, ToolCallBlock)
    block.tool_kwargs = {"city": "Rome"}
    assert turn_of(shown).tool_calls[0].arguments == '{"city":"Rome"}'


@given(replies)
def test_every_answer_of_ours_comes_back_as_it_was(reply: Turn) -> None:
    shown = to_message(reply)
    assert turn_of(shown) == reply
    assert turn_of(restored_from_json(shown)) == reply
