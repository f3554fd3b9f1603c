"""Delays and effects: faults that damage a correct response."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from cfaig_integrations.simulator.http.bodies import encode
from cfaig_integrations.simulator.http.reply import Reply
from cfaig_integrations.simulator.scripting.faults.fault import Fault, Fits, Layer

DONE = b"[DONE]"


@dataclass(frozen=True, slots=True)
class EffectContext:
    """What an effect needs to know about the response that it damages."""

    whole: Callable[[], bytes]
    """The body of the same answer without streaming."""
    error_event: Callable[[str], bytes]
    """An error inside a stream, in the provider's format."""


Effect = Callable[[Reply, Mapping[str, Any], EffectContext], None]


EFFECT_FAULTS: list[Fault] = []
EFFECT_FUNCTIONS: dict[str, Effect] = {}
"""The function that applies an effect, by the fault's name."""


def effect(
    name: str, source: str, *, fits: Fits = "any", layer: Layer = "provider", retry: bool | None = None, **details: Any
) -> Callable[[Effect], Effect]:
    """Register a function as a fault of kind `effect`, with the defaults of its details."""

    def register(function: Effect) -> Effect:
        fault = Fault(name, "effect", source, layer=layer, retry=retry, fits=fits, details=details)
        EFFECT_FAULTS.append(fault)
        EFFECT_FUNCTIONS[name] = function
        return function

    return register


DELAYS = (
    Fault("slow_first_byte", "delay", "facts §8.1: the provider takes its time", details={"seconds": 0.05}),
    Fault("busy", "delay", "facts §1.2: queued, or 429/3040 with rejectIfBusy", details={"seconds": 0.05}),
)


def _at(reply: Reply, details: Mapping[str, Any]) -> int:
    return max(0, min(int(details["after_events"]), len(reply.chunks) - 1))


def _halves(reply: Reply) -> None:
    """Split a body into two chunks, so that there is a middle to fail in."""
    if not reply.streamed and len(reply.chunks) == 1:
        body = reply.chunks[0]
        reply.chunks = [body[: len(body) // 2], body[len(body) // 2 :]]


@effect("stall", "facts §5.3(g): idle between bytes", after_events=2, seconds=0.05)
def _stall(reply: Reply, details: Mapping[str, Any], _: EffectContext) -> None:
    _halves(reply)
    reply.pauses[_at(reply, details)] = float(details["seconds"])


@effect("slow_stream", "facts §5.3(g): a pause before every event", fits="stream", seconds=0.01)
def _slow_stream(reply: Reply, details: Mapping[str, Any], _: EffectContext) -> None:
    reply.pauses = dict.fromkeys(range(len(reply.chunks)), float(details["seconds"]))


@effect("cut", "connection closed in the middle of an event", after_events=2)
def _cut(reply: Reply, details: Mapping[str, Any], _: EffectContext) -> None:
    if not reply.streamed:
        reply.length = len(reply.body)
        _halves(reply)
        reply.chunks = reply.chunks[:1]
    else:
        at = _at(reply, details)
        reply.chunks = [*reply.chunks[:at], reply.chunks[at][: len(reply.chunks[at]) // 2]]
    reply.ending = "close"


@effect("cut_clean", "facts §5.3: neither finish_reason nor end marker", fits="stream", after_events=2)
def _cut_clean(reply: Reply, details: Mapping[str, Any], _: EffectContext) -> None:
    reply.chunks = reply.chunks[: _at(reply, details)]


@effect("missing_done", "facts §5.3: only the end marker is missing", fits="stream")
def _missing_done(reply: Reply, _: Mapping[str, Any], __: EffectContext) -> None:
    reply.chunks = reply.chunks[:-1]


@effect("malformed_event", "facts §5.3: data that is no JSON", after_events=2)
def _malformed(reply: Reply, details: Mapping[str, Any], _: EffectContext) -> None:
    if not reply.streamed:
        reply.chunks = [reply.body[: len(reply.body) // 2]]
        return
    at = _at(reply, details)
    reply.chunks.insert(at, b'data: {"choices":[{"delta":{"content":"\n\n')


@effect("error_event", "facts §5.3: mid-stream error", fits="stream", after_events=2, message="The model is overloaded")
def _error_event(reply: Reply, details: Mapping[str, Any], effect_context: EffectContext) -> None:
    reply.chunks = [*reply.chunks[: _at(reply, details)], effect_context.error_event(str(details["message"]))]


@effect(
    "error_event_envelope",
    "facts §5.3: success:false as stream data (I)",
    fits="stream",
    after_events=2,
    message="The model is overloaded",
)
def _error_event_envelope(reply: Reply, details: Mapping[str, Any], _: EffectContext) -> None:
    body = {"success": False, "errors": [{"code": 3040, "message": details["message"]}], "result": None}
    reply.chunks = [*reply.chunks[: _at(reply, details)], b"data: " + encode(body) + b"\n\n"]


@effect("json_instead_of_stream", "facts §5.3: decide by content type", fits="stream")
def _json_instead(reply: Reply, _: Mapping[str, Any], effect_context: EffectContext) -> None:
    reply.chunks = [effect_context.whole()]
    reply.content_type = "application/json"
    reply.streamed = False


@effect("close_before_response", "connection reset before any byte", layer="edge", retry=True)
def _close(reply: Reply, _: Mapping[str, Any], __: EffectContext) -> None:
    reply.ending = "reset_first"


@effect("double_done", "facts §5.3: two [DONE] lines (O: decolua/9router#1645)", fits="stream")
def _double_done(reply: Reply, _: Mapping[str, Any], __: EffectContext) -> None:
    reply.chunks.extend(chunk for chunk in reply.chunks[-1:] if DONE in chunk)


@effect("bare_done", "facts §5.3: [DONE] without data:", fits="stream")
def _bare_done(reply: Reply, _: Mapping[str, Any], __: EffectContext) -> None:
    reply.chunks = [DONE + b"\n\n" if chunk.strip() == b"data: " + DONE else chunk for chunk in reply.chunks]


@effect("crlf", "event streams may end lines in CR LF", fits="stream")
def _crlf(reply: Reply, _: Mapping[str, Any], __: EffectContext) -> None:
    reply.chunks = [chunk.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n") for chunk in reply.chunks]


@effect("comments", "facts §5.3: comments between events", fits="stream")
def _comments(reply: Reply, _: Mapping[str, Any], __: EffectContext) -> None:
    reply.chunks = [part for chunk in reply.chunks for part in (b": keep-alive\n\n", b":\n" + chunk)]


@effect("no_space", "facts §5.3: data: without a space after it", fits="stream")
def _no_space(reply: Reply, _: Mapping[str, Any], __: EffectContext) -> None:
    reply.chunks = [
        b"\n".join(b"data:" + line[6:] if line.startswith(b"data: ") else line for line in chunk.split(b"\n"))
        for chunk in reply.chunks
    ]


@effect("bytes", "chunk boundaries anywhere: one byte a write")
def _bytes(reply: Reply, _: Mapping[str, Any], __: EffectContext) -> None:
    reply.chunks = [bytes([byte]) for byte in reply.body]
    reply.pauses = {}
