"""JSON schemas of pydantic classes, as tools and as forms of an answer: always of an object, and closed if need be."""

from __future__ import annotations

from typing import Any
from weakref import WeakKeyDictionary

from pydantic import BaseModel, RootModel
from pydantic.errors import PydanticUserError

from cfaig_integrations.adapters.tools import closed_schema
from cfaig_integrations.errors import ConfigError

__all__ = ["ROOT", "description_of", "is_wrapped", "object_schema"]

ROOT = "root"
"""Key that holds what is not an object; pydantic's own name for the field of a `RootModel`."""
_OF_THE_CLASS = frozenset({"title", "description"})
"""What a schema says about the class as a whole, which stands beside the schema when it is sent."""

_known: WeakKeyDictionary[type[BaseModel], dict[bool, dict[str, Any]]] = WeakKeyDictionary()
_described: WeakKeyDictionary[type[BaseModel], str] = WeakKeyDictionary()


def is_wrapped(kind: type[BaseModel]) -> bool:
    """Whether the schema of a class is that of an object with the value under `ROOT`."""
    return issubclass(kind, RootModel)


def object_schema(kind: type[BaseModel], *, closed: bool = False) -> dict[str, Any]:
    """The schema of a class without its name and description. Made once; not to be changed.

    The value of a `RootModel` stands under `ROOT`, because servers take the schemas of objects only.

    Args:
        kind: The class.
        closed: Adapt it to OpenAI's strict mode: no keys but those of the schema, and all of them required.

    Raises:
        ConfigError: The class has no schema, or is none.
    """
    if not (isinstance(kind, type) and issubclass(kind, BaseModel)):  # pyright: ignore[reportUnnecessaryIsInstance]  # a user's value
        raise ConfigError(
            f"{kind!r} is no pydantic class.",
            field="output_cls",
            value=kind,
            remedy="Give a subclass of BaseModel; RootModel[list[int]] is one, too.",
        )
    made = _known.setdefault(kind, {})
    if closed not in made:
        schema = _object_schema(kind)
        made[closed] = closed_schema(schema) if closed else schema
    return made[closed]


def description_of(kind: type[BaseModel]) -> str:
    """What the schema of a class says about it, for the model.

    Raises:
        ConfigError: The class has no schema.
    """
    object_schema(kind)
    return _described[kind]


def _object_schema(kind: type[BaseModel]) -> dict[str, Any]:
    try:
        found = kind.model_json_schema()
    except PydanticUserError as error:
        raise ConfigError(
            f"{kind.__name__} has no JSON schema: {error}",
            field="output_cls",
            value=kind,
            remedy="Use types that are defined and that JSON has, or give a field a schema with "
            "pydantic.WithJsonSchema.",
        ) from error
    _described[kind] = str(found.get("description") or "")
    definitions = {"$defs": found.pop("$defs")} if "$defs" in found else {}
    if is_wrapped(kind):
        found = {"type": "object", "properties": {ROOT: found}, "required": [ROOT]}
    elif "$ref" in found:  # a class that holds itself
        found = definitions["$defs"][found["$ref"].removeprefix("#/$defs/")]
    return {key: value for key, value in found.items() if key not in _OF_THE_CLASS} | definitions
