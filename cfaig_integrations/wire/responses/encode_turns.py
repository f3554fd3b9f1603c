"""Turns to input items.

What this wire wrote goes back word for word; what came from another wire is said in its simplest form:

| part | from this wire | from another |
|---|---|---|
| Text, Refusal | its message item, regrouped | `{"role": "assistant", "content": "..."}`, neighbours joined |
| Reasoning | its item, if another follows | left out: reasoning can only be shown to the provider that made it |
| ToolCall | its item | `function_call` or `custom_tool_call` |
| Opaque | the item | left out if it is a trace of a tool that the provider ran, else `UnsupportedContent` |

A tool's result is an item of its own; whether it failed is said by its content, the wire has no flag for it.
`Turn.extras["responses"]["role"]` may say `developer`. A speaker's `name` has no place in the format and is left out:
it is a label, which agent frameworks set by themselves.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, TypeAlias

from cfaig_integrations.core.content import (
    Media,
    Opaque,
    Part,
    Reasoning,
    Refusal,
    Text,
    ToolCall,
    ToolResult,
    Turn,
)
from cfaig_integrations.errors import UnsupportedContent
from cfaig_integrations.wire.codec import Quirks
from cfaig_integrations.wire.common import require_droppable
from cfaig_integrations.wire.legal import arguments_text, call_id
from cfaig_integrations.wire.responses.items import CONTENT_PART
from cfaig_integrations.wire.responses.media import INPUT_PARTS, input_part, own

_Object: TypeAlias = dict[str, Any]

_FOUND_BY_ID = frozenset({"item_reference", "mcp_approval_request"})
"""Items whose id another item or the server needs, stored or not."""


def input_items(turns: Iterable[Turn], quirks: Quirks, *, stored: bool) -> list[_Object]:
    """The input items of a conversation.

    Args:
        turns: The conversation.
        quirks: What the model's route asks for.
        stored: Whether the provider may be pointed to what it keeps. If not, items go without their ids, and reasoning
            goes only if it is encrypted: the API answers 404 to an id that it has not stored (vercel/ai#7543,
            langchain-ai/langchain PR #38372).

    Raises:
        UnsupportedContent: The wire cannot carry a part.
    """
    return _Input(quirks, stored=stored).items_of(turns)


class _Input:
    """The items so far, and the message that the next part may still join."""

    def __init__(self, quirks: Quirks, *, stored: bool) -> None:
        self._quirks = quirks
        self._stored = stored
        self._items: list[_Object] = []
        self._calls: dict[str, ToolCall] = {}
        self._plain: _Object | None = None
        self._message: _Object | None = None
        self._head: Mapping[str, Any] | None = None
        self._reasoned = False

    def items_of(self, turns: Iterable[Turn]) -> list[_Object]:
        stored = self._stored
        for turn in turns:
            parts = turn.parts
            self._stored = stored and not (turn.extras and was_not_stored(turn))
            self._plain = self._message = None
            if len(parts) == 1 and type(parts[0]) is Text and not (parts[0].extras or turn.extras or turn.name):
                self._items.append({"role": turn.role, "content": parts[0].text})
            elif turn.role == "assistant":
                self._assistant(parts)
            else:
                self._spoken(turn)
        return _followed(self._items) if self._reasoned else self._items

    def _add(self, item: _Object) -> None:
        self._plain = self._message = None
        self._reasoned = self._reasoned or item.get("type") == "reasoning"
        self._items.append(item)

    def _spoken(self, turn: Turn) -> None:
        """A user's, system's or tool's turn."""
        role = turn.extras.get("responses", {}).get("role", turn.role)
        said: list[Part] = []
        for part in turn.parts:
            match part:
                case ToolResult():
                    self._say(role, said)
                    self._add(self._result(part))
                case Opaque(wire="responses") if part.raw.get("type") not in INPUT_PARTS:
                    self._say(role, said)
                    self._add(dict(part.raw))
                case Opaque() if part.wire != "responses":
                    require_droppable(part, "responses")
                case _:
                    said.append(part)
        if said or not turn.parts:
            self._say(role, said or [Text("")])

    def _say(self, role: str, said: list[Part]) -> None:
        if not said:
            return
        if role == "tool":
            raise UnsupportedContent(
                "A tool's turn holds its results and nothing else.",
                field="turns",
                value=type(said[0]).__name__,
                remedy="Wrap it in a ToolResult, or make it a user's turn.",
            )
        content: str | list[_Object] = [input_part(part, self._quirks) for part in said]
        if len(said) == 1 and isinstance(said[0], Text) and not own(said[0].extras):
            content = said[0].text
        self._add({"role": role, "content": content})
        said.clear()

    def _result(self, result: ToolResult) -> _Object:
        """The output item of a call; that of a program's call names the program, which waits for it."""
        call = self._calls.get(result.call_id)
        custom = call is not None and call.kind == "custom"
        output = None
        match result.parts:
            case ():
                output = ""
            case (Text(text),):
                output = text
            case _:
                pass
        item: _Object = {
            "type": "custom_tool_call_output" if custom else "function_call_output",
            "call_id": call_id(result.call_id),
            "output": [input_part(part, self._quirks) for part in result.parts] if output is None else output,
        }
        caller = _item(call).get("caller") if call is not None else None
        if caller is not None:
            item["caller"] = caller
        return {**item, **own(result.extras)}

    def _assistant(self, parts: tuple[Part, ...]) -> None:
        alone = len(parts) <= 1
        for part in parts or (Text(""),):
            match part:
                case Text() | Refusal():
                    head = _item(part)
                    if head:
                        self._own_text(part, head)
                    elif part.text or alone:
                        self._plain_text(part.text)
                case Reasoning():
                    self._reasoning(_item(part))
                case ToolCall():
                    self._call(part)
                case ToolResult():
                    self._add(self._result(part))
                case Opaque():
                    self._opaque(part)
                case Media():
                    raise UnsupportedContent(
                        f"The responses wire cannot carry a {part.kind} in an assistant's turn.",
                        field="turns",
                        value=part.kind,
                        remedy="Move it into a user's turn.",
                    )

    def _plain_text(self, text: str) -> None:
        if self._plain is not None:
            self._plain["content"] += text
            return
        self._add({"role": "assistant", "content": text})
        self._plain = self._items[-1]

    def _own_text(self, part: Text | Refusal, head: Mapping[str, Any]) -> None:
        extras = part.extras["responses"]
        rest = extras.get("part")
        if rest is None:
            self._add({**self._without_id(head), "content": part.text})
            return
        field = "refusal" if isinstance(part, Refusal) else "text"
        self._content({**rest, field: part.text}, head, extras)

    def _content(self, content: _Object, head: Mapping[str, Any], extras: Mapping[str, Any]) -> None:
        """A content part, in the message before it if that is its own."""
        if self._message is not None and extras.get("index") and head == self._head:
            self._message["content"].append(content)
            return
        self._add({**self._without_id(head), "content": [content]})
        self._message, self._head = self._items[-1], head

    def _reasoning(self, item: Mapping[str, Any]) -> None:
        if item and (self._stored or item.get("encrypted_content")):
            self._add(self._without_id(item))

    def _call(self, call: ToolCall) -> None:
        self._calls[call.id] = call
        custom = call.kind == "custom"
        self._add(
            {
                "type": "custom_tool_call" if custom else "function_call",
                **self._without_id(_item(call)),
                "call_id": call_id(call.id),
                "name": call.name,
                **({"input": call.arguments} if custom else {"arguments": arguments_text(call.arguments)}),
            }
        )

    def _opaque(self, part: Opaque) -> None:
        if part.wire != "responses":
            require_droppable(part, "responses")
        elif part.raw.get("type") == CONTENT_PART:
            self._content(dict(part.raw["part"]), part.raw["item"], part.raw)
        else:
            self._add(self._without_id(part.raw))

    def _without_id(self, item: Mapping[str, Any]) -> _Object:
        if self._stored or item.get("type") in _FOUND_BY_ID:
            return dict(item)
        return {key: value for key, value in item.items() if key != "id"}


def _followed(items: list[_Object]) -> list[_Object]:
    """The items without reasoning that nothing of the model's follows, as in an answer that was cut.

    The API answers 400: "reasoning was provided without its required following item".
    """
    kept: list[_Object] = []
    for item in reversed(items):
        if item.get("type") != "reasoning" or (kept and _is_models(kept[-1])):
            kept.append(item)
    kept.reverse()
    return kept


def _is_models(item: Mapping[str, Any]) -> bool:
    given = str(item.get("type")).endswith(("_output", "_response"))
    return item.get("role", "assistant") == "assistant" and not given


def was_not_stored(turn: Turn) -> bool:
    """Whether the reply that a turn was said of itself that it is not stored."""
    return turn.extras.get("responses", {}).get("stored") is False


def _item(part: Text | Refusal | Reasoning | ToolCall) -> Mapping[str, Any]:
    """What this wire wrote about a part's item; nothing, if another wire made it."""
    item: Mapping[str, Any] = part.extras.get("responses", {}).get("item") or {}
    return item
