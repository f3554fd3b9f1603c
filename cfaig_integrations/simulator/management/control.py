"""Scripting and inspection over HTTP, for programs that are not in the simulator's process: `/_simulator/...`.

Knows no model call; it fills the queues that the calls read, and reads what they left behind.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from cfaig_integrations.simulator.http.bodies import ApiError
from cfaig_integrations.simulator.management.common import json_body
from cfaig_integrations.simulator.scripting.answers import make_answer, make_raw_answer
from cfaig_integrations.simulator.scripting.faults import FAULTS
from cfaig_integrations.simulator.scripting.script import make_fault
from cfaig_integrations.simulator.state import State, state_of


def _bytes(fields: Mapping[str, Any]) -> tuple[bytes | None, list[bytes] | None]:
    if "body_base64" in fields:
        return base64.b64decode(fields["body_base64"]), None
    chunks = fields.get("chunks")
    body = fields.get("body")
    return (
        None if body is None else str(body).encode(),
        None if chunks is None else [str(chunk).encode() for chunk in chunks],
    )


def _times(fields: dict[str, Any]) -> int | None:
    times = fields.pop("times", 1)
    if times is not None and (not isinstance(times, int) or times < 1):
        raise ValueError("times is a positive number, or null for ever")
    return times


def _queue_reply(state: State, fields: dict[str, Any]) -> None:
    times = _times(fields)
    raw = fields.pop("raw", None)
    if raw is None:
        state.script.add_reply(make_answer(fields), times)
        return
    body, chunks = _bytes(raw)
    made = make_raw_answer(
        raw.get("status", 200), body, chunks, raw.get("content_type", "application/json"), raw.get("headers")
    )
    state.script.add_reply(made, times)


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
        return JSONResponse({"error": error.message}, 400)
    except (TypeError, ValueError) as wrong:
        return JSONResponse({"error": str(wrong)}, 400)
    replies, faults = state.script.waiting
    return JSONResponse({"replies": replies, "faults": faults})


async def get_faults(request: Request) -> Response:
    """`GET /_simulator/faults`: the table."""
    rows = [
        {
            "name": fault.name,
            "kind": fault.kind,
            "status": fault.status,
            "code": fault.code,
            "retry": fault.retry,
            "fits": fault.fits,
            "source": fault.source,
            "details": dict(fault.details),
        }
        for fault in FAULTS.values()
    ]
    return JSONResponse(rows)


async def post_reset(request: Request) -> Response:
    """`POST /_simulator/reset`."""
    state_of(request).reset()
    return JSONResponse({})


async def get_requests(request: Request) -> Response:
    """`GET /_simulator/requests`: what was captured, without credentials."""
    return JSONResponse([captured.shown() for captured in state_of(request).recorder.requests])


async def get_connections(request: Request) -> Response:
    """`GET /_simulator/connections`: open now and in all, this request's own included, and requests in flight."""
    state = state_of(request)
    return JSONResponse(
        {"open": len(state.connections), "total": state.connections.total, "in_flight": state.recorder.in_flight}
    )
