"""Reading of streams whose events are JSON objects: what all wires do alike."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from cfaig_integrations.core.events import Event
from cfaig_integrations.errors import ProtocolError, StreamBroken
from cfaig_integrations.wire.codec import EmbeddedError
from cfaig_integrations.wire.common import DONE, MALFORMED, is_error, is_keep_alive, unwrapped
from cfaig_integrations.wire.fields import objects_in
from cfaig_integrations.wire.jsonio import excerpt, load


class EventDecoder:
    """Push decoder of one stream; a subclass takes the events.

    Attributes:
        ended: Whether the end marker came.
        keep_alives: How many of the events so far only kept the connection alive.
        broken: What is wrong with an event, raised when another one follows: else it may only have been cut.
    """

    __slots__ = ("broken", "ended", "keep_alives")
    ends_with_done: ClassVar[bool] = False
    """Whether `[DONE]` is the end marker; elsewhere only servers that imitate a format send it."""
    payload: ClassVar[frozenset[str]] = frozenset()
    """Keys under which an event without a type may hold a piece of the answer."""

    def __init__(self) -> None:
        self.broken: ProtocolError | EmbeddedError | None = None
        self.ended = False
        self.keep_alives = 0

    def feed(self, name: str, data: bytes) -> Sequence[Event]:
        """The events of one server-sent event.

        Raises:
            ProtocolError: The data, or that of the event before it, is not what the format allows.
            EmbeddedError: The event is an error.
        """
        if self.ended and not self.reopens(data):
            return ()
        if self.broken is not None:
            raise self.broken
        if data[:1] != b"{":
            return self._feed_other(name, data)
        try:
            event = load(data, repair=False)
        except ProtocolError:
            return self._feed_other(name, data)
        if "result" in event:
            event = unwrapped(event)
        try:
            return self.take(name, event)
        except (ProtocolError, *MALFORMED) as error:
            raise _located(error, data) from None

    def _feed_other(self, name: str, data: bytes) -> Sequence[Event]:
        """Takes data that is not exactly one object: a keep-alive word, several objects, `[DONE]`."""
        if is_keep_alive(name, data) and b"\n" not in data:
            self.keep_alives += 1
            return ()
        try:
            pieces = objects_in(data)
        except ProtocolError as error:
            self.broken = error
            return ()
        events: list[Event] = []
        for piece in pieces:
            try:
                events += self.take(name if len(pieces) == 1 else "", unwrapped(piece))
            except (ProtocolError, EmbeddedError, *MALFORMED) as error:
                known = _located(error, data)
                if not events:
                    raise known from None
                self.broken = known  # raised once the caller has the events before it
                return events
            if self.ended:
                return events
        self.ended = self.ends_with_done and data.rstrip().endswith(DONE)
        return events

    def reopens(self, data: bytes) -> bool:
        """Whether data that follows the end marker belongs to the answer nevertheless."""
        return False

    def take(self, name: str, event: dict[str, Any]) -> Sequence[Event]:
        """The events of one JSON object; `name` is that of the server-sent event, which some servers leave out."""
        raise NotImplementedError

    def take_unknown(self, event: dict[str, Any]) -> Sequence[Event]:
        """Skips an event that is of no known type, unless a piece of the answer could be lost with it.

        Raises:
            ProtocolError: It has no type, but a piece of an answer.
            EmbeddedError: It is an error.
        """
        if is_error(event):
            raise EmbeddedError(event)
        kind = event.get("type")
        if not event or (isinstance(kind, str) and is_keep_alive(kind, b"{}")):
            self.keep_alives += 1
        elif not isinstance(kind, str) and (held := sorted(self.payload & event.keys())):
            raise ProtocolError(f"An event of the stream has a {held[0]} but no type.")
        return ()

    def cut(self, message: str, partial: str) -> ProtocolError | EmbeddedError:
        """The error of a stream that ended too early."""
        if isinstance(self.broken, EmbeddedError):
            return self.broken
        return StreamBroken(message, body=self.broken.body if self.broken else None, partial=partial)


def _located(error: Exception, data: bytes) -> ProtocolError | EmbeddedError:
    """The error of an event, with the event."""
    if isinstance(error, EmbeddedError):
        return error
    if not isinstance(error, ProtocolError):
        return ProtocolError(f"The stream has an event that is not of its format: {error!r}.", body=excerpt(data))
    error.body = error.body or excerpt(data)
    return error
