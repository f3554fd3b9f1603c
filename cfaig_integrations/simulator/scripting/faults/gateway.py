"""Errors of the gateway and of the API in front of it (facts §5.7)."""

from __future__ import annotations

from functools import partial

from cfaig_integrations.simulator.scripting.faults.fault import Fault, make_error

_5_7 = "facts §5.7"
error = partial(make_error, source=_5_7)
_gateway = partial(error, shape="gateway", layer="gateway")
_policy = partial(error, shape="policy", layer="gateway")
_edge = partial(error, shape="v4", layer="edge")
_WHOLESALE = "Wholesale rate limit exceeded for this gateway. Please reduce request rate or use BYOK."
_SPEND = "Spend limit exceeded: rule 'daily' (cost limit 0.5 per 3600s, fixed) for openai gpt-4.1"

# fmt: off
GATEWAY: tuple[Fault, ...] = (
    _gateway("gateway_missing", 400, 2001, "Please configure AI Gateway in the Cloudflare dashboard"),
    _gateway("gateway_rate_limit", 429, 2003, "Rate limited", source="facts §5.7: no Retry-After (O: SPIKE)",
        retry=True),
    error("gateway_rate_limit_bare", 429, 2003, "Too many requests", source="recorded/cloudflare.jsonl 83fc5b597fb7",
        retry=True, shape="gateway_bare", layer="gateway"),
    _gateway("gateway_rate_limit_after", 429, 2003, "Rate limited",
        source="facts §3.5: retry-after in seconds, when present", retry=True, retry_after=1),
    _gateway("gateway_rate_limit_date", 429, 2003, "Rate limited", source="facts §3.5: retry-after as HTTP date",
        retry=True, retry_after=1, http_date=True),
    error("upstream_failed", 400, 2005, "Failed to get response from provider",
        source="facts §5.7 (O: cloudflare/ai#436)", retry=True, shape="gateway"),
    error("upstream_failed_text", 400, None, "The upstream provider returned an error while processing this request.",
        source="facts §5.7 (O: FX:69684989092)", retry=True, shape="openai"),
    error("upstream_unavailable", 502, 7009, "Upstream service unavailable",
        source="recorded/cloudflare.jsonl 4629bc8f3e91", retry=True),
    error("invalid_provider", 400, 2008, "Invalid provider", shape="gateway_bare", layer="gateway"),
    _gateway("gateway_unauthorized", 401, 2009, "Unauthorized"),
    _gateway("unified_credentials", 503, 2009, "Provider credentials are unavailable",
        source="facts §5.7 (CL:2026-10-06)", retry=True),
    _gateway("guardrail_prompt", 424, 2016, "Prompt blocked due to security configurations"),
    _gateway("guardrail_response", 424, 2017, "Response blocked due to security configurations"),
    _gateway("guardrail_run", 422, 2017, "Response blocked due to security configurations",
        source="facts §5.7 (CL:2026-09-17)"),
    error("guardrail_unavailable", 503, 7013, "Guardrail evaluation is temporarily unavailable",
        source="facts §5.7 (CL:2026-09-17)", retry=True, layer="gateway"),
    _gateway("wholesale_rate_limited", 429, 2018, "Wholesale Rate limited",
        source="facts §5.7 (O: FX:68366529767)", retry=True),
    _gateway("wholesale_rate_limit", 402, 2021, _WHOLESALE, source="facts §5.7 (O: five clients)", retry=True),
    error("wholesale_rate_limit_7003", 402, 7003, _WHOLESALE, retry=True, shape="v4", layer="gateway"),
    _gateway("wholesale_rate_limit_429", 429, 2021, _WHOLESALE, retry=True),
    error("wholesale_rate_limit_200", 200, 2021, _WHOLESALE, source="facts §5.1 (FX:70538962732)", retry=True,
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
    _edge("no_route", 400, 7000, "No route for that URI"),
    error("invalid_parameter", 400, 7001, "Invalid parameter", shape="v4", layer="gateway"),
    error("model_not_found", 404, 7003, "Model not found: openai/gpt-0", shape="v4", layer="gateway"),
    _edge("could_not_route", 404, 7003,
        "Could not route to /client/v4/accounts/0/ai/v1/chat/completions, perhaps your object identifier is invalid?",
        source="recorded/cloudflare.jsonl fca8415089ca"),
    error("user_input_error", 400, 7003,
        "Model execution failed (User Input Error): Invalid value at 'messages.0.role'", shape="v4"),
    _edge("missing_auth", 400, 9106, "Missing X-Auth-Key, X-Auth-Email or Authorization headers"),
    _edge("wrong_token", 401, 10000, "Authentication error"),
    _edge("wrong_token_403", 403, 10000, "Authentication error", source="facts §5.7: 403 seen"),
    error("payment_required", 402, None, "Payment required", source="facts §3.4 (CL:2026-09-30)", shape="string",
        layer="edge", headers={"PAYMENT-REQUIRED": "eyJ4NDAyVmVyc2lvbiI6MiwiYWNjZXB0cyI6W119"}),
)
# fmt: on
