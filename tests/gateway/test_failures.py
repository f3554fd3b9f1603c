"""Every error code, every body shape and every recorded error to its exception."""

from __future__ import annotations

import json
import pickle
from collections import Counter
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest

from cfaig_integrations import errors
from cfaig_integrations.errors import (
    ApiError,
    AuthError,
    ContextOverflow,
    GuardrailBlocked,
    InvalidRequest,
    NotFound,
    PaymentRequired,
    PermissionDenied,
    ProtocolError,
    QuotaExceeded,
    RateLimited,
    ServerFault,
)
from cfaig_integrations.gateway.failures import from_embedded, from_html, from_response
from cfaig_integrations.gateway.failures.codes import CODES, MESSAGE_PATTERNS, PROVIDER_CODES
from tests.wire.harness import needs_complete_recordings, recordings

REQUEST = "82a04848-3949-4645-83f0-94050e19f74b"


def v4(code: int | None, message: str = "It failed") -> dict[str, Any]:
    return {"success": False, "errors": [{"code": code, "message": message}], "messages": [], "result": {}}


def answer(status: int, body: object, headers: Mapping[str, str] | None = None) -> ApiError:
    return from_response(status, headers or {}, json.dumps(body).encode())


# facts §5.6 and §5.7, written down a second time: code, status, exception, worth another try, what the hint says.
BY_CODE: list[tuple[int, int, type[ApiError], bool, str]] = [
    (2001, 400, InvalidRequest, False, "gateway"),
    (2003, 429, RateLimited, True, ""),
    (2005, 400, ServerFault, True, "log entry"),
    (2008, 400, InvalidRequest, False, ""),
    (2009, 401, AuthError, False, "AI Gateway > Run"),
    (2009, 503, ServerFault, True, ""),
    (2016, 424, GuardrailBlocked, False, "guardrails"),
    (2016, 403, GuardrailBlocked, False, "guardrails"),
    (2017, 424, GuardrailBlocked, False, "guardrails"),
    (2017, 422, GuardrailBlocked, False, "guardrails"),
    (2018, 429, RateLimited, True, ""),
    (2019, 400, InvalidRequest, False, "provider"),
    (2021, 402, PaymentRequired, False, "credits"),
    (2028, 500, ServerFault, False, "route"),
    (2029, 400, GuardrailBlocked, False, "data-loss"),
    (2030, 400, GuardrailBlocked, False, "data-loss"),
    (2040, 400, InvalidRequest, False, "aliases"),
    (2041, 429, QuotaExceeded, False, "spend limit"),
    (2045, 429, QuotaExceeded, False, "spend limit"),
    (7000, 400, InvalidRequest, False, "base_url"),
    (7000, 500, ServerFault, False, "base_url"),
    (7001, 400, InvalidRequest, False, ""),
    (7001, 405, InvalidRequest, False, ""),
    (7003, 404, NotFound, False, ""),
    (7003, 400, InvalidRequest, False, ""),
    (7009, 502, ServerFault, True, ""),
    (7013, 503, ServerFault, True, ""),
    (9106, 400, AuthError, False, "Bearer"),
    (10000, 401, AuthError, False, "Account > Workers AI > Read"),
    (10000, 403, AuthError, False, "Account > Workers AI > Read"),
    (3003, 400, InvalidRequest, False, ""),
    (3006, 413, InvalidRequest, False, ""),
    (3007, 408, InvalidRequest, True, ""),
    (3008, 408, InvalidRequest, True, ""),
    (3023, 403, PermissionDenied, False, ""),
    (3036, 429, QuotaExceeded, False, "00:00 UTC"),
    (3039, 400, InvalidRequest, False, ""),
    (3040, 429, RateLimited, True, "capacity"),
    (3041, 403, PermissionDenied, False, "private"),
    (3042, 404, NotFound, False, "@cf/"),
    (3050, 503, ServerFault, True, ""),
    (4006, 429, QuotaExceeded, False, "00:00 UTC"),
    (4007, 500, ServerFault, True, ""),
    (5004, 400, InvalidRequest, False, ""),
    (5005, 405, InvalidRequest, False, ""),
    (5006, 400, InvalidRequest, False, "api="),
    (5007, 400, NotFound, False, "@cf/"),
    (5012, 422, InvalidRequest, False, ""),
    (5016, 403, PermissionDenied, False, "agree"),
    (5017, 500, ServerFault, True, ""),
    (5018, 403, PermissionDenied, False, "private"),
    (5019, 405, InvalidRequest, False, ""),
    (5021, 413, ContextOverflow, False, "max_tokens"),
    (5035, 403, PermissionDenied, False, "Workers Paid"),
    (8001, 400, InvalidRequest, False, ""),
    (8006, 400, InvalidRequest, False, "max_tokens"),
    (8007, 400, InvalidRequest, False, ""),
    (3021, 429, RateLimited, True, "minute"),
]


