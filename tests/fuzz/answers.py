"""Valid answers in every format, made from any bytes, and what must hold of each: the oracle of truncation."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from random import Random
from typing import Any

from cfaig_integrations.core.chat import ChatReply, Choice
from cfaig_integrations.core.content import Part, ToolCall, Wire
from cfaig_integrations.core.fold import fold
from cfaig_integrations.errors import ConnectFault, GatewayError
from cfaig_integrations.gateway.info import GatewayInfo
from cfaig_integrations.gateway.session import StreamSession
from cfaig_integrations.wire.codec import EmbeddedError
from cfaig_integrations.wire.registry import codec
from tests.wire import chat_kit, messages_samples, responses_forms
from tests.wire.harness import chunked, events_of
from tests.wire.messages_forms import stream_from_whole

Json = dict[str, Any]

_TEXTS = (
    "", " ", "\n", "\n\n", "\r\n", "\u2028", "é", "\U0001f600", "[DONE]", "data: x", "</think>", "<think>", '"', "\\",
    '{"a": 1}', '{"error": "x"}', "```json\n{}\n```", "event: ping", "null", "Hello", " there", "0", "\x00", "\ufeff",
)  # fmt: skip
_ARGUMENTS: tuple[Json, ...] = (
    {},
    {"a": 1},
    {"text": 'a "b" \\ \n'},
    {"deep": [[{"x": [None, 1.5]}]]},
    {"é": "\U0001f600"},
)


class Source:
    """Choices that are read from bytes; the first ones where the bytes have ended."""

    def __init__(self, data: bytes) -> None:
        self._data = iter(data)

    def number(self, count: int) -> int:
        return next(self._data, 0) % count

    def text(self) -> str:
        pieces = (_TEXTS[self.number(len(_TEXTS))] for _ in range(self.number(6)))
        return "".join(pieces) + "x" * self.number(20)

    def arguments(self) -> Json:
        return _ARGUMENTS[self.number(len(_ARGUMENTS))]


def chat(source: Source) -> tuple[Json, str]:
    """A chat completion and a stream of the same answer."""
    choices: list[Json] = []
    for index in range(1 + source.number(2)):
        message: Json = {"role": "assistant", "content": source.text()}
        if source.number(2):
            message["reasoning_content"] = source.text()
        calls = [_function(f"call_{number}", source) for number in range(source.number(3))]
        if calls:
            message["tool_calls"] = calls
        finish = ("tool_calls" if calls else "stop", "length", "content_filter")[source.number(3)]
        choices.append({"index": index, "message": message, "finish_reason": finish})
    usage = {"prompt_tokens": 1, "completion_tokens": source.number(9), "total_tokens": 9}
    whole: Json = {"id": "chatcmpl-1", "object": "chat.completion", "created": 7, "model": "m", "choices": choices}
    whole["usage"] = usage
    begun = chat_kit.sse(*(chat_kit.delta(index, role="assistant") for index in range(len(choices))), done=False)
    return whole, begun + chat_kit.stream_of(whole, 1 + source.number(9))


def _function(id_: str, source: Source) -> Json:
    return {"id": id_, "type": "function", "function": {"name": "f", "arguments": json.dumps(source.arguments())}}


def responses(source: Source) -> tuple[Json, str]:
    """A response and a stream of it."""
    items: list[Json] = []
    for number in range(source.number(4)):
        match source.number(4):
            case 0:
                parts = [responses_forms.text_part(source.text()) for _ in range(1 + source.number(2))]
                items.append(responses_forms.message(*parts, id_=f"msg_{number}"))
            case 1:
                items.append(responses_forms.reasoning(source.text(), id_=f"rs_{number}"))
            case 2:
                items.append(responses_forms.call(json.dumps(source.arguments()), f"fc_{number}", f"call_{number}"))
            case _:
                items.append(responses_forms.custom(source.text(), f"ctc_{number}"))
    more: Json = {}
    if source.number(3) == 1:
        more = {"status": "incomplete", "incomplete_details": {"reason": "max_output_tokens"}}
    whole = responses_forms.response(*items, **more)
    return whole, responses_forms.stream(whole, responses_forms.STYLES[source.number(len(responses_forms.STYLES))])


def messages(source: Source) -> tuple[Json, str]:
    """A message and a stream of it."""
    blocks: list[Json] = []
    for number in range(source.number(4)):
        match source.number(3):
            case 0:
                blocks.append({"type": "text", "text": source.text()})
            case 1:
                blocks.append({"type": "thinking", "thinking": source.text(), "signature": source.text()})
            case _:
                blocks.append({"type": "tool_use", "id": f"t{number}", "name": "f", "input": source.arguments()})
    stop = ("end_turn", "max_tokens", "tool_use", "refusal")[source.number(4)]
    whole = messages_samples.message(*blocks, stop_reason=stop)
    return whole, stream_from_whole(whole, 1 + source.number(9))


def native(source: Source) -> tuple[Json, str]:
    """The body of a Workers AI model and a stream of it."""
    pieces = [source.text() for _ in range(1 + source.number(4))]
    usage = {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3}
    whole = {"response": "".join(pieces), "usage": usage}
    return whole, chat_kit.sse(*({"response": piece} for piece in pieces), {"response": "", "usage": usage})


FORMS = {"chat_completions": chat, "responses": responses, "messages": messages, "native": native}


def check_answer(data: bytes) -> None:
    """Makes an answer from `data`, and checks that its stream is read whole, in any split, and never truncated."""
    source = Source(data)
    name = list(FORMS)[source.number(len(FORMS))]
    wire: Wire = "run" if name == "native" or source.number(3) == 0 else name  # type: ignore[assignment]
    whole, text = FORMS[name](source)
    rng = Random(data)
    stream = _as_sent(text, source).encode()
    events = events_of(codec(wire), [stream])
    assert events_of(codec(wire), chunked(stream, rng)) == events, "another split gave other events"
    complete = _comparable(fold(wire, events))
    expected = _comparable(codec(wire).decode(json.dumps(whole).encode()))
    assert complete == expected, f"the stream holds {complete}, the body {expected}"
    for _ in range(3):
        cut = stream[: rng.randrange(len(stream))]
        for choices in _accepted(wire, cut, rng):
            assert choices == complete.choices, f"{cut!r} was read as {choices}, not {complete.choices}"


def _as_sent(text: str, source: Source) -> str:
    """The stream with comments, other line ends, or nothing after its end."""
    match source.number(5):
        case 1:
            return text.replace("\n\n", "\n\n: keep-alive\n\n")
        case 2:
            return text.replace("\n", "\r\n")
        case 3:
            return text.rstrip("\n")
        case 4:
            return "\ufeff" + text.replace("\n", "\r")
        case _:
            return text


def _accepted(wire: Wire, cut: bytes, rng: Random) -> Iterator[tuple[Choice, ...]]:
    """The answers that a decoder, and a session whose connection broke or ended, make of a truncated stream."""
    with suppress(GatewayError, EmbeddedError):
        yield _choices(fold(wire, events_of(codec(wire), [cut])))
    for broken in (False, True):
        session = StreamSession(codec(wire).decoder(), GatewayInfo(wire=wire, requested_model="m"), {})
        events = [event for chunk in chunked(cut, rng, 200) if not session.ended for event in session.feed(chunk)]
        if not session.ended:
            events += session.lost(ConnectFault("The connection broke.")) if broken else session.close()
        if session.error is None:
            yield _choices(fold(wire, events))


def _comparable(reply: ChatReply) -> ChatReply:
    """The reply with the arguments of functions in one spelling: some bodies hold them as objects."""
    return replace(reply, choices=_choices(reply))


def _choices(reply: ChatReply) -> tuple[Choice, ...]:
    return tuple(
        replace(choice, turn=replace(choice.turn, parts=tuple(map(_spelled, choice.turn.parts))))
        for choice in reply.choices
    )


def _spelled(part: Part) -> Part:
    if isinstance(part, ToolCall) and part.kind == "function":
        return replace(part, arguments=json.dumps(json.loads(part.arguments)))
    return part
