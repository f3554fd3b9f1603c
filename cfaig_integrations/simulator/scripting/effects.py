"""What a fault is: who fails and how; and the faults that delay or damage a correct response."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError

from cfaig_integrations.simulator.http.bodies import Shape
from cfaig_integrations.simulator.http.reply import Reply
from cfaig_integrations.simulator.json_types import encode

Kind = Literal["error", "delay", "effect"]
Layer = Literal["edge", "gateway", "provider"]
Fits = Literal["any", "stream", "whole"]
_Seconds = Annotated[float, Field(ge=0, lt=1e9)]
_Header = Annotated[str, Field(pattern=r"^[ -~]*$")]


class _Details(BaseModel):
    """What the details of a fault must be."""

    model_config = ConfigDict(strict=True)

    status: int = Field(200, ge=200, le=599)
    code: int | str | None = None
    message: str = ""
    shape: Shape | Literal["provider"] | None = None
    retry_after: _Seconds | None = None
    http_date: bool = False
    headers: dict[_Header, _Header] = {}
    extra: dict[str, JsonValue] = {}
    seconds: _Seconds = 0.0


@dataclass(frozen=True, slots=True)
class Fault:
    """One kind of failure."""

    name: str
    kind: Kind
    source: str  # the evidence for it
    status: int = 200
    code: int | str | None = None
    message: str = ""  # `{request}` is replaced by a request id
    shape: Shape | Literal["provider"] | None = None
    """Body shape; None for the endpoint's usual one, `provider` for that of the model's vendor."""
    layer: Layer = "provider"
    """Who fails: the gateway itself retries only provider errors, and errors at the edge leave no log entry."""
    retry: bool | None = None  # whether a client should retry; None where that depends on what it has already read
    fits: Fits = "any"
    details: Mapping[str, Any] = dataclasses.field(default_factory=dict[str, Any])
    """The details that a script may change, with their defaults."""

    def detailed(self, changes: Mapping[str, Any]) -> Mapping[str, Any]:
        """The details with these changes."""
        unknown = changes.keys() - self.details.keys()
        if unknown:
            available = ", ".join(sorted(self.details)) or "none"
            raise TypeError(f"fault {self.name!r} has no detail {sorted(unknown)}; use one of: {available}")
        try:
            _Details.model_validate(dict(changes))
        except ValidationError as error:
            first = error.errors()[0]
            name = str(first["loc"][0])
            problem = f"{name}={changes[name]!r:.80} is not valid for the fault {self.name!r}"
            raise ValueError(f"{problem}: {first['msg']}") from None
        return {**self.details, **changes}


def make_error(
    name: str,
    status: int,
    code: int | str | None,
    message: str,
    *,
    source: str,
    retry: bool = False,
    layer: Layer = "provider",
    shape: Shape | Literal["provider"] | None = None,
    **changes: Any,
) -> Fault:
    """A fault of kind `error`: an HTTP response that reports a failure; `changes` are further details."""
    details: dict[str, Any] = {
        "status": status, "code": code, "message": message, "shape": shape, "retry_after": None, "http_date": False,
        "headers": {}, "extra": {}, **changes,
    }  # fmt: skip
    return Fault(name, "error", source, status, code, message, shape, layer, retry, "any", details)


Effect = Callable[[Reply, Mapping[str, Any], Callable[[str], bytes]], None]
"""Damages a reply; with the details of the fault, and what makes an error inside a stream in the provider's format."""
Change = Callable[[list[bytes], Mapping[str, Any]], list[bytes]]
"""The chunks of a reply that is damaged."""
DELAYS = (
    Fault("slow_first_byte", "delay", "facts §8.1: the first byte is late", details={"seconds": 0.05}),
    Fault("busy", "delay", "facts §1.2: queued, or 429/3040 with rejectIfBusy", details={"seconds": 0.05}),
)
EFFECT_FAULTS: list[Fault] = []
EFFECT_FUNCTIONS: dict[str, Effect] = {}
"""The function that applies an effect, by the fault's name."""


def _add(
    name: str, source: str, effect: Effect, *, fits: Fits = "any", layer: Layer = "provider", retry: bool | None = None,
    **details: Any,
) -> None:  # fmt: skip
    """Add a fault of kind `effect`, with the defaults of its details."""
    EFFECT_FAULTS.append(Fault(name, "effect", source, layer=layer, retry=retry, fits=fits, details=details))
    EFFECT_FUNCTIONS[name] = effect


def _add_change(name: str, source: str, change: Change, **details: Any) -> None:
    """Add an effect on the chunks of a stream."""

    def effect(reply: Reply, details: Mapping[str, Any], _: Callable[[str], bytes]) -> None:
        reply.chunks = change(reply.chunks, details)

    _add(name, source, effect, fits="stream", **details)


def _at(chunks: list[bytes], details: Mapping[str, Any]) -> int:
    return max(0, min(int(details["after_events"]), len(chunks) - 1))