@pytest.mark.parametrize(("code", "status", "kind", "retryable", "hint"), BY_CODE)
def test_exception_of_each_code(code: int, status: int, kind: type[ApiError], retryable: bool, hint: str) -> None:
    error = answer(status, v4(code))
    assert (type(error), error.retryable, error.code, error.status) == (kind, retryable, code, status)
    assert hint in error.hint
    assert str(code) in str(error)


@pytest.mark.parametrize("row", CODES, ids=lambda row: f"{row.code}-{row.status}")
def test_a_code_in_a_2xx_response_has_the_exception_of_its_own_status(row: Any) -> None:
    inside, outside = from_embedded(v4(row.code), {}), answer(row.status, v4(row.code))
    first = next(other for other in CODES if other.code == row.code)
    if row is first:
        assert (type(inside), inside.retryable, inside.hint) == (type(outside), outside.retryable, outside.hint)
    assert inside.status == 200


def test_every_row_of_the_tables_is_tested() -> None:
    assert {(row.code, row.status) for row in CODES} <= {(code, status) for code, status, *_ in BY_CODE}
    assert len({(row.code, row.status) for row in CODES}) == len(CODES)
    assert all(row.source for row in (*CODES, *MESSAGE_PATTERNS, *PROVIDER_CODES.values()))
    assert all(word == word.lower() for word in PROVIDER_CODES)
    assert all(400 <= word.status < 600 for word in PROVIDER_CODES.values())


BY_STATUS: list[tuple[int, type[ApiError], bool]] = [
    (302, ApiError, False),
    (400, InvalidRequest, False),
    (401, AuthError, False),
    (402, PaymentRequired, False),
    (403, PermissionDenied, False),
    (404, NotFound, False),
    (405, InvalidRequest, False),
    (408, InvalidRequest, True),
    (409, InvalidRequest, False),
    (413, InvalidRequest, False),
    (418, InvalidRequest, False),
    (424, InvalidRequest, False),
    (429, RateLimited, True),
    *((status, ServerFault, status not in (504, 524)) for status in (*range(500, 505), *range(520, 525), 529, 530)),
]


@pytest.mark.parametrize(("status", "kind", "retryable"), BY_STATUS)
@pytest.mark.parametrize("body", [b"", b"{}", b"[]", b"null", b"<html>", b'{"error": {}}', b"\xff\xfe", b'"x"', b"3"])
def test_exception_of_a_status_without_a_code(status: int, kind: type[ApiError], retryable: bool, body: bytes) -> None:
    """facts §5.8."""
    error = from_response(status, {}, body)
    assert (type(error), error.retryable, error.code) == (kind, retryable, None)
    assert error.maybe_billed is (status in (409, 504, 524))
    assert error.message


