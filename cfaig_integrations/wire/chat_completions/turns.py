"""A conversation to the list of messages.

A system turn with `{"role": "developer"}` in its extras is a developer message. Only the text of a failed tool's result
shows the failure. Media that tools return follow their results as one user message: tool messages carry text only.

An assistant's turn is written from what is modeled of it and, for everything else, from its extras, so that a reply
goes back as the message that it came in. Reasoning belongs to the provider that made it: that of another format is left
out, and so is reasoning without a source unless the model has a field for it (`Quirks.reasoning_field`). Providers also
add fields and blocks to this format; a model that takes OpenAI's only (`Quirks.openai_history`) is not sent those of
another provider. Citations go back only as the `annotations` that they came from.
"""

from __future__ import annotations

import re
import string
from collections.abc import Iterable, Mapping
from typing import assert_never

from cfaig_integrations.core.content import (
    Json,
    JsonDict,
    Media,
    Opaque,
    Part,
    Reasoning,
    Refusal,
    Text,
    ToolCall,
    ToolResult,
    Turn,
    Wire,
)
from cfaig_integrations.core.legal import digest
from cfaig_integrations.wire.codec import Quirks
from cfaig_integrations.wire.encoding import arguments_text

WIRE: Wire = "chat_completions"
# The API knows audio by format, not by media type (official SDK: `InputAudio.format`); other servers know more.
_AUDIO_FORMATS = {"mpeg": "mp3", "x-wav": "wav", "wave": "wav", "vnd.wave": "wav", "x-m4a": "m4a", "mp4": "m4a"}
_MARKS = frozenset({"detail", "image"})
"""Extras of a medium that are not further keys of its part."""
# The API takes its answers' annotations back (recorded), although its request type has no such key.
_OPENAI_KEYS = frozenset({"annotations", "id", "legacy"})
"""Extras that are OpenAI's: of a message, of speech, and of a call from before there were tools."""

_ID = re.compile(r"[A-Za-z0-9_.:-]+")
"""Moonshot's ids are `functions.name:0`, which its chat template wants back."""
_MISTRAL_ID = re.compile(r"[A-Za-z0-9]{9}")
_ALPHANUMERICS = string.digits + string.ascii_letters


def messages_of(turns: Iterable[Turn], quirks: Quirks) -> list[JsonDict]:
    """The messages of a conversation, in its order."""
    messages: list[JsonDict] = []
    writer = _Writer(messages, quirks)
    for turn in turns:
        parts = turn.parts
        if (
            len(parts) == 1
            and type(part := parts[0]) is Text
            and not (part.extras or turn.extras or turn.name or turn.role == "tool")
        ):
            writer.end_tool_results()
            messages.append({"role": turn.role, "content": part.text})
        else:
            writer.add(turn)
    writer.end_tool_results()
    if quirks.one_system:
        messages = _with_systems_merged(messages)
    if quirks.closed_history:
        messages = [_closed(message) for message in messages]
    return _in_mistral_order(messages) if quirks.mistral_turns else messages


class _Writer:
    """Writes the turns that are more than one text."""

    def __init__(self, messages: list[JsonDict], quirks: Quirks) -> None:
        self._messages = messages
        self._quirks = quirks
        self._result_media: list[JsonDict] = []
        self._legacy_calls: dict[str, str] = {}

    def end_tool_results(self) -> None:
        """Writes the media of tool results, which have to wait until every result of a turn is there."""
        if self._result_media:
            self._messages.append({"role": "user", "content": self._result_media})
            self._result_media = []

    def add(self, turn: Turn) -> None:
        """Writes one turn."""
        if turn.role == "assistant":
            self.end_tool_results()
            message = _assistant_message(turn, self._quirks)
            self._messages.append(message)
            if "function_call" in message:
                self._legacy_calls |= {
                    call.id: call.name for call in turn.tool_calls if call.extras.get(WIRE, {}).get("legacy")
                }
            return
        results = [part for part in turn.parts if isinstance(part, ToolResult)]
        for result in results:
            self._add_result(result, turn.name if turn.role == "tool" else "")
        if turn.role == "tool":
            return
        self.end_tool_results()
        parts = tuple([part for part in turn.parts if not isinstance(part, ToolResult)])
        if results and not parts:
            return
        message = {"role": turn.role, "content": _content_of(parts)}
        if turn.name:
            message["name"] = turn.name
        self._messages.append({**message, **turn.extras.get(WIRE, {})})

    def _add_result(self, result: ToolResult, name: str) -> None:
        media = [part for part in result.parts if isinstance(part, Media)]
        others = tuple([part for part in result.parts if not isinstance(part, Media)]) if media else result.parts
        content = _content_of(others)
        if media:
            # Tool messages carry text only (official SDK: `ChatCompletionToolMessageParam`).
            content = content or "The result follows as a message of the user."
            self._result_media.append({"type": "text", "text": f"Result of tool call {result.call_id}:"})
            self._result_media += [block for part in media if (block := _part_block(part))]
        if legacy_name := self._legacy_calls.get(result.call_id):
            self._messages.append({"role": "function", "name": legacy_name, "content": content})
            return
        message: JsonDict = {"role": "tool", "tool_call_id": _call_id(result.call_id, self._quirks), "content": content}
        if name:
            message["name"] = name
        if result.extras:
            message |= result.extras.get(WIRE, {})
        self._messages.append(message)


