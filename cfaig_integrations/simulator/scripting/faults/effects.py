"""Delays and effects: the faults that spoil an answer that was fine, and how each does it.

Knows no HTTP request, no gateway and no code table.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from cfaig_integrations.simulator.http.bodies import encode
from cfaig_integrations.simulator.http.reply import Reply
from cfaig_integrations.simulator.scripting.faults.fault import Fault, delay, effect

DONE = b"[DONE]"


@dataclass(frozen=True, slots=True)
class EffectContext:
    """What an effect may ask about the answer that it spoils."""

    whole: Callable[[], bytes]
    """The body that the same answer would have had without streaming."""
    error_event: Callable[[str], bytes]
    """An error inside a stream, in the dialect's form."""


Effect = Callable[[Reply, Mapping[str, Any], EffectContext], None]


def _at(reply: Reply, details: Mapping[str, Any]) -> int:
    return max(0, min(int(details["after_events"]), len(reply.chunks) - 1))


def _halves(reply: Reply) -> None:
    """Make two chunks of a whole body, so that there is a middle to fail in."""
    if not reply.streamed and len(reply.chunks) == 1:
        body = reply.chunks[0]
        reply.chunks = [body[: len(body) // 2], body[len(body) // 2 :]]


def _stall(reply: Reply, details: Mapping[str, Any], _: EffectContext) -> None:
    _halves(reply)
    reply.pauses[_at(reply, details)] = float(details["seconds"])


def _slow_stream(reply: Reply, details: Mapping[str, Any], _: EffectContext) -> None:
    reply.pauses = dict.fromkeys(range(len(reply.chunks)), float(details["seconds"]))


def _cut(reply: Reply, details: Mapping[str, Any], _: EffectContext) -> None:
    if not reply.streamed:
        reply.length = len(reply.body)
        _halves(reply)
        reply.chunks = reply.chunks[:1]
    else:
        at = _at(reply, details)
        reply.chunks = [*reply.chunks[:at], reply.chunks[at][: len(reply.chunks[at]) // 2]]
    reply.ending = "reset"


def _cut_clean(reply: Reply, details: Mapping[str, Any], _: EffectContext) -> None:
    reply.chunks = reply.chunks[: _at(reply, details)]


def _missing_done(reply: Reply, _: Mapping[str, Any], __: EffectContext) -> None:
    reply.chunks = reply.chunks[:-1]


def _malformed(reply: Reply, details: Mapping[str, Any], _: EffectContext) -> None:
    if not reply.streamed:
        reply.chunks = [reply.body[: len(reply.body) // 2]]
        return
    at = _at(reply, details)
    reply.chunks.insert(at, b'data: {"choices":[{"delta":{"content":"\n\n')


def _error_event(reply: Reply, details: Mapping[str, Any], effect_context: EffectContext) -> None:
    reply.chunks = [*reply.chunks[: _at(reply, details)], effect_context.error_event(str(details["message"]))]


def _error_event_envelope(reply: Reply, details: Mapping[str, Any], _: EffectContext) -> None:
    body = {"success": False, "errors": [{"code": 3040, "message": details["message"]}], "result": None}
    reply.chunks = [*reply.chunks[: _at(reply, details)], b"data: " + encode(body) + b"\n\n"]


def _json_instead(reply: Reply, _: Mapping[str, Any], effect_context: EffectContext) -> None:
    reply.chunks = [effect_context.whole()]
    reply.content_type = "application/json"
    reply.streamed = False


def _close(reply: Reply, _: Mapping[str, Any], __: EffectContext) -> None:
    reply.ending = "reset_first"


def _double_done(reply: Reply, _: Mapping[str, Any], __: EffectContext) -> None:
    reply.chunks.extend(chunk for chunk in reply.chunks[-1:] if DONE in chunk)


def _bare_done(reply: Reply, _: Mapping[str, Any], __: EffectContext) -> None:
    reply.chunks = [DONE + b"\n\n" if chunk.strip() == b"data: " + DONE else chunk for chunk in reply.chunks]


def _crlf(reply: Reply, _: Mapping[str, Any], __: EffectContext) -> None:
    reply.chunks = [chunk.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n") for chunk in reply.chunks]


def _comments(reply: Reply, _: Mapping[str, Any], __: EffectContext) -> None:
    reply.chunks = [part for chunk in reply.chunks for part in (b": keep-alive\n\n", b":\n" + chunk)]


def _no_space(reply: Reply, _: Mapping[str, Any], __: EffectContext) -> None:
    reply.chunks = [
        b"\n".join(b"data:" + line[6:] if line.startswith(b"data: ") else line for line in chunk.split(b"\n"))
        for chunk in reply.chunks
    ]


def _bytes(reply: Reply, _: Mapping[str, Any], __: EffectContext) -> None:
    reply.chunks = [bytes([byte]) for byte in reply.body]
    reply.pauses = {}


EFFECTS: tuple[Fault, ...] = (
    delay("slow_first_byte", "wire-facts §8.1: the provider takes its time", seconds=0.05),
    delay("busy", "wire-facts §1.2: queued, or 429/3040 at once with rejectIfBusy", seconds=0.05),
    effect("stall", "wire-facts §5.3(g): idle between bytes", after_events=2, seconds=0.05),
    effect("slow_stream", "wire-facts §5.3(g): a pause before every event", fits="stream", seconds=0.01),
    effect("cut", "connection reset in the middle of an event", after_events=2),
    effect("cut_clean", "wire-facts §5.3: neither finish_reason nor end marker", fits="stream", after_events=2),
    effect("missing_done", "wire-facts §5.3: only the end marker is missing", fits="stream"),
    effect("malformed_event", "wire-facts §5.3: data that is no JSON", after_events=2),
    effect(
        "error_event",
        "wire-facts §5.3: mid-stream error",
        fits="stream",
        after_events=2,
        message="The model is overloaded",
    ),
    effect(
        "error_event_envelope",
        "wire-facts §5.3: success:false as stream data (I)",
        fits="stream",
        after_events=2,
        message="The model is overloaded",
    ),
    effect("json_instead_of_stream", "wire-facts §5.3: decide by content type", fits="stream"),
    effect("close_before_response", "connection reset before any byte", layer="edge", retry=True),
    effect("double_done", "wire-facts §5.3: two [DONE] lines (O: decolua/9router#1645)", fits="stream"),
    effect("bare_done", "wire-facts §5.3: [DONE] without data:", fits="stream"),
    effect("crlf", "event streams may end lines in CR LF", fits="stream"),
    effect("comments", "wire-facts §5.3: comments between events", fits="stream"),
    effect("no_space", "wire-facts §5.3: data: without a space after it", fits="stream"),
    effect("bytes", "chunk boundaries anywhere: one byte a write"),
)

EFFECT_FUNCTIONS: Mapping[str, Effect] = {
    "stall": _stall,
    "slow_stream": _slow_stream,
    "cut": _cut,
    "cut_clean": _cut_clean,
    "missing_done": _missing_done,
    "malformed_event": _malformed,
    "error_event": _error_event,
    "error_event_envelope": _error_event_envelope,
    "json_instead_of_stream": _json_instead,
    "close_before_response": _close,
    "double_done": _double_done,
    "bare_done": _bare_done,
    "crlf": _crlf,
    "comments": _comments,
    "no_space": _no_space,
    "bytes": _bytes,
}
"""What plays an effect, by the fault's name."""