# The eight shapes of facts §5.5: body, message, code.
SHAPES: list[tuple[str, object, str, int | str | None]] = [
    ("v4", v4(5007, f"AiError: AiError: No such model ({REQUEST})"), "No such model", 5007),
    ("v4 without result", {"errors": [{"message": "no"}], "success": False}, "no", None),
    ("gateway", {"success": False, "error": [{"code": 2008, "message": "Invalid provider"}], "httpCode": 400,
                 "internalCode": 2008, "message": "outer"}, "Invalid provider", 2008),
    ("gateway, bare", {"name": "AiGatewayError", "internalCode": 2008, "message": "Invalid provider"},
     "Invalid provider", 2008),
    ("workers ai", {"name": "AiError", "internalCode": 5006, "httpCode": 400, "description": "Bad",
                    "message": "AiError: Bad input (87064f8a)"}, "Bad input", 5006),
    ("workers ai, description", {"internalCode": 5006, "description": "Bad"}, "Bad", 5006),
    ("policy", {"success": False, "error": {"message": "Access denied by policy"}}, "Access denied by policy", None),
    ("openai", {"error": {"message": "Bad", "type": "invalid_request_error", "param": "x", "code": None}},
     "Bad", "invalid_request_error"),
    ("openai, code", {"error": {"code": "invalid_prompt", "message": "AiError: Bad input: x"}}, "Bad input: x",
     "invalid_prompt"),
    ("anthropic", {"type": "error", "error": {"type": "invalid_request_error", "message": "Bad"}, "request_id": "r1"},
     "Bad", "invalid_request_error"),
    ("string", {"error": "Bad"}, "Bad", None),
    ("string, code", {"error": "Bad", "code": "invalid-argument"}, "Bad", "invalid-argument"),
    ("web search", {"ok": False, "error": {"category": "gateway", "code": "invalid_web_search_input", "status": 400,
                                           "retryable": False}}, "invalid_web_search_input",
     "invalid_web_search_input"),
    ("fastapi", {"detail": "Bad"}, "Bad", None),
    ("google", [{"error": {"code": 400, "message": "Bad", "status": "INVALID_ARGUMENT"}}], "Bad", 400),
    ("numbered", {"error": "5007: No such model"}, "No such model", 5007),
    ("numbered, with a type", {"type": "error", "error": {"type": "api_error", "message": "5007: No such model"}},
     "No such model", 5007),
    ("envelope, plain", {"state": "Failed", "result": {"name": "AiError", "internalCode": 5006, "message": "Bad"}},
     "Bad", 5006),
    ("digits", {"error": {"code": "5007", "message": "No such model"}}, "No such model", 5007),
    ("json in a message", v4(8007, f'AiError: AiError: {{"object":"error","message":"Too long"}} ({REQUEST})'),
     "Too long", 8007),
    ("errors, an object", {"errors": {"message": "Bad", "code": 5006}}, "Bad", 5006),
    ("errors, texts", {"errors": ["", "Bad"]}, "Bad", None),
    ("errors, the second tells", {"errors": [None, {}, {"message": "Bad"}]}, "Bad", None),
    ("google, the second tells", [{}, {"error": {"code": 400, "message": "Bad"}}], "Bad", 400),
    ("google, in a message", {"error": {"message": '[{"error": {"code": 400, "message": "Bad"}}]'}}, "Bad", 400),
    ("envelope", {"state": "Failed", "result": {"error": {"message": "Bad", "code": "x"}}, "gatewayMetadata": {}},
     "Bad", "x"),
    ("envelope, outside", {"state": "Error", "error": "Bad", "result": {}, "gatewayMetadata": {}}, "Bad", None),
    ("error in error", {"error": {"error": {"message": "Bad", "type": "x"}}}, "Bad", "x"),
    ("message, an object", {"message": {"message": "Bad"}}, "Bad", None),
    ("fastapi, list", {"detail": [{"loc": ["body"], "msg": "Bad", "type": "missing"}]}, "Bad", "missing"),
    ("vllm", {"object": "error", "message": "Bad", "type": "BadRequestError", "param": None, "code": 400}, "Bad", 400),
    ("llama.cpp", {"error": {"code": 400, "message": "Bad", "type": "invalid_request_error"}}, "Bad", 400),
    ("error, true", {"error": True, "message": "Bad"}, "Bad", None),
    ("a code of many digits", {"error": {"code": "7" * 5000, "message": "Bad"}}, "Bad", "7" * 100),
    ("broken json in a message", v4(5012, "AiError: {not json"), "{not json", 5012),
]  # fmt: skip


