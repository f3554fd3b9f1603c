"""What a request can hold that a format or a model cannot carry: the checks that the formats share.

Each format's `limits.py` yields an error for everything that it cannot carry. Its encoder raises the first one, and
`api="auto"` chooses a format that yields none.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from operator import attrgetter

from cfaig_integrations.core.chat import ChatRequest, FunctionTool, NamedTool, NativeTool
from cfaig_integrations.core.content import (
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
    Wire,
)
from cfaig_integrations.errors import ConfigError, UnsupportedContent
from cfaig_integrations.wire.codec import Quirks

_NO_EFFECT: Mapping[str, object] = {"n": 1, "logprobs": False, "stop": ()}
"""Values that ask for what every server does anyway."""
ANTHROPIC_FIELDS = ("output_config", "mcp_servers", "container", "inference_geo", "betas")
"""Fields that only Anthropic's format has (official request types)."""


class MissingFields:
    """The fields of a request that a format does not have.

    Args:
        wire: The format.
        remedies: Name of each field, and what to do instead.
    """

    def __init__(self, wire: Wire, remedies: Mapping[str, str]) -> None:
        self._wire = wire
        self._remedies = remedies
        self._values = attrgetter(*remedies)
        self._unset = self._values(ChatRequest("", ()))

    def limits(self, request: ChatRequest) -> Iterator[ConfigError]:
        """Errors for those that are set."""
        if self._values(request) == self._unset:  # the fast path of nearly all requests
            return
        for field, remedy in self._remedies.items():
            value = getattr(request, field)
            if value is not None and value != _NO_EFFECT.get(field):
                visible = None if field == "mcp_servers" else value  # which may contain a key
                yield ConfigError(f"The {self._wire} format has no {field}.", field=field, value=visible, remedy=remedy)


def model_limits(request: ChatRequest, quirks: Quirks) -> Iterator[ConfigError]:
    """Errors for parameters and values that the model refuses."""
    for field in quirks.refused:
        value = getattr(request, field)
        if value is not None and value != ():
            what = f"{request.model} has no {field}."
            yield ConfigError(what, field=field, value=value, remedy="Remove it, or use another model.")
    if quirks.efforts:
        effort = request.reasoning_effort or (request.reasoning or request.output_config or {}).get("effort")
        if effort is not None and effort not in quirks.efforts:
            yield ConfigError(
                f"{request.model} does not take the reasoning effort {effort!r}.",
                field="reasoning_effort",
                value=effort,
                remedy=f"Use one of: {', '.join(quirks.efforts)}.",
            )
    if not quirks.json_object and request.output is not None and request.output.schema is None:
        yield ConfigError(
            f"{request.model} cannot be asked for JSON without a schema.", field="output", remedy="Pass a schema."
        )
    if request.tool_choice not in (None, "auto", "none") and has_tools(request):
        yield from _choice_limits(request, quirks)


def has_tools(request: ChatRequest) -> bool:
    """Whether there are tools to choose from; servers refuse a choice without any."""
    return bool(request.tools or request.extra_body.get("tools"))


def _choice_limits(request: ChatRequest, quirks: Quirks) -> Iterator[ConfigError]:
    choice, single = request.tool_choice, len(request.tools) == 1 and isinstance(request.tools[0], FunctionTool)
    if quirks.no_forced_tool:
        remedy = 'Use tool_choice="auto", and ask for the tool in the prompt.'
    elif choice == "required" and quirks.required_as_named and not single:
        remedy = "Bind a single tool, or name the tool."
    else:
        return
    value = choice.name if isinstance(choice, NamedTool) else choice
    what = f"{request.model} refuses tool_choice {value!r}."
    yield ConfigError(what, field="tool_choice", value=value, remedy=remedy)


def part_limits(
    request: ChatRequest,
    quirks: Quirks,
    roles: Mapping[Role, tuple[type[Part], ...]],
    content_limits: Callable[[Part, Role | None, Quirks], Iterator[UnsupportedContent]],
) -> Iterator[UnsupportedContent]:
    """Errors for parts of a conversation.

    Args:
        request: The request.
        quirks: Properties of the model.
        roles: What the turns of each role can contain.
        content_limits: Errors for a part that its turn can contain; the role is None within a tool's result.
    """
    for part, role in _unusual_parts(request.turns):
        if not isinstance(part, roles[role]):
            yield misplaced(part, role)
        elif isinstance(part, ToolResult):
            for inner in part.parts:
                yield from content_limits(inner, None, quirks)
        else:
            yield from content_limits(part, role, quirks)


def _unusual_parts(turns: Iterable[Turn]) -> list[tuple[Part, Role]]:
    """The parts and their roles, without those that every format carries and that most histories consist of."""
    unusual: list[tuple[Part, Role]] = []
    for turn in turns:
        role = turn.role
        for part in turn.parts:
            kind = type(part)
            if kind is Text:
                if role != "tool":
                    continue
            elif kind is ToolCall:
                if role == "assistant":
                    continue
            elif type(part) is ToolResult and role == "tool" and len(part.parts) == 1 and type(part.parts[0]) is Text:
                continue
            unusual.append((part, role))
    return unusual


