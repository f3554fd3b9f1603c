"""This package as contenders of the benchmark harness: `bench.py --adapter tests/benchmarks/adapter.py`.

Imports nothing heavy at the top, because the import itself is measured.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any

ACCOUNT = "0" * 32
CHATS = {
    "chat": ("chat_completions", "openai/gpt-4o-mini"),
    "responses": ("responses", "openai/gpt-4o-mini"),
    "messages": ("messages", "anthropic/claude-haiku-4.5"),
    "run": ("run", "@cf/meta/llama-3.1-8b-instruct"),
}
EMBEDDINGS = {"emb-openai": ("embeddings", "openai/text-embedding-3-small"), "emb-run": ("run", "@cf/baai/bge-m3")}
CLASSES = {
    ("langchain", "chat"): "ChatCloudflareAIGateway",
    ("langchain", "embed"): "CloudflareAIGatewayEmbeddings",
    ("llama_index", "chat"): "CloudflareAIGateway",
    ("llama_index", "embed"): "CloudflareAIGatewayEmbedding",
}
SHORT = {"langchain": "lc", "llama_index": "li"}


def maker(module: str, name: str, api: str, model: str) -> Callable[[str], Any]:
    def make(base: str) -> Any:
        kind = getattr(import_module(module), name)
        return kind(model=model, api=api, base_url=base, account_id=ACCOUNT, api_token="x", max_retries=0)

    return make


def contender(framework: str, kind: str, wire: str) -> dict[str, Any]:
    module, name = f"cfaig_integrations.{framework}", CLASSES[framework, kind]
    api, model = (CHATS if kind == "chat" else EMBEDDINGS)[wire]
    return {
        "name": f"cfaig-{SHORT[framework]}-{wire}",
        "family": framework.replace("_", ""),
        "wire": wire,
        "role": "candidate",
        "imports": f"from {module} import {name}",
        "make": maker(module, name, api, model),
        **({"kind": "embed"} if kind == "embed" else {}),
    }


CONTENDERS = [
    contender(framework, kind, wire)
    for framework, kind in CLASSES
    for wire in (CHATS if kind == "chat" else EMBEDDINGS)
]
