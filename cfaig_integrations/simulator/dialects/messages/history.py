"""Reads `messages`: roles, and that every `tool_use` is followed by its `tool_result`."""

from __future__ import annotations

from typing import Any

from cfaig_integrations.simulator.dialects.messages import blocks
from cfaig_integrations.simulator.dialects.messages.blocks import Turn
from cfaig_integrations.simulator.dialects.validation import JsonPath, Validator
from cfaig_integrations.simulator.types import Message

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


def read(validator: Validator, value: Any, *, thinking: bool) -> list[Message]:
    """All messages; consecutive messages of one role are merged, as on the real server.

    The assistant may have the first word, as in recorded/messages.jsonl 43106049e0f3.
    """
    listed = validator.array(value, ("messages",))
    if not listed:
        validator.fail("messages: at least one message is required", ("messages",))
    turns: list[tuple[str, Turn]] = []
    for i, entry in enumerate(listed):
        at = ("messages", i)
        message = validator.record(entry, at)
        validator.only_fields(message, ("role", "content"), at)
        role = _role(validator, validator.required(message, "role", at), at)
        if not turns or turns[-1][0] != role:
            turns.append((role, Turn(role)))
        _content(validator, message, at, turns[-1][1], last=i == len(listed) - 1)
    _check_results(validator, turns)
    if thinking:
        _check_thinking(validator, turns)
    return [messages for role, turn in turns for messages in _to_messages(role, turn)]


def _role(validator: Validator, role: Any, at: JsonPath) -> str:
    if role == "system":
        validator.fail(
            'messages: Unexpected role "system". The Messages API accepts a top-level `system` parameter, not "system" '
            "as an input message role.",
            (*at, "role"),
        )
    if role not in ("user", "assistant"):
        validator.fail(f"{validator.format_path((*at, 'role'))}: Input should be 'user' or 'assistant'", (*at, "role"))
    return str(role)


def _content(validator: Validator, message: dict[str, Any], at: JsonPath, turn: Turn, *, last: bool) -> None:
    role, content = str(message["role"]), message.get("content")
    if content is None:
        validator.missing_field((*at, "content"))
    if not content:
        validator.fail(f"messages.{at[1]}: {role} messages must have non-empty content", (*at, "content"))
    if isinstance(content, str):
        turn.texts.append(blocks.text(validator, content, (*at, "content"), role))
        turn.kinds.append("text")
    else:
        for i, block in enumerate(validator.array(content, (*at, "content"))):
            where = (*at, "content", i)
            blocks.read(validator, validator.record(block, where), role, where, turn)
    ends_in_text = role == "assistant" and last and turn.kinds[-1] == "text"
    if ends_in_text and turn.texts[-1] != turn.texts[-1].rstrip():
        validator.fail("messages: final assistant content cannot end with trailing whitespace", at)


def _check_results(validator: Validator, turns: list[tuple[str, Turn]]) -> None:
    """Check that the results of all calls come first in the next message."""
    for at, (role, turn) in enumerate(turns):
        before = turns[at - 1][1] if at else Turn()
        call_ids = {c.id for c in before.calls}
        leading = next((i for i, kind in enumerate(turn.kinds) if kind != "tool_result"), len(turn.kinds))
        for result in turn.results:
            if result.call_id not in call_ids:
                validator.fail(_STRAY.format(at=at, id=result.call_id), ("messages", at))
        if role == "user":
            answered = {r.call_id for r in turn.results[:leading]}
            _complete(validator, before, answered, at - 1)
    _complete(validator, turns[-1][1], set(), len(turns) - 1)


def _complete(validator: Validator, turn: Turn, answered: set[str], at: int) -> None:
    unanswered = [c.id for c in turn.calls if c.id not in answered]
    if unanswered:
        validator.fail(_UNANSWERED.format(at=at, ids=", ".join(unanswered)), ("messages", at))


def _check_thinking(validator: Validator, turns: list[tuple[str, Turn]]) -> None:
    at = max((i for i, (role, _) in enumerate(turns) if role == "assistant"), default=-1)
    if at < 0:
        return
    turn = turns[at][1]
    if turn.calls and turn.kinds[0] not in ("thinking", "redacted_thinking"):
        validator.fail(_UNTHOUGHT.format(at=at, found=turn.kinds[0]), ("messages", at))


def _to_messages(role: str, turn: Turn) -> list[Message]:
    text = "\n".join(turn.texts)
    if role == "assistant":
        return [Message(role="assistant", text=text, calls=turn.calls)]
    messages = [Message(role="tool", results=turn.results, media=turn.media)] if turn.results else []
    if text or not turn.results:
        messages.append(Message(role="user", text=text, media=[] if turn.results else turn.media))
    return messages
