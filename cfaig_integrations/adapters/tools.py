"""Tools and tool choices in dicts, in the forms in which the users of every framework write them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

from cfaig_integrations.core.chat import FunctionTool, NamedTool, NativeTool, ToolChoice, ToolSpec
from cfaig_integrations.core.content import NO_EXTRAS, Extras
from cfaig_integrations.core.hints import tool_hints
from cfaig_integrations.core.replay import canonical
from cfaig_integrations.errors import ConfigError, shown

__all__ = [
    "MARKERS",
    "choice_among",
    "closed_schema",
    "spec_names",
    "thinks",
    "tool_of_function",
    "tool_of_mapping",
    "tools_at_once",
]

MARKERS = ("cache_control", "defer_loading", "eager_input_streaming", "input_examples", "allowed_callers")
"""Keys of Anthropic's tool object that are not part of the function."""
_OPENAI_MARKERS = ("defer_loading", "allowed_callers")
"""Those of them that OpenAI's flat form has, too (official type `FunctionToolParam`)."""
_NO_PARAMETERS: Mapping[str, Any] = {"type": "object", "properties": {}}

ToolForm = tuple[dict[str, Any], ToolSpec]
"""A tool in OpenAI's form, for those who watch, and as it is sent."""


def tool_of_mapping(tool: Mapping[str, Any], *, strict: bool | None = None) -> ToolForm:
    """A tool in OpenAI's form (nested, or flat as on Responses) or Anthropic's; any other is a provider's own.

    Args:
        tool: The dict.
        strict: Whether arguments must match the schema exactly, over what the dict says; True also closes the schema.

    Raises:
        ConfigError: It is not a tool.
    """
    kind = tool.get("type")
    markers = {key: tool[key] for key in MARKERS if key in tool}
    flat: dict[str, Any] = {}
    match tool:
        case {"input_schema": parameters} if kind in (None, "custom"):
            function = {"name": tool.get("name"), "parameters": parameters}
            function |= {key: tool[key] for key in ("description", "strict") if key in tool}
        case {"type": "function", "function": Mapping()}:
            function = dict(cast("Mapping[str, Any]", tool["function"]))
        case {"type": "function", "name": _}:
            function = {key: value for key, value in tool.items() if key != "type" and key not in MARKERS}
            flat = {key: tool[key] for key in _OPENAI_MARKERS if key in tool}
        case {"type": "function"}:
            raise _nameless(tool)
        case {"type": str()} if kind != "object":
            return dict(tool), NativeTool(dict(tool))
        case _:
            raise ConfigError(
                f"{tool!r} is not a tool.",
                field="tools",
                value=tool,
                remedy='Give OpenAI\'s form {"type": "function", "function": {"name", "description", "parameters"}}.',
            )
    if strict is not None:
        function["strict"] = strict
    if strict:
        function["parameters"] = closed_schema(function.get("parameters") or _NO_PARAMETERS)
    shown, spec = tool_of_function(function, tool_hints(anthropic=markers, openai=flat))
    return shown | markers, spec


def tool_of_function(function: Mapping[str, Any], extras: Extras = NO_EXTRAS) -> ToolForm:
    """A function in OpenAI's words.

    Args:
        function: `name`, `description`, `parameters` and perhaps `strict`.
        extras: What only one wire knows of it.

    Raises:
        ConfigError: It has no name.
    """
    name = function.get("name")
    if not isinstance(name, str) or not name:
        raise _nameless(function)
    parameters: Mapping[str, Any] = function.get("parameters") or _NO_PARAMETERS
    described = str(function.get("description") or "")
    spec = FunctionTool(name, described, parameters, function.get("strict"), extras)
    return {"type": "function", "function": dict(function)}, spec


def _nameless(tool: Mapping[str, Any]) -> ConfigError:
    return ConfigError("A tool has no name.", field="tools", value=tool, remedy='Give it a "name".')


def choice_among(choice: Any, tools: Sequence[ToolSpec]) -> ToolChoice | None:
    """A tool choice in any of its forms: a word, True, a tool's name, OpenAI's or Anthropic's dict.

    Raises:
        ConfigError: It names a tool that is not there, or is of no known form.
    """
    match choice:
        case None | False:
            return None
        case "auto" | {"type": "auto"}:
            return "auto"
        case "none" | {"type": "none"}:
            return "none"
        case "any" | "required" | True | {"type": "any" | "required"}:
            return "required"
        case (
            str(name)
            | {"type": "function", "function": {"name": str(name)}}
            | {"type": "tool" | "function" | "custom", "name": str(name)}
            | {"type": str(name)}
        ):
            return _named(name, tools)
        case NamedTool():
            return choice
        case _:
            raise ConfigError(
                f"tool_choice {choice!r} is of no known form.",
                field="tool_choice",
                value=choice,
                remedy='Use "auto", "none", "any", "required", True or the name of a tool.',
            )