@pytest.mark.parametrize(("body", "message", "code"), [row[1:] for row in SHAPES], ids=[row[0] for row in SHAPES])
def test_message_and_code_of_every_shape(body: object, message: str, code: int | str | None) -> None:
    error = answer(400, body)
    assert (error.message, error.code) == (message, code)
    if isinstance(body, dict):
        inside = from_embedded(body, {})
        assert (inside.message, inside.code, inside.body) == (message, code, body)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("error code: 1010", "error code: 1010"),
        ("x" * 2000, "x" * 500 + " ..."),
    ],
)
def test_message_of_a_body_that_is_not_json(text: str, message: str) -> None:
    error = from_response(502, {}, text.encode())
    assert error.message == message
    assert error.body == text


@pytest.mark.parametrize(("status", "kind", "retryable"), [row for row in BY_STATUS if row[0] != 302])
def test_an_html_page_has_the_error_of_its_status_with_title_type_and_ray(
    status: int, kind: type[ApiError], retryable: bool
) -> None:
    page = b"\xef\xbb\xbf <!doctype html><HTML><Title lang=en> Bad &amp;\nGateway </TITLE>Ray ID: <b>8f00ba4711ab</b>"
    error = from_response(status, {"content-type": "text/html"}, page)
    assert (type(error), error.retryable, error.ray_id) == (kind, retryable, "8f00ba4711ab")
    for fact in ("HTML page", "'Bad & Gateway'", "text/html", str(status), "8f00ba4711ab"):
        assert fact in str(error)


@pytest.mark.parametrize("page", [b"<html>", b"<title>", b"<title>" * 9999, b"<title" + b" " * 99999, b"\xff<", b""])
def test_an_html_page_with_a_2xx_status_is_a_protocol_error(page: bytes) -> None:
    error = from_html(200, {"content-type": "text/html", "cf-ray": "8f-AMS"}, page)
    assert type(error) is ProtocolError
    assert all(fact in str(error) for fact in ("HTML page", "text/html", "200", "8f-AMS", "base_url"))


@pytest.mark.parametrize(
    ("location", "shown"),
    [
        ("https://api.example/v2/x", "'https://api.example/v2/x'"),
        ("/v2/x", "'/v2/x'"),
        ("https://me:secret@api.example/x?token=secret#secret", "'https://***api.example/x'"),
        ("https://team.example/login?kid=secret", "'https://team.example/login'"),
        ("https://[::1", "'https://[::1'"),
    ],
)
def test_a_redirect_shows_its_location_without_secrets(location: str, shown: str) -> None:
    for status in (301, 302, 303, 307, 308):
        error = from_response(status, {"location": location}, b"<html><title>Moved</title>")
        assert (type(error), error.retryable, error.status) == (ApiError, False, status)
        assert shown in error.message
        assert "base_url" in str(error)
        assert "secret" not in f"{error} {error.headers} {error.body}"


@pytest.mark.parametrize(
    ("headers", "body", "expected"),
    [
        ({"cf-aig-request-id": "h"}, v4(5007, f"AiError: x ({REQUEST})"), "h"),
        ({}, v4(5007, f"AiError: x ({REQUEST})"), REQUEST),
        ({}, {"requestId": "b", "message": "x"}, "b"),
        ({}, {"type": "error", "error": {"message": "x"}, "request_id": "a"}, "a"),
        ({}, v4(5007), None),
    ],
)
def test_request_id(headers: dict[str, str], body: object, expected: str | None) -> None:
    assert answer(400, body, headers).request_id == expected


