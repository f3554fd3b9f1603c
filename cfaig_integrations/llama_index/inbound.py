"""LlamaIndex's messages to turns."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeAlias, cast

from llama_index.core.base.llms.types import (
    AudioBlock,
    CachePoint,
    ChatMessage,
    CitableBlock,
    CitationBlock,
    DocumentBlock,
    ImageBlock,
    MessageRole,
    TextBlock,
    ThinkingBlock,
    ToolCallBlock,
    VideoBlock,
)
from pydantic import BaseModel

from cfaig_integrations.adapters.tools import arguments_text
from cfaig_integrations.core.content import (
    NO_EXTRAS,
    Json,
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
    merge_extras,
)
from cfaig_integrations.core.hints import (
    DEVELOPER_ROLE,
    anthropic_hints,
    encrypted_reasoning,
    reasoning_signature,
    redacted_thinking,
)
from cfaig_integrations.core.replay import restore
from cfaig_integrations.errors import ConfigError, UnsupportedContent
from cfaig_integrations.llama_index.media import citable_parts, image_documents, media
from cfaig_integrations.llama_index.outbound import REPLAY_KEY

_CacheMarker: TypeAlias = Mapping[str, Any]

_ROLES: Mapping[MessageRole, Role] = {
    MessageRole.SYSTEM: "system",
    MessageRole.DEVELOPER: "system",
    MessageRole.USER: "user",
    MessageRole.ASSISTANT: "assistant",
    MessageRole.CHATBOT: "assistant",
    MessageRole.MODEL: "assistant",
    MessageRole.FUNCTION: "tool",
    MessageRole.TOOL: "tool",
}

_EARLY_STOP = "You have reached the maximum number of iterations"
"""Beginning of the system message with which agents end a conversation (`early_stopping_method`)."""


def to_turns(messages: Sequence[ChatMessage]) -> tuple[Turn, ...]:
    """The conversation as turns; the messages are not changed.

    Raises:
        ConfigError: A message is invalid: a file cannot be read, a tool's result names no call ...
        UnsupportedContent: A block is of an unknown class.
    """
    return tuple([to_turn(message) for message in messages])


def to_turn(message: ChatMessage) -> Turn:
    """One message as a turn."""
    role = _ROLES.get(message.role) or _role_of(message.role)
    if role == "tool":
        return _tool_turn(message)
    if role == "system" and str(message.content).startswith(_EARLY_STOP):
        role = "user"  # some wires take system instructions at the beginning only
    extras = DEVELOPER_ROLE if role == "system" and message.role == MessageRole.DEVELOPER else NO_EXTRAS
    if not message.additional_kwargs:
        match message.blocks:
            case [TextBlock(text=text)] if text:
                return Turn(role, (Text(text),), extras=extras)
            case _:
                pass
    parts, marker = _content(message)
    if role == "assistant":
        return _assistant_turn(message, parts, marker)
    return Turn(role, (*parts, *_images(message)), extras=extras)


def _role_of(role: str) -> Role:
    try:
        return _ROLES[MessageRole(role)]
    except ValueError:
        raise ConfigError(
            f"{role!r} is not a valid role of a message.",
            field="role",
            value=role,
            remedy=f"Use one of {', '.join(valid.value for valid in MessageRole)}.",
        ) from None


def _content(message: ChatMessage, *, mark_parts: bool = True) -> tuple[list[Part], _CacheMarker | None]:
    """The parts of a message's blocks, and its last cache marker.

    Args:
        message: The message.
        mark_parts: Whether each marker is put on the part before it.
    """
    parts: list[Part] = []
    marker: _CacheMarker | None = None
    for block in message.blocks:
        if type(block) is TextBlock:  # the fast path of most blocks: `isinstance` of pydantic's classes is slow
            if block.text:
                parts.append(Text(block.text))
        elif type(block) is ToolCallBlock:
            parts.append(_tool_call(block))
        elif isinstance(block, CachePoint):
            marker = {"type": block.cache_control.type, "ttl": block.cache_control.ttl}
            if mark_parts:
                _mark(parts, marker)
        else:
            parts += _block_parts(block)
    # LlamaIndex's Anthropic package marks a whole message here.
    cache_control = message.additional_kwargs.get("cache_control")
    if isinstance(cache_control, Mapping) and cache_control:
        marker = cast("_CacheMarker", cache_control)
        if mark_parts:
            _mark(parts, marker)
    return parts, marker


def _mark(parts: list[Part], marker: _CacheMarker) -> None:
    """Puts a cache marker on the last part that can carry it: reasoning cannot (official SDK: `ThinkingBlockParam`)."""
    for index in reversed(range(len(parts))):
        part = parts[index]
        if not isinstance(part, Reasoning | Opaque):
            parts[index] = replace(part, extras=merge_extras(part.extras, anthropic_hints(cache_control=dict(marker))))
            return
    raise ConfigError(
        "A cache point marks the block before it, and no block before it can be marked.",
        field="blocks",
        value=dict(marker),
        remedy="Put it after the last block that is to be cached, in the same message.",
    )


def _assistant_turn(message: ChatMessage, parts: list[Part], marker: _CacheMarker | None) -> Turn:
    """What a model said, in the provider's order and with the provider's data where the message still has them.

    A `tool_call_id` is ignored: agents write one into an answer that a tool returned.
    """
    kwargs = message.additional_kwargs
    parts = _with_refusal(parts, kwargs.get("refusal"))
    if kwargs and not any(isinstance(part, ToolCall) for part in parts):
        parts += _calls_of_kwargs(kwargs)
    turn = Turn("assistant", (*parts, *_images(message)))
    restored = restore(turn, kwargs.get(REPLAY_KEY))
    if restored is turn or marker is None:
        return restored
    # The replay state says which blocks there were, and the user marked one of them later.
    marked = list(restored.parts)
    _mark(marked, marker)
    return replace(restored, parts=tuple(marked))


def _with_refusal(parts: list[Part], refusal: object) -> list[Part]:
    """The parts, with the text that is the message's refusal as such."""
    if not isinstance(refusal, str) or not refusal:
        return parts
    texts = [(index, part) for index, part in enumerate(parts) if isinstance(part, Text)]
    for index, part in reversed(texts):
        if part.text == refusal:
            return [*parts[:index], Refusal(refusal, part.extras), *parts[index + 1 :]]
    return parts if texts else [*parts, Refusal(refusal)]


