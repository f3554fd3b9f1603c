"""JSON schemas of pydantic classes, as tools and as answers: always of an object, and closed if required."""

from __future__ import annotations

from typing import Any
from weakref import WeakKeyDictionary

from pydantic import BaseModel, RootModel
from pydantic.errors import PydanticUserError

from cfaig_integrations.adapters.tools import closed_schema
from cfaig_integrations.errors import ConfigError

ROOT = "root"
"""Key that holds a value that is not an object; pydantic's own name for the field of a `RootModel`."""

_schemas: WeakKeyDictionary[type[BaseModel], dict[bool, dict[str, Any]]] = WeakKeyDictionary()
"""Class -> whether its schema is closed -> schema."""
_descriptions: WeakKeyDictionary[type[BaseModel], str] = WeakKeyDictionary()


def is_wrapped(kind: type[BaseModel]) -> bool:
    """Whether the schema of a class is that of an object with the value under `ROOT`."""
    return issubclass(kind, RootModel)


def object_schema(kind: type[BaseModel], *, closed: bool = False) -> dict[str, Any]:
    """The schema of a class without its name and description, which are sent separately; cached, not to be changed.

    The value of a `RootModel` is under `ROOT`, because servers accept only the schemas of objects.

    Args:
        kind: The class.
        closed: Adapt it to OpenAI's strict form.

    Raises:
        ConfigError: The class has no schema, or is not a pydantic class.
    """
    if not (isinstance(kind, type) and issubclass(kind, BaseModel)):  # pyright: ignore[reportUnnecessaryIsInstance]  # a user's value
        raise ConfigError(
            f"{kind!r} is not a pydantic class.",
            field="output_cls",
            value=kind,
            remedy="Give a subclass of BaseModel; RootModel[list[int]] is one, too.",
        )
    schemas = _schemas.setdefault(kind, {})
    if closed not in schemas:
        schema = _generate(kind)
        schemas[closed] = closed_schema(schema) if closed else schema
    return schemas[closed]


def description_of(kind: type[BaseModel]) -> str:
    """The description in the schema of a class, for the model.

    Raises:
        ConfigError: As of `object_schema`.
    """
    object_schema(kind)
    return _descriptions[kind]


def _generate(kind: type[BaseModel]) -> dict[str, Any]:
    try:
        schema = kind.model_json_schema()
    except PydanticUserError as error:
        raise ConfigError(
            f"{kind.__name__} has no JSON schema: {error}",
            field="output_cls",
            value=kind,
            remedy="Use types that are defined and that JSON has, or give a field a schema with "
            "pydantic.WithJsonSchema.",
        ) from error
    _descriptions[kind] = str(schema.get("description") or "")
    definitions = {"$defs": schema.pop("$defs")} if "$defs" in schema else {}
    if is_wrapped(kind):
        schema = {"type": "object", "properties": {ROOT: schema}, "required": [ROOT]}
    elif "$ref" in schema:  # a class that refers to itself
        schema = definitions["$defs"][schema["$ref"].removeprefix("#/$defs/")]
    return {key: value for key, value in schema.items() if key not in ("title", "description")} | definitions
