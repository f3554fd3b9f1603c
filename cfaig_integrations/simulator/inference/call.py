"""The steps of a model call, in order: authenticate, limit, look up in the cache, attempt, answer."""

from __future__ import annotations

from collections.abc import Mapping
from email.utils import formatdate
from typing import Any

from cfaig_integrations.simulator.catalogue import current_model_id, is_workers_ai
from cfaig_integrations.simulator.dialects.media import find_media, read_upload
from cfaig_integrations.simulator.gateway import cache, headers, limits
from cfaig_integrations.simulator.gateway.headers import admit, admit_legacy, admit_workers_ai, check_account
from cfaig_integrations.simulator.gateway.routing import Routed
from cfaig_integrations.simulator.gateway.rules import check_id
from cfaig_integrations.simulator.gateway.target import aim, parse
from cfaig_integrations.simulator.http.bodies import ApiError
from cfaig_integrations.simulator.http.reply import ClientDisconnected, Reply
from cfaig_integrations.simulator.inference.handlers import (
    BatchHandler,
    ChatHandler,
    FixedHandler,
    Handler,
    defer,
    is_poll,
    poll,
    prepare,
)
from cfaig_integrations.simulator.inference.request_context import RequestContext, error_reply, gateway_headers
from cfaig_integrations.simulator.json_types import parse_json
from cfaig_integrations.simulator.scripting.effects import EFFECT_FUNCTIONS
from cfaig_integrations.simulator.scripting.faults import Fault


async def answer_call(context: RequestContext) -> Reply:
    """The reply to one model call, with the gateway's headers; an error is a reply too."""
    try:
        reply = await _answer(context)
        response_headers = gateway_headers(context)
    except (ApiError, RecursionError) as error:
        failure = error if isinstance(error, ApiError) else ApiError(400, 5006, "The body is nested too deeply")
        reply = error_reply(context, failure)
        response_headers = gateway_headers(context)
        if failure.at_edge:
            response_headers = {"cf-ray": context.state.ids.ray()}
            context.gateway = None
    reply.headers = {**response_headers, **reply.headers}
    return reply


async def _answer(context: RequestContext) -> Reply:
    sent = _read(context)
    if context.endpoint.name == "run" and is_poll(sent):
        return poll(context, sent["request_id"])
    body, candidates = _admit(context, sent)
    comes_later = context.queued or (context.target is not None and context.target.background)
    plan = None
    if context.gateway is not None:
        context.state.limits.enter(context.gateway)
        if body.get("stream") is not True and not comes_later:
            identity = (context.endpoint.name, context.model, context.provider_key or "")
            plan = cache.plan(context.options, context.gateway, identity, context.raw)
            cached = context.state.cache.get(plan.key) if plan is not None and plan.may_read else None
            if cached is not None:
                context.cached = True
                return Reply(content_type=cached.content_type, chunks=[cached.data])
        context.state.spending.check(context.gateway, context.spender)
        _guard(context, "prompt", body)
    reply = await _first_success(context, body, candidates)
    _guard_response(context, reply)
    if plan is not None and plan.may_read and reply.status == 200 and not context.fault_applied:
        context.state.cache.add(reply.body, reply.content_type, plan.key, plan.ttl)
    return defer(context, reply) if comes_later and reply.status == 200 else reply


async def _first_success(context: RequestContext, body: dict[str, Any], candidates: list[Routed]) -> Reply:
    """Try the models of a dynamic route in turn; any failure leads to the next (facts §8.1)."""
    for number, candidate in enumerate(candidates):
        context.routed = candidate
        if len(candidates) > 1:
            context.step = number
        try:
            scripted = context.state.script.next_raw()
            if scripted is not None:
                handler: Handler = FixedHandler(scripted)
            else:
                handler = BatchHandler(context, body) if context.queued else prepare(context, body)
            reply = await _attempts(context, handler)
        except ApiError:
            if number + 1 == len(candidates):
                raise
            continue
        if reply.status < 400 or number + 1 == len(candidates):
            return reply
    raise AssertionError("a route has at least one model")


def _guard(context: RequestContext, side: limits.Side, body: Any) -> None:
    """Evaluate the guardrails of one side."""
    if context.gateway is None or not limits.has_rules(context.gateway, side):
        return
    text = "\n".join(limits.texts_of(body))
    to_block, to_flag = limits.flagged(context.gateway, side, text)
    if to_block or to_flag:
        context.guardrails[side] = [*to_block, *to_flag]
    if to_block:
        raise limits.blocked(side, context.endpoint.name)


def _guard_response(context: RequestContext, reply: Reply) -> None:
    """Evaluate the response, unless it is a stream of the API host, on which nothing is enforced (facts §8.4)."""
    if reply.status != 200 or (reply.streamed and not context.endpoint.legacy) or reply.source is not None:
        return
    body = reply.whole() if reply.whole is not None else reply.body
    try:
        _guard(context, "response", parse_json(body))
    except ValueError:
        return


