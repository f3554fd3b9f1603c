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

from cfaig_integrations.simulator.catalogue import current_model_id, is_workers_ai
from cfaig_integrations.simulator.gateway import cache, headers
from cfaig_integrations.simulator.gateway.access import admit, admit_legacy, at_edge, check_account
from cfaig_integrations.simulator.gateway.rules import check_id
from cfaig_integrations.simulator.gateway.target import aim, parse
from cfaig_integrations.simulator.http.bodies import ApiError
from cfaig_integrations.simulator.http.reply import EmptyResponse, Reply, ReplyResponse
from cfaig_integrations.simulator.inference.handlers import Handler, prepare, scripted_handler
from cfaig_integrations.simulator.inference.request_context import (
    Endpoint,
    RequestContext,
    error_reply,
    gateway_headers,
    open_context,
    write_log,
)
from cfaig_integrations.simulator.scripting.faults import Fault
from cfaig_integrations.simulator.scripting.faults.effects import EFFECT_FUNCTIONS
from cfaig_integrations.simulator.scripting.script import QueuedFault
from cfaig_integrations.simulator.state import state_of

_CLIENT_CLOSED = 499


class ClientDisconnected(Exception):
    """The client is gone."""


def endpoint(name: str, *, legacy: bool = False, custom: bool = False) -> Callable[[Request], Awaitable[Response]]:
    """The handler of one path that takes model calls."""
    return partial(handle, Endpoint(name, legacy or custom, custom))


async def handle(endpoint: Endpoint, request: Request) -> Response:
    """Answer one model call."""
    context = open_context(state_of(request), endpoint, request, await request.body())
    sent: dict[str, str] = {}
    try:
        reply = await _answer(context)
        sent = gateway_headers(context)
    except ApiError as error:
        reply = error_reply(context, error)
        sent = {"cf-ray": context.state.ids.ray()} if error.at_edge else gateway_headers(context)
        if error.at_edge:
            context.gateway = None
    except ClientDisconnected:
        context.client.close()
        write_log(context, Reply(_CLIENT_CLOSED), False)
        return EmptyResponse()
    reply.headers = {**sent, **reply.headers}
    return ReplyResponse(reply, context.client, partial(write_log, context, reply))


async def _answer(context: RequestContext) -> Reply:
    body = _admit(context)
    if context.queued:
        raise ApiError(400, 7003, "queueRequest: the simulator runs no batches")
    stream = body.get("stream") is True
    plan = None
    if context.gateway is not None:
        context.state.limits.enter(context.gateway)
        if not stream:
            plan = _cache_plan(context)
            kept = context.state.cache.get(plan) if plan is not None else None
            if kept is not None:
                context.cached, context.cache_status = True, "HIT"
                return Reply(content_type=kept.content_type, chunks=[kept.body])
    raw = context.state.script.next_raw()
    handler = prepare(context, body) if raw is None else scripted_handler(context, raw)
    reply = await _attempts(context, handler)
    if plan is not None and reply.status == _OK and not context.fault_applied:
        context.state.cache.put(plan, reply.body, reply.content_type)
    return reply


_OK = 200


def _admit(context: RequestContext) -> dict[str, Any]:
    """Check everything that is checked before the model's own rules, and return the model's input."""
    state, legacy = context.state, context.endpoint.legacy
    if legacy and not context.endpoint.custom:
        entered = state.gateways.find(context.account, context.path_gateway or "")
        unlocked = entered is not None and not entered["authentication"]
        context.credentials = admit_legacy(context.headers, state.api_token, unlocked=unlocked)
    else:
        context.credentials = admit(context.headers, state.api_token)
    check_account(context.account, state.account_id, context.path)
    if context.escaped:  # wire-facts §1.1: the slashes of a model id are sent as they are
        raise at_edge(ApiError(400, 7000, "No route for that URI", shape="v4"))
    context.options = headers.read(context.headers)
    body = parse(context.raw, context.headers.get("content-type", ""))
    context.target = target = aim(context.endpoint.name, body, context.path_model)
    model = current_model_id(target.model) if legacy else target.model
    named = context.path_gateway or context.options.gateway_id
    if named is not None or not is_workers_ai(model):
        context.gateway = state.gateways.enter(context.account, named or "default")
    check_id(model, context.endpoint.name, legacy=legacy)
    context.routed = state.router.resolve(model, context.endpoint.name, context.options)
    _check_payment(context)
    return {key: value for key, value in target.input.items() if key != "model"}


