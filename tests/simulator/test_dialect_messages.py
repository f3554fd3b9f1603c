"""Messages: what is refused and how it is worded, and what comes back whole and streamed."""

from __future__ import annotations

import json
from typing import Any

import pytest

from cfaig_integrations.simulator import fake_model
from cfaig_integrations.simulator.dialects import DIALECTS
from cfaig_integrations.simulator.types import Answer, Call, InvalidBody

from . import oracle

MESSAGES = DIALECTS["messages"]
CLAUDE = "anthropic/claude-sonnet-4.5"
USER = {"role": "user", "content": "Weather in Paris?"}
FORM = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
TOOL = {"name": "get_weather", "description": "Weather", "input_schema": FORM}
SEARCH = {"type": "web_search_20250305", "name": "web_search"}
USE = {"type": "tool_use", "id": "toolu_1", "name": "get_weather", "input": {"city": "Rome"}}
CALLING = {"role": "assistant", "content": [{"type": "text", "text": "Let me see"}, USE]}
RESULT = {"type": "tool_result", "tool_use_id": "toolu_1", "content": "sunny"}
ANSWERED = {"role": "user", "content": [RESULT]}
THOUGHT = {"type": "thinking", "thinking": "hm", "signature": "sig"}
IMAGE = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "aGVsbG8="}}
BITMAP = {"type": "image", "source": {"type": "base64", "media_type": "image/bmp", "data": "aGVsbG8="}}
ENABLED = {"type": "enabled", "budget_tokens": 1024}


def body(*messages: Any, **more: Any) -> dict[str, Any]:
    return {"model": CLAUDE, "max_tokens": 2048, "messages": list(messages) or [USER], **more}


def user(*blocks: Any) -> dict[str, Any]:
    return {"role": "user", "content": list(blocks)}


def assistant(*blocks: Any) -> dict[str, Any]:
    return {"role": "assistant", "content": list(blocks)}


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"model": CLAUDE, "messages": [USER]}, "max_tokens: Field required"),
        ({"model": CLAUDE, "max_tokens": 5}, "messages: Field required"),
        ({"model": CLAUDE, "max_tokens": 5, "messages": []}, "messages: at least one message is required"),
        (body(max_tokens=0), "max_tokens: Input should be greater than or equal to 1"),
        (body(system=[{"type": "text", "text": "x"}]), "Invalid value at 'system'"),
        (body({"role": "system", "content": "x"}), 'messages: Unexpected role "system".'),
        (body({"role": "tool", "content": "x"}), "messages.0.role: Input should be 'user' or 'assistant'"),
        (body({"role": "user", "content": ""}), "messages.0: user messages must have non-empty content"),
        (body(user({"type": "text", "text": ""})), "messages: text content blocks must be non-empty"),
        (body(user({"type": "text", "text": " \n"})), "messages: text content blocks must contain non-whitespace"),
        (body({**USER, "name": "x"}), "messages.0.name: Extra inputs are not permitted"),
        (body(user({"type": "text", "text": "x", "index": 0})), "messages.0.content.0.text.index: Extra inputs"),
        (body(user({"type": "image_url", "image_url": {"url": "x"}})), "messages.0.content.0.type: Input"),
        (body(user(BITMAP)), "messages.0.content.0.image.source.base64.media_type: Input tag 'image/bmp'"),
        (body(user(USE)), "messages.0.content.0.type: Input tag 'tool_use'"),
        (body(USER, CALLING), "messages.1: `tool_use` ids were found without `tool_"),
        (body(USER, CALLING, USER), "messages.1: `tool_use` ids were found without `tool_result` blocks"),
        (body(USER, CALLING, user({"type": "text", "text": "x"}, RESULT)), "messages.1: `tool_use` ids"),
        (body(ANSWERED), "messages.0.content.0: unexpected `tool_use_id` found in `tool_result` blocks: toolu_1"),
        (body(USER, assistant({**USE, "id": "a b"}), ANSWERED), "messages.1.content.0.tool_use.id: String"),
        (body(USER, assistant({**USE, "input": "{}"}), ANSWERED), "messages.1.content.0.tool_use.input: In"),
        (body(USER, assistant({"type": "thinking", "thinking": "x"}), USER), "messages.1.content.0.thinking.sign"),
        (body(USER, {"role": "assistant", "content": "Once "}), "messages: final assistant content cannot end with"),
        (body(thinking={"type": "enabled", "budget_tokens": 10}), "thinking.enabled.budget_tokens: Input should be"),
        (body(thinking={"type": "enabled", "budget_tokens": 4000}), "`max_tokens` must be greater than"),
        (body(thinking=ENABLED, temperature=0), "`temperature` may only be set to 1 when thinking is enabled."),
        (body(thinking=ENABLED, tools=[TOOL], tool_choice={"type": "any"}), "Thinking may not be enabled when"),
        (body(USER, CALLING, ANSWERED, thinking=ENABLED), "messages.1.content.0.type: Expected `thinking`"),
        (body(tools=[{"type": "function", "function": {}}]), "tools.0: Input tag 'function' found"),
        (body(tools=[{"name": "x"}]), "tools.0.custom.input_schema: Field required"),
        (body(tools=[{"name": "x", "input_schema": {}}]), "tools.0.custom.input_schema.type: Field required"),
        (body(tools=[{**TOOL, "name": "a b"}]), "Invalid 'tools.0.custom.name': string does not match pattern."),
        (body(tools=[{**TOOL, "parameters": {}}]), "tools.0.custom.parameters: Extra inputs are not permitted"),
        (body(tools=[TOOL, TOOL]), "tools: Tool names must be unique."),
        (body(tools=[TOOL], tool_choice="auto"), "tool_choice: Input should be a valid dictionary"),
        (body(tools=[TOOL], tool_choice={"type": "function"}), "tool_choice.type: Input tag 'function'"),
        (body(tools=[TOOL], tool_choice={"type": "tool", "name": "x"}), "Tool 'x' not found in provided tools"),
        (body(tool_choice={"type": "auto"}), "tool_choice: `tool_choice` may only be specified while providing"),
        (body(stop_sequences=["\n"]), "stop_sequences: each stop sequence must contain non-whitespace"),
        (body(stop_sequences="x"), "stop_sequences: Input should be a valid list"),
        (body(temperature=1.5), "temperature: Input should be less than or equal to 1"),
        (body(metadata={"thread": "x"}), "metadata.thread: Extra inputs are not permitted"),
        (body(ls_provider="x"), "ls_provider: Extra inputs are not permitted"),
        (
            body(user(*({"type": "text", "text": "x", "cache_control": {"type": "ephemeral"}} for _ in range(5)))),
            "A maximum of 4 blocks with cache_control may be provided.",
        ),
    ],
)
def test_refusals(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidBody) as caught:
        MESSAGES.read(wrong)
    assert caught.value.message.startswith(message)
    assert (caught.value.code, caught.value.status) == (7003, 400)


