"""The decoder of a stream: recognizes its format, and leaves the rest to that format's decoder."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from cfaig_integrations.core.content import Wire
from cfaig_integrations.core.events import Event
from cfaig_integrations.core.json_types import JsonObject
from cfaig_integrations.errors import ProtocolError, StreamBroken
from cfaig_integrations.wire.codec import ChatCodec, EmbeddedError, StreamDecoder
from cfaig_integrations.wire.decoder import is_keep_alive, split_objects
from cfaig_integrations.wire.jsonio import is_error, unwrap
from cfaig_integrations.wire.run.decode import Format, format_by_keys
from cfaig_integrations.wire.run.gemini import GeminiDecoder

_MESSAGES_EVENTS = frozenset(
    {
        *("message_start", "message_delta", "message_stop"),
        *("content_block_start", "content_block_delta", "content_block_stop"),
    }
)


def _format_of_event(event: JsonObject) -> Format | None:
    type_ = event.get("type")
    if isinstance(type_, str):
        if type_ in _MESSAGES_EVENTS:
            return "messages"
        if type_.startswith("response."):
            return "responses"
    return format_by_keys(event)


class RunDecoder:
    """Push decoder of one stream. Events that do not determine the format wait until one does.

    Args:
        inner: Returns the codec of another wire.
    """

    __slots__ = ("_codec", "_decoder", "_done", "_keep_alives", "_pending_error", "_waiting")

    def __init__(self, inner: Callable[[Wire], ChatCodec]) -> None:
        self._codec = inner
        self._decoder: StreamDecoder | None = None
        self._waiting: list[tuple[str, bytes]] = []
        self._done = False
        self._keep_alives = 0
        self._pending_error: ProtocolError | None = None

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
        if self._pending_error:
            raise self._pending_error
        if is_keep_alive(name, data):
            self._keep_alives += 1
            return ()
        self._waiting.append((name, data))
        format_ = self._recognize(data)
        if format_ is None:
            return ()
        decoder = self._decoder = GeminiDecoder() if format_ == "gemini" else self._codec(format_).decoder()
        return [event for waiting in self._waiting for event in decoder.feed(*waiting)]

    def _recognize(self, data: bytes) -> Format | None:
        try:
            objects = split_objects(data)
        except ProtocolError as error:
            self._pending_error = error  # the data may be truncated, if no other event follows
            return None
        for each in objects:
            if is_error(each):
                raise EmbeddedError(each)
            if format_ := _format_of_event(unwrap(each)):
                return format_
        if not objects:
            self._done = True
        elif is_keep_alive(objects[0].get("type")):
            self._keep_alives += 1
            self._waiting.pop()
        return None

    def close(self) -> Sequence[Event]:
        """The last events.

        Raises:
            StreamBroken: The format's end marker never came, or no event determined the format.
        """
        if self._decoder is not None:
            return self._decoder.close()
        raise StreamBroken("The stream ended before any part of an answer came.") from self._pending_error
