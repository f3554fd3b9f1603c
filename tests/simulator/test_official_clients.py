"""The vendors' own Python clients, pointed at the simulator's addresses: they parse strictly what it writes.

Cloudflare's client is skipped where it is not installed.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, cast

import anthropic
import httpx
import openai
import pytest

from cfaig_integrations.simulator import Simulator

QUESTION = "What is the weather in Paris?"
PARAMETERS = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
FUNCTION = {"name": "get_weather", "description": "Weather of a city", "parameters": PARAMETERS}
TOOLS: list[Any] = [{"type": "function", "function": FUNCTION}]
HELLO: list[Any] = [{"role": "user", "content": "Say hello"}]
ASK: list[Any] = [{"role": "user", "content": QUESTION}]
CLAUDE = "anthropic/claude-haiku-4.5"
GPT = "openai/gpt-4.1"
KIMI = "@cf/moonshotai/kimi-k2.6"


@pytest.fixture
def gateway_header(sim: Simulator) -> dict[str, str]:
    return {"cf-aig-authorization": f"Bearer {sim.api_token}"}


# ------------------------------------------------------------------------------------------------------------- openai


@pytest.fixture
def vendor(sim: Simulator) -> Iterator[openai.OpenAI]:
    base, headers = f"{sim.base_url}/accounts/{sim.account_id}/ai/v1", {"cf-aig-gateway-id": "default"}
    with openai.OpenAI(api_key=sim.api_token, base_url=base, default_headers=headers, max_retries=0) as client:
        yield client


@pytest.fixture(
    params=[
        *(("api", model) for model in (GPT, CLAUDE, "google/gemini-3-flash", KIMI, "cloudflare/auto", "dynamic/x")),
        ("compat", GPT),
        ("openai", "gpt-4.1"),
        ("workers-ai/v1", KIMI),
    ]
)
def chat(
    request: pytest.FixtureRequest, sim: Simulator, vendor: openai.OpenAI, gateway_header: dict[str, str]
) -> tuple[openai.OpenAI, str]:
    """A client on each of the addresses that OpenAI's clients can use, and a model."""
    address, model = request.param
    if address == "api":
        return vendor, model
    legacy = f"{sim.url}/v1/{sim.account_id}/default/{address}"
    key, headers = ("sk-provider", gateway_header) if address == "openai" else (sim.api_token, {})
    return vendor.with_options(api_key=key, base_url=legacy, default_headers=headers), model


def test_openai_chat(chat: tuple[openai.OpenAI, str], sim: Simulator) -> None:
    client, model = chat
    sim.reply("Good morning", tokens_in=5, tokens_out=2)
    answer = client.chat.completions.create(model=model, messages=HELLO)
    assert (answer.choices[0].message.content, answer.choices[0].finish_reason) == ("Good morning", "stop")
    assert answer.usage is not None
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens) == (5, 2)
    assert sim.logs()[0]["success"] is True


def test_openai_stream(chat: tuple[openai.OpenAI, str], sim: Simulator) -> None:
    client, model = chat
    sim.reply("Good morning to you", tokens_in=5, tokens_out=4)
    text, usage = "", None
    for chunk in client.chat.completions.create(
        model=model, messages=HELLO, stream=True, stream_options={"include_usage": True}
    ):
        text += (chunk.choices[0].delta.content or "") if chunk.choices else ""
        usage = chunk.usage or usage
    assert text == "Good morning to you"
    assert usage is not None
    assert (usage.prompt_tokens, usage.completion_tokens) == (5, 4)
    (entry,) = sim.logs()
    assert (entry["tokens_in"], entry["tokens_out"], entry["success"]) == (5, 4, True)


def test_openai_tools(chat: tuple[openai.OpenAI, str]) -> None:
    client, model = chat
    first = client.chat.completions.create(model=model, messages=ASK, tools=TOOLS).choices[0]
    assert first.finish_reason == "tool_calls"
    (call,) = cast("list[Any]", first.message.tool_calls)
    assert (call.function.name, json.loads(call.function.arguments)) == ("get_weather", {"city": "Paris"})
    turn: Any = {**first.message.model_dump(exclude_none=True), "content": ""}
    history = [*ASK, turn, {"role": "tool", "tool_call_id": call.id, "content": "21 degrees, sunny"}]
    second = client.chat.completions.create(model=model, messages=history, tools=TOOLS).choices[0]
    assert second.finish_reason == "stop"
    assert "21" in (second.message.content or "")


