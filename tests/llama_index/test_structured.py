"""Objects of a class: every way to ask, every wire, every method, and answers that are none."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from datetime import date, datetime
from enum import Enum
from itertools import pairwise, product
from typing import Any, Generic, Literal, TypeVar, get_args
from uuid import UUID

import pytest
from llama_index.core.base.llms.types import ChatMessage
from llama_index.core.callbacks import CallbackManager, CBEventType, LlamaDebugHandler
from llama_index.core.instrumentation.event_handlers import BaseEventHandler
from llama_index.core.instrumentation.events import BaseEvent
from llama_index.core.output_parsers import PydanticOutputParser
from llama_index.core.program import FunctionCallingProgram
from llama_index.core.program.utils import FlexibleModel
from llama_index.core.prompts import ChatPromptTemplate, PromptTemplate
from llama_index.core.types import BaseOutputParser, PydanticProgramMode
from llama_index_instrumentation import get_dispatcher
from pydantic import BaseModel, ConfigDict, RootModel, field_validator

from cfaig_integrations.errors import ConfigError
from cfaig_integrations.llama_index.llm import CloudflareAIGateway
from cfaig_integrations.simulator import Simulator
from tests.llama_index.call_methods import Make, every_wire

Way = Literal["json_schema", "function_calling", "prompt"]
Method = Callable[..., list[Any]]
Thing = TypeVar("Thing")

ASK = PromptTemplate("Give a point {where}.")
ANSWER = '{"x": 1, "y": 2}'

every_program_method = pytest.mark.parametrize("way", get_args(Way))


class Point(BaseModel):
    """A point."""

    x: int
    y: int


class Box(BaseModel, Generic[Thing]):
    """A box."""

    value: Thing


class Node(BaseModel):
    """A node."""

    name: str
    next: Node | None = None


class Numbers(RootModel[list[int]]):
    """Some numbers."""


class Exact(BaseModel):
    """Takes no string for a number, but JSON's lists for its sets."""

    model_config = ConfigDict(strict=True)

    kinds: frozenset[Literal["a", "b"]]


class Colour(Enum):
    RED = "red"


class Typed(BaseModel):
    """Types that JSON writes as texts and lists."""

    model_config = ConfigDict(strict=True)

    day: date
    at: datetime
    colour: Colour
    id: UUID
    pair: tuple[int, str]


class Words(BaseModel):
    """A string and a list."""

    first: str
    second: list[str]


KINDS: dict[str, tuple[Any, str]] = {
    "plain": (Point(x=1, y=2), ANSWER),
    "generic": (Box[int](value=3), '{"value": 3}'),
    "holds itself": (Node(name="a", next=Node(name="b")), '{"name": "a", "next": {"name": "b"}}'),
    "no object": (Numbers([1, 2]), '{"root": [1, 2]}'),
    "strict": (Exact(kinds=frozenset("ab")), '{"kinds": ["a", "b"]}'),
    "strict types": (
        Typed(day=date(2026, 1, 2), at=datetime(2026, 1, 2, 3, 4), colour=Colour.RED, id=UUID(int=7), pair=(1, "a")),
        '{"day": "2026-01-02", "at": "2026-01-02T03:04:00", "colour": "red", '
        '"id": "00000000-0000-0000-0000-000000000007", "pair": [1, "a"]}',
    ),
}


def once(llm: CloudflareAIGateway, kind: type[BaseModel], **arguments: Any) -> list[Any]:
    return [llm.structured_predict(kind, ASK, where="here", **arguments)]


def streamed(llm: CloudflareAIGateway, kind: type[BaseModel], **arguments: Any) -> list[Any]:
    return list(llm.stream_structured_predict(kind, ASK, where="here", **arguments))


def later(llm: CloudflareAIGateway, kind: type[BaseModel], **arguments: Any) -> list[Any]:
    async def logged() -> list[Any]:
        return [await llm.astructured_predict(kind, ASK, where="here", **arguments)]

    return asyncio.run(logged())


def streamed_later(llm: CloudflareAIGateway, kind: type[BaseModel], **arguments: Any) -> list[Any]:
    async def logged() -> list[Any]:
        return [each async for each in await llm.astream_structured_predict(kind, ASK, where="here", **arguments)]

    return asyncio.run(logged())


