"""Chooses which tools to call, and their arguments.

A tool is chosen by the words that it shares with the question; a question for several things is split into clauses, and
each clause may call its own tool.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import Any

from cfaig_integrations.simulator.fake_model import replies
from cfaig_integrations.simulator.fake_model.conversation import Conversation, field_names
from cfaig_integrations.simulator.fake_model.fill_schema import fill_schema
from cfaig_integrations.simulator.fake_model.text import (
    QUOTED,
    ExtractedText,
    find_names,
    find_numbers,
    find_quoted,
    find_words,
    keywords,
    stem_word,
    word_set,
)
from cfaig_integrations.simulator.types import Call, ModelRequest, Tool

_SEPARATORS = re.compile(
    r"(?<=[.?!;])\s+|\s*;\s*|,?\s+(?:and\s+)?then\s+|,?\s+and\s+(?:also\s+)?|\balso,?\s+|\n+", re.IGNORECASE
)
_IGNORED = word_set("tool function api call helper util")
_SIGNS = {"+": "add sum plus addition", "*": "multiply product times", "/": "divide quotient", "-": "subtract minus"}
_SEARCHING = frozenset(stem_word(w) for w in word_set("search query lookup retrieve retriever engine knowledge"))
_ASKS = re.compile(r"\?|^\s*(?:who|what|when|where|which|why|how|tell|explain|describe|find)\b", re.IGNORECASE)
_VARIATION = re.compile(r"^\s*(?:and|what about|how about)\b", re.IGNORECASE)
_MIN_SCORE = 2.0
_NAMED_SCORE = 50.0
_MOST_SUBJECT_WORDS = 5


@dataclass(frozen=True, slots=True)
class _Step:
    tool: Tool
    text: str
    needs_result: bool = False  # needs the result of the previous step


def select_tool_calls(request: ModelRequest, conversation: Conversation) -> list[Call]:
    """The calls to make now; empty if the question is answered, or no tool fits and none is required."""
    if not request.tools or request.choice == "none":
        return []
    if request.choice not in ("auto", "required"):
        named = next(t for t in request.tools if t.name == request.choice)
        return [_call(_Step(named, conversation.question), request, conversation)]
    plan = _plan(request, conversation)
    remaining = plan[len(conversation.calls) :]
    if any(r.failed for r in conversation.results):
        remaining = []
    if not remaining and request.choice == "required":
        remaining = [_required_step(request, conversation)]
    possible = [s for i, s in enumerate(remaining) if not s.needs_result or (i == 0 and conversation.results)]
    return [_call(s, request, conversation) for s in (possible if request.parallel else possible[:1])]


def split_clauses(text: str) -> list[str]:
    """The clauses of a question; quoted texts are not split."""
    masked = QUOTED.sub(lambda m: "\u00b7" * len(m[0]), text)
    parts: list[str] = []
    at = 0
    for separator in _SEPARATORS.finditer(masked):
        parts.append(text[at : separator.start()])
        at = separator.end()
    return [p.strip() for p in (*parts, text[at:]) if re.search(r"\w", p)]


def _plan(request: ModelRequest, conversation: Conversation) -> list[_Step]:
    """Every call that the question asks for, in order."""
    steps: list[_Step] = []
    for clause in split_clauses(conversation.question):
        tool = _best(clause, request.tools)
        if tool is not None:
            steps.append(_Step(tool, clause))
        elif steps and _follows_on(clause, steps[-1].tool):
            steps += _spread(steps.pop(), clause)
        elif steps:
            steps[-1] = _Step(steps[-1].tool, f"{steps[-1].text} {clause}")
    steps = [
        replace(s, needs_result=i > 0 and _count_required_numbers(s.tool) > len(find_numbers(s.text)))
        for i, s in enumerate(steps)
    ]
    if not steps:
        tool = _repeated_tool(request, conversation) or _search_tool(request, conversation)
        steps = [_Step(tool, conversation.question)] if tool else []
    return steps


def _score(text: str, tool: Tool) -> float:
    """How well a tool fits a text: its name in the text, or else shared words, weighted by where they are."""
    if re.search(rf"(?<![\w-]){re.escape(tool.name)}(?![\w-])", text):
        return _NAMED_SCORE + len(tool.name)
    words = set(keywords(text))
    words |= {
        stem_word(w)
        for sign, means in _SIGNS.items()
        if re.search(rf"\d\s*{re.escape(sign)}\s*\d", text)
        for w in means.split()
    }
    name = {w for w in keywords(tool.name) if w not in _IGNORED}
    description = {w for w in keywords(tool.description) if w not in _IGNORED} - name
    fields = set(keywords(" ".join(field_names(tool.parameters)))) - name - description
    return 2 * len(words & name) + len(words & description) + 0.8 * len(words & fields)


def _best(text: str, tools: list[Tool]) -> Tool | None:
    ranked = max(tools, key=lambda t: _score(text, t))
    return ranked if _score(text, ranked) >= _MIN_SCORE else None


def _count_required_numbers(tool: Tool) -> int:
    properties: dict[str, Any] = tool.parameters.get("properties") or {}
    required: list[str] = tool.parameters.get("required") or []
    return sum(properties[k].get("type") in ("integer", "number") for k in required if k in properties)


def _follows_on(clause: str, tool: Tool) -> bool:
    """Whether a clause only names another subject for the previous tool."""
    required: Collection[str] = tool.parameters.get("required") or tool.parameters.get("properties") or ()
    subject = find_names(clause) or find_quoted(clause) or find_numbers(clause)
    return len(required) == 1 and bool(subject) and len(find_words(clause)) <= _MOST_SUBJECT_WORDS


def _spread(before: _Step, clause: str) -> list[_Step]:
    """One step per subject of a list such as `weather in Paris, Tokyo and Rome`."""
    tool_words = set(keywords(f"{before.tool.name} {before.tool.description}"))
    listed = [n for n in find_names(before.text) if not set(keywords(n)) <= tool_words] or [before.text]
    subjects = [before.text] if len(listed) == 1 else listed
    return [*(_Step(before.tool, s) for s in subjects), _Step(before.tool, clause)]


def _repeated_tool(request: ModelRequest, conversation: Conversation) -> Tool | None:
    """The previous tool, if the question only varies the last one: `what about Rome?`."""
    called = [call.name for message in conversation.before for call in message.calls]
    if not called or not _VARIATION.search(conversation.question):
        return None
    return next((t for t in request.tools if t.name == called[-1]), None)


def _search_tool(request: ModelRequest, conversation: Conversation) -> Tool | None:
    """The search tool, which fits any question."""
    if not _ASKS.search(conversation.question) or not keywords(conversation.question):
        return None
    return next((t for t in request.tools if _SEARCHING & set(keywords(t.name))), None)


def _required_step(request: ModelRequest, conversation: Conversation) -> _Step:
    """The call when one is required: the best tool, preferably one not called yet."""
    called = {c.name for c in conversation.calls}
    candidates = [t for t in request.tools if t.name not in called] or request.tools
    return _Step(max(candidates, key=lambda t: _score(conversation.question, t)), conversation.question)


def _call(step: _Step, request: ModelRequest, conversation: Conversation) -> Call:
    form = step.tool.parameters
    results = " ".join(r.text for r in conversation.results)
    uses_results = results and request.choice == "required" and not step.needs_result
    extracted = ExtractedText(
        f"{results}\n{step.text}" if uses_results else step.text,
        backup=conversation.question,
        extra_numbers=find_numbers(conversation.results[-1].text) if step.needs_result and conversation.results else (),
        ignore=[step.tool.name, *field_names(form)],
        prose=lambda: replies.answer_from_context(request, conversation),
    )
    return Call(id="", name=step.tool.name, arguments=fill_schema({"type": "object", **form}, extracted))
