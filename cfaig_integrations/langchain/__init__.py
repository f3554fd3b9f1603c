"""LangChain on Cloudflare AI Gateway.

`ChatCloudflareAIGateway` is a chat model for every model behind the gateway, `CloudflareAIGatewayLLM` the same models
for programs that go from text to text, `CloudflareAIGatewayEmbeddings` embeds, and `CloudflareAIGatewayReranker` puts
documents in order. Needs the extra `langchain`.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cfaig_integrations.langchain.chat_model import ChatCloudflareAIGateway
    from cfaig_integrations.langchain.embeddings import CloudflareAIGatewayEmbeddings
    from cfaig_integrations.langchain.llm import CloudflareAIGatewayLLM
    from cfaig_integrations.langchain.outbound import gateway_info
    from cfaig_integrations.langchain.registration import register, unregister
    from cfaig_integrations.langchain.reranker import CloudflareAIGatewayReranker

__all__ = [
    "ChatCloudflareAIGateway",
    "CloudflareAIGatewayEmbeddings",
    "CloudflareAIGatewayLLM",
    "CloudflareAIGatewayReranker",
    "gateway_info",
    "register",
    "unregister",
]

_HOMES = {
    "ChatCloudflareAIGateway": "chat_model",
    "CloudflareAIGatewayEmbeddings": "embeddings",
    "CloudflareAIGatewayLLM": "llm",
    "CloudflareAIGatewayReranker": "reranker",
    "gateway_info": "outbound",
    "register": "registration",
    "unregister": "registration",
}
"""Module of each name."""


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        home = import_module(f"{__name__}.{_HOMES[name]}")
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != "langchain_core":
            raise
        raise ImportError(
            "cfaig_integrations.langchain needs the extra 'langchain': pip install 'cfaig-integrations[langchain]'"
        ) from error
    return getattr(home, name)