METHODS: list[Method] = [once, streamed, later, streamed_later]
every_method = pytest.mark.parametrize("method", METHODS)


def script(simulator: Simulator, way: str, answer: str = ANSWER, *, name: str = "Point", **more: Any) -> None:
    """Makes the simulator answer in the way in which it is asked."""
    if way == "function_calling":
        try:
            said = {"arguments": json.loads(answer)}
        except ValueError:
            said = {"raw": answer}
        simulator.reply(calls=[{"id": "call_1", "name": name, **said}], **more)
    else:
        simulator.reply(answer, **more)


def body(simulator: Simulator) -> Any:
    """What was asked, without the envelope of `run`."""
    sent = simulator.requests[-1].body
    return sent.get("input") if isinstance(sent.get("input"), dict) else sent


@every_wire
@every_program_method
@every_method
def test_every_method_returns_objects_on_every_wire(
    make: Make, simulator: Simulator, api: str, way: Way, method: Method
) -> None:
    script(simulator, way)
    *partials, last = method(make(api=api, structured_output=way), Point)
    assert last == Point(x=1, y=2)
    assert type(last) is Point
    assert all(isinstance(partial, FlexibleModel) for partial in partials)


@every_program_method
@every_method
@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_class_is_supported(
    make: Make, simulator: Simulator, way: Way, method: Method, kind: str
) -> None:
    expected, answer = KINDS[kind]
    script(simulator, way, answer, name=type(expected).__name__.replace("[", "_").replace("]", "_"))
    assert method(make(api="chat_completions", structured_output=way), type(expected))[-1] == expected


@every_program_method
@pytest.mark.parametrize("method", [streamed, streamed_later])
def test_objects_grow_in_a_stream(make: Make, simulator: Simulator, way: Way, method: Method) -> None:
    answer = {"first": "one two three four five", "second": ["six seven", "eight"]}
    script(simulator, way, json.dumps(answer), name="Words")
    *partials, last = method(make(api="chat_completions", structured_output=way), Words)
    assert last == Words(**answer)
    assert len(partials) > 2
    assert all((after.first or "").startswith(before.first or "") for before, after in pairwise(partials))
    assert partials[-1].second[0] == "six seven"
    assert all(before.model_dump() != after.model_dump() for before, after in pairwise(partials))


@every_program_method
def test_the_schema_is_sent(make: Make, simulator: Simulator, way: Way) -> None:
    script(simulator, way)
    once(make(api="chat_completions", structured_output=way), Point)
    sent = body(simulator)
    match way:
        case "json_schema":
            contents = sent["response_format"]["json_schema"]
            assert (contents["name"], contents["description"]) == ("Point", "A point.")
            assert "strict" not in contents
            schema = contents["schema"]
        case "function_calling":
            (tool,) = sent["tools"]
            assert tool["function"]["name"] == "Point"
            assert sent["tool_choice"] == {"type": "function", "function": {"name": "Point"}}
            assert sent["parallel_tool_calls"] is False
            schema = tool["function"]["parameters"]
        case "prompt":
            assert sent.keys() & {"response_format", "tools"} == set()
            said = sent["messages"][-1]["content"]
            text = said if isinstance(said, str) else said[-1]["text"]
            schema = json.loads(text[text.index("{") :])
    assert {key: value["type"] for key, value in schema["properties"].items()} == {"x": "integer", "y": "integer"}
    assert schema["required"] == ["x", "y"]


@pytest.mark.parametrize("way", ["json_schema", "function_calling"])
@pytest.mark.parametrize(("arguments", "more"), [({"strict": True}, {}), ({}, {"llm_kwargs": {"strict": True}})])
def test_strict_closes_the_schema(
    make: Make, simulator: Simulator, way: Way, arguments: dict[str, Any], more: dict[str, Any]
) -> None:
    script(simulator, way, '{"name": "a", "next": null}', name="Node")
    once(make(api="chat_completions", structured_output=way, **arguments), Node, **more)
    sent = body(simulator)
    contents = sent["tools"][0]["function"] if way == "function_calling" else sent["response_format"]["json_schema"]
    schema = contents.get("parameters") or contents["schema"]
    assert contents["strict"] is True
    assert (schema["required"], schema["additionalProperties"]) == (["name", "next"], False)
    assert schema["$defs"]["Node"]["additionalProperties"] is False


