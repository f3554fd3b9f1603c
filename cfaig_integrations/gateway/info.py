"""How the gateway handled a call, from response headers that may all be absent (facts §3.5, §3.7)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias, cast

from cfaig_integrations.core.content import Wire
from cfaig_integrations.gateway.failures.redaction import redacted

Format: TypeAlias = Literal[Wire, "embeddings"]
"""Format of a call: a wire format of chat, or OpenAI's format of embeddings."""


@dataclass(frozen=True, slots=True)
class GatewayInfo:
    """How the gateway handled a call. A field that the response does not have is None.

    Attributes:
        wire (chat_completions | responses | messages | run | embeddings): Wire format of the call; `embeddings` is
            OpenAI's format of embeddings.
        requested_model (str): Model id as the user wrote it.
        log_id (str, default None): Id for the logs API, which has the cost, and for feedback.
        event_id (str, default None): Id that all requests of the call share, and with `GatewayOptions.event_id` several
            calls.
        request_id (str, default None): The gateway's request id.
        ray_id (str, default None): `cf-ray`, for Cloudflare's support.
        step (int, default None): Entry of a fallback chain that answered, from 0.
        cache_status (str, default None): `HIT`, `MISS` or another status of the gateway. On a HIT the tokens in `usage`
            cost nothing.
        routed_model (str, default None): Model that answered for a dynamic route or the Auto Router.
        provider (str, default None): Provider that answered.
        routing_reason (str, default None): Why the Auto Router chose the model.
        routing_decision_id (str, default None): Id of that decision.
        dlp (object, default None): Verdict of data-loss prevention, parsed; its text if it is not JSON.
        key_source (str, default None): Whose provider key was used: `Unified` or `BYOK`.
        switched_from (chat_completions | responses | messages | run, default None): Wire format that `api="auto"` tried
            before, if the model refused it.
        attempts (int, default 1): HTTP requests sent for this call.
        history (str, default None): Digest of the conversation that the provider stores under the reply's id, if it was
            asked to.
        log_ids (tuple of str, default empty): The log ids of all requests of the call, the last one included: each may
            have a cost.
    """

    wire: Format
    requested_model: str
    log_id: str | None = None
    event_id: str | None = None
    request_id: str | None = None
    ray_id: str | None = None
    step: int | None = None
    cache_status: str | None = None
    routed_model: str | None = None
    provider: str | None = None
    routing_reason: str | None = None
    routing_decision_id: str | None = None
    dlp: Any = None
    key_source: str | None = None
    switched_from: Wire | None = None
    attempts: int = 1
    history: str | None = None
    log_ids: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """The fields that are not None, as JSON without floats; `log_ids` where there are several requests."""
        fields = {name: value for name in _FIELDS if (value := getattr(self, name)) is not None}
        if self.attempts > 1 and self.log_ids:
            fields["log_ids"] = list(self.log_ids)
        return fields


_FIELDS: tuple[str, ...] = tuple(name for name in GatewayInfo.__dataclass_fields__ if name != "log_ids")


def read_info(
    headers: Mapping[str, str],
    *,
    wire: Format,
    model: str,
    key_source: str | None = None,
    switched_from: Wire | None = None,
    attempts: int = 1,
    history: str | None = None,
    earlier_log_ids: tuple[str, ...] = (),
) -> GatewayInfo:
    """The information in response headers.

    Args:
        headers: Names in lower case.
        wire: Wire format of the call.
        model: Model id as the user wrote it.
        key_source: As `key_source` reads it from the body.
        switched_from: Wire format that was tried before.
        attempts: HTTP requests sent.
        history: Digest of the conversation, if it can be continued from the reply.
        earlier_log_ids: Log ids of the requests of the call before this one.
    """
    get = headers.get
    step, dlp, log_id = get("cf-aig-step"), get("cf-aig-dlp"), get("cf-aig-log-id")
    return GatewayInfo(
        wire=wire,
        requested_model=model,
        log_id=log_id,
        event_id=get("cf-aig-event-id"),
        request_id=get("cf-aig-request-id") or get("cf-ai-req-id"),
        ray_id=get("cf-ray"),
        step=int(step) if step and step.isascii() and step.isdigit() and len(step) < 10 else None,
        cache_status=get("cf-aig-cache-status"),
        routed_model=get("cf-aig-routed-model") or get("cf-aig-model"),
        provider=get("cf-aig-provider"),
        routing_reason=get("cf-aig-routing-reason"),
        routing_decision_id=get("cf-aig-routing-decision-id"),
        dlp=_verdict(dlp) if dlp else None,
        key_source=key_source,
        switched_from=switched_from,
        attempts=attempts,
        history=history,
        log_ids=earlier_log_ids if log_id is None else (*earlier_log_ids, log_id),
    )


def key_source(body: Mapping[str, Any]) -> str | None:
    """Whose provider key was used, if a body says so in `gatewayMetadata` (facts §2.3)."""
    metadata = body.get("gatewayMetadata")
    source = cast("Mapping[str, object]", metadata).get("keySource") if isinstance(metadata, Mapping) else None
    return source if isinstance(source, str) and source else None


def _verdict(text: str) -> Any:
    try:
        return redacted(json.loads(text, parse_float=str, parse_constant=str))
    except (ValueError, RecursionError):
        return text
