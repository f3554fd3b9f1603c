"""LangChain classes that call models through Cloudflare AI Gateway.

`ChatCloudflareAIGateway` is a chat model, `CloudflareAIGatewayLLM` a text model, `CloudflareAIGatewayEmbeddings` embeds
texts, `CloudflareAIGatewayReranker` sorts documents, and `CloudflareAIGatewayDecisionModel` answers questions about a
state. `CloudflarePromptCachingMiddleware` is for agents. Needs the extra `langchain`.

A chat call: `chat_model` builds the request from `inbound` (messages), `tools`, `arguments` and `run_tracking`, and
converts the reply with `outbound` or, in a stream, `chunks`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cfaig_integrations.adapters.lazy import lazy_names

if TYPE_CHECKING:
    from cfaig_integrations.langchain.chat_model import ChatCloudflareAIGateway
    from cfaig_integrations.langchain.costs import LogCollector
    from cfaig_integrations.langchain.decisions import CloudflareAIGatewayDecisionModel
    from cfaig_integrations.langchain.embeddings import CloudflareAIGatewayEmbeddings
    from cfaig_integrations.langchain.gateway_tools import (
        image_generation_tool,
        speech_to_text_tool,
        text_to_speech_tool,
        web_search_tool,
    )
    from cfaig_integrations.langchain.llm import CloudflareAIGatewayLLM
    from cfaig_integrations.langchain.outbound import gateway_info
    from cfaig_integrations.langchain.prompt_caching import CloudflarePromptCachingMiddleware
    from cfaig_integrations.langchain.registration import register, unregister
    from cfaig_integrations.langchain.reranker import CloudflareAIGatewayReranker

__all__ = [
    "ChatCloudflareAIGateway",
    "CloudflareAIGatewayDecisionModel",
    "CloudflareAIGatewayEmbeddings",
    "CloudflareAIGatewayLLM",
    "CloudflareAIGatewayReranker",
    "CloudflarePromptCachingMiddleware",
    "LogCollector",
    "gateway_info",
    "image_generation_tool",
    "register",
    "speech_to_text_tool",
    "text_to_speech_tool",
    "unregister",
    "web_search_tool",
]

__getattr__ = lazy_names(
    __name__,
    {
        "ChatCloudflareAIGateway": "chat_model",
        "CloudflareAIGatewayDecisionModel": "decisions",
        "CloudflareAIGatewayEmbeddings": "embeddings",
        "CloudflareAIGatewayLLM": "llm",
        "CloudflareAIGatewayReranker": "reranker",
        "LogCollector": "costs",
        "CloudflarePromptCachingMiddleware": "prompt_caching",
        "gateway_info": "outbound",
        "image_generation_tool": "gateway_tools",
        "register": "registration",
        "speech_to_text_tool": "gateway_tools",
        "text_to_speech_tool": "gateway_tools",
        "unregister": "registration",
        "web_search_tool": "gateway_tools",
    },
    framework="langchain_core",
    extra="langchain",
)
