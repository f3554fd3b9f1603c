"""OpenAI Responses.

Knows no other dialect. Remembers the last few responses, so that `previous_response_id` works unless `store` is false.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from typing import Any

from cfaig_integrations.simulator.dialects import errors, sse
from cfaig_integrations.simulator.dialects.responses import read, render, stream
from cfaig_integrations.simulator.types import Answer, InvalidBody, ModelRequest

_KEPT = 256


class Responses:
    """The dialect of `/ai/v1/responses`."""

    def __init__(self) -> None:
        """Remember nothing yet."""
        self._stored: OrderedDict[str, list[Any]] = OrderedDict()

    def read(self, body: dict[str, Any]) -> ModelRequest:
        """Validate a body."""
        return read.read(body, self._earlier(body))

    def whole(self, request: ModelRequest, answer: Answer) -> dict[str, Any]:
        """A finished `response`."""
        items = render.output(request, answer)
        response = render.closed(render.opened(request), answer, items)
        self._store(response["id"], request, items)
        return response

    def stream(self, request: ModelRequest, answer: Answer) -> Iterator[bytes]:
        """Typed events, from `response.created` to `response.completed` or `.incomplete`."""
        items, response = render.output(request, answer), render.opened(request)
        self._store(response["id"], request, items)
        return stream.stream(response, answer, items)

    def error(self, status: int, code: int | str, message: str) -> dict[str, Any]:
        """OpenAI's error body."""
        return errors.openai(status, code, message)

    def error_event(self, message: str) -> bytes:
        """An `error` event."""
        event = {"type": "error", "sequence_number": 0, "code": "server_error", "message": message, "param": None}
        return sse.event(event)

    def _earlier(self, body: dict[str, Any]) -> list[Any]:
        identity: Any = body.get("previous_response_id")
        if identity is None:
            return []
        if not isinstance(identity, str) or identity not in self._stored:
            message = f"Previous response with id '{identity}' not found."
            raise InvalidBody(message, param="previous_response_id")
        return self._stored[identity]

    def _store(self, identity: str, request: ModelRequest, items: list[dict[str, Any]]) -> None:
        if request.echo.get("store") is False:
            return
        given: Any = request.echo.get("input") or []
        listed: list[Any] = [{"role": "user", "content": given}] if isinstance(given, str) else list(given)
        kept = [i for i in items if i["type"] != "reasoning"]
        earlier = self._stored.get(request.echo.get("previous_response_id", ""), [])
        self._stored[identity] = [*earlier, *listed, *kept]
        while len(self._stored) > _KEPT:
            self._stored.popitem(last=False)
