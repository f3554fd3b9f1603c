"""Server-sent events: bytes in, (event name, data) out.

Lines end with CR, LF or CRLF and with nothing else: U+2028 and U+0085 may stand raw inside JSON, which is why no
`splitlines` is used (facts §5.3).
"""

from __future__ import annotations

from cfaig_integrations.errors import ProtocolError

DEFAULT_EVENT_LIMIT = 64 * 1024 * 1024
"""Most bytes of one event: room for a base64 image."""

LINE_COST = 64
"""What a line of an event counts beyond its bytes, so that lines without any do not fill the memory."""

_BOM = b"\xef\xbb\xbf"


class SseParser:
    r"""A push parser for one stream.

    Any split of the same bytes gives the same events. An event at the very end without its blank line is given out by
    `close`: whether the stream was whole is for the wire's end marker to say.

    Args:
        event_limit: Most bytes of one event; more is a `ProtocolError`.

    Example:
        >>> parser = SseParser()
        >>> parser.feed(b"data: {}\r"), parser.feed(b"\n\ndata:[DO"), parser.feed(b"NE]\n\n")
        ([], [('', b'{}')], [('', b'[DONE]')])
    """

    __slots__ = ("_after_cr", "_at_start", "_data", "_held", "_limit", "_name", "_tail", "_tail_size")

    def __init__(self, event_limit: int = DEFAULT_EVENT_LIMIT) -> None:
        self._limit = event_limit
        self._tail: list[bytes] = []
        self._tail_size = 0
        self._held = 0
        self._data: list[bytes] = []
        self._name = ""
        self._after_cr = False
        self._at_start = True

    @property
    def held(self) -> int:
        """How many bytes are held of an event that is not complete; comments and blanks do not count."""
        return self._held + (0 if self._tail and self._tail[0][:1] in b": \t" else self._tail_size)

    def feed(self, chunk: bytes) -> list[tuple[str, bytes]]:
        """The events that `chunk` completes.

        Raises:
            ProtocolError: An event is over the limit.
        """
        if self._after_cr and chunk:
            self._after_cr = False
            if chunk[0] == 10:
                chunk = chunk[1:]
        if b"\r" in chunk:
            self._after_cr = chunk[-1] == 13
            chunk = chunk.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        if b"\n" not in chunk:
            self._keep(chunk)
            return []
        if self._tail:
            chunk = b"".join((*self._tail, chunk))
            self._tail.clear()
            self._tail_size = 0
        lines = chunk.split(b"\n")
        rest = lines.pop()
        events = self._lines(lines)
        self._keep(rest)
        return events

    def _lines(self, lines: list[bytes]) -> list[tuple[str, bytes]]:
        events: list[tuple[str, bytes]] = []
        if self._at_start:
            lines[0] = lines[0].removeprefix(_BOM)
            self._at_start = False
        for line in lines:
            if not line:
                if self._data:
                    events.append(self._event())
                self._name = ""
            elif line.startswith(b"data:"):
                self._hold(line[6:] if line[5:6] == b" " else line[5:])
            elif line.startswith(b"event:"):
                self._name = line[6:].strip().decode("utf-8", "replace")
            elif line == b"[DONE]" or line[:1] == b"{":  # seen without its field name, facts §5.3
                if self._data:
                    events.append(self._event())
                events.append(("", line))
            elif line == b"data":  # a field without a colon has an empty value
                self._hold(b"")
        return events

    def _event(self) -> tuple[str, bytes]:
        data = self._data[0] if len(self._data) == 1 else b"\n".join(self._data)
        self._data.clear()
        self._held = 0
        return self._name, data

    def _hold(self, value: bytes) -> None:
        """Takes a whole line's data."""
        self._held += len(value) + LINE_COST if self._data else len(value)
        if self._held > self._limit:
            raise self._too_large(value)
        self._data.append(value)

    def _keep(self, piece: bytes) -> None:
        """Keeps a piece of a line for the rest of it; counted apart, for it holds the field's name too."""
        if piece:
            self._tail.append(piece)
            self._tail_size += len(piece)
            if self._held + self._tail_size > self._limit + len(b"data: "):
                raise self._too_large(piece)

    def _too_large(self, piece: bytes) -> ProtocolError:
        return ProtocolError(
            f"One event of the stream is larger than {self._limit} bytes.",
            body=piece[:200].decode("utf-8", "replace"),
        )

    def close(self) -> list[tuple[str, bytes]]:
        """What is left when the stream has ended."""
        lines = [b"".join(self._tail), b""]
        self._tail.clear()
        return self._lines(lines)
