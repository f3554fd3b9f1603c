"""Answers that follow a schema: every way to ask, every kind of schema, every wire, and answers that do not."""

from __future__ import annotations

import json
from itertools import pairwise, product
from typing import Any, Literal, get_args

import pytest
from langchain.agents.structured_output import ProviderStrategy
from langchain_core import exceptions as lc
from langchain_core.exceptions import OutputParserException
from pydantic import BaseModel, field_validator
from pydantic.v1 import BaseModel as BaseModelV1
from typing_extensions import TypedDict

from cfaig_integrations.errors import ConfigError
from cfaig_integrations.simulator import Simulator
from tests.langchain.conftest import MODELS, Make

Method = Literal["json_schema", "function_calling", "json_mode"]

every_wire = pytest.mark.parametrize("api", MODELS)
every_method = pytest.mark.parametrize("method", ["json_schema", "function_calling", "json_mode"])


class Point(BaseModel):
    """A point."""

    x: int
    y: int


class PointV1(BaseModelV1):
    """A point."""

    x: int
    y: int


class PointDict(TypedDict):
    """A point."""

    x: int
    y: int


INTEGER = {"type": "integer"}
PARAMETERS: dict[str, Any] = {"type": "object", "properties": {"x": INTEGER, "y": INTEGER}, "required": ["x", "y"]}
SCHEMAS: dict[str, Any] = {
    "pydantic": Point,
    "pydantic 1": PointV1,
    "typed dict": PointDict,
    "schema": {"title": "Point", "description": "A point.", **PARAMETERS},
    "nameless schema": PARAMETERS,
    "function": {"name": "Point", "description": "A point.", "parameters": PARAMETERS},
    "tool": {"type": "function", "function": {"name": "Point", "parameters": PARAMETERS}},
    "response format": {"type": "json_schema", "json_schema": {"name": "Point", "schema": PARAMETERS}},
}
ANSWER = '{"x": 1, "y": 2}'
ASK = "Give a point as JSON."


def script(simulator: Simulator, method: str, answer: str = ANSWER, *, name: str = "Point", times: int = 1) -> None:
    """Makes the simulator answer in the way in which the method asks."""
    if method == "function_calling":
        broken = answer in {BROKEN["cut"], BROKEN["no JSON"], BROKEN["two"]}
        result = {"raw": answer} if broken else {"arguments": json.loads(answer)}
        simulator.reply(calls=[{"id": "call_1", "name": name, **result}], times=times)
    else:
        simulator.reply(answer, times=times)


def body(simulator: Simulator) -> Any:
    """What was asked, without the envelope of `run`."""
    sent = simulator.requests[-1].body
    return sent.get("input") if isinstance(sent.get("input"), dict) else sent


@every_wire
@every_method
@pytest.mark.parametrize("kind", SCHEMAS)
def test_every_schema_every_method_every_wire(
    make: Make, simulator: Simulator, api: str, method: Method, kind: str
) -> None:
    schema = SCHEMAS[kind]
    model = make(api=api).with_structured_output(schema, method=method)
    name = "answer" if kind == "nameless schema" else getattr(schema, "__name__", "Point")
    script(simulator, method, name=name, times=2)
    expected = schema(x=1, y=2) if kind.startswith("pydantic") else {"x": 1, "y": 2}
    assert model.invoke(ASK) == expected
    pieces = list(model.stream(ASK))
    assert pieces[-1] == expected
    assert [type(piece) for piece in pieces] == [type(expected)] * len(pieces)
    assert len(pieces) == 1 or isinstance(expected, dict)


@every_wire
@every_method
async def test_async_is_sync(make: Make, simulator: Simulator, api: str, method: Method) -> None:
    for schema in (Point, PointDict):
        script(simulator, method, name=schema.__name__, times=2)
        model = make(api=api).with_structured_output(schema, method=method)
        assert [piece async for piece in model.astream(ASK)][-1] == await model.ainvoke(ASK)