def _authenticate(context: RequestContext) -> None:
    state, endpoint = context.state, context.endpoint
    if not endpoint.legacy or endpoint.custom:
        admit(context.headers, state.api_token)
    elif endpoint.provider == "workers-ai":
        admit_workers_ai(context.headers, state.api_token)
    else:
        gateway = state.gateways.find(context.account, context.path_gateway or "")
        open_gateway = gateway is not None and not gateway["authentication"]
        context.provider_key = admit_legacy(context.headers, state.api_token, unlocked=open_gateway)


def _read(context: RequestContext) -> dict[str, Any]:
    """Check the token and the account; return the body, which may be a form or a file for some models."""
    state = context.state
    _authenticate(context)
    check_account(context.account, state.account_id, context.path)
    if context.escaped:  # facts §1.1; cloudflare/cloudflare-python#2718 (O)
        raise ApiError(400, 7000, "No route for that URI", shape="v4", at_edge=True)
    context.options = headers.read_options(context.headers)
    row = find_media(context.path_model or "") if context.endpoint.name == "run" else None
    upload = read_upload(row, context.headers.get("content-type", ""), context.raw) if row is not None else None
    context.is_upload = upload is not None
    return parse(context.raw) if upload is None else upload


def _admit(context: RequestContext, body: dict[str, Any]) -> tuple[dict[str, Any], list[Routed]]:
    """Check what is checked before the model's own rules; returns the input and the models that may answer."""
    state, legacy = context.state, context.endpoint.legacy
    context.target = target = aim(context.endpoint.name, body, context.path_model)
    model = context.endpoint.prefix + target.model
    model = current_model_id(model) if legacy else model
    gateway_id = context.path_gateway or context.options.gateway_id or target.gateway_id
    if gateway_id is not None or not is_workers_ai(model):
        context.gateway = state.gateways.enter(context.account, gateway_id or "default")
    if state.upstream is None:
        check_id(model, context.endpoint.name, legacy=legacy)
    candidates = state.router.resolve(model, context.endpoint.name, context.options, context.gateway)
    context.routed = candidates[0]
    needs_provider_key = context.options.no_wholesale or (context.gateway is not None and context.gateway["byok_only"])
    if needs_provider_key and not context.provider_key and not is_workers_ai(context.model):
        raise ApiError(400, None, "No provider credentials are configured and Unified Billing is off", shape="policy")
    return {key: value for key, value in target.input.items() if key != "model"}, candidates


async def _attempts(context: RequestContext, handler: Handler) -> Reply:
    """Call the provider; the gateway retries only its transient errors (facts §8.1)."""
    total = _total_attempts(context)
    for number in range(1, total):
        try:
            return await _attempt(context, handler, last=False)
        except ApiError as error:
            if not error.transient:
                raise
        await _sleep(context, _retry_delay(context, number))
    return await _attempt(context, handler, last=True)


def _total_attempts(context: RequestContext) -> int:
    route = context.routed.attempts if context.routed is not None else None
    return route or int(_setting(context, "max_attempts", "retry_max_attempts", 1))


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
    step_fault = handler.next_fault() if isinstance(handler, ChatHandler) else None
    queued = step_fault or context.state.script.next_fault(stream=handler.stream)
    if queued is None:
        return await _reply(context, handler, last=last)
    context.fault_applied = any(fault.kind != "delay" for fault, _ in queued.parts)
    for fault, details in queued.parts:
        if fault.kind == "error":
            raise _error(context, fault, details)
        if fault.kind == "delay":
            await _delay(context, fault, float(details["seconds"]), last=last)
    reply = await _reply(context, handler, last=last)
    effects = [(fault.name, details) for fault, details in queued.parts if fault.kind == "effect"]
    if effects and reply.source is not None:
        reply.chunks, reply.source = [chunk async for chunk in reply.source], None
    for name, details in effects:
        EFFECT_FUNCTIONS[name](reply, details, context.dialect.error_event)
    return reply


async def _reply(context: RequestContext, handler: Handler, *, last: bool) -> Reply:
    context.first_byte_seconds = _timeout(context, last=last)
    try:
        return await handler.reply()
    except TimeoutError:
        raise _timed_out() from None


def _timeout(context: RequestContext, *, last: bool) -> float | None:
    """Seconds until the first byte; None in the last of several attempts (facts §8.1)."""
    route = context.routed.timeout if context.routed is not None else None
    milliseconds = route or context.options.request_timeout
    if milliseconds is None or context.gateway is None or (last and _total_attempts(context) > 1):
        return None
    return milliseconds / 1000


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
    timeout = _timeout(context, last=last)
    limit = seconds if timeout is None else timeout
    await _sleep(context, min(seconds, limit))
    if seconds > limit:
        raise _timed_out()


def _timed_out() -> ApiError:
    return ApiError(408, 3007, "Request timeout", transient=True)


async def _sleep(context: RequestContext, seconds: float) -> None:
    if not await context.client.pause(seconds):
        raise ClientDisconnected
