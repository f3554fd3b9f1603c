"""Decides which tools to call, and with what.

Knows no wire format and no JSON schema rule: arguments come from `filling`. A tool is chosen by the words it shares
with the question; a question that asks for several things is taken apart, and each part may call its own tool.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Any, cast

from cfaig_integrations.simulator.fake_model import fill_schema, prompts, replies
from cfaig_integrations.simulator.fake_model.conversation import Scene
from cfaig_integrations.simulator.fake_model.extract import Materials
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
from cfaig_integrations.simulator.types import Asked, Call, Tool

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


def calls(asked: Asked, scene: Scene) -> list[Call]:
    """The calls to make now; none if the question is answered, or no tool fits and none must be called."""
    if not asked.tools or asked.choice == "none":
        return []
    if asked.choice not in ("auto", "required"):
        named = next(t for t in asked.tools if t.name == asked.choice)
        return [_call(_Step(named, scene.question), asked, scene)]
    plan = _plan(asked, scene)
    left = plan[len(scene.calls) :]
    if any(r.failed for r in scene.results):
        left = []
    if not left and asked.choice == "required":
        left = [_forced(asked, scene)]
    ready = [s for i, s in enumerate(left) if not s.waits or (i == 0 and scene.results)]
    return [_call(s, asked, scene) for s in (ready if asked.parallel else ready[:1])]


def clauses(text: str) -> list[str]:
    """The parts of a question that stand for themselves; quoted stretches stay whole."""
    masked = QUOTED.sub(lambda m: "\u00b7" * len(m[0]), text)
    parts: list[str] = []
    at = 0
    for joint in _JOINTS.finditer(masked):
        parts.append(text[at : joint.start()])
        at = joint.end()
    return [p.strip() for p in (*parts, text[at:]) if re.search(r"\w", p)]


def _plan(asked: Asked, scene: Scene) -> list[_Step]:
    """Every call that the question asks for, in order."""
    steps: list[_Step] = []
    for clause in clauses(scene.question):
        tool = _best(clause, asked.tools)
        if tool is not None:
            steps.append(_Step(tool, clause))
        elif steps and _follows_on(clause, steps[-1].tool):
            steps += _spread(steps.pop(), clause)
        elif steps:
            steps[-1] = _Step(steps[-1].tool, f"{steps[-1].text} {clause}")
    steps = [replace(s, waits=i > 0 and _lacks_figures(s)) for i, s in enumerate(steps)]
    if not steps:
        tool = _again(asked, scene) or _generic(asked, scene)
        steps = [_Step(tool, scene.question)] if tool else []
    return steps


def _score(text: str, tool: Tool) -> float:
    """How well a tool fits a text: its name said outright, else shared words, those of the name counting most."""
    if re.search(rf"(?<![\w-]){re.escape(tool.name)}(?![\w-])", text):
        return _EXACT + len(tool.name)
    said = set(keywords(text))
    said |= {stem_word(w) for sign, means in _SIGNS.items() if _has_sign(sign, text) for w in means.split()}
    name = {w for w in keywords(tool.name) if w not in _DULL}
    about = {w for w in keywords(tool.description) if w not in _DULL} - name
    fields = set(keywords(" ".join(prompts.field_names(tool.parameters)))) - name - about
    return 2 * len(said & name) + len(said & about) + 0.8 * len(said & fields)


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


def _again(asked: Asked, scene: Scene) -> Tool | None:
    """The tool of the question before, if this one only varies it: `what about Rome?`."""
    made = [c.name for s in scene.before for c in s.calls]
    if not made or not _AGAIN.search(scene.question):
        return None
    return next((t for t in asked.tools if t.name == made[-1]), None)


def _generic(asked: Asked, scene: Scene) -> Tool | None:
    """A tool that looks things up fits any real question."""
    if not _ASKS.search(scene.question) or not keywords(scene.question):
        return None
    return next((t for t in asked.tools if _SEARCHING & set(keywords(t.name))), None)


def _forced(asked: Asked, scene: Scene) -> _Step:
    """What a model calls when it must call something: the best tool, rather one it has not called yet."""
    made = {c.name for c in scene.calls}
    fresh = [t for t in asked.tools if t.name not in made] or asked.tools
    return _Step(max(fresh, key=lambda t: _score(scene.question, t)), scene.question)


def _call(step: _Step, asked: Asked, scene: Scene) -> Call:
    form = step.tool.parameters
    results = " ".join(r.text for r in scene.results)
    materials = Materials(
        step.text if not (results and asked.choice == "required" and not step.waits) else f"{results}\n{step.text}",
        backup=scene.question,
        extra_numbers=find_numbers(scene.results[-1].text) if step.waits and scene.results else (),
        ignore=[step.tool.name, *prompts.field_names(form)],
        prose=lambda: replies.known(asked, scene),
    )
    filled: Any = fill_schema.fill({"type": "object", **form}, materials)
    return Call(id="", name=step.tool.name, arguments=cast("dict[str, Any]", filled))
