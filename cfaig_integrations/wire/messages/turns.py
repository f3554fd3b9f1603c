"""A conversation to `system` and `messages`.

What Anthropic wants of the order of things stands here:

- `system` is one string, before the conversation: Cloudflare answers 400 to an array of blocks (facts §1.4).
- Neighbours of one role become one message; tool results stand first in theirs.
- Empty text is refused, and so is white space at the end of a last assistant message (the start of the answer).

A speaker's `name` has no place in the format and is left out: it is a label, as every agent framework sets it.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from cfaig_integrations.core.content import Text, Turn
from cfaig_integrations.errors import ConfigError, UnsupportedContent
from cfaig_integrations.wire.codec import Quirks
from cfaig_integrations.wire.messages.blocks import SEARCH_RESULT, assistant_block, has_text, own, user_block

_Content = str | list[dict[str, Any]]


def conversation(turns: Iterable[Turn], quirks: Quirks) -> tuple[str, list[dict[str, Any]]]:
    """`system` (empty if there is none) and `messages`.

    Raises:
        UnsupportedContent: A turn holds what the wire cannot carry.
        ConfigError: Nothing is left to send.
    """
    system: list[str] = []
    messages: list[dict[str, Any]] = []
    for turn in turns:
        if turn.role == "system":
            texts = _system_texts(turn)
            if texts and messages:
                raise UnsupportedContent(
                    "The messages wire takes system instructions before the conversation only.",
                    field="turns",
                    value="system",
                    remedy='Put them first, make them a user message, or use api="chat_completions" or "responses".',
                )
            system += texts
            continue
        content = _content(turn, quirks)
        if not content:
            continue
        role = "assistant" if turn.role == "assistant" else "user"
        if messages and messages[-1]["role"] == role:
            messages[-1]["content"] = _joined(messages[-1]["content"], content)
        else:
            messages.append({"role": role, "content": content})
    _put_in_order(messages)
    if not messages:
        raise ConfigError(
            "There is no message to answer.", field="turns", remedy="Give at least one user turn that is not empty."
        )
    return "\n\n".join(system), messages


def _system_texts(turn: Turn) -> list[str]:
    texts: list[str] = []
    for part in turn.parts:
        if not isinstance(part, Text):
            raise UnsupportedContent(
                f"System instructions are text on the messages wire, not a {type(part).__name__} part.",
                field="turns",
                value=part,
                remedy="Give it in a user turn.",
            )
        if marks := own(part.extras).keys() - {SEARCH_RESULT}:
            raise UnsupportedContent(
                "The gateway takes system instructions as one string, which cannot carry marks.",
                field=min(marks),
                value=dict(own(part.extras)),
                remedy="Put the mark on the first block of the first user turn: "
                "a cache breakpoint there covers tools and system too.",
            )
        if part.text and not part.text.isspace():
            texts.append(part.text)
    return texts


def _content(turn: Turn, quirks: Quirks) -> _Content:
    parts = turn.parts
    if len(parts) == 1:
        only = parts[0]
        if type(only) is Text and not only.citations and not only.extras:
            return "" if only.text.isspace() else only.text
    if turn.role == "assistant":
        blocks = [block for part in parts if (block := assistant_block(part)) and not _is_empty(block)]
        # White space between other blocks is taken back (seen in a request with a 2xx answer), alone it is not.
        return blocks if any(not _is_blank(block) for block in blocks) else []
    return [block for part in parts if (block := user_block(part, quirks)) and not _is_blank(block)]


def _is_empty(block: dict[str, Any]) -> bool:
    return block["type"] == "text" and not block["text"]


def _is_blank(block: dict[str, Any]) -> bool:
    return block["type"] == "text" and not has_text(block)


def _joined(before: _Content, after: _Content) -> list[dict[str, Any]]:
    blocks = _as_blocks(before)
    blocks += _as_blocks(after)
    return blocks


def _as_blocks(content: _Content) -> list[dict[str, Any]]:
    return [{"type": "text", "text": content}] if isinstance(content, str) else content


def _put_in_order(messages: list[dict[str, Any]]) -> None:
    for message in messages:
        if message["role"] == "user" and not isinstance(message["content"], str):
            message["content"].sort(key=_after_results)
    if messages and messages[-1]["role"] == "assistant":
        content = _trimmed(messages[-1]["content"])
        if content:
            messages[-1]["content"] = content
        else:
            messages.pop()


def _after_results(block: dict[str, Any]) -> bool:
    return bool(block["type"] != "tool_result")


def _trimmed(content: _Content) -> _Content:
    if isinstance(content, str):
        return content.rstrip()
    while content and content[-1]["type"] == "text":
        text = content[-1]["text"].rstrip()
        if text:
            content[-1]["text"] = text
            break
        content.pop()
    return content
