"""The HTTP side of model calls: reads the request or its steps, answers, and logs before the response ends."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError
from starlette.requests import Request
from starlette.responses import Response

from cfaig_integrations.simulator.gateway.headers import admit_gateway
from cfaig_integrations.simulator.http.bodies import ApiError
from cfaig_integrations.simulator.http.recorder import read_body
from cfaig_integrations.simulator.http.reply import ClientDisconnected, EmptyResponse, Reply, ReplyResponse
from cfaig_integrations.simulator.inference.call import answer_call
from cfaig_integrations.simulator.inference.request_context import (
    Endpoint,
    RequestContext,
    error_reply,
    finish_call,
    open_context,
)
from cfaig_integrations.simulator.json_types import encode, is_list, parse_json, scalar_text
from cfaig_integrations.simulator.state import state_of

_AUTHORS = {
    **{name: f"{name}/" for name in ("openai", "anthropic", "groq", "deepseek", "mistral", "cerebras", "openrouter")},
    "fireworks": "fireworks/", "google-ai-studio": "google/", "grok": "xai/", "perplexity-ai": "perplexity/",
    "compat": "", "workers-ai": "",
}  # fmt: skip
_KNOWN = frozenset((
    *_AUTHORS, "aws-bedrock", "azure-openai", "baseten", "cartesia", "cohere", "deepgram", "elevenlabs", "fal",
    "google-vertex-ai", "huggingface", "ideogram", "parallel", "replicate",
))  # fmt: skip
_PATHS = {"chat/completions": "chat_completions", **{name: name for name in ("responses", "messages", "embeddings")}}
_VERSION = re.compile(r"^(?:api/)?(?:v1beta/)?(?:openai/)?(?:v1/)?")


def read_provider_path(provider: str, path: str) -> Endpoint:
    """What `{provider}/{path}` means on the legacy host."""
    if provider not in _KNOWN and not provider.startswith("custom-"):
        raise ApiError(400, 2008, "Invalid provider", shape="gateway", at_edge=True)
    path = path.strip("/")
    if provider == "workers-ai" and not path.startswith("v1/"):
        return Endpoint("run", legacy=True, provider=provider, model=path.removeprefix("run/"))
    name = _PATHS.get(_VERSION.sub("", path))
    prefix = _AUTHORS.get(provider)
    if name is None or prefix is None:
        reason = f"the simulator does not serve {provider}/{path}; it serves {', '.join(_PATHS)}"
        raise ApiError(400, 7000, f"No route for that URI: {reason}", shape="gateway", at_edge=True)
    return Endpoint(name, legacy=True, provider=provider, prefix=prefix)


_CONFIG = ("requestTimeout", "maxAttempts", "retryDelay", "backoff", "cacheTtl", "cacheKey", "skipCache")
"""The settings of a step, each of which stands for a header: `cacheTtl` for `cf-aig-cache-ttl`."""


class _UniversalStep(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    provider: str
    endpoint: str
    query: dict[str, Any]
    headers: dict[str, Any] | None = None
    config: dict[str, Any] | None = None

    @property
    def path(self) -> Endpoint:
        return read_provider_path(self.provider, self.endpoint.partition("?")[0])

    def all_headers(self) -> dict[str, str]:
        """The headers of the step, with those that its configuration stands for."""
        config = {key: value for key, value in (self.config or {}).items() if key in _CONFIG and value is not None}
        named = {f"cf-aig-{re.sub('(?=[A-Z])', '-', key).lower()}": value for key, value in config.items()}
        sent = {str(name).lower(): value for name, value in (self.headers or {}).items()}
        return {name: scalar_text(value) for name, value in {**sent, **named}.items()}


_STEPS = TypeAdapter(Annotated[list[_UniversalStep], Field(min_length=1, max_length=20)])


def read_steps(raw: bytes) -> list[_UniversalStep]:
    """The steps of a request."""
    try:
        body = parse_json(raw)
        steps = _STEPS.validate_python(body if is_list(body) else [body])
    except ValueError as error:
        first = error.errors()[0] if isinstance(error, ValidationError) else {"loc": ("body",), "msg": "not JSON"}
        reason = f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
        # no evidence of this code: the documentation does not say how a wrong list is refused
        raise ApiError(400, 2004, f"Universal endpoint bad format: {reason}", shape="gateway", at_edge=True) from None
    _ = [step.path for step in steps]  # one path that is not served refuses all steps
    return steps


async def answer_steps(context: RequestContext) -> tuple[RequestContext, Reply]:
    """The reply of the first step that succeeds, else of the last; with its own context.

    Steps that failed have log entries of their own, under the same event id.
    """
    try:
        admit_gateway(context.headers, context.state.api_token)
        steps = read_steps(context.raw)
    except ApiError as error:
        return context, error_reply(context, error)
    event_id = context.headers.get("cf-aig-event-id") or context.request_id
    outer = context
    for number, step in enumerate(steps):
        context = _step_context(outer, step, number, event_id)
        reply = await answer_call(context)
        if (reply.status < 400 and not reply.failed) or number + 1 == len(steps):
            return context, reply
        finish_call(context, reply, True)
    raise AssertionError("a request has at least one step")


def _step_context(context: RequestContext, step: _UniversalStep, number: int, event_id: str) -> RequestContext:
    shared = {name: value for name, value in context.headers.items() if name not in {"authorization", "content-length"}}
    shared |= {"cf-aig-authorization": f"Bearer {context.state.api_token}", "cf-aig-event-id": event_id}
    state, endpoint = context.state, step.path
    return RequestContext(
        state=state,
        endpoint=endpoint,
        path=context.path,
        escaped=False,
        queued=False,
        headers={**shared, **step.all_headers()},
        account=context.account,
        path_gateway=context.path_gateway,
        path_model=endpoint.model,
        raw=encode(step.query),
        client=context.client,
        request_id=context.request_id if number == 0 else state.ids.uuid7(),
        step=number,
    )


_CLIENT_CLOSED = 499

Answering = Callable[[RequestContext], Awaitable[tuple[RequestContext, Reply]]]


def endpoint(name: str, *, custom: bool = False) -> Callable[[Request], Awaitable[Response]]:
    """The handler of one path that takes model calls."""
    return partial(_handle, Endpoint(name, legacy=custom, custom=custom), _answer_one)


async def universal(request: Request) -> Response:
    """`POST /v1/{account}/{gateway}`: a list of steps."""
    return await _handle(Endpoint("universal", legacy=True), answer_steps, request)


async def provider_path(request: Request) -> Response:
    """`POST /v1/{account}/{gateway}/{provider}/{path}`: `compat/...`, or the provider's own API."""
    try:
        endpoint = read_provider_path(request.path_params["provider"], request.path_params["path"])
    except ApiError as error:
        return await _handle(Endpoint("chat_completions", legacy=True), partial(_refuse, error), request)
    return await _handle(endpoint, _answer_one, request)


async def _answer_one(context: RequestContext) -> tuple[RequestContext, Reply]:
    return context, await answer_call(context)


async def _refuse(error: ApiError, context: RequestContext) -> tuple[RequestContext, Reply]:
    return context, error_reply(context, error)


async def _handle(endpoint: Endpoint, answering: Answering, request: Request) -> Response:
    raw = await read_body(request)
    context = open_context(state_of(request), endpoint, request, raw or b"")
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
