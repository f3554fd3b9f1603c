"""An open stream: reads its first bytes, then converts its bytes to events, or to an error."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TypeAlias, cast

from cfaig_integrations.core.events import (
    ArgumentsDelta,
    Event,
    Finished,
    PartExtras,
    PartStarted,
    ReasoningDelta,
    RefusalDelta,
    ReplyExtras,
    Started,
    TextDelta,
    UsageUpdated,
)
from cfaig_integrations.core.forced_calls import ForcedCallReader
from cfaig_integrations.core.legal import NO_NAMES, Names, rename_events
from cfaig_integrations.core.stops import Stopper
from cfaig_integrations.core.text import SurrogateJoiner, repair_surrogates
from cfaig_integrations.errors import GatewayError, ProtocolError, StreamBroken
from cfaig_integrations.gateway import failures
from cfaig_integrations.gateway.actions import Actions, ReadOn
from cfaig_integrations.gateway.failures.redaction import conceal
from cfaig_integrations.gateway.info import GatewayInfo
from cfaig_integrations.gateway.truncation import warn_of_default_limit
from cfaig_integrations.wire import jsonio
from cfaig_integrations.wire.codec import EmbeddedError, StreamDecoder
from cfaig_integrations.wire.sniff import sniff
from cfaig_integrations.wire.sse import EVENT_LIMIT, SseParser

_Invisible: TypeAlias = Started | PartStarted | PartExtras | ReplyExtras | UsageUpdated
"""Events that show a reader nothing of the reply: no text, arguments or media, nor its end."""
_Delta: TypeAlias = TextDelta | ReasoningDelta | RefusalDelta | ArgumentsDelta


class StreamSession:
    """One open stream: push bytes, get events.

    Args:
        decoder: Decoder of the stream's format.
        info: Contents of the response headers.
        headers: The response headers, for errors.
        requests_sent: Number of requests it took to open the stream.
        stops: Stop texts that the format has no field for: the reply is cut at them here.
        request_headers: Request headers, whose credentials no error may show.
        names: The user's names of tools that have another name in the stream.
        forced: Names of the tools of which one must be called; empty unless a call may arrive as text.
        unlimited: Model id, if the request sets no limit of tokens.

    Attributes:
        info: Contents of the response headers.
        waiting: Events that were read while the stream was opened, to be delivered first.
        ended: Whether nothing more is to be read: the reply is complete, or `error` says why it is not.
        error: To be raised once the events before it are delivered.
        idle: Whether the last bytes brought nothing of the reply: only comments, pings and blanks.
        requests_sent: Number of requests it took to open the stream.
        shown: Whether a visible part of the reply came: the model ran.
    """

    def __init__(
        self,
        decoder: StreamDecoder,
        info: GatewayInfo,
        headers: Mapping[str, str],
        *,
        requests_sent: int = 1,
        stops: tuple[str, ...] = (),
        request_headers: Iterable[tuple[bytes, bytes]] = (),
        names: Names = NO_NAMES,
        forced: frozenset[str] = frozenset(),
        unlimited: str | None = None,
    ) -> None:
        self.info = info
        self.requests_sent = requests_sent
        self.waiting: list[Event] = []
        self.ended = False
        self.error: GatewayError | None = None
        self.idle = False
        self.shown = False
        self._decoder = decoder
        self._headers = headers
        self._request_headers = request_headers
        self._parser = SseParser()
        self._held = 0
        self._pieces: list[str] = []
        self._joiners: dict[tuple[int, type[_Delta]], SurrogateJoiner] = {}
        self._names = names
        self._unlimited = unlimited
        self._forced_calls = ForcedCallReader(forced) if forced else None
        self._stopper = Stopper(stops) if stops else None

    @property
    def stopped(self) -> bool:
        """Whether a stop text ended the reply here, while the server may still be sending."""
        return self._stopper is not None and self._stopper.stopped

    @property
    def partial(self) -> str:
        """The text received so far."""
        return "".join(self._pieces)

    def feed(self, chunk: bytes) -> list[Event]:
        """The events that `chunk` completes; after an error in it, `error` and `ended` are set."""
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
        held, self._held = 0 if parsed else self._held, self._parser.buffered
        self.idle = not events and parsed == decoder.keep_alives - keep_alives and self._held <= held
        return self._delivered(events)

    def close(self) -> list[Event]:
        """The last events, once the bytes have ended; sets `error` if the reply is not complete."""
        return self._end(self._parser.close())

    def lost(self, error: GatewayError) -> list[Event]:
        """The last events after the connection failed; sets `error` unless the reply is complete.

        An incomplete event at the end was cut by the failure, and is ignored.
        """
        events = self._end([event for event in self._parser.close() if _is_complete(event[1])])
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
        return self._delivered(events)

    def _fail(self, error: EmbeddedError | GatewayError) -> None:
        if isinstance(error, EmbeddedError):
            error = failures.from_embedded(error.body, self._headers)
        self.error, self.ended = self._annotated(error), True

    def _annotated(self, error: GatewayError) -> GatewayError:
        error.requests_sent = self.requests_sent
        error.log_id, error.log_ids = error.log_id or self.info.log_id, self.info.log_ids
        conceal(error, self._request_headers)
        if isinstance(error, StreamBroken):
            error.partial = error.partial or self.partial
        return error

    def _delivered(self, events: list[Event]) -> list[Event]:
        """The events up to a stop text, with valid Unicode and the user's names of tools; keeps the text."""
        if self._joiners or _has_surrogates(events):
            events = self._joined(events)
        if self._forced_calls is not None:
            events = self._forced_calls.feed(events) + (self._forced_calls.flush() if self.ended else [])
        if self._names:
            rename_events(events, self._names)
        if self._stopper is not None:
            events = self._stopper.feed(events)
            if self.stopped:
                self.ended, self.error = True, None
        for event in events:
            if type(event) is TextDelta:
                self._pieces.append(event.text)
            elif type(event) is Finished and self._unlimited is not None:
                warn_of_default_limit(self._unlimited, event.finish)
        self.shown = self.shown or any(not isinstance(event, _Invisible) for event in events)
        if self.error is not None and self.shown:
            self.error.retryable, self.error.maybe_billed = False, True
        return events

    def _joined(self, events: list[Event]) -> list[Event]:
        """The events with surrogate pairs joined, including pairs that are split between two deltas."""
        joined: list[Event] = []
        for event in events:
            if isinstance(event, _Delta):
                key = (event.part, type(event))
                joined += self._unpaired(but=key)
                joiner = self._joiners.get(key)
                if joiner is None:
                    joiner = self._joiners[key] = SurrogateJoiner()
                event.text = joiner.feed(event.text)
                if not event.text:
                    continue
            joined.append(event)
        return joined + self._unpaired() if self.ended else joined

    def _unpaired(self, but: tuple[int, type[_Delta]] | None = None) -> list[Event]:
        """Deltas for surrogates whose other half can no longer come: another text, or the end of the reply, follows.

        The arguments of parallel calls may alternate, so they wait for the end.
        """
        texts = [
            (key, joiner.close())
            for key, joiner in self._joiners.items()
            if but is None or (key != but and key[1] is not ArgumentsDelta)
        ]
        return [kind(part, text) for (part, kind), text in texts if text]


