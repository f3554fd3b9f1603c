"""Conversations: which ids the gateway and the provider receive for calls that belong together."""

from __future__ import annotations

from typing import Any

import pytest
from langchain.agents import create_agent
from langchain.agents.middleware import SummarizationMiddleware
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage, ToolMessage, trim_messages
from langgraph.checkpoint.memory import InMemorySaver
from pydantic import ValidationError

from cfaig_integrations.errors import ApiError, ConfigError
from cfaig_integrations.langchain import CloudflareAIGatewayLLM, gateway_info
from cfaig_integrations.simulator import Simulator
from tests.langchain.call_methods import CALL_METHODS, every_way
from tests.langchain.conftest import Make, where
from tests.langchain.programs import SUNNY, asked, population, run, weather

WORKERS_AI, AUTO = "@cf/zai-org/glm-5.2", "cloudflare/auto"
INSTANCE, ROUTER = "x-session-affinity", "cf-aig-session-id"
LOST = ("previous_response_not_found", "catalogue_previous_response_not_found")


def sent_headers(simulator: Simulator) -> list[dict[str, str]]:
    return [dict(request.headers) for request in simulator.requests]


def sent_ids(simulator: Simulator) -> list[str | None]:
    """What each request pointed to."""
    return [request.body.get("previous_response_id") for request in simulator.requests]


def inputs(simulator: Simulator, number: int = -1) -> list[str]:
    """What a request said, item by item."""
    return [item.get("role") or item["type"] for item in simulator.requests[number].body["input"]]


# Session affinity


@every_way
@pytest.mark.parametrize(("model", "header"), [(WORKERS_AI, INSTANCE), (AUTO, ROUTER)])
async def test_the_thread_id_is_sent(
    make: Make, simulator: Simulator, call_method: str, model: str, header: str
) -> None:
    await CALL_METHODS[call_method](
        make(model=model), "Hi", {"metadata": {"thread_id": "t-1", "user_id": "ann@example.com"}}
    )
    headers = sent_headers(simulator)[-1]
    assert headers[header] == "t-1"
    assert {INSTANCE, ROUTER} & headers.keys() == {header}


@pytest.mark.parametrize("key", ["thread_id", "session_id", "conversation_id"])
def test_conversation_id_keys(make: Make, simulator: Simulator, key: str) -> None:
    make(model=WORKERS_AI).invoke("Hi", {"metadata": {key: "c"}})
    assert sent_headers(simulator)[-1][INSTANCE] == "c"


def test_no_affinity_header_without_a_conversation_or_a_host_that_reads_it(make: Make, simulator: Simulator) -> None:
    make(model="openai/gpt-4.1").invoke("Hi", {"metadata": {"thread_id": "t"}})
    make(model=WORKERS_AI).invoke("Hi", {"metadata": {"user_id": "ann"}})
    make(model=WORKERS_AI).invoke("Hi")
    assert not any({INSTANCE, ROUTER} & headers.keys() for headers in sent_headers(simulator))


async def test_the_turns_of_an_agent_share_their_thread(make: Make, simulator: Simulator) -> None:
    agent = create_agent(make(model=WORKERS_AI), [weather], checkpointer=InMemorySaver())
    for path in ("invoke", "ainvoke", "stream", "astream"):
        simulator.reset()
        config = {"configurable": {"thread_id": f"thread-{path}"}}
        await run(agent, path, asked("What is the weather in Oslo?"), config)
        headers = sent_headers(simulator)
        assert len(headers) > 1
        assert {each[INSTANCE] for each in headers} == {f"thread-{path}"}


def test_affinity_is_switched_off_or_fixed(make: Make, simulator: Simulator) -> None:
    config: Any = {"metadata": {"thread_id": "t"}}
    make(model=WORKERS_AI, session_affinity=False).invoke("Hi", config)
    make(model=WORKERS_AI, session_affinity="mine").invoke("Hi", config)
    make(model=WORKERS_AI, session_affinity="mine").invoke("Hi")
    make(model=WORKERS_AI).invoke("Hi", config, session_affinity=False)
    make(model=WORKERS_AI, session_affinity=False).invoke("Hi", session_affinity="call")
    make(model=WORKERS_AI).invoke("Hi", config, gateway_options={"session_affinity": "option"})
    make(model=WORKERS_AI).invoke("Hi", config, extra_headers={"X-Session-Affinity": "header"})
    make(model=AUTO).invoke("Hi", config, gateway_options={"no_session_affinity": True})
    result = [headers.get(INSTANCE) or headers.get(ROUTER) for headers in sent_headers(simulator)]
    assert result == [None, "mine", "mine", None, "call", "option", "header", None]
    assert not any("session_affinity" in request.body for request in simulator.requests)