def test_openai_tool_stream(sim: Simulator, vendor: openai.OpenAI) -> None:
    sim.reply(calls=[{"name": "get_weather", "arguments": {"city": city}} for city in ("Paris", "Rome")])
    arguments: dict[int, str] = {}
    for chunk in vendor.chat.completions.create(model=GPT, messages=ASK, tools=TOOLS, stream=True):
        for choice in chunk.choices:
            for call in choice.delta.tool_calls or []:
                assert call.function is not None
                arguments[call.index] = arguments.get(call.index, "") + (call.function.arguments or "")
    assert {index: json.loads(text)["city"] for index, text in arguments.items()} == {0: "Paris", 1: "Rome"}


@pytest.mark.parametrize("encoding", [None, "base64", "float"])
def test_openai_embeddings(
    sim: Simulator, vendor: openai.OpenAI, gateway_header: dict[str, str], encoding: Any
) -> None:
    legacy = f"{sim.url}/v1/{sim.account_id}/default"
    extra: dict[str, Any] = {} if encoding is None else {"encoding_format": encoding}
    for workers_ai in (vendor, vendor.with_options(base_url=f"{legacy}/workers-ai/v1")):
        rows = workers_ai.embeddings.create(model="@cf/baai/bge-m3", input=["a", "b"], **extra).data
        assert [(row.index, len(row.embedding)) for row in rows] == [(0, 1024), (1, 1024)]
    client = vendor.with_options(api_key="sk-provider", base_url=f"{legacy}/openai", default_headers=gateway_header)
    answer = client.embeddings.create(model="text-embedding-3-small", input="a", **extra)
    assert isinstance(answer.data[0].embedding, str) is (encoding == "base64")
    assert encoding == "base64" or len(answer.data[0].embedding) == 1536
    small = client.embeddings.create(model="text-embedding-3-small", input="a", dimensions=8)
    assert len(small.data[0].embedding) == 8


def test_responses(sim: Simulator, vendor: openai.OpenAI) -> None:
    sim.reply("Good morning", reasoning="They said hi.", tokens_in=5, tokens_out=9)
    answer = vendor.responses.create(model="openai/gpt-5.6-luna", input="hi")
    assert answer.output_text == "Good morning"
    assert answer.status == "completed"
    assert answer.usage is not None
    assert answer.usage.input_tokens == 5


def test_responses_stream(sim: Simulator, vendor: openai.OpenAI) -> None:
    sim.reply("Good morning to you")
    with vendor.responses.stream(model=GPT, input="hi") as stream:
        text = "".join(event.delta for event in stream if event.type == "response.output_text.delta")
        assert stream.get_final_response().output_text == text == "Good morning to you"


def test_responses_tools(vendor: openai.OpenAI) -> None:
    tools: list[Any] = [{"type": "function", "strict": False, **FUNCTION}]
    first = vendor.responses.create(model=GPT, input=QUESTION, tools=tools)
    (call,) = [item for item in first.output if item.type == "function_call"]
    assert json.loads(call.arguments) == {"city": "Paris"}
    history: list[Any] = [*ASK, *first.output]
    history.append({"type": "function_call_output", "call_id": call.call_id, "output": "21 degrees"})
    second = vendor.responses.create(model=GPT, input=history, tools=tools)
    assert "21" in second.output_text
    with vendor.responses.stream(model=GPT, input=QUESTION, tools=tools) as stream:
        final = stream.get_final_response()
    assert json.loads(cast("Any", final.output[-1]).arguments) == {"city": "Paris"}


# ---------------------------------------------------------------------------------------------------------- anthropic


@pytest.fixture
def claude(sim: Simulator) -> Iterator[anthropic.Anthropic]:
    base = f"{sim.base_url}/accounts/{sim.account_id}/ai"
    with anthropic.Anthropic(auth_token=sim.api_token, base_url=base, max_retries=0) as client:
        yield client


