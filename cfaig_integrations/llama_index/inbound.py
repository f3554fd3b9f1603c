"""LlamaIndex's messages to turns.

what a part means on the way out is the wire's business. Media are read by `media`.
"""

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
    merged,
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
from cfaig_integrations.llama_index.media import citable, media, old_images
from cfaig_integrations.llama_index.outbound import REPLAY_KEY

_Marker: TypeAlias = Mapping[str, Any]

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

_LAST_WORD = "You have reached the maximum number of iterations"
"""How LlamaIndex's agents ask for an answer at the end of a conversation, as the system (`early_stopping_method`)."""


def to_turns(messages: Sequence[ChatMessage]) -> tuple[Turn, ...]:
    """The conversation as turns; the messages stay as they are.

    Raises:
        ConfigError: A message cannot be sent as it is: a file cannot be read, a tool's result names no call ...
        UnsupportedContent: A block is of a kind that is not known.
    """
    return tuple([to_turn(message) for message in messages])


def to_turn(message: ChatMessage) -> Turn:
    """One message as a turn."""
    role = _ROLES.get(message.role) or _role_of(message.role)
    if role == "tool":
        return _result(message)
    if role == "system" and str(message.content).startswith(_LAST_WORD):
        role = "user"  # some wires take system instructions at the beginning only
    extras = DEVELOPER_ROLE if message.role == MessageRole.DEVELOPER else NO_EXTRAS
    if not message.additional_kwargs:
        match message.blocks:
            case [TextBlock(text=text)] if text:
                return Turn(role, (Text(text),), extras=extras)
            case _:
                pass
    if role == "assistant":
        return _assistant(message)
    return Turn(role, (*_parts(message), *_old_images(message)), extras=extras)


def _role_of(role: str) -> Role:
    try:
        return _ROLES[MessageRole(role)]
    except ValueError:
        raise ConfigError(
            f"The role {role!r} of a message is not known.",
            field="role",
            value=role,
            remedy=f"Use one of {', '.join(known.value for known in MessageRole)}.",
        ) from None


def _assistant(message: ChatMessage) -> Turn:
    """What a model said, in the provider's own order and with its own extras where the message still has them.

    A `tool_call_id` beside it means nothing: agents write one into an answer that is a tool's.
    """
    beside = message.additional_kwargs
    parts = _with_refusal(_parts(message), beside.get("refusal"))
    if not any(isinstance(part, ToolCall) for part in parts):
        parts += _old_calls(beside)
    turn = Turn("assistant", (*parts, *_old_images(message)))
    whole = restore(turn, beside.get(REPLAY_KEY))
    marker = _last_marker(message)
    if whole is turn or marker is None:
        return whole
    # A skeleton says which blocks there were, and a user's mark on them came later.
    marked = list(whole.parts)
    _mark(marked, marker)
    return replace(whole, parts=tuple(marked))


def _with_refusal(parts: list[Part], refusal: object) -> list[Part]:
    """The parts with the one that the message says is a refusal as such."""
    if not isinstance(refusal, str) or not refusal:
        return parts
    places = [place for place, part in enumerate(parts) if isinstance(part, Text)]
    for place in reversed(places):
        part = cast("Text", parts[place])
        if part.text == refusal:
            parts[place] = Refusal(refusal, part.extras)
            return parts
    return parts if places else [*parts, Refusal(refusal)]


def _result(message: ChatMessage) -> Turn:
    """A tool's answer. A cache point in it marks the result as a whole: Anthropic caches up to top-level blocks."""
    parts: list[Text | Media | Opaque] = []
    read = [part for block in message.blocks if not isinstance(block, CachePoint) for part in _read(block)]
    for part in (*read, *_old_images(message)):
        if not isinstance(part, Text | Media | Opaque):
            raise UnsupportedContent(
                f"A tool's message cannot hold a {type(part).__name__}.",
                field="blocks",
                value=type(part).__name__,
                remedy="Put it into a message of the assistant.",
            )
        parts.append(part)
    marks = anthropic_hints(cache_control=_last_marker(message))
    return Turn("tool", (ToolResult(_call_id(message), tuple(parts), extras=marks),))


def _call_id(message: ChatMessage) -> str:
    beside = message.additional_kwargs
    keys = ("tool_call_id", "call_id", "name") if message.role == MessageRole.FUNCTION else ("tool_call_id", "call_id")
    for key in keys:
        if isinstance(found := beside.get(key), str):
            return found
    raise ConfigError(
        f"A message of role {MessageRole(message.role).value!r} does not say which call it answers.",
        field="tool_call_id",
        value=sorted(beside),
        remedy='Give it additional_kwargs={"tool_call_id": ...}, with the id of the call.',
    )


def _parts(message: ChatMessage) -> list[Part]:
    """The parts of a message, the cache points as marks on what stands before them."""
    parts: list[Part] = []
    for block in message.blocks:
        if isinstance(block, CachePoint):
            _mark(parts, _marker_of(block))
        else:
            parts += _read(block)
    if beside := _marker_beside(message):
        _mark(parts, beside)
    return parts


