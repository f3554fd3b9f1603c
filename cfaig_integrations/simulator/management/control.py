"""Scripting and inspection over HTTP, for programs that are not in the simulator's process: `/_simulator/...`.

Knows no model call; it fills the queues that the calls read, and reads what they left behind.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from cfaig_integrations.simulator.http.bodies import Refused
from cfaig_integrations.simulator.management.common import json_body
from cfaig_integrations.simulator.scripting.answers import answer_of, raw_of
from cfaig_integrations.simulator.scripting.faults import FAULTS
from cfaig_integrations.simulator.scripting.script import trouble
from cfaig_integrations.simulator.state import World, world_of


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


def _queue_reply(world: World, fields: dict[str, Any]) -> None:
    times = _times(fields)
    raw = fields.pop("raw", None)
    if raw is None:
        world.script.add_reply(answer_of(fields), times)
        return
    body, chunks = _bytes(raw)
    made = raw_of(raw.get("status", 200), body, chunks, raw.get("content_type", "application/json"), raw.get("headers"))
    world.script.add_reply(made, times)


def _queue_fault(world: World, fields: dict[str, Any]) -> None:
    times, after = _times(fields), int(fields.pop("after", 0))
    world.script.add_fault(trouble(str(fields.pop("name", "")), fields), times, after)


async def post_reply(request: Request) -> Response:
    """`POST /_simulator/replies`: the fields of an answer and `times`, or `raw`.

    `raw` holds `status`, `headers`, `content_type`, and one of `body`, `body_base64` and `chunks`.
    """
    return await _queued(request, _queue_reply)


async def post_fault(request: Request) -> Response:
    """`POST /_simulator/faults`: `name`, `times`, `after`, and the fault's details."""
    return await _queued(request, _queue_fault)


async def _queued(request: Request, queue: Callable[[World, dict[str, Any]], None]) -> Response:
    world = world_of(request)
    try:
        queue(world, await json_body(request))
    except Refused as refused:
        return JSONResponse({"error": refused.message}, 400)
    except (TypeError, ValueError) as wrong:
        return JSONResponse({"error": str(wrong)}, 400)
    replies, faults = world.script.waiting
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
    world_of(request).reset()
    return JSONResponse({})


async def get_requests(request: Request) -> Response:
    """`GET /_simulator/requests`: what was captured, without credentials."""
    return JSONResponse([captured.shown() for captured in world_of(request).recorder.requests])


async def get_connections(request: Request) -> Response:
    """`GET /_simulator/connections`: open now and in all, this request's own included, and requests in flight."""
    world = world_of(request)
    return JSONResponse(
        {"open": len(world.connections), "total": world.connections.total, "in_flight": world.recorder.in_flight}
    )
