"""A stream of Responses events to core events.

Three rules keep the sum of the events equal to the decoded final body:

- Deltas become events as they come. Whatever `output_item.done` and the final `response.completed` add (text without
  deltas, citations, the item itself for sending it back) becomes events when it comes.
- An item that is not modeled becomes one event with its `output_item.done`; its number is reserved when it begins.
- All other events only carry what `output_item.done` repeats (progress, commands, code, previews of images), so they
  are skipped.

The end marker is `response.completed`, `response.incomplete` or `response.cancelled`; what follows it is not read.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

from cfaig_integrations.core.events import CitationAdded, Event, Finished, PartKind, ReplyExtras, Started, UsageUpdated
from cfaig_integrations.core.json_types import JsonObject
from cfaig_integrations.errors import ProtocolError
from cfaig_integrations.wire.codec import EmbeddedError
from cfaig_integrations.wire.decoder import EventDecoder
from cfaig_integrations.wire.jsonio import as_str, count_of, excerpt, is_error, object_of, objects_of, text_of
from cfaig_integrations.wire.responses.decode import (
    PARAGRAPH,
    citation_of,
    finish_reason,
    parts_of,
    reply_extras,
    require_success,
    turn_extras,
    type_of,
    usage_of,
)
from cfaig_integrations.wire.responses.stream_items import DELTA_OF, OpenItems, OpenPart, kind_of

_CONTINUATIONS: Mapping[object, PartKind] = {
    "response.output_text.delta": "text",
    "response.function_call_arguments.delta": "tool_call",
}
"""Nearly all events are of these types, and continue a part that has begun."""
_ENDS = frozenset({"response.completed", "response.incomplete", "response.cancelled"})
_ITEM_TYPE: Mapping[PartKind, str] = {
    "text": "message",
    "refusal": "message",
    "reasoning": "reasoning",
    "tool_call": "function_call",
    "custom_tool_call": "custom_tool_call",
}
_CONTENT_KIND: Mapping[str, PartKind] = {
    "output_text": "text",
    "text": "text",
    "refusal": "refusal",
    "reasoning_text": "reasoning",
    "summary_text": "reasoning",
}


@dataclass(slots=True, eq=False)
class ResponsesDecoder(EventDecoder):
    """Push decoder of one stream."""

    payload_keys = frozenset({"annotation", "arguments", "delta", "item", "part", "response", "text"})
    _items: OpenItems = field(default_factory=OpenItems)
    _id_and_model: tuple[str, str] = ("", "")

    def _take(self, name: str, event: JsonObject) -> Sequence[Event]:
        type_ = event.get("type")
        kind = _CONTINUATIONS.get(type_)
        if kind is not None:
            part = self._items.find(event)
            text = event.get("delta")
            if part is not None and part.kind == kind and isinstance(text, str) and text and not part.pending:
                part.pieces.append(text)
                return (DELTA_OF[kind](part.number, text),)
        return self._take_type(type_ if isinstance(type_, str) else "", name, event)

    def _take_type(self, type_: str, name: str, event: JsonObject) -> Sequence[Event]:
        if not type_.startswith("response.") and is_error(event):
            raise EmbeddedError(event)
        type_ = type_ if type_ in HANDLERS or name not in HANDLERS else name
        handler = HANDLERS.get(type_)
        if handler is None:
            return () if type_.startswith("response.") else self._take_unknown(event)
        events = handler(self, event)
        self.ended = type_ in _ENDS
        return events

    def _missing(self) -> str:
        return "" if self.ended else "The stream ended before its response.completed."

    def _partial_text(self) -> str:
        return "".join(piece for part in self._items.parts() if part.kind == "text" for piece in part.pieces)

    def created(self, event: JsonObject) -> list[Event]:
        """The reply has an id and a model."""
        response = object_of(event, "response") or {}
        require_success(response)
        return self._started(response)

    def _started(self, response: JsonObject) -> list[Event]:
        id_and_model = (as_str(response.get("id")), as_str(response.get("model")))
        if id_and_model == self._id_and_model:
            return []
        self._id_and_model = id_and_model
        return [Started(*id_and_model)]

    def item_added(self, event: JsonObject) -> list[Event]:
        """An item begins: a reasoning or a call at once, a message with its content, any other when it is done."""
        item = object_of(event, "item") or {}
        type_ = type_of(item, "item")
        open_item = self._items.item(event, item, begins=True)
        events: list[Event] = []
        match type_:
            case "message":
                open_item.announce(item)
            case "reasoning":
                open_item.announce(item)
                open_item.part(0).begin("reasoning", events)
            case "function_call" | "custom_tool_call" if item.get("name"):
                open_item.announce(item)
                if item.get("call_id"):
                    call = parts_of(item)[0]
                    open_item.part(0).begin(kind_of(call), events, call)
            case _:
                pass
        return events

    def item_done(self, event: JsonObject) -> list[Event]:
        """An item is complete."""
        item = object_of(event, "item") or {}
        type_of(item, "item")
        events: list[Event] = []
        self._items.item(event, item).finish(item, events)
        return events

    def content_added(self, event: JsonObject) -> list[Event]:
        """A content part begins, or a section of a reasoning."""
        content = object_of(event, "part") or {"type": "output_text"}
        kind = _CONTENT_KIND.get(type_of(content, "part"))
        events: list[Event] = []
        index = 0 if kind == "reasoning" else event.get("content_index")
        part = self._items.part(event, _ITEM_TYPE[kind or "text"], kind or "text", index, begins=True)
        part.announced = True
        if kind is not None:
            part.begin(kind, events)
            if part.kind == kind and not part.pieces:
                part.pending = text_of(content, "refusal" if kind == "refusal" else "text") or part.pending
        return events

    def content_done(self, event: JsonObject) -> list[Event]:
        """The whole of a content part, or of a section of a reasoning."""
        content = object_of(event, "part") or {}
        match _CONTENT_KIND.get(as_str(content.get("type"))):
            case None:
                return []
            case "reasoning":
                source = "summary" if content["type"] == "summary_text" else "content"
                return self.reasoning({**event, "text": content.get("text")}, source, "text")
            case kind:
                return self.text_done({**event, **content}, kind, "refusal" if kind == "refusal" else "text")

    def annotation(self, event: JsonObject) -> list[Event]:
        """A text cites a source."""
        events: list[Event] = []
        part = self._begun_part(event, "text", events)
        annotation = event.get("annotation")
        if part.kind == "text" and isinstance(annotation, dict):
            part.citations += 1
            events.append(CitationAdded(part.number, citation_of(annotation)))
        return events

    def _begun_part(self, event: JsonObject, kind: PartKind, events: list[Event]) -> OpenPart:
        """The part of an event, begun unless it is a tool call, whose name only the item has."""
        item_type = _ITEM_TYPE[kind]
        index = event.get("content_index") if item_type == "message" else 0
        part = self._items.part(event, item_type, kind, index, begins=False)
        if part.kind is None and kind not in ("tool_call", "custom_tool_call"):
            part.begin(kind, events)
        return part

    def text_delta(self, event: JsonObject, kind: PartKind) -> list[Event]:
        """More of a text, a refusal or the arguments of a call."""
        events: list[Event] = []
        part = self._begun_part(event, kind, events)
        piece = text_of(event, "delta")
        if part.kind == kind:
            part.append(piece, events)
        elif part.kind is None:
            part.pending += piece
        return events

    def text_done(self, event: JsonObject, kind: PartKind, key: str) -> list[Event]:
        """The whole of what came as deltas, if there were any."""
        events: list[Event] = []
        part = self._begun_part(event, kind, events)
        whole = text_of(event, key)
        if part.kind == kind:
            part.complete(whole, events)
        elif part.kind is None:
            part.pending = whole or part.pending
        return events

    def reasoning(self, event: JsonObject, source: str, key: str) -> list[Event]:
        """More of a section of the reasoning, or a whole section, which is skipped if it had deltas.

        Where a vendor sends both a summary and the reasoning itself, the one that comes first is the text.
        """
        events: list[Event] = []
        part = self._begun_part(event, "reasoning", events)
        text, index = text_of(event, key), count_of(event.get(f"{source}_index"))
        if not text or part.kind != "reasoning" or (part.section and part.section[0] != source):
            return events
        section = (source, index)
        if part.section and None in (index, part.section[1]):
            section = part.section = (source, part.section[1] if index is None else index)
        whole = key == "text"
        if whole and (section == part.section or "".join(part.pieces).endswith(text)):
            return events
        if section != part.section:
            text = PARAGRAPH + text if part.section else text
            part.section = section
        part.append(text, events)
        return events

    def completed(self, event: JsonObject) -> list[Event]:
        """The end, with the response object: whatever it has beyond the events before it."""
        response = object_of(event, "response") or {}
        if not response:
            raise ProtocolError("The last event of the stream holds no response.", body=excerpt(str(event)))
        require_success(response)
        output = objects_of(response, "output")
        if response.get("output") is None and not self._items.items():
            raise ProtocolError("The stream ended without any output.", body=excerpt(str(event)))
        events: list[Event] = []
        for open_item, item in self._items.match(output):
            open_item.finish(item, events)
        for open_item in self._items.items():
            open_item.flush(events)
        events += self._started(response)
        if extras := reply_extras(response):
            events.append(ReplyExtras(extras))
        if extras := turn_extras(response):
            events.append(ReplyExtras(extras, turn=True))
        if usage := usage_of(response):
            events.append(UsageUpdated(usage))
        kinds = {part.kind for part in self._items.parts()}
        status = as_str(response.get("status")) or as_str(event.get("type")).removeprefix("response.")
        called = not kinds.isdisjoint({"tool_call", "custom_tool_call"})
        events.append(
            Finished(*finish_reason({**response, "status": status}, called=called, refused="refusal" in kinds))
        )
        return events

    def failed(self, event: JsonObject) -> list[Event]:
        """The end of a response that failed: an error with the response object, whose `error` has the reason."""
        response = event.get("response")
        raise EmbeddedError(response if response and isinstance(response, dict) else event)


HANDLERS: Mapping[str, Callable[[ResponsesDecoder, JsonObject], Sequence[Event]]] = {
    "response.output_text.delta": partial(ResponsesDecoder.text_delta, kind="text"),
    "response.refusal.delta": partial(ResponsesDecoder.text_delta, kind="refusal"),
    "response.function_call_arguments.delta": partial(ResponsesDecoder.text_delta, kind="tool_call"),
    "response.custom_tool_call_input.delta": partial(ResponsesDecoder.text_delta, kind="custom_tool_call"),
    "response.reasoning_summary_text.delta": partial(ResponsesDecoder.reasoning, source="summary", key="delta"),
    "response.reasoning_text.delta": partial(ResponsesDecoder.reasoning, source="content", key="delta"),
    "response.output_text.done": partial(ResponsesDecoder.text_done, kind="text", key="text"),
    "response.refusal.done": partial(ResponsesDecoder.text_done, kind="refusal", key="refusal"),
    "response.function_call_arguments.done": partial(ResponsesDecoder.text_done, kind="tool_call", key="arguments"),
    "response.custom_tool_call_input.done": partial(ResponsesDecoder.text_done, kind="custom_tool_call", key="input"),
    "response.reasoning_summary_text.done": partial(ResponsesDecoder.reasoning, source="summary", key="text"),
    "response.reasoning_text.done": partial(ResponsesDecoder.reasoning, source="content", key="text"),
    "response.output_text.annotation.added": ResponsesDecoder.annotation,
    "response.content_part.added": ResponsesDecoder.content_added,
    "response.content_part.done": ResponsesDecoder.content_done,
    "response.reasoning_part.added": ResponsesDecoder.content_added,
    "response.reasoning_part.done": ResponsesDecoder.content_done,
    "response.reasoning_summary_part.added": ResponsesDecoder.content_added,
    "response.reasoning_summary_part.done": ResponsesDecoder.content_done,
    "response.output_item.added": ResponsesDecoder.item_added,
    "response.output_item.done": ResponsesDecoder.item_done,
    "response.created": ResponsesDecoder.created,
    "response.completed": ResponsesDecoder.completed,
    "response.incomplete": ResponsesDecoder.completed,
    "response.cancelled": ResponsesDecoder.completed,
    "response.failed": ResponsesDecoder.failed,
    "response.error": ResponsesDecoder.failed,
}
"""The event types that are read; `output_item.done` repeats what all others carry."""
