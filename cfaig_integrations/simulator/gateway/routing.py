"""Dynamic routes, and the model for `cloudflare/auto` and `dynamic/<route>` (facts §1.6, §3.3, §3.5)."""

from __future__ import annotations

import json
import re
import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from cfaig_integrations.simulator.catalogue import (
    AUTO,
    AUTO_POOL,
    DYNAMIC,
    THIRD_PARTY,
    WORKERS_AI,
    PriceTable,
    provider,
)
from cfaig_integrations.simulator.clock import Clock, Ids, timestamp
from cfaig_integrations.simulator.gateway.headers import Options
from cfaig_integrations.simulator.gateway.store import Store
from cfaig_integrations.simulator.http.bodies import ApiError
from cfaig_integrations.simulator.json_types import as_record, is_list, is_record

Element = dict[str, Any]

_SUPPORTED = ("start", "model", "end")
_MOST_ELEMENTS = 100


@dataclass(frozen=True, slots=True)
class Routed:
    """A model that may answer, and the response headers about it."""

    model: str
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    attempts: int | None = None  # None for the request's or the gateway's setting
    timeout: int | None = None  # milliseconds until the first byte


def chain(elements: Sequence[Any]) -> list[Routed]:
    """The models of a route, in the order in which they are tried."""
    by_id = {str(element.get("id")): element for element in elements if is_record(element)}
    if len(by_id) != len(elements) or len(elements) > _MOST_ELEMENTS:
        raise ValueError(f"elements must be at most {_MOST_ELEMENTS} objects with different ids")
    starts = [element for element in by_id.values() if element.get("type") == "start"]
    if len(starts) != 1:
        raise ValueError("a route must have one element of the type start")
    candidates: list[Routed] = []
    current = _next(starts[0], "next", by_id)
    for _ in range(len(by_id)):
        if current["type"] == "end":
            return candidates
        candidates.append(_candidate(current))
        current = _next(current, "fallback", by_id)
    raise ValueError("the elements form a circle")


def _next(element: Element, output: str, by_id: Mapping[str, Element]) -> Element:
    target = as_record(as_record(element.get("outputs")).get(output))
    following = by_id.get(str(target.get("elementId")))
    if following is None:
        raise ValueError(f"the output {output!r} of the element {element.get('id')!r} leads nowhere")
    if following.get("type") not in _SUPPORTED:
        kinds = ", ".join(_SUPPORTED)
        raise ValueError(f"the simulator evaluates elements of the types {kinds}, not {following.get('type')!r}")
    return following


def _candidate(element: Element) -> Routed:
    fields = as_record(element.get("properties"))
    provider, model = fields.get("provider"), fields.get("model")
    if not isinstance(model, str) or not model or not isinstance(provider, str):
        raise ValueError(f"the element {element.get('id')!r} needs properties with provider and model")
    whole = model if model.startswith("@") or provider in ("", "workers-ai") else f"{provider}/{model}"
    if whole.startswith("dynamic/"):
        raise ValueError(f"the element {element.get('id')!r} names the route {whole!r}: use a model")
    retries, timeout = fields.get("retries"), fields.get("timeout")
    return Routed(
        whole,
        attempts=min(retries + 1, 5) if isinstance(retries, int) and retries > 0 else None,
        timeout=timeout if isinstance(timeout, int) and timeout > 0 else None,
    )


class Routes:
    """The dynamic routes of all gateways."""

    def __init__(self, store: Store, clock: Clock, ids: Ids) -> None:
        self._store = store
        self._clock = clock
        self._ids = ids

    def find(self, account: str, gateway: str, name: str) -> list[Routed] | None:
        """The chain of a route, None if it does not exist."""
        rows = self._rows(account, gateway, "name = ?", name)
        return chain(json.loads(rows[0]["elements"])) if rows else None

    def list(self, account: str, gateway: str) -> list[dict[str, Any]]:
        """The routes of a gateway, by name."""
        return [_to_route(row) for row in self._rows(account, gateway)]

    def create(self, account: str, gateway: str, name: Any, elements: Any) -> dict[str, Any]:
        """Create a route."""
        if not isinstance(name, str) or not re.fullmatch(r"[A-Za-z0-9_-]{1,64}", name):
            raise ApiError(400, 7001, "Invalid value for name: at most 64 letters, digits, dashes and underscores")
        try:
            chain(elements if is_list(elements) else [])
        except ValueError as error:
            raise ApiError(400, 7001, f"Invalid value for elements: {error}") from None
        if self._rows(account, gateway, "name = ?", name):
            raise ApiError(409, 7001, f"Route {name} already exists")
        identity = self._ids.uuid4()
        self._store.write(
            "INSERT INTO routes VALUES (?, ?, ?, ?, ?, ?)",
            (account, gateway, name, identity, json.dumps(elements), self._clock.now()),
        )
        return self.existing(account, gateway, identity)

    def delete(self, account: str, gateway: str, identity: str) -> dict[str, Any]:
        """Delete a route and return it."""
        route = self.existing(account, gateway, identity)
        self._store.write("DELETE FROM routes WHERE id = ?", (route["id"],))
        return route

    def existing(self, account: str, gateway: str, identity: str) -> dict[str, Any]:
        """One route."""
        rows = self._rows(account, gateway, "id = ?", identity)
        if not rows:
            raise ApiError(404, 7002, "Route not found")
        return _to_route(rows[0])

    def _rows(self, account: str, gateway: str, condition: str = "1", *values: str) -> Sequence[sqlite3.Row]:
        query = f"SELECT * FROM routes WHERE account = ? AND gateway = ? AND {condition} ORDER BY name"
        return self._store.read(query, (account, gateway, *values))


