"""Generates an answer: tool calls, JSON or prose, within the limits of the request; and counts its tokens."""

from __future__ import annotations

import hashlib
import json
import re
from typing import Any

from cfaig_integrations.simulator import tokens
from cfaig_integrations.simulator.fake_model import replies
from cfaig_integrations.simulator.fake_model.conversation import (
    Conversation,
    field_names,
    from_keys,
    from_prompt,
    newest_part,
    read_conversation,
    without_json,
)
from cfaig_integrations.simulator.fake_model.fill_schema import fill_schema
from cfaig_integrations.simulator.fake_model.select_tools import select_tool_calls
from cfaig_integrations.simulator.fake_model.text import ExtractedText, most_relevant
from cfaig_integrations.simulator.types import Answer, ModelRequest

_MESSAGE_OVERHEAD = 4
_MOST_DIGESTS = 100_000
_BLOCK, _LEAST = 128, 1024
"""Tokens: OpenAI caches prompts from 1024 on, in steps of 128."""


def prompt(request: ModelRequest) -> list[str]:
    """The texts of a prompt, in the order of prompt caching: tools, schema, messages."""
    texts = [f"{t.name}{t.description}{json.dumps(t.parameters)}" for t in request.tools]
    texts.append(json.dumps(request.schema) if request.schema else "")
    for message in request.messages:
        texts += [
            message.text,
            *(json.dumps(c.arguments) + c.name for c in message.calls),
            *(r.text for r in message.results),
        ]
    return texts


def measure(request: ModelRequest, answer: Answer) -> None:
    """Set the token counts of an answer that a script has not set."""
    overhead = _MESSAGE_OVERHEAD * len(request.messages)
    answer.tokens_in = answer.tokens_in or sum(tokens.count(t) for t in prompt(request)) + overhead
    answer.tokens_reasoning = answer.tokens_reasoning or tokens.count(answer.reasoning)
    visible = tokens.count(answer.text) + tokens.count(answer.refusal)
    visible += sum(tokens.count(c.name) + tokens.count(c.raw or json.dumps(c.arguments)) for c in answer.calls)
    answer.tokens_out = answer.tokens_out or max(1, answer.tokens_reasoning + visible)


class PromptMemory:
    """The prefixes of earlier prompts of each model, for the count of cached tokens."""

    def __init__(self) -> None:
        self._digests: set[bytes] = set()

    def recall(self, request: ModelRequest) -> int:
        """The number of a prompt's first tokens that an earlier prompt had too, from 1024 on; the prompt is stored."""
        if not request.cacheable:
            return 0
        pieces = tokens.pieces("\n".join(prompt(request))[: tokens.EXACT_LENGTH])
        running_hash = hashlib.blake2b(request.model.encode("utf-8", "surrogatepass"), digest_size=16)
        cached = start = 0
        for end in range(_LEAST, len(pieces) + 1, _BLOCK):
            running_hash.update("".join(pieces[start:end]).encode("utf-8", "surrogatepass"))
            start, digest = end, running_hash.digest()
            if digest in self._digests:
                cached = end
            if len(self._digests) >= _MOST_DIGESTS:
                self._digests.clear()
            self._digests.add(digest)
        return cached

    def clear(self) -> None:
        """Remove all prompts."""
        self._digests.clear()


_SEARCH = re.compile(r"\bsearch", re.IGNORECASE)
_WANTS_JSON = re.compile(r"\bjson\b", re.IGNORECASE)


def generate_answer(request: ModelRequest) -> Answer:
    """Tool calls, JSON that fits `request.schema`, or text that is never empty, with its token counts.

    Stop sequences and `max_tokens` (which reasoning counts against) are kept.
    """
    newest = newest_part(request)
    conversation = read_conversation(newest)
    answer = _act(newest, conversation)
    if request.reason:
        answer.reasoning = _reasoning(answer, conversation)
    hits = [(answer.text.find(stop), stop) for stop in request.stop if stop and stop in answer.text]
    if hits:
        at, answer.stopped_by = min(hits)
        answer.text = answer.text[:at]
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
        schema = from_prompt(_instructions(request))
    if schema is not None:
        return Answer(text=_json(request, conversation, schema))
    return Answer(text=replies.reply(request, conversation))


def _instructions(request: ModelRequest) -> str:
    return "\n".join(message.text for message in request.messages if message.role in ("system", "user"))


def _json(request: ModelRequest, conversation: Conversation, schema: dict[str, Any]) -> str:
    if not schema:
        schema = from_prompt(_instructions(request)) or from_keys(_instructions(request))
    results = " ".join(r.text for r in conversation.results)
    earlier = [message.text for message in conversation.before if message.role == "user"]
    context = " ".join(most_relevant(conversation.question, earlier))
    question = without_json(conversation.question)
    extracted = ExtractedText(
        f"{results}\n{question}" if results else question,
        backup=context,
        ignore=[*field_names(schema), "json"],
        prose=lambda: replies.answer_from_context(request, conversation),
    )
    return json.dumps(fill_schema(schema, extracted), ensure_ascii=False)


def _reasoning(answer: Answer, conversation: Conversation) -> str:
    topic = replies.topic(conversation.question)
    step = "One call of a tool will tell." if answer.calls else "What I was given is enough to answer."
    if conversation.results:
        step = "The tools have answered, so I can put it together."
    return f"The question is about {topic}. {step}"


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
