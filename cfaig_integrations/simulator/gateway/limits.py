"""What a gateway refuses: by its rate limit (facts §8.2), its spend limits (§5.7: code 2045) and its guardrails (§8.4).

Guardrails have Cloudflare's form: `{"prompt": {"S1": "BLOCK", "P1": "FLAG"}, "response": {...}}`. A text belongs to a
category when it contains one of its words, where Cloudflare asks a model (§5.7 codes 2016 and 2017), or the marker
`unsafe:S1`, with which a test chooses a category.
"""

from __future__ import annotations

import re
from collections import defaultdict, deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from cfaig_integrations.simulator.clock import Clock
from cfaig_integrations.simulator.gateway.log_store import LogFilter, LogStore
from cfaig_integrations.simulator.http.bodies import ApiError
from cfaig_integrations.simulator.json_types import as_record, is_list, is_record, scalar_text


class RateLimits:
    """The times of the requests to each gateway."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._times: defaultdict[str, deque[float]] = defaultdict(deque)

    def enter(self, gateway: Mapping[str, Any]) -> None:
        """Count one request."""
        limit, interval = int(gateway["rate_limiting_limit"] or 0), int(gateway["rate_limiting_interval"] or 0)
        if not limit or not interval:
            return
        now = self._clock.now()
        fixed = gateway["rate_limiting_technique"] != "sliding"
        opened = now - now % interval if fixed else now - interval
        times = self._times[f"{gateway['account_id']}/{gateway['id']}"]
        while times and (times[0] < opened if fixed else times[0] <= opened):
            times.popleft()
        if len(times) >= limit:
            raise ApiError(429, 2003, "Rate limited", shape="gateway")
        times.append(now)

    def clear(self) -> None:
        """Remove all requests."""
        self._times.clear()


@dataclass(frozen=True, slots=True)
class Spender:
    """What a call is counted by."""

    model: str
    provider: str
    metadata: Mapping[str, str]  # values as text


@dataclass(frozen=True, slots=True)
class _Payment:
    at: float
    cost: float
    spender: Spender


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class _Partition(_Strict):
    mode: Literal["partition"]
    values: Any = None


class _Filter(_Strict):
    mode: Literal["filter"]
    values: list[Any]


_Selector = _Partition | _Filter


class _Rule(_Strict):
    id: Any = None
    enabled: Any = True
    limitType: Literal["cost"] = "cost"
    limit: float = Field(ge=0)
    window: int = Field(ge=1, le=366 * 86_400)
    technique: Literal["fixed", "sliding"] = "fixed"
    model: _Selector = _Partition(mode="partition")
    provider: _Selector = _Partition(mode="partition")
    metadata: dict[str, _Selector] = {}


class SpendLimits(BaseModel):
    """The `spend_limits` setting."""

    rules: list[_Rule] = Field([], max_length=20)


class Spending:
    """The costs of the last calls of each gateway, read from the log at first use."""

    def __init__(self, logs: LogStore, clock: Clock) -> None:
        self._logs = logs
        self._clock = clock
        self._payments: dict[str, deque[_Payment]] = {}

    def check(self, gateway: Mapping[str, Any], spender: Spender) -> None:
        """Check all rules before a call."""
        rules = _active(gateway)
        if not rules:
            return
        now = self._clock.now()
        payments = self._payments_of(gateway, rules, now)
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
        self._payments_of(gateway, rules, now).append(_Payment(now, cost, spender))

    def clear(self) -> None:
        """Remove everything."""
        self._payments.clear()

    def _payments_of(self, gateway: Mapping[str, Any], rules: list[dict[str, Any]], now: float) -> deque[_Payment]:
        account, name = str(gateway["account_id"]), str(gateway["id"])
        longest = max(rule["window"] for rule in rules)
        key, oldest = f"{account}/{name}/{longest}", now - longest
        if key not in self._payments:
            which = LogFilter(account=account, gateway=name, since=oldest)
            self._payments[key] = deque(
                _Payment(at, cost, Spender(model, provider, metadata_text(metadata)))
                for at, cost, model, provider, metadata in self._logs.costs(which)
            )
        payments = self._payments[key]
        while payments and payments[0].at < oldest:
            payments.popleft()
        return payments


def metadata_text(metadata: Mapping[str, Any] | None) -> dict[str, str]:
    """Metadata with its values as text, as the log's filters compare them."""
    return {key: scalar_text(value) for key, value in (metadata or {}).items()}


