"""deepagents finds this package's profiles; `tests/third_party` runs them with deepagents itself."""

from __future__ import annotations

import sys
import tomllib
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from langchain.chat_models import init_chat_model

from cfaig_integrations.langchain import (
    ChatCloudflareAIGateway,
    CloudflarePromptCachingMiddleware,
    unregister,
)

ROOT = Path(__file__).parents[2]
ENTRY_POINTS = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["entry-points"]
Profiles = dict[str, SimpleNamespace]


@pytest.fixture
def profiles(monkeypatch: pytest.MonkeyPatch) -> Iterator[Profiles]:
    """What the entry points register, each called as deepagents calls it."""
    found: Profiles = {}
    deepagents: Any = SimpleNamespace(
        ProviderProfile=SimpleNamespace,
        HarnessProfile=SimpleNamespace,
        register_provider_profile=lambda key, profile: found.update({f"provider {key}": profile}),
        register_harness_profile=lambda key, profile: found.update({f"harness {key}": profile}),
    )
    monkeypatch.setitem(sys.modules, "deepagents", deepagents)
    for group in ("deepagents.provider_profiles", "deepagents.harness_profiles"):
        for target in ENTRY_POINTS[group].values():
            module, _, name = target.partition(":")
            getattr(import_module(module), name)()
    yield found
    unregister()


def test_the_provider_is_registered_when_a_string_becomes_a_model(profiles: Profiles) -> None:
    spec = "cloudflare_ai_gateway:openai/gpt-5.4"
    with pytest.raises(ValueError, match="cloudflare_ai_gateway"):
        init_chat_model(spec)
    profiles["provider cloudflare_ai_gateway"].pre_init(spec)
    model = init_chat_model(spec, account_id="acc", api_token="tok")
    assert isinstance(model, ChatCloudflareAIGateway)


def test_each_agent_gets_prompt_caching_of_its_own(profiles: Profiles) -> None:
    make = profiles["harness cloudflare_ai_gateway"].extra_middleware
    (first,), (second,) = make(), make()
    assert isinstance(first, CloudflarePromptCachingMiddleware)
    assert first is not second
    assert first.unsupported_model_behavior == "ignore"
