"""The official Python clients against `cfaig serve`'s server: chat, stream, tools, embeddings, the legacy host.

A client that is not installed is skipped, with its name.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from cfaig_integrations.simulator import Simulator

QUESTION = "What is the weather in Paris?"
PARAMETERS = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
FUNCTION = {"name": "get_weather", "description": "Weather of a city", "parameters": PARAMETERS}
HELLO: list[Any] = [{"role": "user", "content": "Say hello"}]
ASK: list[Any] = [{"role": "user", "content": QUESTION}]
KIMI = "@cf/moonshotai/kimi-k2.6"


def client_of(module: str) -> Any:
    return pytest.importorskip(module, reason=f"the client `{module}` is not installed")


@pytest.fixture
def gateway_header(sim: Simulator) -> dict[str, str]:
    return {"cf-aig-authorization": f"Bearer {sim.api_token}"}


# ------------------------------------------------------------------------------------------------------------- openai


@pytest.fixture(params=["api", "compat", "openai", "workers-ai"])
def openai_client(request: pytest.FixtureRequest, sim: Simulator, gateway_header: dict[str, str]) -> tuple[Any, str]:
    """A client on each of the addresses that OpenAI's clients can use, and a model."""
    openai = client_of("openai")
    legacy = f"{sim.url}/v1/{sim.account_id}/default"
    base, key, headers, model = {
        "api": (f"{sim.base_url}/accounts/{sim.account_id}/ai/v1", sim.api_token, {}, "openai/gpt-4.1"),
        "compat": (f"{legacy}/compat", sim.api_token, {}, "openai/gpt-4.1"),
        "openai": (f"{legacy}/openai", "sk-provider", gateway_header, "gpt-4.1"),
        "workers-ai": (f"{legacy}/workers-ai/v1", sim.api_token, {}, KIMI),
    }[request.param]
    return openai.OpenAI(api_key=key, base_url=base, default_headers=headers, max_retries=0), model


def test_openai_chat(openai_client: tuple[Any, str], sim: Simulator) -> None:
    client, model = openai_client
    sim.reply("Good morning", tokens_in=5, tokens_out=2)
    answer = client.chat.completions.create(model=model, messages=HELLO)
    assert answer.choices[0].message.content == "Good morning"
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens) == (5, 2)
    assert sim.logs()[0]["success"] is True


def test_openai_stream(openai_client: tuple[Any, str], sim: Simulator) -> None:
    client, model = openai_client
    sim.reply("Good morning to you", tokens_in=5, tokens_out=4)
    options = {"include_usage": True}
    text, usage = "", None
    for chunk in client.chat.completions.create(model=model, messages=HELLO, stream=True, stream_options=options):
        text += (chunk.choices[0].delta.content or "") if chunk.choices else ""
        usage = chunk.usage or usage
    assert text == "Good morning to you"
    assert usage is not None
    assert (usage.prompt_tokens, usage.completion_tokens) == (5, 4)


def test_openai_tools(openai_client: tuple[Any, str]) -> None:
    client, model = openai_client
    tools = [{"type": "function", "function": FUNCTION}]
    message = client.chat.completions.create(model=model, messages=ASK, tools=tools).choices[0].message
    assert message.tool_calls[0].function.name == "get_weather"
    result = {"role": "tool", "tool_call_id": message.tool_calls[0].id, "content": "It is sunny in Paris."}
    history = [*ASK, {"role": "assistant", "content": "", "tool_calls": [c.model_dump() for c in message.tool_calls]}]
    again = client.chat.completions.create(model=model, messages=[*history, result], tools=tools)
    assert "sunny" in again.choices[0].message.content


