"""Tools, whatever a server makes of their calls."""

from __future__ import annotations

import json
from typing import Any, Generic, TypeVar

import pytest
from llama_index.core.agent.workflow import FunctionAgent, ToolCallResult
from llama_index.core.base.llms.types import ChatMessage, ChatResponse, TextBlock, ToolCallBlock
from llama_index.core.program import FunctionCallingProgram
from llama_index.core.prompts import PromptTemplate
from llama_index.core.tools import FunctionTool
from pydantic import BaseModel

from cfaig_integrations import ConfigError, InvalidRequest
from cfaig_integrations.simulator import Simulator
from tests.handmade import call_piece, chat_chunk, last_request, play
from tests.llama_index.call_methods import (
    CALL,
    QUESTION,
    WEATHER,
    Make,
    answer,
    answers,
    both_modes,
    every_chat,
    every_stream,
    every_wire,
    result,
    text_of,
    user,
    value_for,
)

ANSWER = "It rains in Paris."
Thing = TypeVar("Thing")


async def finished_run(handler: Any) -> tuple[str, list[Any], Any]:
    """An agent's answer, what its tools gave, and its end."""
    gave = [event async for event in handler.stream_events() if isinstance(event, ToolCallResult)]
    end = await handler
    return str(end), [(each.tool_id, each.tool_kwargs, str(each.tool_output)) for each in gave], end


@every_wire
@both_modes
async def test_an_agent_calls_its_tool_and_answers(make: Make, simulator: Simulator, api: str, streaming: bool) -> None:
    """run-llama#19909, #19089, #19094."""
    agent = FunctionAgent(tools=[WEATHER], llm=make(api=api), streaming=streaming)
    text, gave, end = await finished_run(agent.run(QUESTION))
    assert "It rains in Paris." in text
    assert [each[1:] for each in gave] == [({"city": "Paris"}, "It rains in Paris.")]
    assert len(simulator.requests) == 2
    assert end.response.content == text
    assert end.tool_calls


@every_wire
@both_modes
async def test_an_answer_without_calls_is_final(make: Make, simulator: Simulator, api: str, streaming: bool) -> None:
    simulator.reply("Nothing to look up.")
    text, gave, _ = await finished_run(FunctionAgent(tools=[WEATHER], llm=make(api=api), streaming=streaming).run("Hi"))
    assert (text, gave) == ("Nothing to look up.", [])


@every_wire
@every_chat
async def test_text_and_calls_stay_together(make: Make, simulator: Simulator, api: str, method: str) -> None:
    """run-llama#15083."""
    llm = make(api=api)
    simulator.reply("I will look.", calls=[CALL])
    said = await answer(llm, method, tools=[WEATHER])
    assert text_of(said) == "I will look."
    (call,) = llm.get_tool_calls_from_response(said)
    assert (call.tool_id, call.tool_name, call.tool_kwargs) == ("call_1", "weather", {"city": "Paris"})
    await answer(llm, method, [user(), said.message, result()], tools=[WEATHER])
    sent = json.dumps(last_request(simulator))
    assert sent.index("I will look.") < sent.index("call_1") < sent.rindex("call_1") < sent.index(ANSWER)


@every_wire
@both_modes
async def test_an_agent_keeps_text_and_calls_and_calls_once(
    make: Make, simulator: Simulator, api: str, streaming: bool
) -> None:
    """run-llama#18363, #19095."""
    simulator.reply("I will look.", calls=[CALL])
    simulator.reply(ANSWER)
    agent = FunctionAgent(tools=[WEATHER], llm=make(api=api), streaming=streaming)
    text, gave, _ = await finished_run(agent.run(QUESTION))
    assert text == ANSWER
    assert gave == [("call_1", {"city": "Paris"}, ANSWER)]
    assert "I will look." in json.dumps(last_request(simulator))
    assert len(simulator.requests) == 2


