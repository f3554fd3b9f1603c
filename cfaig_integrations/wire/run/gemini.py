"""Gemini's generateContent answers to events, as `/ai/run` passes them on (wire-facts §1.4).

Knows neither bytes nor when a stream is whole. A whole body is taken as one chunk. The thought signature of a
function call also goes into the extras of chat completions, because that is the form in which such a model is asked,
and there it has to come back (wire-facts §1.4).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from cfaig_integrations.core.chat import FinishReason, Usage
from cfaig_integrations.core.content import Citation, Json, Media, Opaque, extras_of
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
from cfaig_integrations.wire.common import made_call_id, word_of
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


_NOTHING: Json = {}


@dataclass(slots=True)
class _Candidate:
    """One answer in the making.

    Attributes:
        open: The kind of the part that more text of that kind belongs to.
        part: That part's number.
    """

    open: Literal["text", "reasoning"] | None = None
    part: int = 0
    first_text: int | None = None
    calls: int = 0
    word: str = ""
    facts: dict[str, Any] = field(default_factory=dict[str, Any])


class Gemini:
    """Says what each chunk of one answer means; what only the end makes final is told there.

    Attributes:
        text: The text so far.
    """

    __slots__ = ("_candidates", "_facts", "_id", "_model", "_parts", "_usage", "text")

    def __init__(self) -> None:
        self._candidates: dict[int, _Candidate] = {}
        self._facts: dict[str, Any] = {}
        self._id = ""
        self._model = ""
        self._parts = 0
        self._usage: Json = _NOTHING
        self.text: list[str] = []

    @property
    def finished(self) -> bool:
        """Whether every candidate has a finish reason, or the prompt was blocked."""
        words = [candidate.word for candidate in self._candidates.values()] or [self._blocked]
        return all(words)

    @property
    def _blocked(self) -> str:
        feedback: Json = self._facts.get("promptFeedback") or _NOTHING
        return word_of(feedback.get("blockReason"))

    def take(self, chunk: Json) -> list[Event]:
        """The events of one chunk."""
        events: list[Event] = []
        id_, model = word_of(chunk.get("responseId")), word_of(chunk.get("modelVersion"))
        if (id_ and not self._id) or (model and not self._model):
            self._id, self._model = self._id or id_, self._model or model
            events.append(Started(self._id, self._model))
        for raw in chunk.get("candidates") or ():
            self._take_candidate(raw, events)
        self._usage = chunk.get("usageMetadata") or self._usage
        self._facts |= {key: value for key, value in chunk.items() if key not in _REPLY_KEYS and value}
        return events

    def _take_candidate(self, raw: Json, events: list[Event]) -> None:
        number = int(raw.get("index") or 0)
        candidate = self._candidates.setdefault(number, _Candidate())
        content: Json = raw.get("content") or _NOTHING
        for part in content.get("parts") or ():
            self._take_part(part, candidate, number, events)
        candidate.word = word_of(raw.get("finishReason")) or candidate.word
        candidate.facts |= {key: value for key, value in raw.items() if key not in _CANDIDATE_KEYS and value}

    def _take_part(self, raw: Json, candidate: _Candidate, number: int, events: list[Event]) -> None:
        if "text" in raw:
            self._add_text(raw, candidate, number, events)
            return
        candidate.open = None
        part = self._next()
        if "functionCall" in raw:
            _add_call(raw, part, candidate, (self._id, number), events)
        elif "inlineData" in raw:
            events.append(PartAdded(part, _media(raw), number))
        else:
            events.append(PartAdded(part, Opaque("run", raw), number))

    def _next(self) -> int:
        self._parts += 1
        return self._parts - 1

    def _add_text(self, raw: Json, candidate: _Candidate, number: int, events: list[Event]) -> None:
        text, signature = word_of(raw["text"]), raw.get("thoughtSignature")
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
        """The last events, once all chunks were taken."""
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


def _sources(facts: Json) -> list[Citation]:
    """The pages of a web search that the answer rests on."""
    grounding: Json = facts.get("groundingMetadata") or _NOTHING
    return [
        Citation(word_of(source["web"].get("uri")), word_of(source["web"].get("title")), raw=source)
        for source in grounding.get("groundingChunks") or ()
        if source.get("web")
    ]


def _add_call(raw: Json, part: int, candidate: _Candidate, place: tuple[str, int], events: list[Event]) -> None:
    """Adds a function call, whose arguments are whole and whose id may be missing."""
    call: Json = raw["functionCall"]
    name, arguments = word_of(call["name"]), dump_text(call.get("args") or {})
    reply, number = place
    id_ = word_of(call.get("id")) or made_call_id(reply, str(number), str(candidate.calls), name, arguments)
    candidate.calls += 1
    events += (PartStarted(part, "tool_call", number, id_, name), ArgumentsDelta(part, arguments))
    if signature := raw.get("thoughtSignature"):
        content = {"google": {"thought_signature": signature}}
        extras = {"run": {"thoughtSignature": signature}, "chat_completions": {"extra_content": content}}
        events.append(PartNoted(part, extras))


def _media(raw: Json) -> Media:
    inline: Json = raw["inlineData"]
    mime = word_of(inline.get("mimeType"))
    kind: Literal["image", "audio", "video", "file"]
    match mime.partition("/")[0]:
        case "image" | "audio" | "video" as known:
            kind = known
        case _:
            kind = "file"
    extras = extras_of("run", thoughtSignature=raw.get("thoughtSignature"))
    return Media(kind, data=word_of(inline.get("data")), mime=mime, extras=extras)


def _usage(raw: Json) -> Usage:
    """Token counts: Google counts thoughts beside the candidates, and tool results beside the prompt."""
    thoughts = _count(raw, "thoughtsTokenCount")
    sent = (_count(raw, "promptTokenCount") or 0) + (_count(raw, "toolUsePromptTokenCount") or 0)
    generated = (_count(raw, "candidatesTokenCount") or 0) + (thoughts or 0)
    return Usage(
        input=sent,
        output=generated,
        total=_count(raw, "totalTokenCount") or sent + generated,
        cache_read=_count(raw, "cachedContentTokenCount"),
        reasoning=thoughts,
        raw=raw,
    )


def _count(raw: Json, key: str) -> int | None:
    value = raw.get(key)
    return None if value is None else int(value)
