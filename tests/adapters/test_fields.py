"""Fields of an adapter's classes whose framework fills in defaults while an object is constructed."""

from __future__ import annotations

import pytest
from pydantic import SecretStr, ValidationError, model_validator

from cfaig_integrations.adapters.fields import ChatFields
from cfaig_integrations.gateway.settings import Secret


class FrameworkChat(ChatFields):
    _filled_in = frozenset({"prompt"})
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


class OwnChat(ChatFields):
    @model_validator(mode="after")
    def fill_in(self) -> OwnChat:
        self.api_token, self.gateway_id = SecretStr("own"), "mine"
        return self


def test_a_users_validator_may_set_the_token_and_the_gateway(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLOUDFLARE_API_TOKEN", "of-the-environment")
    monkeypatch.setenv("CLOUDFLARE_AI_GATEWAY_ID", "of-the-environment")
    settings = OwnChat(model="openai/gpt-4.1", account_id="acc")._clients.settings
    assert isinstance(settings.api_token, Secret)
    assert (settings.api_token.get_secret_value(), settings.gateway_id) == ("own", "mine")