def _check_payment(context: RequestContext) -> None:
    own_only = context.options.no_wholesale or (context.gateway is not None and context.gateway["byok_only"])
    if own_only and not context.credentials.provider_key and not is_workers_ai(context.model):
        raise ApiError(400, None, "No provider credentials are configured and Unified Billing is off", shape="policy")


def _cache_plan(context: RequestContext) -> cache.CachePlan | None:
    assert context.gateway is not None
    identity = (context.endpoint.name, context.model, context.credentials.provider_key or "")
    return cache.plan(context.options, context.gateway, identity, context.raw)


async def _attempts(context: RequestContext, handler: Handler) -> Reply:
    """Try as often as the gateway may (wire-facts §8.1); only a provider's passing failures are tried again."""
    total: int = _setting(context, "max_attempts", "retry_max_attempts", 1)
    for number in range(1, total):
        try:
            return await _attempt(context, handler, patient=False)
        except ApiError as error:
            if not error.transient:
                raise
        await _hold(context, _wait(context, number))
    return await _attempt(context, handler, patient=total > 1)


def _setting(context: RequestContext, option: str, setting: str, otherwise: Any) -> Any:
    if context.gateway is None:
        return otherwise
    own = getattr(context.options, option)
    return own if own is not None else context.gateway[setting] or otherwise


def _wait(context: RequestContext, number: int) -> float:
    delay: float = _setting(context, "retry_delay", "retry_delay", 0) / 1000
    match _setting(context, "backoff", "retry_backoff", "constant"):
        case "linear":
            return delay * number
        case "exponential":
            return delay * float(2 ** (number - 1))
        case _:
            return delay


async def _attempt(context: RequestContext, handler: Handler, *, patient: bool) -> Reply:
    """One attempt. A patient one waits for as long as the provider takes: the last of several is (wire-facts §8.1)."""
    queued = context.state.script.next_fault(stream=handler.stream)
    if queued is None:
        return handler.reply()
    context.fault_applied = True
    for fault, details in queued.parts:
        if fault.kind == "error":
            raise _failure(context, fault, details)
        if fault.kind == "delay":
            await _delay(context, fault, float(details["seconds"]), patient=patient)
    return _apply_effects(handler, queued)


def _apply_effects(handler: Handler, queued: QueuedFault) -> Reply:
    reply = handler.reply()
    for fault, details in queued.parts:
        if fault.kind == "effect":
            EFFECT_FUNCTIONS[fault.name](reply, details, handler.effect_context())
    return reply


def _failure(context: RequestContext, fault: Fault, details: Mapping[str, Any]) -> ApiError:
    error = ApiError(details["status"], details["code"], details["message"], shape=details["shape"])
    error.headers = dict(details["headers"])
    error.extra = dict(details["extra"])
    after = details["retry_after"]
    if after is not None:
        moment = formatdate(context.state.clock.now() + after, usegmt=True)
        error.headers["retry-after"] = moment if details["http_date"] else f"{after:g}"
    error.transient = fault.layer == "provider" and fault.retry is True
    error.at_edge = fault.layer == "edge"
    return error


async def _delay(context: RequestContext, fault: Fault, seconds: float, *, patient: bool) -> None:
    if fault.name == "busy" and context.target is not None and context.target.reject_if_busy:
        raise ApiError(429, 3040, "AiError: AiError: Capacity temporarily exceeded, please try again. ({request})")
    limit = context.options.request_timeout
    if limit is None or context.gateway is None or patient or seconds <= limit / 1000:
        await _hold(context, seconds)
        return
    await _hold(context, limit / 1000)
    error = ApiError(408, 3007, "Request timeout")
    error.transient = True
    raise error


async def _hold(context: RequestContext, seconds: float) -> None:
    if not await context.client.pause(seconds):
        raise ClientDisconnected