def test_the_exception_has_ids_and_headers_but_no_cookies() -> None:
    headers = {"cf-aig-log-id": "log", "cf-aig-event-id": "ev", "cf-ray": "ray", "set-cookie": "__cf_bm=secret"}
    error = answer(400, v4(5007), headers)
    assert (error.log_id, error.event_id, error.ray_id) == ("log", "ev", "ray")
    assert "set-cookie" not in error.headers
    assert str(pickle.loads(pickle.dumps(error))) == str(error)


# Messages that say more than their code (facts §5.6, §5.7, §8.4, §1.4, recordings).
SENTENCED: list[tuple[int, int | None, str, type[ApiError], bool, str]] = [
    (429, None, "you have used up your daily free allocation of 10,000 neurons", QuotaExceeded, False, "00:00"),
    (402, 2021, "Wholesale rate limit exceeded for this gateway.", PaymentRequired, True, "Unified Billing"),
    (402, 7003, "Wholesale rate limit exceeded for this gateway.", PaymentRequired, True, "Unified Billing"),
    (429, 2018, "Wholesale Rate limited", RateLimited, True, "Unified Billing"),
    (402, 2021, "Insufficient balance; add money to your gateway or use BYOK", PaymentRequired, False, "credits"),
    (402, 2021, "This model is not available via unified billing. Please use BYOK.", PaymentRequired, False, "BYOK"),
    (402, 2021, "Gateway authentication is required to use unified billing", PaymentRequired, False, "Turn on"),
    (429, None, "Spending limit exceeded", QuotaExceeded, False, "spend limit"),
    (429, 2045, "Spend limit exceeded: rule 'a'", QuotaExceeded, False, "spend limit"),
    (400, None, "The upstream provider returned an error while processing this request.", ServerFault, True, ""),
    (403, None, "Access denied by policy", PermissionDenied, False, "policy"),
    (404, 7003, "Model not found: acme/m-4-5", NotFound, False, "dotted"),
    (404, 7003, "Could not route to /client/v4/accounts/x/ai/run", NotFound, False, "account_id"),
    (400, 7003, "Model execution failed (User Input Error): Invalid value at 'input'", InvalidRequest, False, "api="),
    (400, 7003, "Unsupported parameter: use 'max_completion_tokens' instead.", InvalidRequest, False, "max_comple"),
    (400, 7003, "`temperature` is not supported on this model. Remove it.", InvalidRequest, False, "sampling"),
    (400, 7003, "Function tools need /v1/responses", InvalidRequest, False, "api='responses'"),
    (400, 7003, "Function call is missing a thought_signature", InvalidRequest, False, "signature"),
    (400, 8001, "tool_choice: any", InvalidRequest, False, "'auto'"),
    (400, None, "JSON Mode couldn't be met", InvalidRequest, False, "schema"),
    (400, 7003, "This model's maximum context length is 5 tokens", ContextOverflow, False, "max_tokens"),
    (413, None, "exceeded this model context window limit", ContextOverflow, False, "max_tokens"),
    (400, None, "prompt is too long: 3 tokens > 2 maximum", ContextOverflow, False, "max_tokens"),
    (500, None, "the context window service is down", ServerFault, True, ""),
    (403, None, "Model x is not available on the Workers AI plan", PermissionDenied, False, "Workers Paid"),
    (400, None, "Incorrect API key provided", AuthError, False, ""),
    (403, None, "error code: 1010", PermissionDenied, False, "edge"),
    (529, None, "Overloaded", ServerFault, True, ""),
    # facts §14.1
    (400, 8007, "Input prompt contains NSFW content.", GuardrailBlocked, False, "filter"),
    (400, 8007, "reasoning_effort must be one of low, medium, high", InvalidRequest, False, "reasoning_effort"),
    (400, None, "This model does not support effort level 'xhigh'.", InvalidRequest, False, "reasoning_effort"),
    (
        400,
        8007,
        "Token count exceeds the model's maximum context length",
        ContextOverflow,
        False,
        "max_",
    ),
    (400, 8007, "Something else", InvalidRequest, False, ""),
    (429, 3021, "inference request per min rate reached", RateLimited, True, "minute"),
    (400, None, "AiError: Request timeout", ServerFault, True, ""),
    (400, 7003, "AiError: Request timed out", ServerFault, True, ""),
    (400, None, "AiError: Capacity temporarily exceeded, please try again.", ServerFault, True, ""),
    (429, 3040, "Capacity temporarily exceeded, please try again.", RateLimited, True, "capacity"),
    (400, None, "There are no more data centers to forward the request to", ServerFault, True, ""),
    (400, None, "the request exceeds the available context size (8 tokens)", ContextOverflow, False, "max_"),
    (
        403,
        None,
        "Model could not be resolved for spend-limit enforcement",
        PermissionDenied,
        False,
        "price",
    ),
]


