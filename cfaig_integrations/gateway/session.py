"""Bytes of one open stream to events, with whatever goes wrong inside it as this package's errors.

Knows neither where the bytes come from nor who reads the events.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias

from cfaig_integrations.core.events import Event, ReplyNoted, Started, TextDelta, UsageUpdated
from cfaig_integrations.core.stops import Stopper
from cfaig_integrations.errors import GatewayError, StreamBroken
from cfaig_integrations.gateway import failures
from cfaig_integrations.gateway.info import GatewayInfo
from cfaig_integrations.wire.codec import Refused, StreamDecoder
from cfaig_integrations.wire.sse import DEFAULT_EVENT_LIMIT, SseParser

_Silent: TypeAlias = Started | ReplyNoted | UsageUpdated
"""Events that show a reader nothing of the answer."""


class StreamSession:
    """One open stream: push bytes, get events.

    Args:
        decoder: Of the stream's wire.
        info: What the response's headers said.
        headers: They themselves, for errors.
        requests_sent: How many requests it took to open it.
        event_limit: Most bytes of one event.
        stops: Texts at which the answer ends, if the server does not see to it.

    Attributes:
        info: What the response's headers said.
        waiting: Events that were read while the stream was opened, and that nobody has seen yet.
        ended: Whether nothing more of the stream need be read.
        requests_sent: How many requests it took to open it.
    """

    __slots__ = ("_decoder", "_headers", "_parser", "_pieces", "_stopper", "ended", "info", "requests_sent", "waiting")

    def __init__(
        self,
        decoder: StreamDecoder,
        info: GatewayInfo,
        headers: Mapping[str, str],
        *,
        requests_sent: int = 1,
        event_limit: int = DEFAULT_EVENT_LIMIT,
        stops: tuple[str, ...] = (),
    ) -> None:
        self.info = info
        self.requests_sent = requests_sent
        self.waiting: list[Event] = []
        self.ended = False
        self._decoder = decoder
        self._headers = headers
        self._parser = SseParser(event_limit)
        self._pieces: list[str] = []
        self._stopper = Stopper(stops) if stops else None

    @property
    def partial(self) -> str:
        """The text received so far."""
        return "".join(self._pieces)

    @property
    def speaks(self) -> bool:
        """Whether `waiting` holds a part of the answer or its end."""
        return any(not isinstance(event, _Silent) for event in self.waiting)

    def feed(self, chunk: bytes) -> list[Event]:
        """The events that `chunk` completes.

        Raises:
            ApiError: The stream says that something failed.
            ProtocolError: It is not what the wire format allows.
        """
        events: list[Event] = []
        try:
            for name, data in self._parser.feed(chunk):
                events += self._decoder.feed(name, data)
        except (Refused, GatewayError) as error:
            raise self._failed(error) from None
        return self._shown(events)

    def close(self) -> list[Event]:
        """The last events, once the bytes have ended.

        Raises:
            ApiError: The stream says that something failed.
            StreamBroken: It ended before its end marker.
        """
        events: list[Event] = []
        try:
            for name, data in self._parser.close():
                events += self._decoder.feed(name, data)
            events += self._decoder.close()
        except (Refused, GatewayError) as error:
            raise self._failed(error) from None
        self.ended = True
        return self._shown(events)

    def failed(self, error: GatewayError) -> GatewayError:
        """An error that ends this stream, with what is known of the stream."""
        error.requests_sent = self.requests_sent
        if isinstance(error, StreamBroken):
            error.partial = error.partial or self.partial
        return error

    def _failed(self, error: Refused | GatewayError) -> GatewayError:
        if isinstance(error, Refused):
            return self.failed(failures.from_refused(error.body, self._headers))
        return self.failed(error)

    def _shown(self, events: list[Event]) -> list[Event]:
        """The events up to a stop text; they are remembered."""
        if self._stopper is not None:
            events = self._stopper.feed(events)
            self.ended = self.ended or self._stopper.stopped
        for event in events:
            if type(event) is TextDelta:
                self._pieces.append(event.text)
        return events
