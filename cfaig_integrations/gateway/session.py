"""Bytes of one open stream to events, with whatever goes wrong inside it as this package's errors."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TypeAlias

from cfaig_integrations.core.events import (
    ArgumentsDelta,
    Event,
    PartNoted,
    PartStarted,
    ReasoningDelta,
    RefusalDelta,
    ReplyNoted,
    Started,
    TextDelta,
    UsageUpdated,
)
from cfaig_integrations.core.forced_calls import CallHolder
from cfaig_integrations.core.legal import NO_NAMES, Names, rename_events
from cfaig_integrations.core.stops import Stopper
from cfaig_integrations.core.text import SurrogateJoiner, repair_surrogates
from cfaig_integrations.errors import GatewayError, ProtocolError, StreamBroken
from cfaig_integrations.gateway import failures
from cfaig_integrations.gateway.failures.redaction import conceal
from cfaig_integrations.gateway.info import GatewayInfo
from cfaig_integrations.wire import jsonio
from cfaig_integrations.wire.codec import EmbeddedError, StreamDecoder
from cfaig_integrations.wire.sse import DEFAULT_EVENT_LIMIT, SseParser

_Invisible: TypeAlias = Started | PartStarted | PartNoted | ReplyNoted | UsageUpdated
"""Events that show a reader nothing of the answer."""
_Delta: TypeAlias = TextDelta | ReasoningDelta | RefusalDelta | ArgumentsDelta


def is_visible(event: Event) -> bool:
    """Whether a reader sees something of the answer in an event: text, arguments, media, or the answer's end."""
    return not isinstance(event, _Invisible)


