"""The logs API of a gateway: list, read, rate, delete (facts §8.5)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from cfaig_integrations.simulator.gateway.log_store import METADATA_TEXT, Condition, LogEntry, Scalar, all_of, contains
from cfaig_integrations.simulator.http.bodies import ApiError, success
from cfaig_integrations.simulator.json_types import is_list, is_record, parse_json, scalar_text
from cfaig_integrations.simulator.management.common import (
    LOGS,
    json_body,
    json_response,
    managed,
    page_of,
    page_response,
)
from cfaig_integrations.simulator.state import State

_ORDERS = ("created_at", "provider", "model", "model_type", "success", "cached")
_FLAGS = frozenset({"success", "cached", "authentication", "wholesale", "compatibilityMode"})


def _column(name: str) -> str:
    return f"json_extract(entry, '$.{name}')"


_PLAIN_KEYS = (
    "id created_at request_content_type response_content_type request_type success cached provider model model_type "
    "cost tokens_in tokens_out duration feedback event_id authentication wholesale dlp_action user_agent"
)
_KEYS = {
    **{name: _column(name) for name in _PLAIN_KEYS.split()},
    "tokens": f"{_column('tokens_in')} + {_column('tokens_out')}",
    "compatibilityMode": _column("compatibility_mode"),
    "metadata.key": "key",
    "metadata.value": METADATA_TEXT,
}
"""Filter keys and their SQL; the two of metadata are looked up in its entries independently of each other, so that the
key and the value of a match need not belong together (facts §4, O: SPIKE)."""

_TESTS: dict[str, Callable[[str, int], str]] = {
    "eq": lambda column, count: f"{column} IN ({', '.join('?' * count)})",
    "neq": lambda column, count: f"{column} NOT IN ({', '.join('?' * count)})",
    "contains": lambda column, count: " OR ".join([f"instr(lower({column}), lower(?))"] * count),
    "lt": lambda column, count: " OR ".join([f"{column} < ?"] * count),
    "gt": lambda column, count: " OR ".join([f"{column} > ?"] * count),
}
_HIDDEN = frozenset(
    {"request", "response", "compatibility_mode"}
    | {"number", "revision", "gateway", "guardrails", "streamed", "request_headers", "response_headers"}
)
"""Fields that Cloudflare's list does not have: the bodies have paths of their own, the others are the simulator's."""
_MAX_VALUES = 100
_HEAD = 1024


def _read_filters(text: str) -> list[Condition]:
    """Read the `filters` of a query, a JSON array of `{"key", "operator", "value": [...]}`."""
    try:
        filters = parse_json(text)
    except ValueError:
        raise ApiError(400, 7001, "Invalid filters: not JSON") from None
    return [_read_filter(entry) for entry in (filters if is_list(filters) else [filters])]


def _read_filter(entry: Any) -> Condition:
    if not is_record(entry):
        raise ApiError(400, 7001, "Invalid filters: expected an array of objects")
    key, operator, values = str(entry.get("key")), str(entry.get("operator")), entry.get("value")
    if key not in _KEYS:
        raise ApiError(400, 7001, f"Invalid filter key: {key}")
    if operator not in _TESTS:
        raise ApiError(400, 7001, f"Invalid filter operator: {operator}")
    if not is_list(values) or not 1 <= len(values) <= _MAX_VALUES or not all(isinstance(v, Scalar) for v in values):
        raise ApiError(400, 7001, f"Invalid filter value for {key}: expected an array of 1 to {_MAX_VALUES} values")
    parameters = [_parameter(key, value) for value in values]
    test = _TESTS[operator](_KEYS[key], len(parameters))
    if key.startswith("metadata."):
        return f"EXISTS (SELECT 1 FROM json_each(entry, '$.metadata') WHERE {test})", parameters
    return f"({test})", parameters


def _parameter(key: str, value: Any) -> Any:
    if key in _FLAGS:
        return scalar_text(value) in {"true", "1"}
    return scalar_text(value) if key == "metadata.value" else value


def _scope(request: Request, state: State) -> Condition:
    """The condition of every log entry that a request may see."""
    account, gateway = request.path_params["account"], request.path_params["gateway"]
    state.gateways.existing(account, gateway)
    return "account = ? AND gateway = ? AND visible_at <= ?", [account, gateway, state.clock.now()]


def _selected(request: Request, state: State) -> Condition:
    conditions = [_scope(request, state)]
    if text := request.query_params.get("filters"):
        conditions += _read_filters(text)
    if text := request.query_params.get("search"):
        conditions.append(contains(text, "model", "provider", "request", "response"))
    return all_of(conditions)


def _order(request: Request) -> str:
    name = request.query_params.get("order_by", "created_at")
    direction = request.query_params.get("order_by_direction", "desc").lower()
    if name not in _ORDERS:
        raise ApiError(400, 7001, f"Invalid order_by: {name}")
    if direction not in {"asc", "desc"}:
        raise ApiError(400, 7001, f"Invalid order_by_direction: {direction}")
    return f"ORDER BY {_column(name)} {direction}, number {direction}"


def _listed(entry: LogEntry) -> dict[str, Any]:
    return {name: value for name, value in entry.items() if name not in _HIDDEN}


def _detailed(entry: LogEntry) -> dict[str, Any]:
    shown = _listed(entry)
    for side, body in (("request", entry.get("request")), ("response", entry.get("response"))):
        text = body or ""
        shown[f"{side}_head"] = text[:_HEAD]
        shown[f"{side}_head_complete"] = len(text) <= _HEAD
        shown[f"{side}_size"] = len(text.encode("utf-8", "surrogatepass"))
    return shown


@managed("GET", LOGS)
async def _list_logs(request: Request, state: State) -> Response:
    which = _selected(request, state)
    page, per_page = page_of(request, 50)
    order = f"{_order(request)} LIMIT {per_page} OFFSET {(page - 1) * per_page}"
    entries = [_listed(entry) for entry in state.logs.select(which, order)]
    return page_response(entries, page, per_page, state.logs.count(which))


@managed("DELETE", LOGS)
async def _delete_logs(request: Request, state: State) -> Response:
    """With the same filters as the list."""
    state.logs.delete(_selected(request, state))
    return json_response(success({}))


def _find(request: Request, state: State) -> LogEntry:
    where, values = _scope(request, state)
    entries = state.logs.select((f"{where} AND id = ?", [*values, request.path_params["log"]]), bodies=True)
    if not entries:
        raise ApiError(404, 7002, "Log not found")
    return entries[0]


@managed("GET", LOGS + "/{log}")
async def _get_log(request: Request, state: State) -> Response:
    return json_response(success(_detailed(_find(request, state))))


@managed("GET", LOGS + "/{log}/request")
async def _get_request(request: Request, state: State) -> Response:
    """The body, without an envelope."""
    return Response(_find(request, state).get("request") or "null", media_type="application/json")


@managed("GET", LOGS + "/{log}/response")
async def _get_response(request: Request, state: State) -> Response:
    """The body, without an envelope."""
    entry = _find(request, state)
    return Response(entry.get("response") or "null", media_type=entry["response_content_type"])


@managed("PATCH", LOGS + "/{log}")
async def _patch_log(request: Request, state: State) -> Response:
    """Feedback, score and metadata."""
    entry, body = _find(request, state), await json_body(request)
    changes = {name: value for name, value in body.items() if name in _CHANGES}
    if not changes:
        raise ApiError(400, 7001, f"Expected one of {', '.join(_CHANGES)}")
    for name, value in changes.items():
        if value is not None and not _CHANGES[name](value):
            raise ApiError(400, 7001, f"Invalid value for {name}")
    state.logs.update(entry["id"], changes)
    return json_response(success({}))


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


_CHANGES: dict[str, Callable[[Any], bool]] = {
    "feedback": lambda value: _is_number(value) and value in (-1, 1),
    "score": lambda value: _is_number(value) and 0 <= value <= 100,
    "metadata": lambda value: is_record(value) and all(isinstance(inner, Scalar) for inner in value.values()),
}
"""The fields that can be changed, and whether a value is legal."""
