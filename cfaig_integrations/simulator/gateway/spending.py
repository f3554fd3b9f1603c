"""The gateway's spend limits: rules over the cost of logged calls (facts §5.7: code 2045)."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from cfaig_integrations.simulator.clock import Clock
from cfaig_integrations.simulator.gateway.log_store import LogFilter, LogStore
from cfaig_integrations.simulator.http.bodies import ApiError
from cfaig_integrations.simulator.json_types import is_list, is_record

MAX_RULES = 20
_DIMENSIONS = ("model", "provider")
_RULE_KEYS = frozenset({"id", "enabled", "limitType", "limit", "window", "technique", "metadata", *_DIMENSIONS})
_LONGEST_WINDOW = 366 * 86_400


@dataclass(frozen=True, slots=True)
class Spender:
    """What a call is counted by."""

    model: str
    provider: str
    metadata: Mapping[str, str] = field(default_factory=dict[str, str])
    """Values as text."""


@dataclass(frozen=True, slots=True)
class _Payment:
    at: float
    cost: float
    spender: Spender


def is_legal(value: Any) -> bool:
    """Whether a value is a legal `spend_limits` setting."""
    if value is None:
        return True
    rules = value.get("rules", []) if is_record(value) else None
    return is_list(rules) and len(rules) <= MAX_RULES and all(map(_is_rule, rules))


def _is_rule(rule: Any) -> bool:
    if not is_record(rule) or not rule.keys() <= _RULE_KEYS or rule.get("limitType", "cost") != "cost":
        return False
    limit, window = rule.get("limit"), rule.get("window")
    if not isinstance(limit, int | float) or limit < 0 or type(window) is not int or not 1 <= window <= _LONGEST_WINDOW:
        return False
    metadata = rule.get("metadata", {})
    selectors = [rule[name] for name in _DIMENSIONS if name in rule]
    if rule.get("technique", "fixed") not in {"fixed", "sliding"} or not is_record(metadata):
        return False
    return all(map(_is_selector, [*selectors, *metadata.values()]))


def _is_selector(selector: Any) -> bool:
    if not is_record(selector):
        return False
    return selector.get("mode") == "partition" or (selector.get("mode") == "filter" and is_list(selector.get("values")))


class Spending:
    """The costs of the last calls of each gateway, read from the log at first use."""

    def __init__(self, logs: LogStore, clock: Clock) -> None:
        """Read earlier costs from this log."""
        self._logs = logs
        self._clock = clock
        self._payments: dict[str, deque[_Payment]] = {}
        self._lock = threading.Lock()

    def check(self, gateway: Mapping[str, Any], spender: Spender) -> None:
        """Check all rules before a call.

        Raises:
            ApiError: 429/2045 without Retry-After when a limit is reached.
        """
        rules = _active(gateway)
        if not rules:
            return
        now = self._clock.now()
        with self._lock:
            payments = list(self._payments_of(gateway, rules, now))
        for number, rule in enumerate(rules):
            if not _applies(rule, spender):
                continue
            fixed = rule.get("technique", "fixed") == "fixed"
            window = rule["window"]
            since = now - now % window if fixed else now - window
            spent = sum(p.cost for p in payments if p.at >= since and _counts(rule, spender, p.spender))
            if spent >= rule["limit"]:
                raise ApiError(429, 2045, _message(rule, number, spender, fixed=fixed), shape="gateway")

    def add(self, gateway: Mapping[str, Any], spender: Spender, cost: float) -> None:
        """Count the cost of a finished call."""
        rules = _active(gateway)
        if not rules or not cost:
            return
        now = self._clock.now()
        with self._lock:
            self._payments_of(gateway, rules, now).append(_Payment(now, cost, spender))

    def clear(self) -> None:
        """Remove everything."""
        with self._lock:
            self._payments.clear()

    def _payments_of(self, gateway: Mapping[str, Any], rules: list[dict[str, Any]], now: float) -> deque[_Payment]:
        account, name = str(gateway["account_id"]), str(gateway["id"])
        key = f"{account}/{name}/{max(rule['window'] for rule in rules)}"
        oldest = now - max(rule["window"] for rule in rules)
        if key not in self._payments:
            self._payments[key] = deque(self._logged(account, name, oldest))
        payments = self._payments[key]
        while payments and payments[0].at < oldest:
            payments.popleft()
        return payments

    def _logged(self, account: str, gateway: str, oldest: float) -> list[_Payment]:
        which = LogFilter(account=account, gateway=gateway, since=oldest)
        return [
            _Payment(at, cost, Spender(model, provider, metadata_text(metadata)))
            for at, cost, model, provider, metadata in self._logs.costs(which)
        ]


def metadata_text(metadata: Mapping[str, Any] | None) -> dict[str, str]:
    """Metadata with its values as text, as the log's filters compare them."""
    entries = (metadata or {}).items()
    return {key: str(value).lower() if isinstance(value, bool) else str(value) for key, value in entries}


def _active(gateway: Mapping[str, Any]) -> list[dict[str, Any]]:
    limits = gateway["spend_limits"]
    if not limits or not limits.get("enabled", True):
        return []
    return [rule for rule in limits.get("rules", []) if rule.get("enabled", True)]


def _values(rule: dict[str, Any], spender: Spender) -> list[tuple[dict[str, Any], str | None]]:
    """The selectors of a rule, each with the value that the call has for it."""
    selectors = [(rule[name], getattr(spender, name)) for name in _DIMENSIONS if name in rule]
    return [*selectors, *((entry, spender.metadata.get(key)) for key, entry in rule.get("metadata", {}).items())]


def _applies(rule: dict[str, Any], spender: Spender) -> bool:
    """Whether a rule concerns a call: its filters match, and the call has every partition's key."""
    return all(
        value is not None and (selector["mode"] == "partition" or value in map(str, selector["values"]))
        for selector, value in _values(rule, spender)
    )


def _counts(rule: dict[str, Any], spender: Spender, paid: Spender) -> bool:
    """Whether an earlier cost counts against the limit that a call is checked with."""
    if not _applies(rule, paid):
        return False
    pairs = zip(_values(rule, spender), _values(rule, paid), strict=True)
    return all(mine == theirs for (selector, mine), (_, theirs) in pairs if selector["mode"] == "partition")


def _message(rule: dict[str, Any], number: int, spender: Spender, *, fixed: bool) -> str:
    limit = f"cost limit {rule['limit']:g} per {rule['window']}s, {'fixed' if fixed else 'sliding'}"
    return (
        f"Spend limit exceeded: rule '{rule.get('id', number)}' ({limit}) for {spender.provider} "
        f"{spender.model.removeprefix(f'{spender.provider}/')}"
    )
