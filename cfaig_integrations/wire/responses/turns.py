"""Turns to input items.

Items of this format go back unchanged; what came in another format is written in the simplest form:

| part | from this format | from another |
|---|---|---|
| Text, Refusal | its message item, regrouped | `{"role": "assistant", "content": "..."}`, neighbors joined |
| Reasoning | its item, if another follows | left out: reasoning can only be shown to the provider that made it |
| ToolCall | its item | `function_call` or `custom_tool_call` |
| Opaque | the item | left out: a trace of a tool that the provider ran; `limits` refuses other blocks |

A tool's result is an item of its own; only its content shows whether it failed, as the format has no flag for it.
`Turn.extras["responses"]["role"]` may be `developer`. A speaker's `name` has no place in the format and is left out:
it is a label, which agent frameworks set by themselves.
"""

from __future__ import annotations

import mimetypes
from collections.abc import Iterable

from cfaig_integrations.core.content import (
    Extras,
    Json,
    JsonDict,
    Media,
    Opaque,
    Part,
    Reasoning,
    Refusal,
    Role,
    Text,
    ToolCall,
    ToolResult,
    Turn,
)
from cfaig_integrations.wire.encoding import arguments_text, call_id
from cfaig_integrations.wire.responses.decode import CONTENT_PART

INPUT_PARTS = frozenset({"input_text", "input_image", "input_file", "input_audio"})
_REPLY_KEYS = frozenset({"item", "part", "index"})
"""Extras that say where a part of a reply came from, and mean nothing in an input part."""

_KEEP_ID = frozenset({"item_reference", "mcp_approval_request"})
"""Items whose id another item or the server needs, stored or not."""


def input_items(turns: Iterable[Turn], *, stored: bool) -> list[JsonDict]:
    """The input items of a conversation.

    Args:
        turns: The conversation.
        stored: Whether items may be sent by the ids under which the provider keeps them. If not, items go without their
            ids, and reasoning goes only if it is encrypted: the API answers 404 to an id that it has not stored
            (vercel/ai#7543, langchain-ai/langchain PR #38372).
    """
    return _Input(stored=stored).items_of(turns)


class _Input:
    """The items so far, and the message that the next part may still join."""

    def __init__(self, *, stored: bool) -> None:
        self._stored = stored
        self._items: list[JsonDict] = []
        self._calls: dict[str, ToolCall] = {}
        self._plain: JsonDict | None = None
        self._message: JsonDict | None = None
        self._head: Json | None = None
        self._reasoned = False

    def items_of(self, turns: Iterable[Turn]) -> list[JsonDict]:
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
                self._user_or_tool(turn)
        return _followed(self._items) if self._reasoned else self._items

    def _add(self, item: JsonDict) -> None:
        self._plain = self._message = None
        self._reasoned = self._reasoned or item.get("type") == "reasoning"
        self._items.append(item)

    def _user_or_tool(self, turn: Turn) -> None:
        """A user's, system's or tool's turn."""
        role = turn.extras.get("responses", {}).get("role", turn.role)
        content: list[Text | Media | Opaque] = []
        for part in turn.parts:
            match part:
                case ToolResult():
                    self._add_message(role, content)
                    self._add(self._result(part))
                case Opaque(wire="responses") if part.raw.get("type") not in INPUT_PARTS:
                    self._add_message(role, content)
                    self._add(dict(part.raw))
                case Text() | Media() | Opaque(wire="responses"):
                    content.append(part)
                case _:
                    pass  # a trace of another provider's tool, or refused by `limits`
        if content or not (turn.parts or role == "tool"):
            self._add_message(role, content or [Text("")])

    def _add_message(self, role: Role, parts: list[Text | Media | Opaque]) -> None:
        if not parts:
            return
        content: str | list[JsonDict] = [_input_part(part) for part in parts]
        if len(parts) == 1 and isinstance(parts[0], Text) and not _own_extras(parts[0].extras):
            content = parts[0].text
        self._add({"role": role, "content": content})
        parts.clear()

    def _result(self, result: ToolResult) -> JsonDict:
        """The output item of a call; that of a program's call names the program, which waits for it."""
        call = self._calls.get(result.call_id)
        custom = call is not None and call.kind == "custom"
        match result.parts:
            case ():
                output: str | list[JsonDict] = ""
            case (Text(text),):
                output = text
            case parts:
                output = [_input_part(part) for part in parts]
        item: JsonDict = {
            "type": "custom_tool_call_output" if custom else "function_call_output",
            "call_id": call_id(result.call_id),
            "output": output,
        }
        if call is not None and (caller := _item(call).get("caller")) is not None:
            item["caller"] = caller
        return {**item, **_own_extras(result.extras)}

    def _assistant(self, parts: tuple[Part, ...]) -> None:
        for part in parts or (Text(""),):
            match part:
                case Text() | Refusal():
                    if head := _item(part):
                        self._message_text(part, head)
                    elif part.text or len(parts) <= 1:
                        self._plain_text(part.text)
                case Reasoning():
                    self._reasoning(_item(part))
                case ToolCall():
                    self._call(part)
                case ToolResult():
                    self._add(self._result(part))
                case Opaque(wire="responses"):
                    self._opaque(part)
                case _:
                    pass  # a trace of another provider's tool, or refused by `limits`

    def _plain_text(self, text: str) -> None:
        if self._plain is not None:
            self._plain["content"] += text
            return
        self._add({"role": "assistant", "content": text})
        self._plain = self._items[-1]

    def _message_text(self, part: Text | Refusal, head: Json) -> None:
        extras = part.extras["responses"]
        rest = extras.get("part")
        if rest is None:
            self._add({**self._without_id(head), "content": part.text})
            return
        field = "refusal" if isinstance(part, Refusal) else "text"
        self._content({**rest, field: part.text}, head, extras)

    def _content(self, content: JsonDict, head: Json, extras: Json) -> None:
        """A content part, in the message before it if it belongs to that."""
        if self._message is not None and extras.get("index") and head == self._head:
            self._message["content"].append(content)
            return
        self._add({**self._without_id(head), "content": [content]})
        self._message, self._head = self._items[-1], head

    def _reasoning(self, item: Json) -> None:
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
        if part.raw.get("type") == CONTENT_PART:
            self._content(dict(part.raw["part"]), part.raw["item"], part.raw)
        else:
            self._add(self._without_id(part.raw))

    def _without_id(self, item: Json) -> JsonDict:
        if self._stored or item.get("type") in _KEEP_ID:
            return dict(item)
        return {key: value for key, value in item.items() if key != "id"}


