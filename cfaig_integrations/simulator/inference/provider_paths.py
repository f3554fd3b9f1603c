"""The legacy host's paths of a provider's own API, as formats and model ids (facts §1.5)."""

from __future__ import annotations

import re
from dataclasses import dataclass

from cfaig_integrations.simulator.http.bodies import ApiError


@dataclass(frozen=True, slots=True)
class ProviderPath:
    """What a path of a provider means."""

    endpoint: str
    """The format."""
    prefix: str = ""
    """What the model ids of the bodies lack."""
    model: str | None = None
    """The model, if the path names it."""


_AUTHORS = {
    "openai": "openai/",
    "anthropic": "anthropic/",
    "google-ai-studio": "google/",
    "grok": "xai/",
    "groq": "groq/",
    "deepseek": "deepseek/",
    "mistral": "mistral/",
    "perplexity-ai": "perplexity/",
    "cerebras": "cerebras/",
    "openrouter": "openrouter/",
    "fireworks": "fireworks/",
    "compat": "",
    "workers-ai": "",
}
_KNOWN = frozenset(
    [
        *_AUTHORS, "aws-bedrock", "azure-openai", "baseten", "cartesia", "cohere", "deepgram", "elevenlabs", "fal",
        "google-vertex-ai", "huggingface", "ideogram", "parallel", "replicate",
    ]
)  # fmt: skip
_PATHS = {
    "chat/completions": "chat_completions",
    "responses": "responses",
    "messages": "messages",
    "embeddings": "embeddings",
}
_VERSION = re.compile(r"^(?:api/)?(?:v1beta/)?(?:openai/)?(?:v1/)?")


def read_provider_path(provider: str, path: str) -> ProviderPath:
    """What `{provider}/{path}` means.

    Raises:
        ApiError: 400/2008 for a provider that does not exist, 400/7000 for a path that the simulator does not serve.
    """
    if provider not in _KNOWN and not provider.startswith("custom-"):
        raise ApiError(400, 2008, "Invalid provider", shape="gateway", at_edge=True)
    path = path.strip("/")
    if provider == "workers-ai" and not path.startswith("v1/"):
        return ProviderPath("run", model=path.removeprefix("run/"))
    name = _PATHS.get(_VERSION.sub("", path))
    prefix = _AUTHORS.get(provider)
    if name is None or prefix is None:
        reason = f"the simulator does not serve {provider}/{path}; it serves {', '.join(_PATHS)}"
        raise ApiError(400, 7000, f"No route for that URI: {reason}", shape="gateway", at_edge=True)
    return ProviderPath(name, prefix)