def _active(gateway: Mapping[str, Any]) -> list[dict[str, Any]]:
    limits = gateway["spend_limits"]
    if not limits or not limits.get("enabled", True):
        return []
    return [rule for rule in limits.get("rules", []) if rule.get("enabled", True)]


def _values(rule: dict[str, Any], spender: Spender) -> list[tuple[dict[str, Any], str | None]]:
    """The selectors of a rule, each with the value that the call has for it."""
    selectors = [(rule[name], getattr(spender, name)) for name in ("model", "provider") if name in rule]
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


Side = Literal["prompt", "response"]
Category = Literal["S1", "S2", "S3", "S4", "S5", "S6", "S7", "S8", "S9", "S10", "S11", "S12", "S13", "P1"]
Guardrails = dict[Side, dict[Category, Literal["FLAG", "BLOCK"] | None]]  # the setting

_WORDS: dict[Category, str] = {
    "S1": r"murder|assassinate|kill (?:him|her|them|someone|people)",
    "S2": r"launder money|credit card fraud|phishing kit|write (?:a )?ransomware",
    "S3": r"sex trafficking|sexual assault",
    "S4": r"child (?:abuse|pornography) material",
    "S5": r"spread a false rumou?r",
    "S6": r"prescribe me|without seeing a doctor",
    "S7": r"home address of|social security number",
    "S8": r"full text of the (?:book|novel)|crack the license",
    "S9": r"nerve agent|dirty bomb|build a bomb",
    "S10": r"racial slur|ethnic cleansing",
    "S11": r"kill myself|suicide method|self-harm",
    "S12": r"explicit sexual|pornographic story",
    "S13": r"wrong (?:date|day) of the election|vote twice",
    "P1": r"ignore (?:all )?(?:previous|prior|your) instructions|reveal your system prompt",
}
_PATTERNS: dict[str, re.Pattern[str]] = {
    name: re.compile(rf"\b(?:{text})\b|\bunsafe:{name}\b", re.IGNORECASE) for name, text in _WORDS.items()
}
_READ_LENGTH = 200_000


def flagged(gateway: Mapping[str, Any], side: Side, text: str) -> tuple[list[str], list[str]]:
    """The categories of a text for which a gateway has an action: those to block, and those to flag."""
    choices: dict[str, str | None] = as_record(as_record(gateway["guardrails"]).get(side))
    read = text[-_READ_LENGTH:]
    hits = [name for name, action in choices.items() if action and _PATTERNS[name].search(read)]
    return [n for n in hits if choices[n] == "BLOCK"], [n for n in hits if choices[n] == "FLAG"]


def has_rules(gateway: Mapping[str, Any], side: Side) -> bool:
    """Whether a gateway evaluates one side at all."""
    return bool(as_record(gateway["guardrails"]).get(side))


def blocked(side: Side, endpoint: str) -> ApiError:
    """The error of a blocked prompt or response; `/ai/run` has its own status and code."""
    status, code = (422, 2017) if endpoint == "run" else (424, 2016 if side == "prompt" else 2017)
    return ApiError(status, code, f"{side.capitalize()} blocked due to security configurations", shape="gateway")


def texts_of(value: Any) -> Iterator[str]:
    """All strings of a parsed body, at any depth."""
    waiting = [value]
    while waiting:
        item = waiting.pop()
        if isinstance(item, str):
            yield item
        elif is_list(item):
            waiting.extend(reversed(item))
        elif is_record(item):
            waiting.extend(reversed(list(item.values())))
