"""LlamaIndex on Cloudflare AI Gateway.

`CloudflareAIGateway` is an LLM with tools for every model behind the gateway, `CloudflareAIGatewayEmbedding` embeds,
and `CloudflareAIGatewayRerank` puts nodes in order. Needs the extra `llama-index`.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cfaig_integrations.llama_index.embedding import CloudflareAIGatewayEmbedding
    from cfaig_integrations.llama_index.llm import CloudflareAIGateway
    from cfaig_integrations.llama_index.rerank import CloudflareAIGatewayRerank

__all__ = ["CloudflareAIGateway", "CloudflareAIGatewayEmbedding", "CloudflareAIGatewayRerank"]

_HOMES = {
    "CloudflareAIGateway": "llm",
    "CloudflareAIGatewayEmbedding": "embedding",
    "CloudflareAIGatewayRerank": "rerank",
}
"""Module of each name."""


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        home = import_module(f"{__name__}.{_HOMES[name]}")
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != "llama_index":
            raise
        raise ImportError(
            "cfaig_integrations.llama_index needs the extra 'llama-index': "
            "pip install 'cfaig-integrations[llama-index]'"
        ) from error
    return getattr(home, name)
