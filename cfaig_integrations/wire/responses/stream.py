"""A stream of Responses events to core events.

Knows nothing of HTTP and requests. Three rules keep the sum of the events equal to the decoded final body:

- Deltas are passed on as they come. What `output_item.done` and the final `response.completed` know beyond them
  (text that had no deltas, citations, the item's own words for echoing) is passed on when it comes.
- An item that is not modelled comes whole with its `output_item.done`; its place is kept from the moment it begins.
- Events of every other kind carry nothing that `output_item.done` does not repeat (progress, commands, code, partial
  images, which are previews), so they are skipped, by name and before parsing where the stream names its events.

The end marker is `response.completed`, `response.incomplete` or `response.cancelled`; what follows it is not read.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

from cfaig_integrations.core.events import Event, PartKind, TextDelta
from cfaig_integrations.errors import ProtocolError, StreamBroken
from cfaig_integrations.wire.codec import Refused
from cfaig_integrations.wire.common import says_error
from cfaig_integrations.wire.jsonio import load_object
from cfaig_integrations.wire.responses.assembly import Assembly

_NOTHING: tuple[Event, ...] = ()
_COMMONEST = "response.output_text.delta"
_ENDS = frozenset({"response.completed", "response.incomplete", "response.cancelled"})


class ResponsesDecoder:
    """Push decoder of one stream."""

    __slots__ = ("_broken", "_reply", "ended", "keep_alives")

    def __init__(self) -> None:
        self._reply = Assembly()
        self.ended = False
        self.keep_alives = 0
        self._broken: ProtocolError | None = None

    def feed(self, name: str, data: bytes) -> Sequence[Event]:
        """The events of one server-sent event.

        Raises:
            ProtocolError: The event before this one was broken.
            Refused: The event is an error.
        """
        if self.ended or (name not in _HANDLERS and name.startswith("response.")):
            return _NOTHING
        if not data.startswith(b"{"):
            data = data.lstrip()
            if not data.startswith(b"{"):  # `[DONE]` of imitators, keep-alive words
                self.keep_alives += 1
                return _NOTHING
        if self._broken:
            raise self._broken
        try:
            event = load_object(data, repair=False)
        except ProtocolError as error:
            self._broken = error  # a cut, if nothing follows
            return _NOTHING
        kind = event.get("type") or name
        if kind == _COMMONEST:
            slot = self._reply.places.found(event.get("output_index"), event.get("content_index"))
            text = event.get("delta")
            if slot is not None and slot.kind == "text" and isinstance(text, str) and text:
                slot.pieces.append(text)
                return (TextDelta(slot.number, text),)
        return self._rare(kind, event)

    def _rare(self, kind: Any, event: dict[str, Any]) -> Sequence[Event]:
        kind = kind if isinstance(kind, str) else ""
        handler = _HANDLERS.get(kind)
        if ("type" not in event or not kind.startswith("response.")) and says_error(event):
            raise Refused(event)
        if handler is None:
            return _NOTHING
        events = handler(self._reply, event)
        self.ended = kind in _ENDS
        return events

    def close(self) -> Sequence[Event]:
        """Nothing, if the stream was whole.

        Raises:
            StreamBroken: It was not.
        """
        if not self.ended:
            raise StreamBroken(
                "The stream ended before its response.completed.",
                body=self._broken.body if self._broken else None,
                partial=self._reply.places.text(),
            )
        return _NOTHING


_Handler: TypeAlias = Callable[[Assembly, dict[str, Any]], Sequence[Event]]


def _grows(kind: PartKind) -> _Handler:
    return lambda reply, event: reply.grow(event, kind)


def _fills(kind: PartKind, field: str) -> _Handler:
    return lambda reply, event: reply.fill(event, kind, field)


def _reasons(source: str, field: str) -> _Handler:
    return lambda reply, event: reply.reason(event, source, field)


_HANDLERS: Mapping[str, _Handler] = {
    _COMMONEST: _grows("text"),
    "response.refusal.delta": _grows("refusal"),
    "response.function_call_arguments.delta": _grows("tool_call"),
    "response.custom_tool_call_input.delta": _grows("custom_tool_call"),
    "response.reasoning_summary_text.delta": _reasons("summary", "delta"),
    "response.reasoning_text.delta": _reasons("content", "delta"),
    "response.output_text.done": _fills("text", "text"),
    "response.refusal.done": _fills("refusal", "refusal"),
    "response.function_call_arguments.done": _fills("tool_call", "arguments"),
    "response.custom_tool_call_input.done": _fills("custom_tool_call", "input"),
    "response.reasoning_summary_text.done": _reasons("summary", "text"),
    "response.reasoning_text.done": _reasons("content", "text"),
    "response.output_text.annotation.added": Assembly.annotation,
    "response.content_part.added": Assembly.content_added,
    "response.output_item.added": Assembly.item_added,
    "response.output_item.done": Assembly.item_done,
    "response.created": Assembly.created,
    "response.completed": Assembly.completed,
    "response.incomplete": Assembly.completed,
    "response.cancelled": Assembly.completed,
    "response.failed": Assembly.failed,
    "response.error": Assembly.failed,
}

HANDLED = frozenset(_HANDLERS)
"""The event kinds that say something new; all others are repeated by `output_item.done`."""