@pytest.mark.parametrize(
    "right",
    [
        body(USER, USER, CALLING, ANSWERED),
        body({"role": "assistant", "content": "x"}, USER),
        body(USER, assistant(USE), assistant({**USE, "id": "b"}), user(RESULT, {**RESULT, "tool_use_id": "b"})),
        body(USER, assistant(THOUGHT, USE), ANSWERED, thinking=ENABLED),
        body(user(IMAGE, {"type": "document", "source": {"type": "url", "url": "https://a.b/c.pdf"}})),
        body(USER, CALLING, user({**RESULT, "is_error": True, "content": [IMAGE]}, {"type": "text", "text": "so?"})),
        body(USER, assistant({"type": "redacted_thinking", "data": "x"}, {"type": "text", "text": "\n"}), USER),
        body(USER, assistant({"type": "server_tool_use", "id": "s", "name": "web_search", "input": {}}), USER),
        body(unheard_of=True, tools=[TOOL, SEARCH], tool_choice={"type": "any", "disable_parallel_tool_use": True}),
        body(thinking={"type": "adaptive"}, tools=[TOOL], tool_choice={"type": "any"}),
    ],
)
def test_accepted(right: dict[str, Any]) -> None:
    assert MESSAGES.read(right).messages


def test_reads_what_was_said() -> None:
    more = user(RESULT, {"type": "text", "text": "And now?"})
    request = MESSAGES.read(body(USER, CALLING, more, system="Be brief", tools=[TOOL], tool_choice={"type": "any"}))
    assert [s.role for s in request.messages] == ["system", "user", "assistant", "tool", "user"]
    assert request.messages[2].calls == [Call("toolu_1", "get_weather", {"city": "Rome"})]
    assert (request.messages[3].results[0].text, request.messages[4].text) == ("sunny", "And now?")
    assert request.choice == "required"


ANSWERS = [
    Answer(text="Hello there, this is it.", tokens_in=9, tokens_out=6),
    Answer(text="Thought over", reasoning="Let me think", tokens_in=9, tokens_out=9, tokens_reasoning=4),
    Answer(text="Both", calls=[Call("", "f", {"a": "\u4f60"}), Call("x9", "g", {})], finish="tool_calls"),
    Answer(refusal="I cannot help with that.", finish="refusal"),
    Answer(text="cut", finish="length"),
    Answer(text="Stopped ", stopped_by="here"),
    Answer(text="Found it.", searches=['ruby "4" version']),
    Answer(),
]
STOPS = ["end_turn", "end_turn", "tool_use", "refusal", "max_tokens", "stop_sequence", "end_turn", "end_turn"]


@oracle.complete
@pytest.mark.parametrize("answer", ANSWERS)
def test_answers_pass_the_official_types(answer: Answer) -> None:
    oracle.check("messages", MESSAGES, MESSAGES.read(body()), answer)


