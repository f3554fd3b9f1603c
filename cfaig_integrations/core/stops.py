"""Stop sequences for wires without a field for them: an answer, whole or streamed, ends before the first one.

Of several stop sequences, the one that is complete first counts, as it would for a model that stops by itself. Each
text part is searched separately; what follows the truncated part is removed, because it would not have been generated.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from cfaig_integrations.core.chat import ChatReply, Choice, FinishReason
from cfaig_integrations.core.content import Text
from cfaig_integrations.core.events import Event, Finished, PartAdded, PartStarted, TextDelta

_STOP: FinishReason = "stop"


def _find_stop(text: str, stops: Sequence[str]) -> int | None:
    """Where the stop sequence begins that is complete first; the longest of those that are complete at once."""
    matches = [(start + len(stop), start) for stop in stops if (start := text.find(stop)) >= 0]
    return min(matches)[1] if matches else None


def cut(reply: ChatReply, stops: Iterable[str]) -> ChatReply:
    """A reply as if its model had stopped at these texts; its usage does not change.

    Args:
        reply: The reply.
        stops: Texts at which to stop; empty ones are ignored.
    """
    texts = [stop for stop in stops if stop]
    return replace(reply, choices=tuple(_stop_choice(choice, texts) for choice in reply.choices))


def _stop_choice(choice: Choice, stops: Sequence[str]) -> Choice:
    for number, part in enumerate(choice.turn.parts):
        if isinstance(part, Text) and (end := _find_stop(part.text, stops)) is not None:
            citations = tuple(each for each in part.citations if each.end is not None and each.end <= end)
            # Without extras: the provider's own item holds the whole text.
            parts = (*choice.turn.parts[:number], Text(part.text[:end], citations))
            return replace(choice, turn=replace(choice.turn, parts=parts), finish=_STOP, provider_finish=_STOP)
    return choice


class Stopper:
    """The same for the events of a stream; text that may be the beginning of a stop sequence is buffered.

    Args:
        stops: Texts at which to stop; empty ones are ignored.

    Attributes:
        stopped: Whether the answer has ended, so that nothing more need be read.
    """

    __slots__ = ("_buffer", "_part", "_stops", "stopped")

    def __init__(self, stops: Iterable[str]) -> None:
        self._stops = [stop for stop in stops if stop]
        self._part = -1
        self._buffer = ""
        self.stopped = False

    def feed(self, events: Iterable[Event]) -> list[Event]:
        """The events that no later event can change, including buffered text."""
        output: list[Event] = []
        for event in events:
            if self.stopped:
                break
            if isinstance(event, TextDelta):
                output += self._feed_text(event)
            else:
                if isinstance(event, PartStarted | PartAdded | Finished):
                    output += self._flush()
                output.append(event)
        return output

    def _feed_text(self, delta: TextDelta) -> list[Event]:
        output = self._flush() if delta.part != self._part else []
        text = self._buffer + delta.text
        self._part = delta.part
        end = _find_stop(text, self._stops)
        if end is not None:
            self.stopped, self._buffer = True, ""
            return [*output, *_delta(delta.part, text[:end]), Finished(_STOP, _STOP)]
        end = len(text) - self._possible_stop(text)
        self._buffer = text[end:]
        return [*output, *_delta(delta.part, text[:end])]

    def _flush(self) -> list[Event]:
        text, self._buffer = self._buffer, ""
        return _delta(self._part, text)

    def _possible_stop(self, text: str) -> int:
        """Length of the longest suffix of the text that is a prefix of a stop sequence."""
        longest = max(map(len, self._stops), default=1) - 1
        for size in range(min(longest, len(text)), 0, -1):
            if any(stop.startswith(text[-size:]) for stop in self._stops):
                return size
        return 0


def _delta(part: int, text: str) -> list[Event]:
    return [TextDelta(part, text)] if text else []
