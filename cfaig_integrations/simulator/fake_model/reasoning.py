"""Generates an answer: tool calls, JSON or prose, within the limits of the request."""

from __future__ import annotations

import json
import re
from typing import Any

from cfaig_integrations.simulator import tokens
from cfaig_integrations.simulator.fake_model import prompts, replies
from cfaig_integrations.simulator.fake_model.conversation import Conversation, newest_part, read_conversation
from cfaig_integrations.simulator.fake_model.extract import ExtractedText
from cfaig_integrations.simulator.fake_model.fill_schema import fill_schema
from cfaig_integrations.simulator.fake_model.select_tools import select_tool_calls
from cfaig_integrations.simulator.fake_model.text import most_relevant
from cfaig_integrations.simulator.fake_model.usage import measure
from cfaig_integrations.simulator.types import Answer, ModelRequest

_SEARCH = re.compile(r"\bsearch", re.IGNORECASE)
_WANTS_JSON = re.compile(r"\bjson\b", re.IGNORECASE)


def generate_answer(request: ModelRequest) -> Answer:
    """Answer a request.

    Returns:
        Tool calls, JSON that fits `request.schema`, or text that is never empty, with its token counts. Stop sequences
        and `max_tokens` (which reasoning counts against) are kept.
    """
    newest = newest_part(request)
    conversation = read_conversation(newest)
    answer = _act(newest, conversation)
    if request.reason:
        answer.reasoning = _reasoning(answer, conversation)
    _stop(request, answer)
    _limit(request, answer)
    measure(request, answer)
    return answer


def _act(request: ModelRequest, conversation: Conversation) -> Answer:
    if request.searchable and _SEARCH.search(conversation.question) and not conversation.results:
        query = replies.topic(conversation.question)
        return Answer(text=replies.from_search(query), searches=[query])
    calls = select_tool_calls(request, conversation)
    if calls:
        return Answer(calls=calls, finish="tool_calls")
    schema = request.schema
    if schema is None and _WANTS_JSON.search(conversation.prompt):
        schema = prompts.from_prompt(_instructions(request))
    if schema is not None:
        return Answer(text=_json(request, conversation, schema))
    return Answer(text=replies.reply(request, conversation))


def _instructions(request: ModelRequest) -> str:
    return "\n".join(s.text for s in request.messages if s.role in ("system", "user"))


def _json(request: ModelRequest, conversation: Conversation, schema: dict[str, Any]) -> str:
    if not schema:
        schema = prompts.from_prompt(_instructions(request)) or prompts.from_keys(_instructions(request))
    results = " ".join(r.text for r in conversation.results)
    context = " ".join(most_relevant(conversation.question, [s.text for s in conversation.before if s.role == "user"]))
    question = prompts.without_json(conversation.question)
    extracted = ExtractedText(
        f"{results}\n{question}" if results else question,
        backup=context,
        ignore=[*prompts.field_names(schema), "json"],
        prose=lambda: replies.answer_from_context(request, conversation),
    )
    return json.dumps(fill_schema(schema, extracted), ensure_ascii=False)


def _reasoning(answer: Answer, conversation: Conversation) -> str:
    topic = replies.topic(conversation.question)
    step = "One call of a tool will tell." if answer.calls else "What I was given is enough to answer."
    if conversation.results:
        step = "The tools have answered, so I can put it together."
    return f"The question is about {topic}. {step}"


def _stop(request: ModelRequest, answer: Answer) -> None:
    """Cut the text before the first stop sequence in it."""
    hits = [(answer.text.find(s), s) for s in request.stop if s and s in answer.text]
    if hits:
        at, answer.stopped_by = min(hits)
        answer.text = answer.text[:at]


def _limit(request: ModelRequest, answer: Answer) -> None:
    """Apply `max_tokens`: to reasoning first, then text, then calls."""
    if request.max_tokens is None:
        return
    remaining = request.max_tokens
    for part in ("reasoning", "text"):
        whole: str = getattr(answer, part)
        shortened = tokens.cut(whole, remaining)
        setattr(answer, part, shortened)
        remaining -= tokens.count(shortened)
        if shortened != whole:
            answer.finish, answer.calls, answer.stopped_by, remaining = "length", [], "", 0
    for i, call in enumerate(answer.calls):
        text = json.dumps(call.arguments, ensure_ascii=False)
        remaining -= tokens.count(call.name)
        if tokens.count(text) > remaining:
            call.raw = tokens.cut(text, remaining)
            answer.calls = answer.calls[: i + 1] if call.raw else answer.calls[:i]
            answer.finish = "length"
            return
        remaining -= tokens.count(text)