def test_affinity_does_not_depend_on_run_metadata(make: Make, simulator: Simulator) -> None:
    make(model=WORKERS_AI, run_metadata=False).invoke("Hi", {"metadata": {"thread_id": "t"}})
    headers = sent_headers(simulator)[-1]
    assert headers[INSTANCE] == "t"
    assert "cf-aig-metadata" not in headers


def test_an_llm_sends_it_too(simulator: Simulator) -> None:
    CloudflareAIGatewayLLM(model=WORKERS_AI, **where(simulator)).invoke("Hi", {"metadata": {"thread_id": "t"}})
    assert sent_headers(simulator)[-1][INSTANCE] == "t"


def test_an_invalid_id_raises(make: Make, simulator: Simulator) -> None:
    with pytest.raises(ValidationError):
        make(session_affinity="")
    with pytest.raises(ConfigError, match="session_affinity"):
        make(model=WORKERS_AI).invoke("Hi", session_affinity=["t"])
    assert not simulator.requests


def test_the_auto_router_keeps_its_model_within_a_thread(make: Make, simulator: Simulator) -> None:
    model, config = make(model=AUTO), {"metadata": {"thread_id": "t"}}
    wide, narrow = {"allowed_models": ("anthropic/*", "openai/*")}, {"allowed_models": ("anthropic/claude-opus-5",)}
    first = gateway_info(model.invoke("Hi", config, gateway_options=narrow))
    again = gateway_info(model.invoke("Hi", config, gateway_options=wide))
    other = gateway_info(model.invoke("Hi", {"metadata": {"thread_id": "u"}}, gateway_options=wide))
    assert first is not None
    assert again is not None
    assert other is not None
    assert (again.routed_model, again.routing_reason) == (first.routed_model, "pinned_by_turn")
    assert other.routing_reason != "pinned_by_turn"


# The provider's memory


def chaining(make: Make, **arguments: Any) -> Any:
    return make(model="openai/gpt-5.4", api="responses", use_previous_response_id=True, **arguments)


@every_way
async def test_only_new_messages_are_sent(make: Make, simulator: Simulator, call_method: str) -> None:
    model = chaining(make)
    messages: list[BaseMessage] = [SystemMessage("Be brief."), HumanMessage("My name is Ann.")]
    for ask in ("What is my name?", "Are you sure?"):
        reply = await CALL_METHODS[call_method](model, messages)
        messages += [reply, HumanMessage(ask)]
    last = await CALL_METHODS[call_method](model, messages)
    ids = [message.response_metadata["id"] for message in messages if isinstance(message, AIMessage)]
    assert sent_ids(simulator) == [None, *ids]
    assert [inputs(simulator, number) for number in range(3)] == [["system", "user"], ["user"], ["user"]]
    assert last.response_metadata["previous_response_id"] == ids[-1]


@every_way
async def test_a_message_that_is_two_items_does_not_end_the_chain(
    make: Make, simulator: Simulator, call_method: str
) -> None:
    """Anthropic's form has the results of tools and a question in one message of the user."""
    call = AIMessage("", tool_calls=[{"name": "weather", "args": {"city": "Oslo"}, "id": "call_1"}])
    result = {"type": "tool_result", "tool_use_id": "call_1", "content": "Rain."}
    messages = [HumanMessage("Oslo?"), call, HumanMessage([result, {"type": "text", "text": "In one word."}])]
    reply = await CALL_METHODS[call_method](chaining(make), messages)
    await CALL_METHODS[call_method](chaining(make), [*messages, reply, HumanMessage("Sure?")])
    assert sent_ids(simulator) == [None, reply.response_metadata["id"]]
    assert inputs(simulator) == ["user"]


@every_way
async def test_the_answer_names_the_previous_response(make: Make, simulator: Simulator, call_method: str) -> None:
    messages: list[BaseMessage] = [HumanMessage("The password is swordfish.")]
    messages += [chaining(make).invoke(messages), HumanMessage("What is the password?")]
    reply = await CALL_METHODS[call_method](chaining(make), messages)
    assert "swordfish" not in str(simulator.requests[-1].body)
    assert "swordfish" in reply.text


async def test_an_agent_sends_only_the_results_of_its_tools(make: Make, simulator: Simulator) -> None:
    agent = create_agent(chaining(make), [weather, population], system_prompt="Be brief.")
    for path in ("invoke", "ainvoke", "stream", "astream"):
        simulator.reset()
        messages = await run(agent, path, asked("What is the weather in Oslo?"))
        assert SUNNY in messages[-1].text
        assert sent_ids(simulator)[0] is None
        assert sent_ids(simulator)[-1] is not None
        assert inputs(simulator) == ["function_call_output"]