@every_method
def test_a_stream_yields_growing_dicts(make: Make, simulator: Simulator, method: Method) -> None:
    answer = json.dumps({"first": "one two three four five", "second": "six seven eight"})
    script(simulator, method, answer, name="Words")
    schema = {"title": "Words", "type": "object", "properties": {"first": {"type": "string"}}}
    pieces: list[Any] = list(make(api="chat_completions").with_structured_output(schema, method=method).stream(ASK))
    assert len(pieces) > 2
    assert pieces[-1] == json.loads(answer)
    assert all(after["first"].startswith(before.get("first", "")) for before, after in pairwise(pieces))


FORMS: dict[tuple[str, str], Any] = {
    ("chat_completions", "json_schema"): lambda sent: sent["response_format"]["json_schema"]["schema"],
    ("responses", "json_schema"): lambda sent: sent["text"]["format"]["schema"],
    ("messages", "json_schema"): lambda sent: sent["output_config"]["format"]["schema"],
    ("messages", "json_mode"): lambda sent: sent["output_config"]["format"]["schema"],
    ("chat_completions", "function_calling"): lambda sent: sent["tools"][0]["function"]["parameters"],
    ("responses", "function_calling"): lambda sent: sent["tools"][0]["parameters"],
    ("messages", "function_calling"): lambda sent: sent["tools"][0]["input_schema"],
}


@pytest.mark.parametrize(("api", "method"), FORMS)
@pytest.mark.parametrize("kind", SCHEMAS)
def test_the_schema_is_sent(make: Make, simulator: Simulator, api: str, method: Method, kind: str) -> None:
    make(api=api).with_structured_output(SCHEMAS[kind], method=method, include_raw=True).invoke(ASK)
    schema = FORMS[api, method](body(simulator))
    assert {name: value["type"] for name, value in schema["properties"].items()} == {"x": "integer", "y": "integer"}
    assert schema["required"] == ["x", "y"]


@pytest.mark.parametrize(("api", "place"), [("chat_completions", "response_format"), ("responses", "text")])
def test_json_mode_asks_for_any_object(make: Make, simulator: Simulator, api: str, place: str) -> None:
    for schema in (Point, None):
        simulator.reply(ANSWER)
        make(api=api).with_structured_output(schema, method="json_mode").invoke(ASK)
        sent = body(simulator)[place]
        assert sent.get("format", sent) == {"type": "json_object"}


@every_wire
@pytest.mark.parametrize("strict", [None, True, False])
def test_the_one_function_is_forced(make: Make, simulator: Simulator, api: str, strict: bool | None) -> None:
    script(simulator, "function_calling")
    make(api=api).with_structured_output(Point, method="function_calling", strict=strict).invoke(ASK)
    sent = body(simulator)
    assert "Point" in json.dumps(sent["tool_choice"]) or sent["tool_choice"] == "required"
    assert sent.get("parallel_tool_calls") is False or sent["tool_choice"]["disable_parallel_tool_use"] is True
    tool = sent["tools"][0].get("function", sent["tools"][0])
    assert bool(tool.get("strict")) is bool(strict)


def test_a_thinking_model_is_not_forced(make: Make, simulator: Simulator) -> None:
    thinking = {"type": "enabled", "budget_tokens": 1024}
    model = make(api="messages", thinking=thinking).with_structured_output(Point, method="function_calling")
    script(simulator, "function_calling")
    assert model.invoke(ASK) == Point(x=1, y=2)
    assert body(simulator)["tool_choice"]["type"] == "auto"
    simulator.reply("I would rather talk.", times=2)
    with pytest.raises(OutputParserException, match=r"did not call 'Point'\..*: use method='json_schema'"):
        model.invoke(ASK)
    with pytest.raises(OutputParserException, match="did not call 'Point'"):
        list(model.stream(ASK))
    simulator.reply(json.dumps(ANSWER), calls=[{"name": "other", "arguments": {}}])
    with pytest.raises(OutputParserException, match="did not call 'Point'"):
        model.invoke(ASK)
    off = {"type": "disabled"}
    make(api="messages", thinking=off).with_structured_output(
        Point, method="function_calling", include_raw=True
    ).invoke(ASK)
    assert body(simulator)["tool_choice"]["type"] == "tool"


