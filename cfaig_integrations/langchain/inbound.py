"""LangChain messages to turns.

what a block means on the way out is the wire's business.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, assert_never

from langchain_core.messages import (
    AIMessage,
    BaseMessage,
    ChatMessage,
    FunctionMessage,
    HumanMessage,
    SystemMessage,
    ToolMessage,
)

from cfaig_integrations.core.content import (
    NO_EXTRAS,
    Citation,
    Extras,
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
from cfaig_integrations.core.hints import DEVELOPER_ROLE, Provider, native_block
from cfaig_integrations.core.replay import restore
from cfaig_integrations.errors import ConfigError, UnsupportedContent
from cfaig_integrations.langchain.media import (
    Block,
    held,
    image_url,
    input_audio,
    input_image,
    markers,
    openai_file,
    plain_text,
    search_source,
    sourced_media,
    standard_media,
)
from cfaig_integrations.langchain.message_calls import call_in, calls_of, taken
from cfaig_integrations.langchain.provider_messages import (
    ITEMS_OF_RESULTS,
    beside,
    generated,
    is_generated,
    item,
    item_of_result,
)
from cfaig_integrations.langchain.reasoning import reasoning, thinking

REPLAY_KEY = "cf_aig_turn"
"""Key of `additional_kwargs` under which a message keeps its skeleton."""
PROVIDER = "cloudflare_ai_gateway"
"""`model_provider` of our messages, and `ls_provider` of our runs."""

_PROVIDERS: Mapping[str, Provider] = {
    "openai": "openai",
    "azure": "openai",
    "anthropic": "anthropic",
    "bedrock": "anthropic",
}
"""`model_provider` of other packages' messages -> the provider in whose form their blocks are."""
_DEVELOPER = "developer"
_OPENAI_ROLE = "__openai_role__"
"""Key of `additional_kwargs` under which LangChain's own converters keep the role `developer` of a system message."""
_ROLES: Mapping[str, Role] = {
    "system": "system",
    _DEVELOPER: "system",
    "user": "user",
    "human": "user",
    "assistant": "assistant",
    "ai": "assistant",
}


def to_turns(messages: Sequence[BaseMessage]) -> tuple[Turn, ...]:
    """The conversation as turns.

    Raises:
        ConfigError: A message is of a kind that cannot be sent.
        UnsupportedContent: A block is of a kind that is not known.
    """
    turns: list[Turn] = []
    for message in messages:
        turn = to_turn(message)
        in_blocks = not isinstance(message.content, str)
        if in_blocks and turn.role == "user" and any(isinstance(part, ToolResult) for part in turn.parts):
            # Anthropic's way of writing tool results: inside a user message.
            turns.append(Turn("tool", tuple(part for part in turn.parts if isinstance(part, ToolResult))))
            rest = tuple(part for part in turn.parts if not isinstance(part, ToolResult))
            turns += [Turn("user", rest, name=turn.name)] if rest else []
        else:
            turns.append(turn)
    return tuple(turns)


def to_turn(message: BaseMessage) -> Turn:
    """One message as a turn."""
    match message:
        case AIMessage():
            return assistant_turn(message)
        case ToolMessage(additional_kwargs={"type": str(kind)}) if kind in ITEMS_OF_RESULTS:
            failed = message.status == "error"
            return Turn("user", (item_of_result(kind, message.tool_call_id, message.content, failed=failed),))
        case ToolMessage():
            result = ToolResult(message.tool_call_id, _result_parts(message.content), failed=message.status == "error")
            return Turn("tool", (result,))
        case FunctionMessage():
            return Turn("tool", (ToolResult(message.name, _result_parts(message.content)),))
        case HumanMessage():
            return Turn("user", to_parts(message.content), name=message.name or "")
        case SystemMessage():
            return Turn("system", to_parts(message.content), name=message.name or "", extras=_role_extras(message))
        case ChatMessage():
            role = _role_of(message)
            return Turn(role, to_parts(message.content), name=message.name or "", extras=_role_extras(message))
        case _:
            raise ConfigError(
                f"A {type(message).__name__} cannot be sent to a model.",
                field="messages",
                value=type(message).__name__,
                remedy="Send system, human, AI and tool messages.",
            )


