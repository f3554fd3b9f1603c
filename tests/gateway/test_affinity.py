"""Calls of one conversation are told apart from others by a header that their host understands, and by no other."""

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
def test_each_host_has_its_header(model: str, header: str | None) -> None:
    assert affinity_headers(model, "c1", None) == ({} if header is None else {header: "c1"})


@pytest.mark.parametrize("nothing", [None, "", True, 1.5, {"id": 1}, ["c1"]])
def test_what_is_no_id_is_not_sent(nothing: object) -> None:
    assert affinity_headers(WORKERS_AI, nothing, None) == {}


@pytest.mark.parametrize("whole", ["c1", "thread:7/a", "x" * 128])
def test_a_legal_id_is_sent_as_it_is(whole: str) -> None:
    assert conversation_id(whole) == whole


def test_other_forms_of_ids() -> None:
    assert conversation_id(7) == "7"
    assert conversation_id(UUID(int=1)) == str(UUID(int=1))


@given(st.text(st.characters(exclude_categories=())))
def test_any_text_becomes_a_legal_header_value(text: str) -> None:
    value = conversation_id(text)
    assert (value is None) is (not text)
    assert value is None or re.fullmatch(r"[!-~]{1,128}", value)


def test_ids_that_are_not_legal_stay_apart_and_unreadable() -> None:
    found = [conversation_id(text) for text in ("käthe", "käthe ", "x" * 129, "a\r\nb: c")]
    assert len({*found}) == 4
    assert all(value is not None and re.fullmatch("[0-9a-f]{64}", value) for value in found)


@pytest.mark.parametrize(
    ("model", "options"),
    [
        (WORKERS_AI, GatewayOptions(session_affinity="mine")),
        (AUTO, GatewayOptions(session_id="mine")),
        (AUTO, GatewayOptions(no_session_affinity=True)),
    ],
)
def test_options_go_before_what_nobody_asked_for(model: str, options: GatewayOptions) -> None:
    assert affinity_headers(model, "c1", options) == {}


def headers(model: str, call: CallOptions, **words: Any) -> dict[str, str]:
    """The headers that a call is sent with."""
    settings = resolve(account_id="a", api_token="t", base_url=words.pop("base_url", None))
    request = ChatRequest(model, (Turn("user", (Text("Hi"),)),))
    step = next(exchange.chat(Connection(settings=settings, **words), request, call))
    assert isinstance(step, Send)
    return {name.decode(): value.decode() for name, value in step.request.headers}


@pytest.mark.parametrize("base_url", [None, "https://gateway.ai.cloudflare.com/v1/a/g/compat"])
@pytest.mark.parametrize(("model", "header"), [(WORKERS_AI, INSTANCE), (AUTO, ROUTER)])
def test_the_header_is_sent_on_both_hosts(model: str, header: str, base_url: str | None) -> None:
    assert headers(model, CallOptions(conversation="c1"), base_url=base_url)[header] == "c1"
    assert header not in headers(model, CallOptions(), base_url=base_url)


@pytest.mark.parametrize("name", [INSTANCE, "X-Session-Affinity"])
def test_an_explicit_header_goes_before_it(name: str) -> None:
    mine = {name: "mine"}
    assert headers(WORKERS_AI, CallOptions(conversation="c1", extra_headers=mine))[INSTANCE] == "mine"
    assert headers(WORKERS_AI, CallOptions(conversation="c1"), extra_headers=mine)[INSTANCE] == "mine"


def test_an_option_of_the_model_or_of_the_call_goes_before_it() -> None:
    mine = GatewayOptions(session_affinity="mine")
    assert headers(WORKERS_AI, CallOptions(conversation="c1", options=mine))[INSTANCE] == "mine"
    assert headers(WORKERS_AI, CallOptions(conversation="c1"), options=mine)[INSTANCE] == "mine"
