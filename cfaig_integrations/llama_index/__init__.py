"""LlamaIndex on Cloudflare AI Gateway.

`CloudflareAIGateway` is an LLM with tools for every model behind the gateway, `CloudflareAIGatewayEmbedding` embeds
texts, and `CloudflareAIGatewayRerank` orders nodes by relevance. Needs the extra `llama-index`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cfaig_integrations.adapters.lazy import lazy_names

if TYPE_CHECKING:
    from cfaig_integrations.llama_index.costs import LogCollector
    from cfaig_integrations.llama_index.embedding import CloudflareAIGatewayEmbedding
    from cfaig_integrations.llama_index.gateway_tools import (
        image_generation_tool,
        speech_to_text_tool,
        text_to_speech_tool,
        web_search_tool,
    )
    from cfaig_integrations.llama_index.llm import CloudflareAIGateway
    from cfaig_integrations.llama_index.rerank import CloudflareAIGatewayRerank

__all__ = [
    "CloudflareAIGateway",
    "CloudflareAIGatewayEmbedding",
    "CloudflareAIGatewayRerank",
    "LogCollector",
    "image_generation_tool",
    "speech_to_text_tool",
    "text_to_speech_tool",
    "web_search_tool",
]

__getattr__ = lazy_names(
    __name__,
    {
        "CloudflareAIGateway": "llm",
        "CloudflareAIGatewayEmbedding": "embedding",
        "CloudflareAIGatewayRerank": "rerank",
        "LogCollector": "costs",
        "image_generation_tool": "gateway_tools",
        "speech_to_text_tool": "gateway_tools",
        "text_to_speech_tool": "gateway_tools",
        "web_search_tool": "gateway_tools",
    },
    framework="llama_index",
    extra="llama-index",
)