@pytest.mark.parametrize("encoding", [None, "base64", "float"])
def test_openai_embeddings(sim: Simulator, gateway_header: dict[str, str], encoding: Any) -> None:
    openai = client_of("openai")
    legacy = f"{sim.url}/v1/{sim.account_id}/default"
    extra: dict[str, Any] = {} if encoding is None else {"encoding_format": encoding}
    workers_ai = openai.OpenAI(api_key=sim.api_token, base_url=f"{legacy}/workers-ai/v1", max_retries=0)
    answer = workers_ai.embeddings.create(model="@cf/baai/bge-m3", input=["a", "b"])
    assert [len(row.embedding) for row in answer.data] == [1024, 1024]
    client = openai.OpenAI(
        api_key="sk-provider", base_url=f"{legacy}/openai", default_headers=gateway_header, max_retries=0
    )
    answer = client.embeddings.create(model="text-embedding-3-small", input="a", **extra)
    assert isinstance(answer.data[0].embedding, str) is (encoding == "base64")
    assert encoding == "base64" or len(answer.data[0].embedding) == 1536
    small = client.embeddings.create(model="text-embedding-3-small", input="a", dimensions=8)
    assert len(small.data[0].embedding) == 8


def test_openai_responses(sim: Simulator) -> None:
    openai = client_of("openai")
    base = f"{sim.base_url}/accounts/{sim.account_id}/ai/v1"
    client = openai.OpenAI(api_key=sim.api_token, base_url=base, max_retries=0)
    tools = [{"type": "function", "strict": False, **FUNCTION}]
    answer = client.responses.create(model="openai/gpt-4.1", input=QUESTION, tools=tools)
    assert answer.output[-1].name == "get_weather"
    sim.reply("Good morning")
    with client.responses.stream(model="openai/gpt-4.1", input="hi") as stream:
        kinds = [event.type for event in stream]
        assert stream.get_final_response().output_text == "Good morning"
    assert kinds[0] == "response.created"


# ---------------------------------------------------------------------------------------------------------- anthropic


@pytest.fixture(params=["api", "legacy"])
def anthropic_client(request: pytest.FixtureRequest, sim: Simulator, gateway_header: dict[str, str]) -> tuple[Any, str]:
    anthropic = client_of("anthropic")
    if request.param == "api":
        base = f"{sim.base_url}/accounts/{sim.account_id}/ai"
        return anthropic.Anthropic(auth_token=sim.api_token, base_url=base, max_retries=0), "anthropic/claude-haiku-4.5"
    base = f"{sim.url}/v1/{sim.account_id}/default/anthropic"
    client = anthropic.Anthropic(api_key="sk-provider", base_url=base, default_headers=gateway_header, max_retries=0)
    return client, "claude-haiku-4-5"


def test_anthropic_chat_stream_and_tools(anthropic_client: tuple[Any, str], sim: Simulator) -> None:
    client, model = anthropic_client
    sim.reply("Good morning", tokens_in=5, tokens_out=2)
    answer = client.messages.create(model=model, max_tokens=100, messages=HELLO)
    assert (answer.content[0].text, answer.usage.output_tokens) == ("Good morning", 2)
    sim.reply("Good morning to you")
    with client.messages.stream(model=model, max_tokens=100, messages=HELLO) as stream:
        assert "".join(stream.text_stream) == "Good morning to you"
    tools = [{"name": "get_weather", "description": "Weather of a city", "input_schema": PARAMETERS}]
    answer = client.messages.create(model=model, max_tokens=100, messages=ASK, tools=tools)
    assert (answer.stop_reason, answer.content[-1].input) == ("tool_use", {"city": "Paris"})


# --------------------------------------------------------------------------------------------------------- cloudflare


@pytest.fixture
def cloudflare_client(sim: Simulator) -> Any:
    cloudflare = client_of("cloudflare")
    return cloudflare.Cloudflare(api_token=sim.api_token, base_url=sim.base_url, max_retries=0)


def test_cloudflare_runs_models(cloudflare_client: Any, sim: Simulator) -> None:
    account = {"account_id": sim.account_id}
    sim.reply("Good morning")
    path = f"/accounts/{sim.account_id}/ai/run/"
    body = {"messages": HELLO}
    answer = cloudflare_client.post(f"{path}@cf/meta/llama-3.1-8b-instruct", body=body, cast_to=object)
    assert answer["result"]["response"] == "Good morning"
    embedded = cloudflare_client.post(f"{path}@cf/baai/bge-base-en-v1.5", body={"text": ["a", "b"]}, cast_to=object)
    assert embedded["result"]["shape"] == [2, 768]
    names = [model["name"] for model in cloudflare_client.ai.models.list(**account)]
    assert KIMI in names