def _halves(reply: Reply) -> None:
    """Split a body into two chunks, so that there is a middle to fail in."""
    if not reply.streamed and len(reply.chunks) == 1:
        body = reply.chunks[0]
        reply.chunks = [body[: len(body) // 2], body[len(body) // 2 :]]


def _stall(reply: Reply, details: Mapping[str, Any], _: Callable[[str], bytes]) -> None:
    _halves(reply)
    reply.pauses[_at(reply.chunks, details)] = float(details["seconds"])


def _slow_stream(reply: Reply, details: Mapping[str, Any], _: Callable[[str], bytes]) -> None:
    reply.pauses = dict.fromkeys(range(len(reply.chunks)), float(details["seconds"]))


def _cut(reply: Reply, details: Mapping[str, Any], _: Callable[[str], bytes]) -> None:
    if not reply.streamed:
        reply.length = len(reply.body)
        _halves(reply)
        reply.chunks = reply.chunks[:1]
    else:
        at = _at(reply.chunks, details)
        reply.chunks = [*reply.chunks[:at], reply.chunks[at][: len(reply.chunks[at]) // 2]]
    reply.ending = "close"


def _malformed(reply: Reply, details: Mapping[str, Any], _: Callable[[str], bytes]) -> None:
    if not reply.streamed:
        reply.chunks = [reply.body[: len(reply.body) // 2]]
    else:
        reply.chunks.insert(_at(reply.chunks, details), b'data: {"choices":[{"delta":{"content":"\n\n')


def _error_event(reply: Reply, details: Mapping[str, Any], error_event: Callable[[str], bytes]) -> None:
    reply.chunks = [*reply.chunks[: _at(reply.chunks, details)], error_event(str(details["message"]))]


def _json_instead(reply: Reply, _: Mapping[str, Any], __: Callable[[str], bytes]) -> None:
    reply.chunks = [reply.whole()] if reply.whole is not None else [reply.body]
    reply.content_type, reply.streamed = "application/json", False


def _close(reply: Reply, _: Mapping[str, Any], __: Callable[[str], bytes]) -> None:
    reply.ending = "reset_first"


def _bytes(reply: Reply, _: Mapping[str, Any], __: Callable[[str], bytes]) -> None:
    reply.chunks, reply.pauses = [bytes([byte]) for byte in reply.body], {}


def _envelope(details: Mapping[str, Any]) -> bytes:
    body = {"success": False, "errors": [{"code": 3040, "message": details["message"]}], "result": None}
    return b"data: " + encode(body) + b"\n\n"


def _without_spaces(chunk: bytes) -> bytes:
    return b"\n".join(b"data:" + line[6:] if line.startswith(b"data: ") else line for line in chunk.split(b"\n"))


_OVERLOADED = "The model is overloaded"
_DONE = b"[DONE]"
# fmt: off
_add("stall", "facts §5.3(g): idle between bytes", _stall, after_events=2, seconds=0.05)
_add("slow_stream", "facts §5.3(g): a pause before every event", _slow_stream, fits="stream", seconds=0.01)
_add("cut", "connection closed in the middle of an event", _cut, after_events=2)
_add_change("cut_clean", "facts §5.3: neither finish_reason nor end marker",
    lambda chunks, details: chunks[: _at(chunks, details)], after_events=2)
_add_change("missing_done", "facts §5.3: only the end marker is missing", lambda chunks, _: chunks[:-1])
_add("malformed_event", "facts §5.3: data that is no JSON", _malformed, after_events=2)
_add("error_event", "facts §5.3: mid-stream error", _error_event, fits="stream", after_events=2, message=_OVERLOADED)
_add_change("error_event_envelope", "facts §5.3: success:false as stream data (I)",
    lambda chunks, details: [*chunks[: _at(chunks, details)], _envelope(details)], after_events=2, message=_OVERLOADED)
_add("json_instead_of_stream", "facts §5.3: decide by content type", _json_instead, fits="stream")
_add("close_before_response", "connection reset before any byte", _close, layer="edge", retry=True)
_add_change("double_done", "facts §5.3: two [DONE] lines (O: decolua/9router#1645)",
    lambda chunks, _: [*chunks, *(chunk for chunk in chunks[-1:] if _DONE in chunk)])
_add_change("bare_done", "facts §5.3: [DONE] without data:",
    lambda chunks, _: [_DONE + b"\n\n" if chunk.strip() == b"data: " + _DONE else chunk for chunk in chunks])
_add_change("crlf", "event streams may end lines in CR LF",
    lambda chunks, _: [chunk.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n") for chunk in chunks])
_add_change("comments", "facts §5.3: comments between events",
    lambda chunks, _: [part for chunk in chunks for part in (b": keep-alive\n\n", b":\n" + chunk)])
_add_change("no_space", "facts §5.3: data: without a space after it",
    lambda chunks, _: [_without_spaces(chunk) for chunk in chunks])
_add("bytes", "chunk boundaries anywhere: one byte a write", _bytes)
# fmt: on
