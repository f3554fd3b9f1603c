"""What each kind of Responses event adds to the reply.

Knows neither bytes nor event names: `stream.py` has the table that says which method takes which event.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

from cfaig_integrations.core.content import Opaque, Part, Reasoning, Refusal, Text, ToolCall
from cfaig_integrations.core.events import (
    ArgumentsDelta,
    CitationAdded,
    Event,
    Finished,
    PartAdded,
    PartKind,
    PartNoted,
    PartStarted,
    ReasoningDelta,
    RefusalDelta,
    ReplyNoted,
    Started,
    TextDelta,
    UsageUpdated,
)
from cfaig_integrations.errors import ProtocolError
from cfaig_integrations.wire.codec import Refused
from cfaig_integrations.wire.jsonio import excerpt
from cfaig_integrations.wire.responses.answer import facts_of, finish_of, require_success, usage_of
from cfaig_integrations.wire.responses.items import PARAGRAPH, as_text, citation_of, objects, parts_of
from cfaig_integrations.wire.responses.places import Item, Places, Slot

_Delta: TypeAlias = TextDelta | RefusalDelta | ReasoningDelta | ArgumentsDelta

_DELTA_OF: Mapping[PartKind, type[_Delta]] = {
    "text": TextDelta,
    "refusal": RefusalDelta,
    "reasoning": ReasoningDelta,
    "tool_call": ArgumentsDelta,
    "custom_tool_call": ArgumentsDelta,
}

_ITEM_OF: Mapping[PartKind, str] = {
    "text": "message",
    "refusal": "message",
    "reasoning": "reasoning",
    "tool_call": "function_call",
    "custom_tool_call": "custom_tool_call",
}

_KIND_OF_CONTENT: Mapping[str, PartKind] = {
    "output_text": "text",
    "text": "text",
    "refusal": "refusal",
    "reasoning_text": "reasoning",
}


class Assembly:
    """The reply of one stream under way; each method takes one event and says what is new."""

    __slots__ = ("_named", "places")

    def __init__(self) -> None:
        self.places = Places()
        self._named = ("", "")

    def created(self, event: dict[str, Any]) -> list[Event]:
        """The reply has an id and a model."""
        answer = _object(event, "response")
        require_success(answer)
        return self._identified(answer)

    def _identified(self, answer: dict[str, Any]) -> list[Event]:
        known = (as_text(answer.get("id")), as_text(answer.get("model")))
        if known == self._named:
            return []
        self._named = known
        return [Started(*known)]

    def item_added(self, event: dict[str, Any]) -> list[Event]:
        """An item begins: a reasoning or a call at once, a message with its content, any other when it is done."""
        item = _object(event, "item")
        place = self.places.item(event, item, begins=True)
        out: list[Event] = []
        match item.get("type"):
            case "reasoning":
                _begin(place.slot(0), "reasoning", out)
            case "function_call" | "custom_tool_call" as kind if item.get("call_id") and item.get("name"):
                call = parts_of({**item, "arguments": "", "input": ""})[0]
                _begin(place.slot(0), "tool_call" if kind == "function_call" else "custom_tool_call", out, call)
            case _:
                pass
        return out

    def item_done(self, event: dict[str, Any]) -> list[Event]:
        """An item is complete."""
        item = _object(event, "item")
        out: list[Event] = []
        _settle_item(self.places.item(event, item), item, out)
        return out

    def content_added(self, event: dict[str, Any]) -> list[Event]:
        """A content part begins."""
        kind = _KIND_OF_CONTENT.get(as_text(_object(event, "part").get("type")))
        out: list[Event] = []
        slot = self.places.slot(
            event,
            _ITEM_OF[kind or "text"],
            0 if kind == "reasoning" else event.get("content_index"),
        )
        if kind is not None and slot.kind is None:
            _begin(slot, kind, out)
        return out

    def annotation(self, event: dict[str, Any]) -> list[Event]:
        """A text cites a source."""
        out: list[Event] = []
        slot = self._opened(event, "text", out)
        if slot.kind == "text":
            slot.cited += 1
            out.append(CitationAdded(slot.number, citation_of(_object(event, "annotation"))))
        return out

    def _opened(self, event: dict[str, Any], kind: PartKind, out: list[Event]) -> Slot:
        """The slot that an event speaks of, begun unless it is a tool call, whose name only the item tells."""
        type_ = _ITEM_OF[kind]
        slot = self.places.slot(event, type_, event.get("content_index") if type_ == "message" else 0)
        if slot.kind is None and kind not in ("tool_call", "custom_tool_call"):
            _begin(slot, kind, out)
        return slot

    def grow(self, event: dict[str, Any], kind: PartKind) -> list[Event]:
        """More of a text, a refusal or the arguments of a call."""
        out: list[Event] = []
        slot = self._opened(event, kind, out)
        if slot.kind == kind:
            _say(slot, as_text(event.get("delta")), out)
        return out

    def fill(self, event: dict[str, Any], kind: PartKind, field: str) -> list[Event]:
        """The whole of what `grow` took in pieces, if there were any."""
        out: list[Event] = []
        slot = self._opened(event, kind, out)
        if slot.kind == kind:
            _catch_up(slot, as_text(event.get(field)), out)
        return out

    def reason(self, event: dict[str, Any], source: str, field: str) -> list[Event]:
        """More of a section of the reasoning; a section that had deltas is not said again by its `done`.

        Where a vendor tells both a summary and the reasoning itself, the one that comes first is the text.
        """
        out: list[Event] = []
        slot = self._opened(event, "reasoning", out)
        text, section = as_text(event.get(field)), (source, event.get(f"{source}_index"))
        if not text or slot.kind != "reasoning" or (slot.section and slot.section[0] != source):
            return out
        if section != slot.section:
            text = PARAGRAPH + text if slot.section else text
            slot.section = section
        elif field == "text":
            return out
        _say(slot, text, out)
        return out

    def completed(self, event: dict[str, Any]) -> list[Event]:
        """The end, with the response object: whatever it knows beyond the events before it.

        Raises:
            Refused: It is an error.
            ProtocolError: There is no response object.
        """
        answer = _object(event, "response")
        if not answer:
            raise ProtocolError("The last event of the stream holds no response.", body=excerpt(str(event)))
        require_success(answer)
        out: list[Event] = []
        for place, item in self.places.matched(objects(answer.get("output"), "The output")):
            _settle_item(place, item, out)
        out += self._identified(answer)
        facts, usage = facts_of(answer), usage_of(answer)
        if facts:
            out.append(ReplyNoted(facts))
        if usage:
            out.append(UsageUpdated(usage))
        kinds = self.places.kinds()
        called = "tool_call" in kinds or "custom_tool_call" in kinds
        status = {"status": as_text(event.get("type")).removeprefix("response."), **answer}
        out.append(Finished(*finish_of(status, called=called, refused="refusal" in kinds)))
        return out

    def failed(self, event: dict[str, Any]) -> list[Event]:
        """The end of a response that failed.

        Raises:
            Refused: Always, with the response object, whose `error` says why.
        """
        raise Refused(_object(event, "response") or event)


def _object(event: dict[str, Any], field: str) -> dict[str, Any]:
    value = event.get(field)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise ProtocolError(f"The {field} of an event {event.get('type')!r} is no object.", body=excerpt(str(value)))
    return value  # pyright: ignore[reportUnknownVariableType]


def _begin(slot: Slot, kind: PartKind, out: list[Event], call: Part | None = None) -> None:
    if slot.kind is None:
        slot.kind = kind
        id_, name = (call.id, call.name) if isinstance(call, ToolCall) else ("", "")
        out.append(PartStarted(slot.number, kind, id=id_, name=name))


def _say(slot: Slot, text: str, out: list[Event]) -> None:
    if text and slot.kind is not None:
        slot.pieces.append(text)
        out.append(_DELTA_OF[slot.kind](slot.number, text))


def _catch_up(slot: Slot, whole: str, out: list[Event]) -> None:
    """Says what is missing of a text; where a vendor takes words back, those that were said stand."""
    said = "".join(slot.pieces)
    slot.pieces[:] = [said]
    if len(whole) > len(said) and whole.startswith(said):
        _say(slot, whole[len(said) :], out)


def _settle_item(place: Item, item: dict[str, Any], out: list[Event]) -> None:
    place.settled = True
    for position, part in enumerate(parts_of(item)):
        _settle(place.nth(position), part, out)


def _settle(slot: Slot, part: Part, out: list[Event]) -> None:
    """Says of a finished part whatever its events have not said yet."""
    kind: PartKind
    match part:
        case Opaque():
            if slot.kind is None and not slot.whole:
                slot.whole = True
                out.append(PartAdded(slot.number, part))
            return
        case Text():
            kind, text = "text", part.text
        case Refusal():
            kind, text = "refusal", part.text
        case Reasoning():
            kind, text = "reasoning", part.text
        case ToolCall():
            kind, text = ("custom_tool_call" if part.kind == "custom" else "tool_call"), part.arguments
        case _:  # no other part comes from an output item
            return
    _begin(slot, kind, out, part)
    if slot.kind != kind:
        return
    _catch_up(slot, text, out)
    if isinstance(part, Text):
        out += [CitationAdded(slot.number, citation) for citation in part.citations[slot.cited :]]
        slot.cited = max(slot.cited, len(part.citations))
    if part.extras != slot.noted:
        slot.noted = part.extras
        out.append(PartNoted(slot.number, part.extras))
