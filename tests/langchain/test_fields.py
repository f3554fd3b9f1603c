"""What a model remembers of its constructor arguments, however it is changed, copied or built anew."""

from __future__ import annotations

import asyncio
import pickle
from copy import deepcopy
from typing import Any

import httpx
import pytest
from langchain_core import exceptions as lc
from langchain_core.caches import InMemoryCache
from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.runnables import ConfigurableField

from cfaig_integrations import GatewayOptions, errors
from cfaig_integrations.langchain import ChatCloudflareAIGateway
from cfaig_integrations.simulator import Simulator
from tests.langchain.conftest import Make, where


def sent(simulator: Simulator) -> Any:
    return simulator.requests[-1]


def test_a_configurable_model_keeps_its_gateway(make: Make, simulator: Simulator) -> None:
    model = make().configurable_fields(temperature=ConfigurableField(id="heat"))
    model.with_config(configurable={"heat": 0.3}).invoke("Hi")
    assert sent(simulator).body["temperature"] == 0.3
    assert sent(simulator).headers["cf-aig-gateway-id"] == "default"


def test_no_gateway_must_be_explicit(make: Make, simulator: Simulator) -> None:
    assert make().gateway_id == "default"
    make(gateway_id=None).invoke("Hi")
    assert "cf-aig-gateway-id" not in sent(simulator).headers
    make(gateway_id=None).model_copy().invoke("Hi")
    assert "cf-aig-gateway-id" not in sent(simulator).headers


def test_a_field_can_be_set_later(make: Make, simulator: Simulator) -> None:
    model = make(run_metadata=False)
    model.invoke("Hi")
    model.gateway_metadata = {"late": 1}
    model.gateway = GatewayOptions(cache_ttl=60)
    model.invoke("Hi")
    assert sent(simulator).headers["cf-aig-cache-ttl"] == "60"
    assert simulator.logs()[-1]["metadata"] == {"late": 1}
    with pytest.raises(errors.ConfigError) as caught:
        model.timeout = -1
    assert isinstance(caught.value, lc.ModelInvalidRequestError)


def test_deep_copies_share_your_own_client(make: Make, simulator: Simulator) -> None:
    with httpx.Client(headers={"x-mine": "yes"}) as client:
        model = make(http_client=client)
        for copied in (deepcopy(model), model.model_copy(deep=True), deepcopy([model, model])[1]):
            assert copied.http_client is client
            copied.invoke("Hi")
            assert sent(simulator).headers["x-mine"] == "yes"


@pytest.mark.parametrize(
    ("word", "value"), [("api_key", "secret"), ("api_token", "secret"), ("max_retries", 3), ("gateway_id", "other")]
)
def test_constructor_arguments_in_a_call_raise(make: Make, simulator: Simulator, word: str, value: object) -> None:
    with pytest.raises(errors.ConfigError, match=word):
        make().invoke("Hi", **{word: value})  # type: ignore[arg-type]
    assert not simulator.requests


@pytest.mark.parametrize(
    ("word", "value"),
    [("api", "nope"), ("gateway_metadata", "x"), ("extra_body", "x"), ("extra_headers", "x"), ("response_format", int)],
)
def test_invalid_call_arguments_raise_with_their_name(make: Make, simulator: Simulator, word: str, value: Any) -> None:
    with pytest.raises(errors.ConfigError) as caught:
        make().invoke("Hi", **{word: value})
    assert caught.value.field == word
    assert isinstance(caught.value, lc.ModelInvalidRequestError)
    assert not simulator.requests


def test_models_of_other_output_share_no_cache_entry(make: Make) -> None:
    cache = InMemoryCache()
    assert isinstance(make(cache=cache).invoke("Hi").content, str)
    assert isinstance(make(cache=cache, output_version="v1").invoke("Hi").content, list)


def test_copies_use_their_own_fields(make: Make, simulator: Simulator) -> None:
    model = make(run_metadata=False)
    copied = model.model_copy(update={"gateway_metadata": {"copy": True}, "model": "openai/gpt-4.1-mini"})
    copied.invoke("Hi")
    assert sent(simulator).body["model"] == "openai/gpt-4.1-mini"
    assert simulator.logs()[0]["metadata"] == {"copy": True}
    model.invoke("Hi")
    assert [entry["metadata"] for entry in simulator.logs()].count({"copy": True}) == 1
    assert deepcopy(model).invoke("Hi").content


def test_pickles_hold_no_token(make: Make, simulator: Simulator, monkeypatch: pytest.MonkeyPatch) -> None:
    pickled = pickle.dumps(make())
    assert simulator.api_token.encode() not in pickled
    monkeypatch.setenv("CLOUDFLARE_API_TOKEN", simulator.api_token)
    assert pickle.loads(pickled).invoke("Hi").content


