"""Errors of Workers AI (facts §5.6)."""

from __future__ import annotations

from functools import partial

from cfaig_integrations.simulator.scripting.faults.fault import Fault, make_error

error = partial(make_error, source="facts §5.6")
_AI = "AiError: AiError: "
_ID = " ({request})"
_NEURONS = (
    "AiError: you have used up your daily free allocation of 10,000 neurons, "
    "please upgrade to Cloudflare's Workers Paid plan if you would like to continue usage."
)

# fmt: off
WORKERS_AI: tuple[Fault, ...] = (
    error("missing_body", 400, 3003, _AI + "Missing headers or body" + _ID),
    error("request_too_large", 413, 3006, _AI + "Request is too large" + _ID),
    error("workers_ai_timeout", 408, 3007, _AI + "Request timeout" + _ID, retry=True),
    error("workers_ai_aborted", 408, 3008, _AI + "Request was aborted" + _ID, retry=True),
    error("account_blocked", 403, 3023, _AI + "Account blocked" + _ID),
    error("daily_neurons", 429, 4006, _NEURONS, source="facts §5.6 (O: FX:71535508848)"),
    error("daily_neurons_3036", 429, 3036, _NEURONS, source="facts §5.6 (D)"),
    error("daily_neurons_200", 200, 4006, _NEURONS, source="recorded/cloudflare.jsonl 2b3c6d9ba545", shape="v4"),
    error("finetune_incomplete", 400, 3039, _AI + "Finetune is missing required files" + _ID),
    error("out_of_capacity", 429, 3040, _AI + "Capacity temporarily exceeded, please try again." + _ID, retry=True),
    error("private_model", 403, 3041, _AI + "This model is private" + _ID),
    error("private_model_5018", 403, 5018, _AI + "This account is not allowed to access this model" + _ID),
    error("invalid_model_id", 404, 3042, _AI + "Invalid model ID" + _ID),
    error("max_retries_exhausted", 503, 3050, "AiError: Max retries exhausted",
        source="recorded/cloudflare.jsonl bd8cb47ce9df", retry=True),
    error("internal_error", 500, 4007, _AI + "An internal server error occured" + _ID, retry=True),
    error("bad_base64", 400, 5004, _AI + "Invalid type for base64 input" + _ID),
    error("no_lora", 405, 5005, _AI + "LoRA is not supported for this model" + _ID),
    error("bad_input", 400, 5006,
        "AiError: Bad input: Error: oneOf at '/' not met, 0 matches: required properties at '/' are 'prompt', Type "
        "mismatch of '/messages/0/content', 'array' not in 'string'" + _ID),
    error("bad_input_workers_ai", 400, 5006, "Bad input: Error: required properties at '/' are 'prompt'",
        source="facts §5.5 shape 3", shape="workers_ai"),
    error("no_such_model", 400, 5007, _AI + "No such model @cf/meta/llama-0 or task" + _ID),
    error("validation_5012", 422, 5012,
        'AiError: AiError: {"error":{"type":"invalid_request","message":"Request body failed validation"}}' + _ID,
        source="recorded/cloudflare.jsonl 7608ad7a1704"),
    error("terms_not_accepted", 403, 5016,
        _AI + "Prior to using this model, you must submit the prompt 'agree'." + _ID),
    error("configuration_error", 500, 5017, "Configuration error: Failed to fetch configuration", retry=True,
        shape="workers_ai"),
    error("deprecated_sdk", 405, 5019, _AI + "Deprecated SDK version" + _ID),
    error("context_exceeded", 413, 5021,
        "AiError: Ai: The estimated number of input and maximum output tokens (42481) exceeded this model context "
        "window limit (32000)." + _ID),
    error("context_exceeded_8007", 400, 8007,
        'AiError: AiError: {"object":"error","message":"Requested token count '
        "exceeds the model's maximum context length of 262144 tokens. You requested a total of 263925 tokens.\","
        '"type":"BadRequestError","param":null,"code":400}' + _ID,
        source="recorded/cloudflare.jsonl 0929e700f3b7"),
    error("needs_workers_paid", 403, 5035, _AI + "This model requires a Workers Paid plan" + _ID),
    error("plan_without_model", 403, None,
        "AiError: Model @cf/moonshotai/kimi-k2.7-code is not available on the Workers AI plan",
        source="recorded/cloudflare.jsonl d726c8793b10"),
    error("invalid_input", 400, 8001, _AI + "Invalid input: tool_choice" + _ID),
    error("forced_tool_max_tokens", 400, 8006, _AI + "max_tokens is too small for the forced tool call" + _ID),
)
# fmt: on
