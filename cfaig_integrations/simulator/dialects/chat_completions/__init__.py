"""OpenAI Chat Completions, for third-party and Workers AI models.

Knows no other dialect.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from cfaig_integrations.simulator.dialects import errors, sse
from cfaig_integrations.simulator.dialects.chat_completions import read, render, stream
from cfaig_integrations.simulator.types import Answer, ModelRequest


class ChatCompletions:
    """The dialect of `/ai/v1/chat/completions`."""

    def read(self, body: dict[str, Any]) -> ModelRequest:
        """Validate a body."""
        return read.read(body)

    def whole(self, request: ModelRequest, answer: Answer) -> dict[str, Any]:
        """A `chat.completion`."""
        return render.whole(request, answer)

    def stream(self, request: ModelRequest, answer: Answer) -> Iterator[bytes]:
        """`chat.completion.chunk` events and `[DONE]`."""
        return stream.stream(request, answer)

    def error(self, status: int, code: int | str, message: str) -> dict[str, Any]:
        """OpenAI's error body."""
        return errors.openai(status, code, message)

    def error_event(self, message: str) -> bytes:
        """OpenAI's error inside a stream."""
        return sse.data(errors.openai(500, "server_error", message))