@every_program_method
@every_method
def test_the_system_prompt_and_call_arguments_apply(make: Make, simulator: Simulator, way: Way, method: Method) -> None:
    llm = make(api="chat_completions", structured_output=way, system_prompt="Be exact.", max_tokens=99)
    arguments = {"temperature": 0.5, "tool_choice": "auto", "gateway_metadata": {"team": "a"}}
    before = dict(arguments)
    script(simulator, way)
    method(llm, Point, llm_kwargs=arguments)
    assert arguments == before
    sent = body(simulator)
    assert sent["messages"][0] == {"role": "system", "content": "Be exact."}
    assert "Give a point here." in json.dumps(sent["messages"][1])
    assert (sent["temperature"], sent["max_completion_tokens"]) == (0.5, 99)
    assert json.loads(simulator.requests[-1].headers["cf-aig-metadata"])["team"] == "a"


@every_program_method
@every_method
def test_one_call_is_one_event(make: Make, simulator: Simulator, way: Way, method: Method) -> None:
    seen = LlamaDebugHandler(print_trace_on_end=False)
    script(simulator, way)
    llm = make(api="chat_completions", structured_output=way, callback_manager=CallbackManager([seen]))
    method(llm, Point)
    ((_, end),) = seen.get_event_pairs(CBEventType.LLM)
    assert end.payload is not None
    assert end.payload["response"].raw["usage"]["total_tokens"] > 0


@every_method
def test_observers_see_the_object(make: Make, simulator: Simulator, method: Method) -> None:
    class Watcher(BaseEventHandler):
        def handle(self, event: BaseEvent, **_: Any) -> None:
            if "StructuredPredict" in event.class_name():
                seen.append(event)

    seen: list[Any] = []
    root, watcher = get_dispatcher(), Watcher()
    root.add_event_handler(watcher)
    try:
        script(simulator, "json_schema")
        method(make(api="chat_completions"), Point)
    finally:
        root.event_handlers.remove(watcher)
    assert seen[0].class_name() == "LLMStructuredPredictStartEvent"
    assert seen[0].template_args == {"where": "here"}
    assert seen[-1].class_name() == "LLMStructuredPredictEndEvent"
    assert seen[-1].output == Point(x=1, y=2)


BROKEN = {
    "cut": '{"x": 1, "y": ',
    "no JSON": "Here you are!",
    "two": ANSWER + ANSWER,
    "unfit": '{"x": "one", "y": 2}',
    "missing": '{"x": 1}',
    "empty": "",
}
NO_FAULT = {("function_calling", "empty"), ("prompt", "two"), ("json_schema", "two")}
"""No arguments are an empty object, as Anthropic's models write it; and an answer in text may repeat itself."""


@every_method
@pytest.mark.parametrize(("way", "answer"), sorted(set(product(get_args(Way), BROKEN)) - NO_FAULT))
def test_an_invalid_answer_is_an_error(make: Make, simulator: Simulator, way: Way, method: Method, answer: str) -> None:
    script(simulator, way, BROKEN[answer])
    with pytest.raises(ValueError, match="finish_reason") as caught:
        method(make(api="chat_completions", structured_output=way), Point)
    if way != "function_calling":
        assert repr(BROKEN[answer])[1:-1] in str(caught.value)


@every_method
def test_a_call_with_broken_arguments_is_not_a_missing_call(make: Make, simulator: Simulator, method: Method) -> None:
    script(simulator, "function_calling", BROKEN["cut"])
    with pytest.raises(ValueError, match=r"The call of 'Point' is broken: '\{\"x\": 1"):
        method(make(api="chat_completions", structured_output="function_calling"), Point)


