"""LangChain and LlamaIndex on Cloudflare AI Gateway.

Names are loaded when they are first used: importing the package imports neither httpx nor pydantic nor a framework.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from cfaig_integrations._version import __version__

if TYPE_CHECKING:
    from cfaig_integrations.adapters.run_metadata import RunInfo
    from cfaig_integrations.client.api import (
        AIGateway,
        AsyncAIGateway,
        Credits,
        GatewayEntry,
        LogEntry,
        LogFilter,
        ModelEntry,
        RunCost,
        RunFile,
        RunResult,
        WebPage,
        WebSearch,
    )
    from cfaig_integrations.errors import (
        ApiError,
        AuthError,
        ConfigError,
        ConnectFault,
        ContextOverflow,
        GatewayError,
        GuardrailBlocked,
        InvalidRequest,
        NotFound,
        PaymentRequired,
        PermissionDenied,
        ProtocolError,
        QuotaExceeded,
        RateLimited,
        ServerFault,
        StreamBroken,
        TimeoutFault,
        TransportFault,
        UnsupportedContent,
    )
    from cfaig_integrations.gateway.context import gateway_context
    from cfaig_integrations.gateway.info import GatewayInfo
    from cfaig_integrations.gateway.options import CustomCost, GatewayOptions

__all__ = [
    "AIGateway",
    "ApiError",
    "AsyncAIGateway",
    "AuthError",
    "ConfigError",
    "ConnectFault",
    "ContextOverflow",
    "Credits",
    "CustomCost",
    "GatewayEntry",
    "GatewayError",
    "GatewayInfo",
    "GatewayOptions",
    "GuardrailBlocked",
    "InvalidRequest",
    "LogEntry",
    "LogFilter",
    "ModelEntry",
    "NotFound",
    "PaymentRequired",
    "PermissionDenied",
    "ProtocolError",
    "QuotaExceeded",
    "RateLimited",
    "RunCost",
    "RunFile",
    "RunInfo",
    "RunResult",
    "ServerFault",
    "StreamBroken",
    "TimeoutFault",
    "TransportFault",
    "UnsupportedContent",
    "WebPage",
    "WebSearch",
    "__version__",
    "gateway_context",
]

_HOMES = {
    "AIGateway": "client.api",
    "AsyncAIGateway": "client.api",
    "Credits": "client.api",
    "CustomCost": "gateway.options",
    "GatewayEntry": "client.api",
    "GatewayInfo": "gateway.info",
    "GatewayOptions": "gateway.options",
    "LogEntry": "client.api",
    "LogFilter": "client.api",
    "ModelEntry": "client.api",
    "RunCost": "client.api",
    "RunFile": "client.api",
    "RunInfo": "adapters.run_metadata",
    "RunResult": "client.api",
    "WebPage": "client.api",
    "WebSearch": "client.api",
    "gateway_context": "gateway.context",
}
"""Module of each name that is not an error."""


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value: object = getattr(import_module(f"{__name__}.{_HOMES.get(name, 'errors')}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