@pytest.fixture(params=["api", "legacy"])
def messages(
    request: pytest.FixtureRequest, sim: Simulator, claude: anthropic.Anthropic, gateway_header: dict[str, str]
) -> tuple[anthropic.Anthropic, str]:
    """A client on each of the addresses that Anthropic's clients can use, and a model."""
    if request.param == "api":
        return claude, CLAUDE
    base = f"{sim.url}/v1/{sim.account_id}/default/anthropic"
    return claude.with_options(api_key="sk-provider", base_url=base, default_headers=gateway_header), "claude-haiku-4-5"


def ask(client: tuple[anthropic.Anthropic, str], streamed: bool, history: list[Any], **body: Any) -> Any:
    sent: dict[str, Any] = {"model": client[1], "max_tokens": 500, "messages": history, **body}
    if not streamed:
        return client[0].messages.create(**sent)
    with client[0].messages.stream(**sent) as stream:
        text, message = "".join(stream.text_stream), stream.get_final_message()
    assert text == "".join(block.text for block in message.content if block.type == "text")
    return message


@pytest.mark.parametrize("streamed", [False, True])
def test_anthropic_chat(messages: tuple[anthropic.Anthropic, str], sim: Simulator, streamed: bool) -> None:
    sim.reply("Good morning to you", tokens_in=5, tokens_out=6)
    answer = ask(messages, streamed, HELLO, system="Be kind")
    assert (answer.content[0].text, answer.stop_reason) == ("Good morning to you", "end_turn")
    assert (answer.usage.input_tokens, answer.usage.output_tokens) == (5, 6)


@pytest.mark.parametrize("streamed", [False, True])
def test_anthropic_tools(messages: tuple[anthropic.Anthropic, str], streamed: bool) -> None:
    tools = [{"name": "get_weather", "description": "Weather of a city", "input_schema": PARAMETERS}]
    first = ask(messages, streamed, ASK, tools=tools)
    call = first.content[-1]
    assert (first.stop_reason, call.input) == ("tool_use", {"city": "Paris"})
    result = {"type": "tool_result", "tool_use_id": call.id, "content": "21 degrees"}
    history = [*ASK, {"role": "assistant", "content": first.content}, {"role": "user", "content": [result]}]
    second = ask(messages, streamed, history, tools=tools)
    assert second.stop_reason == "end_turn"
    assert "21" in second.content[-1].text


def test_errors_are_the_sdks_own_classes(sim: Simulator, vendor: openai.OpenAI, claude: anthropic.Anthropic) -> None:
    sim.fault("provider_rate_limit")
    with pytest.raises(openai.RateLimitError):
        vendor.chat.completions.create(model=GPT, messages=HELLO)
    sim.fault("provider_overloaded")
    with pytest.raises(anthropic.APIStatusError) as caught:
        claude.messages.create(model=CLAUDE, max_tokens=9, messages=HELLO)
    assert caught.value.status_code == 529
    assert cast("Any", caught.value.body)["error"]["type"] == "overloaded_error"
    sim.fault("error_event", message="Broken off")
    with pytest.raises(openai.APIError, match="Broken off"):
        list(vendor.chat.completions.create(model=GPT, messages=HELLO, stream=True))
    sim.fault("error_event", message="Broken off")
    with (
        pytest.raises(anthropic.APIError, match="Broken off"),
        claude.messages.stream(model=CLAUDE, max_tokens=9, messages=HELLO) as stream,
    ):
        stream.get_final_message()
    sim.fault("close_before_response")
    with pytest.raises(openai.APIConnectionError):
        vendor.chat.completions.create(model=GPT, messages=HELLO)


# --------------------------------------------------------------------------------------------------------- cloudflare


def client_of(module: str) -> Any:
    return pytest.importorskip(module, reason=f"the client `{module}` is not installed")


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
    steps = [
        {"provider": "openai", "endpoint": "chat/completions", "headers": {}, "query": {"model": "x", "messages": []}},
        {
            "provider": "workers-ai",
            "endpoint": KIMI,
            "headers": {"Authorization": f"Bearer {sim.api_token}"},
            "query": {"messages": HELLO},
        },
    ]
    answer = httpx.post(f"{sim.url}/v1/{sim.account_id}/default", json=steps, headers=gateway_header)
    assert answer.headers["cf-aig-step"] == "1"
    completion = openai.types.chat.ChatCompletion.model_validate(answer.json()["result"])
    assert completion.choices[0].message.content