def test_cloudflare_s_own_method_fails_as_it_does_at_cloudflare(cloudflare_client: Any, sim: Simulator) -> None:
    """`ai.run` of version 5 sends the slashes of a model id as %2F (cloudflare/cloudflare-python#2718, open)."""
    cloudflare = client_of("cloudflare")
    with pytest.raises(cloudflare.BadRequestError, match="No route for that URI"):
        cloudflare_client.ai.run("@cf/meta/llama-3.1-8b-instruct", account_id=sim.account_id, messages=HELLO)


def test_cloudflare_manages_gateways_and_logs(cloudflare_client: Any, sim: Simulator) -> None:
    account = {"account_id": sim.account_id}
    required: dict[str, Any] = {
        "cache_invalidate_on_update": False,
        "cache_ttl": 0,
        "collect_logs": True,
        "rate_limiting_interval": 0,
        "rate_limiting_limit": 0,
    }
    api = cloudflare_client.ai_gateway
    created = api.create(**account, id="mine", **required, rate_limiting_technique="fixed")
    assert created.id == "mine"
    assert [gateway.id for gateway in api.list(**account)] == ["mine"]
    elements: list[Any] = [
        {"id": "s", "type": "start", "outputs": {"next": {"elementId": "m"}}},
        {
            "id": "m",
            "type": "model",
            "properties": {"provider": "openai", "model": "gpt-4.1", "retries": 1, "timeout": 1000},
            "outputs": {"success": {"elementId": "e"}, "fallback": {"elementId": "e"}},
        },
        {"id": "e", "type": "end", "outputs": {}},
    ]
    route = api.dynamic_routing.create("mine", **account, name="support", elements=elements)
    listed = api.dynamic_routing.list("mine", **account)
    assert [entry.id for entry in listed.data.routes] == [route.id]
    openai = client_of("openai")
    client = openai.OpenAI(
        api_key=sim.api_token,
        base_url=f"{sim.base_url}/accounts/{sim.account_id}/ai/v1",
        default_headers={"cf-aig-gateway-id": "mine", "cf-aig-metadata": '{"user": "ann"}'},
        max_retries=0,
    )
    client.chat.completions.create(model="dynamic/support", messages=HELLO)
    (log,) = api.logs.list("mine", **account)
    assert log.model == "openai/gpt-4.1"
    api.logs.edit(log.id, **account, gateway_id="mine", feedback=1)
    assert api.logs.get(log.id, **account, gateway_id="mine").cached is False
    assert api.logs.request(log.id, **account, gateway_id="mine")["model"] == "dynamic/support"
    assert api.urls.get("openai", **account, gateway_id="mine").endswith("/mine/openai")
    api.logs.delete("mine", **account)
    assert list(api.logs.list("mine", **account)) == []
    api.delete("mine", **account)


# -------------------------------------------------------------------------------------------------- universal endpoint


def test_the_universal_endpoint_gives_what_clients_parse(sim: Simulator, gateway_header: dict[str, str]) -> None:
    openai = client_of("openai")
    httpx: Callable[..., Any] = client_of("httpx").post
    steps = [
        {"provider": "openai", "endpoint": "chat/completions", "headers": {}, "query": {"model": "x", "messages": []}},
        {
            "provider": "workers-ai",
            "endpoint": KIMI,
            "headers": {"Authorization": f"Bearer {sim.api_token}"},
            "query": {"messages": HELLO},
        },
    ]
    answer = httpx(f"{sim.url}/v1/{sim.account_id}/default", json=steps, headers=gateway_header)
    assert answer.headers["cf-aig-step"] == "1"
    completion = openai.types.chat.ChatCompletion.model_validate(answer.json()["result"])
    assert completion.choices[0].message.content
