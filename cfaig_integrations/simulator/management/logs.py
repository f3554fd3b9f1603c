"""The logs API of a gateway: list, read, rate, delete (wire-facts §8.5).

Knows not how an entry comes to be.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, cast

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from cfaig_integrations.simulator.gateway.metadata import Scalar
from cfaig_integrations.simulator.gateway.store import Store
from cfaig_integrations.simulator.http.bodies import ApiError, success
from cfaig_integrations.simulator.json_types import is_list
from cfaig_integrations.simulator.management.common import guarded, json_body, whole_number
from cfaig_integrations.simulator.state import State

Condition = tuple[str, list[Any]]

_ORDERS = ("created_at", "provider", "model", "model_type", "success", "cached")
_FLAGS = frozenset({"success", "cached", "authentication", "wholesale", "compatibilityMode"})
_VALUE = "CASE type WHEN 'true' THEN 'true' WHEN 'false' THEN 'false' ELSE CAST(value AS TEXT) END"
_KEYS = {
    **{
        name: name
        for name in (
            "id",
            "created_at",
            "request_content_type",
            "response_content_type",
            "request_type",
            "success",
            "cached",
            "provider",
            "model",
            "model_type",
            "cost",
            "tokens_in",
            "tokens_out",
            "duration",
            "feedback",
            "event_id",
            "authentication",
            "wholesale",
            "dlp_action",
            "user_agent",
        )
    },
    "tokens": "tokens_in + tokens_out",
    "compatibilityMode": "compatibility_mode",
    "metadata.key": "key",
    "metadata.value": _VALUE,
}
"""Filter keys and what they stand for; the two of metadata are looked up in its entries, each on its own, so that
a key and a value need not belong together (wire-facts §4, O: SPIKE)."""

_TESTS: dict[str, Callable[[str, int], str]] = {
    "eq": lambda column, count: f"{column} IN ({', '.join('?' * count)})",
    "neq": lambda column, count: f"{column} NOT IN ({', '.join('?' * count)})",
    "contains": lambda column, count: " OR ".join([f"instr(lower({column}), lower(?))"] * count),
    "lt": lambda column, count: " OR ".join([f"{column} < ?"] * count),
    "gt": lambda column, count: " OR ".join([f"{column} > ?"] * count),
}
_HIDDEN = frozenset({"request", "response", "usage_metadata", "compatibility_mode"})
_LOWEST_SCORE, _HIGHEST_SCORE = 0, 100
_HEAD = 1024
_PER_PAGE, _MOST_PER_PAGE = 20, 50


def read_filters(text: str) -> list[Condition]:
    """Read the `filters` of a query, a JSON array of `{"key", "operator", "value": [...]}`.

    Raises:
        ApiError: 400/7001.
    """
    try:
        found: Any = json.loads(text)
    except ValueError:
        raise ApiError(400, 7001, "Invalid filters: not JSON") from None
    entries = found if is_list(found) else [found]
    return [_one(entry) for entry in entries]


def _one(entry: Any) -> Condition:
    if not isinstance(entry, dict):
        raise ApiError(400, 7001, "Invalid filters: expected an array of objects")
    fields = cast("dict[str, Any]", entry)
    key, operator, values = fields.get("key"), fields.get("operator"), fields.get("value")
    if key not in _KEYS:
        raise ApiError(400, 7001, f"Invalid filter key: {key}")
    if operator not in _TESTS:
        raise ApiError(400, 7001, f"Invalid filter operator: {operator}")
    if not is_list(values) or not values:
        raise ApiError(400, 7001, f"Invalid filter value for {key}: expected a non-empty array")
    listed = [_bound(str(key), value) for value in values]
    test = _TESTS[str(operator)](_KEYS[str(key)], len(listed))
    if str(key).startswith("metadata."):
        return f"EXISTS (SELECT 1 FROM json_each(metadata) WHERE {test})", listed
    return f"({test})", listed


def _bound(key: str, value: Any) -> Any:
    if key in _FLAGS:
        return str(value).lower() in {"true", "1"}
    if key == "metadata.value":
        return str(value).lower() if isinstance(value, bool) else str(value)
    return value


def _scope(request: Request, state: State) -> Condition:
    """The condition of every log that a request may see."""
    account, gateway = request.path_params["account"], request.path_params["gateway"]
    state.gateways.existing(account, gateway)
    return "account = ? AND gateway = ? AND visible_at <= ?", [account, gateway, state.clock.now()]


def _selected(request: Request, state: State) -> Condition:
    conditions = [_scope(request, state)]
    if text := request.query_params.get("filters"):
        conditions += read_filters(text)
    if text := request.query_params.get("search"):
        columns = ("model", "provider", "coalesce(request, '')", "coalesce(response, '')")
        tests = " OR ".join(f"instr(lower({column}), lower(?))" for column in columns)
        conditions.append((f"({tests})", [text] * len(columns)))
    return " AND ".join(test for test, _ in conditions), [value for _, values in conditions for value in values]


def _order(request: Request) -> str:
    column = request.query_params.get("order_by", "created_at")
    direction = request.query_params.get("order_by_direction", "desc").lower()
    if column not in _ORDERS:
        raise ApiError(400, 7001, f"Invalid order_by: {column}")
    if direction not in {"asc", "desc"}:
        raise ApiError(400, 7001, f"Invalid order_by_direction: {direction}")
    return f"ORDER BY {column} {direction}, number {direction}"


def _listed(entry: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in entry.items() if name not in _HIDDEN}


def _detailed(entry: dict[str, Any]) -> dict[str, Any]:
    shown = _listed(entry)
    for side in ("request", "response"):
        text = entry[side] or ""
        shown[f"{side}_head"] = text[:_HEAD]
        shown[f"{side}_head_complete"] = len(text) <= _HEAD
        shown[f"{side}_size"] = len(text.encode())
    return shown


@guarded
async def list_logs(request: Request, state: State) -> Response:
    """`GET .../logs`."""
    where, values = _selected(request, state)
    page = whole_number(request, "page", 1, 1, 10**6)
    per_page = whole_number(request, "per_page", _PER_PAGE, 1, _MOST_PER_PAGE)
    tail = f"{_order(request)} LIMIT {per_page} OFFSET {(page - 1) * per_page}"
    total = state.store.rows(f"SELECT count(*) FROM logs WHERE {where}", values)[0][0]
    found = [_listed(entry) for entry in state.store.find_logs(where, values, tail)]
    info = {"count": len(found), "page": page, "per_page": per_page, "total_count": total}
    return JSONResponse(success(found, result_info=info))


@guarded
async def delete_logs(request: Request, state: State) -> Response:
    """`DELETE .../logs`, with the same filters as the list."""
    where, values = _selected(request, state)
    state.store.count(f"DELETE FROM logs WHERE {where}", values)
    return JSONResponse(success({}))


def _find(request: Request, state: State) -> dict[str, Any]:
    where, values = _scope(request, state)
    found = state.store.find_logs(f"{where} AND id = ?", [*values, request.path_params["log"]])
    if not found:
        raise ApiError(404, 7002, "Log not found")
    return found[0]


@guarded
async def get_log(request: Request, state: State) -> Response:
    """`GET .../logs/{id}`."""
    return JSONResponse(success(_detailed(_find(request, state))))


@guarded
async def get_request(request: Request, state: State) -> Response:
    """`GET .../logs/{id}/request`: the body, without an envelope."""
    return Response(_find(request, state)["request"] or "null", media_type="application/json")


@guarded
async def get_response(request: Request, state: State) -> Response:
    """`GET .../logs/{id}/response`: the body, without an envelope."""
    entry = _find(request, state)
    return Response(entry["response"] or "null", media_type=entry["response_content_type"])


@guarded
async def patch_log(request: Request, state: State) -> Response:
    """`PATCH .../logs/{id}`: feedback, score and metadata."""
    entry = _find(request, state)
    _change(state.store, entry["id"], await json_body(request))
    return JSONResponse(success({}))


def _change(store: Store, log: str, body: dict[str, Any]) -> None:
    legal: dict[str, Callable[[Any], bool]] = {
        "feedback": lambda value: _is_number(value) and value in (-1, 1),
        "score": lambda value: _is_number(value) and _LOWEST_SCORE <= value <= _HIGHEST_SCORE,
        "metadata": lambda value: (
            isinstance(value, dict)
            and all(isinstance(inner, Scalar) for inner in cast("dict[str, Any]", value).values())
        ),
    }
    if not body.keys() & legal.keys():
        raise ApiError(400, 7001, f"Expected one of {', '.join(legal)}")
    for name, check in legal.items():
        value = body.get(name)
        if name not in body:
            continue
        if value is not None and not check(value):
            raise ApiError(400, 7001, f"Invalid value for {name}")
        kept = json.dumps(value) if name == "metadata" and value is not None else value
        store.count(f"UPDATE logs SET {name} = ? WHERE id = ?", [kept, log])


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
