"""LangChain messages to turns."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, cast

from langchain_core.messages import (
    AIMessage,
    BaseMessage,
    ChatMessage,
    FunctionMessage,
    HumanMessage,
    SystemMessage,
    ToolMessage,
)

from cfaig_integrations.adapters.tools import arguments_text
from cfaig_integrations.core.chat import Continuation
from cfaig_integrations.core.content import (
    NO_EXTRAS,
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
from cfaig_integrations.core.hints import DEVELOPER_ROLE, audio_id, native_block
from cfaig_integrations.core.replay import restore
from cfaig_integrations.core.text import read_json
from cfaig_integrations.errors import ConfigError
from cfaig_integrations.gateway.continuation import history_digest, reply_digest
from cfaig_integrations.langchain.inbound_blocks import (
    TOOL_OUTPUT_ITEMS,
    Block,
    answer_parts,
    block_parts,
    reasoning,
    result_parts,
)
from cfaig_integrations.langchain.outbound import CUSTOM_INPUT, PROVIDER, REPLAY_KEY, gateway_info

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
_APPROVALS = frozenset({"yes", "y", "true", "ok", "allow", "allowed", "approve", "approved", "accept"})
"""Contents of a tool message that approve an MCP call; any other denies it."""


def to_turns(messages: Sequence[BaseMessage]) -> tuple[Turn, ...]:
    """The conversation as turns.

    Raises:
        ConfigError: A message is of a class or role that cannot be sent.
        UnsupportedContent: A content block is of an unknown type or malformed.
    """
    turns: list[Turn] = []
    for message in messages:
        turn = to_turn(message)
        if turn.role == "user" and not isinstance(message.content, str):
            # Anthropic's form has tool results inside a user message.
            results = tuple([part for part in turn.parts if isinstance(part, ToolResult)])
            if results:
                turns.append(Turn("tool", results))
                turn = replace(turn, parts=tuple([part for part in turn.parts if not isinstance(part, ToolResult)]))
                if not turn.parts:
                    continue
        turns.append(turn)
    return tuple(turns)


def to_turn(message: BaseMessage) -> Turn:
    """One message as a turn."""
    for kind in type(message).__mro__:
        convert = _CONVERTERS.get(kind)
        if convert is not None:
            return convert(message)
    raise ConfigError(
        f"A {type(message).__name__} cannot be sent to a model.",
        field="messages",
        value=type(message).__name__,
        remedy="Send system, human, AI and tool messages.",
    )


def _tool_turn(message: ToolMessage) -> Turn:
    failed = message.status == "error"
    item = message.additional_kwargs.get("type")
    if isinstance(item, str) and item in TOOL_OUTPUT_ITEMS:
        return Turn("user", (_tool_output(item, message.tool_call_id, message.content, failed=failed),))
    return Turn("tool", (ToolResult(message.tool_call_id, result_parts(message.content), failed),))


def _system_turn(message: SystemMessage) -> Turn:
    extras = _role_extras(message.additional_kwargs.get(_OPENAI_ROLE))
    return Turn("system", _content_parts(message.content), message.name or "", extras)


def _role_turn(message: ChatMessage) -> Turn:
    role = message.role
    if role.lower() not in _ROLES:
        raise ConfigError(
            f"A ChatMessage has the unknown role {role!r}.",
            field="role",
            value=role,
            remedy=f"Use one of {', '.join(_ROLES)}.",
        )
    return Turn(_ROLES[role.lower()], _content_parts(message.content), message.name or "", _role_extras(role))


def _content_parts(content: str | Sequence[str | Block]) -> tuple[Part, ...]:
    if isinstance(content, str):
        return (Text(content),) if content else ()
    return block_parts(content)


def _role_extras(role: object) -> Extras:
    return DEVELOPER_ROLE if role == _DEVELOPER else NO_EXTRAS


def _tool_output(kind: str, call_id: str, content: str | Sequence[str | Block], *, failed: bool) -> Opaque:
    """OpenAI's item with the output of a built-in tool; langchain-openai names its type in `additional_kwargs`."""
    output = content if isinstance(content, str) or kind == "shell_call_output" or len(content) != 1 else content[0]
    item: dict[str, Any]
    match kind:
        case "mcp_approval_response":
            approved = not failed and isinstance(output, str) and output.strip().lower() in _APPROVALS
            item = {"approval_request_id": call_id, "approve": approved}
        case "local_shell_call_output":
            item = {"id": call_id, "output": output}
        case "apply_patch_call_output":
            item = {"call_id": call_id, "status": "failed" if failed else "completed", "output": output}
        case _:
            item = {"call_id": call_id, "output": output}
    return native_block("openai", {"type": kind, **item})


def assistant_turn(message: AIMessage) -> Turn:
    """An AI message as a turn, with the order and the extras of the provider's reply where its replay state fits."""
    return restore(shown_turn(message), message.additional_kwargs.get(REPLAY_KEY))