@pytest.mark.parametrize(("status", "code", "message", "kind", "retryable", "hint"), SENTENCED)
def test_a_message_pattern_overrides_the_code(
    status: int, code: int | None, message: str, kind: type[ApiError], retryable: bool, hint: str
) -> None:
    error = answer(status, v4(code, message))
    assert (type(error), error.retryable) == (kind, retryable)
    assert hint in error.hint


# Words of providers, in a 2xx answer or a stream, where no status speaks.
WORDED: list[tuple[object, type[ApiError], bool]] = [
    ({"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}, ServerFault, True),
    ({"type": "error", "error": {"type": "rate_limit_error", "message": "Slow down"}}, RateLimited, True),
    ({"type": "error", "error": {"type": "api_error", "message": "Oops"}}, ServerFault, True),
    ({"type": "error", "error": {"type": "timeout_error", "message": "Late"}}, ServerFault, False),
    ({"type": "error", "error": {"type": "invalid_request_error", "message": "Bad"}}, InvalidRequest, False),
    ({"type": "error", "error": {"type": "authentication_error", "message": "Who?"}}, AuthError, False),
    ({"type": "error", "error": {"type": "permission_error", "message": "No"}}, PermissionDenied, False),
    ({"type": "error", "error": {"type": "billing_error", "message": "Pay"}}, PaymentRequired, False),
    ({"type": "error", "error": {"type": "not_found_error", "message": "Where?"}}, NotFound, False),
    ({"type": "error", "code": "server_error", "message": "Oops", "param": None}, ServerFault, True),
    ({"type": "error", "code": "rate_limit_exceeded", "message": "Slow down"}, RateLimited, True),
    (
        {
            "type": "response.failed",
            "response": {"status": "failed", "error": {"code": "server_error", "message": "x"}},
        },
        ServerFault,
        True,
    ),
    ({"error": {"code": "insufficient_quota", "type": "insufficient_quota", "message": "x"}}, QuotaExceeded, False),
    ({"error": {"code": "context_length_exceeded", "message": "x"}}, ContextOverflow, False),
    ({"error": {"code": "invalid_api_key", "type": "invalid_request_error", "message": "x"}}, AuthError, False),
    ({"error": {"code": "tool_use_failed", "message": "x", "status_code": 400}}, InvalidRequest, False),
    ({"error": {"code": 429, "message": "x", "status": "RESOURCE_EXHAUSTED"}}, RateLimited, True),
    ({"error": {"code": 400, "message": "Token limit reached"}}, InvalidRequest, False),
    ({"error": {"message": "The model is overloaded"}}, ServerFault, True),
    ({"error": {"message": "Something"}}, ServerFault, False),
    ({"error": {"message": "Something", "retryable": True}}, ServerFault, True),
    ({"success": False}, ServerFault, False),
    ({"error": {"code": "invalid_prompt", "message": "AiError: Request timeout"}}, ServerFault, True),
    ({"error": {"type": "exceed_context_size_error", "message": "too big"}}, ContextOverflow, False),
    ({"error": {"code": "content_filter", "message": "x"}}, GuardrailBlocked, False),
    ({"success": False, "errors": [{"code": 2021, "message": "Wholesale rate limit exceeded"}]}, PaymentRequired, True),
    (
        {"errors": [{"code": 7003, "message": "Model execution failed (User Input Error): Invalid value at input"}]},
        InvalidRequest,
        False,
    ),
    ({"error": "Model or provider could not be resolved for spend-limit enforcement"}, PermissionDenied, False),
    ({"error": "Gateway authentication is required to use unified billing"}, PaymentRequired, False),
]


@pytest.mark.parametrize(("body", "kind", "retryable"), WORDED)
def test_an_error_inside_a_stream_is_classified_by_its_provider_code(
    body: dict[str, Any], kind: type[ApiError], retryable: bool
) -> None:
    error = from_embedded(body, {"cf-aig-log-id": "log"})
    assert (type(error), error.retryable, error.status, error.log_id) == (kind, retryable, 200, "log")


@pytest.mark.parametrize(
    ("status", "word", "kind", "retryable"),
    [
        (400, "insufficient_quota", QuotaExceeded, False),
        (429, "insufficient_quota", QuotaExceeded, False),
        (400, "model_not_found", NotFound, False),
        (400, "context_length_exceeded", ContextOverflow, False),
        (429, "rate_limit_exceeded", RateLimited, True),
        (400, "server_error", InvalidRequest, False),
        (500, "invalid_request_error", ServerFault, True),
    ],
)
def test_provider_codes_that_override_the_status(status: int, word: str, kind: type[ApiError], retryable: bool) -> None:
    error = answer(status, {"error": {"code": word, "message": "x"}})
    assert (type(error), error.retryable) == (kind, retryable)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("Fri, 31 Dec 99999 23:59:59 GMT", None),
        ("9" * 5000, None),
        ("Fri, 01 Jan 2100 00:00:00 +9999", None),
        ("1 2 3", None),
        ("7", 7.0),
        ("0.5", 0.5),
        ("-3", 0.0),
        ("soon", None),
        ("", None),
        ("nan", None),
        ("inf", None),
    ],
)
def test_retry_after_in_seconds(text: str, seconds: float | None) -> None:
    assert answer(429, v4(2003), {"retry-after": text}).retry_after == seconds


