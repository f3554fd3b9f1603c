"""One answer (a choice): messages and deltas to events.

A whole message is taken as one single delta, so a body and a stream of the same answer add up to the same parts. Within
one delta the order is: reasoning, content, refusal, images, tool calls, audio.
"""

from __future__ import annotations

import base64
import re
from typing import Any

from cfaig_integrations.core.content import Citation, Media, Opaque
from cfaig_integrations.core.events import (
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
    TextDelta,
)
from cfaig_integrations.wire.chat_completions.tool_calls import Calls, Ledger
from cfaig_integrations.wire.chat_completions.values import (
    finish_of,
    is_empty,
    joined,
    joined_objects,
    own,
)
from cfaig_integrations.wire.common import as_str
from cfaig_integrations.wire.fields import as_text, count_of, is_list, is_object, object_of, objects_of

REASONING_FIELDS = ("reasoning_content", "reasoning", "reasoning_text")
"""Where reasoning may stand; some endpoints fill two, and only the first is read (facts §5.2)."""

_SCHEME = re.compile("[A-Za-z][A-Za-z0-9+.-]*:")
_MODELLED = frozenset({"role", "content", "refusal", "tool_calls", "function_call", "audio", "images"})
# A stream's own labels and noise, which no whole message has (facts §5.3).
_NOISE = frozenset({"channel", "token_ids", *REASONING_FIELDS})
_CHOICE_KEYS = frozenset({"index", "delta", "message", "finish_reason", "token_ids"})