def stream_of(*pieces: list[dict[str, Any]], ends: tuple[str, ...] = ("tool_calls",)) -> list[Any]:
    """A stream of chat completions, each of whose chunks has some pieces of calls."""
    chunks = [chat_chunk({"tool_calls": each}) for each in pieces]
    finishes = [chat_chunk({}, end) for end in ends]
    return [chat_chunk({"role": "assistant", "content": None}), *chunks, *finishes, "[DONE]"]


PARIS, ROME = ('{"city": "Pa', 'ris"}'), ('{"city": "R', 'ome"}')
PAIRS: dict[str, list[list[dict[str, Any]]]] = {
    "index 0 for every call": [
        [call_piece(0, id_="call_1", name="weather", args="".join(PARIS))],
        [call_piece(0, id_="call_2", name="weather", args="".join(ROME))],
    ],
    "index 0, in pieces": [
        [call_piece(0, id_="call_1", name="weather", args=PARIS[0])],
        [call_piece(0, args=PARIS[1])],
        [call_piece(0, id_="call_2", name="weather", args=ROME[0])],
        [call_piece(0, args=ROME[1])],
    ],
    "both in one chunk": [
        [
            call_piece(0, id_="call_1", name="weather", args="".join(PARIS)),
            call_piece(1, id_="call_2", name="weather", args="".join(ROME)),
        ]
    ],
    "both in one chunk, in pieces": [
        [call_piece(0, id_="call_1", name="weather"), call_piece(1, id_="call_2", name="weather")],
        [call_piece(0, args=PARIS[0]), call_piece(1, args=ROME[0])],
        [call_piece(1, args=ROME[1]), call_piece(0, args=PARIS[1])],
    ],
    "interleaved": [
        [call_piece(0, id_="call_1", name="weather")],
        [call_piece(1, id_="call_2", name="weather")],
        *([call_piece(place, args=args)] for n in (0, 1) for place, args in ((1, ROME[n]), (0, PARIS[n]))),
    ],
    "no index": [
        [call_piece(None, id_="call_1", name="weather", args=PARIS[0])],
        [call_piece(None, args=PARIS[1])],
        [call_piece(None, id_="call_2", name="weather", args="".join(ROME))],
    ],
    "the name in every piece": [
        *([call_piece(0, id_="call_1", name="weather", args=args)] for args in PARIS),
        *([call_piece(1, id_="call_2", name="weather", args=args)] for args in ROME),
    ],
}


@pytest.mark.parametrize("pair", PAIRS)
@pytest.mark.parametrize("ends", [("tool_calls",), ("tool_calls", "tool_calls"), ("tool_calls", "stop"), ("stop",)])
@every_stream
async def test_two_tool_calls_stay_separate(
    make: Make, simulator: Simulator, pair: str, method: str, ends: tuple[str, ...]
) -> None:
    """vercel/ai#14277, litellm#33678, dynamo#4723, hass_local_openai_llm#92."""
    llm = make(api="chat_completions")
    play(simulator, *stream_of(*PAIRS[pair], ends=ends))
    actual = await answers(llm, method, tools=[WEATHER])
    calls = llm.get_tool_calls_from_response(actual[-1])
    assert [(call.tool_id, call.tool_kwargs) for call in calls] == [
        ("call_1", {"city": "Paris"}),
        ("call_2", {"city": "Rome"}),
    ]
    visible = actual[-1].message.additional_kwargs["tool_calls"]
    assert [json.loads(each["function"]["arguments"]) for each in visible] == [{"city": "Paris"}, {"city": "Rome"}]
    for response in actual:
        for so_far in llm.get_tool_calls_from_response(response, error_on_no_tool_call=False):
            assert "Paris".startswith(city := so_far.tool_kwargs.get("city", "")) or "Rome".startswith(city)