def _marker_of(point: CachePoint) -> _Marker:
    return {"type": point.cache_control.type, "ttl": point.cache_control.ttl}


def _marker_beside(message: ChatMessage) -> _Marker | None:
    """The mark on the whole message, where LlamaIndex's Anthropic package has it."""
    found = message.additional_kwargs.get("cache_control")
    return cast("_Marker", found) if isinstance(found, Mapping) else None


def _last_marker(message: ChatMessage) -> _Marker | None:
    points = [block for block in message.blocks if isinstance(block, CachePoint)]
    return _marker_beside(message) or (_marker_of(points[-1]) if points else None)


def _mark(parts: list[Part], marker: _Marker) -> None:
    """Puts a cache mark on the last part that can carry it: thoughts cannot (official SDK: `ThinkingBlockParam`)."""
    for place in reversed(range(len(parts))):
        part = parts[place]
        if not isinstance(part, Reasoning | Opaque):
            extras = anthropic_hints(cache_control=dict(marker))
            parts[place] = replace(part, extras=merged(part.extras, extras))
            return
    raise ConfigError(
        "A cache point marks the block before it, and there is none that can be marked.",
        field="blocks",
        value=dict(marker),
        remedy="Put it behind the last block that is to be cached, in the same message.",
    )


def _read(block: object) -> Iterable[Part]:
    """The parts of one block; none for an empty text, and for a citation, whose text stands before it."""
    match block:
        case TextBlock(text=text):
            return (Text(text),) if text else ()
        case ImageBlock() | AudioBlock() | VideoBlock() | DocumentBlock():
            return (media(block),)
        case ToolCallBlock():
            return (ToolCall(block.tool_call_id or "", block.tool_name, _arguments(block.tool_kwargs)),)
        case ThinkingBlock():
            return _thought(block)
        case CitableBlock():
            return citable(block)
        case CitationBlock():
            return ()
        case _:
            raise UnsupportedContent(
                f"A content block of class {type(block).__name__} is not known.",
                field="blocks",
                value=type(block).__name__,
                remedy="Use the blocks of llama_index.core.llms.",
            )


def _thought(block: ThinkingBlock) -> tuple[Part, ...]:
    """A thought, with what its maker needs to know it again.

    LlamaIndex's Anthropic package keeps the `signature`, its package for OpenAI's Responses the item without its text.
    """
    known, text = block.additional_information, block.content or ""
    match known:
        case {"type": "redacted_thinking", "data": str(data)}:
            return (redacted_thinking(data),)
        case _:
            pass
    item = encrypted_reasoning(text, id_=known.get("id"), encrypted_content=known.get("encrypted_content"))
    extras = merged(reasoning_signature(known.get("signature") or None), item)
    return (Reasoning(text, extras),) if text or extras else ()


def _arguments(given: object) -> str:
    """The text of a call's arguments: as it is, or of the object that it was parsed to."""
    return "" if given is None else arguments_text(given, field="tool_kwargs")


def _old_calls(beside: Mapping[str, Any]) -> list[ToolCall]:
    """The calls of messages that have no blocks for them: OpenAI's objects or dicts, and Anthropic's."""
    listed: object = beside.get("tool_calls") or []
    calls = [_old_call(given) for given in (cast("list[object]", listed) if isinstance(listed, list) else [listed])]
    old = beside.get("function_call")
    if calls or not old:
        return calls
    # OpenAI's call as it was before there were tools; a message of the function answers it by name.
    call = _old_call(old)
    return [replace(call, id=call.name)]


def _old_call(given: object) -> ToolCall:
    match _plain(given):
        case {"function": function, **rest}:
            return _of(rest, _plain(function), "arguments")
        case {"custom": custom, **rest}:
            return replace(_of(rest, _plain(custom), "input"), kind="custom")
        case {"input": _} as call:
            return _of(call, call, "input")
        case call:
            return _of(call, call, "arguments")


def _of(outer: Json, inner: Json, key: str) -> ToolCall:
    """A call from the objects that hold its ids, and its name and arguments."""
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


def _plain(given: object) -> Json:
    """A dict, or an object of a provider's package as one."""
    if isinstance(given, BaseModel):
        return given.model_dump()
    if isinstance(given, Mapping):
        return cast("Json", given)
    raise UnsupportedContent(
        f"A {type(given).__name__} in additional_kwargs is not a tool call.",
        field="tool_calls",
        value=type(given).__name__,
        remedy="Give OpenAI's objects or dicts, or better a ToolCallBlock.",
    )


def _old_images(message: ChatMessage) -> Iterable[Media]:
    """Images that stand beside the blocks; LlamaIndex makes blocks of those that a message is constructed with."""
    documents = message.additional_kwargs.get("images")
    if not documents or any(isinstance(block, ImageBlock) for block in message.blocks):
        return ()
    return old_images(documents)
