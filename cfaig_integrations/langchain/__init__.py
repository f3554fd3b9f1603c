"""LangChain on Cloudflare AI Gateway.

`ChatCloudflareAIGateway` is a chat model for every model behind the gateway. Needs the extra `langchain`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cfaig_integrations.langchain.chat_model import ChatCloudflareAIGateway

__all__ = ["ChatCloudflareAIGateway"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        from cfaig_integrations.langchain import chat_model
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != "langchain_core":
            raise
        raise ImportError(
            "cfaig_integrations.langchain needs the extra 'langchain': pip install 'cfaig-integrations[langchain]'"
        ) from error
    return getattr(chat_model, name)