@every_way
@pytest.mark.parametrize("fault", LOST)
async def test_a_forgotten_history_is_sent_again(
    make: Make, simulator: Simulator, call_method: str, fault: str
) -> None:
    messages: list[BaseMessage] = [SystemMessage("Be brief."), HumanMessage("My name is Ann.")]
    messages += [chaining(make).invoke(messages), HumanMessage("What is my name?")]
    simulator.fault(fault)
    reply = await CALL_METHODS[call_method](chaining(make, max_retries=0), messages)
    assert reply.text
    first, second = sent_ids(simulator)[1:]
    assert (first is not None, second) == (True, None)
    assert inputs(simulator) == ["system", "user", "assistant", "user"]
    info = gateway_info(reply)
    assert info is not None
    assert (info.attempts, info.wire, info.switched_from) == (2, "responses", None)
    follow = await CALL_METHODS[call_method](chaining(make), [*messages, reply, HumanMessage("Sure?")])
    assert follow.response_metadata["previous_response_id"] == reply.response_metadata["id"]


@pytest.mark.parametrize(("fault", "requests"), [*((fault, 2) for fault in LOST), ("provider_bad_request", 1)])
def test_the_history_is_sent_again_once_where_it_is_forgotten(
    make: Make, simulator: Simulator, fault: str, requests: int
) -> None:
    messages: list[BaseMessage] = [HumanMessage("Hi")]
    messages += [chaining(make).invoke(messages), HumanMessage("And?")]
    simulator.fault(fault, times=None)
    with pytest.raises(ApiError) as raised:
        chaining(make).invoke(messages)
    assert raised.value.requests_sent == requests


def test_a_response_that_is_gone_for_good_costs_one_request(make: Make, simulator: Simulator) -> None:
    """As the simulator itself answers, whose memory ends with it."""
    messages: list[BaseMessage] = [HumanMessage("My name is Ann.")]
    messages += [chaining(make).invoke(messages), HumanMessage("What is my name?")]
    reply = messages[1].response_metadata
    messages[1].response_metadata = {**reply, "id": "resp_gone"}
    assert "Ann" in chaining(make).invoke(messages).text
    assert sent_ids(simulator) == [None, "resp_gone", None]


def edited(message: AIMessage) -> AIMessage:
    return message.model_copy(update={"content": "Something else."})


def test_an_edited_history_is_sent_whole(make: Make, simulator: Simulator) -> None:
    model = chaining(make)
    messages: list[BaseMessage] = [
        SystemMessage("Be brief."),
        HumanMessage("One."),
        AIMessage("First."),
        HumanMessage("Two."),
    ]
    reply = model.invoke(messages)
    new = HumanMessage("Three.")
    changed = {
        "another system prompt": [SystemMessage("Be long."), *messages[1:], reply, new],
        "trimmed": [*messages[2:], reply, new],
        "summarised": [HumanMessage("A summary."), reply, new],
        "a message more": [*messages, HumanMessage("Two and a half."), reply, new],
        "an edited answer": [*messages, edited(reply), new],
    }
    for name, history in changed.items():
        simulator.reset()
        model.invoke(history)
        assert sent_ids(simulator) == [None], name
        assert len(inputs(simulator)) == len(history), name


def test_calls_that_a_person_edited_are_sent(make: Make, simulator: Simulator) -> None:
    model = chaining(make).bind_tools([weather])
    ask = HumanMessage("What is the weather in Oslo?")
    reply = model.invoke([ask])
    call = reply.tool_calls[0]
    rewritten = reply.model_copy(update={"tool_calls": [{**call, "args": {"city": "Rome"}}]})
    model.invoke([ask, rewritten, ToolMessage("Hot.", tool_call_id=call["id"])])
    assert sent_ids(simulator)[-1] is None
    assert "Rome" in str(simulator.requests[-1].body["input"])
    model.invoke([ask, reply, ToolMessage("Cold.", tool_call_id=call["id"])])
    assert sent_ids(simulator)[-1] == reply.response_metadata["id"]


def test_only_replies_that_the_provider_keeps_are_continued(make: Make, simulator: Simulator) -> None:
    ask, new = HumanMessage("Hi"), HumanMessage("And?")
    unkept = chaining(make, store=False).invoke([ask])
    without = make(model="openai/gpt-5.4", api="responses").invoke([ask])
    chat = make(model="openai/gpt-4.1", api="chat_completions", use_previous_response_id=True).invoke([ask])
    cut = chaining(make).invoke([ask], stop=["zzz"])
    in_body = chaining(make, extra_body={"store": False}).invoke([ask])
    zdr = chaining(make).invoke([ask], gateway_options={"zdr": True})
    for reply in (unkept, without, chat, cut, in_body, zdr, AIMessage("Hand-written.")):
        chaining(make).invoke([ask, reply, new])
    assert sent_ids(simulator) == [None] * 13


