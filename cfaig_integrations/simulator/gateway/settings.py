"""The account's gateways and their settings (facts §2.2 and §8.6)."""

from __future__ import annotations

import json
import re
import sqlite3
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from cfaig_integrations.simulator.clock import Clock, timestamp
from cfaig_integrations.simulator.gateway.limits import Guardrails, SpendLimits
from cfaig_integrations.simulator.gateway.store import Store
from cfaig_integrations.simulator.http.bodies import ApiError

Settings = dict[str, Any]

REQUIRED = ("cache_invalidate_on_update", "cache_ttl", "collect_logs", "rate_limiting_interval", "rate_limiting_limit")


class _Legal(BaseModel):
    """All settings, with the values that the `default` gateway is created with (facts §2.2)."""

    model_config = ConfigDict(strict=True)

    authentication: bool = True
    byok_only: bool = False
    cache_invalidate_on_update: bool = False
    cache_ttl: int = Field(default=0, ge=0, le=2_592_000)
    collect_logs: bool = True
    dlp: Any = None
    guardrails: Guardrails | None = None
    spend_limits: SpendLimits | None = None
    log_management: int | None = Field(default=100_000, ge=1, le=10_000_000)
    log_management_strategy: Literal["STOP_INSERTING", "DELETE_OLDEST"] = "DELETE_OLDEST"
    logpush: Any = False
    logpush_public_key: Any = None
    otel: Any = None
    rate_limiting_interval: int = Field(default=0, ge=0, le=10**9)
    rate_limiting_limit: int = Field(default=0, ge=0, le=10**9)
    rate_limiting_technique: Literal["fixed", "sliding"] | None = "fixed"
    retry_backoff: Literal["constant", "linear", "exponential"] | None = None
    retry_delay: int | None = Field(default=None, ge=0, le=60_000)
    retry_max_attempts: int | None = Field(default=None, ge=1, le=5)
    workers_ai_billing_mode: Literal["postpaid", "unified"] = "postpaid"
    zdr: bool = False


DEFAULTS: Settings = _Legal().model_dump()


def checked(settings: Settings) -> Settings:
    """The settings, if all are legal; else 400/7001 with the name of the first illegal one."""
    try:
        _Legal.model_validate(settings)
    except ValidationError as error:
        raise ApiError(400, 7001, f"Invalid value for {error.errors()[0]['loc'][0]}") from None
    return settings


def _to_settings(row: sqlite3.Row) -> Settings:
    times = {"created_at": timestamp(row["created_at"]), "modified_at": timestamp(row["modified_at"])}
    return {"id": row["id"], "account_id": row["account"], **DEFAULTS, **json.loads(row["settings"]), **times}


class Gateways:
    """The gateways of all accounts."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    def find(self, account: str, gateway: str) -> Settings | None:
        """One gateway with all its settings."""
        rows = self._store.read("SELECT * FROM gateways WHERE account = ? AND id = ?", (account, gateway))
        return _to_settings(rows[0]) if rows else None

    def list(self, account: str) -> list[Settings]:
        """All gateways of an account, oldest first."""
        rows = self._store.read("SELECT * FROM gateways WHERE account = ? ORDER BY created_at, id", (account,))
        return [_to_settings(row) for row in rows]

    def create(self, account: str, gateway: str, settings: Settings) -> Settings:
        """Create a gateway."""
        if not re.fullmatch(r"[A-Za-z0-9_-]{1,64}", gateway):
            raise ApiError(400, 7001, "Invalid value for id: at most 64 letters, digits, dashes and underscores")
        if self.find(account, gateway) is not None:
            raise ApiError(409, 7001, f"Gateway {gateway} already exists")
        now = self._clock.now()
        self._store.write(
            "INSERT INTO gateways VALUES (?, ?, ?, ?, ?)", (account, gateway, json.dumps(checked(settings)), now, now)
        )
        return self.existing(account, gateway)

    def replace(self, account: str, gateway: str, settings: Settings) -> Settings:
        """Replace all settings."""
        self.existing(account, gateway)
        self._store.write(
            "UPDATE gateways SET settings = ?, modified_at = ? WHERE account = ? AND id = ?",
            (json.dumps(checked(settings)), self._clock.now(), account, gateway),
        )
        return self.existing(account, gateway)

    def delete(self, account: str, gateway: str) -> Settings:
        """Delete a gateway and its logs; return its settings."""
        old = self.existing(account, gateway)
        self._store.write("DELETE FROM gateways WHERE account = ? AND id = ?", (account, gateway))
        self._store.write("DELETE FROM routes WHERE account = ? AND gateway = ?", (account, gateway))
        self._store.write("DELETE FROM log_entries WHERE account = ? AND gateway = ?", (account, gateway))
        return old

    def existing(self, account: str, gateway: str) -> Settings:
        """One gateway."""
        settings = self.find(account, gateway)
        if settings is None:
            raise ApiError(404, 7002, "Gateway not found")
        return settings

    def enter(self, account: str, gateway: str) -> Settings:
        """The gateway of a model call; `default` is created on first use (facts §2.2)."""
        settings = self.find(account, gateway)
        if settings is not None:
            return settings
        if gateway == "default":
            return self.create(account, gateway, {})
        raise ApiError(400, 2001, "Please configure AI Gateway in the Cloudflare dashboard", shape="gateway")
