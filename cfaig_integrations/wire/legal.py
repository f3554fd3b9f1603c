"""What every wire writes so that servers take it: ids, arguments, schemas, tool choices, and what a user adds."""

from __future__ import annotations

import re
from collections.abc import Mapping
from hashlib import sha256
from typing import Any, cast

from pydantic_core import from_json

from cfaig_integrations.core.chat import ChatRequest, FunctionTool, NamedTool, ToolChoice
from cfaig_integrations.core.content import Json
from cfaig_integrations.core.text import read_arguments
from cfaig_integrations.errors import ConfigError
from cfaig_integrations.wire.codec import Quirks
from cfaig_integrations.wire.jsonio import dump_text

_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
_MAYBE_HUGE = re.compile(r"\d[eE]\+?\d{3}|\d{309}")
"""Numbers that become infinite, which JSON cannot say."""


def call_id(id_: str, legal: re.Pattern[str] = _ID, prefix: str = "call_") -> str:
    """A tool call's id as a wire takes it: one that it would refuse is hashed, the same way wherever it occurs."""
    return id_ if legal.fullmatch(id_) else prefix + digest(id_)[:24]


def digest(text: str) -> str:
    """SHA-256 of any text, in hex."""
    return sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def arguments_object(text: str) -> dict[str, Any]:
    """The arguments of a call in a history as the one JSON object that every server demands (facts §14.3).

    No text is no arguments. Text that is not one JSON object (an answer that was cut, a model's mistake) is wrapped, so
    that the model sees what it wrote.
    """
    return _strict(text) or cast("dict[str, Any]", from_json(_repaired(text)))


def arguments_text(text: str) -> str:
    """The same as JSON text; what is one JSON object already stays as it is."""
    return text if _strict(text) is not None else _repaired(text)


def _strict(text: str) -> dict[str, Any] | None:
    try:
        value = from_json(text, allow_inf_nan=False)
        if _MAYBE_HUGE.search(text):
            from_json(dump_text(value), allow_inf_nan=False)
    except (ValueError, TypeError):  # the latter of half a surrogate pair
        return None
    return cast("dict[str, Any]", value) if isinstance(value, dict) else None


def _repaired(text: str) -> str:
    try:
        made = dump_text(read_arguments(text))
    except (ValueError, RecursionError):
        made = ""
    return made if _strict(made) is not None else dump_text({"invalid_arguments": text})


def parameters_of(tool: FunctionTool) -> Json:
    """The schema of a tool's arguments, with the `type` and `properties` that servers demand (facts §14.3).

    Raises:
        ConfigError: It is the schema of something else than an object.
    """
    return object_schema(tool.parameters, f"The parameters of the tool {tool.name!r}", "tools")


def object_schema(schema: Json, what: str, field: str) -> Json:
    """A schema with `type` and `properties`, if it is one of an object.

    Args:
        schema: The schema. A reference at its top to one of its own definitions is written out.
        what: What it is the schema of, for the error.
        field: The argument it was given as.

    Raises:
        ConfigError: It is the schema of something else.
    """
    if not isinstance(schema, Mapping):  # pyright: ignore[reportUnnecessaryIsInstance]  # a user's value
        schema = {"type": type(schema).__name__}
    if schema.get("type") == "object" and isinstance(schema.get("properties"), Mapping):
        return schema
    whole = dict(schema)
    if isinstance(where := whole.get("$ref"), str) and where.startswith("#/$defs/"):
        definitions: Json = whole.get("$defs") or {}
        own = definitions.get(where.removeprefix("#/$defs/"))
        if isinstance(own, Mapping):
            del whole["$ref"]
            whole = {**cast("Json", own), **whole}
    kind: Any = whole.get("type") or "object"
    properties: Any = whole.get("properties") or {}
    if (kind != "object" and not (isinstance(kind, list) and "object" in kind)) or not isinstance(properties, Mapping):
        raise ConfigError(
            f"{what} are no JSON schema of an object.",
            field=field,
            value=dict(schema),
            remedy='Give {"type": "object", "properties": {...}}, and put other values into a property.',
        )
    return {**whole, "type": "object", "properties": properties}


