"""Odd and oversized input is answered with a 4xx status or a bounded answer, never with a 500 or a hang."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from cfaig_integrations.simulator import Simulator
from cfaig_integrations.simulator.http import recorder

from .conftest import Caller

BRACKETS = "[" * 100_000
MANY = {"type": "array", "items": {"type": "string"}, "minItems": 10**9}
WIDE = {"type": "object", "properties": {f"p{i}": {"$ref": "#"} for i in range(50)}}
ENDLESS: dict[str, Any] = {**WIDE, "required": list(WIDE["properties"])}
LOGS = "/ai-gateway/gateways/default/logs"


@pytest.mark.parametrize("path", ["/ai/v1/chat/completions", "/ai/v1/responses", "/ai/v1/messages", "/ai/run"])
@pytest.mark.parametrize(
    "body",
    [
        BRACKETS,
        '{"model": "openai/gpt-4.1", "messages": ' + BRACKETS + "]" * 100_000 + "}",
        '{"model": "openai/gpt-4.1", "messages": ' + "[" * 900 + "]" * 900 + "}",
        '{"model": "openai/gpt-4.1", "max_tokens": NaN}',
        '{"model": "openai/gpt-4.1", "max_tokens": 1e999}',
        '{"model": "openai/gpt-4.1", "max_tokens": ' + "9" * 5000 + "}",
        '{"model": "openai/\\ud800", "input": "hi", "messages": [{"role": "user", "content": "\\udfff"}]}',
        b"\xff\xfe",
    ],
)
def test_an_odd_body(caller: Caller, path: str, body: str | bytes) -> None:
    answer = caller.http.post(caller.account + path, content=body, headers={"cf-aig-cache-ttl": "60"})
    assert answer.status_code < 500
    assert answer.json()


@pytest.mark.parametrize(
    "schema",
    [
        MANY,
        {**MANY, "uniqueItems": True},
        {"type": "array", "items": MANY, "minItems": 10**9},
        {"type": "string", "minLength": 10**9},
        ENDLESS,
    ],
)
def test_a_schema_that_asks_for_too_much_is_cut_short(caller: Caller, schema: dict[str, Any]) -> None:
    root = schema if "$ref" in str(schema) else {"type": "object", "properties": {"a": schema}, "required": ["a"]}
    form = {"type": "json_schema", "json_schema": {"name": "a", "schema": root}}
    answer = caller.chat(response_format=form)
    assert answer.status_code == 200
    assert json.loads(answer.json()["choices"][0]["message"]["content"])


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "array", "minItems": "many"},
        {"type": "string", "minLength": -1},
        {"type": "number", "minimum": "low"},
        {"allOf": [{"$ref": "#"}]},
        {"$ref": "#/required"},
    ],
)
def test_a_schema_with_senseless_values(caller: Caller, schema: dict[str, Any]) -> None:
    root = {"type": "object", "properties": {"a": schema}, "required": ["a"], "allOf": [{"$ref": "#/properties/a"}]}
    form = {"type": "json_schema", "json_schema": {"name": "a", "schema": root}}
    assert caller.chat(response_format=form).status_code == 400


@pytest.mark.parametrize("text", ["count to " + "9" * 5000, "9" * 5000, "What is 1e999 plus 2?"])
def test_a_number_that_is_too_large(caller: Caller, text: str) -> None:
    parameters = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
    tool = {"type": "function", "function": {"name": "count", "parameters": parameters}}
    answer = caller.chat(messages=[{"role": "user", "content": text}], tools=[tool], tool_choice="required")
    assert answer.status_code == 200
    assert caller.chat(messages=[{"role": "user", "content": text}]).status_code == 200


@pytest.mark.parametrize(
    "query",
    [
        {"per_page": "9" * 5000},
        {"page": "²"},
        {"filters": BRACKETS[:20_000]},
        {"filters": '[{"key": ["id"], "operator": "eq", "value": [1]}]'},
        {"filters": '[{"key": "id", "operator": {}, "value": [1]}]'},
        {"filters": '[{"key": "id", "operator": "eq", "value": [{"a": 1}]}]'},
        {"filters": '[{"key": "tokens", "operator": "gt", "value": [' + "9" * 40 + "]}]"},
        {"filters": '[{"key": "model", "operator": "eq", "value": ["\\ud800"]}]'},
        {"filters": json.dumps([{"key": "id", "operator": "eq", "value": ["x"] * 2000}])},
        {"order_by": "1; DROP TABLE log_entries"},
    ],
)
def test_an_odd_query(caller: Caller, query: dict[str, str]) -> None:
    caller.chat()
    assert caller.get(LOGS, **query).status_code == 400


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("cf-aig-custom-cost", '{"total_cost": 1' + "0" * 400 + "}"),
        ("cf-aig-custom-cost", '{"total_cost": Infinity}'),
        ("cf-aig-custom-cost", "[" * 10_000),
        ("cf-aig-max-attempts", "9" * 5000),
    ],
)
def test_an_odd_header(caller: Caller, name: str, value: str) -> None:
    assert caller.chat(headers={name: value}).status_code == 400


@pytest.mark.parametrize("metadata", ["[" * 10_000, '{"a": NaN}', '{"a": ' + "9" * 5000 + "}"])
def test_metadata_that_is_not_json_is_dropped(sim: Simulator, caller: Caller, metadata: str) -> None:
    assert caller.chat(headers={"cf-aig-metadata": metadata}).status_code == 200
    assert sim.logs()[0]["metadata"] is None


def test_metadata_with_a_lone_surrogate_can_be_listed(caller: Caller) -> None:
    caller.chat(headers={"cf-aig-metadata": '{"a": "\\ud800"}'})
    assert caller.get(LOGS).json()["result"][0]["metadata"] == {"a": "\ud800"}


@pytest.mark.parametrize("body", ["[" * 100_000, "[]", '{"text": 1}'])
def test_an_odd_script(caller: Caller, body: str) -> None:
    url = caller.sim.url + "/_simulator/replies"
    assert caller.http.post(url, content=body).status_code == 400


def test_a_body_that_is_too_large(sim: Simulator, caller: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recorder, "MAX_BODY", 1000)

    def chunks() -> Iterator[bytes]:
        yield from [b"x" * 100] * 100

    answer = caller.http.post(caller.account + "/ai/v1/chat/completions", content=chunks())
    assert (answer.status_code, answer.json()["errors"][0]["code"]) == (413, 3006)
    assert len(sim.requests[-1].raw) <= 1000
    gateways = caller.account + "/ai-gateway/gateways"
    assert caller.http.post(gateways, content=chunks()).status_code == 413


def test_captured_bodies_are_bounded_together(sim: Simulator, caller: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recorder, "MAX_KEPT", 10_000)
    for _ in range(10):
        caller.http.post(caller.account + "/ai/run", content="x" * 4000)
    assert [len(captured.raw) for captured in sim.requests] == [0] * 8 + [4000] * 2


def test_a_long_prompt_is_counted_and_answered(sim: Simulator, caller: Caller) -> None:
    answer = caller.chat(messages=[{"role": "user", "content": "What is this about? " + "word " * 1_000_000}])
    assert answer.json()["usage"]["prompt_tokens"] == pytest.approx(1_000_000, rel=0.01)
    assert len(sim.logs()[0]["request"]) > 5_000_000