def folded(events: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The blocks that a stream adds up to."""
    blocks: list[dict[str, Any]] = []
    texts: dict[int, str] = {}
    for event in events:
        if event["type"] == "content_block_start":
            blocks.append(event["content_block"])
        if event["type"] == "content_block_delta":
            delta, block = event["delta"], blocks[event["index"]]
            match delta["type"]:
                case "text_delta":
                    block["text"] += delta["text"]
                case "thinking_delta":
                    block["thinking"] += delta["thinking"]
                case "signature_delta":
                    block["signature"] += delta["signature"]
                case "citations_delta":
                    block["citations"].append(delta["citation"])
                case _:
                    texts[event["index"]] = texts.get(event["index"], "") + delta["partial_json"]
    for index, text in texts.items():
        blocks[index]["input"] = json.loads(text or "{}")
    return blocks


@pytest.mark.parametrize(("answer", "stop"), list(zip(ANSWERS, STOPS, strict=True)))
def test_the_stream_adds_up_to_the_whole(answer: Answer, stop: str) -> None:
    request = MESSAGES.read(body())
    whole = MESSAGES.whole(request, answer)
    events = oracle.events(MESSAGES.stream(request, answer))
    assert (events[0]["type"], events[-1]["type"]) == ("message_start", "message_stop")
    assert sum(e["type"] == "ping" for e in events) == 1

    def plain(blocks: list[dict[str, Any]]) -> list[dict[str, Any]]:
        return [{k: v for k, v in b.items() if k not in ("id", "tool_use_id")} for b in blocks]

    assert plain(folded(events)) == plain(whole["content"])
    assert events[-2]["delta"]["stop_reason"] == whole["stop_reason"] == stop
    assert events[-2]["delta"]["stop_sequence"] == whole["stop_sequence"] == (answer.stopped_by or None)
    assert events[-2]["usage"]["output_tokens"] == whole["usage"]["output_tokens"]


def test_a_cut_call_streams_what_was_written() -> None:
    answer = Answer(calls=[Call("", "f", {"a": 1}, raw='{"a')], finish="length")
    events = oracle.events(MESSAGES.stream(MESSAGES.read(body()), answer))
    assert "".join(e["delta"]["partial_json"] for e in events if e["type"] == "content_block_delta") == '{"a'
    assert events[-2]["delta"]["stop_reason"] == "max_tokens"


def test_what_it_says_can_be_sent_back() -> None:
    request = MESSAGES.read(body(tools=[TOOL], thinking=ENABLED))
    whole = MESSAGES.whole(request, fake_model.generate_answer(request))
    kinds = [b["type"] for b in whole["content"]]
    assert kinds == ["thinking", "tool_use"]
    assert whole["content"][1]["input"] == {"city": "Paris"}
    result = {**RESULT, "tool_use_id": whole["content"][1]["id"]}
    again = MESSAGES.read(body(USER, assistant(*whole["content"]), user(result), tools=[TOOL], thinking=ENABLED))
    assert "sunny" in fake_model.generate_answer(again).text


def test_a_web_search_is_shown_cited_and_counted() -> None:
    request = MESSAGES.read(body({"role": "user", "content": "Search for the Ruby version"}, tools=[SEARCH]))
    whole = MESSAGES.whole(request, fake_model.generate_answer(request))
    use, result, text = whole["content"]
    assert use["input"] == {"query": "Ruby version"}
    assert result["tool_use_id"] == use["id"]
    assert text["citations"][0]["url"] == result["content"][0]["url"]
    assert whole["usage"]["server_tool_use"]["web_search_requests"] == 1
    assert MESSAGES.read(body(USER, assistant(*whole["content"]), USER)).messages


def test_cached_tokens_are_not_input_tokens() -> None:
    usage = MESSAGES.whole(MESSAGES.read(body()), Answer(text="x", tokens_in=10, tokens_cached=4))["usage"]
    assert (usage["input_tokens"], usage["cache_read_input_tokens"]) == (6, 4)


@oracle.complete
def test_recorded_requests_are_accepted_and_answered() -> None:
    seen = 0
    for exchange in oracle.recorded("messages", "api.anthropic.com"):
        sent = exchange["request_body"]
        if isinstance(sent.get("system"), list):
            sent = {**sent, "system": "x"}
        roles = [m["role"] for m in sent["messages"]]
        if "system" in roles:  # a beta that the simulator does not follow
            continue
        request = MESSAGES.read({**sent, "model": f"anthropic/{sent['model']}"})
        oracle.check("messages", MESSAGES, request, fake_model.generate_answer(request))
        seen += 1
    assert seen > 350


def test_errors() -> None:
    error = MESSAGES.error(529, "x", "busy")
    assert (error["type"], error["error"]["type"]) == ("error", "overloaded_error")
    name, data = MESSAGES.error_event("broke").decode().strip().split("\n")
    assert name == "event: error"
    assert json.loads(data.removeprefix("data: "))["error"]["message"] == "broke"
