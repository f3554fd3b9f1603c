"""Stop texts where a wire has no field for them: the answer ends before the first one, whole or as a stream.

Of several stop texts the one that is complete first counts, as it would to a model that stops by itself. Each text part
is looked at by itself; what follows the part that was cut is gone too, for it would never have been written.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import NamedTuple

from cfaig_integrations.core.chat import ChatReply, Choice, FinishReason
from cfaig_integrations.core.content import Part, Text
from cfaig_integrations.core.events import Event, Finished, PartAdded, PartStarted, TextDelta

__all__ = ["Stopper", "cut"]

STOPPED: FinishReason = "stop"


class _Match(NamedTuple):
    end: int
    start: int


def _first(text: str, stops: Sequence[str]) -> int | None:
    """Where the stop text begins that is complete first; the longest of those that are complete at once."""
    found = [_Match(at + len(stop), at) for stop in stops if (at := text.find(stop)) >= 0]
    return min(found).start if found else None


def cut(reply: ChatReply, stops: Iterable[str]) -> ChatReply:
    """A reply as if its model had stopped at these texts; what it cost stays what it cost.

    Args:
        reply: The reply.
        stops: Texts at which to stop; empty ones stop nothing.
    """
    texts = [stop for stop in stops if stop]
    return replace(reply, choices=tuple(_cut_choice(choice, texts) for choice in reply.choices))


def _cut_choice(choice: Choice, stops: Sequence[str]) -> Choice:
    for number, part in enumerate(choice.turn.parts):
        at = _first(part.text, stops) if isinstance(part, Text) else None
        if isinstance(part, Text) and at is not None:
            # The provider's own item holds the whole text, so it is not this part's any longer.
            before = tuple(each for each in part.citations if each.end is not None and each.end <= at)
            kept: tuple[Part, ...] = (*choice.turn.parts[:number], Text(part.text[:at], before))
            return replace(choice, turn=replace(choice.turn, parts=kept), finish=STOPPED, finish_word=STOPPED)
    return choice


class Stopper:
    """The same for the events of a stream; text that may be the beginning of a stop text is held back.

    Args:
        stops: Texts at which to stop; empty ones stop nothing.

    Attributes:
        stopped: Whether the answer has ended, so that nothing more need be read.
    """

    __slots__ = ("_held", "_part", "_stops", "stopped")

    def __init__(self, stops: Iterable[str]) -> None:
        self._stops = [stop for stop in stops if stop]
        self._part = -1
        self._held = ""
        self.stopped = False

    def feed(self, events: Iterable[Event]) -> list[Event]:
        """What is certain of these events and of the text held back."""
        sure: list[Event] = []
        for event in events:
            if self.stopped:
                break
            if isinstance(event, TextDelta):
                sure += self._text(event)
            else:
                if isinstance(event, PartStarted | PartAdded | Finished):
                    sure += self._released()
                sure.append(event)
        return sure

    def _text(self, delta: TextDelta) -> list[Event]:
        before = self._released() if delta.part != self._part else []
        text = self._held + delta.text
        self._part = delta.part
        at = _first(text, self._stops)
        if at is not None:
            self.stopped, self._held = True, ""
            return [*before, *_delta(delta.part, text[:at]), Finished(STOPPED, STOPPED)]
        keep = self._beginning(text)
        self._held = text[len(text) - keep :]
        return [*before, *_delta(delta.part, text[: len(text) - keep])]

    def _released(self) -> list[Event]:
        text, self._held = self._held, ""
        return _delta(self._part, text)

    def _beginning(self, text: str) -> int:
        """Length of the longest end of the text with which a stop text begins."""
        longest = max(map(len, self._stops), default=1) - 1
        for size in range(min(longest, len(text)), 0, -1):
            if any(stop.startswith(text[-size:]) for stop in self._stops):
                return size
        return 0


def _delta(part: int, text: str) -> list[Event]:
    return [TextDelta(part, text)] if text else []
