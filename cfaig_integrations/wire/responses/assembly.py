"""What each kind of Responses event adds to the reply."""

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
from cfaig_integrations.wire.codec import EmbeddedError
from cfaig_integrations.wire.common import as_str
from cfaig_integrations.wire.fields import count_of, is_object, object_of, objects_of, text_of
from cfaig_integrations.wire.jsonio import excerpt, is_object_text
from cfaig_integrations.wire.responses.answer import facts_of, finish_of, require_success, stored_of, usage_of
from cfaig_integrations.wire.responses.items import PARAGRAPH, citation_of, parts_of, type_of
from cfaig_integrations.wire.responses.output_items import Item, Places, Slot

_Delta: TypeAlias = TextDelta | RefusalDelta | ReasoningDelta | ArgumentsDelta

DELTA_OF: Mapping[PartKind, type[_Delta]] = {
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
    "summary_text": "reasoning",
}


class Assembly:
    """The reply of one stream under way; each method takes one event and says what is new."""

    __slots__ = ("_named", "places")

    def __init__(self) -> None:
        self.places = Places()
        self._named = ("", "")

    def created(self, event: dict[str, Any]) -> list[Event]:
        """The reply has an id and a model."""
        answer = object_of(event, "response") or {}
        require_success(answer)
        return self._identified(answer)

    def _identified(self, answer: dict[str, Any]) -> list[Event]:
        known = (as_str(answer.get("id")), as_str(answer.get("model")))
        if known == self._named:
            return []
        self._named = known
        return [Started(*known)]

    def item_added(self, event: dict[str, Any]) -> list[Event]:
        """An item begins: a reasoning or a call at once, a message with its content, any other when it is done."""
        item = object_of(event, "item") or {}
        kind = type_of(item, "item")
        place = self.places.item(event, item, begins=True)
        out: list[Event] = []
        match kind:
            case "message":
                _promise(place, item)
            case "reasoning":
                _promise(place, item)
                _begin(place.slot(0), "reasoning", out)
            case "function_call" | "custom_tool_call" if item.get("name"):
                _promise(place, item)
                if item.get("call_id"):
                    call = parts_of(item)[0]
                    _begin(place.slot(0), _kind_of(call), out, call)
            case _:
                pass
        return out

    def item_done(self, event: dict[str, Any]) -> list[Event]:
        """An item is complete."""
        item = object_of(event, "item") or {}
        type_of(item, "item")
        out: list[Event] = []
        _settle_item(self.places.item(event, item), item, out)
        return out

    def content_added(self, event: dict[str, Any]) -> list[Event]:
        """A content part begins, or a section of a reasoning."""
        part = object_of(event, "part") or {"type": "output_text"}
        kind = _KIND_OF_CONTENT.get(type_of(part, "part"))
        out: list[Event] = []
        index = 0 if kind == "reasoning" else event.get("content_index")
        slot = self.places.slot(event, _ITEM_OF[kind or "text"], kind or "text", index, begins=True)
        slot.announced = True
        if kind is not None:
            _begin(slot, kind, out)
            if slot.kind == kind and not slot.pieces:
                slot.given = text_of(part, "refusal" if kind == "refusal" else "text") or slot.given
        return out

    def content_done(self, event: dict[str, Any]) -> list[Event]:
        """The whole of a content part, or of a section of a reasoning."""
        part = object_of(event, "part") or {}
        match _KIND_OF_CONTENT.get(as_str(part.get("type"))):
            case None:
                return []
            case "reasoning":
                source = "summary" if part["type"] == "summary_text" else "content"
                return self.reason({**event, "text": part.get("text")}, source, "text")
            case kind:
                return self.fill({**event, **part}, kind, "refusal" if kind == "refusal" else "text")

    def annotation(self, event: dict[str, Any]) -> list[Event]:
        """A text cites a source."""
        out: list[Event] = []
        slot = self._opened(event, "text", out)
        cited = event.get("annotation")
        if slot.kind == "text" and is_object(cited):
            slot.cited += 1
            out.append(CitationAdded(slot.number, citation_of(cited)))
        return out

    def _opened(self, event: dict[str, Any], kind: PartKind, out: list[Event]) -> Slot:
        """The slot that an event speaks of, begun unless it is a tool call, whose name only the item tells."""
        type_ = _ITEM_OF[kind]
        index = event.get("content_index") if type_ == "message" else 0
        slot = self.places.slot(event, type_, kind, index, begins=False)
        if slot.kind is None and kind not in ("tool_call", "custom_tool_call"):
            _begin(slot, kind, out)
        return slot

    def grow(self, event: dict[str, Any], kind: PartKind) -> list[Event]:
        """More of a text, a refusal or the arguments of a call."""
        out: list[Event] = []
        slot = self._opened(event, kind, out)
        piece = text_of(event, "delta")
        if slot.kind == kind:
            _grow(slot, piece, out)
        elif slot.kind is None:
            slot.given += piece
        return out

    def fill(self, event: dict[str, Any], kind: PartKind, field: str) -> list[Event]:
        """The whole of what `grow` took in pieces, if there were any."""
        out: list[Event] = []
        slot = self._opened(event, kind, out)
        whole = text_of(event, field)
        if slot.kind == kind:
            _catch_up(slot, whole, out)
        elif slot.kind is None:
            slot.given = whole or slot.given
        return out

    def reason(self, event: dict[str, Any], source: str, field: str) -> list[Event]:
        """More of a section of the reasoning; a section that had deltas is not said again by its `done`.

        Where a vendor tells both a summary and the reasoning itself, the one that comes first is the text.
        """
        out: list[Event] = []
        slot = self._opened(event, "reasoning", out)
        text, index = text_of(event, field), count_of(event.get(f"{source}_index"))
        if not text or slot.kind != "reasoning" or (slot.section and slot.section[0] != source):
            return out
        section = (source, index)
        if slot.section and None in (index, slot.section[1]):
            section = slot.section = (source, slot.section[1] if index is None else index)
        whole = field == "text"
        if whole and (section == slot.section or "".join(slot.pieces).endswith(text)):
            return out
        if section != slot.section:
            text = PARAGRAPH + text if slot.section else text
            slot.section = section
        _grow(slot, text, out)
        return out

    def completed(self, event: dict[str, Any]) -> list[Event]:
        """The end, with the response object: whatever it knows beyond the events before it.

        Raises:
            EmbeddedError: It is an error.
            ProtocolError: There is no response object.
        """
        answer = object_of(event, "response") or {}
        if not answer:
            raise ProtocolError("The last event of the stream holds no response.", body=excerpt(str(event)))
        require_success(answer)
        output = objects_of(answer, "output")
        if answer.get("output") is None and not any(self.places.items()):
            raise ProtocolError("The stream ended without any output.", body=excerpt(str(event)))
        out: list[Event] = []
        for place, item in self.places.matched(output):
            _settle_item(place, item, out)
        for place in self.places.items():
            _keep_promise(place, out)
        out += self._identified(answer)
        facts, usage = facts_of(answer), usage_of(answer)
        if facts:
            out.append(ReplyNoted(facts))
        if stored := stored_of(answer):
            out.append(ReplyNoted(stored, turn=True))
        if usage:
            out.append(UsageUpdated(usage))
        kinds = self.places.kinds()
        called = "tool_call" in kinds or "custom_tool_call" in kinds
        status = as_str(answer.get("status")) or as_str(event.get("type")).removeprefix("response.")
        out.append(Finished(*finish_of({**answer, "status": status}, called=called, refused="refusal" in kinds)))
        return out

    def failed(self, event: dict[str, Any]) -> list[Event]:
        """The end of a response that failed.

        Raises:
            EmbeddedError: Always, with the response object, whose `error` says why.
        """
        answer = event.get("response")
        raise EmbeddedError(answer if answer and is_object(answer) else event)


