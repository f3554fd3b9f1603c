"""Any response becomes an error of this package that can be printed and pickled."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cfaig_integrations.errors import GatewayError, ProtocolError
from cfaig_integrations.gateway.failures import from_embedded, from_html, from_response
from cfaig_integrations.gateway.failures.redaction import conceal
from cfaig_integrations.gateway.info import read_info
from cfaig_integrations.gateway.logs import read_entry

WORDS = st.sampled_from(
    ["error", "errors", "message", "code", "type", "status", "detail", "description", "response", "result", "success",
     "internalCode", "httpCode", "retryable", "request_id", "id", "metadata", "cost", "created_at", "<title>",
     "AiError:",
     "5007: x", "Bearer x1234567", "{", '{"error": {"message": 1}}', "[]", "null", "\ud83d", "\ude00", "9" * 5000]
)  # fmt: skip
TEXTS = WORDS | st.text(st.characters(), max_size=20)
NUMBERS = st.integers() | st.floats() | st.builds(lambda: 10**5000) | st.sampled_from([2**63, 404, 1e308])
VALUES = st.recursive(
    st.none() | st.booleans() | NUMBERS | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=12,
)
HEADERS = st.dictionaries(
    st.sampled_from(["retry-after", "location", "content-type", "cf-ray", "cf-aig-step", "cf-aig-dlp", "x-api-key"]),
    st.text(st.characters(max_codepoint=255), max_size=30)
    | st.sampled_from(["9" * 5000, "Fri, 31 Dec 99999 23:59:59 GMT", "[" * 3000, '{"a":' * 3000, "1e999"]),
)
STATUSES = st.sampled_from([100, 200, 302, 304, 400, 402, 408, 429, 500, 503, 529, 999])
BRIEFLY = settings(max_examples=60, derandomize=True)


def usable(error: GatewayError) -> None:
    conceal(error, [(b"authorization", b"Bearer canary-canary")])
    assert isinstance(error, GatewayError)
    assert error.message
    for shown in (str(error), repr(error)):
        assert "canary" not in shown
    again = pickle.loads(pickle.dumps(error))
    assert (str(again), repr(vars(again))) == (str(error), repr(vars(error)))


def written(value: Any) -> bytes:
    try:
        return json.dumps(value).encode()
    except ValueError:  # a number that Python does not print
        return b'{"error": {"code": ' + b"9" * 5000 + b', "message": "x"}}'


@BRIEFLY
@given(value=VALUES, headers=HEADERS, status=STATUSES)
def test_any_json_value_becomes_an_error(value: Any, headers: dict[str, str], status: int) -> None:
    usable(from_embedded(value, headers, status))
    usable(from_response(status, headers, written(value)))


@BRIEFLY
@given(body=st.binary(max_size=200), headers=HEADERS, status=STATUSES)
def test_any_bytes_become_an_error(body: bytes, headers: dict[str, str], status: int) -> None:
    usable(from_response(status, headers, body))
    usable(from_html(status, headers, b"<title>" + body))


@BRIEFLY
@given(headers=HEADERS, text=st.text(st.characters(max_codepoint=255)))
def test_any_headers_can_be_read(headers: dict[str, str], text: str) -> None:
    info = read_info({**headers, "cf-aig-dlp": headers.get("cf-aig-dlp", text)}, wire="run", model="m")
    assert pickle.loads(pickle.dumps(info)) == info
    assert repr(info.as_dict())


@BRIEFLY
@given(value=VALUES, known=st.dictionaries(WORDS | st.sampled_from(["tokens_in", "success", "step"]), VALUES))
def test_any_log_entry_is_read_or_rejected(value: Any, known: dict[str, Any]) -> None:
    for raw in (value, known, {"id": "x", **known}):
        try:
            entry = read_entry(raw)
        except ProtocolError:
            continue
        assert isinstance(entry.id, str)
        assert entry.tokens_in is None or isinstance(entry.tokens_in, int)


DEEP: list[tuple[str, bytes]] = [
    ("brackets", b"[" * 100_000),
    ("objects", b'{"error":' * 100_000),
    ("closed", b"[" * 100_000 + b"]" * 100_000),
    ("a message of brackets", json.dumps({"error": {"message": "[" * 100_000}}).encode()),
    ("a message of objects", json.dumps({"error": {"message": '{"error":' * 100_000 + "1"}}).encode()),
    ("a field beside the message", b'{"error": {"message": "x", "more": ' + b"[" * 700 + b"]" * 700 + b"}}"),
    ("a code of 5,000 digits", b'{"error": {"message": "x", "code": ' + b"9" * 5000 + b"}}"),
    ("a status of 5,000 digits", b'{"error": {"message": "x", "status": ' + b"9" * 5000 + b"}}"),
]


@pytest.mark.parametrize("body", [row[1] for row in DEEP], ids=[row[0] for row in DEEP])
@pytest.mark.parametrize("status", [200, 302, 400, 429, 500])
def test_deep_and_long_bodies_become_errors(body: bytes, status: int) -> None:
    error = from_response(status, {}, body)
    usable(error)
    assert len(str(error)) < 5000
    if b'"message": "x"' in body:
        assert error.message == "x"


def nested(levels: int, make: Callable[[Any], Any]) -> Any:
    value: Any = "x"
    for _ in range(levels):
        value = make(value)
    return value


@pytest.mark.parametrize("make", [lambda inner: [inner], lambda inner: {"error": inner}], ids=["lists", "objects"])
def test_a_deep_event_becomes_an_error(make: Callable[[Any], Any]) -> None:
    usable(from_embedded({"error": nested(900, make)}, {}))
    usable(ProtocolError("x", body=nested(900, make)))
