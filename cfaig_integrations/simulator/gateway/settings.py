"""The account's gateways and their settings (facts §2.2 and §8.6)."""

from __future__ import annotations

import json
import re
import sqlite3
from collections.abc import Callable
from typing import Any

from cfaig_integrations.simulator.clock import Clock, timestamp
from cfaig_integrations.simulator.gateway import guardrails, spending
from cfaig_integrations.simulator.gateway.store import Store
from cfaig_integrations.simulator.http.bodies import ApiError

Settings = dict[str, Any]

REQUIRED = (
    "cache_invalidate_on_update", "cache_ttl", "collect_logs", "rate_limiting_interval", "rate_limiting_limit",
)  # fmt: skip

DEFAULTS: Settings = {
    "authentication": True,
    "byok_only": False,
    "cache_invalidate_on_update": False,
    "cache_ttl": 0,
    "collect_logs": True,
    "dlp": None,
    "guardrails": None,
    "log_management": 100_000,
    "log_management_strategy": "DELETE_OLDEST",
    "logpush": False,
    "logpush_public_key": None,
    "otel": None,
    "rate_limiting_interval": 0,
    "rate_limiting_limit": 0,
    "rate_limiting_technique": "fixed",
    "retry_backoff": None,
    "retry_delay": None,
    "retry_max_attempts": None,
    "spend_limits": None,
    "workers_ai_billing_mode": "postpaid",
    "zdr": False,
}
"""What the `default` gateway is created with (facts §2.2)."""


def _is_flag(value: Any) -> bool:
    return isinstance(value, bool)


def _is_within(low: float, high: float) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, int) and not isinstance(value, bool) and low <= value <= high


def _is_one_of(*allowed: str) -> Callable[[Any], bool]:
    return lambda value: value in allowed


_MONTH = 2_592_000
_NULLABLE = frozenset(
    {"retry_backoff", "retry_delay", "retry_max_attempts", "rate_limiting_technique", "log_management"}
)
_LEGAL: dict[str, Callable[[Any], bool]] = {
    "authentication": _is_flag,
    "byok_only": _is_flag,
    "cache_invalidate_on_update": _is_flag,
    "cache_ttl": _is_within(0, _MONTH),
    "collect_logs": _is_flag,
    "guardrails": guardrails.is_legal,
    "spend_limits": spending.is_legal,
    "log_management": _is_within(1, 10_000_000),
    "log_management_strategy": _is_one_of("STOP_INSERTING", "DELETE_OLDEST"),
    "rate_limiting_interval": _is_within(0, 10**9),
    "rate_limiting_limit": _is_within(0, 10**9),
    "rate_limiting_technique": _is_one_of("fixed", "sliding"),
    "retry_backoff": _is_one_of("constant", "linear", "exponential"),
    "retry_delay": _is_within(0, 60_000),
    "retry_max_attempts": _is_within(1, 5),
    "workers_ai_billing_mode": _is_one_of("postpaid", "unified"),
    "zdr": _is_flag,
}


def checked(settings: Settings) -> Settings:
    """Check that all settings are legal.

    Raises:
        ApiError: 400/7001 with the name of the first illegal one.
    """
    for name, value in settings.items():
        legal = _LEGAL.get(name)
        if legal is None or (value is None and name in _NULLABLE):
            continue
        if not legal(value):
            raise ApiError(400, 7001, f"Invalid value for {name}")
    return settings


def _to_settings(row: sqlite3.Row) -> Settings:
    times = {"created_at": timestamp(row["created_at"]), "modified_at": timestamp(row["modified_at"])}
    return {"id": row["id"], "account_id": row["account"], **DEFAULTS, **json.loads(row["settings"]), **times}


class Gateways:
    """The gateways of all accounts."""

    def __init__(self, store: Store, clock: Clock) -> None:
        """Use this store."""
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
        """One gateway.

        Raises:
            ApiError: 404/7002 if it does not exist.
        """
        settings = self.find(account, gateway)
        if settings is None:
            raise ApiError(404, 7002, "Gateway not found")
        return settings

    def enter(self, account: str, gateway: str) -> Settings:
        """The gateway of a model call; `default` is created on first use (facts §2.2).

        Raises:
            ApiError: 400/2001 if it does not exist.
        """
        settings = self.find(account, gateway)
        if settings is not None:
            return settings
        if gateway == "default":
            return self.create(account, gateway, {})
        raise ApiError(400, 2001, "Please configure AI Gateway in the Cloudflare dashboard", shape="gateway")
