"""Extraction that is validated and patched, and an update of what exists."""

from __future__ import annotations

from pydantic import BaseModel, field_validator
from trustcall import create_extractor

from cfaig_integrations.simulator import Simulator
from tests.third_party.kit import calls, chat_model


class Preferences(BaseModel):
    """What a user likes."""

    name: str
    foods: list[str]

    @field_validator("name")
    @classmethod
    def is_capitalized(cls, name: str) -> str:
        """Names begin with a capital."""
        if not name[:1].isupper():
            raise ValueError("begin the name with a capital letter")
        return name


def run(simulator: Simulator) -> str:
    """A valid extraction, one that is patched, and an update."""
    extractor = create_extractor(chat_model(simulator), tools=[Preferences], tool_choice="Preferences")
    calls(simulator, "Preferences", name="Ann", foods=["tea"])
    result = extractor.invoke("I am Ann and like tea.")
    assert result["responses"] == [Preferences(name="Ann", foods=["tea"])], result

    simulator.reply(calls=[{"id": "call_a", "name": "Preferences", "arguments": {"name": "ann", "foods": []}}])
    patch = {"op": "replace", "path": "/name", "value": "Ann"}
    calls(simulator, "PatchFunctionErrors", json_doc_id="call_a", planned_edits="Fix the name.", patches=[patch])
    result = extractor.invoke("i am ann")
    assert result["responses"] == [Preferences(name="Ann", foods=[])], result

    add = {"op": "add", "path": "/foods/-", "value": "rice"}
    calls(simulator, "PatchDoc", json_doc_id="Preferences", planned_edits="Add rice.", patches=[add])
    existing = {"Preferences": {"name": "Ann", "foods": ["tea"]}}
    result = extractor.invoke({"messages": [("user", "I like rice, too.")], "existing": existing})
    assert result["responses"] == [Preferences(name="Ann", foods=["tea", "rice"])], result
    return "extraction, patch of an error, update"
