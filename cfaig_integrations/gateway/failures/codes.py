"""Tables of error codes and messages of Cloudflare and of providers, each row with its source (sections of facts)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias

from cfaig_integrations.errors import (
    ApiError,
    AuthError,
    ContextOverflow,
    GuardrailBlocked,
    InvalidRequest,
    NotFound,
    PaymentRequired,
    PermissionDenied,
    QuotaExceeded,
    RateLimited,
    ServerFault,
)

ErrorKind: TypeAlias = type[ApiError]


@dataclass(frozen=True, slots=True)
class Code:
    """An error code of Cloudflare.

    Attributes:
        status: HTTP status of the code: replaces that of an error inside a 2xx response, and distinguishes rows of the
            same code.
        retryable: Whether the same request may succeed later.
        kind: Exception; None: that of the status.
    """

    code: int
    status: int
    source: str
    retryable: bool = False
    kind: ErrorKind | None = None
    hint: str = ""


@dataclass(frozen=True, slots=True)
class MessagePattern:
    """A message that is more specific than its code.

    Attributes:
        pattern: Regular expression, searched for in the message in lower case.
        retryable: Whether the same request may succeed later; None: as for code and status.
        kind: Exception; None: as for code and status.
        statuses: HTTP statuses to which it applies; empty: all. It always applies to an error inside a 2xx response.
    """

    pattern: str
    source: str
    retryable: bool | None = None
    kind: ErrorKind | None = None
    hint: str = ""
    statuses: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class ProviderCode:
    """A provider's `type`, `code` or `status`.

    Attributes:
        kind: Exception; None: that of the status.
        retryable: Whether the same request may succeed later; None: as for the status.
        overrides: Whether it takes precedence over the HTTP status of the response.
    """

    status: int
    source: str
    kind: ErrorKind | None = None
    retryable: bool | None = None
    overrides: bool = False


_DAILY = "The free allocation of Workers AI is renewed at 00:00 UTC; the Workers Paid plan has no such limit."
_SPEND = "A spend limit of the gateway is reached; wait for its window to end, or raise it."
_PAID = "The model needs the Workers Paid plan."
_FITS = "Shorten the conversation, or lower max_tokens: input and output share the context window."
_CREDITS = "Add credits to the account, or store the provider's key in the gateway (BYOK)."
_BLOCKED = "See the gateway's guardrails; the log entry names the category."
_DLP = "See the gateway's data-loss prevention profiles."
_TOKEN = (
    "The REST API needs an API token with the permission Account > Workers AI > Read, also for models of other "
    "vendors; AI Gateway permissions alone are not enough."
)

CODES: tuple[Code, ...] = (
    # Gateway and API, §5.7.
    Code(2001, 400, "§5.7", hint="The gateway does not exist, or it has no key for this provider: check gateway_id."),
    Code(2003, 429, "§5.7; §8.2: no Retry-After", retryable=True, hint="The gateway's own rate limit is reached."),
    Code(
        2005,
        400,
        "§5.7: transient, cloudflare/ai#436",
        retryable=True,
        kind=ServerFault,
        hint="The provider failed behind the gateway: the log entry of the call has its message. If it persists, check "
        "the model id and the provider's key.",
    ),
    Code(2008, 400, "§5.7", hint="On the legacy host a model id begins with one of its provider names."),
    Code(
        2009,
        401,
        "§2.1, §5.7: since 2026-10-06 also on run",
        hint="The legacy host needs a token with AI Gateway > Run; on the REST API, the provider rejected the key "
        "stored in the gateway.",
    ),
    Code(2009, 503, "§5.7: since 2026-10-06, when Cloudflare's own key fails", retryable=True),
    Code(2016, 424, "§5.7, §8.4", kind=GuardrailBlocked, hint=_BLOCKED),
    Code(2017, 424, "§5.7: 422 on run", kind=GuardrailBlocked, hint=_BLOCKED),
    Code(2018, 429, "§5.7", retryable=True),
    Code(2019, 400, "§1.5, §5.7", hint="On the legacy host a model id begins with its provider's name and a slash."),
    Code(2021, 402, "§5.7", hint=_CREDITS),
    Code(2028, 500, "§5.7", hint="The dynamic route ended without a model: check its elements."),
    Code(2029, 400, "§5.7, §8.4", kind=GuardrailBlocked, hint=_DLP),
    Code(2030, 400, "§5.7, §8.4", kind=GuardrailBlocked, hint=_DLP),
    Code(2040, 400, "§2.3, §5.7", hint="Use one of the aliases that the message lists."),
    Code(2041, 429, "§5.7: early September 2026", kind=QuotaExceeded, hint=_SPEND),
    Code(2045, 429, "§5.7: October 2026", kind=QuotaExceeded, hint=_SPEND),
    Code(7000, 400, "§5.7: 500 with 'Model ID missing'", hint="No such path: check base_url, model and api."),
    Code(7001, 400, "§5.7"),
    Code(7003, 404, "§1.3, §5.7"),
    Code(7003, 400, "§1.4, §5.7: a body that the model refuses"),
    Code(7009, 502, "recorded cloudflare 4629bc8f3e91", retryable=True),
    Code(7013, 503, "§5.7: scanner down while its action is Block", retryable=True),
    Code(9106, 400, "§5.7", kind=AuthError, hint="The token did not arrive as 'Authorization: Bearer ...'."),
    Code(10000, 401, "§2.1, §5.7: 403 seen", kind=AuthError, hint=_TOKEN),
    # Workers AI, §5.6.
    Code(3003, 400, "§5.6"),
    Code(3006, 413, "§5.6"),
    Code(3007, 408, "§5.6", retryable=True),
    Code(3008, 408, "§5.6", retryable=True),
    Code(3021, 429, "§14.1", retryable=True, hint="Workers AI takes 20 or 50 requests a minute for each model."),
    Code(3023, 403, "§5.6", hint="The account is blocked: ask Cloudflare's support."),
    Code(3036, 429, "§5.6", kind=QuotaExceeded, hint=_DAILY),
    Code(3039, 400, "§5.6"),
    Code(3040, 429, "§5.6, §1.2", retryable=True, hint="The model is out of capacity for now."),
    Code(3041, 403, "§5.6", hint="The model is private."),
    Code(3042, 404, "§5.6", hint="Workers AI ids look like @cf/author/model."),
    Code(3050, 503, "recorded cloudflare bd8cb47ce9df", retryable=True),
    Code(4006, 429, "§5.6: sent in place of 3036", kind=QuotaExceeded, hint=_DAILY),
    Code(4007, 500, "§5.6", retryable=True),
    Code(5004, 400, "§5.6"),
    Code(5005, 405, "§5.6"),
    Code(5006, 400, "§5.6", hint="The model takes another input; a chat class may need another api=."),
    Code(5007, 400, "§5.6", kind=NotFound, hint="Workers AI ids look like @cf/author/model."),
    Code(5012, 422, "recorded cloudflare 7608ad7a1704"),
    Code(5016, 403, "§5.6", hint="Accept the model's terms: send the prompt 'agree' to it once."),
    Code(5017, 500, "§5.6: once", retryable=True),
    Code(5018, 403, "§5.6", hint="The model is private."),
    Code(5019, 405, "§5.6"),
    Code(5021, 413, "§5.6", kind=ContextOverflow, hint=_FITS),
    Code(5035, 403, "§1.3, §5.6", hint=_PAID),
    Code(8001, 400, "§5.6, §9.2"),
    Code(8006, 400, "§5.6", hint="A forced tool call needs a larger max_tokens on a reasoning model."),
    Code(8007, 400, "§14.1: any refusal of the model's server, which the message explains"),
)


MESSAGE_PATTERNS: tuple[MessagePattern, ...] = (
    MessagePattern(r"daily free allocation", "§5.6", False, QuotaExceeded, _DAILY),
    MessagePattern(
        r"wholesale rate.?limit",
        "§5.7: with 402, 429, and 200 with success false; §2.3: 200 requests a minute",
        retryable=True,
        hint="Unified Billing throttles the gateway: back off tens of seconds, or use the provider's own key (BYOK).",
    ),
    MessagePattern(r"spend(?:ing)? limit exceeded", "§5.7", False, QuotaExceeded, _SPEND),
    MessagePattern(
        r"context window|max(?:imum)? (?:context|model) length|context_length_exceeded|prompt (?:is )?too long"
        r"|total length of all messages is too long|available context size|exceeds? (?:the )?context limit"
        r"|model's context length|maximum number of tokens allowed|input is too long",
        "§5.6, §14.1; recorded chat 660-663, messages 344, responses 383; vLLM, SGLang, llama.cpp, Google, Bedrock",
        False,
        ContextOverflow,
        _FITS,
        (400, 413, 422),
    ),
    MessagePattern(
        r"\bnsfw\b",
        "§14.1: with 8007",
        False,
        GuardrailBlocked,
        "The model's own filter refused the prompt: change it, or use another model.",
        (400, 403, 422),
    ),
    MessagePattern(
        r"reasoning[ _.]?effort|\beffort\b.{0,80}(?:must|support|one of|valid)|support.{0,40}\beffort\b",
        "§14.1: with 8007; recorded messages 148",
        hint="The model has its own list of reasoning_effort values: use one of those, or leave it out.",
        statuses=(400, 422),
    ),
    MessagePattern(
        r"request time(?:d )?-?out(?! must)|timed out|\bcapacity\b|no more data cent(?:er|re)s",
        "§14.1: 3007 and 3040 in OpenAI's form",
        True,
        ServerFault,
        statuses=(400,),
    ),
    MessagePattern(
        r"resolved for spend-limit enforcement",
        "§14.1",
        False,
        PermissionDenied,
        "The gateway has a spend limit, and the model has no price: use another model, or another gateway.",
        statuses=(403,),
    ),
    MessagePattern(r"upstream provider returned an error", "§5.7", True, ServerFault, statuses=(400,)),
    MessagePattern(
        r"access denied by policy",
        "§8.4",
        False,
        PermissionDenied,
        "A policy of the gateway denies it; once there is a policy, everything that none allows is denied.",
    ),
    MessagePattern(
        r"not available via unified billing",
        "§5.7",
        False,
        hint="Cloudflare does not sell this model: store the provider's key in the gateway (BYOK).",
    ),
    MessagePattern(
        r"gateway authentication is required",
        "§2.2; §14.1: on Responses also where it is on",
        False,
        PaymentRequired,
        "Turn on authentication in the gateway's settings: Unified Billing needs it.",
        (402,),
    ),
    MessagePattern(r"not available on the workers ai plan", "recorded cloudflare d726c8793b10", False, hint=_PAID),
    MessagePattern(r"incorrect api key provided", "recorded responses 324: with status 400", False, AuthError),
    MessagePattern(r"could not route to", "§5.7", hint="Check account_id and base_url.", statuses=(404,)),
    MessagePattern(
        r"model not found",
        "§1.3",
        False,
        NotFound,
        "Ids are author/model with versions dotted (4.5, not 4-5), or @cf/author/model.",
    ),
    MessagePattern(
        r"max_completion_tokens",
        "§1.4",
        hint="The model takes max_completion_tokens instead of max_tokens on this API: try api='responses'.",
        statuses=(400,),
    ),
    MessagePattern(
        r"(?:temperature|top_p|top_k).{0,40}not supported",
        "§1.4",
        hint="The model takes no sampling parameters: leave out temperature, top_p and top_k.",
        statuses=(400,),
    ),
    MessagePattern(
        r"/v1/responses", "§1.4", hint="The model needs the Responses API: use api='responses'.", statuses=(400,)
    ),
    MessagePattern(
        r"thought_signature",
        "§1.4",
        hint="A tool call in the history lacks its signature: send messages back as they were received.",
        statuses=(400,),
    ),
    MessagePattern(
        r"tool_choice", "§9.2", hint="The model does not take this tool_choice: try 'auto'.", statuses=(400,)
    ),
    MessagePattern(r"json mode couldn't be met", "§9.1", hint="The model could not follow the schema: simplify it."),
    MessagePattern(
        r"model execution failed \(user input error\)|invalid value at",
        "§1.4, §13.18; with 7003, which stands for 404 where there is no status",
        False,
        InvalidRequest,
        "The model rejects the body: check the field in the message; a chat class may need another api=.",
        (400, 404),
    ),
    MessagePattern(
        r"error code: 1010|^just a moment|^attention required",
        "§5.5 shape 8, and Cloudflare's pages for browsers",
        hint="Cloudflare's edge blocked the client, not the request: a firewall or browser check protects the URL.",
    ),
    MessagePattern(r"\boverloaded\b", "§5.5 shape 6", True, ServerFault, statuses=(529,)),
)
"""First match wins."""

_OPENAI, _ANTHROPIC, _GOOGLE = "OpenAI's error codes", "Anthropic's error types", "Google's error statuses"

PROVIDER_CODES: Mapping[str, ProviderCode] = {
    "insufficient_quota": ProviderCode(
        429, f"{_OPENAI}; 400 in recorded responses 614", QuotaExceeded, False, overrides=True
    ),
    "billing_hard_limit_reached": ProviderCode(429, _OPENAI, QuotaExceeded, False, overrides=True),
    "context_length_exceeded": ProviderCode(
        400, f"{_OPENAI}; recorded responses 383", ContextOverflow, False, overrides=True
    ),
    "exceed_context_size_error": ProviderCode(400, "llama.cpp; §14.1", ContextOverflow, False, overrides=True),
    "content_policy_violation": ProviderCode(400, _OPENAI, GuardrailBlocked, False, overrides=True),
    "content_filter": ProviderCode(400, "Azure", GuardrailBlocked, False, overrides=True),
    "too_many_prompt_tokens": ProviderCode(
        400, "Perplexity; recorded chat 663", ContextOverflow, False, overrides=True
    ),
    "model_not_found": ProviderCode(404, f"{_OPENAI}; 400 in recorded responses 1", overrides=True),
    "invalid_api_key": ProviderCode(401, _OPENAI, overrides=True),
    "authentication_error": ProviderCode(401, _ANTHROPIC, overrides=True),
    "rate_limit_exceeded": ProviderCode(429, _OPENAI),
    "ratelimitreached": ProviderCode(429, "Azure; recorded chat 659"),
    "server_error": ProviderCode(500, _OPENAI),
    "invalid_prompt": ProviderCode(400, f"{_OPENAI}; §5.5 shape 5"),
    "model_overloaded": ProviderCode(503, _OPENAI),
    "invalid_request_error": ProviderCode(400, _ANTHROPIC),
    "billing_error": ProviderCode(402, _ANTHROPIC),
    "permission_error": ProviderCode(403, _ANTHROPIC),
    "not_found_error": ProviderCode(404, _ANTHROPIC),
    "request_too_large": ProviderCode(413, _ANTHROPIC),
    "rate_limit_error": ProviderCode(429, _ANTHROPIC),
    "api_error": ProviderCode(500, _ANTHROPIC),
    "timeout_error": ProviderCode(504, _ANTHROPIC),
    "overloaded_error": ProviderCode(529, _ANTHROPIC),
    "invalid_argument": ProviderCode(400, _GOOGLE),
    "failed_precondition": ProviderCode(400, _GOOGLE),
    "unauthenticated": ProviderCode(401, _GOOGLE),
    "permission_denied": ProviderCode(403, _GOOGLE),
    "not_found": ProviderCode(404, _GOOGLE),
    "resource_exhausted": ProviderCode(429, _GOOGLE),
    "internal": ProviderCode(500, _GOOGLE),
    "unavailable": ProviderCode(503, _GOOGLE),
    "deadline_exceeded": ProviderCode(504, _GOOGLE),
}
"""By the code in lower case."""

PAYMENT_HINT = "The server asks for a machine payment (x402), which this package does not support."
"""With the header `payment-required` (§3.4)."""

_KINDS: Mapping[int, ErrorKind] = {
    401: AuthError,
    402: PaymentRequired,
    403: PermissionDenied,
    404: NotFound,
    429: RateLimited,
}


def kind_of_status(status: int) -> ErrorKind:
    """The exception for an HTTP status."""
    if status in _KINDS:
        return _KINDS[status]
    if status >= 500:
        return ServerFault
    return InvalidRequest if status >= 400 else ApiError


UNCERTAIN = frozenset({409, 504, 524})
"""Statuses that leave open whether the model ran: the first request may still be running, or a host between gave up
waiting for it (§5.8)."""


def retryable_status(status: int) -> bool:
    """Whether Cloudflare's own clients retry, and the model did not run (§5.8)."""
    return status not in UNCERTAIN and (status in (408, 429) or status >= 500)
