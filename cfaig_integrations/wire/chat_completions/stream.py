"""A stream to events: chat completion chunks, Workers AI's native ones, and the mixture that it streams."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from cfaig_integrations.core.events import Event, ReplyExtras, Started, UsageUpdated
from cfaig_integrations.core.json_types import JsonObject
from cfaig_integrations.errors import ProtocolError
from cfaig_integrations.wire.chat_completions.stream_choice import ChoiceReader
from cfaig_integrations.wire.chat_completions.stream_tool_calls import ReplyState
from cfaig_integrations.wire.chat_completions.values import REPLY_KEYS, native_message, unmodeled, usage_of, wire_extras
from cfaig_integrations.wire.codec import EmbeddedError
from cfaig_integrations.wire.decoder import EventDecoder, is_keep_alive
from cfaig_integrations.wire.jsonio import (
    MALFORMED,
    as_str,
    count_of,
    is_error,
    object_of,
    object_or_empty,
    objects_of,
    unwrap,
)


@dataclass(slots=True, eq=False)
class ChatCompletionsDecoder(EventDecoder):
    """Push decoder of one stream.

    A stream is complete once `[DONE]` came, or a finish reason for every answer that began; the first without the
    second is an answer that ended normally (facts §5.3). Token counts, citations and whatever else only the end makes
    final are returned by `close`.
    """

    ends_with_done = True
    _choices: dict[object, ChoiceReader] = field(default_factory=dict[object, ChoiceReader])
    _extras: JsonObject = field(default_factory=JsonObject)
    _first_index: int | None = None
    _model: str = ""
    _state: ReplyState = field(default_factory=ReplyState)
    _usage: JsonObject | None = None
    _width: int = -1

    def _take(self, name: str, event: JsonObject) -> Sequence[Event]:
        # Nearly every chunk has as many keys as the one before and only continues one part.
        if len(event) == self._width:
            try:
                if delta := self._continuation(event):
                    return (delta,)
            except MALFORMED:
                pass  # `_take_any` says what is wrong with it
        return self._take_any(event, whole=False)

    def take_body(self, body: JsonObject) -> list[Event]:
        """All events of a whole body.

        Raises:
            ProtocolError: A required field has the wrong type.
            EmbeddedError: The body is an error.
        """
        return self._take_any(body, whole=True) + self._last_events()

    def _continuation(self, chunk: JsonObject) -> Event | None:
        """The event of a chunk that only continues a part that has begun, otherwise None."""
        choices = chunk.get("choices")
        if choices is None:  # native
            choice, text = self._choices.get(self._first_index or 0), chunk.get("response")
            if choice is None or not text or chunk.get("tool_calls"):
                return None
            event = choice.continuation("content", text)
        elif isinstance(choices, list) and len(choices) == 1 and isinstance(choices[0], dict):
            event = self._continuation_of(choices[0])
        else:
            return None
        if event and (usage := chunk.get("usage")) and isinstance(usage, dict):
            self._usage = usage
        return event

    def _continuation_of(self, raw: JsonObject) -> Event | None:
        index, delta = raw.get("index"), raw.get("delta")
        choice = self._choices.get(self._first_index if index is None else index)
        if choice is None or not delta or not isinstance(delta, dict):
            return None
        for key, value in raw.items():
            if value is not None and value != "" and key not in ("delta", "index"):
                return None
        only_key = None
        for key, value in delta.items():
            if value and key != "role":
                if only_key:
                    return None
                only_key = key
        return choice.continuation(only_key, delta[only_key]) if only_key else None

    def _take_any(self, chunk: JsonObject, *, whole: bool) -> list[Event]:
        if "result" in chunk:
            chunk = unwrap(chunk)
        if is_error(chunk):
            raise EmbeddedError(chunk)
        choices = objects_of(chunk, "choices")
        is_answer = bool(choices) or "response" in chunk or isinstance(chunk.get("usage"), dict)
        if not is_answer and is_keep_alive(chunk.get("type")):
            self.keep_alives += 1
            return []
        self._width = len(chunk)
        events = self._take_metadata(chunk)
        if whole:  # the answer with the lowest index is the first
            choices = sorted(choices, key=lambda choice: count_of(choice.get("index")) or 0)
        for choice in choices:
            self._take_choice(choice, events, whole=whole)
        if "response" in chunk:  # native, facts §5.3(a); in a mixed stream only its empty tail, §5.3(b)
            self._choice(None).take(native_message(chunk), events, whole=False)
        if not events and not is_answer:
            self.keep_alives += 1
        return events

    def _take_metadata(self, chunk: JsonObject) -> list[Event]:
        """Takes the fields of a chunk other than its choices."""
        if (usage := chunk.get("usage")) and isinstance(usage, dict):
            self._usage = usage  # each replaces the one before, facts §5.3
        for key, value in unmodeled(chunk, REPLY_KEYS).items():
            before = self._extras.get(key)
            self._extras[key] = {**object_or_empty(before), **value} if isinstance(value, dict) else value
        id_ = "" if self._state.id else as_str(chunk.get("id"))
        model = "" if self._model else as_str(chunk.get("model"))
        self._state.id = self._state.id or id_
        self._model = self._model or model
        return [Started(id_, model)] if id_ or model else []

    def _take_choice(self, raw: JsonObject, events: list[Event], *, whole: bool) -> None:
        if error := raw.get("error"):
            raise EmbeddedError({"error": error})
        choice = self._choice(count_of(raw.get("index")))
        # Perplexity sends both in bodies and in streams, each time with the other one meaningless.
        message, delta = object_of(raw, "message"), object_of(raw, "delta")
        first, second = (message, delta) if whole else (delta, message)
        if first is not None:
            choice.take(first, events, whole=whole)
            choice.by_deltas = choice.by_deltas or (choice.began and not whole)
            if second is not None and raw.get("finish_reason") and not choice.began:
                choice.take(second, events, whole=not whole)
        elif second is not None and not choice.by_deltas:
            choice.take(second, events, whole=not whole)
        elif isinstance(text := raw.get("text"), str):  # the format of the older completions
            choice.take({"content": text}, events, whole=whole)
        elif whole:
            raise ProtocolError("The answer's choices[] have no message.")
        choice.take_metadata(raw)

    def _choice(self, index: int | None) -> ChoiceReader:
        """The choice of an index; the one that comes first has the number 0, whatever its index is."""
        if self._first_index is None:
            self._first_index = index or 0
        index = self._first_index if index is None else index
        choice = self._choices.get(index)
        if choice is None:
            number = {self._first_index: 0, 0: self._first_index}.get(index, index)
            choice = self._choices[index] = ChoiceReader(number, self._state)
        return choice

    def _missing(self) -> str:
        finished = {bool(each.raw_finish) for each in self._choices.values() if each.began or not self.ended}
        complete = bool(self._choices) and (finished <= {True} or (self.ended and finished == {False}))
        if complete and not self.pending_error:
            return ""
        return "The stream ended before the answer was complete: " + (
            "[DONE] came, but no answer." if self.ended else "it has neither a finish reason nor [DONE]."
        )

    def _partial_text(self) -> str:
        return "".join(self._state.text)

    def _last_events(self) -> list[Event]:
        events: list[Event] = []
        self._choice(None)
        for choice in self._choices.values():
            choice.end(events)
        groq = self._extras.get("x_groq")
        if isinstance(groq, dict) and "usage" in groq:  # Groq's place for the token counts of a stream
            usage = groq["usage"]
            self._usage = self._usage or (usage if isinstance(usage, dict) else None)
            self._extras["x_groq"] = {key: value for key, value in groq.items() if key != "usage"}
        if self._extras:
            events.append(ReplyExtras(wire_extras(self._extras)))
        if self._usage:
            events.append(UsageUpdated(usage_of(self._usage)))
        return events
