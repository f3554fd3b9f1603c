"""The decoder of a stream: its end marker and its breaks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from cfaig_integrations.core.events import Event
from cfaig_integrations.errors import ProtocolError
from cfaig_integrations.wire.chat_completions.chunks import Assembler
from cfaig_integrations.wire.common import MALFORMED
from cfaig_integrations.wire.decoder import EventDecoder


class ChatCompletionsDecoder(EventDecoder):
    """Push decoder of one stream.

    A stream is whole once `[DONE]` came, or a finish reason for every answer that began; the first without the second
    is an answer that ended in the ordinary way (facts §5.3). Token counts, citations and all else that only the
    end makes final are given out by `close`.
    """

    __slots__ = ("_assembler",)
    ends_with_done = True

    def __init__(self) -> None:
        super().__init__()
        self._assembler = Assembler()

    def take(self, name: str, event: dict[str, Any]) -> Sequence[Event]:
        """The events of one chunk; its name means nothing on this wire."""
        events = self._assembler.take(event)
        if not events and not self._assembler.spoke:
            self.keep_alives += 1
        return events

    def close(self) -> Sequence[Event]:
        """The last events.

        Raises:
            StreamBroken: The stream ended before its end marker, or held no answer.
            ProtocolError: What it held makes no answer.
            EmbeddedError: Its last event was an error.
        """
        if self.broken or not self._assembler.whole(ended=self.ended):
            raise self.cut(
                "The stream ended before the answer was whole: "
                + ("[DONE] came, but no answer." if self.ended else "it has neither a finish reason nor [DONE]."),
                "".join(self._assembler.text),
            )
        try:
            return self._assembler.end()
        except MALFORMED as error:
            raise ProtocolError(f"The stream held no chat completion: {error!r}.") from error
