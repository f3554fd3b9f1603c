"""OpenAI Responses; the last few responses are stored for `previous_response_id`, unless `store` is false."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from typing import Any

from cfaig_integrations.simulator.dialects import errors, sse
from cfaig_integrations.simulator.dialects.dialect import Dialect
from cfaig_integrations.simulator.dialects.responses import read, render, stream
from cfaig_integrations.simulator.types import Answer, InvalidBody, ModelRequest

_MAX_STORED = 256
_stored: OrderedDict[str, list[Any]] = OrderedDict()
"""The items of each response and of those before it, by response id."""


def _read(body: dict[str, Any]) -> ModelRequest:
    previous: Any = body.get("previous_response_id")
    if previous is None:
        return read.read(body, [])
    if not isinstance(previous, str) or previous not in _stored:
        raise InvalidBody(f"Previous response with id '{previous}' not found.", param="previous_response_id")
    return read.read(body, _stored[previous])


def _whole(request: ModelRequest, answer: Answer) -> dict[str, Any]:
    items = render.output(request, answer)
    response = render.finished(render.in_progress(request), answer, items)
    _store(response["id"], request, items)
    return response


def _stream(request: ModelRequest, answer: Answer) -> Iterator[bytes]:
    items, response = render.output(request, answer), render.in_progress(request)
    _store(response["id"], request, items)
    return stream.stream(response, answer, items)


def _store(response_id: str, request: ModelRequest, items: list[dict[str, Any]]) -> None:
    body = request.echo
    if body.get("store") is False:
        return
    sent: Any = body.get("input") or []
    input_items: list[Any] = [{"role": "user", "content": sent}] if isinstance(sent, str) else list(sent)
    output_items = [item for item in items if item["type"] != "reasoning"]
    _stored[response_id] = [*_stored.get(body.get("previous_response_id", ""), []), *input_items, *output_items]
    while len(_stored) > _MAX_STORED:
        _stored.popitem(last=False)


def _error_event(message: str) -> bytes:
    return sse.event({"type": "error", "sequence_number": 0, "code": "server_error", "message": message, "param": None})


RESPONSES = Dialect(_read, _whole, _stream, errors.openai, _error_event)