def _followed(items: list[JsonDict]) -> list[JsonDict]:
    """The items, but reasoning only before another item of the model: it comes last in a truncated answer.

    The API answers 400: "reasoning was provided without its required following item".
    """
    kept: list[JsonDict] = []
    for item in reversed(items):
        if item.get("type") != "reasoning" or (kept and _is_from_model(kept[-1])):
            kept.append(item)
    kept.reverse()
    return kept


def _is_from_model(item: Json) -> bool:
    is_input = str(item.get("type")).endswith(("_output", "_response"))
    return item.get("role", "assistant") == "assistant" and not is_input


def was_not_stored(turn: Turn) -> bool:
    """Whether the reply in a turn declared itself not stored."""
    return turn.extras.get("responses", {}).get("stored") is False


def _item(part: Text | Refusal | Reasoning | ToolCall) -> Json:
    """What is kept of a part's item; nothing, if the part came in another format."""
    item: Json = part.extras.get("responses", {}).get("item") or {}
    return item


def _input_part(part: Text | Media | Opaque) -> JsonDict:
    """One content part of a user's or system's message, or of a tool's output.

    Extras of this format, such as an image's `detail`, become keys of the part.
    """
    match part:
        case Text():
            return {"type": "input_text", "text": part.text, **_own_extras(part.extras)}
        case Media(kind="image", file_id=""):
            return {"type": "input_image", "image_url": part.address, **_own_extras(part.extras)}
        case Media(kind="image"):
            return {"type": "input_image", "file_id": part.file_id, **_own_extras(part.extras)}
        case Media():
            return {"type": "input_file", **_file(part), **_own_extras(part.extras)}
        case Opaque():
            return dict(part.raw)


def _own_extras(extras: Extras) -> JsonDict:
    """What the user added to an input part in this format."""
    if not extras:
        return {}
    return {key: value for key, value in extras.get("responses", {}).items() if key not in _REPLY_KEYS}


def _file(part: Media) -> JsonDict:
    name = {"filename": part.name} if part.name else {}
    if part.file_id:
        return {"file_id": part.file_id}
    if part.url:
        return {"file_url": part.url, **name}
    # The API refuses `file_data` without a file name.
    return {"filename": f"document{mimetypes.guess_extension(part.essence) or ''}", **name, "file_data": part.address}