def _begin(slot: Slot, kind: PartKind, out: list[Event], call: Part | None = None) -> None:
    if slot.kind is None:
        slot.kind = kind
        id_, name = (call.id, call.name) if isinstance(call, ToolCall) else ("", "")
        out.append(PartStarted(slot.number, kind, id=id_, name=name))


def _say(slot: Slot, text: str, out: list[Event]) -> None:
    if text and slot.kind is not None:
        slot.pieces.append(text)
        out.append(DELTA_OF[slot.kind](slot.number, text))


def _grow(slot: Slot, piece: str, out: list[Event]) -> None:
    """Says more; with the first piece, what was said before it, unless the pieces begin that anew."""
    given, slot.given = (slot.given, "") if piece else ("", slot.given)
    if given and not (piece.startswith(given) or given.startswith(piece) or _is_whole_input(slot, given)):
        _say(slot, given, out)
    _say(slot, piece, out)


def _is_whole_input(slot: Slot, text: str) -> bool:
    return slot.kind == "tool_call" and is_object_text(text)


def _catch_up(slot: Slot, whole: str, out: list[Event]) -> None:
    """Says what is missing of a text; where a vendor takes words back, those that were said stand."""
    said = "".join(slot.pieces)
    slot.pieces[:] = [said]
    if whole:
        slot.given = ""
    if len(whole) > len(said) and whole.startswith(said):
        _say(slot, whole[len(said) :], out)


