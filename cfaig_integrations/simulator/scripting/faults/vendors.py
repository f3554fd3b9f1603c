"""Errors of vendors and of the network edge, and one error in every body shape (facts §5.5)."""

from __future__ import annotations

from functools import partial

from cfaig_integrations.simulator.http.bodies import SHAPES
from cfaig_integrations.simulator.scripting.faults.fault import Fault, make_error

_provider = partial(make_error, shape="provider", retry=True)
_edge = partial(make_error, source="facts §5.5 shape 8", shape="text", layer="edge")
# fmt: off
VENDORS: tuple[Fault, ...] = (
    make_error("provider_bad_request", 400, "invalid_request_error", "Invalid request",
        source="facts §5.5 shapes 5 and 6", shape="provider"),
    make_error("provider_unauthorized", 401, 401, "No or an invalid authentication header was provided on the request.",
        source="recorded/cloudflare.jsonl 6f57f8cd9c3f", shape="openai_code"),
    _provider("provider_rate_limit", 429, "rate_limit_exceeded", "Rate limit reached for requests",
        source="facts §3.5: providers' 429 may have retry-after", retry_after=1),
    _provider("provider_rate_limit_date", 429, "rate_limit_exceeded", "Rate limit reached for requests",
        source="facts §3.5: HTTP date", retry_after=1, http_date=True),
    _provider("provider_error", 500, "server_error", "The server had an error while processing your request",
        source="facts §5.5 shapes 5 and 6"),
    _provider("provider_overloaded", 529, "overloaded_error", "Overloaded", source="facts §5.5 shape 6"),
    _provider("provider_conflict", 409, "conflict", "Conflict", source="facts §5.8: 409 is retryable"),
    make_error("responses_invalid_prompt", 400, "invalid_prompt",
        "AiError: Bad input: required properties at '/' are 'prompt'",
        source="facts §5.5 shape 5 (O: FX:68320345152)", shape="openai_code"),
    make_error("previous_response_not_found", 400, "previous_response_not_found",
        "Previous response with id 'resp_gone' not found.",
        source="dotnet/extensions#7704, bifrost#2441", shape="openai_code"),
    make_error("catalogue_previous_response_not_found", 400, 7003,
        "Model execution failed (User Input Error): Previous response with id 'resp_gone' not found.",
        source="facts §1.4: how the catalogue words what a model refuses"),
    _edge("edge_502", 502, None, "error code: 502", retry=True),
    make_error("edge_502_html", 502, None, "502 Bad Gateway",
        source="facts §5.5 shape 8", retry=True, shape="html",
        layer="edge"),
    _edge("edge_520", 520, None, "error code: 520", retry=True),
    _edge("edge_524", 524, None, "error code: 524", retry=True),
    _edge("edge_1010", 403, None, "error code: 1010", source="recorded/cloudflare.jsonl b6e6c461ca12"),
    make_error("html_200", 200, None, "Just a moment...", source="facts §5.5 shape 8", shape="html", layer="edge"),
)
# fmt: on

SHAPED: tuple[Fault, ...] = tuple(
    make_error(f"shape_{shape}", 400, 7003, f"Worded in shape {shape}", source="facts §5.5", shape=shape)
    for shape in SHAPES
)
