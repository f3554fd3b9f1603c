"""`cf-aig-metadata`: at most five entries, all of them valid."""

from __future__ import annotations

import json
import math
from datetime import UTC, date, datetime
from enum import Enum, IntEnum, StrEnum
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cfaig_integrations.errors import ConfigError
from cfaig_integrations.gateway.metadata import encode_metadata


class Color(Enum):
    RED = "red"
    ODD = None


class Level(IntEnum):
    HIGH = 3


class Team(StrEnum):
    A = "team-a"


def read(*layers: Any, **arguments: Any) -> list[tuple[str, Any]]:
    text = encode_metadata(*layers, **arguments)
    return [] if text is None else list(json.loads(text).items())


@pytest.mark.parametrize(
    ("value", "sent"),
    [
        ("text", "text"),
        ("", ""),
        (True, True),
        (False, False),
        (0, 0),
        (-7, -7),
        (1.5, 1.5),
        (2**53 - 1, 2**53 - 1),
        (2**53, str(2**53)),
        (UUID(int=1), "00000000-0000-0000-0000-000000000001"),
        (date(2026, 10, 8), "2026-10-08"),
        (datetime(2026, 10, 8, 1, 2, 3, tzinfo=UTC), "2026-10-08T01:02:03+00:00"),
        (Color.RED, "red"),
        (Level.HIGH, 3),
        (Team.A, "team-a"),
        ("x" * 201, "x" * 200),
        ("ünï\n漢😀", "ünï\n漢😀"),
    ],
)
def test_valid_values(value: object, sent: object) -> None:
    [(_, arrived)] = read({"key": value})
    assert arrived == sent
    assert type(arrived) is type(sent)


@pytest.mark.parametrize(
    "value", [None, {}, {"a": 1}, [], ["a"], (1,), b"bytes", math.nan, math.inf, object(), Color.ODD, {1}]
)
def test_an_invalid_value_is_rejected(value: object) -> None:
    """One null or nested value makes the whole metadata null, silently (facts §4)."""
    with pytest.raises(ConfigError, match="user_id") as caught:
        encode_metadata({"ok": 1, "user_id": value})
    assert caught.value.field == "gateway_metadata.user_id"
    assert read(automatic={"bad": value, "good": 1}) == [("good", 1)]


@pytest.mark.parametrize("key", ["", "  ", "cf.user_id", "cf.", 1, None, ("a",)])
def test_an_invalid_key_is_rejected(key: object) -> None:
    with pytest.raises(ConfigError, match="Metadata key"):
        encode_metadata({key: "x"})  # type: ignore[dict-item]
    assert read(automatic={key: "x", "good": 1}) == [("good", 1)]


def test_a_higher_layer_overrides_a_key_and_comes_first() -> None:
    assert read({"b": "call"}, None, {"a": "model", "b": "model"}, {}) == [("b", "call"), ("a", "model")]


def test_an_overridden_value_is_not_validated() -> None:
    assert read({"a": 1}, {"a": None}) == [("a", 1)]


def test_six_entries_are_rejected() -> None:
    """The gateway keeps the first five and drops the rest (facts §4)."""
    five = {f"k{i}": i for i in range(5)}
    assert len(read(five)) == 5
    assert len(read(five, {"k0": "again"})) == 5
    for layers in ([{**five, "k5": 5}], [five, {"k5": 5}], [{"k5": 5}, five]):
        with pytest.raises(ConfigError, match="6 entries") as caught:
            encode_metadata(*layers)
        assert caught.value.field == "gateway_metadata"


def test_automatic_entries_fill_the_remaining_places() -> None:
    automatic = {"user_id": "u", "cf.x": 1, "thread_id": None, "agent": "a", "run_id": UUID(int=2)}
    explicit = {"tenant": "t", "agent": "mine", "plan": "p"}
    assert read(explicit, automatic=automatic) == [
        ("tenant", "t"),
        ("agent", "mine"),
        ("plan", "p"),
        ("user_id", "u"),
        ("run_id", str(UUID(int=2))),
    ]
    assert len(read({f"k{i}": i for i in range(5)}, automatic=automatic)) == 5


@pytest.mark.parametrize("layers", [(), (None,), ({},), (None, {})])
def test_no_entries_are_no_header(layers: tuple[Any, ...]) -> None:
    assert encode_metadata(*layers) is None
    assert encode_metadata(*layers, automatic={"a": None}) is None


scalars = st.one_of(
    st.text(), st.booleans(), st.integers(), st.floats(allow_nan=False, allow_infinity=False), st.uuids(), st.dates()
)
keys = st.text(min_size=1).filter(lambda key: key.strip() and not key.startswith("cf."))
anything = st.one_of(scalars, st.none(), st.lists(st.integers()), st.floats(), st.binary())


@given(
    st.lists(st.dictionaries(keys, scalars, max_size=3), max_size=3),
    st.dictionaries(st.one_of(keys, st.text(), st.just("cf.a")), anything, max_size=9),
)
def test_the_header_is_always_valid(layers: list[dict[str, Any]], automatic: dict[str, Any]) -> None:
    explicit = list(dict.fromkeys(key for layer in layers for key in layer))
    if len(explicit) > 5:
        with pytest.raises(ConfigError):
            encode_metadata(*layers, automatic=automatic)
        return
    text = encode_metadata(*layers, automatic=automatic)
    entries = {} if text is None else json.loads(text)
    assert list(entries)[: len(explicit)] == explicit
    assert len(entries) <= 5
    assert text is None or (text.isascii() and "\n" not in text and "\r" not in text)
    assert set(entries) <= {*explicit, *automatic}
    for key, value in entries.items():
        assert not key.startswith("cf.")
        assert isinstance(value, str | int | float)
        assert len(value) <= 200 if isinstance(value, str) else True
