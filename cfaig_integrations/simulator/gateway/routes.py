"""Dynamic routes: `dynamic/<name>` and the models that it tries in turn (facts §1.6)."""

from __future__ import annotations

import json
import re
import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cfaig_integrations.simulator.clock import Clock, Ids, timestamp
from cfaig_integrations.simulator.gateway.store import Store
from cfaig_integrations.simulator.http.bodies import ApiError
from cfaig_integrations.simulator.json_types import is_list, is_record

Element = dict[str, Any]

_SUPPORTED = ("start", "model", "end")
_MOST_ELEMENTS = 100


@dataclass(frozen=True, slots=True)
class Candidate:
    """A model of a route's chain."""

    model: str
    attempts: int | None = None
    """None for the request's or the gateway's setting."""
    timeout: int | None = None
    """Milliseconds until the first byte."""


def chain(elements: Sequence[Any]) -> list[Candidate]:
    """The models of a route, in the order in which they are tried.

    Raises:
        ValueError: The elements are no chain of models.
    """
    by_id = {str(element.get("id")): element for element in elements if is_record(element)}
    if len(by_id) != len(elements) or len(elements) > _MOST_ELEMENTS:
        raise ValueError(f"elements must be at most {_MOST_ELEMENTS} objects with different ids")
    starts = [element for element in by_id.values() if element.get("type") == "start"]
    if len(starts) != 1:
        raise ValueError("a route must have one element of the type start")
    candidates: list[Candidate] = []
    current = _next(starts[0], "next", by_id)
    for _ in range(len(by_id)):
        if current["type"] == "end":
            return candidates
        candidates.append(_candidate(current))
        current = _next(current, "fallback", by_id)
    raise ValueError("the elements form a circle")


def _next(element: Element, output: str, by_id: Mapping[str, Element]) -> Element:
    outputs = element.get("outputs")
    target = outputs.get(output) if is_record(outputs) else None
    following = by_id.get(str(target.get("elementId"))) if is_record(target) else None
    if following is None:
        raise ValueError(f"the output {output!r} of the element {element.get('id')!r} leads nowhere")
    if following.get("type") not in _SUPPORTED:
        kinds = ", ".join(_SUPPORTED)
        raise ValueError(f"the simulator evaluates elements of the types {kinds}, not {following.get('type')!r}")
    return following


def _candidate(element: Element) -> Candidate:
    properties = element.get("properties")
    fields: Mapping[str, Any] = properties if is_record(properties) else {}
    provider, model = fields.get("provider"), fields.get("model")
    if not isinstance(model, str) or not model or not isinstance(provider, str):
        raise ValueError(f"the element {element.get('id')!r} needs properties with provider and model")
    whole = model if model.startswith("@") or provider in ("", "workers-ai") else f"{provider}/{model}"
    if provider.startswith("@"):
        whole = f"{provider}/{model}"
    if whole.startswith("dynamic/"):
        raise ValueError(f"the element {element.get('id')!r} names the route {whole!r}: use a model")
    retries, timeout = fields.get("retries"), fields.get("timeout")
    return Candidate(
        whole,
        attempts=min(retries + 1, 5) if isinstance(retries, int) and retries > 0 else None,
        timeout=timeout if isinstance(timeout, int) and timeout > 0 else None,
    )


class Routes:
    """The dynamic routes of all gateways."""

    def __init__(self, store: Store, clock: Clock, ids: Ids) -> None:
        """Use this store."""
        self._store = store
        self._clock = clock
        self._ids = ids

    def find(self, account: str, gateway: str, name: str) -> list[Candidate] | None:
        """The chain of a route, None if it does not exist."""
        rows = self._rows(account, gateway, "name = ?", name)
        return chain(json.loads(rows[0]["elements"])) if rows else None

    def list(self, account: str, gateway: str) -> list[dict[str, Any]]:
        """The routes of a gateway, by name."""
        return [_to_route(row) for row in self._rows(account, gateway)]

    def create(self, account: str, gateway: str, name: Any, elements: Any) -> dict[str, Any]:
        """Create a route.

        Raises:
            ApiError: 400/7001 for an illegal name or elements that are no chain, 409/7001 if it exists.
        """
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
        """One route.

        Raises:
            ApiError: 404/7002 if it does not exist.
        """
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