@pytest.mark.parametrize(
    ("strict", "closed"), [(None, False), (False, False), (True, True)], ids=["unsaid", "loose", "strict"]
)
@pytest.mark.parametrize("schema", [SCHEMAS["schema"], Point, PointDict])
def test_only_strict_schemas_are_adapted(
    make: Make, simulator: Simulator, strict: bool | None, closed: bool, schema: Any
) -> None:
    simulator.reply(ANSWER)
    make(api="chat_completions").with_structured_output(schema, strict=strict).invoke(ASK)
    held = body(simulator)["response_format"]["json_schema"]
    assert held.get("strict") is strict
    assert (held["schema"].get("additionalProperties") is False) is closed
    assert "additionalProperties" not in SCHEMAS["schema"]


def test_names_that_servers_refuse_are_made_legal(make: Make, simulator: Simulator) -> None:
    schema = {"title": "Box[int] of things", **PARAMETERS}
    for method in ("json_schema", "function_calling"):
        script(simulator, method, name="Box_int__of_things")
        model = make(api="chat_completions").with_structured_output(schema, method=method)  # type: ignore[arg-type]
        assert model.invoke(ASK) == {"x": 1, "y": 2}


BROKEN = {
    "cut": '{"x": 1, "y": ',
    "no JSON": "Here you are!",
    "two": ANSWER + ANSWER,
    "unfit": '{"x": "one", "y": 2}',
    "missing": '{"x": 1}',
}


@pytest.mark.parametrize("answer", BROKEN)
@every_method
@pytest.mark.parametrize("streamed", [False, True])
def test_an_answer_without_the_schema_raises(
    make: Make, simulator: Simulator, answer: str, method: Method, streamed: bool
) -> None:
    script(simulator, method, BROKEN[answer])
    model = make(api="chat_completions").with_structured_output(Point, method=method)
    with pytest.raises(OutputParserException, match="finish_reason"):
        list(model.stream(ASK)) if streamed else model.invoke(ASK)


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize("method", ["json_schema", "json_mode"])
def test_a_truncated_dict_raises(make: Make, simulator: Simulator, method: Method, streamed: bool) -> None:
    simulator.reply(BROKEN["cut"], finish="length")
    model = make(api="chat_completions").with_structured_output(PARAMETERS, method=method)
    with pytest.raises(OutputParserException, match="'length'"):
        list(model.stream(ASK)) if streamed else model.invoke(ASK)


@pytest.mark.parametrize("streamed", [False, True])
def test_a_call_with_broken_arguments_is_not_a_missing_call(make: Make, simulator: Simulator, streamed: bool) -> None:
    script(simulator, "function_calling", BROKEN["cut"])
    model = make(api="chat_completions").with_structured_output(Point, method="function_calling")
    with pytest.raises(OutputParserException, match=r"The call of 'Point' is invalid: .* not one JSON object"):
        list(model.stream(ASK)) if streamed else model.invoke(ASK)


def test_fenced_json_is_json(make: Make, simulator: Simulator) -> None:
    simulator.reply(f"```json\n{ANSWER}\n```", times=2)
    model = make(api="chat_completions").with_structured_output(PointDict, method="json_mode")
    assert model.invoke(ASK) == list(model.stream(ASK))[-1] == {"x": 1, "y": 2}


NOT_WRITABLE = {("messages", "function_calling", answer) for answer in ("cut", "no JSON", "two")}
"""Anthropic's whole form carries parsed input."""


@pytest.mark.parametrize(
    ("api", "method", "answer"),
    sorted({*product(MODELS, get_args(Method), ("whole", *BROKEN))} - NOT_WRITABLE),
)
async def test_include_raw(make: Make, simulator: Simulator, api: str, method: Method, answer: str) -> None:
    text = ANSWER if answer == "whole" else BROKEN[answer]
    script(simulator, method, text, times=4)
    model = make(api=api).with_structured_output(Point, method=method, include_raw=True)
    result: list[Any] = [model.invoke(ASK), await model.ainvoke(ASK)]
    result += [sum_of(list(model.stream(ASK))), sum_of([piece async for piece in model.astream(ASK)])]
    for value in result:
        assert value.keys() == {"raw", "parsed", "parsing_error"}
        assert value["raw"].response_metadata["model_name"] == MODELS[api]
        if answer == "whole":
            assert (value["parsed"], value["parsing_error"]) == (Point(x=1, y=2), None)
        else:
            assert value["parsed"] is None
            assert isinstance(value["parsing_error"], OutputParserException)


