"""How vendors and the edge of the network fail, and a plain failure in every shape (wire-facts §5.5).

Knows no code of Cloudflare's tables.
"""

from __future__ import annotations

from cfaig_integrations.simulator.http.bodies import SHAPES
from cfaig_integrations.simulator.scripting.faults.fault import Fault, error

_EDGE_SHAPE = "wire-facts §5.5 shape 8"
VENDORS: tuple[Fault, ...] = (
    error(
        "provider_bad_request",
        400,
        "invalid_request_error",
        "Invalid request",
        "wire-facts §5.5 shapes 5 and 6",
        shape="provider",
    ),
    error(
        "provider_unauthorized",
        401,
        401,
        "No or an invalid authentication header was provided on the request.",
        "recorded/cloudflare.jsonl 6f57f8cd9c3f",
        shape="openai_code",
    ),
    error(
        "provider_rate_limit",
        429,
        "rate_limit_exceeded",
        "Rate limit reached for requests",
        "wire-facts §3.5: providers' 429 may have retry-after",
        retry=True,
        shape="provider",
        retry_after=1,
    ),
    error(
        "provider_rate_limit_date",
        429,
        "rate_limit_exceeded",
        "Rate limit reached for requests",
        "wire-facts §3.5: HTTP date",
        retry=True,
        shape="provider",
        retry_after=1,
        http_date=True,
    ),
    error(
        "provider_error",
        500,
        "server_error",
        "The server had an error while processing your request",
        "wire-facts §5.5 shapes 5 and 6",
        retry=True,
        shape="provider",
    ),
    error(
        "provider_overloaded",
        529,
        "overloaded_error",
        "Overloaded",
        "wire-facts §5.5 shape 6",
        retry=True,
        shape="provider",
    ),
    error(
        "provider_conflict",
        409,
        "conflict",
        "Conflict",
        "wire-facts §5.8: 409 is retryable",
        retry=True,
        shape="provider",
    ),
    error(
        "responses_invalid_prompt",
        400,
        "invalid_prompt",
        "AiError: Bad input: required properties at '/' are 'prompt'",
        "wire-facts §5.5 shape 5 (O: FX:68320345152)",
        shape="openai_code",
    ),
    error(
        "previous_response_not_found",
        400,
        "previous_response_not_found",
        "Previous response with id 'resp_gone' not found.",
        "dotnet/extensions#7704, bifrost#2441 (langchain.md §5, 34)",
        shape="openai_code",
    ),
    error(
        "catalogue_previous_response_not_found",
        400,
        7003,
        "Model execution failed (User Input Error): Previous response with id 'resp_gone' not found.",
        "wire-facts §1.4: how the catalogue words what a model refuses",
    ),
    error("edge_502", 502, None, "error code: 502", _EDGE_SHAPE, retry=True, shape="text", layer="edge"),
    error("edge_502_html", 502, None, "502 Bad Gateway", _EDGE_SHAPE, retry=True, shape="html", layer="edge"),
    error("edge_520", 520, None, "error code: 520", _EDGE_SHAPE, retry=True, shape="text", layer="edge"),
    error("edge_524", 524, None, "error code: 524", _EDGE_SHAPE, retry=True, shape="text", layer="edge"),
    error(
        "edge_1010", 403, None, "error code: 1010", "recorded/cloudflare.jsonl b6e6c461ca12", shape="text", layer="edge"
    ),
    error("html_200", 200, None, "Just a moment...", _EDGE_SHAPE, shape="html", layer="edge"),
)

SHAPED: tuple[Fault, ...] = tuple(
    error(f"shape_{shape}", 400, 7003, f"Worded in shape {shape}", "wire-facts §5.5", shape=shape) for shape in SHAPES
)