def _role_extras(message: SystemMessage | ChatMessage) -> Extras:
    role = message.role if isinstance(message, ChatMessage) else message.additional_kwargs.get(_OPENAI_ROLE)
    return DEVELOPER_ROLE if role == _DEVELOPER else NO_EXTRAS


def _role_of(message: ChatMessage) -> Role:
    role = _ROLES.get(message.role.lower())
    if role is None:
        raise ConfigError(
            f"The role {message.role!r} of a ChatMessage is not known.",
            field="role",
            value=message.role,
            remedy=f"Use one of {', '.join(_ROLES)}.",
        )
    return role


def assistant_turn(message: AIMessage) -> Turn:
    """An AI message as a turn, in the provider's own order and with its own extras where it still has them."""
    return restore(shown_turn(message), message.additional_kwargs.get(REPLAY_KEY))


def shown_turn(message: AIMessage) -> Turn:
    """What an AI message shows, as a turn."""
    content = message.content
    if isinstance(content, str) and not message.additional_kwargs:
        said = (Text(content),) if content else ()
        return Turn("assistant", (*said, *calls_of(message)), name=message.name or "")
    calls = calls_of(message)
    provider = message.response_metadata.get("model_provider")
    # The message's own list of calls is what programs edit, and a block only says where a call stands; but a message
    # written by hand in a provider's form may have its calls nowhere else.
    only_shown = not calls and provider != PROVIDER
    parts: list[Part] = []
    thought = message.additional_kwargs.get("reasoning_content")
    if isinstance(thought, str) and thought and not _shows_reasoning(message.content):
        parts.append(Reasoning(thought))
    parts += beside(message.additional_kwargs)
    for part in _assistant_parts(message.content, provider):
        if isinstance(part, ToolCall):
            call = part if only_shown else taken(calls, part)
            if call is not None:
                parts.append(call)
        else:
            parts.append(part)
    parts += calls
    refusal = message.additional_kwargs.get("refusal")
    if isinstance(refusal, str) and refusal and not any(isinstance(part, Refusal) for part in parts):
        parts.append(Refusal(refusal))
    return Turn("assistant", tuple(parts), name=message.name or "")


def _shows_reasoning(content: str | list[str | dict[str, Any]]) -> bool:
    return not isinstance(content, str) and any(
        isinstance(block, dict) and block.get("type") in {"reasoning", "thinking"} for block in content
    )


def _assistant_parts(content: str | list[str | dict[str, Any]], provider: object) -> Iterable[Part]:
    if isinstance(content, str):
        if content:
            yield Text(content)
        return
    home = _PROVIDERS.get(str(provider))
    for block in content:
        if isinstance(block, str):
            if block:
                yield Text(block)
        elif is_generated(block, home):
            yield generated(block)
        # In standard form a server tool's block cannot be given back; its result is in the text (design §3).
        elif _kind_of(block) not in _ARTEFACTS:
            part = _said(block, home, ours=provider == PROVIDER)
            if part is not None:
                yield part


def _said(block: Block, home: Provider | None, *, ours: bool) -> Part | None:
    """The part that a block of an answer shows, if it shows any."""
    try:
        part = _to_part(block, home)
    except UnsupportedContent:
        if ours and _kind_of(block) in _MEDIA:
            return None  # as the provider wrote it, it is in the skeleton
        raise
    empty = part == Reasoning("") or (isinstance(part, Text) and not part.text and not part.citations)
    return None if empty else part


def to_parts(content: str | list[str | dict[str, Any]]) -> tuple[Part, ...]:
    """The content of a system or human message."""
    if isinstance(content, str):
        return (Text(content),) if content else ()
    return tuple([Text(block) if isinstance(block, str) else _to_part(block, None) for block in content])


def _result_parts(content: str | list[str | dict[str, Any]]) -> tuple[Text | Media | Opaque, ...]:
    if isinstance(content, str):
        return (Text(content),) if content else ()
    found: list[Text | Media | Opaque] = []
    for part in to_parts(content):
        match part:
            case Text() | Media() | Opaque():
                found.append(part)
            case Reasoning() | Refusal() | ToolCall() | ToolResult():
                raise UnsupportedContent(
                    f"A tool message cannot hold a {type(part).__name__} block.", field="messages", value=part
                )
            case _:
                assert_never(part)
    return tuple(found)


