"""What every request and response format of the gateway provides."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from cfaig_integrations.simulator.types import Answer, ModelRequest


@dataclass(frozen=True, slots=True)
class Dialect:
    """One format: strict in what it reads, authentic in what it writes."""

    read: Callable[[dict[str, Any]], ModelRequest]
    """Validates a body; raises [InvalidBody][] when the body breaks a rule of the format."""
    whole: Callable[[ModelRequest, Answer], dict[str, Any]]
    """The provider's body; for `run`, the content of `result`."""
    stream: Callable[[ModelRequest, Answer], Iterator[bytes]]
    """Complete server-sent events, the end marker included."""
    error: Callable[[int, int | str | None, str], dict[str, Any]]
    """The provider's error body for a status, code and message (facts §5.5, shapes 5 and 6)."""
    error_event: Callable[[str], bytes]
    """An error inside a stream, as one event."""
