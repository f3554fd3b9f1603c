"""Reads `messages`: turns, and that every `tool_use` is followed by its `tool_result`.

Knows nothing of the other fields of a body.
"""

from __future__ import annotations

from typing import Any

from cfaig_integrations.simulator.dialects.messages import blocks
from cfaig_integrations.simulator.dialects.messages.blocks import Turn
from cfaig_integrations.simulator.dialects.validation import At, Reader
from cfaig_integrations.simulator.types import Said

_UNANSWERED = (
    "messages.{at}: `tool_use` ids were found without `tool_result` blocks immediately after: {ids}. Each `tool_use` "
    "block must have a corresponding `tool_result` block in the next message."
)
_STRAY = (
    "messages.{at}.content.0: unexpected `tool_use_id` found in `tool_result` blocks: {id}. Each `tool_result` block "
    "must have a corresponding `tool_use` block in the previous message."
)
_UNTHOUGHT = (
    "messages.{at}.content.0.type: Expected `thinking` or `redacted_thinking`, but found `{found}`. When `thinking` is "
    "enabled, a final `assistant` message must start with a thinking block."
)


def read(reader: Reader, value: Any, *, thinking: bool) -> list[Said]:
    """All turns as they were said; equal roles in a row become one turn, as on the real server.

    The assistant may have the first word, as in recorded/messages.jsonl 43106049e0f3.

    Args:
        reader: Words the faults.
        value: The `messages` as sent.
        thinking: Extended thinking is on, so the last calls must stand after the thinking that led to them.

    Raises:
        BadBody: Wrong role, block or order.
    """
    listed = reader.array(value, ("messages",))
    if not listed:
        reader.fail("messages: at least one message is required", ("messages",))
    turns: list[tuple[str, Turn]] = []
    for i, entry in enumerate(listed):
        at = ("messages", i)
        message = reader.record(entry, at)
        reader.only(message, ("role", "content"), at)
        role = _role(reader, reader.need(message, "role", at), at)
        if not turns or turns[-1][0] != role:
            turns.append((role, Turn(role)))
        _content(reader, message, at, turns[-1][1], last=i == len(listed) - 1)
    _matched(reader, turns)
    if thinking:
        _thought(reader, turns)
    return [said for role, turn in turns for said in _said(role, turn)]


def _role(reader: Reader, role: Any, at: At) -> str:
    if role == "system":
        reader.fail(
            'messages: Unexpected role "system". The Messages API accepts a top-level `system` parameter, not "system" '
            "as an input message role.",
            (*at, "role"),
        )
    if role not in ("user", "assistant"):
        reader.fail(f"{reader.place((*at, 'role'))}: Input should be 'user' or 'assistant'", (*at, "role"))
    return str(role)


def _content(reader: Reader, message: dict[str, Any], at: At, turn: Turn, *, last: bool) -> None:
    role, content = str(message["role"]), message.get("content")
    if content is None:
        reader.missing((*at, "content"))
    if not content:
        reader.fail(f"messages.{at[1]}: {role} messages must have non-empty content", (*at, "content"))
    if isinstance(content, str):
        turn.texts.append(blocks.text(reader, content, (*at, "content"), role))
        turn.kinds.append("text")
    else:
        for i, block in enumerate(reader.array(content, (*at, "content"))):
            where = (*at, "content", i)
            blocks.read(reader, reader.record(block, where), role, where, turn)
    ends_in_text = role == "assistant" and last and turn.kinds[-1] == "text"
    if ends_in_text and turn.texts[-1] != turn.texts[-1].rstrip():
        reader.fail("messages: final assistant content cannot end with trailing whitespace", at)


def _matched(reader: Reader, turns: list[tuple[str, Turn]]) -> None:
    """Results stand first in the turn right after the calls that they answer, and all are there."""
    for at, (role, turn) in enumerate(turns):
        before = turns[at - 1][1] if at else Turn()
        asked = {c.id for c in before.calls}
        leading = next((i for i, kind in enumerate(turn.kinds) if kind != "tool_result"), len(turn.kinds))
        for result in turn.results:
            if result.call_id not in asked:
                reader.fail(_STRAY.format(at=at, id=result.call_id), ("messages", at))
        if role == "user":
            answered = {r.call_id for r in turn.results[:leading]}
            _complete(reader, before, answered, at - 1)
    _complete(reader, turns[-1][1], set(), len(turns) - 1)


def _complete(reader: Reader, turn: Turn, answered: set[str], at: int) -> None:
    left = [c.id for c in turn.calls if c.id not in answered]
    if left:
        reader.fail(_UNANSWERED.format(at=at, ids=", ".join(left)), ("messages", at))


def _thought(reader: Reader, turns: list[tuple[str, Turn]]) -> None:
    at = max((i for i, (role, _) in enumerate(turns) if role == "assistant"), default=-1)
    if at < 0:
        return
    turn = turns[at][1]
    if turn.calls and turn.kinds[0] not in ("thinking", "redacted_thinking"):
        reader.fail(_UNTHOUGHT.format(at=at, found=turn.kinds[0]), ("messages", at))


def _said(role: str, turn: Turn) -> list[Said]:
    text = "\n".join(turn.texts)
    if role == "assistant":
        return [Said(role="assistant", text=text, calls=turn.calls)]
    said = [Said(role="tool", results=turn.results, media=turn.media)] if turn.results else []
    if text or not turn.results:
        said.append(Said(role="user", text=text, media=[] if turn.results else turn.media))
    return said