def _kind_of(block: Block) -> str:
    return kind if isinstance(kind := block.get("type"), str) else ""


def _to_part(block: Block, home: Provider | None) -> Part:
    kind = _kind_of(block)
    if kind == "non_standard":
        return _non_standard(block, home)
    read = _READERS.get(kind)
    if read is not None:
        try:
            return read(block)
        except (AttributeError, KeyError, TypeError) as error:
            raise UnsupportedContent(
                f"A content block of type {kind!r} is not written as its type demands ({error!r}).",
                field="content",
                value=kind,
                remedy="Compare it with the description of its type.",
            ) from error
    if home is not None:
        return native_block(home, block)
    raise UnsupportedContent(
        f"A content block of type {block.get('type')!r} is not known.",
        field="content",
        value=kind,
        remedy="Use LangChain's standard blocks; a provider's own block goes in as "
        '{"type": "non_standard", "value": {"wire": <format>, "raw": {...}}}.',
    )


def _text(block: Block) -> Text:
    citations = tuple(_citation(found) for found in block.get("annotations") or () if found.get("type") == "citation")
    citations += tuple(_anthropic_citation(found) for found in block.get("citations") or ())
    return Text(str(block.get("text") or ""), citations, markers(block))


def _citation(found: Block) -> Citation:
    return Citation(
        url=str(found.get("url") or ""),
        title=str(found.get("title") or ""),
        quoted=str(found.get("cited_text") or ""),
        start=found.get("start_index"),
        end=found.get("end_index"),
        raw=held(held(found, "extras"), "raw"),
    )


def _anthropic_citation(found: Block) -> Citation:
    title = found.get("title") or found.get("document_title")
    quoted = str(found.get("cited_text") or "")
    return Citation(url=str(found.get("url") or ""), title=str(title or ""), quoted=quoted, raw=found)


def _refusal(block: Block) -> Refusal:
    return Refusal(str(block.get("refusal") or ""))


def _tool_result(block: Block) -> ToolResult:
    content = block.get("content") or ""
    parts = _result_parts(content if isinstance(content, str) else list(content))
    return ToolResult(str(block["tool_use_id"]), parts, failed=bool(block.get("is_error")), extras=markers(block))


def _non_standard(block: Block, home: Provider | None) -> Part:
    value = held(block, "value")
    if isinstance(value.get("wire"), str) and isinstance(value.get("raw"), Mapping):
        return Opaque(value["wire"], value["raw"])
    if _kind_of(value) in _KNOWN_INSIDE:
        return _to_part(value, home)
    if home is not None:
        return native_block(home, value)
    raise UnsupportedContent(
        "A non_standard block does not say whose it is.",
        field="content",
        value=value.get("type"),
        remedy='Write {"type": "non_standard", "value": {"wire": <format>, "raw": {...}}}.',
    )


_ARTEFACTS = frozenset({"server_tool_call", "server_tool_call_chunk", "server_tool_result", "non_standard_annotation"})

_MEDIA = frozenset({"image", "audio", "video", "file"})

_KNOWN_INSIDE = frozenset({"refusal", "thinking", "custom_tool_call"}) | ITEMS_OF_RESULTS
"""What a non_standard block may hold and is known all the same; cores before 1.7.5 have no other form for a refusal."""

_READERS: Mapping[str, Callable[[Block], Part]] = {
    "text": _text,
    "input_text": _text,
    "output_text": _text,
    "reasoning": reasoning,
    "thinking": thinking,
    "refusal": _refusal,
    "tool_call": call_in,
    "invalid_tool_call": call_in,
    "tool_call_chunk": call_in,
    "tool_use": call_in,
    "function_call": call_in,
    "custom_tool_call": call_in,
    "input_json_delta": call_in,
    "tool_result": _tool_result,
    "image": standard_media,
    "audio": standard_media,
    "video": standard_media,
    "file": standard_media,
    "document": sourced_media,
    "image_url": image_url,
    "input_image": input_image,
    "input_audio": input_audio,
    "input_file": openai_file,
    "text-plain": plain_text,
    "search_result": search_source,
    **dict.fromkeys(ITEMS_OF_RESULTS, item),
}
