"""Helpers of all encoders: ids, arguments, schemas, tools, and the user's further body fields."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import cast
from weakref import WeakKeyDictionary

from pydantic_core import from_json

from cfaig_integrations.core.chat import ChatRequest, FunctionTool, NamedTool, NativeTool, ToolChoice
from cfaig_integrations.core.content import Json, JsonDict
from cfaig_integrations.core.legal import digest
from cfaig_integrations.core.text import read_arguments
from cfaig_integrations.errors import ConfigError
from cfaig_integrations.wire.codec import Quirks
from cfaig_integrations.wire.jsonio import SharedObject, dump_text
from cfaig_integrations.wire.limits import has_tools

_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
_MAYBE_HUGE = re.compile(r"[0-9](?:[eE]\+?[0-9]{3}|[0-9]{308})")
"""Numbers that become infinite, which JSON cannot express."""


def call_id(id_: str, prefix: str = "call_") -> str:
    """A tool call's id; one that servers would refuse is hashed, the same way wherever it occurs."""
    return id_ if _ID.fullmatch(id_) else prefix + digest(id_)[:24]


def arguments_object(text: str) -> JsonDict:
    """The arguments of a call in a history as the one JSON object that every server requires (facts §14.3).

    Empty text means no arguments. Text that is not one JSON object (a truncated answer, a model's mistake) is wrapped,
    so that the model sees what it wrote.
    """
    return _strict_object(text) or cast("JsonDict", from_json(_repaired(text)))


def arguments_text(text: str) -> str:
    """The same as JSON text; what is one JSON object already stays as it is."""
    return text if _strict_object(text) is not None else _repaired(text)


def _strict_object(text: str) -> JsonDict | None:
    try:
        value = from_json(text, allow_inf_nan=False)
        if _MAYBE_HUGE.search(text):
            from_json(dump_text(value), allow_inf_nan=False)
    except (ValueError, TypeError):  # the latter of half a surrogate pair
        return None
    return cast("JsonDict", value) if isinstance(value, dict) else None


def _repaired(text: str) -> str:
    try:
        repaired = dump_text(read_arguments(text))
    except (ValueError, RecursionError):
        repaired = ""
    return repaired if _strict_object(repaired) is not None else dump_text({"invalid_arguments": text})


def parameters_of(tool: FunctionTool) -> Json:
    """The schema of a tool's arguments, with the `type` and `properties` that servers require (facts §14.3).

    Raises:
        ConfigError: It is not the schema of an object.
    """
    return object_schema(tool.parameters, f"The schema of the tool {tool.name!r}", "tools")


def object_schema(schema: Json, what: str, field: str) -> Json:
    """A schema with `type` and `properties`, if it describes an object.

    Args:
        schema: The schema. A reference at its top to one of its definitions is replaced by the definition.
        what: The schema in words, for the error.
        field: The argument that it was passed as.

    Raises:
        ConfigError: It does not describe an object.
    """
    if not isinstance(schema, Mapping):  # pyright: ignore[reportUnnecessaryIsInstance]  # a user's value
        schema = {"type": type(schema).__name__}
    if schema.get("type") == "object" and isinstance(schema.get("properties"), Mapping):
        return schema
    whole = dict(schema)
    if isinstance(reference := whole.get("$ref"), str) and reference.startswith("#/$defs/"):
        definitions: Json = whole.get("$defs") or {}
        definition = definitions.get(reference.removeprefix("#/$defs/"))
        if isinstance(definition, Mapping):
            del whole["$ref"]
            whole = {**cast("Json", definition), **whole}
    kind: object = whole.get("type") or "object"
    properties: object = whole.get("properties") or {}
    if (kind != "object" and not (isinstance(kind, list) and "object" in kind)) or not isinstance(properties, Mapping):
        raise ConfigError(
            f"{what} does not describe an object.",
            field=field,
            value=dict(schema),
            remedy='Pass {"type": "object", "properties": {...}}, and put other values into a property.',
        )
    return {**whole, "type": "object", "properties": properties}


