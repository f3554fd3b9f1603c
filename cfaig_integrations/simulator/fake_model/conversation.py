"""The state of a conversation: the open question, the tool calls made since, and the JSON that a prompt asks for."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, replace
from typing import Any

from cfaig_integrations.simulator.fake_model.text import find_quoted, split_sentences
from cfaig_integrations.simulator.json_types import as_record, is_list, is_record
from cfaig_integrations.simulator.types import Call, Message, ModelRequest, ToolResult

_MARKED = re.compile(r"(?:^|\n)\s*(?:query|question|user question|input)\s*:\s*(.+?)\s*(?:\n|$)", re.IGNORECASE)
_LONG = 300
READ_LENGTH = 200_000  # characters that the fake model reads; of a longer conversation, the last ones


@dataclass(slots=True)
class Conversation:
    """The open question and its context."""

    question: str  # the question itself; in a long prompt, the part that asks
    prompt: str  # the whole text of the last user message
    calls: list[Call]  # calls made since the question
    results: list[ToolResult]  # results since the question
    before: list[Message]  # messages before the question
    media: list[str]  # attachments since the question


def newest_part(request: ModelRequest) -> ModelRequest:
    """A request with the last `READ_LENGTH` characters of its messages."""
    left = READ_LENGTH
    messages: list[Message] = []
    for message in reversed(request.messages):
        results: list[ToolResult] = []
        for result in reversed(message.results):
            text = result.text[-left:] if left else ""
            left -= len(text)
            results.append(replace(result, text=text))
        text = message.text[-left:] if left else ""
        left -= len(text)
        messages.append(replace(message, text=text, results=results[::-1]))
    return replace(request, messages=messages[::-1])


def read_conversation(request: ModelRequest) -> Conversation:
    """Find the open question: the last user message with text."""
    at = next((i for i in reversed(range(len(request.messages))) if request.messages[i].role == "user"), -1)
    texts = [message.text for message in request.messages if message.text.strip()]
    prompt = request.messages[at].text if at >= 0 else (texts[-1] if texts else "")
    after = request.messages[at + 1 :] if at >= 0 else []
    return Conversation(
        question=question_in(prompt),
        prompt=prompt,
        calls=[call for message in after for call in message.calls],
        results=[result for message in after for result in message.results],
        before=request.messages[: max(at, 0)],
        media=[kind for message in request.messages[max(at, 0) :] for kind in message.media],
    )


def question_in(prompt: str) -> str:
    """The part of a prompt that asks: after `Query:` or `Question:`, else the last question of a long prompt."""
    marked: list[str] = _MARKED.findall(prompt)
    if marked:
        return marked[-1]
    if len(prompt) <= _LONG:
        return prompt.strip()
    asking = [s for s in split_sentences(prompt) if s.endswith("?")]
    return asking[-1] if asking else prompt.strip()


def candidate_sentences(request: ModelRequest, conversation: Conversation) -> list[str]:
    """Every sentence that may contain an answer: of system, users and tools, except the question."""
    texts = [message.text for message in request.messages if message.role in ("system", "user")]
    texts += [result.text for message in request.messages for result in message.results]
    question_sentences = set(split_sentences(conversation.question)) | {conversation.question}
    sentences = (sentence for text in texts for sentence in split_sentences(text))
    return [s for s in sentences if s not in question_sentences and not s.endswith("?") and not _MARKED.match(s)]


Schema = dict[str, Any]

_DEEPEST = 20


def field_names(schema: Schema) -> list[str]:
    """The names of all fields of a schema, at any depth."""
    return [name for node in _nodes(schema) for name in as_record(node.get("properties"))]


def from_prompt(prompt: str) -> Schema | None:
    """The last JSON schema in a prompt."""
    schema: Schema | None = None
    decoder, at = json.JSONDecoder(), prompt.find("{")
    while at >= 0:
        try:
            value, end = decoder.raw_decode(prompt, at)
        except (ValueError, RecursionError):
            at = prompt.find("{", at + 1)
            continue
        if is_record(value) and is_record(value.get("properties")):
            schema = value
        at = prompt.find("{", end)
    return schema


def without_json(prompt: str) -> str:
    """A prompt without JSON, code fences, and sentences about JSON."""
    plain = re.sub(r"```.*?```", "\n", prompt, flags=re.DOTALL)
    for _ in range(_DEEPEST):
        plain = re.sub(r"\{[^{}]*\}", "", plain)
    sentences = [s for s in split_sentences(plain) if not re.search(r"\bjson\b|\bschema\b", s, re.IGNORECASE)]
    return "\n".join(sentences) or plain


def from_keys(prompt: str) -> Schema:
    """A schema of strings for the keys that a prompt names: `with 'setup' and 'punchline' keys`, or a JSON example."""
    keys: list[str] = re.findall(r"[\"']?(\w+)[\"']?\s*:", "".join(re.findall(r"\{[^{}]*\}", prompt)))
    if not keys and re.search(r"\b(?:keys?|fields?|propert(?:y|ies))\b", prompt, re.IGNORECASE):
        keys = [q for q in find_quoted(prompt) if re.fullmatch(r"[\w-]+", q)]
    keys = list(dict.fromkeys(keys)) or ["answer"]
    return {"type": "object", "properties": {k: {"type": "string"} for k in keys}, "required": keys}


def _nodes(node: Any) -> list[Schema]:
    if is_list(node):
        return [n for item in node for n in _nodes(item)]
    if not is_record(node):
        return []
    return [node, *(n for item in node.values() for n in _nodes(item))]