class Answer:
    """Takes the deltas of one choice and says what they mean.

    Attributes:
        began: Whether it has any part.
        by_deltas: Whether its deltas are read, so that a message beside them only repeats them.
        word: The provider's word for why it ended.
        finished: Whether a finish reason has come.
    """

    __slots__ = (
        "_audio",
        "_audio_part",
        "_calls",
        "_facts",
        "_first_text",
        "_in_thinking",
        "_ledger",
        "_listed",
        "_logprobs",
        "_number",
        "_reasoning_field",
        "_reasoning_part",
        "_refusal_part",
        "_rest",
        "_text_part",
        "_thinking",
        "began",
        "by_deltas",
        "finished",
        "word",
    )

    def __init__(self, number: int, *, ledger: Ledger) -> None:
        self._number = number
        self._ledger = ledger
        self._calls = Calls(number, ledger=ledger)
        self._reasoning_part: int | None = None
        self._refusal_part: int | None = None
        self._first_text: int | None = None
        self._listed = False
        self._in_thinking = False
        self._thinking: list[tuple[int, list[dict[str, Any]]]] = []
        self._audio: list[dict[str, Any]] = []
        self._audio_part: int | None = None
        self._rest: dict[str, list[Any]] = {}
        self._facts: dict[str, Any] = {}
        self._logprobs: list[Any] = []
        self._reasoning_field = ""
        self._text_part: int | None = None
        self.began = False
        self.by_deltas = False
        self.word = ""
        self.finished = False

    def take(self, delta: dict[str, Any], events: list[Event], *, whole: bool) -> None:
        """Takes a delta, or with `whole` a message."""
        parts = self._ledger.parts
        self._reason(delta, events)
        content = delta.get("content")
        if is_list(content):
            self._take_blocks(content, events)
        elif content is not None and content != "":
            self._add_text(as_text(content), events)
        if refusal := delta.get("refusal"):
            self._refuse(as_text(refusal), events)
        if images := delta.get("images"):
            self._add_images(images, events)
        for raw in objects_of(delta, "tool_calls", one=True):
            self._calls.take(raw, events, whole=whole)
        if (call := object_of(delta, "function_call")) and not is_empty(call):
            self._calls.take(call, events, whole=whole, legacy=True)
        if is_object(audio := delta.get("audio")) and not is_empty(audio):
            self._hear(audio)
        for key, value in delta.items():
            if key not in _MODELLED and key not in _NOISE and not is_empty(value):
                self._rest.setdefault(key, []).append(value)
        self.began = self.began or self._ledger.parts > parts

    def more(self, key: str, value: Any) -> Event | None:
        """The event of a delta that has nothing but `key`, if it only goes on with a part that has begun."""
        if key == "content":
            if self._text_part is not None and type(value) is str:
                return TextDelta(self._text_part, value)
        elif key == self._reasoning_field:
            if self._reasoning_part is not None and type(value) is str:
                return ReasoningDelta(self._reasoning_part, value)
        elif key == "tool_calls":
            return self._calls.more(value)
        return None

    def take_facts(self, choice: dict[str, Any]) -> None:
        """Takes what a choice says besides its message."""
        for key, value in choice.items():
            if key in _CHOICE_KEYS or is_empty(value):
                continue
            if key == "logprobs":
                self._logprobs.append(value)
            else:
                self._facts[key] = value
        if word := as_str(choice.get("finish_reason")):  # empty in every chunk of some servers, facts §14.2
            self.finished = True
            self.word = word

    def _start(self, kind: PartKind, events: list[Event]) -> int:
        part = self._ledger.number()
        events.append(PartStarted(part, kind, self._number))
        return part

    def _reason(self, delta: dict[str, Any], events: list[Event]) -> None:
        field = next((name for name in REASONING_FIELDS if delta.get(name)), None)
        if field is not None:
            text = as_text(delta[field])
        elif self._reasoning_field in ("", "reasoning_details") and (details := delta.get("reasoning_details")):
            field, text = "reasoning_details", _told_in(details)
        else:
            return
        if not text:
            return
        if self._reasoning_part is None:
            self._reasoning_field = field
            self._reasoning_part = self._start("reasoning", events)
            events.append(PartNoted(self._reasoning_part, own({"field": field})))
        events.append(ReasoningDelta(self._reasoning_part, text))

    def _add_text(self, text: str, events: list[Event]) -> None:
        if self._text_part is None:
            self._text_part = self._start_text(events)
        events.append(TextDelta(self._text_part, text))

    def _start_text(self, events: list[Event]) -> int:
        part = self._start("text", events)
        self._in_thinking = False
        if self._first_text is None:
            self._first_text = part
        return part

    def _take_blocks(self, blocks: list[Any], events: list[Event]) -> None:
        """Takes a list of blocks, as reasoning models of Mistral's write their content."""
        self._listed = self._listed or bool(blocks)
        for block in blocks:
            if not is_object(block):
                if block is not None:
                    self._add_text(as_text(block), events)
                continue
            kind = block.get("type")
            match kind if isinstance(kind, str) or "text" not in block else "text":
                case "thinking":
                    self._think(block, events)
                case "text" if block.keys() <= {"type", "text"}:
                    if (text := block.get("text")) is not None and text != "":
                        self._add_text(as_text(text), events)
                case "text":
                    self._add_marked_text(block, events)
                case _:
                    events.append(PartAdded(self._ledger.number(), Opaque("chat_completions", block), self._number))
                    self._text_part, self._in_thinking = None, False

    def _add_marked_text(self, block: dict[str, Any], events: list[Event]) -> None:
        """Adds a text block with further keys: a part for itself."""
        part = self._start_text(events)
        text = block.get("text")
        events.append(TextDelta(part, "" if text is None else as_text(text)))
        events.append(PartNoted(part, own({key: block[key] for key in block if key not in ("type", "text")})))
        self._text_part = None

    def _think(self, block: dict[str, Any], events: list[Event]) -> None:
        if not self._in_thinking:
            self._thinking.append((self._start("reasoning", events), []))
            self._in_thinking, self._text_part = True, None
        part, pieces = self._thinking[-1]
        pieces.append(block)
        inner = block.get("thinking")
        text = inner if isinstance(inner, str) else "".join(_texts(inner))
        if text:
            events.append(ReasoningDelta(part, text))

    def _refuse(self, text: str, events: list[Event]) -> None:
        if self._refusal_part is None:
            self._refusal_part = self._start("refusal", events)
        events.append(RefusalDelta(self._refusal_part, text))

    def _add_images(self, images: Any, events: list[Event]) -> None:
        for image in filter(is_object, images if is_list(images) else ()):
            self._add_image(image, events)

    def _add_image(self, image: dict[str, Any], events: list[Event]) -> None:
        inner = image.get("image_url")
        url = inner.get("url") if is_object(inner) else inner
        if not isinstance(url, str) or not _SCHEME.match(url):
            events.append(PartAdded(self._ledger.number(), Opaque("chat_completions", image), self._number))
            return
        head, _, data = url.partition(";base64,")
        extras = own({"image": {key: value for key, value in image.items() if key != "image_url"}})
        if data and head.startswith("data:"):
            value = Media("image", data=data, mime=head.removeprefix("data:"), extras=extras)
        else:
            value = Media("image", url=url, extras=extras)
        events.append(PartAdded(self._ledger.number(), value, self._number))

    def _hear(self, audio: dict[str, Any]) -> None:
        if self._audio_part is None:
            self._audio_part = self._ledger.number()
        self._audio.append(audio)

    def end(self, events: list[Event]) -> None:
        """Gives out what only the end makes whole."""
        self._calls.end(events)
        if self._audio_part is not None:
            events.append(PartAdded(self._audio_part, _audio(self._audio), self._number))
        for part, pieces in self._thinking:
            events.append(PartNoted(part, own({"block": _thinking_block(pieces)})))
        rest = {key: joined(pieces, key) for key, pieces in self._rest.items()}
        if self._first_text is not None:
            for citation in _citations(rest.get("annotations")):
                events.append(CitationAdded(self._first_text, citation))
        if self._listed:
            rest["listed"] = True
        if rest:
            events.append(ReplyNoted(own(rest), self._number, turn=True))
        facts = self._facts
        if self._logprobs:
            facts = {**facts, "logprobs": joined(self._logprobs)}
        if facts:
            events.append(ReplyNoted(own(facts), self._number))
        finish = finish_of(self.word, has_calls=bool(self._calls))
        events.append(Finished(finish, self.word, self._number))


