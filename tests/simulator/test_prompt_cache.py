"""A long prompt that a model was given before counts as cached tokens, in every format."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from cfaig_integrations.simulator import Simulator

from .conftest import Caller

LONG = "The quick brown fox jumps over the lazy dog near the bank of the river. " * 120
SHORT = "The quick brown fox. " * 100
TURN = [{"role": "user", "content": LONG}]
MARKED = [{"role": "user", "content": [{"type": "text", "text": LONG, "cache_control": {"type": "ephemeral"}}]}]
LLAMA = "@cf/meta/llama-3.1-8b-instruct"
GPT, CLAUDE = "openai/gpt-4.1", "anthropic/claude-haiku-4.5"


def openai(usage: Any) -> tuple[int, int]:
    return usage["prompt_tokens"], usage["prompt_tokens_details"]["cached_tokens"]


def anthropic(usage: Any) -> tuple[int, int]:
    read: int = usage["cache_read_input_tokens"]
    return usage["input_tokens"] + read, read


def responses(usage: Any) -> tuple[int, int]:
    return usage["input_tokens"], usage["input_tokens_details"]["cached_tokens"]


FORMATS: dict[str, tuple[str, dict[str, Any], Callable[[Any], tuple[int, int]]]] = {
    "chat_completions": ("/ai/v1/chat/completions", {"model": GPT, "messages": TURN}, openai),
    "responses": ("/ai/v1/responses", {"model": GPT, "input": LONG}, responses),
    "messages": ("/ai/v1/messages", {"model": CLAUDE, "max_tokens": 99, "messages": MARKED}, anthropic),
    "run": (f"/ai/run/{LLAMA}", {"prompt": LONG}, openai),
}


def usages(value: Any) -> Iterator[Any]:
    """Every usage object within a body or an event."""
    if isinstance(value, dict):
        if value.get("usage"):
            yield value["usage"]
        for inner in value.values():
            yield from usages(inner)


def usage_in(text: str) -> Any:
    """The usage of a whole body, or the last one of a stream."""
    bodies = [line.removeprefix("data: ") for line in text.splitlines() if line.startswith(("data: {", "{"))]
    return [usage for body in bodies for usage in usages(json.loads(body))][-1]


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("name", FORMATS)
def test_the_second_time_is_cached(caller: Caller, name: str, stream: bool) -> None:
    path, body, counts = FORMATS[name]
    options = {"stream_options": {"include_usage": True}} if stream and name == "chat_completions" else {}
    sent = {**body, **options, "stream": stream}
    before, none = counts(usage_in(caller.post(path, sent).text))
    after, cached = counts(usage_in(caller.post(path, sent).text))
    assert none == 0
    assert after == before
    assert 1024 <= cached <= after
    assert after - cached < 256


def cached(caller: Caller, content: str, model: str = GPT) -> int:
    answer = caller.chat(model, messages=[{"role": "user", "content": content}]).json()
    return openai(answer["usage"])[1]


def test_only_a_common_beginning_counts(caller: Caller) -> None:
    assert cached(caller, f"{LONG} One?") == 0
    assert cached(caller, f"{LONG} Something else?") >= 1024
    assert cached(caller, f"First. {LONG}") == 0
    assert [cached(caller, SHORT) for _ in range(2)] == [0, 0]
    assert cached(caller, LONG, "openai/gpt-4.1-mini") == 0, "each model has its own"


def test_messages_caches_only_what_is_marked(caller: Caller) -> None:
    path, body, counts = FORMATS["messages"]
    plain = {**body, "messages": TURN}
    assert [counts(caller.post(path, plain).json()["usage"])[1] for _ in range(2)] == [0, 0]


def test_reset_forgets_prompts_and_a_script_has_the_last_word(sim: Simulator, caller: Caller) -> None:
    cached(caller, LONG)
    sim.reply("Told", tokens_cached=5)
    assert cached(caller, LONG) == 5
    sim.reset()
    assert cached(caller, LONG) == 0
