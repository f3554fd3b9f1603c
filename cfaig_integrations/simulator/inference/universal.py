"""The universal endpoint of the legacy host: a list of steps, tried in turn (facts §1.5)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cfaig_integrations.simulator.gateway.access import admit_gateway
from cfaig_integrations.simulator.http.bodies import ApiError, encode
from cfaig_integrations.simulator.http.reply import Reply
from cfaig_integrations.simulator.inference.call import answer_call
from cfaig_integrations.simulator.inference.provider_paths import ProviderPath, read_provider_path
from cfaig_integrations.simulator.inference.request_context import Endpoint, RequestContext, error_reply, finish_call
from cfaig_integrations.simulator.json_types import as_record, is_list, is_record, parse_json

_CONFIG_HEADERS = {
    "requestTimeout": "cf-aig-request-timeout",
    "maxAttempts": "cf-aig-max-attempts",
    "retryDelay": "cf-aig-retry-delay",
    "backoff": "cf-aig-backoff",
    "cacheTtl": "cf-aig-cache-ttl",
    "cacheKey": "cf-aig-cache-key",
    "skipCache": "cf-aig-skip-cache",
}
_STEP_KEYS = frozenset({"provider", "endpoint", "headers", "query", "config"})
_MOST_STEPS = 20


@dataclass(frozen=True, slots=True)
class _Step:
    provider: str
    path: ProviderPath
    headers: dict[str, str]
    body: bytes


def read_steps(raw: bytes) -> list[_Step]:
    """The steps of a request.

    Raises:
        ApiError: 400/2004 for a body that is no list of steps.
    """
    try:
        body = parse_json(raw)
    except ValueError:
        raise _bad("the body is not JSON") from None
    steps = body if is_list(body) else [body]
    if not 1 <= len(steps) <= _MOST_STEPS:
        raise _bad(f"expected 1 to {_MOST_STEPS} steps")
    return [_read_step(number, step) for number, step in enumerate(steps)]


def _bad(reason: str) -> ApiError:
    # no evidence of this code: the documentation does not say how a wrong list is refused
    return ApiError(400, 2004, f"Universal endpoint bad format: {reason}", shape="gateway", at_edge=True)


def _read_step(number: int, step: Any) -> _Step:
    if not is_record(step) or not isinstance(step.get("provider"), str) or not isinstance(step.get("endpoint"), str):
        raise _bad(f"step {number} must be an object with provider, endpoint, headers and query")
    unknown = step.keys() - _STEP_KEYS
    if unknown:
        raise _bad(f"step {number} has the unknown field {min(unknown)!r}; use {', '.join(sorted(_STEP_KEYS))}")
    headers, query, config = (step.get(key) for key in ("headers", "query", "config"))
    if not is_record(query) or not (headers is None or is_record(headers)) or not (config is None or is_record(config)):
        raise _bad(f"step {number}: headers, query and config must be objects")
    named = {str(name).lower(): str(value) for name, value in as_record(headers).items()}
    path = read_provider_path(step["provider"], step["endpoint"].partition("?")[0])
    return _Step(step["provider"], path, {**named, **_config_headers(as_record(config))}, encode(query))


def _config_headers(config: Mapping[str, Any]) -> dict[str, str]:
    return {
        header: str(config[key]).lower() if isinstance(config[key], bool) else str(config[key])
        for key, header in _CONFIG_HEADERS.items()
        if config.get(key) is not None
    }


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


def _step_context(context: RequestContext, step: _Step, number: int, event_id: str) -> RequestContext:
    shared = {name: value for name, value in context.headers.items() if name not in {"authorization", "content-length"}}
    shared |= {"cf-aig-authorization": f"Bearer {context.state.api_token}", "cf-aig-event-id": event_id}
    state = context.state
    return RequestContext(
        state=state,
        endpoint=Endpoint(step.path.endpoint, legacy=True, provider=step.provider, prefix=step.path.prefix),
        path=context.path,
        escaped=False,
        queued=False,
        headers={**shared, **step.headers},
        account=context.account,
        path_gateway=context.path_gateway,
        path_model=step.path.model,
        raw=step.body,
        client=context.client,
        request_id=context.request_id if number == 0 else state.ids.uuid7(),
        step=number,
    )
