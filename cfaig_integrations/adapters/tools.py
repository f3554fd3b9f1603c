"""Tools and tool choices as dicts, in the forms in which the users of every framework write them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

from cfaig_integrations.core.chat import FunctionTool, NamedTool, NativeTool, ToolChoice, ToolSpec
from cfaig_integrations.core.content import NO_EXTRAS, Extras, Json
from cfaig_integrations.core.hints import tool_hints
from cfaig_integrations.core.replay import canonical
from cfaig_integrations.errors import ConfigError, invalid, shown
from cfaig_integrations.gateway.models.profiles import profile_of
from cfaig_integrations.gateway.models.routes import Api, refuses_force

MARKERS = ("cache_control", "defer_loading", "eager_input_streaming", "input_examples", "allowed_callers")
"""Keys of Anthropic's tool object that are not part of the function."""
_OPENAI_MARKERS = ("defer_loading", "allowed_callers")
"""Those of them that OpenAI's flat form has, too (official type `FunctionToolParam`)."""
_SHARED_MARKERS = ("defer_loading",)
"""Those of which both providers take the same values."""
_NO_PARAMETERS: Mapping[str, Any] = {"type": "object", "properties": {}}


def marker_hints(markers: Json) -> Extras:
    """A tool's markers in the forms of the providers that have them."""
    return tool_hints(anthropic=markers, openai={key: markers[key] for key in _SHARED_MARKERS if key in markers})


class BoundTool(dict[str, Any]):
    """A tool as a dict in OpenAI's form, as a framework's observers see it, together with its converted value.

    It is equal to the dict. A call that is passed one converts nothing.
    """

    __slots__ = ("spec",)

    def __init__(self, form: Mapping[str, Any], spec: ToolSpec) -> None:
        super().__init__(form)
        self.spec = spec


def tool_of_mapping(tool: Mapping[str, Any], *, strict: bool | None = None) -> BoundTool:
    """A tool in OpenAI's form (nested, or flat as on Responses) or Anthropic's; any other is a provider's built-in one.

    Args:
        tool: The dict.
        strict: Whether arguments must match the schema exactly; overrides the dict. True also closes the schema.

    Raises:
        ConfigError: It is not a tool.
    """
    kind = tool.get("type")
    markers = {key: tool[key] for key in MARKERS if key in tool}
    extras = marker_hints(markers)
    match tool:
        case {"input_schema": parameters} if kind in (None, "custom"):
            function = {"name": tool.get("name"), "parameters": parameters}
            function |= {key: tool[key] for key in ("description", "strict") if key in tool}
        case {"type": "function", "function": Mapping()}:
            function = dict(cast("Mapping[str, Any]", tool["function"]))
        case {"type": "function", "name": _}:
            function = {key: value for key, value in tool.items() if key != "type" and key not in MARKERS}
            extras = tool_hints(anthropic=markers, openai={key: tool[key] for key in _OPENAI_MARKERS if key in tool})
        case {"type": "function"}:
            raise _nameless(tool)
        case {"type": str()} if kind != "object":
            return BoundTool(tool, NativeTool(dict(tool)))
        case _:
            raise ConfigError(
                f"{shown(tool)} is not a tool.",
                field="tools",
                value=tool,
                remedy='Give OpenAI\'s form {"type": "function", "function": {"name", "description", "parameters"}}.',
            )
    if strict is not None:
        function["strict"] = strict
    if strict:
        function["parameters"] = closed_schema(function.get("parameters") or _NO_PARAMETERS)
    bound = tool_of_function(function, extras)
    bound.update(markers)
    return bound


def tool_of_function(function: Mapping[str, Any], extras: Extras = NO_EXTRAS) -> BoundTool:
    """A tool from OpenAI's function object.

    Args:
        function: `name`, `description`, `parameters` and optionally `strict`.
        extras: Keys that only one wire understands.

    Raises:
        ConfigError: It has no name.
    """
    name = function.get("name")
    if not isinstance(name, str) or not name:
        raise _nameless(function)
    parameters: Mapping[str, Any] = function.get("parameters") or _NO_PARAMETERS
    description = str(function.get("description") or "")
    spec = FunctionTool(name, description, parameters, function.get("strict"), extras)
    return BoundTool({"type": "function", "function": dict(function)}, spec)


