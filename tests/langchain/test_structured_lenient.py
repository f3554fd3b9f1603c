"""Answers that follow a schema as models write them: text around them, and models that refuse to be forced."""

from __future__ import annotations

import asyncio
import json
from datetime import date, datetime
from decimal import Decimal
from enum import Enum
from typing import Any
from uuid import UUID

import pytest
from langchain.agents import create_agent
from langchain_core.exceptions import OutputParserException
from pydantic import BaseModel, ConfigDict

from cfaig_integrations.errors import ConfigError
from cfaig_integrations.simulator import Simulator
from tests.langchain.conftest import Make
from tests.langchain.test_structured import ANSWER, ASK, Method, Point, PointDict, body, every_method, script

AROUND = {
    "fence of another case": "```JSON\n{}\n```",
    "fence in prose": "Here it is:\n```json\n{}\n```\nAnything else?",
    "open fence": "```json\n{}",
    "thinking": '<think>\nhm {{"x": 7, "y": 7}}\n</think>\n\n{}',
    "thinking without its tag": 'hm {{"x": 7, "y": 7}}\n</think>{}',
    "empty thinking and a fence": "<think>\n\n</think>\n```\n{}\n```",
    "prose": "The answer is {} as you see.",
    "BOM": "\ufeff{}",
    "list of one": "[{}]",
    "twice": None,
    "white space": "\n\t{}\n",
}


@pytest.mark.parametrize("around", AROUND)
@pytest.mark.parametrize("method", ["json_schema", "json_mode"])
@pytest.mark.parametrize("asynchronous", [False, True])
def test_text_around_json_is_ignored(
    make: Make, simulator: Simulator, around: str, method: Method, asynchronous: bool
) -> None:
    form = AROUND[around]
    simulator.reply(json.dumps(ANSWER) if form is None else form.format(ANSWER), times=4)
    for schema, expected in ((Point, Point(x=1, y=2)), (PointDict, {"x": 1, "y": 2})):
        model = make(api="chat_completions").with_structured_output(schema, method=method)
        if asynchronous:
            assert asyncio.run(model.ainvoke(ASK)) == expected
        else:
            assert model.invoke(ASK) == expected
        pieces: list[Any] = list(model.stream(ASK))
        assert pieces[-1] == expected
        if schema is PointDict:
            assert all(piece.keys() <= {"x", "y"} and piece.get("x") in (None, 1) for piece in pieces)


@pytest.mark.parametrize("text", ["null", "5", '"x"', "[]", '[{"x": 1}, {"x": 2}]', f"<think>{json.dumps(ANSWER)}"])
def test_an_answer_that_is_not_an_object_raises(make: Make, simulator: Simulator, text: str) -> None:
    simulator.reply(text, times=2)
    model = make(api="chat_completions").with_structured_output(PointDict)
    with pytest.raises(OutputParserException):
        model.invoke(ASK)
    with pytest.raises(OutputParserException):
        list(model.stream(ASK))


class Color(Enum):
    RED = "red"


class Strict(BaseModel):
    """Kinds of values that JSON writes otherwise than Python."""

    model_config = ConfigDict(strict=True)
    day: date
    at: datetime
    color: Color
    pair: tuple[int, int]
    key: UUID
    amount: Decimal
    data: bytes
    few: set[int]


STRICT_ANSWER = {
    "day": "2026-01-02",
    "at": "2026-01-02T03:04:05Z",
    "color": "red",
    "pair": [1, 2],
    "key": "12345678-1234-5678-1234-567812345678",
    "amount": "1.5",
    "data": "a\tb",
    "few": [1],
}


@every_method
@pytest.mark.parametrize("api", ["chat_completions", "responses", "messages", "run"])
def test_strict_classes_are_validated_from_json(make: Make, simulator: Simulator, api: str, method: Method) -> None:
    script(simulator, method, json.dumps(STRICT_ANSWER), name="Strict", times=2)
    model = make(api=api).with_structured_output(Strict, method=method)
    result: Any = model.invoke(ASK)
    assert (result.color, result.pair, result.day) == (Color.RED, (1, 2), date(2026, 1, 2))
    assert list(model.stream(ASK)) == [result]


UNFORCED = ["@cf/mistralai/mistral-small-3.1-24b-instruct"]


@pytest.mark.parametrize("name", UNFORCED)
@pytest.mark.parametrize("written", [False, True])
def test_a_model_that_refuses_forced_calls_is_not_forced(
    make: Make, simulator: Simulator, name: str, written: bool
) -> None:
    script(simulator, "json_mode" if written else "function_calling")
    model = make(model=name).with_structured_output(Point, method="function_calling")
    assert model.invoke(ASK) == Point(x=1, y=2)
    assert "tool_choice" not in body(simulator)
    assert body(simulator)["tools"]


@pytest.mark.parametrize("name", UNFORCED)
@pytest.mark.parametrize("choice", ["any", "required", True, "Point"])
def test_the_error_for_a_forced_call_names_alternatives(
    make: Make, simulator: Simulator, name: str, choice: Any
) -> None:
    model = make(model=name).bind_tools([Point], tool_choice=choice)
    with pytest.raises(ConfigError, match=r"with_structured_output\(schema\) or ProviderStrategy"):
        model.invoke(ASK)
    assert not simulator.requests


@pytest.mark.parametrize("name", UNFORCED)
def test_an_agent_that_may_choose_forces_nothing(make: Make, simulator: Simulator, name: str) -> None:
    simulator.reply(ANSWER)
    agent: Any = create_agent(make(model=name, api="run"), [], response_format=Point)
    assert agent.invoke({"messages": [("user", ASK)]})["structured_response"] == Point(x=1, y=2)
    assert "tools" not in body(simulator)