def _assistant_message(turn: Turn, quirks: Quirks) -> JsonDict:
    extras = sendable_extras(turn, quirks)
    message = _AssistantMessage(quirks, as_list=bool(extras.pop("listed", False)))
    for part in turn.parts:
        message.add(part)
    if turn.name:
        message.fields["name"] = turn.name
    return {"role": "assistant", "content": message.content(), **message.fields, **extras}


class _AssistantMessage:
    """An assistant's message that is being written."""

    def __init__(self, quirks: Quirks, *, as_list: bool) -> None:
        self._quirks = quirks
        self._as_list = as_list
        self._blocks: list[JsonDict] = []
        self._texts: list[str] = []
        self.fields: JsonDict = {}

    def content(self) -> str | list[JsonDict]:
        """A string where a list is not needed; never null and never absent (facts §9.2)."""
        return self._blocks if self._as_list else "".join(self._texts)

    def add(self, part: Part) -> None:
        """Writes one part."""
        match part:
            case ToolCall():
                self._add_call(part)
            case Text(text):
                extras = sendable_extras(part, self._quirks)
                self._as_list = self._as_list or bool(extras)
                self._add_text(text, extras)
            case Reasoning():
                self._add_reasoning(part)
            case Refusal(text) if self._quirks.closed_history:
                self._add_text(text, {})
            case Refusal(text):
                self._append_to("refusal", text)
            case Media():
                extras = sendable_extras(part, self._quirks)
                if part.kind == "audio":
                    self.fields["audio"] = {"id": extras["id"]}  # all that the API takes back (official SDK: `Audio`)
                else:
                    image = {**extras["image"], "image_url": {"url": part.address}}
                    self.fields.setdefault("images", []).append(image)
            case Opaque():
                self._add_block(_part_block(part))
            case ToolResult():
                pass  # refused by `limits`
            case _:
                assert_never(part)

    def _add_text(self, text: str, extras: Json) -> None:
        self._texts.append(text)
        self._blocks.append({"type": "text", "text": text, **extras})

    def _append_to(self, field: str, text: str) -> None:
        self.fields[field] = self.fields.get(field, "") + text

    def _add_block(self, block: JsonDict | None) -> None:
        if block is not None:
            self._blocks.append(block)
            self._as_list = True

    def _add_reasoning(self, part: Reasoning) -> None:
        if part.extras and WIRE not in part.extras:
            return
        extras = sendable_extras(part, self._quirks)
        if "block" in extras:
            self._add_block(_thinking_block(part.text, extras["block"]))
        elif (field := extras.get("field")) != "reasoning_details":  # those go back with the turn's extras
            field = self._quirks.reasoning_field or field
            if field:
                self._append_to(field, part.text)

    def _add_call(self, call: ToolCall) -> None:
        extras = sendable_extras(call, self._quirks)
        if call.kind == "custom":
            content = {"name": call.name, "input": call.arguments}
        else:
            content = {"name": call.name, "arguments": arguments_text(call.arguments)}
        if extras.pop("legacy", False):
            self.fields["function_call"] = content
            return
        entry = {"id": _call_id(call.id, self._quirks), "type": call.kind, call.kind: content, **extras}
        self.fields.setdefault("tool_calls", []).append(entry)


