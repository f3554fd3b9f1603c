"""Reads token counts from bodies and streams that pass through, in the formats of OpenAI and Anthropic."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from cfaig_integrations.simulator.json_types import is_record, parse_json

_EVENT_END = re.compile(rb"\r?\n\r?\n")
_LONGEST_EVENT = 10_000_000


@dataclass(slots=True)
class Usage:
    """Token counts, as far as they are known."""

    tokens_in: int = 0
    tokens_out: int = 0
    tokens_cached: int = 0

    def update(self, body: Any) -> None:
        """Take the counts of a body or an event; later ones replace earlier ones."""
        if not is_record(body):
            return
        for holder in (body, body.get("message"), body.get("response")):
            usage = holder.get("usage") if is_record(holder) else None
            if is_record(usage):
                self._take(usage)

    def _take(self, usage: dict[str, Any]) -> None:
        details = usage.get("prompt_tokens_details") or usage.get("input_tokens_details")
        read = _count(usage, "cache_read_input_tokens")
        written = _count(usage, "cache_creation_input_tokens") or 0
        cached = read if read is not None else _count(details if is_record(details) else {}, "cached_tokens")
        into = _count(usage, "prompt_tokens", "input_tokens")
        if into is not None:
            # Anthropic counts what was read from and written to the prompt cache outside `input_tokens`
            self.tokens_in = into + (read or 0) + written
        self.tokens_out = _count(usage, "completion_tokens", "output_tokens") or self.tokens_out
        self.tokens_cached = cached or self.tokens_cached


def _count(record: dict[str, Any], *names: str) -> int | None:
    return next((record[name] for name in names if type(record.get(name)) is int), None)


class StreamMeter:
    """Splits a stream into events, reads their usage, and drops the usage-only event that the client did not request.

    Args:
        hide_tail: Drop OpenAI's last chunk, which has usage and no choices.
    """

    def __init__(self, *, hide_tail: bool) -> None:
        """Start before the first byte."""
        self.usage = Usage()
        self._hide_tail = hide_tail
        self._pending = bytearray()

    def feed(self, chunk: bytes) -> bytes:
        """The bytes to pass on now: all complete events."""
        start = max(0, len(self._pending) - 3)
        self._pending += chunk
        passed = bytearray()
        position = 0
        for match in _EVENT_END.finditer(self._pending, start):
            event = bytes(self._pending[position : match.end()])
            position = match.end()
            if self._keeps(event):
                passed += event
        del self._pending[:position]
        if len(self._pending) > _LONGEST_EVENT:
            passed += self.finish()
        return bytes(passed)

    def finish(self) -> bytes:
        """What is left at the end of the stream."""
        rest = bytes(self._pending)
        self._pending.clear()
        return rest if self._keeps(rest) else b""

    def _keeps(self, event: bytes) -> bool:
        if b'"usage"' not in event:
            return True
        lines = [line[5:].strip() for line in event.splitlines() if line.startswith(b"data:")]
        try:
            body = parse_json(b"\n".join(lines))
        except ValueError:
            return True
        self.usage.update(body)
        is_tail = is_record(body) and body.get("choices") == [] and is_record(body.get("usage"))
        return not (self._hide_tail and is_tail)
