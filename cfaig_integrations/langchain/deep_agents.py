"""Profiles for deepagents, which finds them through this package's entry points.

They make `create_deep_agent(model="cloudflare_ai_gateway:anthropic/claude-haiku-4.5")` work, and add prompt caching to
the agents and subagents of this package's models (deepagents 0.7).
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

from cfaig_integrations.langchain.outbound import PROVIDER
from cfaig_integrations.langchain.prompt_caching import CloudflarePromptCachingMiddleware
from cfaig_integrations.langchain.registration import register


def add_provider_profile() -> None:
    """Registers the provider with LangChain before deepagents makes a model of a string."""
    deepagents: Any = import_module("deepagents")
    deepagents.register_provider_profile(PROVIDER, deepagents.ProviderProfile(pre_init=_register))


def _register(_spec: str) -> None:
    register()


def add_harness_profile() -> None:
    """Adds the middleware for prompt caching; one that the user gives replaces it."""
    deepagents: Any = import_module("deepagents")
    profile = deepagents.HarnessProfile(
        extra_middleware=lambda: [CloudflarePromptCachingMiddleware(unsupported_model_behavior="ignore")]
    )
    deepagents.register_harness_profile(PROVIDER, profile)
