"""Gemini's generateContent replies to events, as `/ai/run` passes them on (facts §1.4).

A whole body is read as one chunk. The thought signature of a function call also goes into the extras of chat
completions, because requests to such a model have that format, and must contain the signature (facts §1.4).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from cfaig_integrations.core.chat import FinishReason, Usage
from cfaig_integrations.core.content import Citation, Extras, Media, Opaque, extras_of
from cfaig_integrations.core.events import (
    ArgumentsDelta,
    CitationAdded,
    Event,
    Finished,
    PartAdded,
    PartExtras,
    PartStarted,
    ReasoningDelta,
    ReplyExtras,
    Started,
    TextDelta,
    UsageUpdated,
)
from cfaig_integrations.core.json_types import JsonObject, JsonValue
from cfaig_integrations.core.legal import made_call_id
from cfaig_integrations.errors import ProtocolError
from cfaig_integrations.wire.codec import EmbeddedError
from cfaig_integrations.wire.decoder import EventDecoder, is_keep_alive
from cfaig_integrations.wire.jsonio import (
    as_str,
    as_text,
    count_of,
    is_error,
    object_of,
    object_or_empty,
    objects_among,
    objects_of,
    unwrap,
    wrong_type,
)

# Google's `FinishReason` and `BlockedReason` (Vertex AI reference, GenerateContentResponse).
_FINISH_REASONS: Mapping[str, FinishReason] = {
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
_FINAL_COUNTS = frozenset({"candidatesTokenCount", "totalTokenCount"})


@dataclass(slots=True)
class _Candidate:
    """One answer that is being received.

    Attributes:
        number: Its number.
        open_kind: The kind of the part that more text of that kind continues.
        open_part: That part's number.
        first_text: The number of its first text part.
        calls: How many calls it has.
        finished: Whether its last chunk with a part had a finish reason.
        raw_finish: The finish reason as Google writes it.
        extras: Its unmodeled fields.
    """

    number: int
    open_kind: Literal["text", "reasoning"] | None = None
    open_part: int = 0
    first_text: int | None = None
    calls: int = 0
    finished: bool = False
    raw_finish: str = ""
    extras: JsonObject = field(default_factory=dict[str, JsonValue])


@dataclass(slots=True, eq=False)
class GeminiDecoder(EventDecoder):
    """Push decoder of one stream of generateContent replies."""

    ends_with_done = True
    _candidates: dict[int, _Candidate] = field(default_factory=dict[int, _Candidate])
    _counted: bool = False
    _content_after_counts: bool = False
    _extras: JsonObject = field(default_factory=JsonObject)
    _id: str = ""
    _model: str = ""
    _next_part: int = 0
    _usage: JsonObject = field(default_factory=JsonObject)
    _text: list[str] = field(default_factory=list[str])

    def _missing(self) -> str:
        """What the stream lacks.

        The format has no end marker, and some servers put a finish reason into every chunk. So it is the end only
        with token counts in the same chunk or after it, and not if a chunk that had both was followed by more of the
        answer. With `[DONE]`, which is not Google's, the finish reason is enough.
        """
        complete = bool(self._block_reason)
        if self._candidates:
            complete = self._finished and (self.ended or (self._counted and not self._content_after_counts))
        if complete and not self.pending_error:
            return ""
        return "The stream ended before Gemini sent a finish reason and token counts."

    @property
    def _finished(self) -> bool:
        return all(candidate.finished for candidate in self._candidates.values())

    @property
    def _block_reason(self) -> str:
        return as_str(object_or_empty(self._extras.get("promptFeedback")).get("blockReason"))

    def _partial_text(self) -> str:
        return "".join(self._text)

    def _take(self, name: str, event: JsonObject) -> list[Event]:
        if is_keep_alive(as_str(event.get("type")) or name):
            self.keep_alives += 1
            return []
        chunk = unwrap(event)
        if is_error(chunk):
            raise EmbeddedError(chunk)
        return self._take_chunk(chunk)

    def take_body(self, body: JsonObject) -> list[Event]:
        """All events of a whole body.

        Raises:
            ProtocolError: A required field has the wrong type, or there is no answer.
        """
        return self._take_chunk(body) + self._last_events()

    def _take_chunk(self, chunk: JsonObject) -> list[Event]:
        events: list[Event] = []
        id_, model = as_str(chunk.get("responseId")), as_str(chunk.get("modelVersion"))
        if (id_ and not self._id) or (model and not self._model):
            self._id, self._model = self._id or id_, self._model or model
            events.append(Started(self._id, self._model))
        candidates = [(raw, _raw_parts(raw)) for raw in objects_of(chunk, "candidates")]
        if any(parts for _, parts in candidates):
            complete = bool(self._candidates) and self._finished and self._counted
            self._content_after_counts = self._content_after_counts or complete
            self._counted = False
        for raw, parts in candidates:
            self._take_candidate(raw, parts, events)
        if isinstance(usage := chunk.get("usageMetadata"), dict):
            self._usage = usage
            self._counted = self._counted or not _FINAL_COUNTS.isdisjoint(usage)
        self._extras |= {key: value for key, value in chunk.items() if key not in _REPLY_KEYS and value}
        return events

    def _take_candidate(self, raw: JsonObject, parts: list[JsonObject], events: list[Event]) -> None:
        # The one that comes first is the first answer, whatever its index is.
        index = count_of(raw.get("index"))
        index = next(iter(self._candidates), 0) if index is None else index
        candidate = self._candidates.setdefault(index, _Candidate(len(self._candidates)))
        for part in parts:
            if "text" in part:
                self._take_text(part, candidate, events)
            else:
                self._take_other(part, candidate, events)
        raw_finish = as_str(raw.get("finishReason"))
        candidate.finished = bool(raw_finish) or (candidate.finished and not parts)
        candidate.raw_finish = raw_finish or candidate.raw_finish
        candidate.extras |= {key: value for key, value in raw.items() if key not in _CANDIDATE_KEYS and value}

    def _new_part(self) -> int:
        self._next_part += 1
        return self._next_part - 1

    def _take_text(self, raw: JsonObject, candidate: _Candidate, events: list[Event]) -> None:
        text, signature = "" if raw["text"] is None else as_text(raw["text"]), as_str(raw.get("thoughtSignature"))
        kind: Literal["text", "reasoning"] = "reasoning" if raw.get("thought") else "text"
        if not text and not signature:
            return
        # A signature may come with an empty text after the part that it signs.
        if candidate.open_kind != kind and (text or candidate.open_kind is None):
            candidate.open_kind, candidate.open_part = kind, self._new_part()
            events.append(PartStarted(candidate.open_part, kind, candidate.number))
            if kind == "reasoning":
                events.append(PartExtras(candidate.open_part, extras_of("run", thought=True)))
            elif candidate.first_text is None:
                candidate.first_text = candidate.open_part
        if text and kind == "text":
            self._text.append(text)
            events.append(TextDelta(candidate.open_part, text))
        elif text:
            events.append(ReasoningDelta(candidate.open_part, text))
        if signature:
            events.append(PartExtras(candidate.open_part, extras_of("run", thoughtSignature=signature)))

    def _take_other(self, raw: JsonObject, candidate: _Candidate, events: list[Event]) -> None:
        candidate.open_kind = None
        part = self._new_part()
        if "functionCall" in raw:
            self._take_call(raw, part, candidate, events)
        else:
            events.append(PartAdded(part, _media(raw) or Opaque("run", raw), candidate.number))

    def _take_call(self, raw: JsonObject, part: int, candidate: _Candidate, events: list[Event]) -> None:
        """Takes a function call, whose arguments are complete and whose id may be missing."""
        call = object_of(raw, "functionCall") or {}
        name = call.get("name")
        if not isinstance(name, str) or not name:
            raise wrong_type("functionCall.name", name, "a name")
        arguments = as_text(call.get("args") or {})
        number = candidate.number
        id_ = as_str(call.get("id")) or made_call_id(self._id, number, candidate.calls, name, arguments)
        candidate.calls += 1
        events += (PartStarted(part, "tool_call", number, id_, name), ArgumentsDelta(part, arguments))
        if signature := as_str(raw.get("thoughtSignature")):
            content = {"google": {"thought_signature": signature}}
            extras: Extras = {"run": {"thoughtSignature": signature}, "chat_completions": {"extra_content": content}}
            events.append(PartExtras(part, extras))

    def _last_events(self) -> list[Event]:
        if not self._candidates and not self._block_reason:
            raise ProtocolError("The answer has no candidates and no blockReason.")
        events: list[Event] = []
        for candidate in self._candidates.values():
            if candidate.first_text is not None:
                events += (CitationAdded(candidate.first_text, source) for source in _sources(candidate.extras))
            if candidate.extras:
                events.append(ReplyExtras({"run": candidate.extras}, candidate.number))
            events.append(Finished(_finish_reason(candidate), candidate.raw_finish, candidate.number))
        if not self._candidates:
            events.append(Finished("content_filter", self._block_reason))
        if self._extras:
            events.append(ReplyExtras({"run": self._extras}))
        if self._usage:
            events.append(UsageUpdated(_usage(self._usage)))
        return events


def _finish_reason(candidate: _Candidate) -> FinishReason:
    if candidate.raw_finish in ("", "STOP"):
        return "tool_calls" if candidate.calls else "stop"
    return _FINISH_REASONS.get(candidate.raw_finish, "unknown")


def _sources(extras: JsonObject) -> list[Citation]:
    """The pages of a web search that the answer is based on."""
    chunks = object_or_empty(extras.get("groundingMetadata")).get("groundingChunks")
    return [
        Citation(as_str(web.get("uri")), as_str(web.get("title")), raw=chunk)
        for chunk in objects_among(chunks)
        if (web := object_or_empty(chunk.get("web")))
    ]


def _raw_parts(raw: JsonObject) -> list[JsonObject]:
    """The parts of a candidate; text or a single part may stand there without the list."""
    content = object_of(raw, "content") or {}
    if isinstance(text := content.get("parts"), str):
        return [{"text": text}] if text else []
    return objects_of(content, "parts", one=True)


def _media(raw: JsonObject) -> Media | None:
    """The media of a part; None if it has none."""
    inline = object_or_empty(raw.get("inlineData"))
    data, mime = inline.get("data"), as_str(inline.get("mimeType"))
    if not isinstance(data, str):
        return None
    extras = extras_of("run", thoughtSignature=as_str(raw.get("thoughtSignature")) or None)
    match mime.partition("/")[0]:
        case "image" | "audio" | "video" as kind:
            return Media(kind, data=data, mime=mime, extras=extras)
        case _:
            return Media("file", data=data, mime=mime, extras=extras)


def _usage(raw: JsonObject) -> Usage:
    """Token counts: Google does not include thoughts in the candidates' count, nor tool results in the prompt's."""
    thoughts = count_of(raw.get("thoughtsTokenCount"))
    prompt = (count_of(raw.get("promptTokenCount")) or 0) + (count_of(raw.get("toolUsePromptTokenCount")) or 0)
    output = (count_of(raw.get("candidatesTokenCount")) or 0) + (thoughts or 0)
    return Usage(
        input=prompt,
        output=output,
        total=count_of(raw.get("totalTokenCount")) or prompt + output,
        cache_read=count_of(raw.get("cachedContentTokenCount")),
        reasoning=thoughts,
        raw=raw,
    )