def _to_route(row: sqlite3.Row) -> dict[str, Any]:
    created = timestamp(row["created_at"])
    return {
        "id": row["id"],
        "name": row["name"],
        "account_tag": row["account"],
        "gateway_id": row["gateway"],
        "created_at": created,
        "modified_at": created,
        "elements": json.loads(row["elements"]),
        "version": {
            "version_id": row["id"], "active": "true", "is_valid": True, "created_at": created, "data": row["elements"],
        },
        "deployment": {"deployment_id": row["id"], "version_id": row["id"], "created_at": created},
    }  # fmt: skip


DEFAULT_ROUTE_MODEL = "@cf/meta/llama-3.3-70b-instruct-fp8-fast"

_MOST_SESSIONS = 10_000
_CHAT_ONLY = re.compile(r"xai/.*")
_RESPONSES_ONLY = re.compile(r"openai/gpt-5\.6-.*")


def pool(options: Options) -> list[str]:
    """The models that the Auto Router chooses from."""
    models: Sequence[str] = AUTO_POOL
    available = list(dict.fromkeys((*THIRD_PARTY, *(m.name for m in WORKERS_AI if m.task == "Text Generation"))))
    if options.allowed_models:
        chosen: dict[str, None] = {}
        for entry in options.allowed_models:
            pattern = re.escape(entry).replace(r"\*", "[^/]*")
            matches = [model for model in available if re.fullmatch(pattern, model)]
            if not matches:
                raise ApiError(400, 7001, f"cf-aig-allowed-models: no model matches '{entry}'", shape="gateway")
            chosen.update(dict.fromkeys(matches))
        models = list(chosen)
    if options.allowed_providers:
        models = [model for model in models if provider(model) in options.allowed_providers]
    if not models:
        raise ApiError(400, 7001, "cf-aig-allowed-providers: no model is left to choose from", shape="gateway")
    return list(models)


class Router:
    """Finds the models that may answer: one, or those of a dynamic route in the order in which they are tried."""

    def __init__(
        self, ids: Ids, routes: Routes, prices: PriceTable, fixed: Mapping[str, str | Sequence[str]] | None = None
    ) -> None:
        """Create the router; `fixed` has more routes.

        None lets every other route exist and lead to the same Workers AI model.
        """
        self._ids = ids
        self._routes = routes
        self._prices = prices
        self._fixed = fixed
        self._sessions: dict[str, str] = {}

    def resolve(self, model: str, endpoint: str, options: Options, gateway: Mapping[str, Any] | None) -> list[Routed]:
        """The models that may answer for the model id of a request, at least one."""
        if model == AUTO:
            return [self._auto(endpoint, options)]
        if model.startswith(DYNAMIC):
            return [
                replace(c, headers={"cf-aig-model": c.model, "cf-aig-provider": provider(c.model)})
                for c in self._dynamic(model.removeprefix(DYNAMIC), gateway)
            ]
        return [Routed(model)]

    def _dynamic(self, route: str, gateway: Mapping[str, Any] | None) -> list[Routed]:
        candidates = None
        if gateway is not None:
            candidates = self._routes.find(str(gateway["account_id"]), str(gateway["id"]), route)
        if candidates is None:
            models = DEFAULT_ROUTE_MODEL if self._fixed is None else self._fixed.get(route, ())
            candidates = [Routed(model) for model in ([models] if isinstance(models, str) else models)]
        if not candidates:
            raise ApiError(500, 2028, f"Dynamic route {route} has no elements", shape="gateway")
        return candidates

    def _auto(self, endpoint: str, options: Options) -> Routed:
        unfit = _RESPONSES_ONLY if endpoint == "chat_completions" else _CHAT_ONLY
        allowed = pool(options)
        fits = [model for model in allowed if not unfit.fullmatch(model)] or allowed
        prices = {model: self._prices.price(model) for model in fits}
        model = min(fits, key=lambda name: prices[name].input + prices[name].output)
        reason = "forced_by_candidate_pool" if len(allowed) == 1 else "cost_optimal_within_pool"
        session = options.turn_id or options.session_id
        if session and not options.no_session_affinity:
            if len(self._sessions) >= _MOST_SESSIONS:
                self._sessions.clear()
            before = self._sessions.setdefault(session, model)
            if before in fits and before != model:
                model, reason = before, "pinned_by_turn"
        chosen = {
            "cf-aig-routed-model": model,
            "cf-aig-routing-reason": reason,
            "cf-aig-routing-decision-id": self._ids.uuid7(),
        }
        return Routed(model, chosen)

    def clear(self) -> None:
        """Remove all sessions."""
        self._sessions.clear()
