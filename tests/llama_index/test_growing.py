"""JSON that is still being written, against the parser that reads it anew each time."""

from __future__ import annotations

import json
import random
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from pydantic_core import from_json

from cfaig_integrations.llama_index.growing import GrowingJson, read_so_far

DOCUMENTS: list[Any] = [
    {"a": 1, "b": [1, 2, {"c": 'x,y]}\\" é 😀'}], "d": {}, "e": [], "f": [[1.5, -2e3], [True, None]]},
    {"quote": '"', "back": "\\", "both": '\\"', "control": "line\nbreak\ttab", "brackets": "[{]}"},
    {"x": {"y": {"z": "q", "w": [[], [{}]]}}, "last": False},
    {"": 1, "k]ey": {"}": 2}},
    [1, [2, [3]]],
    {},
    [],
]
WRITERS = {
    "plain": json.dumps,
    "indented": lambda value: json.dumps(value, indent=1),
    "as it is": lambda value: json.dumps(value, ensure_ascii=False),
}


def anew(text: str) -> Any:
    try:
        return from_json(text, allow_partial="trailing-strings")
    except ValueError:
        return None


@pytest.mark.parametrize("writer", WRITERS)
@pytest.mark.parametrize("document", DOCUMENTS, ids=str)
def test_every_beginning_is_what_a_parser_makes_of_it(document: Any, writer: str) -> None:
    text = WRITERS[writer](document)
    growing = GrowingJson()
    for end in range(len(text) + 1):
        assert growing.read(text[:end]) == anew(text[:end]), text[:end]
    assert growing.read(text) == document


@pytest.mark.parametrize("seed", range(20))
def test_pieces_of_any_length(seed: int) -> None:
    chance = random.Random(seed)
    text = json.dumps(DOCUMENTS, indent=chance.choice([None, 2]))
    growing, end = GrowingJson(), 0
    while end < len(text):
        end += chance.randint(1, 40)
        assert growing.read(text[:end]) == anew(text[:end])


def test_values_that_were_given_do_not_change() -> None:
    text = json.dumps(DOCUMENTS)
    growing, given = GrowingJson(), []
    for end in range(len(text) + 1):
        value = growing.read(text[:end])
        given.append((value, json.dumps(value)))
    assert all(json.dumps(value) == then for value, then in given)


@pytest.mark.parametrize(
    "text", ["{]", "[}", '{"a" 1, ', "[1 2, ", '{"a": 1}]', "]", "[x, ", '{"a": b{', "{[1], ", '["\\q", ']
)
def test_what_is_no_json_has_no_value(text: str) -> None:
    growing = GrowingJson()
    for end in range(len(text)):
        growing.read(text[:end])
    assert growing.read(text) is None
    assert growing.read(text + "more") is None


def test_another_text_begins_anew() -> None:
    growing = GrowingJson()
    assert growing.read('{"a": [1, 2') == {"a": [1, 2]}
    assert growing.read('{"b": "x') == {"b": "x"}
    assert growing.read("]") is None
    assert growing.read("{}") == {}


def test_half_of_a_surrogate_pair_is_no_reason_to_fail() -> None:
    assert GrowingJson().read('{"a": "\ud83d') == {}
    assert read_so_far("half", '{"a": "\ud83d"}') is None


@pytest.mark.parametrize("streams", [3, 100], ids=["few", "more than are remembered"])
def test_streams_of_one_name_do_not_mix(streams: int) -> None:
    texts = [json.dumps({"same": "beginning", "number": number, "list": [number] * 20}) for number in range(streams)]
    for end in range(max(map(len, texts)) + 1):
        for text in texts:
            assert read_so_far("call_1", text[:end]) == anew(text[:end])


def test_threads_do_not_mix() -> None:
    texts = [json.dumps({"number": number % 3, "list": [number] * 40}) for number in range(16)]

    def read(text: str) -> bool:
        return all(read_so_far("call", text[:end]) == anew(text[:end]) for end in range(len(text) + 1))

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(read, texts * 4))


def test_a_long_text_seen_for_the_first_time() -> None:
    text = json.dumps({"list": list(range(5000))})
    assert read_so_far("late", text[:-3]) == anew(text[:-3])
    assert read_so_far("late and broken", "]" * 5000) is None
