"""Chooses the model for `cloudflare/auto` and `dynamic/<route>` (facts §1.6, §3.3, §3.5)."""

from __future__ import annotations

import re
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from cfaig_integrations.simulator.catalogue import AUTO, AUTO_POOL, DYNAMIC, THIRD_PARTY, WORKERS_AI, provider
from cfaig_integrations.simulator.clock import Ids
from cfaig_integrations.simulator.gateway.headers import Options
from cfaig_integrations.simulator.gateway.routes import Candidate, Routes
from cfaig_integrations.simulator.http.bodies import ApiError
from cfaig_integrations.simulator.prices import PriceTable

DEFAULT_ROUTE_MODEL = "@cf/meta/llama-3.3-70b-instruct-fp8-fast"

_MOST_SESSIONS = 10_000
_CHAT_ONLY = re.compile(r"xai/.*")
_RESPONSES_ONLY = re.compile(r"openai/gpt-5\.6-.*")


@dataclass(frozen=True, slots=True)
class Routed:
    """The model that answers, and the response headers about it."""

    model: str
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    attempts: int | None = None
    timeout: int | None = None


def _wildcard(pattern: str) -> re.Pattern[str]:
    return re.compile("".join("[^/]*" if char == "*" else re.escape(char) for char in pattern))


def pool(options: Options) -> list[str]:
    """The models that the Auto Router chooses from.

    Raises:
        ApiError: 400 if an entry matches no model, or no model is left.
    """
    models: Sequence[str] = AUTO_POOL
    available = list(dict.fromkeys((*THIRD_PARTY, *(m.name for m in WORKERS_AI if m.task == "Text Generation"))))
    if options.allowed_models:
        chosen: dict[str, None] = {}
        for entry in options.allowed_models:
            matches = [model for model in available if _wildcard(entry).fullmatch(model)]
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
        """Create the router.

        Args:
            ids: Makes the ids of decisions.
            routes: The routes that were created over the API.
            prices: The Auto Router chooses by them.
            fixed: More routes: name to model, or to models that are tried in turn. None lets every other route exist
                and lead to the same Workers AI model.
        """
        self._ids = ids
        self._routes = routes
        self._prices = prices
        self._fixed = fixed
        self._sessions: dict[str, str] = {}
        self._lock = threading.Lock()

    def resolve(self, model: str, endpoint: str, options: Options, gateway: Mapping[str, Any] | None) -> list[Routed]:
        """The models that may answer for the model id of a request, at least one.

        Raises:
            ApiError: 500/2028 for a dynamic route that does not exist or has no model.
        """
        if model == AUTO:
            return [self._auto(endpoint, options)]
        if model.startswith(DYNAMIC):
            return [
                Routed(c.model, {"cf-aig-model": c.model, "cf-aig-provider": provider(c.model)}, c.attempts, c.timeout)
                for c in self._dynamic(model.removeprefix(DYNAMIC), gateway)
            ]
        return [Routed(model)]

    def _dynamic(self, route: str, gateway: Mapping[str, Any] | None) -> list[Candidate]:
        candidates = None
        if gateway is not None:
            candidates = self._routes.find(str(gateway["account_id"]), str(gateway["id"]), route)
        if candidates is None:
            models = DEFAULT_ROUTE_MODEL if self._fixed is None else self._fixed.get(route, ())
            candidates = [Candidate(model) for model in ([models] if isinstance(models, str) else models)]
        if not candidates:
            raise ApiError(500, 2028, f"Dynamic route {route} has no elements", shape="gateway")
        return candidates

    def _auto(self, endpoint: str, options: Options) -> Routed:
        unfit = _RESPONSES_ONLY if endpoint == "chat_completions" else _CHAT_ONLY
        allowed = pool(options)
        fits = [model for model in allowed if not unfit.fullmatch(model)] or allowed
        model = min(fits, key=self._price)
        reason = "forced_by_candidate_pool" if len(allowed) == 1 else "cost_optimal_within_pool"
        session = options.turn_id or options.session_id
        if session and not options.no_session_affinity:
            with self._lock:
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

    def _price(self, model: str) -> float:
        price = self._prices.price(model)
        return price.input + price.output

    def clear(self) -> None:
        """Remove all sessions."""
        with self._lock:
            self._sessions.clear()
