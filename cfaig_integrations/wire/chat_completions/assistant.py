"""An assistant's turn to its message.

What is modelled is written from the turn's parts, everything else from its extras, so that a reply goes back as the
message that it came in.

Reasoning belongs to the provider that made it: of another wire it is left out, and so is reasoning without a source
unless the model has a field for it (`Quirks.reasoning_field`). Providers also add fields and blocks to this format; a
model that takes OpenAI's alone (`Quirks.openai_history`) is not sent those of another provider. A citation is a remark
on text, and goes back only as the `annotations` that it came from.
"""

from __future__ import annotations

import re
import string
from typing import Any, assert_never

from cfaig_integrations.core.content import (
    Json,
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
from cfaig_integrations.wire.chat_completions.media import WIRE, data_url, part_block
from cfaig_integrations.wire.codec import Quirks
from cfaig_integrations.wire.legal import arguments_text, digest

# The API takes its answers' annotations back (recorded), although its request type has no such key.
_OPENAI_KEYS = frozenset({"annotations", "id", "legacy"})
"""What of our extras is OpenAI's own: of a message, of speech, and of a call from before there were tools."""
_ID = re.compile(r"[A-Za-z0-9_.:-]+")
"""Moonshot's ids are `functions.name:0`, which its chat template wants back."""
_MISTRAL_ID = re.compile(r"[A-Za-z0-9]{9}")
_ALPHANUMERICS = string.digits + string.ascii_letters


def assistant_message(turn: Turn, quirks: Quirks) -> dict[str, Any]:
    """The message of an assistant's turn.

    Raises:
        UnsupportedContent: The wire cannot carry a part.
    """
    extras = _taken(turn, quirks)
    message = _Message(quirks, listed=bool(extras.pop("listed", False)))
    for part in turn.parts:
        message.add(part)
    if turn.name:
        message.fields["name"] = turn.name
    return {"role": "assistant", "content": message.content(), **message.fields, **extras}


def call_id(id_: str, quirks: Quirks) -> str:
    """A tool call's id as the model takes it, made of nothing but `id_`; Mistral has nine alphanumerics (§9.2)."""
    if not quirks.mistral_turns:
        return id_ if len(id_) <= quirks.call_id_limit and _ID.fullmatch(id_) else f"call_{digest(id_)[:24]}"
    if _MISTRAL_ID.fullmatch(id_):
        return id_
    number = int(digest(id_), 16)
    return "".join(_ALPHANUMERICS[number // 62**place % 62] for place in range(9))


def _taken(said: Turn | Text | Reasoning | ToolCall | Media, quirks: Quirks) -> dict[str, Any]:
    """The extras of a turn or a part that the model takes."""
    if quirks.closed_history:
        return {}
    own = said.extras.get(WIRE, {})
    return {key: own[key] for key in own if key in _OPENAI_KEYS or not quirks.openai_history}


class _Message:
    """A message in the making."""

    def __init__(self, quirks: Quirks, *, listed: bool) -> None:
        self._quirks = quirks
        self._listed = listed
        self._blocks: list[dict[str, Any]] = []
        self._texts: list[str] = []
        self.fields: dict[str, Any] = {}

    def content(self) -> str | list[dict[str, Any]]:
        """A string where a list is not needed; never null and never absent (facts §9.2)."""
        return self._blocks if self._listed else "".join(self._texts)

    def add(self, part: Part) -> None:
        """Writes one part."""
        match part:
            case Text(text):
                own = _taken(part, self._quirks)
                self._listed = self._listed or bool(own)
                self._texts.append(text)
                self._blocks.append({"type": "text", "text": text, **own})
            case Reasoning():
                self._add_reasoning(part)
            case ToolCall():
                self._add_call(part)
            case Opaque():
                self._add_block(part_block(part, self._quirks))
            case Refusal(text) if self._quirks.closed_history:
                self._texts.append(text)
                self._blocks.append({"type": "text", "text": text})
            case Refusal(text):
                self._grow("refusal", text)
            case Media():
                self._add_media(part)
            case ToolResult():
                raise UnsupportedContent(
                    "An assistant turn holds the result of a tool.",
                    field="turns",
                    value=part.call_id,
                    remedy="Put it into a tool turn.",
                )
            case _:
                assert_never(part)

    def _grow(self, field: str, text: str) -> None:
        self.fields[field] = self.fields.get(field, "") + text

    def _add_block(self, block: dict[str, Any] | None) -> None:
        if block is not None:
            self._blocks.append(block)
            self._listed = True

    def _add_reasoning(self, part: Reasoning) -> None:
        if part.extras and WIRE not in part.extras:
            return
        own = _taken(part, self._quirks)
        if "block" in own:
            self._add_block(_thinking_block(part.text, own["block"]))
        elif (field := own.get("field")) != "reasoning_details":  # those go back with the turn's extras
            field = self._quirks.reasoning_field or field
            if field:
                self._grow(field, part.text)

    def _add_call(self, call: ToolCall) -> None:
        extras = _taken(call, self._quirks)
        if extras.pop("legacy", False):
            self.fields["function_call"] = {"name": call.name, "arguments": arguments_text(call.arguments)}
            return
        entry: dict[str, Any] = {"id": call_id(call.id, self._quirks)}
        if call.kind == "custom":
            entry |= {"type": "custom", "custom": {"name": call.name, "input": call.arguments}}
        else:
            entry |= {"type": "function", "function": {"name": call.name, "arguments": arguments_text(call.arguments)}}
        self.fields.setdefault("tool_calls", []).append(entry | extras)

    def _add_media(self, media: Media) -> None:
        """Writes a medium that the model made, in the place that it came in."""
        own = _taken(media, self._quirks)
        if media.kind == "audio" and own.get("id"):
            self.fields["audio"] = {"id": own["id"]}  # all that the API takes back (official SDK: `Audio`)
        elif media.kind == "image" and "image" in own:
            image = {**own["image"], "image_url": {"url": media.url or data_url(media)}}
            self.fields.setdefault("images", []).append(image)
        else:
            raise UnsupportedContent(
                f"Chat completions have no place for an assistant's {media.kind}.",
                field="turns",
                value=media.url or media.file_id or media.mime or media.kind,
                remedy="Give it in a user turn, or take it out of the history.",
            )


def _thinking_block(text: str, kept: Json) -> dict[str, Any]:
    """A Mistral thinking block. Its inner list is kept where it is more than the text."""
    match kept.get("thinking"):
        case None:
            inner: Any = [{"type": "text", "text": text}]
        case "":
            inner = text
        case chunks:
            inner = chunks
    return {"type": "thinking", "thinking": inner, **{key: kept[key] for key in kept if key != "thinking"}}
