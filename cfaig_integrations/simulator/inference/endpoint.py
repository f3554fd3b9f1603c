"""The steps of a model call, in order: authenticate, limit, look up in the cache, attempt, answer, log."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from email.utils import formatdate
from functools import partial
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from cfaig_integrations.simulator.catalogue import current_model_id, is_workers_ai
from cfaig_integrations.simulator.gateway import cache, headers
from cfaig_integrations.simulator.gateway.access import admit, admit_legacy, check_account
from cfaig_integrations.simulator.gateway.rules import check_id
from cfaig_integrations.simulator.gateway.target import aim, parse
from cfaig_integrations.simulator.http.bodies import ApiError
from cfaig_integrations.simulator.http.recorder import read_body
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
from cfaig_integrations.simulator.state import state_of

_CLIENT_CLOSED = 499


class ClientDisconnected(Exception):
    """The client closed the connection while it waited."""


def endpoint(name: str, *, legacy: bool = False, custom: bool = False) -> Callable[[Request], Awaitable[Response]]:
    """The handler of one path that takes model calls."""
    return partial(handle, Endpoint(name, legacy or custom, custom))


async def handle(endpoint: Endpoint, request: Request) -> Response:
    """Answer one model call."""
    raw = await read_body(request)
    context = open_context(state_of(request), endpoint, request, raw or b"")
    response_headers: dict[str, str] = {}
    try:
        if raw is None:
            raise ApiError(413, 3006, "AiError: AiError: Request is too large ({request})")
        reply = await _answer(context)
        response_headers = gateway_headers(context)
    except (ApiError, RecursionError) as error:
        failure = error if isinstance(error, ApiError) else ApiError(400, 5006, "The body is nested too deeply")
        reply = error_reply(context, failure)
        response_headers = gateway_headers(context)
        if failure.at_edge:
            response_headers = {"cf-ray": context.state.ids.ray()}
            context.gateway = None
    except ClientDisconnected:
        context.client.close()
        write_log(context, Reply(_CLIENT_CLOSED), False)
        return EmptyResponse()
    reply.headers = {**response_headers, **reply.headers}
    return ReplyResponse(reply, context.client, partial(write_log, context, reply))


async def _answer(context: RequestContext) -> Reply:
    body = _admit(context)
    if context.queued:
        raise ApiError(400, 7003, "queueRequest: the simulator runs no batches")
    plan = None
    if context.gateway is not None:
        context.state.limits.enter(context.gateway)
        if body.get("stream") is not True:
            identity = (context.endpoint.name, context.model, context.credentials.provider_key or "")
            plan = cache.plan(context.options, context.gateway, identity, context.raw)
            cached = context.state.cache.get(plan) if plan is not None else None
            if cached is not None:
                context.cached, context.cache_status = True, "HIT"
                return Reply(content_type=cached.content_type, chunks=[cached.body])
    scripted = context.state.script.next_raw()
    handler = prepare(context, body) if scripted is None else scripted_handler(context, scripted)
    reply = await _attempts(context, handler)
    if plan is not None and reply.status == 200 and not context.fault_applied:
        context.state.cache.put(plan, reply.body, reply.content_type)
    return reply


def _admit(context: RequestContext) -> dict[str, Any]:
    """Check everything that is checked before the model's own rules, and return the model's input."""
    state, legacy = context.state, context.endpoint.legacy
    if legacy and not context.endpoint.custom:
        gateway = state.gateways.find(context.account, context.path_gateway or "")
        open_gateway = gateway is not None and not gateway["authentication"]
        context.credentials = admit_legacy(context.headers, state.api_token, unlocked=open_gateway)
    else:
        context.credentials = admit(context.headers, state.api_token)
    check_account(context.account, state.account_id, context.path)
    if context.escaped:  # facts §1.1: the slashes of a model id are sent as they are
        raise ApiError(400, 7000, "No route for that URI", shape="v4", at_edge=True)
    context.options = headers.read(context.headers)
    body = parse(context.raw)
    context.target = target = aim(context.endpoint.name, body, context.path_model)
    model = current_model_id(target.model) if legacy else target.model
    gateway_id = context.path_gateway or context.options.gateway_id
    if gateway_id is not None or not is_workers_ai(model):
        context.gateway = state.gateways.enter(context.account, gateway_id or "default")
    check_id(model, context.endpoint.name, legacy=legacy)
    context.routed = state.router.resolve(model, context.endpoint.name, context.options)
    own_key_only = context.options.no_wholesale or (context.gateway is not None and context.gateway["byok_only"])
    if own_key_only and not context.credentials.provider_key and not is_workers_ai(context.model):
        raise ApiError(400, None, "No provider credentials are configured and Unified Billing is off", shape="policy")
    return {key: value for key, value in target.input.items() if key != "model"}


async def _attempts(context: RequestContext, handler: Handler) -> Reply:
    """Call the provider; the gateway retries only its transient errors (facts §8.1)."""
    total: int = _setting(context, "max_attempts", "retry_max_attempts", 1)
    for number in range(1, total):
        try:
            return await _attempt(context, handler, last=False)
        except ApiError as error:
            if not error.transient:
                raise
        await _sleep(context, _retry_delay(context, number))
    return await _attempt(context, handler, last=True)


def _setting(context: RequestContext, option: str, setting: str, default: Any) -> Any:
    if context.gateway is None:
        return default
    value = getattr(context.options, option)
    return value if value is not None else context.gateway[setting] or default


def _retry_delay(context: RequestContext, number: int) -> float:
    delay: float = _setting(context, "retry_delay", "retry_delay", 0) / 1000
    backoff = _setting(context, "backoff", "retry_backoff", "constant")
    factors: dict[str, int] = {"linear": number, "exponential": 1 << (number - 1)}
    return delay * factors.get(backoff, 1)


async def _attempt(context: RequestContext, handler: Handler, *, last: bool) -> Reply:
    """One attempt, with the next queued fault that applies to it."""
    queued = context.state.script.next_fault(stream=handler.stream)
    if queued is None:
        return handler.reply()
    context.fault_applied = True
    for fault, details in queued.parts:
        if fault.kind == "error":
            raise _error(context, fault, details)
        if fault.kind == "delay":
            await _delay(context, fault, float(details["seconds"]), last=last)
    reply = handler.reply()
    for fault, details in queued.parts:
        if fault.kind == "effect":
            EFFECT_FUNCTIONS[fault.name](reply, details, handler.effect_context())
    return reply


def _error(context: RequestContext, fault: Fault, details: Mapping[str, Any]) -> ApiError:
    at_edge = fault.layer == "edge"
    error = ApiError(details["status"], details["code"], details["message"], shape=details["shape"], at_edge=at_edge)
    error.headers = dict(details["headers"])
    error.extra = dict(details["extra"])
    retry_after = details["retry_after"]
    if retry_after is not None:
        date = formatdate(context.state.clock.now() + retry_after, usegmt=True)
        error.headers["retry-after"] = date if details["http_date"] else f"{retry_after:g}"
    error.transient = fault.layer == "provider" and fault.retry is True
    return error


async def _delay(context: RequestContext, fault: Fault, seconds: float, *, last: bool) -> None:
    """Wait; the request timeout ends it, except in the last of several attempts (facts §8.1)."""
    if fault.name == "busy" and context.target is not None and context.target.reject_if_busy:
        raise ApiError(429, 3040, "AiError: AiError: Capacity temporarily exceeded, please try again. ({request})")
    milliseconds = context.options.request_timeout
    only_attempt = _setting(context, "max_attempts", "retry_max_attempts", 1) == 1
    limited = milliseconds is not None and context.gateway is not None and (only_attempt or not last)
    limit = (milliseconds or 0) / 1000 if limited else seconds
    await _sleep(context, min(seconds, limit))
    if seconds <= limit:
        return
    error = ApiError(408, 3007, "Request timeout")
    error.transient = True
    raise error


async def _sleep(context: RequestContext, seconds: float) -> None:
    if not await context.client.pause(seconds):
        raise ClientDisconnected