def answer_schema(schema: Json) -> Json:
    """An output schema: that of an object has `properties`, others stay as they are."""
    is_mapping = isinstance(schema, Mapping)  # pyright: ignore[reportUnnecessaryIsInstance]  # a user's value
    if is_mapping and (schema.get("type") != "object" or isinstance(schema.get("properties"), Mapping)):
        return schema
    return object_schema(schema, "The schema of the answer", "output")


def too_deep() -> ConfigError:
    """The error for an output schema that is nested too deeply to be rewritten."""
    return ConfigError("The schema is nested too deeply.", field="output", remedy="Use one of at most 200 levels.")


def effective_tool_choice(request: ChatRequest, quirks: Quirks) -> ToolChoice | None:
    """The tool choice in the form that the model obeys; None if there is none to send, or no tool to choose."""
    choice = request.tool_choice
    if choice is None or not has_tools(request):
        return None
    match choice, request.tools:
        case "required", (FunctionTool(name),) if quirks.required_as_named or quirks.single_as_named:
            return NamedTool(name)
        case _:
            return choice


def add_tools(
    body: JsonDict,
    request: ChatRequest,
    quirks: Quirks,
    *,
    function: Callable[[FunctionTool], JsonDict],
    named_choice: Callable[[str, ChatRequest], JsonDict],
) -> None:
    """Adds `tools`, `tool_choice` and `parallel_tool_calls` as OpenAI's formats have them.

    Args:
        body: The body.
        request: The request.
        quirks: Properties of the model.
        function: Encodes a function tool.
        named_choice: Encodes the choice of a tool by its name.
    """
    if request.tools:
        body["tools"] = [dict(tool.raw) if isinstance(tool, NativeTool) else function(tool) for tool in request.tools]
    choice = effective_tool_choice(request, quirks)
    if choice is not None:
        body["tool_choice"] = named_choice(choice.name, request) if isinstance(choice, NamedTool) else choice
    if request.parallel_tool_calls is not None and quirks.parallel_choice and has_tools(request):
        body["parallel_tool_calls"] = request.parallel_tool_calls


def once_per_tool(encode: Callable[[FunctionTool], JsonDict]) -> Callable[[FunctionTool], JsonDict]:
    """The encoder, remembering each tool's encoded form, and its JSON, for as long as the tool lives.

    The form must not be changed, as requests share it.
    """
    forms: WeakKeyDictionary[FunctionTool, SharedObject] = WeakKeyDictionary()

    def encode_once(tool: FunctionTool) -> JsonDict:
        form = forms.get(tool)
        if form is None:
            form = forms[tool] = SharedObject(encode(tool))
        return form

    return encode_once


_CONVERSATION = frozenset({"messages", "input", "system"})


def add_extra_body(body: JsonDict, extra: Json) -> None:
    """Adds the user's further body fields: objects and lists are merged, any other value replaces ours.

    Raises:
        ConfigError: A field contradicts another argument, and only one of them could be sent.
    """
    for key, theirs in extra.items():
        ours = body.get(key)
        if key in _CONVERSATION and ours:
            raise _conflict(key, "Pass the conversation as messages only.")
        body[key] = theirs if ours is None else _merged(key, ours, theirs)


def _merged(name: str, ours: object, theirs: object) -> object:
    if isinstance(ours, list) and isinstance(theirs, list | tuple):
        present = cast("list[object]", ours)
        return [*present, *(value for value in cast("list[object]", theirs) if value not in present)]
    if isinstance(ours, dict) and isinstance(theirs, Mapping):
        mine, yours = cast("JsonDict", ours), cast("Json", theirs)
        if mine.get("type") != yours.get("type", mine.get("type")):
            raise _conflict(name, "Pass one of them.")
        return {
            **mine,
            **{key: _merged(f"{name}.{key}", mine[key], yours[key]) if key in mine else yours[key] for key in yours},
        }
    if isinstance(ours, dict | list) and theirs != ours:
        raise _conflict(name, "Pass one of them.")
    return theirs


def _conflict(name: str, remedy: str) -> ConfigError:
    what = f"{name!r} in extra_body contradicts another argument of the request."
    return ConfigError(what, field="extra_body", value=name, remedy=remedy)
