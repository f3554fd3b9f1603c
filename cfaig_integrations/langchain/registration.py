"""Our classes under their names in LangChain's own registries, for those who ask for it.

LangChain has no entry points for providers: `init_chat_model`, `init_embeddings` and `create_agent("provider:model")`
read private tables, and so does `load`. Nothing here happens at import.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, MutableMapping
from importlib import import_module
from typing import Any

from cfaig_integrations.errors import ConfigError
from cfaig_integrations.langchain.inbound import PROVIDER

_HOME = "cfaig_integrations.langchain"
_PROVIDED = {
    "langchain.chat_models.base": "ChatCloudflareAIGateway",
    "langchain.embeddings.base": "CloudflareAIGatewayEmbeddings",
}
_LOADABLE = {
    ("cfaig_integrations", "langchain", "ChatCloudflareAIGateway"): f"{_HOME}.chat_model",
    ("cfaig_integrations", "langchain", "CloudflareAIGatewayLLM"): f"{_HOME}.llm",
}


def register() -> None:
    """Makes LangChain know the provider `cloudflare_ai_gateway`.

    After it, `init_chat_model("cloudflare_ai_gateway:openai/gpt-5.4")`, `init_embeddings`, `create_agent` with such a
    string, and `load` of a dumped model work. Doing it again changes nothing; `unregister` undoes it.

    Raises:
        ConfigError: This release of LangChain keeps its tables elsewhere.
    """
    for module, name in _PROVIDED.items():
        table = _providers(module)
        if table is not None:
            table[PROVIDER] = (_HOME, name, _made)
    for key, home in _LOADABLE.items():
        _mappings()[key] = (*home.split("."), key[-1])
    _forget_paths()


def unregister() -> None:
    """Undoes `register`; does nothing if there is nothing to undo."""
    for module in _PROVIDED:
        if module in sys.modules:
            table = _providers(module)
            if table is not None:
                table.pop(PROVIDER, None)
    for key in _LOADABLE:
        _mappings().pop(key, None)
    _forget_paths()


def _made(cls: Callable[..., Any], **words: Any) -> Any:
    return cls(**words)


def _providers(module: str) -> MutableMapping[str, Any] | None:
    """LangChain's table of providers, without what it remembers of it; None if langchain is not installed."""
    try:
        found = import_module(module)
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] == "langchain":
            return None
        raise
    table = getattr(found, "_BUILTIN_PROVIDERS", None)
    if not isinstance(table, dict):
        raise _moved(f"{module}._BUILTIN_PROVIDERS")
    for function in ("_get_chat_model_creator", "_get_embeddings_class_creator"):
        clear = getattr(getattr(found, function, None), "cache_clear", None)
        if clear is not None:
            clear()
    return table  # pyright: ignore[reportUnknownVariableType]  # a table of LangChain's


def _mappings() -> MutableMapping[tuple[str, ...], tuple[str, ...]]:
    found: Any = getattr(import_module("langchain_core.load.load"), "ALL_SERIALIZABLE_MAPPINGS", None)
    if not isinstance(found, dict):
        raise _moved("langchain_core.load.load.ALL_SERIALIZABLE_MAPPINGS")
    return found  # pyright: ignore[reportUnknownVariableType]


def _forget_paths() -> None:
    cached: Any = getattr(import_module("langchain_core.load.load"), "_default_class_paths_cache", None)
    if isinstance(cached, dict):
        cached.clear()  # pyright: ignore[reportUnknownMemberType]


def _moved(what: str) -> ConfigError:
    return ConfigError(
        f"This release of LangChain has no {what}.",
        field="register",
        remedy="Make the model with its own class, which needs no registry.",
    )
