"""Fields of an adapter's classes whose framework fills in defaults while an object is constructed."""

from __future__ import annotations

import pytest
from pydantic import ValidationError, model_validator

from cfaig_integrations.adapters.fields import ChatFields


class FrameworkChat(ChatFields):
    prompt: str | None = None

    @model_validator(mode="after")
    def fill_in(self) -> FrameworkChat:
        if self.prompt is None:
            self.prompt = "default"
        return self


def test_a_validator_may_fill_in_a_default_before_there_is_a_connection() -> None:
    chat = FrameworkChat(model="openai/gpt-4.1", account_id="acc", api_token="tok")
    assert chat.prompt == "default"
    assert "prompt" not in chat.model_fields_set


def test_assignments_after_construction_are_validated() -> None:
    chat = FrameworkChat(model="openai/gpt-4.1", account_id="acc", api_token="tok")
    with pytest.raises(ValidationError):
        chat.prompt = 3  # type: ignore[assignment]
    assert chat.prompt == "default"
    chat.prompt = None
    assert chat.prompt == "default"