@every_method
@pytest.mark.parametrize(
    ("model", "remedy"), [("openai/gpt-4.1", ""), ("minimax/m2.7", r" It cannot be .*: use structured_output=.*")]
)
def test_a_model_that_does_not_call_is_an_error(
    make: Make, simulator: Simulator, method: Method, model: str, remedy: str
) -> None:
    simulator.reply("I would rather talk.")
    with pytest.raises(ValueError, match=rf"did not call 'Point'\.{remedy} \(finish.*I would rather talk"):
        method(make(api="chat_completions", model=model, structured_output="function_calling"), Point)


@every_program_method
@every_method
@pytest.mark.parametrize("api", ["chat_completions", "responses"])
def test_a_refusal_is_an_error(make: Make, simulator: Simulator, api: str, way: Way, method: Method) -> None:
    simulator.reply(refusal="I cannot help with that.", finish="refusal")
    with pytest.raises(ValueError, match="refused: I cannot help with that"):
        method(make(api=api, structured_output=way), Point)


CONTEXTS: dict[str, str] = {
    "thoughts": "<think>\nEasy.\n</think>\n\n{}",
    "thoughts without their opening tag": "Easy.\n</think>\n{}",
    "thoughts with braces": '<think>The schema is {{"x": ...}}, so {{x}}.</think>\n{}',
    "thoughts with an answer": '<think>{{"x": 7, "y": 7}}?</think>{}',
    "a fence after thoughts": "<think>x {{y}}</think>\n```json\n{}\n```",
    "a list of one": "[{}]",
    "a fence": "```json\n{}\n```",
    "a fence between prose": "Sure!\n```json\n{}\n```\nAnything else?",
    "a fence in capitals": "```JSON\n{}\n```",
    "a fence of another name": "Here:\n~~~json5\n{}\n~~~\nOr so.",
    "prose before": "Here is the JSON: {}",
    "prose around": "Here: {} That is it.",
    "prose with a brace after": "{}\nHope that helps :}} ",
    "prose with brackets before": "As asked [1] {{so}}: {}",
    "a BOM": "\ufeff{}",
    "encoded twice": "twice",
}


@every_method
@pytest.mark.parametrize("way", ["json_schema", "prompt"])
@pytest.mark.parametrize("around", CONTEXTS)
def test_text_around_an_answer_is_ignored(
    make: Make, simulator: Simulator, around: str, way: Way, method: Method
) -> None:
    form = CONTEXTS[around]
    simulator.reply(json.dumps(ANSWER) if form == "twice" else form.format(ANSWER))
    *partials, last = method(make(api="chat_completions", structured_output=way), Point)
    assert last == Point(x=1, y=2)
    if "</think>" in form and form.startswith("<think>"):
        assert {7} & {getattr(partial, "x", None) for partial in partials} == set()


@every_method
@pytest.mark.parametrize("way", ["json_schema", "prompt"])
@pytest.mark.parametrize(
    "text", [BROKEN["cut"], '<think>{{"x": 1}}</think>{"x": 1, "y"', '```json\n{"x": 1, "y": 2', 'See {"x": 1, "y": 2']
)
def test_a_truncated_answer_is_not_completed(
    make: Make, simulator: Simulator, text: str, way: Way, method: Method
) -> None:
    simulator.reply(text, finish="length")
    with pytest.raises(ValueError, match="'length'"):
        method(make(api="chat_completions", structured_output=way), Point)


@every_method
@pytest.mark.parametrize(
    "raw", ['[{"x": 1, "y": 2}]', json.dumps(ANSWER), '\ufeff{"x": 1, "y": 2}', '```json\n{"x": 1, "y": 2}\n```']
)
def test_arguments_in_another_form_are_read(make: Make, simulator: Simulator, raw: str, method: Method) -> None:
    simulator.reply(calls=[{"id": "call_1", "name": "Point", "raw": raw}])
    llm = make(api="chat_completions", structured_output="function_calling")
    assert method(llm, Point)[-1] == Point(x=1, y=2)


@every_method
def test_control_characters_in_strings_are_kept(make: Make, simulator: Simulator, method: Method) -> None:
    for way in ("json_schema", "function_calling"):
        text = '{"first": "a\n\tb", "second": []}'
        if way == "function_calling":
            simulator.reply(calls=[{"id": "call_1", "name": "Words", "raw": text}])
        else:
            simulator.reply(text)
        llm = make(api="chat_completions", structured_output=way)
        assert method(llm, Words)[-1] == Words(first="a\n\tb", second=[])


