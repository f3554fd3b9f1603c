"""How long a prompt is, with no tokenizer at hand and with one."""

from __future__ import annotations

import sys

import pytest
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage, trim_messages
from langchain_core.tools import tool

from cfaig_integrations.errors import ConfigError
from tests.langchain.conftest import Make


@tool
def weather(city: str) -> str:
    """Weather in a city."""
    return city


MESSAGES: list[BaseMessage] = [SystemMessage("Be brief."), HumanMessage("What is Cloudflare? " * 10)]


def by_word(text: str) -> list[int]:
    return [len(word) for word in text.split()]


@pytest.fixture(autouse=True)
def _no_transformers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "transformers", None)


@pytest.mark.parametrize(("text", "tokens"), [("", 0), ("a", 1), ("four", 1), ("five!", 2), ("x" * 400, 100)])
def test_a_token_is_four_characters(make: Make, text: str, tokens: int) -> None:
    assert make().get_num_tokens(text) == len(make().get_token_ids(text)) == tokens


def test_your_own_tokenizer_counts(make: Make) -> None:
    model = make(custom_get_token_ids=by_word)
    assert model.get_token_ids("What is this?") == [4, 2, 5]
    assert model.get_num_tokens("What is this?") == 3
    assert model.get_num_tokens_from_messages(MESSAGES) == 34  # two roles among them


@pytest.mark.parametrize("own", [False, True])
@pytest.mark.parametrize("form", [weather, weather.args_schema, {"type": "web_search"}, lambda city: city])
def test_tools_count(make: Make, own: bool, form: object) -> None:
    model = make(custom_get_token_ids=by_word) if own else make()
    alone = model.get_num_tokens_from_messages(MESSAGES)
    assert model.get_num_tokens_from_messages(MESSAGES, tools=[form]) > alone
    assert model.get_num_tokens_from_messages(MESSAGES, tools=[form, form]) > alone


def test_an_invalid_tool_is_not_counted(make: Make) -> None:
    with pytest.raises(ConfigError, match="tool"):
        make().get_num_tokens_from_messages(MESSAGES, tools=[42])


def test_longer_conversations_have_more_tokens(make: Make) -> None:
    model = make()
    calls = AIMessage("", tool_calls=[{"name": "weather", "args": {"city": "Paris"}, "id": "c"}])
    counts = [model.get_num_tokens_from_messages(result) for result in (MESSAGES[:1], MESSAGES, [*MESSAGES, calls])]
    assert counts == sorted(set(counts))


@pytest.mark.parametrize("own", [False, True])
def test_histories_are_trimmed_to_fit(make: Make, own: bool) -> None:
    model = make(custom_get_token_ids=by_word) if own else make()
    history: list[BaseMessage] = [
        kind(f"Message number {n}. " * 5) for n in range(10) for kind in (HumanMessage, AIMessage)
    ]
    remaining = trim_messages(history, max_tokens=100, token_counter=model, start_on="human")
    assert 0 < len(remaining) < len(history)
    assert remaining == history[-len(remaining) :]
    assert model.get_num_tokens_from_messages(remaining) <= 100
