"""The failures that can be simulated, in one table per layer; each row names its evidence."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from functools import partial
from types import MappingProxyType

from cfaig_integrations.simulator.http.bodies import SHAPES
from cfaig_integrations.simulator.scripting.effects import DELAYS, EFFECT_FAULTS, Fault, make_error

_ai = partial(make_error, source="facts §5.6")
_AI = "AiError: AiError: "
_ID = " ({request})"
_NEURONS = (
    "AiError: you have used up your daily free allocation of 10,000 neurons, "
    "please upgrade to Cloudflare's Workers Paid plan if you would like to continue usage."
)

# fmt: off
WORKERS_AI: tuple[Fault, ...] = (
    _ai("missing_body", 400, 3003, _AI + "Missing headers or body" + _ID),
    _ai("request_too_large", 413, 3006, _AI + "Request is too large" + _ID),
    _ai("workers_ai_timeout", 408, 3007, _AI + "Request timeout" + _ID, retry=True),
    _ai("workers_ai_aborted", 408, 3008, _AI + "Request was aborted" + _ID, retry=True),
    _ai("account_blocked", 403, 3023, _AI + "Account blocked" + _ID),
    _ai("daily_neurons", 429, 4006, _NEURONS, source="facts §5.6 (O: FX:71535508848)"),
    _ai("daily_neurons_3036", 429, 3036, _NEURONS, source="facts §5.6 (D)"),
    _ai("daily_neurons_200", 200, 4006, _NEURONS, source="recorded/cloudflare.jsonl 2b3c6d9ba545", shape="v4"),
    _ai("finetune_incomplete", 400, 3039, _AI + "Finetune is missing required files" + _ID),
    _ai("out_of_capacity", 429, 3040, _AI + "Capacity temporarily exceeded, please try again." + _ID, retry=True),
    _ai("private_model", 403, 3041, _AI + "This model is private" + _ID),
    _ai("private_model_5018", 403, 5018, _AI + "This account is not allowed to access this model" + _ID),
    _ai("invalid_model_id", 404, 3042, _AI + "Invalid model ID" + _ID),
    _ai("max_retries_exhausted", 503, 3050, "AiError: Max retries exhausted",
        source="recorded/cloudflare.jsonl bd8cb47ce9df", retry=True),
    _ai("internal_error", 500, 4007, _AI + "An internal server error occured" + _ID, retry=True),
    _ai("bad_base64", 400, 5004, _AI + "Invalid type for base64 input" + _ID),
    _ai("no_lora", 405, 5005, _AI + "LoRA is not supported for this model" + _ID),
    _ai("bad_input", 400, 5006,
        "AiError: Bad input: Error: oneOf at '/' not met, 0 matches: required properties at '/' are 'prompt', Type "
        "mismatch of '/messages/0/content', 'array' not in 'string'" + _ID),
    _ai("bad_input_workers_ai", 400, 5006, "Bad input: Error: required properties at '/' are 'prompt'",
        source="facts §5.5 shape 3", shape="workers_ai"),
    _ai("no_such_model", 400, 5007, _AI + "No such model @cf/meta/llama-0 or task" + _ID),
    _ai("validation_5012", 422, 5012,
        'AiError: AiError: {"error":{"type":"invalid_request","message":"Request body failed validation"}}' + _ID,
        source="recorded/cloudflare.jsonl 7608ad7a1704"),
    _ai("terms_not_accepted", 403, 5016,
        _AI + "Prior to using this model, you must submit the prompt 'agree'." + _ID),
    _ai("configuration_error", 500, 5017, "Configuration error: Failed to fetch configuration", retry=True,
        shape="workers_ai"),
    _ai("deprecated_sdk", 405, 5019, _AI + "Deprecated SDK version" + _ID),
    _ai("context_exceeded", 413, 5021,
        "AiError: Ai: The estimated number of input and maximum output tokens (42481) exceeded this model context "
        "window limit (32000)." + _ID),
    _ai("context_exceeded_8007", 400, 8007,
        'AiError: AiError: {"object":"error","message":"Requested token count '
        "exceeds the model's maximum context length of 262144 tokens. You requested a total of 263925 tokens.\","
        '"type":"BadRequestError","param":null,"code":400}' + _ID,
        source="recorded/cloudflare.jsonl 0929e700f3b7"),
    _ai("needs_workers_paid", 403, 5035, _AI + "This model requires a Workers Paid plan" + _ID),
    _ai("plan_without_model", 403, None,
        "AiError: Model @cf/moonshotai/kimi-k2.7-code is not available on the Workers AI plan",
        source="recorded/cloudflare.jsonl d726c8793b10"),
    _ai("invalid_input", 400, 8001, _AI + "Invalid input: tool_choice" + _ID),
    _ai("forced_tool_max_tokens", 400, 8006, _AI + "max_tokens is too small for the forced tool call" + _ID),
)
# fmt: on

_error = partial(make_error, source="facts §5.7")
_gateway = partial(_error, shape="gateway", layer="gateway")
_policy = partial(_error, shape="policy", layer="gateway")
_api = partial(_error, shape="v4", layer="edge")
_WHOLESALE = "Wholesale rate limit exceeded for this gateway. Please reduce request rate or use BYOK."
_SPEND = "Spend limit exceeded: rule 'daily' (cost limit 0.5 per 3600s, fixed) for openai gpt-4.1"

# fmt: off
GATEWAY: tuple[Fault, ...] = (
    _gateway("gateway_missing", 400, 2001, "Please configure AI Gateway in the Cloudflare dashboard"),
    _gateway("gateway_rate_limit", 429, 2003, "Rate limited", source="facts §5.7: no Retry-After (O: SPIKE)",
        retry=True),
    _error("gateway_rate_limit_bare", 429, 2003, "Too many requests", source="recorded/cloudflare.jsonl 83fc5b597fb7",
        retry=True, shape="gateway_bare", layer="gateway"),
    _gateway("gateway_rate_limit_after", 429, 2003, "Rate limited",
        source="facts §3.5: retry-after in seconds, when present", retry=True, retry_after=1),
    _gateway("gateway_rate_limit_date", 429, 2003, "Rate limited", source="facts §3.5: retry-after as HTTP date",
        retry=True, retry_after=1, http_date=True),
    _error("upstream_failed", 400, 2005, "Failed to get response from provider",
        source="facts §5.7 (O: cloudflare/ai#436)", retry=True, shape="gateway"),
    _error("upstream_failed_text", 400, None, "The upstream provider returned an error while processing this request.",
        source="facts §5.7 (O: FX:69684989092)", retry=True, shape="openai"),
    _error("upstream_unavailable", 502, 7009, "Upstream service unavailable",
        source="recorded/cloudflare.jsonl 4629bc8f3e91", retry=True),
    _error("invalid_provider", 400, 2008, "Invalid provider", shape="gateway_bare", layer="gateway"),
    _gateway("gateway_unauthorized", 401, 2009, "Unauthorized"),
    _gateway("unified_credentials", 503, 2009, "Provider credentials are unavailable",
        source="facts §5.7 (CL:2026-10-06)", retry=True),
    _gateway("guardrail_prompt", 424, 2016, "Prompt blocked due to security configurations"),
    _gateway("guardrail_response", 424, 2017, "Response blocked due to security configurations"),
    _gateway("guardrail_run", 422, 2017, "Response blocked due to security configurations",
        source="facts §5.7 (CL:2026-09-17)"),
    _error("guardrail_unavailable", 503, 7013, "Guardrail evaluation is temporarily unavailable",
        source="facts §5.7 (CL:2026-09-17)", retry=True, layer="gateway"),
    _gateway("wholesale_rate_limited", 429, 2018, "Wholesale Rate limited",
        source="facts §5.7 (O: FX:68366529767)", retry=True),
    _gateway("wholesale_rate_limit", 402, 2021, _WHOLESALE, source="facts §5.7 (O: five clients)", retry=True),
    _error("wholesale_rate_limit_7003", 402, 7003, _WHOLESALE, retry=True, shape="v4", layer="gateway"),
    _gateway("wholesale_rate_limit_429", 429, 2021, _WHOLESALE, retry=True),
    _error("wholesale_rate_limit_200", 200, 2021, _WHOLESALE, source="facts §5.1 (FX:70538962732)", retry=True,
        shape="v4", layer="gateway"),
    _gateway("bad_format", 400, 2019, "Chat completion bad format", source="facts §1.5 (O: FX:57522988492)"),
    _gateway("no_balance", 402, 2021, "Insufficient balance; add money to your gateway or use BYOK"),
    _gateway("no_credits", 402, 2021, "Insufficient wholesale credits. Please add credits to your account."),
    _gateway("not_unified", 402, 2021, "This model is not available via unified billing. Please use BYOK."),
    _gateway("unified_needs_auth", 402, 2021, "Gateway authentication is required to use unified billing",
        source="facts §2.2 (O: FX:60964327167)"),
    _gateway("route_terminated", 500, 2028, "Dynamic route terminated without a response"),
    _gateway("dlp_request", 400, 2029, "Request content blocked due to DLP policy violations",
        source="facts §8.4"),
    _gateway("dlp_response", 400, 2030, "Response content blocked due to DLP policy violations",
        source="facts §8.4"),
    _gateway("byok_alias_unknown", 400, 2040,
        "Provider 'google-ai-studio' has no BYOK credential named 'example-studio'. Configured aliases: 'other-studio'",
        source="facts §2.3 (O: FX:61484694748)"),
    _policy("byok_required", 400, None, "No provider credentials are configured and byok_only is set",
        source="facts §2.3 (CL:2026-09-14)"),
    _gateway("spend_limit", 429, 2045, _SPEND, source="facts §5.7 (O: SPIKE)"),
    _gateway("spend_limit_2041", 429, 2041, _SPEND, source="facts §5.7 (O: FX:60515218526)"),
    _policy("spend_limit_docs", 429, None, "Spending limit exceeded",
        source="facts §5.5 shape 4 (CFD:features/spend-limits)",
        extra={"bucket": "daily", "spent": 0.51, "limit": 0.5}),
    _policy("policy_denied", 403, None, "Access denied by policy", source="facts §8.4"),
    _gateway("allowed_models_unmatched", 400, 7001, "cf-aig-allowed-models: no model matches 'nobody/*'"),
    _api("no_route", 400, 7000, "No route for that URI"),
    _error("invalid_parameter", 400, 7001, "Invalid parameter", shape="v4", layer="gateway"),
    _error("model_not_found", 404, 7003, "Model not found: openai/gpt-0", shape="v4", layer="gateway"),
    _api("could_not_route", 404, 7003,
        "Could not route to /client/v4/accounts/0/ai/v1/chat/completions, perhaps your object identifier is invalid?",
        source="recorded/cloudflare.jsonl fca8415089ca"),
    _error("user_input_error", 400, 7003,
        "Model execution failed (User Input Error): Invalid value at 'messages.0.role'", shape="v4"),
    _api("missing_auth", 400, 9106, "Missing X-Auth-Key, X-Auth-Email or Authorization headers"),
    _api("wrong_token", 401, 10000, "Authentication error"),
    _api("wrong_token_403", 403, 10000, "Authentication error", source="facts §5.7: 403 seen"),
    _error("payment_required", 402, None, "Payment required", source="facts §3.4 (CL:2026-09-30)", shape="string",
        layer="edge", headers={"PAYMENT-REQUIRED": "eyJ4NDAyVmVyc2lvbiI6MiwiYWNjZXB0cyI6W119"}),
)
# fmt: on

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

__all__ = ["FAULTS", "Fault", "find_fault"]

_ALL = (*WORKERS_AI, *GATEWAY, *VENDORS, *SHAPED, *DELAYS, *EFFECT_FAULTS)
FAULTS: Mapping[str, Fault] = MappingProxyType({fault.name: fault for fault in _ALL})  # all faults by name
if len(FAULTS) != len(_ALL):
    raise ValueError("two faults have the same name")


def find_fault(name: str) -> Fault:
    """The fault of that name."""
    fault = FAULTS.get(name)
    if fault is None:
        similar = difflib.get_close_matches(name, FAULTS, n=3)
        raise ValueError(f"no fault is named {name!r}" + (f"; did you mean {' or '.join(similar)}?" if similar else ""))
    return fault