class StreamSession:
    """One open stream: push bytes, get events.

    Args:
        decoder: Of the stream's wire.
        info: What the response's headers said.
        headers: They themselves, for errors.
        requests_sent: How many requests it took to open it.
        event_limit: Most bytes of one event.
        stops: Texts at which the answer ends, if the server does not see to it.
        request_headers: Whose credentials no error may show.
        names: The user's names of tools that are called otherwise on the wire.
        forced: Tools of which one must be called, if a call may arrive as text.

    Attributes:
        info: What the response's headers said.
        waiting: Events that were read while the stream was opened, and that nobody has seen yet.
        ended: Whether nothing more of the stream may be read: the answer is complete, or `error` says why not.
        error: To be raised once the events before it were delivered.
        idle: Whether the bytes last fed brought nothing of the answer: only comments, pings and blanks.
        requests_sent: How many requests it took to open it.
    """

    __slots__ = (
        "_decoder",
        "_headers",
        "_held",
        "_holder",
        "_joiners",
        "_names",
        "_parser",
        "_pieces",
        "_request_headers",
        "_stopper",
        "ended",
        "error",
        "idle",
        "info",
        "requests_sent",
        "waiting",
    )

    def __init__(
        self,
        decoder: StreamDecoder,
        info: GatewayInfo,
        headers: Mapping[str, str],
        *,
        requests_sent: int = 1,
        event_limit: int = DEFAULT_EVENT_LIMIT,
        stops: tuple[str, ...] = (),
        request_headers: Iterable[tuple[bytes, bytes]] = (),
        names: Names = NO_NAMES,
        forced: frozenset[str] = frozenset(),
    ) -> None:
        self.info = info
        self.requests_sent = requests_sent
        self.waiting: list[Event] = []
        self.ended = False
        self.error: GatewayError | None = None
        self.idle = False
        self._decoder = decoder
        self._headers = headers
        self._request_headers = request_headers
        self._parser = SseParser(event_limit)
        self._held = 0
        self._pieces: list[str] = []
        self._joiners: dict[tuple[int, type[_Delta]], SurrogateJoiner] = {}
        self._names = names
        self._holder = CallHolder(forced) if forced else None
        self._stopper = Stopper(stops) if stops else None

    @property
    def stopped(self) -> bool:
        """Whether a stop text ended the answer here, while the server may still be writing."""
        return self._stopper is not None and self._stopper.stopped

    @property
    def partial(self) -> str:
        """The text received so far."""
        return "".join(self._pieces)

    def feed(self, chunk: bytes) -> list[Event]:
        """The events that `chunk` completes, as far as it can be read: then `error` is set, and `ended`."""
        events: list[Event] = []
        decoder, parsed = self._decoder, 0
        keep_alives = decoder.keep_alives
        try:
            for name, data in self._parser.feed(chunk):
                parsed += 1
                events += decoder.feed(name, data)
                if decoder.ended:
                    events += decoder.close()
                    self.ended = True
                    break
        except (EmbeddedError, GatewayError) as error:
            self._fail(error)
        held, self._held = 0 if parsed else self._held, self._parser.held
        self.idle = not events and parsed == decoder.keep_alives - keep_alives and self._held <= held
        return self._shown(events)

    def close(self) -> list[Event]:
        """The last events, once the bytes have ended; like `feed`, it sets `error` if the answer is not complete."""
        return self._end(self._parser.close())

    def lost(self, error: GatewayError) -> list[Event]:
        """The last events after the connection failed: none but those of a complete answer, else `error` is set.

        An event at the end that is not whole was cut by the failure, and does not count.
        """
        events = self._end([event for event in self._parser.close() if _is_whole(event[1])])
        if isinstance(self.error, StreamBroken):
            self.error = self._annotated(error)
        return events

    def _end(self, last: list[tuple[str, bytes]]) -> list[Event]:
        events: list[Event] = []
        try:
            for name, data in last:
                events += self._decoder.feed(name, data)
            events += self._decoder.close()
        except (EmbeddedError, GatewayError) as error:
            self._fail(error)
        self.ended = True
        return self._shown(events)

    def _fail(self, error: EmbeddedError | GatewayError) -> None:
        if isinstance(error, EmbeddedError):
            error = failures.from_refused(error.body, self._headers)
        self.error, self.ended = self._annotated(error), True

    def _annotated(self, error: GatewayError) -> GatewayError:
        error.requests_sent = self.requests_sent
        conceal(error, self._request_headers)
        if isinstance(error, StreamBroken):
            error.partial = error.partial or self.partial
        return error

    def _shown(self, events: list[Event]) -> list[Event]:
        """The events up to a stop text, their text valid Unicode, their names the user's; the text is remembered."""
        if self._joiners or _has_surrogates(events):
            events = self._joined(events)
        if self._holder is not None:
            events = self._holder.feed(events) + (self._holder.released() if self.ended else [])
        if self._names:
            rename_events(events, self._names)
        if self._stopper is not None:
            events = self._stopper.feed(events)
            if self.stopped:
                self.ended, self.error = True, None
        for event in events:
            if type(event) is TextDelta:
                self._pieces.append(event.text)
        return events

    def _joined(self, events: list[Event]) -> list[Event]:
        """The events with surrogate pairs joined, also those whose halves come in two deltas."""
        joined: list[Event] = []
        for event in events:
            if isinstance(event, _Delta):
                key = (event.part, type(event))
                joined += self._lone_halves(but=key)
                joiner = self._joiners.get(key)
                if joiner is None:
                    joiner = self._joiners[key] = SurrogateJoiner()
                event.text = joiner.feed(event.text)
                if not event.text:
                    continue
            joined.append(event)
        return joined + self._lone_halves() if self.ended else joined

    def _lone_halves(self, but: tuple[int, type[_Delta]] | None = None) -> list[Event]:
        """Ends the texts that wait for the other half of a pair: another text, or the end of the answer, follows them.

        Arguments of parallel calls may alternate, so they wait for the end.
        """
        found = [
            (key, joiner.close())
            for key, joiner in self._joiners.items()
            if but is None or (key != but and key[1] is not ArgumentsDelta)
        ]
        return [kind(part, text) for (part, kind), text in found if text]


def _has_surrogates(events: list[Event]) -> bool:
    for event in events:
        text = getattr(event, "text", "")
        if not text.isascii() and repair_surrogates(text) is not text:
            return True
    return False


def _is_whole(data: bytes) -> bool:
    """Whether an event that no blank line ended is complete all the same."""
    if not data.lstrip().startswith(b"{"):
        return True
    try:
        jsonio.load(data)
    except ProtocolError:
        return False
    return True