@pytest.mark.parametrize("pair", PAIRS)
async def test_an_agent_runs_each_call_once(make: Make, simulator: Simulator, pair: str) -> None:
    play(simulator, *stream_of(*PAIRS[pair], ends=("tool_calls", "stop")))
    simulator.reply("It rains in both.")
    text, gave, _ = await finished_run(
        FunctionAgent(tools=[WEATHER], llm=make(api="chat_completions")).run("Paris, Rome?")
    )
    assert text == "It rains in both."
    assert sorted(gave) == [("call_1", {"city": "Paris"}, ANSWER), ("call_2", {"city": "Rome"}, "It rains in Rome.")]


LONG = {"city": "Sankt Märgen 🌧 " * 20, "days": [1, 2, {"a": None}], "deep": {"b": [True, 0.5, "\u2028\n\\"]}}


@pytest.mark.parametrize("size", [1, 2, 7, 64, 10_000])
@every_stream
async def test_arguments_may_come_in_pieces_of_any_size(
    make: Make, simulator: Simulator, method: str, size: int
) -> None:
    """run-llama#17713."""
    llm, text = make(api="chat_completions"), json.dumps(LONG, ensure_ascii=False)
    pieces = [text[start : start + size] for start in range(0, len(text), size)]
    first = [call_piece(0, id_="call_1", name="weather")]
    play(simulator, *stream_of(first, *([call_piece(0, args=piece)] for piece in pieces)))
    actual = await answers(llm, method, tools=[WEATHER])
    (call,) = llm.get_tool_calls_from_response(actual[-1])
    assert call.tool_kwargs == LONG
    for response in actual:
        for so_far in llm.get_tool_calls_from_response(response, error_on_no_tool_call=False):
            assert str(LONG["city"]).startswith(so_far.tool_kwargs.get("city", ""))


LIMITS = {
    "no choice of tools": ("@cf/mistralai/mistral-small-3.1-24b-instruct", "chat_completions"),
    "one tool at most": ("@cf/zai-org/glm-4.7-flash", "chat_completions"),
    "no choice on run": ("@cf/mistralai/mistral-small-3.1-24b-instruct", "run"),
    "no choice on messages": ("@cf/mistralai/mistral-small-3.1-24b-instruct", "messages"),
}


def time(zone: str) -> str:
    """The time of a zone."""
    return zone


@pytest.mark.parametrize("limit", LIMITS)
async def test_a_models_limit_is_reported_before_sending(make: Make, simulator: Simulator, limit: str) -> None:
    """run-llama#19886, PR #18654."""
    model, api = LIMITS[limit]
    tools = [WEATHER, FunctionTool.from_defaults(time)]
    llm = make(model=model, api=api)
    for method in ("chat_with_tools", "achat_with_tools", "stream_chat_with_tools", "astream_chat_with_tools"):
        with pytest.raises(ConfigError) as caught:
            await value_for(getattr(llm, method), tools, user_msg="Hi", tool_required=True)
        assert caught.value.field == "tool_choice"
        assert model in str(caught.value)
        assert caught.value.remedy
    assert not simulator.requests


def test_a_limit_reported_by_the_server_is_explained(make: Make, simulator: Simulator) -> None:
    simulator.fault("invalid_input")
    llm = make(model="@cf/meta/llama-4-scout-17b-16e-instruct")
    with pytest.raises(InvalidRequest, match="tool_choice") as caught:
        llm.chat_with_tools([WEATHER], user_msg="Hi", tool_required=True)
    assert caught.value.hint


class City(BaseModel):
    """A city."""

    name: str


UNFORCED: dict[str, dict[str, Any]] = {
    "@cf/mistralai/mistral-small-3.1-24b-instruct": {},
    "anthropic/claude-haiku-4.5": {"thinking": {"type": "enabled", "budget_tokens": 1024}, "max_tokens": 4096},
}
"""Models that cannot be made to call a tool, the second while it thinks."""


