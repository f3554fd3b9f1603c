"""Anthropic Messages."""

from __future__ import annotations

from cfaig_integrations.simulator.dialects import errors, sse
from cfaig_integrations.simulator.dialects.dialect import Dialect
from cfaig_integrations.simulator.dialects.messages import read, render, stream


def _error_event(message: str) -> bytes:
    return sse.event({"type": "error", "error": {"type": "api_error", "message": message}})


MESSAGES = Dialect(read.read, render.message, stream.stream, errors.anthropic, _error_event)