@pytest.mark.parametrize("ahead", [60, -60])
def test_retry_after_as_a_date(ahead: int) -> None:
    date = format_datetime(datetime.now(UTC) + timedelta(seconds=ahead), usegmt=True)
    waited = answer(429, v4(2003), {"retry-after": date}).retry_after
    assert waited is not None
    assert max(0, ahead) - 30 < waited <= max(0, ahead)


def test_a_402_that_asks_for_a_machine_payment_has_a_hint() -> None:
    """facts §3.4."""
    assert "x402" in answer(402, {"error": "Payment required"}, {"payment-required": "e30="}).hint


SECRETS = [
    "Bearer abc.DEF-123",
    "bearer abc.DEF-123",
    "sk-proj-abcdef123456",
    "Incorrect API key provided: abc.DEF-123.",
]


@pytest.mark.parametrize("secret", SECRETS)
def test_credentials_are_removed_from_messages_and_bodies(secret: str) -> None:
    body = {"error": {"message": f'The header "{secret}" is wrong', "type": "x"}, "echo": secret}
    for error in (answer(401, body), from_embedded(body, {}), from_response(401, {}, f"no: {secret}".encode())):
        for leak in ("abc.DEF-123", "abcdef123456"):
            assert leak not in f"{error} {error.body} {error.message}"
        assert "***" in error.message