@pytest.mark.parametrize("method", ["structured_predict", "astructured_predict"])
@pytest.mark.parametrize("model", UNFORCED)
async def test_structured_output_works_without_forced_calls(
    make: Make, simulator: Simulator, model: str, method: str
) -> None:
    llm = make(model=model, structured_output="function_calling", **UNFORCED[model])
    simulator.reply(calls=[{"id": "call_1", "name": "City", "arguments": {"name": "Paris"}}])
    actual = await value_for(getattr(llm, method), City, PromptTemplate("Name a city."))
    assert actual == City(name="Paris")
    choice = last_request(simulator).get("tool_choice", "auto")
    assert (choice if isinstance(choice, str) else choice["type"]) == "auto"


CHOICES: tuple[Any, ...] = ("required", "any", "weather", {"type": "function", "function": {"name": "weather"}})


@every_wire
@every_chat
@pytest.mark.parametrize("choice", CHOICES)
async def test_every_form_of_a_forced_choice_is_sent(
    make: Make, simulator: Simulator, api: str, method: str, choice: Any
) -> None:
    """Another package sent the form of chat completions to the Responses endpoint."""
    llm = make(api=api)
    actual = await answer(llm, method, "Paris, please.", tools=[WEATHER], tool_choice=choice)
    assert [call.tool_name for call in llm.get_tool_calls_from_response(actual)] == ["weather"]


class Box(BaseModel, Generic[Thing]):
    """A box."""

    value: Thing


@pytest.mark.parametrize("api", ["chat_completions", "responses", "messages", "run"])
@pytest.mark.parametrize("way", ["json_schema", "function_calling", "prompt"])
@pytest.mark.parametrize("asynchronous", [False, True], ids=["sync", "async"])
async def test_generic_classes_can_be_output_classes(
    make: Make, simulator: Simulator, api: str, way: str, asynchronous: bool
) -> None:
    llm = make(api=api, structured_output=way, system_prompt="Be exact.")
    if way == "function_calling":
        simulator.reply(calls=[{"id": "call_1", "name": "Box_int_", "arguments": {"value": 3}}])
    else:
        simulator.reply('{"value": 3}')
    prompt = PromptTemplate("Fill a box.")
    if asynchronous:
        actual = await llm.astructured_predict(Box[int], prompt)
    else:
        actual = llm.structured_predict(Box[int], prompt)
    assert actual == Box[int](value=3)
    assert "Be exact." in json.dumps(last_request(simulator))


@both_modes
def test_llama_index_programs_accept_generic_classes(make: Make, simulator: Simulator, streaming: bool) -> None:
    simulator.reply(calls=[{"id": "call_1", "name": "Box_int_", "arguments": {"value": 3}}])
    program: Any = FunctionCallingProgram.from_defaults(Box[int], prompt_template_str="Fill a box.", llm=make())
    actual = list(program.stream_call())[-1] if streaming else program()
    assert actual.value == 3


@every_wire
@pytest.mark.parametrize("kwargs", [{"city": "Paris"}, '{"city": "Paris"}'], ids=["dict", "text"])
def test_tool_arguments_in_a_history_may_be_text_or_objects(
    make: Make, simulator: Simulator, api: str, kwargs: Any
) -> None:
    """In one package a dict became nothing, in another a text stayed a text."""
    block = ToolCallBlock(tool_call_id="call_1", tool_name="weather", tool_kwargs=kwargs)
    said = ChatMessage(role="assistant", blocks=[TextBlock(text="I will look."), block])
    llm = make(api=api)
    llm.chat([user(), said, result()], tools=[WEATHER])
    body = last_request(simulator)
    actual = [each for each in walk(body) if isinstance(each, dict) and each.get("name") == "weather"]
    original = [each.get("arguments", each.get("input")) for each in actual if each.keys() & {"arguments", "input"}]
    assert original in ([{"city": "Paris"}], ['{"city": "Paris"}'], ['{"city":"Paris"}'])
    assert isinstance(original[0], dict) == (api == "messages")
    (call,) = llm.get_tool_calls_from_response(ChatResponse(message=said))
    assert call.tool_kwargs == {"city": "Paris"}


def walk(value: Any) -> list[Any]:
    """A JSON value and all in it."""
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return [value, *(each for one in inner for each in walk(one))]
