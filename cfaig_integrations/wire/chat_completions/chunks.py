"""Chunks to events: chat completion chunks, Workers AI's native ones, and the mixture that it streams.

A whole body is taken as one chunk.
"""

from __future__ import annotations

from typing import Any

from cfaig_integrations.core.events import Event, ReplyNoted, Started, TextDelta, UsageUpdated
from cfaig_integrations.errors import ProtocolError
from cfaig_integrations.wire.chat_completions.choice import Answer
from cfaig_integrations.wire.chat_completions.tool_calls import Ledger
from cfaig_integrations.wire.chat_completions.values import is_empty, own, usage_of
from cfaig_integrations.wire.codec import EmbeddedError
from cfaig_integrations.wire.common import MALFORMED, as_str, is_error, is_keep_alive, unwrapped
from cfaig_integrations.wire.fields import as_text, count_of, is_list, is_object, object_of, objects_of

# Padding and internals (facts §5.3), and what differs between a body and a stream by nature.
_NO_FACTS = frozenset(
    {
        *("choices", "error", "id", "model", "object", "response", "tool_calls", "usage"),
        *("obfuscation", "p", "prompt_token_ids", "token_ids", "kv_transfer_params"),
    }
)


class Assembler:
    """Says what each chunk of one reply means.

    Attributes:
        text: The text so far, of all answers.
        spoke: Whether the last chunk that was not plainly more of the same had anything to do with an answer.
    """

    __slots__ = ("_answers", "_facts", "_first", "_ledger", "_model", "_usage", "_width", "spoke", "text")

    def __init__(self) -> None:
        self._answers: dict[int, Answer] = {}
        self._facts: dict[str, Any] = {}
        self._first: int | None = None
        self._ledger = Ledger()
        self._model = ""
        self._usage: dict[str, Any] | None = None
        self._width = -1
        self.spoke = False
        self.text: list[str] = []

    def whole(self, *, ended: bool) -> bool:
        """Whether every answer that began has a finish reason, or with `ended` none of them."""
        words = {answer.finished for answer in self._answers.values() if answer.began or not ended}
        return bool(self._answers) and (words <= {True} or (ended and words == {False}))

    def take(self, chunk: dict[str, Any]) -> list[Event]:
        """The events of one chunk.

        Raises:
            ProtocolError: A field that is needed is of no use.
            EmbeddedError: The chunk is an error.
        """
        # Nearly every chunk is as wide as the one before and only goes on with one part.
        if len(chunk) == self._width:
            try:
                if event := self._more(chunk):
                    return [event]
            except MALFORMED:
                pass  # what is wrong with it is said below
        return self._take_any(chunk, whole=False)

    def take_body(self, body: dict[str, Any]) -> list[Event]:
        """The events of a whole body, the last ones included.

        Raises:
            ProtocolError: A field that is needed is of no use.
            EmbeddedError: The body is an error.
        """
        return self._take_any(body, whole=True) + self.end()

    def _more(self, chunk: dict[str, Any]) -> Event | None:
        """The event of a chunk that only goes on with a part that has begun, else None."""
        choices = chunk.get("choices")
        if choices is None:
            event = self._more_native(chunk)
        elif len(choices) == 1:
            event = self._more_of(choices[0])
        else:
            return None
        if type(event) is TextDelta:
            self.text.append(event.text)
        if event and (usage := chunk.get("usage")) and is_object(usage):
            self._usage = usage
        return event

    def _more_of(self, choice: dict[str, Any]) -> Event | None:
        index, delta = choice.get("index"), choice.get("delta")
        answer = self._answers.get(self._first if index is None else index)  # type: ignore[arg-type]
        if answer is None or not delta:
            return None
        for key, value in choice.items():
            if value is not None and value != "" and key not in ("delta", "index"):
                return None
        found = None
        for key, value in delta.items():
            if value and key != "role":
                if found:
                    return None
                found = key
        return answer.more(found, delta[found]) if found else None

    def _more_native(self, chunk: dict[str, Any]) -> Event | None:
        answer, text = self._answers.get(self._first or 0), chunk.get("response")
        return answer.more("content", text) if answer and text and not chunk.get("tool_calls") else None

    def _take_any(self, chunk: dict[str, Any], *, whole: bool) -> list[Event]:
        if "result" in chunk:
            chunk = unwrapped(chunk)
        if is_error(chunk):
            raise EmbeddedError(chunk)
        choices = objects_of(chunk, "choices")
        self.spoke = bool(choices) or "response" in chunk or is_object(chunk.get("usage"))
        if not self.spoke and is_keep_alive(as_str(chunk.get("type")), b"{}"):
            return []
        self._width = len(chunk)
        events = self._known(chunk)
        if whole:  # an answer that stands first by its number is the first
            choices = sorted(choices, key=lambda choice: count_of(choice.get("index")) or 0)
        for choice in choices:
            self._take_choice(choice, events, whole=whole)
        if "response" in chunk:  # native, facts §5.3(a); in a mixed stream only its empty tail, §5.3(b)
            content = chunk["response"]
            delta = {
                "content": as_text(content) if is_list(content) else content,
                "tool_calls": chunk.get("tool_calls"),
            }
            self._answer(None).take(delta, events, whole=False)
        self.text += [event.text for event in events if type(event) is TextDelta]
        return events

    def _known(self, chunk: dict[str, Any]) -> list[Event]:
        """Notes what a chunk says about the reply."""
        if (usage := chunk.get("usage")) and is_object(usage):
            self._usage = usage  # each replaces the one before, facts §5.3
        for key, value in chunk.items():
            if key not in _NO_FACTS and not is_empty(value):
                held = self._facts.get(key)
                self._facts[key] = {**held, **value} if is_object(held) and is_object(value) else value
        id_ = "" if self._ledger.id else as_str(chunk.get("id"))
        model = "" if self._model else as_str(chunk.get("model"))
        if not id_ and not model:
            return []
        self._ledger.id = self._ledger.id or id_
        self._model = self._model or model
        return [Started(id_, model)]

    def _take_choice(self, choice: dict[str, Any], events: list[Event], *, whole: bool) -> None:
        if error := choice.get("error"):
            raise EmbeddedError({"error": error})
        answer = self._answer(count_of(choice.get("index")))
        # Perplexity sends both in bodies and in streams, each time with the other one of no use.
        message, delta = object_of(choice, "message"), object_of(choice, "delta")
        first, second = (message, delta) if whole else (delta, message)
        if first is not None:
            answer.take(first, events, whole=whole)
            answer.by_deltas = answer.by_deltas or (answer.began and not whole)
            if second is not None and choice.get("finish_reason") and not answer.began:
                answer.take(second, events, whole=not whole)
        elif second is not None and not answer.by_deltas:
            answer.take(second, events, whole=not whole)
        elif isinstance(choice.get("text"), str):  # as the older completions have it
            answer.take({"content": choice["text"]}, events, whole=whole)
        elif whole:
            raise ProtocolError("The answer's choices[] have no message.")
        answer.take_facts(choice)

    def _answer(self, index: int | None) -> Answer:
        """The answer of an index; the one that is heard of first has the number 0, whatever its index says."""
        if self._first is None:
            self._first = index or 0
        index = self._first if index is None else index
        answer = self._answers.get(index)
        if answer is None:
            number = {self._first: 0, 0: self._first}.get(index, index)
            answer = self._answers[index] = Answer(number, ledger=self._ledger)
        return answer

    def end(self) -> list[Event]:
        """The last events, once all chunks were taken."""
        events: list[Event] = []
        self._answer(None)
        for answer in self._answers.values():
            answer.end(events)
        groq = self._facts.get("x_groq")
        if is_object(groq) and "usage" in groq:  # Groq's place for the token counts of a stream
            self._usage = self._usage or (groq["usage"] if is_object(groq["usage"]) else None)
            self._facts["x_groq"] = {key: value for key, value in groq.items() if key != "usage"}
        if self._facts:
            events.append(ReplyNoted(own(self._facts)))
        if self._usage:
            events.append(UsageUpdated(usage_of(self._usage)))
        return events