def test_the_cost_of_a_stream_is_linear(make: Make, simulator: Simulator) -> None:
    """Each value is read again only when the text has grown by a part of itself."""
    simulator.reply(json.dumps({"first": "a", "second": ["some word"] * 4000}))
    *partials, last = streamed(make(api="chat_completions"), Words)
    assert len(last.second) == 4000
    assert 100 < len(partials) < 2000
    lengths = [len(getattr(partial, "second", None) or ()) for partial in partials]
    assert lengths == sorted(lengths)


def test_a_list_without_its_wrapper_is_read(make: Make, simulator: Simulator) -> None:
    simulator.reply("[1, 2]")
    assert once(make(api="chat_completions"), Numbers) == [Numbers([1, 2])]


@every_method
def test_a_parser_sees_the_text_first(make: Make, simulator: Simulator, method: Method) -> None:
    class Shouting(BaseOutputParser):
        def parse(self, output: str) -> Any:
            return output.lower()

        def format(self, query: str) -> str:
            return query + " Shout!"

    simulator.reply('{"NAME": "A"}')
    assert method(make(api="chat_completions", output_parser=Shouting()), Node)[-1] == Node(name="a")
    assert "Shout!" in json.dumps(body(simulator)["messages"])
    simulator.reply(f"Well: {ANSWER}")
    parser = PydanticOutputParser(Point)
    assert method(make(api="chat_completions", output_parser=parser), Point)[-1] == Point(x=1, y=2)


def test_errors_of_validators_are_reported(make: Make, simulator: Simulator) -> None:
    class Picky(Point):
        @field_validator("x")
        @classmethod
        def _never(cls, _: int) -> int:
            raise ValueError("x is never right")

    simulator.reply(ANSWER)
    with pytest.raises(ValueError, match="x is never right"):
        once(make(), Picky)


def test_a_class_without_a_schema_is_refused_at_once(make: Make, simulator: Simulator) -> None:
    class Odd(BaseModel):
        act: Callable[[], None]

    with pytest.raises(ConfigError, match="no JSON schema"):
        once(make(), Odd)
    assert not simulator.requests


class Unfinished(BaseModel):
    """A class that refers to one that is nowhere."""

    next: Nowhere  # type: ignore[name-defined]  # pyright: ignore[reportUndefinedVariable]  # noqa: F821


@every_program_method
@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        (int, "not a pydantic class"),
        (list[int], "not a pydantic class"),
        ("Point", "not a pydantic class"),
        (Unfinished, "Nowhe"),
    ],
    ids=str,
)
def test_an_invalid_output_class_is_refused_at_once(
    make: Make, simulator: Simulator, way: Way, kind: Any, reason: str
) -> None:
    for method in METHODS:
        with pytest.raises(ConfigError, match=reason):
            method(make(structured_output=way), kind)
    assert not simulator.requests


def method_of(sent: Any) -> str:
    return "json_schema" if "response_format" in sent else "function_calling" if "tools" in sent else "prompt"


@every_method
@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ({}, "json_schema"),
        ({"model": "openai/some-model-of-tomorrow"}, "json_schema"),
        ({"model": "openai/gpt-4-turbo"}, "function_calling"),
        ({"model": "openai/gpt-4-turbo", "is_function_calling_model": False}, "prompt"),
        ({"model": "@cf/mistralai/mistral-small-3.1-24b-instruct"}, "prompt"),
        ({"model": "minimax/m2.7"}, "prompt"),
        ({"pydantic_program_mode": PydanticProgramMode.FUNCTION}, "function_calling"),
        ({"pydantic_program_mode": PydanticProgramMode.LLM}, "prompt"),
        ({"pydantic_program_mode": PydanticProgramMode.LLM, "structured_output": "json_schema"}, "json_schema"),
    ],
    ids=str,
)
def test_auto_selects_the_method_that_the_model_supports(
    make: Make, simulator: Simulator, method: Method, arguments: dict[str, Any], expected: str
) -> None:
    script(simulator, expected)
    assert method(make(api="chat_completions", **arguments), Point)[-1] == Point(x=1, y=2)
    assert method_of(body(simulator)) == expected


