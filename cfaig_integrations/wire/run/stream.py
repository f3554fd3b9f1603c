"""The decoder of a stream: finds out which format it is in, and leaves the rest to that format's decoder.

Knows no format's events.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from cfaig_integrations.core.content import Wire
from cfaig_integrations.core.events import Event
from cfaig_integrations.errors import ProtocolError, StreamBroken
from cfaig_integrations.wire.codec import ChatCodec, Refused, StreamDecoder
from cfaig_integrations.wire.common import MALFORMED, says_error
from cfaig_integrations.wire.jsonio import excerpt, load_object
from cfaig_integrations.wire.run.gemini import Gemini
from cfaig_integrations.wire.run.shapes import Shape, shape_of_event


class RunDecoder:
    """Push decoder of one stream. Events that do not tell the format wait until one does.

    Args:
        inner: Gives the codec of another wire.
    """

    __slots__ = ("_broken", "_codec", "_decoder", "_waiting")

    def __init__(self, inner: Callable[[Wire], ChatCodec]) -> None:
        self._codec = inner
        self._decoder: StreamDecoder | None = None
        self._waiting: list[tuple[str, bytes]] = []
        self._broken: ProtocolError | None = None

    @property
    def ended(self) -> bool:
        """Whether the format's end marker came."""
        return self._decoder is not None and self._decoder.ended

    @property
    def keep_alives(self) -> int:
        """How many of the events so far only kept the connection alive."""
        return self._decoder.keep_alives if self._decoder else len(self._waiting)

    def feed(self, name: str, data: bytes) -> Sequence[Event]:
        """The events of one server-sent event.

        Raises:
            ProtocolError: The data is not what its format allows.
            Refused: The event is an error.
        """
        if self._decoder is not None:
            return self._decoder.feed(name, data)
        self._waiting.append((name, data))
        shape = self._shape(data)
        if shape is None:
            return ()
        decoder = self._decoder = _GeminiDecoder() if shape == "gemini" else self._codec(shape).decoder()
        return [event for waiting in self._waiting for event in decoder.feed(*waiting)]

    def _shape(self, data: bytes) -> Shape | None:
        if self._broken:
            raise self._broken
        if data[:1] != b"{":
            return None
        try:
            event = load_object(data, repair=False)
        except ProtocolError as error:
            self._broken = error  # a cut, if nothing follows
            return None
        if says_error(event):
            raise Refused(event)
        return shape_of_event(event)

    def close(self) -> Sequence[Event]:
        """The last events.

        Raises:
            StreamBroken: The format's end marker never came, or nothing told the format.
        """
        if self._decoder is not None:
            return self._decoder.close()
        raise StreamBroken("The stream ended before anything of an answer came.") from self._broken


class _GeminiDecoder:
    """Decoder of a stream of generateContent answers, which ends with their finish reasons and has no other marker."""

    __slots__ = ("_broken", "_gemini", "keep_alives")
    ended = False  # its chunks may each carry a finish reason; only the end of the bytes tells which was the last

    def __init__(self) -> None:
        self.keep_alives = 0
        self._gemini = Gemini()
        self._broken: ProtocolError | None = None

    def feed(self, name: str, data: bytes) -> Sequence[Event]:
        """The events of one server-sent event."""
        if self._broken:
            raise self._broken
        if data[:1] != b"{":
            self.keep_alives += 1
            return ()
        try:
            chunk = load_object(data, repair=False)
        except ProtocolError as error:
            self._broken = error
            return ()
        if says_error(chunk):
            raise Refused(chunk)
        try:
            return self._gemini.take(chunk)
        except MALFORMED as error:
            raise ProtocolError(f"The stream holds no Gemini chunk: {error!r}.", body=excerpt(data)) from error

    def close(self) -> Sequence[Event]:
        """The last events."""
        if self._broken or not self._gemini.finished:
            raise StreamBroken(
                "The stream ended before Gemini gave a finish reason.", partial="".join(self._gemini.text)
            ) from self._broken
        try:
            return self._gemini.end()
        except MALFORMED as error:
            raise ProtocolError(f"The stream held no answer of Gemini's: {error!r}.") from error
