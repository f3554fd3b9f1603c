"""OpenAI Chat Completions, for third-party and Workers AI models."""

from __future__ import annotations

from cfaig_integrations.simulator.dialects import errors, sse
from cfaig_integrations.simulator.dialects.chat_completions import read, render, stream
from cfaig_integrations.simulator.dialects.dialect import Dialect


def _error_event(message: str) -> bytes:
    return sse.data(errors.openai(500, "server_error", message))


CHAT_COMPLETIONS = Dialect(read.read, render.whole, stream.stream, errors.openai, _error_event)
