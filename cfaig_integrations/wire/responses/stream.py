"""A stream of Responses events to core events.

Three rules keep the sum of the events equal to the decoded final body:

- Deltas are passed on as they come. What `output_item.done` and the final `response.completed` know beyond them
  (text that had no deltas, citations, the item's own words for echoing) is passed on when it comes.
- An item that is not modelled comes whole with its `output_item.done`; its place is kept from the moment it begins.
- Events of every other kind carry nothing that `output_item.done` does not repeat (progress, commands, code, partial
  images, which are previews), so they are skipped.

The end marker is `response.completed`, `response.incomplete` or `response.cancelled`; what follows it is not read.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

from cfaig_integrations.core.events import Event, PartKind
from cfaig_integrations.wire.codec import EmbeddedError
from cfaig_integrations.wire.common import is_error
from cfaig_integrations.wire.decoder import EventDecoder
from cfaig_integrations.wire.responses.assembly import DELTA_OF, Assembly

_COMMON: Mapping[Any, PartKind] = {
    "response.output_text.delta": "text",
    "response.function_call_arguments.delta": "tool_call",
}
"""Nearly all events are of these kinds, and go on with a part that has begun."""
_ENDS = frozenset({"response.completed", "response.incomplete", "response.cancelled"})


class ResponsesDecoder(EventDecoder):
    """Push decoder of one stream."""

    __slots__ = ("_reply",)
    payload = frozenset({"annotation", "arguments", "delta", "item", "part", "response", "text"})

    def __init__(self) -> None:
        super().__init__()
        self._reply = Assembly()

    def take(self, name: str, event: dict[str, Any]) -> Sequence[Event]:
        """The events of one JSON object."""
        common = _COMMON.get(event.get("type"))
        if common is not None:
            slot = self._reply.places.found(event)
            text = event.get("delta")
            if slot is not None and slot.kind == common and type(text) is str and text and not slot.given:
                slot.pieces.append(text)
                return (DELTA_OF[common](slot.number, text),)
        return self._rare(name, event)

    def _rare(self, name: str, event: dict[str, Any]) -> Sequence[Event]:
        type_ = event.get("type")
        kind = type_ if isinstance(type_, str) else ""
        if not kind.startswith("response.") and is_error(event):
            raise EmbeddedError(event)
        kind = kind if kind in _HANDLERS or name not in _HANDLERS else name
        handler = _HANDLERS.get(kind)
        if handler is None:
            return () if kind.startswith("response.") else self.take_unknown(event)
        events = handler(self._reply, event)
        self.ended = kind in _ENDS
        return events

    def close(self) -> Sequence[Event]:
        """Nothing, if the stream was whole.

        Raises:
            StreamBroken: It was not.
            EmbeddedError: The last event was an error.
        """
        if not self.ended:
            raise self.cut("The stream ended before its response.completed.", self._reply.places.text())
        return ()


_Handler: TypeAlias = Callable[[Assembly, dict[str, Any]], Sequence[Event]]


def _grows(kind: PartKind) -> _Handler:
    return lambda reply, event: reply.grow(event, kind)


def _fills(kind: PartKind, field: str) -> _Handler:
    return lambda reply, event: reply.fill(event, kind, field)


def _reasons(source: str, field: str) -> _Handler:
    return lambda reply, event: reply.reason(event, source, field)


_HANDLERS: Mapping[str, _Handler] = {
    "response.output_text.delta": _grows("text"),
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
    "response.content_part.done": Assembly.content_done,
    "response.reasoning_part.added": Assembly.content_added,
    "response.reasoning_part.done": Assembly.content_done,
    "response.reasoning_summary_part.added": Assembly.content_added,
    "response.reasoning_summary_part.done": Assembly.content_done,
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