def misplaced(part: Part, role: Role) -> UnsupportedContent:
    """The error for a part that the turns of a role cannot contain."""
    kind = part.kind if isinstance(part, Media) else type(part).__name__
    match part:
        case Reasoning() | Refusal() | ToolCall():
            target = "an assistant turn"
        case ToolResult():
            target = "a tool turn"
        case _ if role == "tool":
            target = "a ToolResult, or into a user turn"
        case _:
            target = "a user turn"
    return UnsupportedContent(
        f"{'An' if role == 'assistant' else 'A'} {role} turn cannot contain this {kind} part.",
        field="turns",
        value=kind,
        remedy=f"Put it into {target}.",
    )


def media_limits(media: Media, quirks: Quirks) -> Iterator[UnsupportedContent]:
    """Errors for bytes of unknown type, and for addresses that the model's host does not fetch (facts §9.2)."""
    if not (media.url or media.file_id or media.mime):
        yield UnsupportedContent(
            f"The bytes of this {media.kind} cannot be sent without their media type.",
            field="mime",
            value=media.mime,
            remedy="Pass the media type, such as image/png or application/pdf.",
        )
    if media.url and media.kind == "image" and quirks.data_urls_only:
        yield UnsupportedContent(
            "This model takes no remote images.",
            field="url",
            value=media.url,
            remedy="Pass the image's bytes in base64.",
        )


_SERVER_TOOL_BLOCKS: Mapping[Wire, frozenset[str]] = {
    "messages": frozenset(
        {
            *("advisor_tool_result", "bash_code_execution_tool_result", "code_execution_tool_result", "fallback"),
            *("mcp_tool_result", "mcp_tool_use", "redacted_thinking", "server_tool_use"),
            *("text_editor_code_execution_tool_result", "tool_search_tool_result"),
            *("web_fetch_tool_result", "web_search_tool_result"),
        }
    ),
    "responses": frozenset(
        {
            *("code_interpreter_call", "file_search_call", "mcp_call", "mcp_list_tools", "program", "program_output"),
            *("tool_search_call", "tool_search_output", "web_search_call"),
        }
    ),
    "run": frozenset({"executableCode", "codeExecutionResult"}),  # Gemini's parts have a key instead of a type
}
"""Traces of tools that the provider ran: the text that follows them already contains the results."""


def block_limits(block: Opaque, wire: Wire) -> Iterator[UnsupportedContent]:
    """An error for another format's block, unless the conversation can do without it."""
    kind = block.raw.get("type") or next(iter(block.raw), None)
    if block.wire != wire and kind not in _SERVER_TOOL_BLOCKS.get(block.wire, ()):
        yield UnsupportedContent(
            f"A block {kind!r} of the {block.wire} format cannot be sent in the {wire} format.",
            field="turns",
            value=kind,
            remedy=f"Continue this conversation with api={block.wire!r}, or remove the block from the history.",
        )


_FORMATS_OF: Mapping[str, tuple[Wire, ...]] = {
    **dict.fromkeys(("chat_template_kwargs", "enable_search", "logit_bias", "modalities"), ("chat_completions",)),
    **dict.fromkeys(("prediction", "verbosity", "web_search_options"), ("chat_completions",)),
    **dict.fromkeys(("background", "conversation", "include", "instructions"), ("responses",)),
    **dict.fromkeys(("max_tool_calls", "prompt", "text", "truncation"), ("responses",)),
    "context_management": ("responses", "messages"),
}
"""Body field -> the formats that have it (facts §14.4; official request types)."""

# `web_search_20250305`, but not OpenAI's `web_search_preview_2025_03_11`.
_ANTHROPIC_TYPE = re.compile(r".+_20\d{6}|mcp_toolset")
_RESPONSES_TYPES = frozenset(
    {
        *("apply_patch", "code_interpreter", "computer", "computer_use_preview", "custom", "file_search", "function"),
        *("image_generation", "local_shell", "mcp", "namespace", "shell", "tool_search"),
    }
)


def unchecked_limits(request: ChatRequest, wire: Wire) -> Iterator[ConfigError]:
    """Errors for body fields and native tools of another format.

    Only `api="auto"` looks at them: users who choose a format can send it whatever they like.
    """
    for name in request.extra_body:
        if wire not in _FORMATS_OF.get(name, (wire,)):
            yield ConfigError(
                f"The {wire} format has no {name}.",
                field="extra_body",
                value=name,
                remedy="Remove it, or use another api.",
            )
    for tool in request.tools:
        if isinstance(tool, NativeTool) and (owner := _format_of_tool(tool.raw)) not in (None, wire):
            yield ConfigError(
                f"A tool of the {owner} format cannot be sent in the {wire} format.",
                field="tools",
                value=tool.raw,
                remedy=f"Use api={owner!r}.",
            )


def _format_of_tool(raw: Json) -> Wire | None:
    """The format in which a native tool is written (facts §10)."""
    kind = str(raw.get("type") or "")
    if "input_schema" in raw or _ANTHROPIC_TYPE.fullmatch(kind):
        return "messages"
    if kind in ("function", "custom") and kind in raw:
        return "chat_completions"
    return "responses" if kind in _RESPONSES_TYPES or kind.startswith("web_search") else None
