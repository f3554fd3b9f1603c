"""The HTTP side of model calls: reads the request, answers it, and logs it before the response ends."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial

from starlette.requests import Request
from starlette.responses import Response

from cfaig_integrations.simulator.http.bodies import ApiError
from cfaig_integrations.simulator.http.recorder import read_body
from cfaig_integrations.simulator.http.reply import ClientDisconnected, EmptyResponse, Reply, ReplyResponse
from cfaig_integrations.simulator.inference.call import answer_call
from cfaig_integrations.simulator.inference.provider_paths import read_provider_path
from cfaig_integrations.simulator.inference.request_context import (
    Endpoint,
    RequestContext,
    error_reply,
    finish_call,
    open_context,
)
from cfaig_integrations.simulator.inference.universal import answer_steps
from cfaig_integrations.simulator.state import state_of

_CLIENT_CLOSED = 499

Answering = Callable[[RequestContext], Awaitable[tuple[RequestContext, Reply]]]


def endpoint(name: str, *, legacy: bool = False, custom: bool = False) -> Callable[[Request], Awaitable[Response]]:
    """The handler of one path that takes model calls."""
    return partial(_handle, Endpoint(name, legacy or custom, custom), _answer_one)


async def universal(request: Request) -> Response:
    """`POST /v1/{account}/{gateway}`: a list of steps."""
    return await _handle(Endpoint("universal", legacy=True), answer_steps, request)


async def provider_path(request: Request) -> Response:
    """`POST /v1/{account}/{gateway}/{provider}/{path}`: the provider's own API."""
    provider = request.path_params["provider"]
    try:
        path = read_provider_path(provider, request.path_params["path"])
    except ApiError as error:
        endpoint = Endpoint("chat_completions", legacy=True)
        return await _handle(endpoint, partial(_refuse, error), request)
    endpoint = Endpoint(path.endpoint, legacy=True, provider=provider, prefix=path.prefix)
    return await _handle(endpoint, _answer_one, request, path.model)


async def _answer_one(context: RequestContext) -> tuple[RequestContext, Reply]:
    return context, await answer_call(context)


async def _refuse(error: ApiError, context: RequestContext) -> tuple[RequestContext, Reply]:
    return context, error_reply(context, error)


async def _handle(
    endpoint: Endpoint, answering: Answering, request: Request, path_model: str | None = None
) -> Response:
    raw = await read_body(request)
    context = open_context(state_of(request), endpoint, request, raw or b"", path_model)
    if raw is None:
        too_large = ApiError(413, 3006, "AiError: AiError: Request is too large ({request})")
        answering = partial(_refuse, too_large)
    try:
        context, reply = await answering(context)
    except ClientDisconnected:
        context.client.close()
        finish_call(context, Reply(_CLIENT_CLOSED), False)
        return EmptyResponse()
    return ReplyResponse(reply, context.client, partial(finish_call, context, reply))
