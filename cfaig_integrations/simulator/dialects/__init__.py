"""The formats in which the simulator is asked and answers.

Each dialect is written from the vendors' published formats and `wire-facts`; none knows HTTP, accounts or gateways.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Protocol

from cfaig_integrations.simulator.dialects.chat_completions import ChatCompletions
from cfaig_integrations.simulator.dialects.embeddings import embed
from cfaig_integrations.simulator.dialects.messages import Messages
from cfaig_integrations.simulator.dialects.responses import Responses
from cfaig_integrations.simulator.dialects.run import Run
from cfaig_integrations.simulator.types import Answer, ModelRequest

__all__ = ["DIALECTS", "Dialect", "embed"]


class Dialect(Protocol):
    """One format: strict in what it reads, authentic in what it writes."""

    def read(self, body: dict[str, Any]) -> ModelRequest:
        """Validate a body.

        Raises:
            InvalidBody: The body breaks a rule of the dialect.
        """
        ...

    def whole(self, request: ModelRequest, answer: Answer) -> dict[str, Any]:
        """The bare provider body; for `run`, the content of `result`."""
        ...

    def stream(self, request: ModelRequest, answer: Answer) -> Iterator[bytes]:
        """Complete server-sent events, the end marker included."""
        ...

    def error(self, status: int, code: int | str, message: str) -> dict[str, Any]:
        """An error body as the provider words it (wire-facts §5.5, shapes 5 and 6)."""
        ...

    def error_event(self, message: str) -> bytes:
        """An error inside a stream, as one event."""
        ...


DIALECTS: dict[str, Dialect] = {
    "chat_completions": ChatCompletions(),
    "responses": Responses(),
    "messages": Messages(),
    "run": Run(),
}
