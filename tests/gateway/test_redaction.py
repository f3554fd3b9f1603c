"""Credentials are removed from errors, prose is unchanged, and header values are hidden."""

from __future__ import annotations

import pickle

import pytest

from cfaig_integrations.errors import ApiError, ProtocolError, StreamBroken
from cfaig_integrations.gateway.failures.redaction import Hidden, conceal, is_credential, redacted

KEY = "aB3dE6gH9jK2mN5pQ8rS"
SECRETS = [
    f"Bearer {KEY}",
    f"authorization: bearer {KEY}",
    f'"Authorization": "Basic {KEY}=="',
    f"api_key={KEY}",
    f"API key: {KEY}",
    "Incorrect API key provided: secret-key-without-digits",
    f"sk-{KEY}",
    f"sk-ant-api03-{KEY}",
    "cfut_abcdefghijklmnop",
    "cfat_abcdefghijklmnop",
    f"gsk_{KEY}",
    f"AIza{KEY}",
    f"xai-{KEY}",
    f"ghp_{KEY}",
    f"eyJhbGciOiJI.{KEY}.{KEY}",
    f"https://x.example/?api_key={KEY}&y=1",
    f"https://x.example/?access_token={KEY}",
    f"https://user:{KEY}@x.example/",
]
PROSE = [
    "Bearer authentication is required.",
    "Use 'Authorization: Bearer YOUR_API_KEY'.",
    "Invalid API key provided. Ensure your API key is correct and active.",
    "api key: missing",
    "The cfut_ and sk- prefixes are those of tokens.",
    "cfaig_integrations needs a token; max_tokens=4096 is too many tokens.",
    "This is a task-specific, risk-based model; see hf_hub_download.",
    "See https://developers.cloudflare.com/ai-gateway/?utm_source=x for basic authentication.",
    "model: xai-grok, eyJ is how a token begins",
    "The token limit is 8192 tokens: prompt_tokens=9000.",
]


@pytest.mark.parametrize("text", SECRETS)
@pytest.mark.parametrize("around", ["{}", "x {} y", '{{"a": "{}"}}', "({}),", "\n{}\n"])
def test_credentials_are_removed(text: str, around: str) -> None:
    told = around.format(text)
    for value in (told, [told], {"a": {"b": (told,)}}, {told: 1}, told.encode()):
        shown = repr(redacted(value))
        assert "***" in shown
        for part in (KEY, "secret-key-without-digits", "abcdefghijklmnop"):
            assert part not in shown
    assert redacted(redacted(told)) == redacted(told)
    assert is_credential(told)


@pytest.mark.parametrize("text", PROSE)
def test_prose_is_unchanged(text: str) -> None:
    assert redacted({"a": [text]}) == {"a": [text]}
    assert not is_credential(text)


@pytest.mark.parametrize(
    "name", ["authorization", "X-Api-Key", "api_key", "set-cookie", "cf-aig-authorization", "token"]
)
def test_fields_with_the_name_of_a_credential_are_removed(name: str) -> None:
    assert redacted({name: "short", "max_tokens": "5"}) == {name: "***", "max_tokens": "5"}


@pytest.mark.parametrize("name", [b"authorization", b"x-api-key", b"cf-aig-authorization", b"cookie"])
def test_credentials_of_the_request_are_removed_from_errors(name: bytes) -> None:
    request = [(b"accept", b"application/json"), (name, Hidden(b"Bearer plain-words-only"))]
    refused = ApiError(
        "No: plain-words-only",
        status=401,
        code="plain-words-only",
        headers={"x-seen": "plain-words-only"},
        body={"a": ["plain-words-only"]},
    )
    broken = StreamBroken("plain-words-only", body="Bearer plain-words-only", partial="application/json")
    for error in (refused, broken, ProtocolError("x", body=b"plain-words-only")):
        conceal(error, request)
        assert "plain-words-only" not in f"{error} {error!r} {vars(error)} {pickle.dumps(error)!r}"
    assert broken.partial == "application/json"


def test_a_short_secret_is_not_searched_for() -> None:
    error = ProtocolError("the token is a token")
    conceal(error, [(b"authorization", b"Bearer token")])
    assert error.message == "the token is a token"


def test_a_hidden_value_is_sent_unchanged_and_has_no_repr() -> None:
    value = Hidden(b"Bearer canary")
    assert bytes(value) == value == b"Bearer canary"
    for shown in (repr(value), str(value), f"{value}", f"{[value]} {(b'a', value)}", repr(value[:80]), repr(value[2:])):
        assert "canary" not in shown
    assert value[0] == ord("B")


def test_large_values_are_cut() -> None:
    assert len(redacted("x" * 10**6)) < 10**5
    assert redacted({"a": 10**5000})["a"].startswith("an integer of")
