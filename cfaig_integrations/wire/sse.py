"""Server-sent events: bytes in, (event name, data) out.

Lines end with CR, LF or CRLF and with nothing else: U+2028 and U+0085 may be unescaped inside JSON, which is why
`splitlines` is not used (facts §5.3).
"""

from __future__ import annotations

from cfaig_integrations.errors import ProtocolError

EVENT_LIMIT = 64 * 1024 * 1024
"""Most bytes of one event, with room for a base64 image; more is a `ProtocolError`."""

LINE_COST = 64
"""What a line of an event counts in addition to its bytes, so that empty lines do not fill the memory."""

_INVISIBLE = b"\xef\xbb\xbf\0 \t"
"""Bytes of byte-order marks, NULs, and blanks, with which some servers show that a model works (facts §14.2).

A standard reader would ignore a line that begins with them, and its data.
"""


class SseParser:
    r"""A push parser for one stream.

    Any split of the same bytes gives the same events. An event at the very end without its blank line is returned by
    `close`: the wire's end marker decides whether the stream was complete.

    Example:
        >>> parser = SseParser()
        >>> parser.feed(b"data: {}\r"), parser.feed(b"\n\ndata:[DO"), parser.feed(b"NE]\n\n")
        ([], [('', b'{}')], [('', b'[DONE]')])
    """

    __slots__ = ("_after_cr", "_data", "_data_size", "_name", "_partial_line", "_partial_size")

    def __init__(self) -> None:
        self._partial_line: list[bytes] = []
        self._partial_size = 0
        self._data: list[bytes] = []
        self._data_size = 0
        self._name = ""
        self._after_cr = False

    @property
    def buffered(self) -> int:
        """How many bytes of an incomplete event are buffered; comments and what may precede a line do not count."""
        is_comment = self._partial_line and self._partial_line[0].lstrip(_INVISIBLE)[:1] in b":"
        return self._data_size + (0 if is_comment else self._partial_size)

    def feed(self, chunk: bytes) -> list[tuple[str, bytes]]:
        """The events that `chunk` completes.

        Raises:
            ProtocolError: An event is over the limit.
        """
        if self._after_cr and chunk:
            self._after_cr = False
            chunk = chunk.removeprefix(b"\n")
        if b"\r" in chunk:
            self._after_cr = chunk[-1] == 13
            chunk = chunk.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        if b"\n" not in chunk:
            self._buffer(chunk)
            return []
        if self._partial_line:
            chunk = b"".join((*self._partial_line, chunk))
            self._partial_line.clear()
            self._partial_size = 0
        events: list[tuple[str, bytes]] = []
        if not (self._data or self._name) and len(chunk) <= EVENT_LIMIT:
            chunk = self._parse_blocks(chunk, events)
        if chunk:
            lines = chunk.split(b"\n")
            rest = lines.pop()
            if lines:
                events += self._parse(lines)
            self._buffer(rest)
        return events

    def _parse_blocks(self, chunk: bytes, events: list[tuple[str, bytes]]) -> bytes:
        """Parses the whole events of a chunk, and returns the rest of it. Nearly every event is one line of data."""
        *blocks, rest = chunk.split(b"\n\n")
        for block in blocks:
            if block.startswith(b"data: ") and b"\n" not in block:
                events.append(("", block[6:]))
            else:
                self._parse_block(block, events)
        return rest

    def _parse_block(self, block: bytes, events: list[tuple[str, bytes]]) -> None:
        """Parses the lines before a blank one: nearly always the event's name and its data."""
        name, _, data = block.partition(b"\n")
        if name.startswith(b"event: ") and data.startswith(b"data: ") and b"\n" not in data:
            events.append((name[7:].strip().decode("utf-8", "replace"), data[6:]))
        else:
            events += self._parse([*block.split(b"\n"), b""])

    def _parse(self, lines: list[bytes]) -> list[tuple[str, bytes]]:
        events: list[tuple[str, bytes]] = []
        data = self._data
        for line in lines:
            if line.startswith(b"data:") or line == b"data":  # a field without a colon has an empty value
                value = line[6:] if line.startswith(b"data: ") else line[5:]
                self._data_size += len(value) + LINE_COST if data else len(value)
                if self._data_size > EVENT_LIMIT:
                    raise self._too_large(value)
                data.append(value)
            elif line.startswith(b"event:"):
                self._name = line[6:].strip().decode("utf-8", "replace")
            elif not line or line == b"[DONE]" or line.startswith(b"{"):  # the latter without `data:`, facts §5.3
                if data:
                    events.append((self._name, data[0] if len(data) == 1 else b"\n".join(data)))
                    data.clear()
                    self._data_size = 0
                if line:
                    events.append(("", line))
                else:
                    self._name = ""
            elif (visible := line.lstrip(_INVISIBLE)) and visible != line:
                events += self._parse([visible])
        return events

    def _buffer(self, piece: bytes) -> None:
        """Keeps a piece of a line for the rest of it; counted separately, because it includes the field's name."""
        if piece:
            self._partial_line.append(piece)
            self._partial_size += len(piece)
            if self._data_size + self._partial_size > EVENT_LIMIT + len(b"data: "):
                raise self._too_large(piece)

    def _too_large(self, piece: bytes) -> ProtocolError:
        return ProtocolError(
            f"One event of the stream is larger than {EVENT_LIMIT} bytes.", body=piece[:200].decode("utf-8", "replace")
        )

    def close(self) -> list[tuple[str, bytes]]:
        """The last event when the stream has ended."""
        lines = [b"".join(self._partial_line), b""]
        self._partial_line.clear()
        return self._parse(lines)