def _tool_turn(message: ChatMessage) -> Turn:
    """A tool's result. A cache marker marks it as a whole, because Anthropic caches up to top-level blocks."""
    content, marker = _content(message, mark_parts=False)
    parts: list[Text | Media | Opaque] = []
    for part in (*content, *_images(message)):
        if not isinstance(part, Text | Media | Opaque):
            raise UnsupportedContent(
                f"A tool's message cannot hold a {type(part).__name__}.",
                field="blocks",
                value=type(part).__name__,
                remedy="Put it into an assistant message.",
            )
        parts.append(part)
    extras = NO_EXTRAS if marker is None else anthropic_hints(cache_control=marker)
    return Turn("tool", (ToolResult(_call_id(message), tuple(parts), extras=extras),))


def _call_id(message: ChatMessage) -> str:
    kwargs = message.additional_kwargs
    keys = ("tool_call_id", "call_id", "name") if message.role == MessageRole.FUNCTION else ("tool_call_id", "call_id")
    for key in keys:
        if isinstance(call_id := kwargs.get(key), str):
            return call_id
    raise ConfigError(
        f"A message of role {MessageRole(message.role).value!r} does not name the call that it answers.",
        field="tool_call_id",
        value=sorted(kwargs),
        remedy='Give it additional_kwargs={"tool_call_id": ...}, with the id of the call.',
    )