def _call_id(id_: str, quirks: Quirks) -> str:
    """A tool call's id as the model takes it, derived from `id_` alone; Mistral has nine alphanumerics (facts §9.2)."""
    if not quirks.mistral_turns:
        return id_ if len(id_) <= quirks.call_id_limit and _ID.fullmatch(id_) else f"call_{digest(id_)[:24]}"
    if _MISTRAL_ID.fullmatch(id_):
        return id_
    number = int(digest(id_), 16)
    return "".join(_ALPHANUMERICS[number // 62**place % 62] for place in range(9))


def _thinking_block(text: str, block: Json) -> JsonDict:
    """A Mistral thinking block. Its inner list is kept where it is more than the text."""
    match block.get("thinking"):
        case None:
            inner: object = [{"type": "text", "text": text}]
        case "":
            inner = text
        case chunks:
            inner = chunks
    return {"type": "thinking", "thinking": inner, **{key: block[key] for key in block if key != "thinking"}}


def _in_mistral_order(messages: list[JsonDict]) -> list[JsonDict]:
    """The messages with an empty one of the assistant between tool and user (facts §9.2)."""
    ordered: list[JsonDict] = []
    for message in messages:
        if message["role"] == "user" and ordered and ordered[-1]["role"] == "tool":
            ordered.append({"role": "assistant", "content": ""})
        ordered.append(message)
    return ordered


_SYSTEM = ("system", "developer")
_CLOSED: Mapping[str, frozenset[str]] = {
    "system": frozenset({"role", "content", "name"}),
    "user": frozenset({"role", "content"}),
    "assistant": frozenset({"role", "content", "tool_calls", "name"}),
    "tool": frozenset({"role", "content", "tool_call_id"}),
}


def _closed(message: JsonDict) -> JsonDict:
    """A message with only the keys that a closed schema has for its role (facts §14.3)."""
    role = "system" if message["role"] in _SYSTEM else message["role"]
    return {key: message[key] for key in message if key in _CLOSED[role]} | {"role": role}


def _with_systems_merged(messages: list[JsonDict]) -> list[JsonDict]:
    """The messages with neighboring system messages merged; each stays where it is."""
    merged: list[JsonDict] = []
    for message in messages:
        if merged and message["role"] in _SYSTEM and merged[-1]["role"] in _SYSTEM:
            merged[-1] = {**merged[-1], "content": _joined(merged[-1]["content"], message["content"])}
        else:
            merged.append(message)
    return merged


def _joined(before: str | list[JsonDict], after: str | list[JsonDict]) -> str | list[JsonDict]:
    if isinstance(before, str) and isinstance(after, str):
        return "\n\n".join(filter(None, (before, after)))
    return [
        block
        for content in (before, after)
        for block in ([{"type": "text", "text": content}] if isinstance(content, str) else content)
    ]


def sendable_extras(source: Turn | Text | Reasoning | ToolCall | Media, quirks: Quirks) -> JsonDict:
    """The extras of an assistant's turn or part that the model takes."""
    if quirks.closed_history or not source.extras:
        return {}
    extras = source.extras.get(WIRE, {})
    return {key: extras[key] for key in extras if key in _OPENAI_KEYS or not quirks.openai_history}


def _content_of(parts: tuple[Part, ...]) -> str | list[JsonDict]:
    """Content of a message: a string if there is only text, because older models know no lists (facts §9.2)."""
    if len(parts) == 1 and type(only := parts[0]) is Text and not only.extras:
        return only.text
    texts = [part.text for part in parts if type(part) is Text and WIRE not in part.extras]
    if len(texts) == len(parts):
        # A server that joins the parts of a list does so without a separator, too.
        return "\n".join(filter(None, texts))
    return [block for part in parts if (block := _part_block(part)) is not None]


def _part_block(part: Part) -> JsonDict | None:
    """One part as an entry of a content list; None if it is another format's, which may be left out."""
    match part:
        case Text():
            return {"type": "text", "text": part.text, **part.extras.get(WIRE, {})}
        case Media():
            block = _media_block(part)
            block.update({key: value for key, value in part.extras.get(WIRE, {}).items() if key not in _MARKS})
            return block
        case Opaque(wire, raw) if wire == WIRE:
            return dict(raw)
        case _:
            return None


def _media_block(media: Media) -> JsonDict:
    match media.kind:
        case "image":
            image: JsonDict = {"url": media.address}
            detail = media.extras.get(WIRE, {}).get("detail")
            return {"type": "image_url", "image_url": image if detail is None else {**image, "detail": detail}}
        case "audio":
            kind = media.essence.removeprefix("audio/")
            return {
                "type": "input_audio",
                "input_audio": {"data": media.data, "format": _AUDIO_FORMATS.get(kind, kind)},
            }
        case _ if media.file_id:
            return {"type": "file", "file": {"file_id": media.file_id}}
        case _:
            # With file_data the API requires a name (official docs, file inputs).
            name = media.name or "document." + media.essence.rpartition("/")[2].rpartition("+")[2]
            return {"type": "file", "file": {"file_data": media.address, "filename": name}}
