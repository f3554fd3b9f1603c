"""The state of one model call, its response headers, and its log entry."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from starlette.requests import Request

from cfaig_integrations.simulator import catalogue
from cfaig_integrations.simulator.clock import timestamp
from cfaig_integrations.simulator.dialects import DIALECTS, Dialect
from cfaig_integrations.simulator.gateway.access import Credentials
from cfaig_integrations.simulator.gateway.headers import Options
from cfaig_integrations.simulator.gateway.metadata import logged_metadata
from cfaig_integrations.simulator.gateway.router import Routed
from cfaig_integrations.simulator.gateway.settings import Settings
from cfaig_integrations.simulator.gateway.target import Target
from cfaig_integrations.simulator.http.bodies import ApiError, Shape, encode, render
from cfaig_integrations.simulator.http.reply import ClientConnection, Reply
from cfaig_integrations.simulator.state import State


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A path that takes model calls."""

    name: str
    """`chat_completions`, `responses`, `messages`, `run` or `embeddings`."""
    legacy: bool = False
    """On the host `gateway.ai.cloudflare.com`, or on a custom domain."""
    custom: bool = False
    """On a custom domain, whose request does not name the gateway (facts §14.6)."""


@dataclass(slots=True)
class RequestContext:
    """A model call."""

    state: State
    endpoint: Endpoint
    path: str
    escaped: bool
    """A slash of the path was sent as `%2F`."""
    queued: bool
    """`?queueRequest=true`: the asynchronous batch API (facts §9.6)."""
    headers: Mapping[str, str]
    account: str
    path_gateway: str | None
    path_model: str | None
    raw: bytes
    client: ClientConnection
    request_id: str
    started: float = field(default_factory=time.monotonic)
    credentials: Credentials = field(default_factory=Credentials)
    options: Options = field(default_factory=Options)
    gateway: Settings | None = None
    """None until the gateway is known, and for `@cf/` models without a gateway header, which bypass it."""
    target: Target | None = None
    routed: Routed | None = None
    cached: bool = False
    cache_status: str = "MISS"
    fault_applied: bool = False
    """A fault was applied, so the answer must not be cached."""
    tokens_in: int = 0
    tokens_out: int = 0

    @property
    def model(self) -> str:
        """The model that answers; the one requested until it is resolved, and empty before the body is read."""
        if self.routed is not None:
            return self.routed.model
        return self.target.model if self.target is not None else ""

    @property
    def logged(self) -> bool:
        """Whether the call leaves a log entry."""
        if self.gateway is None:
            return False
        option = self.options.collect_log
        return bool(self.gateway["collect_logs"] if option is None else option)

    @property
    def dialect(self) -> Dialect:
        """The format of the provider's errors."""
        return DIALECTS.get(self.endpoint.name, DIALECTS["chat_completions"])


def open_context(state: State, endpoint: Endpoint, request: Request, raw: bytes) -> RequestContext:
    """The context of a request whose body was read."""
    path_parameters = request.path_params
    return RequestContext(
        state=state,
        endpoint=endpoint,
        path=request.scope["path"],
        escaped=b"%2f" in request.scope["raw_path"].lower(),
        queued=request.query_params.get("queueRequest") == "true",
        headers={name.lower(): value for name, value in request.headers.items()},
        account=path_parameters.get("account", state.account_id),
        path_gateway="default" if endpoint.custom else path_parameters.get("gateway"),
        path_model=path_parameters.get("model"),
        raw=raw,
        client=ClientConnection(request.receive),
        request_id=state.ids.uuid7(),
    )


def error_reply(context: RequestContext, error: ApiError) -> Reply:
    """The response for an error."""
    error.message = error.message.replace("{request}", context.state.ids.uuid4())
    if error.shape == "provider":
        body = encode(context.dialect.error(error.status, error.code or error.status, error.message))
        content_type = "application/json"
    else:
        default: Shape = "gateway" if context.endpoint.legacy else "v4"
        body, content_type = render(error.shape or default, error, context.request_id)
    return Reply(error.status, content_type, [body], dict(error.headers), failed=True)


def gateway_headers(context: RequestContext) -> dict[str, str]:
    """The response headers of facts §3.5."""
    headers = {"cf-ray": context.state.ids.ray()}
    if context.gateway is None:
        if catalogue.is_workers_ai(context.model):
            headers["cf-ai-req-id"] = context.state.ids.uuid4()
        return headers
    headers |= {
        "cf-aig-event-id": context.options.event_id or context.request_id,
        "cf-aig-request-id": context.request_id,
        "cf-aig-step": "0",
        "cf-aig-cache-status": context.cache_status,
        **(context.routed.headers if context.routed is not None else {}),
    }
    if context.logged:
        headers["cf-aig-log-id"] = context.request_id
    return headers


def log_entry(context: RequestContext, reply: Reply, *, complete: bool) -> dict[str, Any]:
    """The log entry of a call, in the fields of facts §8.5."""
    custom, payload = context.options.custom_cost, context.options.collect_log_payload
    tokens_in, tokens_out = (0, 0) if context.cached else (context.tokens_in, context.tokens_out)
    price = 0.0 if context.cached else catalogue.cost(context.model, tokens_in, tokens_out, custom)
    model = context.model.encode("utf-8", "replace").decode()
    own_key = context.credentials.provider_key is not None
    return {
        "id": context.request_id,
        "created_at": timestamp(context.state.clock.now()),
        "event_id": context.options.event_id or context.request_id,
        "provider": catalogue.provider(model),
        "model": model,
        "model_type": "Text Embeddings" if catalogue.is_embedding(context.model) else "Text Generation",
        "path": context.path.partition("/ai/")[2] or context.path.rpartition("/compat/")[2],
        "duration": round((time.monotonic() - context.started) * 1000),
        "request_type": context.endpoint.name,
        "request_content_type": context.headers.get("content-type", ""),
        "response_content_type": reply.content_type,
        "status_code": reply.status,
        "success": complete and 200 <= reply.status < 300 and not reply.failed,
        "cached": context.cached,
        "tokens_in": tokens_in,
        "tokens_out": tokens_out,
        "cost": price,
        "custom_cost": custom is not None and not context.cached,
        "feedback": None,
        "score": None,
        "dlp_action": None,
        "metadata": logged_metadata(context.headers.get("cf-aig-metadata")),
        "step": 0,
        "user_agent": context.headers.get("user-agent"),
        "authentication": True,
        "wholesale": not own_key and not catalogue.is_workers_ai(context.model),
        "byok": own_key,
        "compatibility_mode": context.endpoint.legacy,
        "request": context.raw.decode("utf-8", "replace") if payload else None,
        "response": reply.body.decode("utf-8", "replace") if payload else None,
    }


def write_log(context: RequestContext, reply: Reply, complete: bool) -> None:
    """Write the log entry of a call, unless logging is off."""
    if context.gateway is None or not context.logged:
        return
    visible_at = context.state.clock.now() + (context.state.log_delay if reply.streamed else 0)
    entry = log_entry(context, reply, complete=complete)
    context.state.store.add_log(context.account, context.gateway["id"], visible_at, entry)
