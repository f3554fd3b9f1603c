"""The state of a conversation: the open question, and the tool calls made since."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace

from cfaig_integrations.simulator.fake_model.text import split_sentences
from cfaig_integrations.simulator.types import Call, Message, ModelRequest, ToolResult

_MARKED = re.compile(r"(?:^|\n)\s*(?:query|question|user question|input)\s*:\s*(.+?)\s*(?:\n|$)", re.IGNORECASE)
_LONG = 300
READ_LENGTH = 200_000
"""Characters that the fake model reads; of a longer conversation, the last ones."""


@dataclass(slots=True)
class Conversation:
    """The open question and its context."""

    question: str
    """The question itself; in a long prompt, the part that asks."""
    prompt: str
    """The whole text of the last user message."""
    calls: list[Call] = field(default_factory=list[Call])
    """Calls made since the question."""
    results: list[ToolResult] = field(default_factory=list[ToolResult])
    """Results since the question."""
    before: list[Message] = field(default_factory=list[Message])
    """Messages before the question."""
    media: list[str] = field(default_factory=list[str])
    """Attachments since the question."""


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
    texts = [s.text for s in request.messages if s.text.strip()]
    prompt = request.messages[at].text if at >= 0 else (texts[-1] if texts else "")
    after = request.messages[at + 1 :] if at >= 0 else []
    return Conversation(
        question=question_in(prompt),
        prompt=prompt,
        calls=[c for s in after for c in s.calls],
        results=[r for s in after for r in s.results],
        before=request.messages[: max(at, 0)],
        media=[m for s in request.messages[max(at, 0) :] for m in s.media],
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
    texts = [s.text for s in request.messages if s.role in ("system", "user")]
    texts += [r.text for s in request.messages for r in s.results]
    question_sentences = set(split_sentences(conversation.question)) | {conversation.question}
    sentences = (sentence for text in texts for sentence in split_sentences(text))
    return [s for s in sentences if s not in question_sentences and not s.endswith("?") and not _MARKED.match(s)]
