"""Authentication: tokens and accounts on both hosts (facts §2.1, §5.7)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from cfaig_integrations.simulator.http.bodies import ApiError


@dataclass(frozen=True, slots=True)
class Credentials:
    """Whose credentials pay for a request."""

    provider_key: str | None = None
    """A vendor's key, which only the legacy host accepts."""

    @property
    def key_source(self) -> Literal["BYOK", "Unified"]:
        """The value of `gatewayMetadata.keySource` (facts §2.3)."""
        return "BYOK" if self.provider_key else "Unified"


def _bearer(value: str | None) -> str | None:
    match = re.fullmatch(r"Bearer\s+(\S+)", value or "", re.IGNORECASE)
    return match[1] if match else None


def admit(headers: Mapping[str, str], token: str) -> Credentials:
    """Check the token of a request to the API host.

    Raises:
        ApiError: 400/9106 without a well-formed `Authorization`, 401/10000 with a wrong token.
    """
    sent = _bearer(headers.get("authorization"))
    if sent is None:
        raise ApiError(400, 9106, "Missing X-Auth-Key, X-Auth-Email or Authorization headers", shape="v4", at_edge=True)
    if sent != token:
        raise ApiError(401, 10000, "Authentication error", shape="v4", at_edge=True)
    return Credentials()


def admit_legacy(headers: Mapping[str, str], token: str, *, unlocked: bool = False) -> Credentials:
    """Check the token of a request to the legacy host.

    Args:
        headers: Of the request.
        token: The gateway's.
        unlocked: Whether the gateway's authentication is off, so that a provider's key is enough (facts §14.6).

    Raises:
        ApiError: 401/2009 without the gateway's token; the provider's own 401 when the token was sent in both headers
            (facts §2.1, O: FX:57522988492: `Authorization` is then forwarded).
    """
    gateway, plain = _bearer(headers.get("cf-aig-authorization")), _bearer(headers.get("authorization"))
    key = headers.get("x-api-key") or plain
    if gateway is None and plain == token:
        return Credentials()
    if unlocked and gateway is None and key is not None:
        return Credentials(provider_key=key)
    if gateway != token:
        raise ApiError(401, 2009, "Unauthorized", shape="gateway", at_edge=True)
    if key == token:
        raise ApiError(401, "invalid_api_key", "Incorrect API key provided.", shape="openai")
    return Credentials(provider_key=key)


def admit_gateway(headers: Mapping[str, str], token: str) -> None:
    """Check the gateway's token of a request to the universal endpoint, in either header.

    Raises:
        ApiError: 401/2009 without it.
    """
    if token not in (_bearer(headers.get("cf-aig-authorization")), _bearer(headers.get("authorization"))):
        raise ApiError(401, 2009, "Unauthorized", shape="gateway", at_edge=True)


def admit_workers_ai(headers: Mapping[str, str], token: str) -> Credentials:
    """Check the token of a request to `workers-ai/...`, which is always in `Authorization` (facts §2.1).

    Raises:
        ApiError: 401/10000 without it, 401/2009 with a wrong one in `cf-aig-authorization`.
    """
    if _bearer(headers.get("authorization")) != token:
        raise ApiError(401, 10000, "Authentication error", shape="v4", at_edge=True)
    if _bearer(headers.get("cf-aig-authorization")) not in (None, token):
        raise ApiError(401, 2009, "Unauthorized", shape="gateway", at_edge=True)
    return Credentials()


def check_account(account: str, expected: str, path: str) -> None:
    """Check the account in a path.

    Raises:
        ApiError: 404/7003, worded as in recorded/cloudflare.jsonl fca8415089ca.
    """
    if account != expected:
        message = f"Could not route to {path}, perhaps your object identifier is invalid?"
        raise ApiError(404, 7003, message, shape="v4", at_edge=True)
