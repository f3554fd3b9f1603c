"""Gemini's generateContent answers to events, as `/ai/run` passes them on (facts §1.4).

A whole body is taken as one chunk. The thought signature of a function call also goes into the extras of chat
completions, because that is the form in which such a model is asked, and there it has to come back (facts §1.4).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from cfaig_integrations.core.chat import FinishReason, Usage
from cfaig_integrations.core.content import Citation, Extras, Media, Opaque, extras_of
from cfaig_integrations.core.events import (
    ArgumentsDelta,
    CitationAdded,
    Event,
    Finished,
    PartAdded,
    PartNoted,
    PartStarted,
    ReasoningDelta,
    ReplyNoted,
    Started,
    TextDelta,
    UsageUpdated,
)
from cfaig_integrations.core.legal import made_call_id
from cfaig_integrations.errors import ProtocolError
from cfaig_integrations.wire.common import as_str
from cfaig_integrations.wire.fields import as_text, count_of, is_list, is_object, object_of, objects_of, unusable
from cfaig_integrations.wire.jsonio import dump_text

# Google's `FinishReason` and `BlockedReason` (Vertex AI reference, GenerateContentResponse).
_FINISH: Mapping[str, FinishReason] = {
    "MAX_TOKENS": "length",
    "SAFETY": "content_filter",
    "RECITATION": "content_filter",
    "BLOCKLIST": "content_filter",
    "PROHIBITED_CONTENT": "content_filter",
    "SPII": "content_filter",
    "IMAGE_SAFETY": "content_filter",
    "MODEL_ARMOR": "content_filter",
    "MALFORMED_FUNCTION_CALL": "error",
    "UNEXPECTED_TOOL_CALL": "error",
}
_REPLY_KEYS = frozenset({"candidates", "usageMetadata", "modelVersion", "responseId"})
_CANDIDATE_KEYS = frozenset({"content", "finishReason", "index"})
_COUNTS = frozenset({"candidatesTokenCount", "totalTokenCount"})


@dataclass(slots=True)
class _Candidate:
    """One answer in the making.

    Attributes:
        open: The kind of the part that more text of that kind belongs to.
        part: That part's number.
        finished: Whether its last chunk with a part had a finish reason.
    """

    open: Literal["text", "reasoning"] | None = None
    part: int = 0
    first_text: int | None = None
    calls: int = 0
    finished: bool = False
    word: str = ""
    facts: dict[str, Any] = field(default_factory=dict[str, Any])


class Gemini:
    """Says what each chunk of one answer means; what only the end makes final is told there.

    Attributes:
        text: The text so far.
    """

    __slots__ = (
        "_candidates",
        "_counted",
        "_doubted",
        "_facts",
        "_id",
        "_model",
        "_numbers",
        "_parts",
        "_usage",
        "text",
    )

    def __init__(self) -> None:
        self._candidates: dict[int, _Candidate] = {}
        self._counted = self._doubted = False
        self._facts: dict[str, Any] = {}
        self._id = ""
        self._model = ""
        self._numbers: dict[int, int] = {}
        self._parts = 0
        self._usage: dict[str, Any] | None = None
        self.text: list[str] = []

    def whole(self, *, ended: bool) -> bool:
        """Whether every candidate has come to its end, or the prompt was blocked.

        The format has no end marker, and some servers put a finish reason into every chunk. So it is the end only
        with token counts beside or after it, and not if a chunk that had both was followed by more of the answer.

        Args:
            ended: Whether `[DONE]` came, which is not Google's; then the finish reason will do.
        """
        if not self._candidates:
            return bool(self._blocked)
        return self._finished and (ended or (self._counted and not self._doubted))

    @property
    def _finished(self) -> bool:
        return all(candidate.finished for candidate in self._candidates.values())

    @property
    def _blocked(self) -> str:
        feedback = self._facts.get("promptFeedback")
        return as_str(feedback.get("blockReason")) if is_object(feedback) else ""

    def take(self, chunk: dict[str, Any]) -> list[Event]:
        """The events of one chunk.

        Raises:
            ProtocolError: A field that is needed is of no use.
        """
        events: list[Event] = []
        id_, model = as_str(chunk.get("responseId")), as_str(chunk.get("modelVersion"))
        if (id_ and not self._id) or (model and not self._model):
            self._id, self._model = self._id or id_, self._model or model
            events.append(Started(self._id, self._model))
        raws = objects_of(chunk, "candidates")
        parts = [_parts_of(raw) for raw in raws]
        if any(parts):
            self._doubted = self._doubted or (bool(self._candidates) and self._finished and self._counted)
            self._counted = False
        for raw, own_parts in zip(raws, parts, strict=True):
            self._take_candidate(raw, own_parts, events)
        if is_object(usage := chunk.get("usageMetadata")):
            self._usage = usage
            self._counted = self._counted or not _COUNTS.isdisjoint(usage)
        self._facts |= {key: value for key, value in chunk.items() if key not in _REPLY_KEYS and value}
        return events

    def _take_candidate(self, raw: dict[str, Any], parts: list[dict[str, Any]], events: list[Event]) -> None:
        # The first to be heard of is the first answer, whatever its index says.
        index = count_of(raw.get("index"))
        index = next(iter(self._numbers), 0) if index is None else index
        number = self._numbers.setdefault(index, len(self._numbers))
        candidate = self._candidates.setdefault(number, _Candidate())
        for part in parts:
            self._take_part(part, candidate, number, events)
        word = as_str(raw.get("finishReason"))
        candidate.finished = bool(word) or (candidate.finished and not parts)
        candidate.word = word or candidate.word
        candidate.facts |= {key: value for key, value in raw.items() if key not in _CANDIDATE_KEYS and value}

    def _take_part(self, raw: dict[str, Any], candidate: _Candidate, number: int, events: list[Event]) -> None:
        if "text" in raw:
            self._add_text(raw, candidate, number, events)
            return
        candidate.open = None
        part = self._next()
        if "functionCall" in raw:
            _add_call(raw, part, candidate, (self._id, number), events)
        elif is_object(inline := raw.get("inlineData")) and isinstance(inline.get("data"), str):
            events.append(PartAdded(part, _media(raw, inline), number))
        else:
            events.append(PartAdded(part, Opaque("run", raw), number))

    def _next(self) -> int:
        self._parts += 1
        return self._parts - 1

    def _add_text(self, raw: dict[str, Any], candidate: _Candidate, number: int, events: list[Event]) -> None:
        text, signature = "" if raw["text"] is None else as_text(raw["text"]), as_str(raw.get("thoughtSignature"))
        kind: Literal["text", "reasoning"] = "reasoning" if raw.get("thought") else "text"
        if not text and not signature:
            return
        # A signature may come with an empty text after the part that it signs.
        if candidate.open != kind and (text or candidate.open is None):
            candidate.open, candidate.part = kind, self._next()
            events.append(PartStarted(candidate.part, kind, number))
            if kind == "reasoning":
                events.append(PartNoted(candidate.part, extras_of("run", thought=True)))
            elif candidate.first_text is None:
                candidate.first_text = candidate.part
        if text and kind == "text":
            self.text.append(text)
            events.append(TextDelta(candidate.part, text))
        elif text:
            events.append(ReasoningDelta(candidate.part, text))
        if signature:
            events.append(PartNoted(candidate.part, extras_of("run", thoughtSignature=signature)))

    def end(self) -> list[Event]:
        """The last events, once all chunks were taken.

        Raises:
            ProtocolError: They held no answer.
        """
        if not self._candidates and not self._blocked:
            raise ProtocolError("The answer has no candidates and no blockReason.")
        events: list[Event] = []
        for number, candidate in self._candidates.items():
            if candidate.first_text is not None:
                events += (CitationAdded(candidate.first_text, source) for source in _sources(candidate.facts))
            if candidate.facts:
                events.append(ReplyNoted({"run": candidate.facts}, number))
            events.append(Finished(_finish_of(candidate), candidate.word, number))
        if not self._candidates:
            events.append(Finished("content_filter", self._blocked))
        if self._facts:
            events.append(ReplyNoted({"run": self._facts}))
        if self._usage:
            events.append(UsageUpdated(_usage(self._usage)))
        return events


def _finish_of(candidate: _Candidate) -> FinishReason:
    if candidate.word in ("", "STOP"):
        return "tool_calls" if candidate.calls else "stop"
    return _FINISH.get(candidate.word, "unknown")


def _sources(facts: dict[str, Any]) -> list[Citation]:
    """The pages of a web search that the answer rests on."""
    grounding = facts.get("groundingMetadata")
    chunks = grounding.get("groundingChunks") if is_object(grounding) else None
    return [
        Citation(as_str(web.get("uri")), as_str(web.get("title")), raw=source)
        for source in (chunks if is_list(chunks) else ())
        if is_object(source) and is_object(web := source.get("web")) and web
    ]


def _parts_of(raw: dict[str, Any]) -> list[dict[str, Any]]:
    """The parts of a candidate; text or a part alone may stand there without the list."""
    content = object_of(raw, "content") or {}
    if isinstance(text := content.get("parts"), str):
        return [{"text": text}] if text else []
    return objects_of(content, "parts", one=True)


def _add_call(
    raw: dict[str, Any], part: int, candidate: _Candidate, place: tuple[str, int], events: list[Event]
) -> None:
    """Adds a function call, whose arguments are whole and whose id may be missing."""
    call = object_of(raw, "functionCall") or {}
    name: Any = call.get("name")
    args: Any = call.get("args") or {}
    if not isinstance(name, str) or not name:
        raise unusable("functionCall.name", name, "a name")
    arguments = args if isinstance(args, str) else dump_text(args)
    reply, number = place
    id_ = as_str(call.get("id")) or made_call_id(reply, str(number), str(candidate.calls), name, arguments)
    candidate.calls += 1
    events += (PartStarted(part, "tool_call", number, id_, name), ArgumentsDelta(part, arguments))
    if signature := as_str(raw.get("thoughtSignature")):
        content = {"google": {"thought_signature": signature}}
        extras: Extras = {"run": {"thoughtSignature": signature}, "chat_completions": {"extra_content": content}}
        events.append(PartNoted(part, extras))


def _media(raw: dict[str, Any], inline: dict[str, Any]) -> Media:
    mime = as_str(inline.get("mimeType"))
    kind: Literal["image", "audio", "video", "file"]
    match mime.partition("/")[0]:
        case "image" | "audio" | "video" as known:
            kind = known
        case _:
            kind = "file"
    extras = extras_of("run", thoughtSignature=as_str(raw.get("thoughtSignature")) or None)
    return Media(kind, data=inline["data"], mime=mime, extras=extras)


def _usage(raw: dict[str, Any]) -> Usage:
    """Token counts: Google counts thoughts beside the candidates, and tool results beside the prompt."""
    thoughts = count_of(raw.get("thoughtsTokenCount"))
    sent = (count_of(raw.get("promptTokenCount")) or 0) + (count_of(raw.get("toolUsePromptTokenCount")) or 0)
    generated = (count_of(raw.get("candidatesTokenCount")) or 0) + (thoughts or 0)
    return Usage(
        input=sent,
        output=generated,
        total=count_of(raw.get("totalTokenCount")) or sent + generated,
        cache_read=count_of(raw.get("cachedContentTokenCount")),
        reasoning=thoughts,
        raw=raw,
    )
