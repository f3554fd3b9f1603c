"""Scripting and inspection over HTTP, for programs in another process: `/_simulator/...`."""

from __future__ import annotations

import base64
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from cfaig_integrations.simulator.http.bodies import ApiError
from cfaig_integrations.simulator.json_types import is_record
from cfaig_integrations.simulator.management.common import json_body, json_response
from cfaig_integrations.simulator.scripting.answers import RawAnswer, make_answer, make_raw_answer
from cfaig_integrations.simulator.scripting.faults import FAULTS
from cfaig_integrations.simulator.scripting.script import make_fault
from cfaig_integrations.simulator.state import State, state_of


def _make_raw(fields: Any) -> RawAnswer:
    if not is_record(fields):
        raise ValueError("raw must be an object")
    body, chunks = fields.get("body"), fields.get("chunks")
    return make_raw_answer(
        int(fields.get("status", 200)),
        base64.b64decode(fields["body_base64"]) if "body_base64" in fields else None if body is None else str(body),
        None if chunks is None else [str(chunk).encode() for chunk in chunks],
        str(fields.get("content_type", "application/json")),
        {str(name): str(value) for name, value in dict(fields.get("headers") or {}).items()},
    )


def _times(fields: dict[str, Any]) -> int | None:
    times = fields.pop("times", 1)
    if times is not None and (not isinstance(times, int) or times < 1):
        raise ValueError("times must be a positive integer, or null for all requests")
    return times


def _queue_reply(state: State, fields: dict[str, Any]) -> None:
    times = _times(fields)
    reply = _make_raw(fields["raw"]) if "raw" in fields else make_answer(fields)
    state.script.add_reply(reply, times)


def _queue_fault(state: State, fields: dict[str, Any]) -> None:
    times, after = _times(fields), int(fields.pop("after", 0))
    state.script.add_fault(make_fault(str(fields.pop("name", "")), fields), times, after)


async def post_reply(request: Request) -> Response:
    """`POST /_simulator/replies`: the fields of an answer and `times`, or `raw`.

    `raw` holds `status`, `headers`, `content_type`, and one of `body`, `body_base64` and `chunks`.
    """
    return await _queued(request, _queue_reply)


async def post_fault(request: Request) -> Response:
    """`POST /_simulator/faults`: `name`, `times`, `after`, and the fault's details."""
    return await _queued(request, _queue_fault)


async def _queued(request: Request, queue: Callable[[State, dict[str, Any]], None]) -> Response:
    state = state_of(request)
    try:
        queue(state, await json_body(request))
    except ApiError as error:
        return json_response({"error": error.message}, 400)
    except (TypeError, ValueError, OverflowError) as error:
        return json_response({"error": str(error)}, 400)
    replies, faults = state.script.waiting
    return json_response({"replies": replies, "faults": faults})


async def get_faults(request: Request) -> Response:
    """`GET /_simulator/faults`: every fault with its details."""
    return json_response([{**asdict(fault), "details": dict(fault.details)} for fault in FAULTS.values()])


async def post_reset(request: Request) -> Response:
    """`POST /_simulator/reset`."""
    state_of(request).reset()
    return json_response({})


async def get_requests(request: Request) -> Response:
    """`GET /_simulator/requests`: what was captured, without credentials."""
    return json_response([captured.shown() for captured in state_of(request).recorder.requests])


async def get_connections(request: Request) -> Response:
    """`GET /_simulator/connections`: open now and in all, including this request's, and requests in flight."""
    state = state_of(request)
    return json_response(
        {"open": len(state.connections), "total": state.connections.total, "in_flight": state.recorder.in_flight}
    )