def _promise(place: Item, item: dict[str, Any]) -> None:
    """Remembers what an item says at its beginning; most say nothing yet, and most others repeat it in deltas."""
    words = [_words(part) for part in parts_of(item)]
    if any(words):
        place.added, place.words = item, words


def _keep_promise(place: Item, out: list[Event]) -> None:
    """Says at the end what was only said at the beginning.

    Raises:
        ProtocolError: It belongs to a tool call whose name never came.
    """
    if place.added is not None and not place.settled:
        _settle_item(place, place.added, out)
    for slot in place.slots.values():
        given, slot.given = slot.given, ""
        if given and slot.kind is None:
            raise ProtocolError("The stream has the arguments of a tool call, but not its name.", body=excerpt(given))
        if not slot.pieces:
            _say(slot, given, out)


def _words(part: Part) -> str:
    match part:
        case Text() | Refusal() | Reasoning():
            return part.text
        case ToolCall():
            return part.arguments if part.arguments != "{}" else ""  # which is how some servers begin
        case _:
            return ""


def _settle_item(place: Item, item: dict[str, Any], out: list[Event]) -> None:
    place.settled = True
    for position, part in enumerate(parts_of(item)):
        _settle(place.nth(position), part, out)


def _kind_of(part: Part) -> PartKind:
    match part:
        case Refusal():
            return "refusal"
        case Reasoning():
            return "reasoning"
        case ToolCall():
            return "custom_tool_call" if part.kind == "custom" else "tool_call"
        case _:
            return "text"


def _settle(slot: Slot, part: Part, out: list[Event]) -> None:
    """Says of a finished part whatever its events have not said yet."""
    if not isinstance(part, Text | Refusal | Reasoning | ToolCall):
        if isinstance(part, Opaque) and slot.kind is None and not slot.whole:
            slot.whole = True
            out.append(PartAdded(slot.number, part))
        return
    kind = _kind_of(part)
    _begin(slot, kind, out, part)
    if slot.kind != kind:
        return
    _catch_up(slot, part.arguments if isinstance(part, ToolCall) else part.text, out)
    if isinstance(part, Text):
        out += [CitationAdded(slot.number, citation) for citation in part.citations[slot.cited :]]
        slot.cited = max(slot.cited, len(part.citations))
    if part.extras != slot.noted:
        slot.noted = part.extras
        out.append(PartNoted(slot.number, part.extras))
