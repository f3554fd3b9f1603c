"""Checks of the model: whether it exists, and whether each of its wire formats answers (which costs a little)."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, cast
from urllib.parse import quote

from cfaig_integrations.cli.diagnosis.findings import Finding, Problem, failed
from cfaig_integrations.cli.diagnosis.probes import Probe, is_denied, network_problem
from cfaig_integrations.client.sync import Client
from cfaig_integrations.core.chat import ChatRequest
from cfaig_integrations.core.content import Text, Turn, Wire
from cfaig_integrations.errors import ApiError, ConfigError, GatewayError, NotFound, PaymentRequired
from cfaig_integrations.gateway.connection import Connection
from cfaig_integrations.gateway.models.modalities import require_kind
from cfaig_integrations.gateway.models.routes import Api, is_shape_refusal, rest_id, row_of

MAX_TOKENS = 16
"""Output tokens of one test call; some providers take no fewer."""
_PROMPT = "Reply with the word OK."
_NO_MODEL_CODES = (5007, 3042, "model_not_found", "not_found_error")


def wires_of(model: str, api: Api, *, legacy: bool) -> tuple[Wire, ...]:
    """The formats to call a model in: the user's choice, or all that are known for it.

    Raises:
        ConfigError: The id is not valid, or not that of a chat model.
    """
    require_kind(rest_id(model), "chat")
    row = row_of(model)
    if api != "auto":
        return (api,)
    return ("chat_completions",) if legacy else tuple(dict.fromkeys((*row.wires.plain, *row.wires.tools)))


def check_model(probe: Probe, model: str) -> Finding:
    """Whether a model exists, as far as that is known without calling it: the API lists those of Workers AI only."""
    try:
        wires = ", ".join(wires_of(model, "auto", legacy=False))
    except ConfigError as error:
        return failed("model", Problem.UNKNOWN_MODEL, str(error))
    name = rest_id(model)
    if not name.startswith("@"):
        return Finding("model", "ok", f"{name}, by its family in the formats {wires}; only a call shows if it exists")
    try:
        listed = probe.get(f"/ai/models/search?per_page=100&search={quote(name.rpartition('/')[2], safe='')}")
        names = [str(each.get("name")) for each in cast("list[Mapping[str, Any]]", listed)]
        if name in names:
            return Finding("model", "ok", f"{name}, in the formats {wires}")
        everything = cast("list[Mapping[str, Any]]", probe.get("/ai/models/search?per_page=1000"))
    except (GatewayError, TypeError, AttributeError):
        return Finding("model", "skipped", "the list of models could not be read")
    all_names = [str(each.get("name")) for each in everything]
    if name in all_names:
        return Finding("model", "ok", f"{name}, in the formats {wires}")
    near = difflib.get_close_matches(name, all_names, 3, 0.6)
    detail = f"Workers AI has no {name}" + (f"; similar: {', '.join(near)}" if near else "")
    return failed("model", Problem.UNKNOWN_MODEL, detail, f"Use {near[0]}." if near else "")


def check_calls(connection: Connection, model: str, wires: Sequence[Wire], called: Callable[[], None]) -> list[Finding]:
    """Calls a model in each format."""
    findings: list[Finding] = []
    request = ChatRequest(model, (Turn("user", (Text(_PROMPT),)),), max_tokens=MAX_TOKENS)
    for wire in wires:
        findings.append(_call(replace(connection, api=wire), request, wire))
        called()
    if any(each.status == "ok" for each in findings):  # the model exists; the format is not served
        findings = [
            replace(each, problem=Problem.WIRE_NOT_SERVED, fix="") if each.problem is Problem.UNKNOWN_MODEL else each
            for each in findings
        ]
    return findings


def _call(connection: Connection, request: ChatRequest, wire: Wire) -> Finding:
    try:
        reply, info = Client(connection).chat(request)
    except GatewayError as error:
        problem, fix = _problem_of(error, request.model, connection.settings.base_url)
        return failed(wire, problem, str(error), fix)
    tokens = f", {reply.usage.input} in, {reply.usage.output} out" if reply.usage else ""
    return Finding(wire, "ok", f"answered{tokens}" + (f", log {info.log_id}" if info.log_id else ""))


def _problem_of(error: GatewayError, model: str, base_url: str) -> tuple[Problem, str]:
    """The problem of a failed call, and a fix that says more than the problem's own."""
    text = str(error).lower()
    match error:
        case ApiError(code=2001):
            return Problem.NO_GATEWAY, ""
        case PaymentRequired() if "gateway authentication is required" in text:
            return Problem.GATEWAY_NOT_AUTHENTICATED, ""
        case PaymentRequired() if not error.retryable:
            return Problem.NO_CREDITS, ""
        case ApiError() if "could not route to" in text:
            return Problem.WRONG_ACCOUNT, ""
        case NotFound() if error.code in _NO_MODEL_CODES or "model not found" in text or "no such model" in text:
            return Problem.UNKNOWN_MODEL, ""
        case ApiError() if is_shape_refusal(error.status, error.code, error.message):
            wires = ", ".join(wires_of(model, "auto", legacy=False))
            return Problem.WIRE_NOT_SERVED, f"Use api='auto', or one of {wires}."
        case ApiError(code=10000) if is_denied(error):
            return Problem.NO_WORKERS_AI_PERMISSION, ""
        case _:
            network = network_problem(error, base_url) if not isinstance(error, ApiError) else None
            hint = error.hint if isinstance(error, ApiError) else ""
            return (network[0], "") if network else (Problem.CALL_FAILED, hint)
