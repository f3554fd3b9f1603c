"""JSON in and out: invalid JSON is an error of the package, and a value survives writing and reading."""

from __future__ import annotations

import json
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, Field, Secret, SecretBytes, SecretStr
from pydantic_core import to_json

from cfaig_integrations.core.text import repair_value
from cfaig_integrations.errors import ConfigError, ProtocolError
from cfaig_integrations.wire import jsonio
from cfaig_integrations.wire.jsonio import SharedObject

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=20,
)


@given(VALUES)
def test_a_value_survives_writing_and_reading(value: Any) -> None:
    assert jsonio.load(jsonio.dump_text(value)) == value
    assert json.loads(jsonio.dump_text(value)) == value


@given(st.dictionaries(TEXTS, VALUES, max_size=4))
def test_a_body_is_what_the_standard_library_reads(body: dict[str, Any]) -> None:
    data = jsonio.dump(body)
    assert json.loads(data) == body
    assert jsonio.load_object(data) == body


def test_text_is_compact_and_keeps_its_characters() -> None:
    assert jsonio.dump_text({"a": [1, "é\u2028"]}) == '{"a":[1,"é\u2028"]}'


@pytest.mark.parametrize("text", ["", "{", "{'a': 1}", "nonsense", '{"a": 1} tail', b"\xff", "[" * 100_000])
def test_invalid_json_is_a_protocol_error_with_an_excerpt(text: str | bytes) -> None:
    with pytest.raises(ProtocolError) as raised:
        jsonio.load(text)
    assert len(str(raised.value.body)) <= 510


@pytest.mark.parametrize("depth", [199, 200, 201, 900])
@pytest.mark.parametrize("text", ['"plain"', '"raw \\t tab"', '["wide"]' + ', ["wide"]' * 300])
def test_values_that_cannot_be_written_are_not_read(depth: int, text: str) -> None:
    deep = "[" * (depth - text.startswith("[")) + text.replace("\\t", "\t") + "]" * (depth - text.startswith("["))
    if depth > 200:
        with pytest.raises(ProtocolError, match="nested too deeply"):
            jsonio.load(deep)
    else:
        assert jsonio.load(jsonio.dump_text(jsonio.load(deep))) == jsonio.load(deep)


@pytest.mark.parametrize("text", ["[]", "null", "3", '"x"'])
def test_only_an_object_is_an_object(text: str) -> None:
    with pytest.raises(ProtocolError, match="not an object"):
        jsonio.load_object(text)
    assert not jsonio.is_object_text(text)


def test_half_a_surrogate_pair_is_repaired_unless_its_other_half_may_follow() -> None:
    half = rb'{"a": "\ud83d!"}'
    assert jsonio.load(half) == {"a": "\ufffd!"}
    assert jsonio.load(half, repair=False) == {"a": "\ud83d!"}
    assert jsonio.dump({"a": ["\ud83d!", "\ud83d\ude00"]}) == '{"a":["\ufffd!","\U0001f600"]}'.encode()
    assert jsonio.dump_text({"\ud83d": 1}) == '{"\ufffd":1}'


def test_raw_control_characters_a_bom_and_bytes_that_are_not_utf8_are_read() -> None:
    assert jsonio.load(b'\xef\xbb\xbf{"a": "x\ny\xff"}') == {"a": "x\ny\ufffd"}


def test_the_first_object_of_a_list_is_the_object() -> None:
    assert jsonio.load_object('[{"error": {"code": 400}}]') == {"error": {"code": 400}}


@pytest.mark.parametrize(
    "value",
    [float("nan"), float("-inf"), object(), {1, object()}],
    ids=["nan", "inf", "object", "set"],
)
def test_a_body_that_is_not_json_is_refused(value: object) -> None:
    with pytest.raises(ConfigError, match="cannot be written as JSON"):
        jsonio.dump({"model": "m", "x": [value]})


def test_nan_and_infinity_as_text_are_allowed() -> None:
    body = {"text": "NaN and -Infinity"}
    assert json.loads(jsonio.dump(body)) == body


@pytest.mark.parametrize("text", ['{"a": 1}', " {} "])
def test_is_object_text(text: str) -> None:
    assert jsonio.is_object_text(text)
    assert not jsonio.is_object_text(text[:-2])


def test_an_excerpt_is_short_and_never_fails() -> None:
    assert jsonio.excerpt("short") == "short"
    assert jsonio.excerpt(b"\xff\xfe") == "\ufffd\ufffd"
    assert len(jsonio.excerpt("é" * 10_000)) == len(jsonio.excerpt("é".encode() * 10_000)) < 510


def test_a_secret_is_written_as_its_contents() -> None:
    """Where another value is the mask itself, too."""
    secret: Any = SecretStr("key \ud83d")
    body = {"a": "**********", "b": [{"c": secret, "d": (Secret(3), None)}]}
    assert json.loads(jsonio.dump(body)) == {"a": "**********", "b": [{"c": "key \ufffd", "d": [3, None]}]}


def test_a_secret_in_an_object_of_pydantic_is_written_as_its_contents() -> None:
    class Server(BaseModel):
        token: SecretStr = Field(serialization_alias="authorization_token")
        key: SecretBytes

    body: Any = {"mcp_servers": [Server(token=SecretStr("one"), key=SecretBytes(b"two"))]}
    assert json.loads(jsonio.dump(body)) == {"mcp_servers": [{"authorization_token": "one", "key": "two"}]}


def test_a_secret_that_is_no_json_names_its_field() -> None:
    with pytest.raises(ConfigError, match="'b'"):
        jsonio.dump({"b": Secret(object())})  # type: ignore[dict-item]


@pytest.mark.parametrize("envelope", [False, True])
def test_a_tool_is_written_once_and_the_body_is_the_same(envelope: bool) -> None:
    tool = SharedObject({"name": "f", "description": "half \ud83d", "parameters": {"type": "object"}})
    for text in ("first", "second"):
        body: dict[str, Any] = {"messages": [text], "tools": [tool, {"type": "web_search"}], "n": 1}
        plain = {**body, "tools": [dict(tool), {"type": "web_search"}]}
        if envelope:
            body, plain = ({"model": "m", "input": inner} for inner in (body, plain))
        assert jsonio.dump(body) == to_json(repair_value(plain))
    tool["name"] = "changed too late"
    assert b"changed" not in jsonio.dump({"tools": [tool]})


@pytest.mark.parametrize("value", [object(), float("nan"), float("inf")])
def test_a_tool_that_is_not_json_is_named(value: object) -> None:
    with pytest.raises(ConfigError, match="'tools' cannot be written"):
        jsonio.dump({"messages": [], "tools": [SharedObject({"parameters": cast("Any", value)})]})
