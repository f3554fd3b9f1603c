"""What every model of the benchmark receives, in no framework's form."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, Field, create_model

SENTENCE = (
    "The quarterly report shows that revenue in the northern region rose by four percent, while support costs fell "
    "after the new triage queue went live in March. "
)
QUESTION = "Say hello in one short sentence."
TOOLS = 20
ROUNDS = 12


def history() -> list[tuple[Any, ...]]:
    """50 messages: a system message, 12 rounds of question, tool call, result and answer, and a question.

    ("system" | "user" | "assistant", text), ("call", id, name, arguments) or ("result", id, name, text).
    """
    messages: list[tuple[Any, ...]] = [("system", f"You are a careful analyst. {SENTENCE}")]
    for i in range(ROUNDS):
        arguments = {"query": f"north {i}", "limit": 10, "tags": ["a", "b"], "mode": "fast"}
        messages += [
            ("user", f"Question {i}: {SENTENCE}"),
            ("call", f"call_{i:04d}", f"tool_{i}", arguments),
            ("result", f"call_{i:04d}", f"tool_{i}", f'{{"rows":[{i},{i + 1}]}} {SENTENCE}'),
            ("assistant", f"Answer {i}: {SENTENCE}{SENTENCE}"),
        ]
    return [*messages, ("user", f"And what follows from all that? {SENTENCE}")]


def conversation(n: int) -> list[tuple[str, str]]:
    """n messages, of which the user writes the last."""
    return [("assistant" if (n - i) % 2 == 0 else "user", f"{i}: {SENTENCE}") for i in range(n)]


def tool_arguments(i: int) -> type[BaseModel]:
    """The arguments of one of 20 tools, as a model of its own."""
    return create_model(
        f"Tool{i}Arguments",
        query=(str, Field(description="What to look for")),
        tags=(list[str], Field(description="Only rows with these tags")),
        limit=(int, Field(10, description="How many rows")),
        mode=(Literal["fast", "exact", "fuzzy"], Field("fast", description="How to match")),
    )


def tool_description(i: int) -> str:
    return f"Look up records of kind {i} and return matching rows."


def look_up(query: str, tags: list[str], limit: int = 10, mode: str = "fast") -> str:
    return query


def texts(n: int) -> list[str]:
    return [f"Document {i}: {SENTENCE}" for i in range(n)]