def answer_schema(schema: Json) -> Json:
    """An output schema: that of an object has `properties`, others stay as they are."""
    is_mapping = isinstance(schema, Mapping)  # pyright: ignore[reportUnnecessaryIsInstance]  # a user's value
    if is_mapping and (schema.get("type") != "object" or isinstance(schema.get("properties"), Mapping)):
        return schema
    return object_schema(schema, "The keys of the answer", "output")


def too_deep(field: str) -> ConfigError:
    """The error for a schema that is nested too deeply to be rewritten."""
    return ConfigError("The schema is nested too deeply.", field=field, remedy="Use one of at most 200 levels.")


def chosen(request: ChatRequest, quirks: Quirks) -> ToolChoice | None:
    """The tool choice that a model takes; None if there is none to send, or no tool to choose.

    Raises:
        ConfigError: The model refuses such a choice.
    """
    choice = request.tool_choice
    if choice is None or not has_tools(request):
        return None
    if quirks.no_forced_tool and choice not in ("auto", "none"):
        raise _refused(request, 'Use tool_choice="auto", and ask for the tool in the prompt.')
    if choice == "required" and (quirks.required_as_named or quirks.single_as_named):
        match request.tools:
            case (FunctionTool(name=name),):
                return NamedTool(name)
            case _ if quirks.required_as_named:
                raise _refused(request, "Bind a single tool, or name the tool.")
            case _:
                pass
    return choice


def has_tools(request: ChatRequest) -> bool:
    """Whether there are tools to choose from; servers refuse a choice without any."""
    return bool(request.tools or request.extra_body.get("tools"))


def _refused(request: ChatRequest, remedy: str) -> ConfigError:
    choice = request.tool_choice
    value = choice.name if isinstance(choice, NamedTool) else choice
    what = f"{request.model} refuses tool_choice {value!r}."
    return ConfigError(what, field="tool_choice", value=value, remedy=remedy)


def require_taken(request: ChatRequest, quirks: Quirks) -> None:
    """Lets a request through whose parameters the model takes.

    Raises:
        ConfigError: It has no field for one, or does not know the value.
    """
    for field in quirks.refused:
        value = getattr(request, field)
        if value is not None and value != ():
            what = f"{request.model} has no {field}."
            raise ConfigError(what, field=field, value=value, remedy="Leave it out, or use another model.")
    effort = request.reasoning_effort or (request.reasoning or {}).get("effort")
    if quirks.efforts and effort is not None and effort not in quirks.efforts:
        raise ConfigError(
            f"{request.model} does not take the reasoning effort {effort!r}.",
            field="reasoning_effort",
            value=effort,
            remedy=f"Use one of: {', '.join(quirks.efforts)}.",
        )
    if request.output is not None and request.output.schema is None and not quirks.json_object:
        raise ConfigError(
            f"{request.model} cannot be asked for JSON without a schema.", field="output", remedy="Give a schema."
        )


_CONVERSATION = frozenset({"messages", "input", "system"})


def add_extra(body: dict[str, Any], extra: Json) -> None:
    """Adds a user's own body fields: objects and lists to ours, key by key; of other values, theirs count.

    Raises:
        ConfigError: Both say something else of the same thing, and only one could be sent.
    """
    for key, theirs in extra.items():
        ours = body.get(key)
        if key in _CONVERSATION and ours:
            raise _twice(key, "Give the conversation as messages alone.")
        body[key] = theirs if ours is None else _both(key, ours, theirs)


def _both(name: str, ours: Any, theirs: Any) -> Any:
    if isinstance(ours, list) and isinstance(theirs, list | tuple):
        known = cast("list[object]", ours)
        return [*known, *(value for value in cast("list[object]", theirs) if value not in known)]
    if isinstance(ours, dict) and isinstance(theirs, Mapping):
        mine, yours = cast("dict[str, Any]", ours), cast("Json", theirs)
        if mine.get("type") != yours.get("type", mine.get("type")):
            raise _twice(name, "Give one of them.")
        return {
            **mine,
            **{key: _both(f"{name}.{key}", mine[key], yours[key]) if key in mine else yours[key] for key in yours},
        }
    if isinstance(ours, dict | list) and theirs != ours:
        raise _twice(name, "Give one of them.")
    return theirs


def _twice(name: str, remedy: str) -> ConfigError:
    what = f"extra_body has {name!r}, which the request says otherwise."
    return ConfigError(what, field="extra_body", value=name, remedy=remedy)
