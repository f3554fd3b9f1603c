"""The decoder of a stream: its events' JSON, its end marker, its breaks.

Knows no chunk's meaning; `assemble` does.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from cfaig_integrations.core.events import Event
from cfaig_integrations.errors import ProtocolError, StreamBroken
from cfaig_integrations.wire.chat_completions.assemble import Assembler
from cfaig_integrations.wire.codec import Refused
from cfaig_integrations.wire.common import DONE, MALFORMED, is_keep_alive
from cfaig_integrations.wire.fields import objects_in
from cfaig_integrations.wire.jsonio import excerpt, load_object


class ChatCompletionsDecoder:
    """Push decoder of one stream.

    A stream is whole once `[DONE]` came, or a finish reason for every answer that began; the first without the second
    is an answer that ended in the ordinary way (wire-facts §5.3). Token counts, citations and all else that only the
    end makes final are given out by `close`.
    """

    __slots__ = ("_assembler", "_broken", "ended", "keep_alives")

    def __init__(self) -> None:
        self._assembler = Assembler()
        self._broken: ProtocolError | Refused | None = None
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
        if self.ended:
            return ()
        if data[:1] != b"{" or (name and is_keep_alive(name, data)):
            return self._feed_other(name, data)
        try:
            chunk = load_object(data, repair=False)
        except ProtocolError:
            return self._feed_other(name, data)
        events = self._take(chunk, data)
        if not events and not self._assembler.spoke:
            self.keep_alives += 1
        return events

    def _take(self, chunk: dict[str, Any], data: bytes) -> list[Event]:
        try:
            return self._assembler.take(chunk)
        except ProtocolError as error:
            error.body = error.body or excerpt(data)
            raise
        except MALFORMED as error:
            raise ProtocolError(f"The stream holds no chat completion chunk: {error!r}.", body=excerpt(data)) from error

    def _feed_other(self, name: str, data: bytes) -> Sequence[Event]:
        """Takes an event that is not exactly one chunk."""
        if is_keep_alive(name, data):
            self.keep_alives += 1
            return ()
        try:
            chunks = objects_in(data)
        except ProtocolError as error:
            self._broken = error  # a cut if nothing follows, else nonsense
            return ()
        events: list[Event] = []
        for chunk in chunks:
            try:
                events += self._take(chunk, data)
            except (ProtocolError, Refused) as error:
                if not events:
                    raise
                self._broken = error  # once the caller has the events before it
                return events
        self.ended = data.rstrip().endswith(DONE)
        return events

    def close(self) -> Sequence[Event]:
        """The last events.

        Raises:
            StreamBroken: The stream ended before its end marker, or held no answer.
            ProtocolError: What it held makes no answer.
            Refused: Its last event was an error.
        """
        if isinstance(self._broken, Refused):
            raise self._broken
        if self._broken or not self._assembler.whole(ended=self.ended):
            raise StreamBroken(
                "The stream ended before the answer was whole: "
                + ("[DONE] came, but no answer." if self.ended else "it has neither a finish reason nor [DONE]."),
                body=self._broken.body if self._broken else None,
                partial="".join(self._assembler.text),
            ) from self._broken
        try:
            return self._assembler.end()
        except MALFORMED as error:
            raise ProtocolError(f"The stream held no chat completion: {error!r}.") from error
