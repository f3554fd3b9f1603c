"""One model call on its way through the gateway: what is known of it so far, and the log entry it leaves.

Knows neither how the call is answered nor how an answer is sent.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from starlette.requests import Request

from cfaig_integrations.simulator import catalogue
from cfaig_integrations.simulator.clock import timestamp
from cfaig_integrations.simulator.dialects import DIALECTS
from cfaig_integrations.simulator.gateway import metadata
from cfaig_integrations.simulator.gateway.access import Credentials
from cfaig_integrations.simulator.gateway.headers import Options
from cfaig_integrations.simulator.gateway.router import Routed
from cfaig_integrations.simulator.gateway.settings import Settings
from cfaig_integrations.simulator.gateway.target import Target
from cfaig_integrations.simulator.http.bodies import Failure, Refused, Shape, encode, render
from cfaig_integrations.simulator.http.reply import Line, Reply
from cfaig_integrations.simulator.state import World

_OK = range(200, 300)


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A path that takes model calls."""

    name: str
    """`chat_completions`, `responses`, `messages`, `run` or `embeddings`."""
    legacy: bool = False
    """On the host `gateway.ai.cloudflare.com`, or on a custom domain."""
    custom: bool = False
    """On a custom domain, whose gateway stands nowhere in the request (wire-facts §14.6)."""


@dataclass(slots=True)
class Visit:
    """A model call."""

    world: World
    endpoint: Endpoint
    path: str
    escaped: bool
    """A slash of the path was sent as `%2F`."""
    queued: bool
    """`?queueRequest=true`: the asynchronous batch API (wire-facts §9.6)."""
    headers: Mapping[str, str]
    account: str
    path_gateway: str | None
    path_model: str | None
    raw: bytes
    line: Line
    request_id: str
    started: float = field(default_factory=time.monotonic)
    credentials: Credentials = field(default_factory=Credentials)
    options: Options = field(default_factory=Options)
    gateway: Settings | None = None
    """None until a gateway is entered, and for `@cf/` models without a gateway header, which bypass it."""
    target: Target | None = None
    routed: Routed | None = None
    cached: bool = False
    cache_status: str = "MISS"
    spoiled: bool = False
    """A fault was played, so the answer must not be cached."""
    tokens_in: int = 0
    tokens_out: int = 0

    @property
    def model(self) -> str:
        """The model that answers, as far as it is known."""
        if self.routed is not None:
            return self.routed.model
        return self.target.model if self.target is not None else ""

    @property
    def event_id(self) -> str:
        """The id that ties several calls together."""
        return self.options.event_id or self.request_id

    @property
    def logged(self) -> bool:
        """Whether the call leaves a log entry."""
        if self.gateway is None:
            return False
        wanted = self.options.collect_log
        return bool(self.gateway["collect_logs"] if wanted is None else wanted)

    @property
    def dialect(self) -> str:
        """The dialect in which a provider would complain."""
        return self.endpoint.name if self.endpoint.name in DIALECTS else "chat_completions"


def open_visit(world: World, endpoint: Endpoint, request: Request, raw: bytes) -> Visit:
    """Take up a request whose body was read."""
    found = request.path_params
    return Visit(
        world=world,
        endpoint=endpoint,
        path=request.scope["path"],
        escaped=b"%2f" in request.scope["raw_path"].lower(),
        queued=request.query_params.get("queueRequest") == "true",
        headers={name.lower(): value for name, value in request.headers.items()},
        account=found.get("account", world.account_id),
        path_gateway="default" if endpoint.custom else found.get("gateway"),
        path_model=found.get("model"),
        raw=raw,
        line=Line(request.receive),
        request_id=world.ids.uuid7(),
    )


def worded(visit: Visit, refused: Refused) -> Reply:
    """The answer that a refusal becomes."""
    message = refused.message.replace("{request}", visit.world.ids.uuid4())
    if refused.shape == "provider":
        said = DIALECTS[visit.dialect].error(refused.status, refused.code or refused.status, message)
        return Reply(refused.status, chunks=[encode(said)], headers=dict(refused.headers), failed=True)
    usual: Shape = "gateway" if visit.endpoint.legacy else "v4"
    failure = Failure(refused.status, refused.code, message, visit.request_id, refused.extra)
    body, kind = render(refused.shape or usual, failure)
    return Reply(refused.status, kind, [body], dict(refused.headers), failed=True)


def gateway_headers(visit: Visit) -> dict[str, str]:
    """The response headers of wire-facts §3.5."""
    headers = {"cf-ray": visit.world.ids.ray()}
    if visit.gateway is None:
        if catalogue.is_workers_ai(visit.model):
            headers["cf-ai-req-id"] = visit.world.ids.uuid4()
        return headers
    headers |= {
        "cf-aig-event-id": visit.event_id,
        "cf-aig-request-id": visit.request_id,
        "cf-aig-step": "0",
        "cf-aig-cache-status": visit.cache_status,
        **(visit.routed.headers if visit.routed is not None else {}),
    }
    if visit.logged:
        headers["cf-aig-log-id"] = visit.request_id
    return headers


def log_entry(visit: Visit, reply: Reply, *, complete: bool) -> dict[str, Any]:
    """The log entry of a call, in the fields of wire-facts §8.5."""
    custom, payload = visit.options.custom_cost, visit.options.collect_log_payload
    tokens_in, tokens_out = (0, 0) if visit.cached else (visit.tokens_in, visit.tokens_out)
    price = 0.0 if visit.cached else catalogue.cost(visit.model, tokens_in, tokens_out, custom)
    model = visit.model.encode("utf-8", "replace").decode()
    own_key = visit.credentials.provider_key is not None
    return {
        "id": visit.request_id,
        "created_at": timestamp(visit.world.clock.now()),
        "event_id": visit.event_id,
        "provider": catalogue.provider(model),
        "model": model,
        "model_type": "Text Embeddings" if catalogue.is_embedding(visit.model) else "Text Generation",
        "path": visit.path.partition("/ai/")[2] or visit.path.rpartition("/compat/")[2],
        "duration": round((time.monotonic() - visit.started) * 1000),
        "request_type": visit.endpoint.name,
        "request_content_type": visit.headers.get("content-type", ""),
        "response_content_type": reply.content_type,
        "status_code": reply.status,
        "success": complete and reply.status in _OK and not reply.failed,
        "cached": visit.cached,
        "tokens_in": tokens_in,
        "tokens_out": tokens_out,
        "cost": price,
        "custom_cost": custom is not None and not visit.cached,
        "metadata": metadata.kept(visit.headers.get("cf-aig-metadata")),
        "step": 0,
        "user_agent": visit.headers.get("user-agent"),
        "authentication": True,
        "wholesale": not own_key and not catalogue.is_workers_ai(visit.model),
        "byok": own_key,
        "compatibility_mode": visit.endpoint.legacy,
        "request": visit.raw.decode("utf-8", "replace") if payload else None,
        "response": reply.body.decode("utf-8", "replace") if payload else None,
    }


def leave_log(visit: Visit, reply: Reply, complete: bool) -> None:
    """Write the call's log entry, if it leaves one."""
    if visit.gateway is None or not visit.logged:
        return
    visible_at = visit.world.clock.now() + (visit.world.log_delay if reply.streamed else 0)
    entry = log_entry(visit, reply, complete=complete)
    visit.world.store.add_log(visit.account, visit.gateway["id"], visible_at, entry)