def _named(name: str, tools: Sequence[ToolSpec]) -> NamedTool:
    names = spec_names(tools)
    if name not in names:
        raise ConfigError(
            f"tool_choice names {name!r}, which is not among the tools.",
            field="tool_choice",
            value=name,
            remedy=f"There are: {', '.join(names) or 'no tools'}.",
        )
    return NamedTool(name)


def spec_names(tools: Sequence[ToolSpec]) -> list[str]:
    """The names by which tools can be chosen."""
    return [
        name
        for tool in tools
        for name in (
            [tool.name]
            if isinstance(tool, FunctionTool)
            else [str(tool.raw[key]) for key in ("name", "type") if key in tool.raw]
        )
    ]


def arguments_text(arguments: object, *, field: str) -> str:
    """The arguments of a call as a framework's message has them, as JSON text; a text as it is.

    Raises:
        ConfigError: They are not JSON.
    """
    try:
        return arguments if isinstance(arguments, str) else canonical(arguments)
    except (TypeError, ValueError, RecursionError) as error:
        raise ConfigError(
            f"The arguments of a tool call are not JSON: {error}.",
            field=field,
            value=type(arguments).__name__,
            remedy="Give strings, numbers, booleans, None, lists and dicts.",
        ) from error


def thinks(thinking: Mapping[str, Any] | None) -> bool:
    """Whether Anthropic's `thinking` object turns thinking on, under which its models refuse a forced tool."""
    return thinking is not None and thinking.get("type") != "disabled"


def tools_at_once(said: bool | None, choice: Any) -> bool | None:
    """Whether several tools may be called at once; Anthropic's form of a choice says it, too."""
    match choice:
        case {"disable_parallel_tool_use": bool(disabled)} if said is None:
            return not disabled
        case _:
            return said


def _closed(schema: object) -> object:
    if isinstance(schema, list):
        return [_closed(each) for each in cast("Sequence[object]", schema)]
    return _closed_object(cast("Mapping[str, Any]", schema)) if isinstance(schema, Mapping) else schema


def closed_schema(schema: Mapping[str, Any]) -> dict[str, Any]:
    """A JSON schema in OpenAI's strict form: no keys but its own, and all of them required.

    It refuses defaults, which are left out, and keys beside a `$ref`, which goes into an `anyOf`; but a schema that is
    one of its own definitions is written out. An object with keys of any name cannot be closed, for it would be empty:
    it stays as it is, and the server says what it thinks of it.

    Raises:
        ConfigError: It is nested too deeply, or no schema.
    """
    try:
        return _closed_object(schema)
    except RecursionError:
        raise ConfigError(
            "The schema is nested too deeply.", field="tools", remedy="Use one of at most 200 levels."
        ) from None
    except (AttributeError, TypeError):
        raise ConfigError(
            f"{shown(schema)} is no JSON schema of an object.",
            field="tools",
            value=schema,
            remedy='Give {"type": "object", "properties": {...}}.',
        ) from None


def _closed_object(schema: Mapping[str, Any]) -> dict[str, Any]:
    made: dict[str, Any] = {key: _closed_value(key, value) for key, value in schema.items() if key != "default"}
    if "$ref" in made and len(made) > 1:
        where: str = made.pop("$ref")
        own: dict[str, Any] | None = made.get("$defs", {}).get(where.removeprefix("#/$defs/"))
        made = {**own, **made} if own else {**made, "anyOf": [{"$ref": where}]}
    if made.get("type") == "object" and ("properties" in made or not made.get("additionalProperties")):
        properties: dict[str, Any] = made.get("properties") or {}
        made |= {"properties": properties, "required": list(properties)}
        made["additionalProperties"] = False
    return made


def _closed_value(key: str, value: Any) -> object:
    match key:
        case "properties" | "$defs" if value is not None:  # whose keys are names
            return {name: _closed(each) for name, each in cast("Mapping[str, Any]", value).items()}
        case "enum" | "const" | "examples":
            return value
        case _:
            return _closed(value)
