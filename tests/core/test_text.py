"""The lenient JSON reader and the repair of surrogates."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cfaig_integrations.core.text import (
    SurrogateJoiner,
    find_json,
    read_arguments,
    read_json,
    repair_surrogates,
    strip_thinking,
)

any_text = st.text(st.characters(codec=None, exclude_categories=()), max_size=40)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=20,
)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("", {}),
        (" \n", {}),
        (None, {}),
        ("null", {}),
        ('""', {}),
        ("{}", {}),
        ('{"a": 1}', {"a": 1}),
        ('\ufeff{"a": 1}', {"a": 1}),
        ('{"a": "x\ny\tz\x00"}', {"a": "x\ny\tz\x00"}),
        ('"{\\"a\\": 1}"', {"a": 1}),
        ('"\\"{}\\""', {}),
        ('[{"a": 1}]', {"a": 1}),
        ('```json\n{"a": 1}\n```', {"a": 1}),
        ('```JSON\r\n{"a": 1}\r\n```', {"a": 1}),
        (r'{"a": "\ud83d\ude00"}', {"a": "\U0001f600"}),
        (r'{"a": "\ud83d"}', {"a": "\ufffd"}),
        ('{"a": "\ud83d\ude00"}', {"a": "\U0001f600"}),
    ],
)
def test_arguments_in_every_known_form(text: str | None, value: dict[str, Any]) -> None:
    assert read_arguments(text) == value


@pytest.mark.parametrize(
    "text",
    [
        '{"a": 1',
        '{"a": "x',
        '{"a": {"b": 1}',
        '{"a": 1}}',
        "[1]",
        "[{}, {}]",
        "1",
        '"text"',
        "true",
        "{a: 1}",
        "[" * 100_000,
        '{"a":' * 100_000,
        '```json\n{"a": \n```',
        'call: {"a": 1}',
    ],
)
def test_truncated_arguments_are_never_completed(text: str) -> None:
    with pytest.raises(ValueError, match=r"JSON|json|Expecting|Extra data|Unterminated|Invalid"):
        read_arguments(text)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ('{"a": 1}', {"a": 1}),
        ("[1, 2]", [1, 2]),
        ('"plain"', "plain"),
        ('"{\\"a\\": 1}"', {"a": 1}),
        ('<think>{"a": 0}</think>{"a": 1}', {"a": 1}),
        ('hm, {"a": 0}</think>\n\n{"a": 1}', {"a": 1}),
        ('{"a": "</think>"}', {"a": "</think>"}),
        ('Here:\n```json\n{"a": 1}\n```\nDone.', {"a": 1}),
        ('```Json\n{"a": 0}\n```\nor rather\n~~~\n{"a": 1}\n~~~', {"a": 1}),
        ('```python\nprint({})\n```\n{"a": 1}', {"a": 1}),
        ('```\r\n{"a": 1}\r\n```\r\nDone', {"a": 1}),
        ('```begun\n~~~ \n{"a": 1}\n~~~\n', {"a": 1}),
        (f'so {{"a": {"9" * 5000}}}', {"a": "9" * 5000}),
        ('The answer [1] is {"a": {"b": [2]}}, as {said}.', {"a": {"b": [2]}}),
        ('{"a": "</think><think>"}', {"a": "</think><think>"}),
        ('```json\n{"a": 0}\n```\nor rather\n```json\n{"a": 1}', {"a": 1}),
        ('```json\n{"a": 1}\n```\nwhere {x} and [1] mean "y".', {"a": 1}),
        ("The answers are [1, 2].", [1, 2]),
        ('for example {"a": 0}; so {"a": 1}', {"a": 1}),
    ],
)
def test_the_value_of_an_answer_with_text_around_it(text: str, value: Any) -> None:
    assert find_json(text) == value


@pytest.mark.parametrize(
    "text",
    [
        "",
        "no value",
        '{"a": [{"b": 1}',
        'Here: {"a": [{"b": 1}, {"b": 2',
        'Here: {"a": 1} and {"b": "x',
        '```json\n{"a": [{"b": 1},\n```',
        "{" * 100_000,
        "[" * 100_000,
        "see [" * 100_000,
        "{x" * 100_000,
        "```a\n" * 100_000,
        "```" + " " * 100_000 + "!",
        '<think>{"a": 1}</think>',
        '<think>perhaps {"a": 1}',
        'so {"a": 0}</think><think>perhaps {"a": 1}',
        '```json\n{"a": 0}\n```\nor rather\n```json\n{"a": 1, "b": [{"c": 2}',
        '```json\n{"a": 0}\n```\nor rather {"a": 1',
    ],
)
def test_an_answer_without_a_complete_value(text: str) -> None:
    with pytest.raises(ValueError, match=r"JSON|json|Expecting|Extra data|Unterminated|Invalid"):
        find_json(text)


@given(json_values, st.sampled_from(["", "Sure!\n", "<think>so</think>", "so</think>\n"]), st.booleans())
def test_any_object_is_found_in_prose_and_fences(value: Any, before: str, fenced: bool) -> None:
    written = json.dumps({"value": value}, ensure_ascii=False)
    text = f"{before}```json\n{written}\n```\nbye" if fenced else f"{before}{written}"
    assert find_json(text) == {"value": value}


@given(json_values, st.data())
def test_a_truncated_object_is_never_a_value(value: Any, data: st.DataObject) -> None:
    written = json.dumps({"value": value})
    cut = written[: data.draw(st.integers(1, len(written) - 1))]
    with pytest.raises(ValueError, match=r"JSON|json|Expecting|Extra data|Unterminated|Invalid"):
        read_arguments(cut)
    with pytest.raises(ValueError, match=r"JSON|json|Expecting|Extra data|Unterminated|Invalid"):
        find_json(cut)


@given(any_text)
def test_repair_gives_valid_text_and_is_idempotent(text: str) -> None:
    repaired = repair_surrogates(text)
    repaired.encode()
    assert repair_surrogates(repaired) == repaired
    assert all(character in repaired for character in text if not "\ud800" <= character <= "\udfff")


@given(any_text, st.data())
def test_pieces_join_to_the_repaired_whole(text: str, data: st.DataObject) -> None:
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=5)))
    joiner = SurrogateJoiner()
    pieces = [joiner.feed(text[a:b]) for a, b in zip([0, *cuts], [*cuts, len(text)], strict=True)]
    assert "".join([*pieces, joiner.close()]) == repair_surrogates(text)


def test_json_text_is_read_with_a_bom_and_control_characters() -> None:
    assert read_json('\ufeff{"a": "\x01"}') == {"a": "\x01"}
    with pytest.raises(ValueError, match="nested too deeply"):
        read_json("[" * 100_000)


def test_thinking_is_stripped_with_and_without_its_opening_tag() -> None:
    assert strip_thinking("<think>a</think>b") == strip_thinking("a</think>b") == strip_thinking("b") == "b"
