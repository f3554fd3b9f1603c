"""How a model call walks through the gateway: let in, limited, cached, tried, answered, logged.

Knows no body and no dialect; every step is somebody else's, and the order is what is told here.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from email.utils import formatdate
from functools import partial
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from cfaig_integrations.simulator.catalogue import is_workers_ai, modern
from cfaig_integrations.simulator.gateway import cache, headers
from cfaig_integrations.simulator.gateway.access import admit, admit_legacy, at_edge, check_account
from cfaig_integrations.simulator.gateway.rules import check_id
from cfaig_integrations.simulator.gateway.target import aim, parse
from cfaig_integrations.simulator.http.bodies import Refused
from cfaig_integrations.simulator.http.reply import Played, Reply, Unsent
from cfaig_integrations.simulator.inference.handlers import Work, played, prepare
from cfaig_integrations.simulator.inference.request_context import (
    Endpoint,
    Visit,
    gateway_headers,
    leave_log,
    open_visit,
    worded,
)
from cfaig_integrations.simulator.scripting.faults import Fault
from cfaig_integrations.simulator.scripting.faults.effects import PLAYERS
from cfaig_integrations.simulator.scripting.script import Trouble
from cfaig_integrations.simulator.state import world_of

_CLIENT_CLOSED = 499


class HungUp(Exception):
    """The client is gone."""


def endpoint(name: str, *, legacy: bool = False, custom: bool = False) -> Callable[[Request], Awaitable[Response]]:
    """The handler of one path that takes model calls."""
    return partial(handle, Endpoint(name, legacy or custom, custom))


async def handle(endpoint: Endpoint, request: Request) -> Response:
    """Answer one model call."""
    visit = open_visit(world_of(request), endpoint, request, await request.body())
    sent: dict[str, str] = {}
    try:
        reply = await _answer(visit)
        sent = gateway_headers(visit)
    except Refused as refused:
        reply = worded(visit, refused)
        sent = {"cf-ray": visit.world.ids.ray()} if refused.at_edge else gateway_headers(visit)
        if refused.at_edge:
            visit.gateway = None
    except HungUp:
        visit.line.close()
        leave_log(visit, Reply(_CLIENT_CLOSED), False)
        return Unsent()
    reply.headers = {**sent, **reply.headers}
    return Played(reply, visit.line, partial(leave_log, visit, reply))


async def _answer(visit: Visit) -> Reply:
    body = _admit(visit)
    if visit.queued:
        raise Refused(400, 7003, "queueRequest: the simulator runs no batches")
    stream = body.get("stream") is True
    plan = None
    if visit.gateway is not None:
        visit.world.limits.enter(visit.gateway)
        if not stream:
            plan = _cache_plan(visit)
            kept = visit.world.cache.get(plan) if plan is not None else None
            if kept is not None:
                visit.cached, visit.cache_status = True, "HIT"
                return Reply(content_type=kept.content_type, chunks=[kept.body])
    raw = visit.world.script.next_raw()
    work = prepare(visit, body) if raw is None else played(visit, raw)
    reply = await _attempts(visit, work)
    if plan is not None and reply.status == _OK and not visit.spoiled:
        visit.world.cache.put(plan, reply.body, reply.content_type)
    return reply


_OK = 200


def _admit(visit: Visit) -> dict[str, Any]:
    """Check everything that is checked before the model's own rules, and return the model's input."""
    world, legacy = visit.world, visit.endpoint.legacy
    if legacy and not visit.endpoint.custom:
        entered = world.gateways.find(visit.account, visit.path_gateway or "")
        unlocked = entered is not None and not entered["authentication"]
        visit.credentials = admit_legacy(visit.headers, world.api_token, unlocked=unlocked)
    else:
        visit.credentials = admit(visit.headers, world.api_token)
    check_account(visit.account, world.account_id, visit.path)
    if visit.escaped:  # wire-facts §1.1: the slashes of a model id are sent as they are
        raise at_edge(Refused(400, 7000, "No route for that URI", shape="v4"))
    visit.options = headers.read(visit.headers)
    body = parse(visit.raw, visit.headers.get("content-type", ""))
    visit.target = target = aim(visit.endpoint.name, body, visit.path_model)
    model = modern(target.model) if legacy else target.model
    named = visit.path_gateway or visit.options.gateway_id
    if named is not None or not is_workers_ai(model):
        visit.gateway = world.gateways.enter(visit.account, named or "default")
    check_id(model, visit.endpoint.name, legacy=legacy)
    visit.routed = world.router.resolve(model, visit.endpoint.name, visit.options)
    _check_payment(visit)
    return {key: value for key, value in target.input.items() if key != "model"}


def _check_payment(visit: Visit) -> None:
    own_only = visit.options.no_wholesale or (visit.gateway is not None and visit.gateway["byok_only"])
    if own_only and not visit.credentials.provider_key and not is_workers_ai(visit.model):
        raise Refused(400, None, "No provider credentials are configured and Unified Billing is off", shape="policy")


def _cache_plan(visit: Visit) -> cache.Plan | None:
    assert visit.gateway is not None
    identity = (visit.endpoint.name, visit.model, visit.credentials.provider_key or "")
    return cache.plan(visit.options, visit.gateway, identity, visit.raw)


async def _attempts(visit: Visit, work: Work) -> Reply:
    """Try as often as the gateway may (wire-facts §8.1); only a provider's passing failures are tried again."""
    total: int = _setting(visit, "max_attempts", "retry_max_attempts", 1)
    for number in range(1, total):
        try:
            return await _attempt(visit, work, patient=False)
        except Refused as refused:
            if not refused.transient:
                raise
        await _hold(visit, _wait(visit, number))
    return await _attempt(visit, work, patient=total > 1)


