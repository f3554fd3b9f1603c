"""Schemas in the strict form, and answers that are asked for in it."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from pydantic import BaseModel, Field

from cfaig_integrations.adapters.arguments import output_schema
from cfaig_integrations.adapters.tools import closed_schema


class Leaf(BaseModel):
    size: int = 3


class Tree(BaseModel):
    """A tree."""

    leaf: Leaf = Field(default=Leaf(), description="The biggest.")
    branches: list[Tree] = []


class Book(BaseModel):
    pages: dict[str, int]


def objects(schema: Any) -> list[dict[str, Any]]:
    """All objects of a schema."""
    inner = schema.values() if isinstance(schema, dict) else schema if isinstance(schema, list) else ()
    found = [each for value in inner for each in objects(value)]
    return [schema, *found] if isinstance(schema, dict) and schema.get("type") == "object" else found


def test_every_object_is_closed_and_all_its_keys_are_required() -> None:
    open_ = Tree.model_json_schema()
    before = copy.deepcopy(open_)
    closed = closed_schema(open_)
    assert open_ == before
    assert len(objects(closed)) == 3
    for each in objects(closed):
        assert each["additionalProperties"] is False
        assert each["required"] == [*each["properties"]]
        assert not any("default" in value for value in each["properties"].values())
    assert closed["properties"]["leaf"] == {"description": "The biggest.", "anyOf": [{"$ref": "#/$defs/Leaf"}]}


def test_a_class_that_holds_itself_is_an_object_at_the_root() -> None:
    """OpenAI takes neither a reference nor an `anyOf` there."""
    closed = closed_schema(Tree.model_json_schema())
    assert closed["type"] == "object"
    assert not closed.keys() & {"$ref", "anyOf"}
    assert closed["properties"]["branches"]["items"] == {"$ref": "#/$defs/Tree"}


def test_a_reference_to_elsewhere_stays_one() -> None:
    assert closed_schema({"$ref": "#/definitions/A", "$defs": {}})["anyOf"] == [{"$ref": "#/definitions/A"}]


def test_an_object_with_any_keys_is_not_emptied() -> None:
    pages = closed_schema(Book.model_json_schema())["properties"]["pages"]
    assert pages == {"title": "Pages", "type": "object", "additionalProperties": {"type": "integer"}}


def test_a_schema_with_properties_is_an_object_though_it_does_not_say_so() -> None:
    """A property may have the name of a keyword."""
    point = {"properties": {"x": {"type": "number"}, "properties": {"type": "string"}}}
    closed = closed_schema({"properties": {"from": point}})
    assert closed == closed_schema({"type": "object", "properties": {"from": {"type": "object", **point}}})
    assert len(objects(closed)) == 2


def test_what_is_closed_stays_as_it_is() -> None:
    once = closed_schema(Tree.model_json_schema())
    assert closed_schema(once) == once


@pytest.mark.parametrize("strict", [None, False, True])
def test_only_a_strict_answer_is_closed(strict: bool | None) -> None:
    schema = Leaf.model_json_schema()
    asked = output_schema({"type": "json_schema", "json_schema": {"name": "Leaf", "schema": schema, "strict": strict}})
    assert asked is not None
    assert asked.strict is strict
    assert asked.schema == (closed_schema(schema) if strict else schema)
