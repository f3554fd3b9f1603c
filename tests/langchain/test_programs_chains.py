"""Chains as people write them, on every wire: retries, fallbacks, trimmed and kept histories, models chosen by name."""

from __future__ import annotations

from typing import Any, cast

import pytest
from langchain.agents import create_agent
from langchain.agents.middleware import ModelFallbackMiddleware
from langchain.chat_models import init_chat_model
from langchain_core import exceptions as lc
from langchain_core.chat_history import InMemoryChatMessageHistory
from langchain_core.messages import (
    AIMessage,
    BaseMessage,
    HumanMessage,
    SystemMessage,
    ToolMessage,
    filter_messages,
    merge_message_runs,
    trim_messages,
)
from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompts import ChatPromptTemplate, MessagesPlaceholder
from langchain_core.runnables import Runnable, RunnableLambda
from langchain_core.runnables.history import RunnableWithMessageHistory
from langchain_core.tools import tool

from cfaig_integrations import errors
from cfaig_integrations.langchain import ChatCloudflareAIGateway
from cfaig_integrations.simulator import Simulator
from tests.langchain.conftest import MODELS, Make
from tests.langchain.programs import (
    ASK,
    SUNNY,
    asked,
    check_usage,
    every_pair,
    every_wire,
    models_seen,
    results,
    sent,
    weather,
)

PATHS = ("invoke", "ainvoke", "stream", "astream")
every_path = pytest.mark.parametrize("path", PATHS)
SAY = "Say hello to Oslo."


async def ask(runnable: Any, path: str, question: Any, config: Any = None) -> AIMessage:
    """The whole answer, on any path."""
    match path:
        case "invoke":
            return cast("AIMessage", runnable.invoke(question, config))
        case "ainvoke":
            return cast("AIMessage", await runnable.ainvoke(question, config))
        case "stream":
            pieces = list(runnable.stream(question, config))
        case _:
            pieces = [piece async for piece in runnable.astream(question, config)]
    whole = pieces[0]
    for piece in pieces[1:]:
        whole = whole + piece
    return cast("AIMessage", whole)


@every_wire
@every_path
async def test_a_chain_with_retry_retries(make: Make, simulator: Simulator, api: str, path: str) -> None:
    simulator.fault("gateway_rate_limit", times=2)
    retry = {"retry_if_exception_type": (errors.RateLimited,), "wait_exponential_jitter": False}
    model = make(api=api, max_retries=0).with_retry(stop_after_attempt=3, **retry)
    if path in {"stream", "astream"}:
        # LangChain's with_retry does not try streams again (its own documentation).
        with pytest.raises(errors.RateLimited):
            await ask(model, path, SAY)
        assert len(simulator.requests) == 1
        return
    assert (await ask(model, path, SAY)).text
    assert len(simulator.requests) == 3


@every_wire
@every_path
async def test_the_model_retries_by_itself(make: Make, simulator: Simulator, api: str, path: str) -> None:
    simulator.fault("gateway_rate_limit_after", times=2, retry_after=0)
    answer = await ask(make(api=api), path, SAY)
    assert answer.text
    assert answer.usage_metadata
    assert len(simulator.requests) == 3


def test_permanent_failures_are_not_retried(make: Make, simulator: Simulator) -> None:
    simulator.fault("no_credits", times=None)
    model = make().with_retry(retry_if_exception_type=(errors.RateLimited,), stop_after_attempt=3)
    with pytest.raises(errors.PaymentRequired):
        model.invoke(SAY)
    assert len(simulator.requests) == 1


FAULTS = {
    "gateway_rate_limit": errors.RateLimited,
    "no_credits": errors.PaymentRequired,
    "context_exceeded": lc.ContextOverflowError,
    "provider_error": errors.ServerFault,
    "guardrail_prompt": errors.GuardrailBlocked,
}


@every_pair
@every_path
async def test_a_fallback_answers(make: Make, simulator: Simulator, first: str, second: str, path: str) -> None:
    for number, (fault, kind) in enumerate(FAULTS.items(), 1):
        simulator.fault(fault)
        other = make(api=second)
        model = make(api=first, max_retries=0).with_fallbacks([other], exceptions_to_handle=(kind,))
        answer = await ask(model, path, SAY)
        assert answer.text
        assert answer.response_metadata["gateway"]["requested_model"] == MODELS[second]
        assert len(simulator.requests) == 2 * number
    assert [entry["model"] for entry in simulator.logs(success=True)] == [MODELS[second]] * len(FAULTS)