def test_every_exception_class_is_used() -> None:
    kinds = (
        {kind for _, _, _, kind, *_ in SENTENCED}
        | {kind for _, _, kind, *_ in BY_CODE}
        | {kind for _, kind, _ in BY_STATUS}
    )
    tree = {kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, ApiError)}
    assert kinds == tree


RECORDED_REFUSALS: dict[str, tuple[type[ApiError], int | str | None, bool]] = {
    "cloudflare 18": (AuthError, 2009, False),
    "cloudflare 19": (ServerFault, 2005, True),
    "cloudflare 20": (InvalidRequest, 2040, False),
    "cloudflare 21": (RateLimited, 2003, True),
    "cloudflare 22": (ContextOverflow, 5021, False),
    "cloudflare 23": (InvalidRequest, 2008, False),
    "cloudflare 24": (ServerFault, 5017, True),
    "cloudflare 25": (ContextOverflow, 8007, False),
    "cloudflare 26": (ContextOverflow, 5021, False),
    "cloudflare 27": (InvalidRequest, 5006, False),
    "cloudflare 28": (InvalidRequest, 5012, False),
    "cloudflare 29": (NotFound, 7003, False),
    "cloudflare 30": (ServerFault, 7009, True),
    "cloudflare 31": (InvalidRequest, 7001, False),
    "cloudflare 32": (InvalidRequest, 5006, False),
    "cloudflare 33": (ServerFault, 3050, True),
    "cloudflare 34": (PermissionDenied, None, False),
    "cloudflare 35": (QuotaExceeded, 4006, False),
    "cloudflare 36": (AuthError, 401, False),
    "cloudflare 37": (GuardrailBlocked, 2016, False),
    "cloudflare 38": (PaymentRequired, 2021, False),
    "cloudflare 39": (PermissionDenied, None, False),
    "chat 27": (NotFound, "model_not_found", False),
    "chat 332": (RateLimited, 429, True),
    "chat 498": (AuthError, None, False),
    "chat 659": (RateLimited, "RateLimitReached", True),
    "chat 660": (ContextOverflow, "invalid_request_error", False),
    "chat 661": (ContextOverflow, "invalid_request_error", False),
    "chat 662": (ContextOverflow, 400, False),
    "chat 663": (ContextOverflow, 400, False),
    "chat 811": (InvalidRequest, "unsupported_parameter", False),
    "responses 1": (NotFound, "model_not_found", False),
    "responses 323": (AuthError, "invalid_api_key", False),
    "responses 324": (AuthError, "invalid-argument", False),
    "responses 383": (ContextOverflow, "context_length_exceeded", False),
    "responses 614": (QuotaExceeded, "insufficient_quota", False),
    "responses 652": (InvalidRequest, "invalid_request_error", False),
    "messages 21": (NotFound, "not_found_error", False),
    "messages 148": (InvalidRequest, "invalid_request_error", False),
    "messages 309": (AuthError, "authentication_error", False),
    "messages 344": (ContextOverflow, "invalid_request_error", False),
}


@needs_complete_recordings
def test_every_recorded_error_has_a_message_and_the_right_exception() -> None:
    seen: Counter[str] = Counter()
    for kind in ("cloudflare", "chat", "responses", "messages"):
        refusals = recordings(kind, ok=False)
        refusals += [r for r in recordings(kind, ok=True) if r.get("kind") == "error"]
        for record in refusals:
            seen[kind] += 1
            error = from_response(record["status"], record["response_headers"], record["response_body"].encode())
            assert error.message
            assert not error.message.startswith(("AiError", "{", "<"))
            assert error.retryable is (error.status in (429, 500, 502, 503) or error.code == 2005)
            name = f"{kind} {record['line']}"
            if name in RECORDED_REFUSALS:
                assert (type(error), error.code, error.retryable) == RECORDED_REFUSALS[name], name
    assert seen == {"cloudflare": 22, "chat": 22, "responses": 13, "messages": 4}