_CONVERTERS: Mapping[type, Callable[[Any], Turn]] = {
    AIMessage: assistant_turn,
    ToolMessage: _tool_turn,
    FunctionMessage: lambda message: Turn("tool", (ToolResult(message.name, result_parts(message.content)),)),
    HumanMessage: lambda message: Turn("user", _content_parts(message.content), message.name or ""),
    SystemMessage: _system_turn,
    ChatMessage: _role_turn,
}
"""Looked up by class, because `isinstance` runs Python code for each pydantic class that does not match."""


def shown_turn(message: AIMessage) -> Turn:
    """An AI message as a turn, without its replay state."""
    calls, kwargs, content = _calls_of(message), message.additional_kwargs, message.content
    name = message.name or ""
    if isinstance(content, str) and not kwargs:
        return Turn("assistant", (Text(content), *calls) if content else tuple(calls), name)
    provider = message.response_metadata.get("model_provider")
    ours = provider == PROVIDER
    # Programs edit the message's own list of calls, and a block only shows where a call belongs. But a message written
    # by hand in a provider's form may have its calls in blocks alone.
    in_blocks_alone = not calls and not ours
    parts: list[Part] = []
    shows_reasoning = False
    for part in answer_parts(content, provider, ours=ours):
        shows_reasoning = shows_reasoning or isinstance(part, Reasoning)
        if isinstance(part, ToolCall):
            call = part if in_blocks_alone else _take_call(calls, part)
            parts += [] if call is None else [call]
        elif not _is_empty(part):
            parts.append(part)
    before: list[Part] = []
    thought, refusal = kwargs.get("reasoning_content"), kwargs.get("refusal")
    if isinstance(thought, str) and thought and not shows_reasoning:
        before.append(Reasoning(thought))
    after: list[Part] = [*calls]
    if isinstance(refusal, str) and refusal and not any(isinstance(part, Refusal) for part in parts):
        after.append(Refusal(refusal))
    return Turn("assistant", (*before, *_openai_parts(kwargs), *parts, *after), name=name)


def _is_empty(part: Part) -> bool:
    if isinstance(part, Text):
        return not part.text and not part.citations
    return isinstance(part, Reasoning) and not part.text and not part.extras


def _openai_parts(kwargs: Mapping[str, Any]) -> Iterator[Part]:
    """What langchain-openai keeps in `additional_kwargs`: reasoning, outputs of the provider's tools, and audio."""
    match kwargs:
        case {"reasoning": {"summary": list()} as item} if _objects(item["summary"]) == item["summary"]:
            yield reasoning(item)
        case _:
            pass
    for output in _objects(kwargs.get("tool_outputs")):
        yield native_block("openai", output)
    match kwargs:
        case {"audio": {"id": str(id_)} as audio} if id_:
            data, transcript = str(audio.get("data") or ""), str(audio.get("transcript") or "")
            yield Media("audio", data=data, text=transcript, extras=audio_id(id_))
        case _:
            pass


def _objects(value: object) -> list[Block]:
    """A list of objects; empty if the value is anything else."""
    items: list[Any] = [*value] if isinstance(value, list) else []  # pyright: ignore[reportUnknownVariableType]
    return items if all(isinstance(item, dict) for item in items) else []


def _calls_of(message: AIMessage) -> list[ToolCall]:
    """The calls in a message's own lists, valid and invalid.

    Raises:
        ConfigError: Their arguments are not JSON.
    """
    calls = [
        ToolCall(call["id"] or "", call["name"], arguments_text(call["args"], field="tool_calls"))
        for call in message.tool_calls
    ]
    if not calls:
        match message.additional_kwargs.get("function_call"):
            case {"name": str(name), "arguments": str(arguments)} if name:
                # OpenAI's call before there were tools, which a function message answers by name.
                calls.append(ToolCall(name, name, arguments))
            case _:
                pass
    for call in message.invalid_tool_calls:
        calls.append(ToolCall(call["id"] or "", call["name"] or "", call["args"] or ""))
    return calls


def _take_call(calls: list[ToolCall], shown: ToolCall) -> ToolCall | None:
    """Removes and returns the listed call that a block shows; None if a program removed it from the message."""
    for number, call in enumerate(calls):
        if call.id == shown.id:
            del calls[number]
            return call if shown.kind == "function" else replace(call, arguments=_free_text(call), kind="custom")
    return None


def _free_text(call: ToolCall) -> str:
    """The input of a free-text tool, which LangChain's list of calls holds as an object."""
    try:
        return str(cast("dict[str, object]", read_json(call.arguments))[CUSTOM_INPUT])
    except (ValueError, KeyError, TypeError):  # not as LangChain wraps it
        return call.arguments


def continuation_of(model: str, messages: Sequence[BaseMessage], turns: tuple[Turn, ...]) -> Continuation:
    """How much of the conversation the provider has stored with its newest reply; nothing if it was edited since."""
    for place in range(len(messages) - 1, -1, -1):
        message = messages[place]
        info = gateway_info(message)
        if info is None or info.history is None:
            continue
        stored = len(turns) - len(to_turns(messages[place + 1 :]))
        if reply_digest(history_digest(model, turns[: stored - 1]), turns[stored - 1]) != info.history:
            break
        return Continuation(str(message.response_metadata.get("id") or ""), stored)
    return Continuation()
