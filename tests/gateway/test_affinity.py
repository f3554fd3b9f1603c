"""The header that keeps the calls of a conversation together."""

from __future__ import annotations

import re
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cfaig_integrations.core.chat import ChatRequest
from cfaig_integrations.core.content import Text, Turn
from cfaig_integrations.gateway import exchange
from cfaig_integrations.gateway.actions import Send
from cfaig_integrations.gateway.connection import CallOptions, Connection
from cfaig_integrations.gateway.options import GatewayOptions
from cfaig_integrations.gateway.prepare import affinity_headers, conversation_id
from cfaig_integrations.gateway.settings import resolve

WORKERS_AI, AUTO = "@cf/zai-org/glm-5.2", "cloudflare/auto"
INSTANCE, ROUTER = "x-session-affinity", "cf-aig-session-id"


@pytest.mark.parametrize(
    ("model", "header"),
    [
        (WORKERS_AI, INSTANCE),
        ("workers-ai/@cf/zai-org/glm-5.2", INSTANCE),
        ("@hf/nousresearch/hermes-2-pro-mistral-7b", INSTANCE),
        (AUTO, ROUTER),
        ("openai/gpt-5.4", None),
        ("anthropic/claude-haiku-4.5", None),
        ("dynamic/support", None),
    ],
)
def test_affinity_header_by_model(model: str, header: str | None) -> None:
    assert affinity_headers(model, "c1", None) == ({} if header is None else {header: "c1"})


@pytest.mark.parametrize("conversation", [None, "", True, 1.5, {"id": 1}, ["c1"]])
def test_invalid_conversation_ids_are_omitted(conversation: object) -> None:
    assert affinity_headers(WORKERS_AI, conversation, None) == {}


@pytest.mark.parametrize("conversation", ["c1", "thread:7/a", "x" * 128])
def test_a_valid_id_is_sent_unchanged(conversation: str) -> None:
    assert conversation_id(conversation) == conversation


def test_integer_and_uuid_ids() -> None:
    assert conversation_id(7) == "7"
    assert conversation_id(UUID(int=1)) == str(UUID(int=1))


@given(st.text(st.characters(exclude_categories=())))
def test_any_string_becomes_a_valid_header_value(text: str) -> None:
    value = conversation_id(text)
    assert (value is None) is (not text)
    assert value is None or re.fullmatch(r"[!-~]{1,128}", value)


def test_invalid_ids_are_hashed_to_different_values() -> None:
    ids = [conversation_id(text) for text in ("käthe", "käthe ", "x" * 129, "a\r\nb: c")]
    assert len({*ids}) == 4
    assert all(value is not None and re.fullmatch("[0-9a-f]{64}", value) for value in ids)


@pytest.mark.parametrize(
    ("model", "options"),
    [
        (WORKERS_AI, GatewayOptions(session_affinity="mine")),
        (AUTO, GatewayOptions(session_id="mine")),
        (AUTO, GatewayOptions(no_session_affinity=True)),
    ],
)
def test_options_override_the_automatic_header(model: str, options: GatewayOptions) -> None:
    assert affinity_headers(model, "c1", options) == {}


def headers(model: str, call: CallOptions, **arguments: Any) -> dict[str, str]:
    """The headers that a call is sent with."""
    settings = resolve(account_id="a", api_token="t", base_url=arguments.pop("base_url", None))
    request = ChatRequest(model, (Turn("user", (Text("Hi"),)),))
    action = next(exchange.chat(Connection(settings=settings, **arguments), request, call))
    assert isinstance(action, Send)
    return {name.decode(): value.decode() for name, value in action.request.headers}


@pytest.mark.parametrize("base_url", [None, "https://gateway.ai.cloudflare.com/v1/a/g/compat"])
@pytest.mark.parametrize(("model", "header"), [(WORKERS_AI, INSTANCE), (AUTO, ROUTER)])
def test_the_header_is_sent_to_both_hosts(model: str, header: str, base_url: str | None) -> None:
    assert headers(model, CallOptions(conversation="c1"), base_url=base_url)[header] == "c1"
    assert header not in headers(model, CallOptions(), base_url=base_url)


@pytest.mark.parametrize("name", [INSTANCE, "X-Session-Affinity"])
def test_an_explicit_header_overrides_it(name: str) -> None:
    extra_headers = {name: "mine"}
    assert headers(WORKERS_AI, CallOptions(conversation="c1", extra_headers=extra_headers))[INSTANCE] == "mine"
    assert headers(WORKERS_AI, CallOptions(conversation="c1"), extra_headers=extra_headers)[INSTANCE] == "mine"


def test_an_option_of_the_model_or_of_the_call_overrides_it() -> None:
    options = GatewayOptions(session_affinity="mine")
    assert headers(WORKERS_AI, CallOptions(conversation="c1", options=options))[INSTANCE] == "mine"
    assert headers(WORKERS_AI, CallOptions(conversation="c1"), options=options)[INSTANCE] == "mine"