def test_a_reply_of_another_provider_is_not_pointed_to(make: Make, simulator: Simulator) -> None:
    ask, new = HumanMessage("Hi"), HumanMessage("And?")
    reply = chaining(make).invoke([ask])
    chaining(make).invoke([ask, reply, new], model="alibaba/qwen3.8-max")
    chaining(make).invoke([ask, reply, new], model="openai/gpt-5.5")
    assert sent_ids(simulator)[1:] == [None, reply.response_metadata["id"]]


def test_messages_of_another_model_are_sent(make: Make, simulator: Simulator) -> None:
    messages: list[BaseMessage] = [HumanMessage("One.")]
    messages += [chaining(make).invoke(messages), HumanMessage("Two.")]
    messages += [make(model="anthropic/claude-haiku-4.5").invoke(messages), HumanMessage("Three.")]
    chaining(make).invoke(messages)
    assert sent_ids(simulator)[-1] == messages[1].response_metadata["id"]
    assert inputs(simulator) == ["user", "assistant", "user"]


def test_a_history_without_new_messages_is_sent_whole(make: Make, simulator: Simulator) -> None:
    messages: list[BaseMessage] = [HumanMessage("One.")]
    chaining(make).invoke([*messages, chaining(make).invoke(messages)])
    assert sent_ids(simulator) == [None, None]


def test_auto_prefers_the_format_with_stored_replies(make: Make, simulator: Simulator) -> None:
    model = make(model="openai/gpt-5.4", use_previous_response_id=True)
    messages: list[BaseMessage] = [HumanMessage("One.")]
    messages += [model.invoke(messages), HumanMessage("Two.")]
    model.invoke(messages)
    assert all(request.path.endswith("/responses") for request in simulator.requests)
    assert sent_ids(simulator)[-1] is not None


@pytest.mark.parametrize("model", ["xai/grok-4.5", WORKERS_AI])
def test_models_without_such_a_format_receive_the_whole_history(make: Make, simulator: Simulator, model: str) -> None:
    chat = make(model=model, use_previous_response_id=True)
    messages: list[BaseMessage] = [HumanMessage("One.")]
    messages += [chat.invoke(messages), HumanMessage("Two.")]
    chat.invoke(messages)
    assert len(simulator.requests[-1].body["messages"]) == 3


def test_an_explicit_id_has_precedence(make: Make, simulator: Simulator) -> None:
    reply = chaining(make).invoke("The password is swordfish.")
    again = chaining(make).invoke("What is the password?", previous_response_id=reply.response_metadata["id"])
    assert "swordfish" in again.text
    simulator.fault(LOST[0])
    with pytest.raises(ApiError):
        chaining(make).invoke("And?", previous_response_id="resp_x")
    assert len(simulator.requests) == 3


def test_it_can_be_set_per_call(make: Make, simulator: Simulator) -> None:
    model = make(model="openai/gpt-5.4", api="responses")
    messages: list[BaseMessage] = [HumanMessage("One.")]
    messages += [model.invoke(messages, use_previous_response_id=True), HumanMessage("Two.")]
    model.invoke(messages, use_previous_response_id=True)
    model.invoke(messages)
    assert sent_ids(simulator) == [None, messages[1].response_metadata["id"], None]
    assert not any("use_previous_response_id" in request.body for request in simulator.requests)


def test_trimmed_messages_are_not_sent(make: Make, simulator: Simulator) -> None:
    model = chaining(make)
    messages: list[BaseMessage] = [HumanMessage("One."), AIMessage("1"), HumanMessage("Two.")]
    messages += [model.invoke(messages), HumanMessage("Three.")]
    model.invoke(trim_messages(messages, max_tokens=3, token_counter=len, start_on="human"))
    assert sent_ids(simulator)[-1] is None
    assert inputs(simulator)[0] == "user"


async def test_a_summary_replaces_the_stored_history(make: Make, simulator: Simulator) -> None:
    helper = make(model="openai/gpt-4.1")
    shorter = SummarizationMiddleware(model=helper, trigger=("messages", 4), keep=("messages", 2))
    agent = create_agent(chaining(make), [], middleware=[shorter], checkpointer=InMemorySaver())
    config: Any = {"configurable": {"thread_id": "t"}}
    for ask in ("One.", "Two.", "Three."):
        await agent.ainvoke(asked(ask), config)
    pointed = [request.body.get("previous_response_id") for request in simulator.requests if "input" in request.body]
    assert pointed[0] is None
    assert pointed[1] is not None
    assert pointed[-1] is None