def sum_of(pieces: list[Any]) -> Any:
    assert len(pieces) == 1
    return pieces[0]


def test_any_validation_error_is_a_parsing_error(make: Make, simulator: Simulator) -> None:
    class Picky(Point):
        @field_validator("x")
        @classmethod
        def _never(cls, _: int) -> int:
            raise RuntimeError("no")

    simulator.reply(ANSWER)
    result: Any = make(api="chat_completions").with_structured_output(Picky, include_raw=True).invoke(ASK)
    assert isinstance(result["parsing_error"], RuntimeError)


@pytest.mark.parametrize("api", ["chat_completions", "responses"])
@pytest.mark.parametrize("method", ["json_schema", "function_calling"])
def test_refusals_raise_their_own_error(make: Make, simulator: Simulator, api: str, method: Method) -> None:
    simulator.reply(refusal="I cannot help with that.", finish="refusal", times=3)
    kind = getattr(lc, "ModelRefusalError", OutputParserException)
    model = make(api=api).with_structured_output(Point, method=method)
    with pytest.raises(kind, match="I cannot help with that"):
        model.invoke(ASK)
    with pytest.raises(kind, match="I cannot help with that"):
        list(model.stream(ASK))
    raw: Any = make(api=api).with_structured_output(Point, method=method, include_raw=True).invoke(ASK)
    assert isinstance(raw["parsing_error"], kind)


@pytest.mark.parametrize(
    ("schema", "arguments", "field"),
    [
        (None, {}, "schema"),
        (None, {"method": "function_calling"}, "schema"),
        (Point, {"method": "json_mode", "strict": True}, "strict"),
        (Point, {"method": "yaml"}, "method"),
        (42, {}, "schema"),
        ({"what": "ever"}, {}, "schema"),
    ],
)
def test_invalid_schemas_and_methods_raise_at_once(
    make: Make, schema: Any, arguments: dict[str, Any], field: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        make().with_structured_output(schema, **arguments)
    assert caught.value.field == field
    assert isinstance(caught.value, lc.ModelInvalidRequestError)


def test_further_arguments_are_sent_with_every_call(make: Make, simulator: Simulator) -> None:
    for method in ("json_schema", "function_calling"):
        script(simulator, method)
        make(api="chat_completions").with_structured_output(Point, method=method, temperature=0.5).invoke(ASK)  # type: ignore[arg-type]
        assert body(simulator)["temperature"] == 0.5


class Loose(BaseModel):
    x: int = 0


@pytest.mark.parametrize("api", ["chat_completions", "responses"])
def test_a_strict_response_format_is_closed(make: Make, simulator: Simulator, api: str) -> None:
    """OpenAI refuses an open schema in strict mode, and so does the simulator."""
    model, form = make(api=api), ProviderStrategy(Loose, strict=True).to_model_kwargs()
    simulator.reply('{"x": 1}', times=4)
    answers = [
        model.invoke(ASK, **form),
        model.invoke(ASK, response_format=Loose, strict=True),
        model.bind_tools([Loose], strict=True, response_format=Loose).invoke(ASK),
        model.invoke(ASK, tools=[Loose], response_format=Loose, strict=True),
    ]
    assert {answer.text for answer in answers} == {'{"x": 1}'}
    for request in simulator.requests:
        held = request.body.get("response_format", {}).get("json_schema") or request.body["text"]["format"]
        assert (held["strict"], held["schema"]["required"]) == (True, ["x"])
        for tool in request.body.get("tools", ()):
            assert tool.get("function", tool)["strict"] is True
