"""The state of one model call, its response headers, and its log entry."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from starlette.requests import Request

from cfaig_integrations.simulator import catalogue
from cfaig_integrations.simulator.clock import timestamp
from cfaig_integrations.simulator.dialects import DIALECTS, Dialect, find_media
from cfaig_integrations.simulator.gateway.headers import Options, logged_metadata
from cfaig_integrations.simulator.gateway.limits import Spender, metadata_text
from cfaig_integrations.simulator.gateway.log_store import LogFilter, Scalar
from cfaig_integrations.simulator.gateway.routing import Routed
from cfaig_integrations.simulator.gateway.rules import USER_ERROR
from cfaig_integrations.simulator.gateway.settings import Settings
from cfaig_integrations.simulator.gateway.target import Target
from cfaig_integrations.simulator.http.bodies import ApiError, Shape, render
from cfaig_integrations.simulator.http.recorder import redact_headers, redact_text, secrets_of
from cfaig_integrations.simulator.http.reply import ClientConnection, Reply
from cfaig_integrations.simulator.json_types import encode
from cfaig_integrations.simulator.state import State
from cfaig_integrations.simulator.types import InvalidBody
from cfaig_integrations.simulator.upstream.client import UpstreamError

MAX_LOGGED = 10_000_000  # bytes of a body that are logged (facts §8.5)
_FILE_HEAD = 4096


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A path that takes model calls."""

    name: str  # `chat_completions`, `responses`, `messages`, `run`, `embeddings` or `websearch`
    legacy: bool = False  # on the host `gateway.ai.cloudflare.com`, or on a custom domain
    custom: bool = False  # on a custom domain, whose request does not name the gateway (facts §14.6)
    provider: str | None = None  # on the legacy host, the provider that the path or the step names
    prefix: str = ""  # what the model ids of this provider's own API lack
    model: str | None = None  # the model that the path names


@dataclass(slots=True)
class RequestContext:
    """A model call."""

    state: State
    endpoint: Endpoint
    path: str
    escaped: bool  # a slash of the path was sent as `%2F`
    queued: bool  # `?queueRequest=true`: the asynchronous batch API (facts §9.6)
    headers: Mapping[str, str]
    account: str
    path_gateway: str | None
    path_model: str | None
    raw: bytes
    client: ClientConnection
    request_id: str
    started: float = field(default_factory=time.monotonic)
    provider_key: str | None = None
    options: Options = field(default_factory=Options)
    gateway: Settings | None = None
    """None until the gateway is known, and for `@cf/` models without a gateway header, which bypass it."""
    target: Target | None = None
    routed: Routed | None = None
    cached: bool = False
    is_upload: bool = False  # the body is a form or a file
    fault_applied: bool = False  # a fault was applied, so the answer must not be cached
    tokens_in: int = 0
    tokens_out: int = 0
    tokens_cached: int = 0
    first_byte_seconds: float | None = None  # how long the current attempt may wait for its first byte
    step: int = 0  # number of the step of the universal endpoint, or of the model of a dynamic route, that answers
    guardrails: dict[str, list[str]] = field(default_factory=dict[str, list[str]])
    """Hazard categories that were found, by side."""

    @property
    def model(self) -> str:
        """The model that answers; the one requested until it is resolved, and empty before the body is read."""
        if self.routed is not None:
            return self.routed.model
        return self.endpoint.prefix + self.target.model if self.target is not None else ""

    @property
    def key_source(self) -> str:
        """The value of `gatewayMetadata.keySource` (facts §2.3)."""
        return "BYOK" if self.provider_key else "Unified"

    @property
    def logged(self) -> bool:
        """Whether the call leaves a log entry."""
        if self.gateway is None:
            return False
        option = self.options.collect_log
        return bool(self.gateway["collect_logs"] if option is None else option)

    @property
    def metadata(self) -> dict[str, Scalar] | None:
        """The entries of `cf-aig-metadata` that reach the log."""
        return logged_metadata(self.headers.get("cf-aig-metadata"))

    @property
    def spender(self) -> Spender:
        """What the spend limits count the call by."""
        return Spender(self.model, catalogue.provider(self.model), metadata_text(self.metadata))

    @property
    def cost(self) -> float:
        """Dollars; zero for a response from the cache."""
        if self.cached:
            return 0.0
        custom = self.options.custom_cost
        return self.state.prices.cost(self.model, self.tokens_in, self.tokens_out, self.tokens_cached, custom)

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
        path_model=endpoint.model or path_parameters.get("model"),
        raw=raw,
        client=ClientConnection(request.receive),
        request_id=state.ids.uuid7(),
    )


