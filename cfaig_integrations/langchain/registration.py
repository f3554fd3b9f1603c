"""Registration of this package's classes in LangChain's tables, on request.

LangChain has no entry points for providers: `init_chat_model`, `init_embeddings` and `create_agent("provider:model")`
read private tables, and so does `load`.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, MutableMapping
from importlib import import_module
from typing import Any

from cfaig_integrations.errors import ConfigError
from cfaig_integrations.langchain.outbound import PROVIDER

_PACKAGE = "cfaig_integrations.langchain"
_PROVIDED = {
    "langchain.chat_models.base": "ChatCloudflareAIGateway",
    "langchain.embeddings.base": "CloudflareAIGatewayEmbeddings",
}
"""Module with a table of providers -> the class in it."""
_LOADABLE = {
    ("cfaig_integrations", "langchain", "ChatCloudflareAIGateway"): f"{_PACKAGE}.chat_model",
    ("cfaig_integrations", "langchain", "CloudflareAIGatewayLLM"): f"{_PACKAGE}.llm",
}
"""Serialized id of a class -> its module."""


def register() -> None:
    """Registers the provider `cloudflare_ai_gateway` with LangChain; `unregister` undoes it.

    Afterwards `init_chat_model("cloudflare_ai_gateway:openai/gpt-5.4")`, `init_embeddings`, `create_agent` with such a
    string, and `load` of a serialized model work. Repeated calls have no effect.

    Raises:
        ConfigError: This release of LangChain has no such tables.
    """
    for module, name in _PROVIDED.items():
        table = _provider_table(module)
        if table is not None:
            table[PROVIDER] = (_PACKAGE, name, _make)
    for key, module in _LOADABLE.items():
        _load_table()[key] = (*module.split("."), key[-1])
    _clear_load_cache()


def unregister() -> None:
    """Undoes `register`, if it was called."""
    for module in _PROVIDED:
        if module in sys.modules:
            table = _provider_table(module)
            if table is not None:
                table.pop(PROVIDER, None)
    for key in _LOADABLE:
        _load_table().pop(key, None)
    _clear_load_cache()


def _make(cls: Callable[..., Any], **arguments: Any) -> Any:
    return cls(**arguments)


def _provider_table(module: str) -> MutableMapping[str, Any] | None:
    """LangChain's table of providers, with its caches cleared; None if langchain is not installed."""
    try:
        imported = import_module(module)
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] == "langchain":
            return None
        raise
    table = getattr(imported, "_BUILTIN_PROVIDERS", None)
    if not isinstance(table, dict):
        raise _missing(f"{module}._BUILTIN_PROVIDERS")
    for function in ("_get_chat_model_creator", "_get_embeddings_class_creator"):
        clear = getattr(getattr(imported, function, None), "cache_clear", None)
        if clear is not None:
            clear()
    return table  # pyright: ignore[reportUnknownVariableType]  # a table of LangChain's


def _load_table() -> MutableMapping[tuple[str, ...], tuple[str, ...]]:
    table: Any = getattr(import_module("langchain_core.load.load"), "ALL_SERIALIZABLE_MAPPINGS", None)
    if not isinstance(table, dict):
        raise _missing("langchain_core.load.load.ALL_SERIALIZABLE_MAPPINGS")
    return table  # pyright: ignore[reportUnknownVariableType]


def _clear_load_cache() -> None:
    cached: Any = getattr(import_module("langchain_core.load.load"), "_default_class_paths_cache", None)
    if isinstance(cached, dict):
        cached.clear()  # pyright: ignore[reportUnknownMemberType]


def _missing(name: str) -> ConfigError:
    return ConfigError(
        f"This release of LangChain has no {name}.",
        field="register",
        remedy="Use the class itself, which needs no registration.",
    )
