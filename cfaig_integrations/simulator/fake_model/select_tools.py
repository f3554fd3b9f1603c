"""Chooses which tools to call, and their arguments.

A tool is chosen by the words that it shares with the question; a question for several things is split into clauses, and
each clause may call its own tool.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Any, cast

from cfaig_integrations.simulator.fake_model import prompts, replies
from cfaig_integrations.simulator.fake_model.conversation import Conversation
from cfaig_integrations.simulator.fake_model.extract import ExtractedText
from cfaig_integrations.simulator.fake_model.fill_schema import fill_schema
from cfaig_integrations.simulator.fake_model.text import (
    QUOTED,
    find_names,
    find_numbers,
    find_quoted,
    find_words,
    keywords,
    stem_word,
    word_set,
)
from cfaig_integrations.simulator.types import Call, ModelRequest, Tool

_JOINTS = re.compile(
    r"(?<=[.?!;])\s+|\s*;\s*|,?\s+(?:and\s+)?then\s+|,?\s+and\s+(?:also\s+)?|\balso,?\s+|\n+", re.IGNORECASE
)
_DULL = word_set("tool function api call helper util")
_SIGNS = {"+": "add sum plus addition", "*": "multiply product times", "/": "divide quotient", "-": "subtract minus"}
_SEARCHING = frozenset(stem_word(w) for w in word_set("search query lookup retrieve retriever engine knowledge"))
_ASKS = re.compile(r"\?|^\s*(?:who|what|when|where|which|why|how|tell|explain|describe|find)\b", re.IGNORECASE)
_AGAIN = re.compile(r"^\s*(?:and|what about|how about)\b", re.IGNORECASE)
_ENOUGH = 2.0
_EXACT = 50.0
_FOLLOW_ON = 5


@dataclass(frozen=True, slots=True)
class _Step:
    tool: Tool
    text: str
    waits: bool = False
    """Needs the result of the step before."""


def select_tool_calls(request: ModelRequest, conversation: Conversation) -> list[Call]:
    """The calls to make now; none if the question is answered, or no tool fits and none must be called."""
    if not request.tools or request.choice == "none":
        return []
    if request.choice not in ("auto", "required"):
        named = next(t for t in request.tools if t.name == request.choice)
        return [_call(_Step(named, conversation.question), request, conversation)]
    plan = _plan(request, conversation)
    left = plan[len(conversation.calls) :]
    if any(r.failed for r in conversation.results):
        left = []
    if not left and request.choice == "required":
        left = [_forced(request, conversation)]
    ready = [s for i, s in enumerate(left) if not s.waits or (i == 0 and conversation.results)]
    return [_call(s, request, conversation) for s in (ready if request.parallel else ready[:1])]


def split_clauses(text: str) -> list[str]:
    """The parts of a question that stand for themselves; quoted stretches stay whole."""
    masked = QUOTED.sub(lambda m: "\u00b7" * len(m[0]), text)
    parts: list[str] = []
    at = 0
    for joint in _JOINTS.finditer(masked):
        parts.append(text[at : joint.start()])
        at = joint.end()
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
    steps = [replace(s, waits=i > 0 and _lacks_figures(s)) for i, s in enumerate(steps)]
    if not steps:
        tool = _again(request, conversation) or _generic(request, conversation)
        steps = [_Step(tool, conversation.question)] if tool else []
    return steps


def _score(text: str, tool: Tool) -> float:
    """How well a tool fits a text: its name said outright, else shared words, those of the name counting most."""
    if re.search(rf"(?<![\w-]){re.escape(tool.name)}(?![\w-])", text):
        return _EXACT + len(tool.name)
    words = set(keywords(text))
    words |= {stem_word(w) for sign, means in _SIGNS.items() if _has_sign(sign, text) for w in means.split()}
    name = {w for w in keywords(tool.name) if w not in _DULL}
    about = {w for w in keywords(tool.description) if w not in _DULL} - name
    fields = set(keywords(" ".join(prompts.field_names(tool.parameters)))) - name - about
    return 2 * len(words & name) + len(words & about) + 0.8 * len(words & fields)


def _has_sign(sign: str, text: str) -> bool:
    return re.search(rf"\d\s*{re.escape(sign)}\s*\d", text) is not None


def _best(text: str, tools: list[Tool], floor: float = _ENOUGH) -> Tool | None:
    ranked = max(tools, key=lambda t: _score(text, t))
    return ranked if _score(text, ranked) >= floor else None


def _lacks_figures(step: _Step) -> bool:
    return _figures_wanted(step.tool) > len(find_numbers(step.text))


def _figures_wanted(tool: Tool) -> int:
    properties = cast("dict[str, Any]", tool.parameters.get("properties") or {})
    required = cast("list[str]", tool.parameters.get("required") or [])
    return sum(properties[k].get("type") in ("integer", "number") for k in required if k in properties)


def _follows_on(clause: str, tool: Tool) -> bool:
    """Whether a clause without a tool of its own only names one more subject for the tool before it."""
    required = cast("list[str]", tool.parameters.get("required") or tool.parameters.get("properties") or [])
    subject = find_names(clause) or find_quoted(clause) or find_numbers(clause)
    return len(list(required)) == 1 and bool(subject) and len(find_words(clause)) <= _FOLLOW_ON


def _spread(before: _Step, clause: str) -> list[_Step]:
    """One step per subject of a list such as `weather in Paris, Tokyo and Rome`."""
    own = set(keywords(f"{before.tool.name} {before.tool.description}"))
    listed = [n for n in find_names(before.text) if not set(keywords(n)) <= own] or [before.text]
    subjects = [before.text] if len(listed) == 1 else listed
    return [*(_Step(before.tool, s) for s in subjects), _Step(before.tool, clause)]


def _again(request: ModelRequest, conversation: Conversation) -> Tool | None:
    """The tool of the question before, if this one only varies it: `what about Rome?`."""
    made = [c.name for s in conversation.before for c in s.calls]
    if not made or not _AGAIN.search(conversation.question):
        return None
    return next((t for t in request.tools if t.name == made[-1]), None)


def _generic(request: ModelRequest, conversation: Conversation) -> Tool | None:
    """A tool that looks things up fits any real question."""
    if not _ASKS.search(conversation.question) or not keywords(conversation.question):
        return None
    return next((t for t in request.tools if _SEARCHING & set(keywords(t.name))), None)


def _forced(request: ModelRequest, conversation: Conversation) -> _Step:
    """What a model calls when it must call something: the best tool, rather one it has not called yet."""
    made = {c.name for c in conversation.calls}
    new_id = [t for t in request.tools if t.name not in made] or request.tools
    return _Step(max(new_id, key=lambda t: _score(conversation.question, t)), conversation.question)


def _call(step: _Step, request: ModelRequest, conversation: Conversation) -> Call:
    form = step.tool.parameters
    results = " ".join(r.text for r in conversation.results)
    extracted = ExtractedText(
        step.text if not (results and request.choice == "required" and not step.waits) else f"{results}\n{step.text}",
        backup=conversation.question,
        extra_numbers=find_numbers(conversation.results[-1].text) if step.waits and conversation.results else (),
        ignore=[step.tool.name, *prompts.field_names(form)],
        prose=lambda: replies.answer_from_context(request, conversation),
    )
    filled: Any = fill_schema({"type": "object", **form}, extracted)
    return Call(id="", name=step.tool.name, arguments=cast("dict[str, Any]", filled))