def error_reply(context: RequestContext, error: ApiError) -> Reply:
    """The response for an error."""
    if isinstance(error, UpstreamError):
        return Reply(error.status, error.content_type, [error.body], dict(error.headers), failed=True)
    error.message = error.message.replace("{request}", context.state.ids.uuid4())
    if error.shape == "provider":
        body = encode(context.dialect.error(error.status, error.code or error.status, error.message))
        content_type = "application/json"
    else:
        default: Shape = "gateway" if context.endpoint.legacy else "v4"
        body, content_type = render(error.shape or default, error, context.request_id)
    return Reply(error.status, content_type, [body], dict(error.headers), failed=True)


def invalid_body(context: RequestContext, error: InvalidBody) -> ApiError:
    """How the gateway words a violation of a format's rule (facts §5.6 code 5006, §5.7 code 7003)."""
    if error.code != 7003:
        return ApiError(error.status, error.code, error.message)
    if catalogue.is_workers_ai(context.model):
        return ApiError(error.status, 5006, f"AiError: Bad input: Error: {error.message} ({{request}})")
    return ApiError(error.status, error.code, f"{USER_ERROR}{error.message}")


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
        "cf-aig-step": str(context.step),
        "cf-aig-cache-status": "HIT" if context.cached else "MISS",
        **(context.routed.headers if context.routed is not None else {}),
    }
    if context.logged:
        headers["cf-aig-log-id"] = context.request_id
    return headers


def log_entry(context: RequestContext, reply: Reply, *, complete: bool) -> dict[str, Any]:
    """The log entry of a call, in the fields of facts §8.5."""
    custom, payload = context.options.custom_cost, context.options.collect_log_payload
    tokens_in, tokens_out = (0, 0) if context.cached else (context.tokens_in, context.tokens_out)
    model = context.model.encode("utf-8", "replace").decode()
    secrets = {context.state.api_token, *secrets_of(context.headers)}
    if context.state.upstream is not None and context.state.upstream.key:
        secrets.add(context.state.upstream.key)
    has_key = context.provider_key is not None
    return {
        "id": context.request_id,
        "created_at": timestamp(context.state.clock.now()),
        "event_id": context.options.event_id or context.request_id,
        "provider": catalogue.provider(model),
        "model": model,
        "model_type": _model_type(context),
        "path": _logged_path(context),
        "duration": round((time.monotonic() - context.started) * 1000),
        "request_type": context.endpoint.name,
        "request_content_type": context.headers.get("content-type", ""),
        "response_content_type": reply.content_type,
        "status_code": reply.status,
        "success": complete and 200 <= reply.status < 300 and not reply.failed,
        "cached": context.cached,
        "tokens_in": tokens_in,
        "tokens_out": tokens_out,
        "cost": context.cost,
        "custom_cost": custom is not None and not context.cached,
        "feedback": None,
        "score": None,
        "dlp_action": None,
        "metadata": context.metadata,
        "step": context.step,
        "guardrails": context.guardrails,
        "user_agent": context.headers.get("user-agent"),
        "authentication": True,
        "wholesale": not has_key and not catalogue.is_workers_ai(context.model),
        "byok": has_key,
        "compatibility_mode": context.endpoint.legacy,
        "streamed": reply.streamed,
        "request_headers": redact_headers(context.headers),
        "response_headers": redact_headers(reply.headers),
        "request": _logged_body(context.raw, secrets) if payload else None,
        "response": _logged_body(reply.body, secrets) if payload else None,
    }


def _model_type(context: RequestContext) -> str:
    media = find_media(context.model)
    if media is not None:
        return media.task
    if context.endpoint.name == "websearch":
        return "Web Search"
    return "Text Embeddings" if catalogue.is_embedding(context.model) else "Text Generation"


def _logged_body(body: bytes, secrets: set[str]) -> str:
    if b"\0" in body[:_FILE_HEAD]:  # of a file, of which the log has the length
        return f"[{len(body)} bytes]"
    return redact_text(body[:MAX_LOGGED].decode("utf-8", "replace"), secrets)


def _logged_path(context: RequestContext) -> str:
    if context.endpoint.provider is None:
        return context.path.partition("/ai/")[2] or context.path.rpartition("/compat/")[2]
    return context.path.partition(f"/{context.path_gateway}/{context.endpoint.provider}/")[2] or context.endpoint.name


def finish_call(context: RequestContext, reply: Reply, complete: bool) -> None:
    """Count the cost of a call and write its log entry, unless logging is off or the log is full."""
    gateway, state = context.gateway, context.state
    if gateway is None:
        return
    if reply.on_end is not None:
        reply.on_end()
    state.spending.add(gateway, context.spender, context.cost)
    keep: int | None = gateway["log_management"]
    stops = keep is not None and gateway["log_management_strategy"] == "STOP_INSERTING"
    if not context.logged or (
        stops and state.logs.count(LogFilter(account=context.account, gateway=gateway["id"])) >= (keep or 0)
    ):
        return
    visible_at = state.clock.now() + (state.log_delay if reply.streamed else 0)
    entry = log_entry(context, reply, complete=complete)
    state.logs.add(context.account, gateway["id"], entry, visible_at=visible_at, keep=keep)