@every_pair
@every_path
async def test_a_fallback_has_the_tools_too(
    make: Make, simulator: Simulator, first: str, second: str, path: str
) -> None:
    """And goes on with a conversation that the first model began."""
    model = make(api=first, max_retries=0).with_fallbacks([make(api=second)])
    bound: Any = model.bind_tools([weather])
    messages: list[Any] = [HumanMessage(ASK)]
    messages.append(await ask(bound, path, messages))
    [call] = messages[-1].tool_calls
    messages.append(ToolMessage(weather(**call["args"]), tool_call_id=call["id"]))
    simulator.fault("gateway_rate_limit")
    answer = await ask(bound, path, messages)
    assert answer.text == SUNNY
    assert [entry["model"] for entry in simulator.logs(success=True)] == [MODELS[first], MODELS[second]]


@every_wire
@pytest.mark.parametrize("path", ["stream", "astream"])
async def test_a_broken_stream_falls_back_until_its_first_chunk(
    make: Make, simulator: Simulator, api: str, path: str
) -> None:
    model = make(api=api, max_retries=0).with_fallbacks([make(model="openai/gpt-4.1-mini")])
    text = " ".join(["word"] * 30)
    simulator.reply(text, times=2)
    simulator.fault("cut", after_events=1)
    assert (await ask(model, path, SAY)).text == text
    assert len(simulator.requests) == 2
    simulator.reply(text)
    simulator.fault("cut", after_events=8)
    with pytest.raises(errors.GatewayError):
        await ask(model, path, SAY)
    assert len(simulator.requests) == 3


LONG: list[BaseMessage] = [
    SystemMessage("You are the harbour master."),
    HumanMessage("My boat is called Fram. " * 20),
    AIMessage("Noted. " * 20),
    HumanMessage("It is made of oak. " * 20),
    AIMessage("Oak is good."),
    HumanMessage(SAY),
]


@every_wire
@every_path
async def test_a_history_is_trimmed_to_what_fits(make: Make, simulator: Simulator, api: str, path: str) -> None:
    model = make(api=api)
    trim = trim_messages(
        token_counter=model, max_tokens=50, strategy="last", start_on="human", include_system=True, allow_partial=False
    )
    assert model.get_num_tokens_from_messages(LONG) > 200
    answer = await ask(trim | model, path, LONG)
    assert answer.text
    body = sent(simulator)
    assert "harbour master" in body
    assert SAY in body
    assert not any(word in body for word in ("Fram", "Noted", "oak"))


@every_wire
def test_a_history_with_calls_is_trimmed_without_orphans(make: Make, simulator: Simulator, api: str) -> None:
    model = make(api=api)
    history: list[Any] = [HumanMessage("The tide is high. " * 40), HumanMessage(ASK)]
    history.append(model.bind_tools([weather]).invoke(history[1:]))
    history.append(ToolMessage(SUNNY, tool_call_id=history[-1].tool_calls[0]["id"]))
    remaining = trim_messages(history, token_counter=model, max_tokens=100, start_on="human")
    assert [type(message) for message in remaining] == [type(message) for message in history[1:]]
    assert model.bind_tools([weather]).invoke(remaining).text == SUNNY
    assert "tide" not in sent(simulator)


@every_wire
def test_custom_token_counts_decide_where_to_trim(make: Make, simulator: Simulator, api: str) -> None:
    model = make(api=api, custom_get_token_ids=lambda text: list(range(len(text.split()))))
    trim = trim_messages(token_counter=model, max_tokens=30, strategy="last", start_on="human")
    (trim | model).invoke(LONG)
    assert "Oak is good." not in sent(simulator)
    assert SAY in sent(simulator)


@every_pair
def test_messages_are_filtered_and_merged(make: Make, simulator: Simulator, first: str, second: str) -> None:
    """Merging makes one message of two answers, each with its own provider's marks."""
    model = make(api=first)
    one, two = model.invoke(SAY), model.invoke("Say goodbye to Oslo.")
    messages: list[BaseMessage] = [HumanMessage(SAY), one, two, HumanMessage("Hm.", name="noise"), HumanMessage(SAY)]
    remaining = filter_messages(merge_message_runs(messages), exclude_names=["noise"])
    answer = make(api=second).invoke(remaining)
    assert answer.text
    body = sent(simulator)
    assert all(part.text in body.replace("\\n", "\n") for part in (one, two))