def _nameless(tool: Mapping[str, Any]) -> ConfigError:
    return ConfigError("A tool has no name.", field="tools", value=tool, remedy='Give it a "name".')


def choice_among(choice: Any, tools: Sequence[ToolSpec]) -> ToolChoice | None:
    """A tool choice in any of its forms: a keyword, True, a tool's name, OpenAI's or Anthropic's dict.

    Raises:
        ConfigError: It names a tool that is not among the tools, or has an unknown form.
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
            remedy = 'Use "auto", "none", "any", "required", True or the name of a tool.'
            raise invalid("tool_choice", choice, "has an unknown form", remedy)


def _named(name: str, tools: Sequence[ToolSpec]) -> NamedTool:
    names: list[str] = []
    for tool in tools:
        if isinstance(tool, FunctionTool):
            names.append(tool.name)
        else:
            names += [str(tool.raw[key]) for key in ("name", "type") if key in tool.raw]
    if name not in names:
        raise ConfigError(
            f"tool_choice names {name!r}, which is not among the tools.",
            field="tool_choice",
            value=name,
            remedy=f"Available: {', '.join(names) or 'no tools'}.",
        )
    return NamedTool(name)


def arguments_text(arguments: object, *, field: str) -> str:
    """The arguments of a call in a framework's message as JSON text; a string is returned unchanged.

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


def can_force_tool(model: str, api: Api, thinking: Mapping[str, Any] | None) -> bool:
    """Whether a model can be made to call a tool; Anthropic's models refuse a forced call while they think."""
    profile = profile_of(model)
    is_thinking = thinking is not None and thinking.get("type") != "disabled"
    return (profile.tool_choice or not profile.is_listed) and not refuses_force(model, api) and not is_thinking


def tools_at_once(parallel: bool | None, choice: Any) -> bool | None:
    """Whether several tools may be called at once, which Anthropic's form of a tool choice says, too."""
    match choice:
        case {"disable_parallel_tool_use": bool(disabled)} if parallel is None:
            return not disabled
        case _:
            return parallel


def closed_schema(schema: Mapping[str, Any]) -> dict[str, Any]:
    """A JSON schema in OpenAI's strict form: every object has exactly the properties of the schema, all required.

    That form allows no defaults, which are removed, and no keys next to a `$ref`, which moves into an `anyOf`; a schema
    that is one of its own definitions is written out. An object with arbitrary keys is left open, because it would be
    empty if it were closed, and the server may refuse it.

    Raises:
        ConfigError: It is nested too deeply, or not a schema.
    """
    try:
        return _closed_object(schema)
    except RecursionError:
        raise ConfigError(
            "The schema is nested too deeply.", field="tools", remedy="Use one of at most 200 levels."
        ) from None
    except (AttributeError, TypeError):
        raise ConfigError(
            f"{shown(schema)} is not the JSON schema of an object.",
            field="tools",
            value=schema,
            remedy='Give {"type": "object", "properties": {...}}.',
        ) from None


def _closed_object(schema: Mapping[str, Any]) -> dict[str, Any]:
    closed: dict[str, Any] = {key: _closed_value(key, value) for key, value in schema.items() if key != "default"}
    if "$ref" in closed and len(closed) > 1:
        reference: str = closed.pop("$ref")
        target: dict[str, Any] | None = closed.get("$defs", {}).get(reference.removeprefix("#/$defs/"))
        closed = {**target, **closed} if target else {**closed, "anyOf": [{"$ref": reference}]}
    if "properties" in closed:
        closed.setdefault("type", "object")
    if closed.get("type") == "object" and ("properties" in closed or not closed.get("additionalProperties")):
        properties: dict[str, Any] = closed.get("properties") or {}
        closed |= {"properties": properties, "required": list(properties)}
        closed["additionalProperties"] = False
    return closed


def _closed_value(key: str, value: Any) -> object:
    match key:
        case "properties" | "$defs" if value is not None:  # whose keys are names
            return {name: _closed(schema) for name, schema in cast("Mapping[str, Any]", value).items()}
        case "enum" | "const" | "examples":
            return value
        case _:
            return _closed(value)


def _closed(schema: object) -> object:
    if isinstance(schema, list):
        return [_closed(each) for each in cast("Sequence[object]", schema)]
    return _closed_object(cast("Mapping[str, Any]", schema)) if isinstance(schema, Mapping) else schema