def _block_parts(block: object) -> Iterable[Part]:
    """The parts of one block; none for an empty text, and for a citation, whose text is the block before it."""
    match block:
        case TextBlock(text=text):
            return (Text(text),) if text else ()
        case ToolCallBlock():
            return (_tool_call(block),)
        case ThinkingBlock():
            return _reasoning_parts(block)
        case ImageBlock() | AudioBlock() | VideoBlock() | DocumentBlock():
            return (media(block),)
        case CitableBlock():
            return citable_parts(block)
        case CitationBlock():
            return ()
        case _:
            raise UnsupportedContent(
                f"A content block of class {type(block).__name__} is not supported.",
                field="blocks",
                value=type(block).__name__,
                remedy="Use the blocks of llama_index.core.llms.",
            )


def _reasoning_parts(block: ThinkingBlock) -> tuple[Part, ...]:
    """Reasoning, with what its provider recognizes it by.

    LlamaIndex's Anthropic package keeps the `signature`, its package for OpenAI's Responses the item without its text.
    """
    info, text = block.additional_information, block.content or ""
    if info.get("type") == "redacted_thinking" and isinstance(data := info.get("data"), str):
        return (redacted_thinking(data),)
    item = encrypted_reasoning(text, id_=info.get("id"), encrypted_content=info.get("encrypted_content"))
    extras = merge_extras(reasoning_signature(info.get("signature") or None), item)
    return (Reasoning(text, extras),) if text or extras else ()


def _tool_call(block: ToolCallBlock) -> ToolCall:
    return ToolCall(block.tool_call_id or "", block.tool_name, _arguments(block.tool_kwargs))


def _arguments(arguments: object) -> str:
    return "" if arguments is None else arguments_text(arguments, field="tool_kwargs")


def _calls_of_kwargs(kwargs: Mapping[str, Any]) -> list[ToolCall]:
    """The calls of a message that has no blocks for them: OpenAI's objects or dicts, and Anthropic's."""
    tool_calls: object = kwargs.get("tool_calls") or []
    calls = [
        _call(call) for call in (cast("list[object]", tool_calls) if isinstance(tool_calls, list) else [tool_calls])
    ]
    function_call = kwargs.get("function_call")
    if calls or not function_call:
        return calls
    # OpenAI's form before there were tools; a message of role `function` answers it by name.
    call = _call(function_call)
    return [replace(call, id=call.name)]


def _call(value: object) -> ToolCall:
    outer = _as_mapping(value)
    match outer:
        case {"function": function}:
            return _call_of(outer, _as_mapping(function), "arguments")
        case {"custom": custom}:
            return replace(_call_of(outer, _as_mapping(custom), "input"), kind="custom")
        case {"input": _}:
            return _call_of(outer, outer, "input")
        case _:
            return _call_of(outer, outer, "arguments")


def _call_of(outer: Json, inner: Json, key: str) -> ToolCall:
    """A call from the object that holds its ids, and the one that holds its name and arguments."""
    name = inner.get("name")
    if not isinstance(name, str):
        raise UnsupportedContent(
            "A call in additional_kwargs has no name.",
            field="tool_calls",
            value=sorted(outer),
            remedy='Write {"id": ..., "type": "function", "function": {"name": ..., "arguments": "{...}"}}, '
            "or better a ToolCallBlock.",
        )
    return ToolCall(str(outer.get("call_id") or outer.get("id") or ""), name, _arguments(inner.get(key)))


def _as_mapping(value: object) -> Json:
    """A dict, or an object of a provider's package as one."""
    if isinstance(value, BaseModel):
        return value.model_dump()
    if isinstance(value, Mapping):
        return cast("Json", value)
    raise UnsupportedContent(
        f"A {type(value).__name__} in additional_kwargs is not a tool call.",
        field="tool_calls",
        value=type(value).__name__,
        remedy="Give OpenAI's objects or dicts, or better a ToolCallBlock.",
    )


def _images(message: ChatMessage) -> Iterable[Media]:
    """Images in `additional_kwargs`, of which LlamaIndex makes blocks if they are there during construction."""
    documents = message.additional_kwargs.get("images")
    if not documents or any(isinstance(block, ImageBlock) for block in message.blocks):
        return ()
    return image_documents(documents)
