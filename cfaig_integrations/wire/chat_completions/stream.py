"""The decoder of a stream: its events' JSON, its end marker, its breaks.

Knows no chunk's meaning; `assemble` does.
"""

from __future__ import annotations

from collections.abc import Sequence

from cfaig_integrations.core.events import Event
from cfaig_integrations.errors import ProtocolError, StreamBroken
from cfaig_integrations.wire.chat_completions.assemble import Assembler
from cfaig_integrations.wire.common import MALFORMED
from cfaig_integrations.wire.jsonio import excerpt, load_object

_DONE = b"[DONE]"


class ChatCompletionsDecoder:
    """Push decoder of one stream.

    A stream is whole once `[DONE]` came, or a finish reason for every answer that began; the first without the second
    is an answer that ended in the ordinary way (wire-facts §5.3). Token counts, citations and all else that only the
    end makes final are given out by `close`.
    """

    __slots__ = ("_assembler", "_broken", "ended", "keep_alives")

    def __init__(self) -> None:
        self._assembler = Assembler()
        self._broken: ProtocolError | None = None
        self.ended = False
        self.keep_alives = 0

    def feed(self, name: str, data: bytes) -> Sequence[Event]:
        """The events of one server-sent event; its name means nothing on this wire.

        Raises:
            ProtocolError: The data is not a chunk.
            Refused: The data is an error.
        """
        if self._broken:
            raise self._broken
        if data[:1] != b"{":
            return self._feed_other(data)
        try:
            chunk = load_object(data, repair=False)
        except ProtocolError as error:
            self._broken = error  # a cut if nothing follows, else nonsense
            return ()
        try:
            return self._assembler.take(chunk)
        except MALFORMED as error:
            raise ProtocolError(f"The stream holds no chat completion chunk: {error!r}.", body=excerpt(data)) from error

    def _feed_other(self, data: bytes) -> Sequence[Event]:
        data = data.strip()
        if data == _DONE:
            self.ended = True
        elif data[:1] == b"{":
            return self.feed("", data)
        else:
            self.keep_alives += 1
        return ()

    def close(self) -> Sequence[Event]:
        """The last events.

        Raises:
            StreamBroken: The stream ended before its end marker.
            ProtocolError: What it held makes no answer.
        """
        if self._broken or not (self.ended or self._assembler.finished):
            raise StreamBroken(
                "The stream ended before the answer was whole: it has neither a finish reason nor [DONE].",
                body=self._broken.body if self._broken else None,
                partial="".join(self._assembler.text),
            ) from self._broken
        try:
            return self._assembler.end()
        except MALFORMED as error:
            raise ProtocolError(f"The stream held no chat completion: {error!r}.") from error