@every_method
def test_auto_goes_by_the_model_of_the_call(make: Make, simulator: Simulator, method: Method) -> None:
    script(simulator, "prompt")
    assert method(make(), Point, llm_kwargs={"model": "minimax/m2.7", "api": "chat_completions"})[-1] == Point(x=1, y=2)
    assert method_of(body(simulator)) == "prompt"


def test_other_program_modes_use_llama_indexs_programs(make: Make) -> None:
    llm = make(pydantic_program_mode=PydanticProgramMode.LM_FORMAT_ENFORCER)
    with pytest.raises(ImportError, match="lmformatenforcer"):
        once(llm, Point)


@pytest.mark.parametrize(
    ("thinking", "choice"), [({"type": "enabled", "budget_tokens": 1024}, None), ({"type": "disabled"}, "tool")]
)
def test_a_thinking_model_is_not_forced(
    make: Make, simulator: Simulator, thinking: dict[str, Any], choice: Any
) -> None:
    script(simulator, "function_calling")
    once(make(api="messages", thinking=thinking, structured_output="function_calling"), Point)
    sent = body(simulator)
    assert sent.get("tool_choice", {}).get("type") in {choice, "auto" if choice is None else choice}


@every_program_method
async def test_a_structured_llm_returns_objects(make: Make, simulator: Simulator, way: Way) -> None:
    llm = make(api="chat_completions", structured_output=way).as_structured_llm(Point)
    messages = [ChatMessage("Give a point {here}.")]
    script(simulator, way, times=5)
    assert llm.chat(messages).raw == Point(x=1, y=2)
    assert (await llm.achat(messages)).raw == Point(x=1, y=2)
    assert list(llm.stream_chat(messages))[-1].raw == Point(x=1, y=2)
    assert [each async for each in await llm.astream_chat(messages)][-1].raw == Point(x=1, y=2)
    assert llm.complete("Give a point.").raw == Point(x=1, y=2)


def test_a_prompt_of_several_messages(make: Make, simulator: Simulator) -> None:
    messages = [
        ChatMessage("Rules.", role="system"),
        ChatMessage("A point {where}."),
        ChatMessage("Hm.", role="assistant"),
    ]
    for way in get_args(Way):
        script(simulator, way)
        llm = make(api="chat_completions", structured_output=way)
        assert llm.structured_predict(Point, ChatPromptTemplate(messages), where="here") == Point(x=1, y=2)  # type: ignore[arg-type]
    assert [message.content for message in messages] == ["Rules.", "A point {where}.", "Hm."]
    assert body(simulator)["messages"][-1]["role"] == "user"


@pytest.mark.parametrize("streaming", [False, True])
def test_llama_indexs_program_supports_generic_classes(make: Make, simulator: Simulator, streaming: bool) -> None:
    llm = make(api="chat_completions")
    program = FunctionCallingProgram.from_defaults(Box[int], prompt=PromptTemplate("A box."), llm=llm)
    script(simulator, "function_calling", '{"value": 3}', name="Box_int_")
    result = list(program.stream_call())[-1] if streaming else program()
    assert result == Box[int](value=3)


def test_a_class_is_a_response_format(make: Make, simulator: Simulator) -> None:
    simulator.reply(ANSWER)
    said = make(api="chat_completions").chat([ChatMessage("A point.")], response_format=Box[int])
    assert said.message.content == ANSWER
    contents = body(simulator)["response_format"]["json_schema"]
    assert contents["name"] == "Box_int_"


@pytest.mark.parametrize("method", [streamed, streamed_later])
def test_stopping_early_raises_nothing(make: Make, simulator: Simulator, method: Method) -> None:
    answer = json.dumps({"first": "word " * 50, "second": []})
    simulator.reply(answer, times=2)
    llm = make(api="chat_completions")
    if method is streamed:
        first = next(iter(llm.stream_structured_predict(Words, ASK, where="here")))
    else:

        async def logged() -> Any:
            async for each in await llm.astream_structured_predict(Words, ASK, where="here"):
                return each

        first = asyncio.run(logged())
    assert isinstance(first, FlexibleModel)
    assert method(llm, Words)[-1] == Words(**json.loads(answer))
