"""Answers one request: decides between calls, JSON and prose, and keeps to the limits asked for.

Knows no wire format; what is called, filled in and said is the business of its neighbours.
"""

from __future__ import annotations

import json
import re

from cfaig_integrations.simulator import tokens
from cfaig_integrations.simulator.fake_model import fill_schema, prompts, replies, select_tools
from cfaig_integrations.simulator.fake_model.conversation import Scene, look
from cfaig_integrations.simulator.fake_model.extract import Materials
from cfaig_integrations.simulator.fake_model.text import most_relevant
from cfaig_integrations.simulator.fake_model.usage import measure
from cfaig_integrations.simulator.types import Answer, Asked

_SEARCH = re.compile(r"\bsearch", re.IGNORECASE)
_WANTS_JSON = re.compile(r"\bjson\b", re.IGNORECASE)


def think(asked: Asked) -> Answer:
    """Answer a request.

    Returns:
        Tool calls, JSON that fits `asked.schema`, or text that is never empty, with its token counts. Stop sequences
        and `max_tokens` (which reasoning counts against) are kept.
    """
    scene = look(asked)
    answer = _act(asked, scene)
    if asked.reason:
        answer.reasoning = _reasoning(answer, scene)
    _stop(asked, answer)
    _limit(asked, answer)
    measure(asked, answer)
    return answer


def _act(asked: Asked, scene: Scene) -> Answer:
    if asked.searchable and _SEARCH.search(scene.question) and not scene.results:
        query = replies.topic(scene.question)
        return Answer(text=replies.from_search(query), searches=[query])
    calls = select_tools.calls(asked, scene)
    if calls:
        return Answer(calls=calls, finish="tool_calls")
    schema = asked.schema
    if schema is None and _WANTS_JSON.search(scene.prompt):
        schema = prompts.from_prompt(_instructions(asked))
    if schema is not None:
        return Answer(text=_json(asked, scene, schema))
    return Answer(text=replies.reply(asked, scene))


def _instructions(asked: Asked) -> str:
    return "\n".join(s.text for s in asked.said if s.role in ("system", "user"))


def _json(asked: Asked, scene: Scene, schema: fill_schema.Schema) -> str:
    if not schema:
        schema = prompts.from_prompt(_instructions(asked)) or prompts.from_keys(_instructions(asked))
    results = " ".join(r.text for r in scene.results)
    context = " ".join(most_relevant(scene.question, [s.text for s in scene.before if s.role == "user"]))
    question = prompts.without_json(scene.question)
    materials = Materials(
        f"{results}\n{question}" if results else question,
        backup=context,
        ignore=[*prompts.field_names(schema), "json"],
        prose=lambda: replies.known(asked, scene),
    )
    return json.dumps(fill_schema.fill(schema, materials), ensure_ascii=False)


def _reasoning(answer: Answer, scene: Scene) -> str:
    about = replies.topic(scene.question)
    step = "One call of a tool will tell." if answer.calls else "What I was given is enough to answer."
    if scene.results:
        step = "The tools have answered, so I can put it together."
    return f"The question is about {about}. {step}"


def _stop(asked: Asked, answer: Answer) -> None:
    """Cut the text before the first stop sequence in it."""
    hits = [(answer.text.find(s), s) for s in asked.stop if s and s in answer.text]
    if hits:
        at, answer.stopped_by = min(hits)
        answer.text = answer.text[:at]


def _limit(asked: Asked, answer: Answer) -> None:
    """Keep to `max_tokens`: reasoning comes first, then text, then calls."""
    if asked.max_tokens is None:
        return
    left = asked.max_tokens
    for part in ("reasoning", "text"):
        whole: str = getattr(answer, part)
        kept = tokens.cut(whole, left)
        setattr(answer, part, kept)
        left -= tokens.count(kept)
        if kept != whole:
            answer.finish, answer.calls, answer.stopped_by, left = "length", [], "", 0
    for i, call in enumerate(answer.calls):
        text = json.dumps(call.arguments, ensure_ascii=False)
        left -= tokens.count(call.name)
        if tokens.count(text) > left:
            call.raw = tokens.cut(text, left)
            answer.calls = answer.calls[: i + 1] if call.raw else answer.calls[:i]
            answer.finish = "length"
            return
        left -= tokens.count(text)