def _has_surrogates(events: list[Event]) -> bool:
    for event in events:
        text = getattr(event, "text", "")
        if not text.isascii() and repair_surrogates(text) is not text:
            return True
    return False


def _is_complete(data: bytes) -> bool:
    """Whether an event that no blank line ended is complete all the same."""
    if not data.lstrip().startswith(b"{"):
        return True
    try:
        jsonio.load(data)
    except ProtocolError:
        return False
    return True


def first_bytes() -> Actions[bytes | None]:
    """The first bytes of an open response that are not blank; None if there are none."""
    chunk = cast("bytes | None", (yield ReadOn()))
    while chunk is not None and sniff(chunk) is None:
        chunk = cast("bytes | None", (yield ReadOn(idle=True)))
    return chunk


def read_document(head: bytes) -> Actions[bytes]:
    """The rest of a document that came in place of a stream; if the connection fails, complete JSON is enough."""
    body = bytearray(head)
    chunk: bytes | None = b""
    while chunk is not None and len(body) <= EVENT_LIMIT:
        body += chunk
        try:
            chunk = cast("bytes | None", (yield ReadOn()))
        except GatewayError:
            if not jsonio.is_object_text(body.decode("utf-8", "replace")):
                raise
            break
    if len(body) > EVENT_LIMIT:
        excerpt = jsonio.excerpt(bytes(body[:2000]))
        raise ProtocolError(f"The response is larger than {EVENT_LIMIT} bytes.", body=excerpt)
    return bytes(body)


def read_until_visible(session: StreamSession, chunk: bytes | None) -> Actions[None]:
    """Reads until an event is visible or the stream ends; raises its error if nothing was visible before it."""
    while True:
        session.waiting += session.close() if chunk is None else session.feed(chunk)
        if session.ended or session.shown:
            break
        try:
            chunk = cast("bytes | None", (yield ReadOn(session.idle)))
        except GatewayError as error:
            session.waiting += session.lost(error)
            break
    if session.error is not None and not session.shown:
        raise session.error