def _setting(visit: Visit, option: str, setting: str, otherwise: Any) -> Any:
    if visit.gateway is None:
        return otherwise
    own = getattr(visit.options, option)
    return own if own is not None else visit.gateway[setting] or otherwise


def _wait(visit: Visit, number: int) -> float:
    delay: float = _setting(visit, "retry_delay", "retry_delay", 0) / 1000
    match _setting(visit, "backoff", "retry_backoff", "constant"):
        case "linear":
            return delay * number
        case "exponential":
            return delay * float(2 ** (number - 1))
        case _:
            return delay


async def _attempt(visit: Visit, work: Work, *, patient: bool) -> Reply:
    """One attempt. A patient one waits for as long as the provider takes: the last of several is (wire-facts §8.1)."""
    trouble = visit.world.script.next_fault(stream=work.stream)
    if trouble is None:
        return work.reply()
    visit.spoiled = True
    for fault, details in trouble.parts:
        if fault.kind == "error":
            raise _failure(visit, fault, details)
        if fault.kind == "delay":
            await _delay(visit, fault, float(details["seconds"]), patient=patient)
    return _spoiled(work, trouble)


def _spoiled(work: Work, trouble: Trouble) -> Reply:
    reply = work.reply()
    for fault, details in trouble.parts:
        if fault.kind == "effect":
            PLAYERS[fault.name](reply, details, work.spoil())
    return reply


def _failure(visit: Visit, fault: Fault, details: Mapping[str, Any]) -> Refused:
    refused = Refused(details["status"], details["code"], details["message"], shape=details["shape"])
    refused.headers = dict(details["headers"])
    refused.extra = dict(details["extra"])
    after = details["retry_after"]
    if after is not None:
        moment = formatdate(visit.world.clock.now() + after, usegmt=True)
        refused.headers["retry-after"] = moment if details["http_date"] else f"{after:g}"
    refused.transient = fault.layer == "provider" and fault.retry is True
    refused.at_edge = fault.layer == "edge"
    return refused


async def _delay(visit: Visit, fault: Fault, seconds: float, *, patient: bool) -> None:
    if fault.name == "busy" and visit.target is not None and visit.target.reject_if_busy:
        raise Refused(429, 3040, "AiError: AiError: Capacity temporarily exceeded, please try again. ({request})")
    limit = visit.options.request_timeout
    if limit is None or visit.gateway is None or patient or seconds <= limit / 1000:
        await _hold(visit, seconds)
        return
    await _hold(visit, limit / 1000)
    refused = Refused(408, 3007, "Request timeout")
    refused.transient = True
    raise refused


async def _hold(visit: Visit, seconds: float) -> None:
    if not await visit.line.pause(seconds):
        raise HungUp
