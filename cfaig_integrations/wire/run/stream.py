"""The decoder of a stream: finds out which format it is in, and leaves the rest to that format's decoder."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from cfaig_integrations.core.content import Wire
from cfaig_integrations.core.events import Event
from cfaig_integrations.errors import ProtocolError, StreamBroken
from cfaig_integrations.wire.codec import ChatCodec, EmbeddedError, StreamDecoder
from cfaig_integrations.wire.common import MALFORMED, as_str, is_error, is_keep_alive, unwrapped
from cfaig_integrations.wire.decoder import EventDecoder
from cfaig_integrations.wire.fields import objects_in
from cfaig_integrations.wire.run.gemini import Gemini
from cfaig_integrations.wire.run.shapes import Shape, shape_of_event


class RunDecoder:
    """Push decoder of one stream. Events that do not tell the format wait until one does.

    Args:
        inner: Gives the codec of another wire.
    """

    __slots__ = ("_broken", "_codec", "_decoder", "_done", "_keep_alives", "_waiting")

    def __init__(self, inner: Callable[[Wire], ChatCodec]) -> None:
        self._codec = inner
        self._decoder: StreamDecoder | None = None
        self._waiting: list[tuple[str, bytes]] = []
        self._done = False
        self._keep_alives = 0
        self._broken: ProtocolError | None = None

    @property
    def ended(self) -> bool:
        """Whether the format's end marker came."""
        return self._done if self._decoder is None else self._decoder.ended

    @property
    def keep_alives(self) -> int:
        """How many of the events so far only kept the connection alive."""
        return self._keep_alives + (self._decoder.keep_alives if self._decoder else 0)

    def feed(self, name: str, data: bytes) -> Sequence[Event]:
        """The events of one server-sent event.

        Raises:
            ProtocolError: The data is not what its format allows.
            EmbeddedError: The event is an error.
        """
        if self._decoder is not None:
            return self._decoder.feed(name, data)
        if self._broken:
            raise self._broken
        if is_keep_alive(name, data):
            self._keep_alives += 1
            return ()
        self._waiting.append((name, data))
        shape = self._shape(data)
        if shape is None:
            return ()
        decoder = self._decoder = _GeminiDecoder() if shape == "gemini" else self._codec(shape).decoder()
        return [event for waiting in self._waiting for event in decoder.feed(*waiting)]

    def _shape(self, data: bytes) -> Shape | None:
        try:
            events = objects_in(data)
        except ProtocolError as error:
            self._broken = error  # a cut, if nothing follows
            return None
        for event in events:
            if is_error(event):
                raise EmbeddedError(event)
            if shape := shape_of_event(unwrapped(event)):
                return shape
        if not events:
            self._done = True
        elif is_keep_alive(as_str(events[0].get("type")), b"{}"):
            self._keep_alives += 1
            self._waiting.pop()
        return None

    def close(self) -> Sequence[Event]:
        """The last events.

        Raises:
            StreamBroken: The format's end marker never came, or nothing told the format.
        """
        if self._decoder is not None:
            return self._decoder.close()
        raise StreamBroken("The stream ended before anything of an answer came.") from self._broken


class _GeminiDecoder(EventDecoder):
    """Decoder of a stream of generateContent answers."""

    __slots__ = ("_gemini",)
    ends_with_done = True

    def __init__(self) -> None:
        super().__init__()
        self._gemini = Gemini()

    def take(self, name: str, event: dict[str, Any]) -> Sequence[Event]:
        """The events of one chunk."""
        if is_keep_alive(as_str(event.get("type")) or name, b"{}"):
            self.keep_alives += 1
            return ()
        chunk = unwrapped(event)
        if is_error(chunk):
            raise EmbeddedError(chunk)
        return self._gemini.take(chunk)

    def close(self) -> Sequence[Event]:
        """The last events."""
        if self.broken or not self._gemini.whole(ended=self.ended):
            raise self.cut(
                "The stream ended before Gemini gave a finish reason and token counts.", "".join(self._gemini.text)
            )
        try:
            return self._gemini.end()
        except MALFORMED as error:
            raise ProtocolError(f"The stream held no answer of Gemini's: {error!r}.") from error
