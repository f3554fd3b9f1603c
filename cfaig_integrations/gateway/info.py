"""What the gateway says about a call in its response headers.

Every header may be absent (facts §3.5, §3.7).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from cfaig_integrations.core.content import Wire
from cfaig_integrations.gateway.failures.redaction import redacted

__all__ = ["Format", "GatewayInfo", "read_info"]

Format: TypeAlias = Wire | Literal["embeddings"]
"""What a call may be written in: a chat's wire, or OpenAI's form of embeddings."""


@dataclass(frozen=True, slots=True)
class GatewayInfo:
    """How the gateway handled a call. Ids are opaque; None is what it did not say.

    Attributes:
        wire: Wire format that carried the call; `embeddings` is OpenAI's form of them.
        requested_model: Model id as the user wrote it.
        log_id: For the logs API, which knows the cost, and for feedback.
        event_id: Ties several calls together.
        request_id: The gateway's request id.
        ray_id: `cf-ray`, for Cloudflare's support.
        step: Which entry of a fallback chain answered, from 0.
        cache_status: `HIT`, `MISS` or another word of the gateway. On a HIT the tokens in `usage` cost nothing.
        routed_model: Model that answered a dynamic route or the Auto Router.
        provider: Provider that answered.
        routing_reason: Why the Auto Router chose the model.
        routing_decision_id: Its decision.
        dlp: Verdict of data-loss prevention, parsed; its text if it is not JSON.
        key_source: Whose provider key was used: `Unified` or `BYOK`.
        switched_from: Wire that `api="auto"` tried before, if the model refused the body's shape.
        attempts: HTTP requests sent for this call.
        history: Digest of the conversation that the provider keeps under the reply's id, if it was asked to remember.
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

    def as_dict(self) -> dict[str, Any]:
        """What is known, as JSON without floats; what is None is left out."""
        return {name: value for name in _FIELDS if (value := getattr(self, name)) is not None}


_FIELDS: tuple[str, ...] = tuple(GatewayInfo.__dataclass_fields__)


def read_info(
    headers: Mapping[str, str],
    *,
    wire: Format,
    model: str,
    key_source: str | None = None,
    switched_from: Wire | None = None,
    attempts: int = 1,
    history: str | None = None,
) -> GatewayInfo:
    """What response headers say, whichever of them are there.

    Args:
        headers: Names in lower case.
        wire: Wire format that carried the call.
        model: Model id as the user wrote it.
        key_source: From the body's `gatewayMetadata`, if it has one (facts §2.3).
        switched_from: Wire that was tried before.
        attempts: HTTP requests sent.
        history: Digest of the conversation, if it can be continued from the reply.
    """
    get = headers.get
    step, dlp = get("cf-aig-step"), get("cf-aig-dlp")
    return GatewayInfo(
        wire=wire,
        requested_model=model,
        log_id=get("cf-aig-log-id"),
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
    )


def _verdict(text: str) -> Any:
    try:
        return redacted(json.loads(text, parse_float=str, parse_constant=str))
    except (ValueError, RecursionError):
        return text
