"""What goes to the gateway's log of a run when nobody says: an allow-list, in the order of worth."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cfaig_integrations import RunInfo
from cfaig_integrations.adapters.run_metadata import DEFAULT_KEYS, automatic
from cfaig_integrations.errors import ConfigError
from cfaig_integrations.gateway.metadata import encode_metadata

FULL = {
    "framework": "langchain",
    "operation": "chat",
    "run_id": "r",
    "parent_run_id": "p",
    "name": "summary",
    "agent": "scout:model",
    "tags": ("a", "b"),
    "metadata": {
        "user_id": "u",
        "thread_id": "t",
        "tenant": "acme",
        "prompt": "private",
        "ls_provider": "x",
        "lc_versions": {"a": "1"},
        "langgraph_triggers": ["x"],
        "langgraph_step": 3,
        "checkpoint_ns": "ns",
    },
}


def run(**words: Any) -> RunInfo:
    return RunInfo(**{**FULL, **words})


def test_the_five_of_most_worth_in_their_order() -> None:
    chosen = automatic(run())
    assert list(chosen.items()) == [
        ("user_id", "u"),
        ("thread_id", "t"),
        ("agent", "scout:model"),
        ("run_id", "r"),
        ("parent_run_id", "p"),
    ]


def test_llama_index_leaves_a_place_to_access_and_puts_the_users_tags_first() -> None:
    tags = {"tenant": "acme", "op": "nightly"}
    assert automatic(run(framework="llama_index", metadata=tags, purpose="query")) == {
        "tenant": "acme",
        "op": "nightly",
        "run_id": "r",
        "agent": "scout:model",
    }


def test_the_purpose_of_it_all_stands_for_the_operation() -> None:
    found = automatic(run(framework="llama_index", metadata={}, agent=None, purpose="query"))
    assert found == {"run_id": "r", "op": "query"}


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ({"metadata": {}}, {"agent": "scout:model", "run_id": "r", "parent_run_id": "p", "op": "chat"}),
        ({"metadata": {}, "agent": None, "run_id": None, "parent_run_id": None}, {"op": "chat"}),
        (
            {"metadata": {"user_id": 0}, "agent": None, "parent_run_id": None},
            {"user_id": 0, "run_id": "r", "op": "chat"},
        ),
        (
            {"metadata": {"user_id": "", "session_id": None}, "agent": None, "parent_run_id": None},
            {"run_id": "r", "op": "chat"},
        ),
    ],
)
def test_what_does_not_exist_takes_no_place(words: dict[str, Any], expected: dict[str, Any]) -> None:
    assert automatic(run(**words)) == expected


@pytest.mark.parametrize(
    ("metadata", "thread"),
    [
        ({"thread_id": "t", "session_id": "s", "conversation_id": "c"}, "t"),
        ({"session_id": "s", "conversation_id": "c"}, "s"),
        ({"conversation_id": "c"}, "c"),
        ({"thread_id": "", "conversation_id": "c"}, "c"),
        ({"thread_id": None, "session_id": 7}, 7),
        ({"thread_id": ["unhashable"]}, ["unhashable"]),
    ],
)
def test_a_conversation_has_three_names(metadata: dict[str, Any], thread: object) -> None:
    assert automatic(run(metadata=metadata))["thread_id"] == thread


@given(st.dictionaries(st.text(), st.one_of(st.text(), st.integers(), st.none(), st.lists(st.text()))))
def test_nothing_is_sent_because_it_is_there(metadata: dict[str, Any]) -> None:
    header = encode_metadata(automatic=automatic(run(metadata=metadata)))
    assert header is not None
    assert set(json.loads(header)) <= set(DEFAULT_KEYS)


def test_keys_replace_the_list() -> None:
    keys = ["tenant", "op", "run_name", "tags", "framework", "user_id", "absent"]
    assert list(automatic(run(), keys).items()) == [
        ("tenant", "acme"),
        ("op", "chat"),
        ("run_name", "summary"),
        ("tags", "a,b"),
        ("framework", "langchain"),
        ("user_id", "u"),
    ]
    assert not automatic(run(), [])
    assert not automatic(run(tags=()), ["tags"])


def test_more_keys_than_places_are_trimmed_in_their_order() -> None:
    header = encode_metadata({"team": "docs"}, automatic=automatic(run(), ["op", "lc_versions", "tenant", "agent"]))
    assert header is not None
    assert json.loads(header) == {"team": "docs", "op": "chat", "tenant": "acme", "agent": "scout:model"}


def test_a_mapper_decides_alone() -> None:
    mapped = automatic(run(), ["op"], lambda info: {"tenant": info.metadata["tenant"], "who": info.agent, "no": None})
    assert mapped == {"tenant": "acme", "who": "scout:model"}
    assert not automatic(run(), ["op"], lambda _: None)


@pytest.mark.parametrize(
    ("result", "told"),
    [
        ("text", "not a dict"),
        (["a"], "not a dict"),
        ({"a": {"b": 1}}, "Metadata a="),
        ({"cf.a": 1}, "reserved"),
        ({1: 1}, "Metadata key 1"),
        ({str(n): n for n in range(6)}, "6 entries"),
    ],
)
def test_a_mapper_that_gives_what_cannot_be_sent_is_told(result: Any, told: str) -> None:
    with pytest.raises(ConfigError, match=told) as caught:
        automatic(run(), None, lambda _: result)
    assert caught.value.field == "metadata_mapper"


def test_a_mapper_that_fails_is_told_with_its_cause() -> None:
    with pytest.raises(ConfigError, match=r"metadata_mapper raised KeyError: 'no_such'") as caught:
        automatic(run(), None, lambda info: {"a": info.metadata["no_such"]})
    assert isinstance(caught.value.__cause__, KeyError)
