"""Which data of a run go to the gateway's log by default: an allow-list, the most useful first."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cfaig_integrations import RunInfo
from cfaig_integrations.adapters.run_metadata import DEFAULT_KEYS, Framework, automatic
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


PLAIN = Framework(name="langchain")
WITH_TAGS = Framework(name="llama_index", default_keys=("run_id", "agent", "op"), max_entries=4, tags=True)


def run(**values: Any) -> RunInfo:
    return RunInfo(**{**FULL, **values})


def test_the_five_most_useful_entries_are_sent() -> None:
    chosen = automatic(run(), PLAIN)
    assert list(chosen.items()) == [
        ("user_id", "u"),
        ("thread_id", "t"),
        ("agent", "scout:model"),
        ("run_id", "r"),
        ("parent_run_id", "p"),
    ]


def test_tags_come_before_the_default_keys_and_the_framework_limits_the_number() -> None:
    tags = {"tenant": "acme", "op": "nightly"}
    assert automatic(run(framework="llama_index", metadata=tags, purpose="query"), WITH_TAGS) == {
        "tenant": "acme",
        "op": "nightly",
        "run_id": "r",
        "agent": "scout:model",
    }


def test_the_purpose_of_a_run_replaces_the_operation() -> None:
    found = automatic(run(framework="llama_index", metadata={}, agent=None, purpose="query"), WITH_TAGS)
    assert found == {"run_id": "r", "op": "query"}


@pytest.mark.parametrize(
    ("values", "expected"),
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
def test_a_missing_or_empty_value_is_left_out(values: dict[str, Any], expected: dict[str, Any]) -> None:
    assert automatic(run(**values), PLAIN) == expected


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
def test_a_conversation_id_has_three_keys(metadata: dict[str, Any], thread: object) -> None:
    assert automatic(run(metadata=metadata), PLAIN)["thread_id"] == thread


@given(st.dictionaries(st.text(), st.one_of(st.text(), st.integers(), st.none(), st.lists(st.text()))))
def test_only_listed_keys_are_sent_by_default(metadata: dict[str, Any]) -> None:
    header = encode_metadata(automatic=automatic(run(metadata=metadata), PLAIN))
    assert header is not None
    assert set(json.loads(header)) <= set(DEFAULT_KEYS)


def test_metadata_keys_replace_the_default_keys() -> None:
    keys = ["tenant", "op", "run_name", "tags", "framework", "user_id", "absent"]
    assert list(automatic(run(), PLAIN, keys).items()) == [
        ("tenant", "acme"),
        ("op", "chat"),
        ("run_name", "summary"),
        ("tags", "a,b"),
        ("framework", "langchain"),
        ("user_id", "u"),
    ]
    assert not automatic(run(), PLAIN, [])
    assert not automatic(run(tags=()), PLAIN, ["tags"])


def test_entries_beyond_the_limit_are_trimmed_from_the_end() -> None:
    header = encode_metadata(
        {"team": "docs"}, automatic=automatic(run(), PLAIN, ["op", "lc_versions", "tenant", "agent"])
    )
    assert header is not None
    assert json.loads(header) == {"team": "docs", "op": "chat", "tenant": "acme", "agent": "scout:model"}


def test_a_mapper_replaces_the_keys() -> None:
    mapped = automatic(
        run(), PLAIN, ["op"], lambda info: {"tenant": info.metadata["tenant"], "who": info.agent, "no": None}
    )
    assert mapped == {"tenant": "acme", "who": "scout:model"}
    assert not automatic(run(), PLAIN, ["op"], lambda _: None)


@pytest.mark.parametrize(
    ("result", "message"),
    [
        ("text", "not a dict"),
        (["a"], "not a dict"),
        ({"a": {"b": 1}}, "Metadata a="),
        ({"cf.a": 1}, "reserved"),
        ({1: 1}, "Metadata key 1"),
        ({str(n): n for n in range(6)}, "6 entries"),
    ],
)
def test_a_mapper_that_returns_what_cannot_be_sent_is_refused(result: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        automatic(run(), PLAIN, None, lambda _: result)
    assert caught.value.field == "metadata_mapper"


def test_an_error_of_a_mapper_is_the_cause_of_ours() -> None:
    with pytest.raises(ConfigError, match=r"metadata_mapper raised KeyError: 'no_such'") as caught:
        automatic(run(), PLAIN, None, lambda info: {"a": info.metadata["no_such"]})
    assert isinstance(caught.value.__cause__, KeyError)