def _texts(chunks: Any) -> list[str]:
    chunks = chunks if is_list(chunks) else []
    return [chunk["text"] for chunk in chunks if is_object(chunk) and isinstance(chunk.get("text"), str)]


def _told_in(details: Any) -> str:
    """The readable text of OpenRouter's `reasoning_details`, for endpoints that fill no other field."""
    if not is_list(details):
        return ""
    return "".join(as_str(detail.get("text") or detail.get("summary")) for detail in details if is_object(detail))


def _thinking_block(pieces: list[dict[str, Any]]) -> dict[str, Any]:
    """One thinking block from its pieces, its text left out where the part's own text says it."""
    block = joined_objects([{key: value for key, value in piece.items() if key != "thinking"} for piece in pieces])
    inner = [chunk for piece in pieces if is_list(piece.get("thinking")) for chunk in piece["thinking"]]
    if any(isinstance(piece.get("thinking"), str) for piece in pieces):
        block["thinking"] = ""
    elif any(not is_object(chunk) or chunk.keys() != {"type", "text"} for chunk in inner):
        block["thinking"] = inner
    return block


def _audio(pieces: list[dict[str, Any]]) -> Media:
    whole = joined_objects([{key: value for key, value in piece.items() if key != "data"} for piece in pieces])
    data = [piece["data"] for piece in pieces if isinstance(piece.get("data"), str)]
    if any(piece.endswith("=") for piece in data[:-1]):  # each piece was encoded for itself
        data = [base64.b64encode(b"".join(map(base64.b64decode, data))).decode()]
    transcript = as_str(whole.pop("transcript", None))
    return Media("audio", data="".join(data), text=transcript, extras=own(whole))


def _citations(annotations: Any) -> list[Citation]:
    """The web sources among `annotations`."""
    found: list[Citation] = []
    for raw in annotations if is_list(annotations) else ():
        told = raw.get("url_citation") if is_object(raw) else None
        if is_object(told):
            found.append(
                Citation(
                    url=as_str(told.get("url")),
                    title=as_str(told.get("title")),
                    quoted=as_str(told.get("content")),
                    start=count_of(told.get("start_index")),
                    end=count_of(told.get("end_index")),
                    raw=raw,
                )
            )
    return found