def test_a_pickle_keeps_the_address_of_the_environment(simulator: Simulator, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not that of the process that reads it, whose environment needs the token alone."""
    for name, value in simulator.environment.items():
        monkeypatch.setenv(name, value)
    pickled = pickle.dumps(ChatCloudflareAIGateway(model="openai/gpt-4.1"))
    monkeypatch.delenv("CLOUDFLARE_ACCOUNT_ID")
    monkeypatch.setenv("CLOUDFLARE_API_BASE_URL", "http://127.0.0.1:9")
    assert pickle.loads(pickled).invoke("Hi").content
    monkeypatch.delenv("CLOUDFLARE_API_TOKEN")
    with pytest.raises(errors.ConfigError, match=r"CLOUDFLARE_API_TOKEN\. An unpickled model"):
        pickle.loads(pickled).invoke("Hi")


def test_token_functions(simulator: Simulator) -> None:
    async def later() -> str:
        return simulator.api_token

    arguments = {**where(simulator), "model": "openai/gpt-4.1"}
    assert ChatCloudflareAIGateway(**{**arguments, "api_token": lambda: simulator.api_token}).invoke("Hi").content
    model = ChatCloudflareAIGateway(**{**arguments, "api_token": later})
    assert asyncio.run(model.ainvoke("Hi")).content


def test_environment(simulator: Simulator, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in simulator.environment.items():
        monkeypatch.setenv(name, value)
    assert ChatCloudflareAIGateway(model="openai/gpt-4.1").invoke("Hi").content
    assert sent(simulator).headers["authorization"] == f"Bearer {simulator.api_token}"


def test_your_own_client_is_used_and_left_open(make: Make, simulator: Simulator) -> None:
    with httpx.Client(headers={"x-mine": "yes"}) as client:
        make(http_client=client).invoke("Hi")
        assert sent(simulator).headers["x-mine"] == "yes"
        assert not client.is_closed


def test_unknown_arguments_raise_with_the_nearest_name(simulator: Simulator) -> None:
    with pytest.raises(errors.ConfigError, match=r"temprature.*Did you mean 'temperature'"):
        ChatCloudflareAIGateway(model="openai/gpt-4.1", temprature=1, **where(simulator))  # type: ignore[call-arg]
    with pytest.raises(errors.ConfigError, match="api_token"):
        ChatCloudflareAIGateway(model="m/m", api_key="a", **where(simulator))  # type: ignore[call-arg]


def test_secrets_are_not_shown(make: Make, simulator: Simulator) -> None:
    model = make()
    for shown in (repr(model), str(model), str(model._identifying_params), str(model._get_ls_params())):
        assert simulator.api_token not in shown


def test_traces_show_no_secret_of_a_call(make: Make) -> None:
    traced: list[str] = []

    class Tracer(BaseCallbackHandler):
        def on_chat_model_start(self, serialized: Any, messages: Any, **seen: Any) -> None:
            traced.append(f"{serialized} {messages} {seen}")

    server = {"type": "mcp", "server_label": "docs", "server_url": "https://x", "authorization": "s1"}
    model = make(api="responses").bind_tools([{**server, "headers": {"x": "s2"}}])
    model.invoke("Hi", extra_headers={"x-key": "s3"}, config={"callbacks": [Tracer()]})
    assert "docs" in traced[0]
    assert "x-key" in traced[0]
    assert not [secret for secret in ("s1", "s2", "s3") if f"'{secret}'" in traced[0]]


@pytest.mark.parametrize("call_method", ["invoke", "stream"])
@pytest.mark.parametrize("word", ["mcp_servers", "extra_body"])
def test_traces_show_no_secret_of_a_server(make: Make, simulator: Simulator, call_method: str, word: str) -> None:
    class Tracer(BaseCallbackHandler):
        raise_error = True

        def on_chat_model_start(self, serialized: Any, messages: Any, **seen: Any) -> None:
            raise RuntimeError(f"{serialized} {messages} {seen}")  # before anything is sent

    servers = [{"type": "url", "url": "https://x", "name": "wiki", "authorization_token": "hush"}]
    arguments: dict[str, Any] = {word: servers if word == "mcp_servers" else {"mcp_servers": servers}}
    with pytest.raises(RuntimeError, match="wiki") as seen:
        list(getattr(make(api="messages"), call_method)("Hi", config={"callbacks": [Tracer()]}, **arguments))
    assert "hush" not in str(seen.value)
    assert not simulator.requests