@pytest.mark.filterwarnings("ignore::langchain_core._api.LangChainDeprecationWarning")
@every_wire
@every_path
async def test_a_chat_remembers_its_history(make: Make, simulator: Simulator, api: str, path: str) -> None:
    histories: dict[str, InMemoryChatMessageHistory] = {}
    prompt = ChatPromptTemplate([("system", "Be kind."), MessagesPlaceholder("history"), ("human", "{text}")])
    chain = RunnableWithMessageHistory(
        cast("Runnable[Any, Any]", prompt | make(api=api)),
        lambda session: histories.setdefault(session, InMemoryChatMessageHistory()),
        input_messages_key="text",
        history_messages_key="history",
    )
    ann, bob = ({"configurable": {"session_id": name}} for name in ("ann", "bob"))
    await ask(chain, path, {"text": "My name is Ann."}, ann)
    await ask(chain, path, {"text": "My name is Bob."}, bob)
    assert (await ask(chain, path, {"text": "What is my name?"}, ann)).text == "Your name is Ann."
    assert (await ask(chain, path, {"text": "What is my name?"}, bob)).text == "Your name is Bob."
    assert [len(history.messages) for history in histories.values()] == [4, 4]
    assert len(simulator.requests) == 4


@every_wire
@every_path
async def test_a_tool_loop_by_hand(make: Make, simulator: Simulator, api: str, path: str) -> None:
    tools = {"weather": tool(weather)}
    model = make(api=api).bind_tools(list(tools.values()))
    messages: list[Any] = [HumanMessage("What is the weather in Oslo and in Rome?")]
    while not isinstance(messages[-1], AIMessage) or messages[-1].tool_calls:
        result = await ask(model, path, messages)
        messages.append(result)
        messages += [tools[call["name"]].invoke(call) for call in result.tool_calls]
    assert messages[-1].text == f"{SUNNY} It is 21 degrees and sunny in Rome."
    assert len(simulator.requests) == 2
    check_usage(simulator, [message for message in messages if isinstance(message, AIMessage)])


@every_wire
def test_parallel_calls_then_one(make: Make, simulator: Simulator, api: str) -> None:
    """Map and reduce."""
    model = make(api=api)
    cities = ["Oslo", "Rome", "Bonn", "Bern", "Kyiv", "Riga"]
    one = ChatPromptTemplate.from_template("Say hello to {city}.") | model | StrOutputParser()
    each = RunnableLambda(lambda names: one.batch([{"city": name} for name in names], {"max_concurrency": 3}))
    reduced = each | (lambda texts: "Repeat: " + " ".join(texts)) | model
    assert reduced.invoke(cities).text
    assert len(simulator.requests) == 7
    assert all(any(f"hello to {city}" in sent(simulator, number) for number in range(6)) for city in cities)


@pytest.mark.usefixtures("registered")
@every_path
async def test_the_model_is_chosen_at_run_time(simulator: Simulator, path: str) -> None:
    model: Any = init_chat_model(
        "openai/gpt-4.1",
        model_provider="cloudflare_ai_gateway",
        configurable_fields=("model", "temperature", "api"),
        config_prefix="my",
    )
    assert (await ask(model, path, SAY)).text
    for api, name in MODELS.items():
        config = {"configurable": {"my_model": name, "my_api": api, "my_temperature": 0.5}}
        answer = await ask(model.bind_tools([weather]), path, ASK, config)
        assert answer.tool_calls[0]["args"] == {"city": "Oslo"}
        body = simulator.requests[-1].body
        assert body["temperature"] == 0.5
    assert models_seen(simulator) == ["openai/gpt-4.1", *MODELS.values()]


@pytest.mark.usefixtures("registered")
def test_a_model_by_name_with_everything_else() -> None:
    name = "cloudflare_ai_gateway:anthropic/claude-haiku-4.5"
    model = init_chat_model(name, max_tokens=100, gateway_metadata={"team": "docs"})
    assert isinstance(model, ChatCloudflareAIGateway)
    assert model.with_structured_output({"title": "P", "type": "object", "properties": {"city": {"type": "string"}}})
    assert model.invoke(SAY).text
    with pytest.raises(errors.ConfigError):
        init_chat_model(name, tempurature=0)


@pytest.mark.usefixtures("registered")
@pytest.mark.parametrize("model", MODELS.values())
def test_agents_and_middleware_take_models_by_name(simulator: Simulator, model: str) -> None:
    simulator.fault("no_credits", after=1)
    other = ModelFallbackMiddleware("cloudflare_ai_gateway:openai/gpt-5.4-mini")
    agent: Any = create_agent(f"cloudflare_ai_gateway:{model}", [weather], middleware=[other])
    messages = agent.invoke(asked(ASK))["messages"]
    assert results(messages) == [SUNNY]
    assert messages[-1].text == SUNNY
    assert [entry["model"] for entry in simulator.logs(success=True)] == [model, "openai/gpt-5.4-mini"]
