"""Anthropic Messages.

Knows no other dialect.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from cfaig_integrations.simulator.dialects import errors, sse
from cfaig_integrations.simulator.dialects.messages import read, render, stream
from cfaig_integrations.simulator.types import Answer, ModelRequest


class Messages:
    """The dialect of `/ai/v1/messages`."""

    def read(self, body: dict[str, Any]) -> ModelRequest:
        """Validate a body."""
        return read.read(body)

    def whole(self, request: ModelRequest, answer: Answer) -> dict[str, Any]:
        """A finished message."""
        return render.message(request, answer, render.content(answer))

    def stream(self, request: ModelRequest, answer: Answer) -> Iterator[bytes]:
        """Named events, from `message_start` to `message_stop`."""
        return stream.stream(request, answer)

    def error(self, status: int, code: int | str, message: str) -> dict[str, Any]:
        """Anthropic's error body."""
        return errors.anthropic(status, message)

    def error_event(self, message: str) -> bytes:
        """An `error` event."""
        return sse.event({"type": "error", "error": {"type": "api_error", "message": message}})
