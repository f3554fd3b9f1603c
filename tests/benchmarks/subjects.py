"""Whose cost is counted: this package, what the network and a framework cost alone, and other packages.

Imports nothing at the top: what a class imports is a part of its cost.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Any

OURS, MEMORY, NETWORK = "cfaig-integrations", "memory", "network"
ACCOUNT = "0" * 32
FRAMEWORKS = ("langchain", "llama_index")
FORMATS = {
    "chat": {
        "chat_completions": "openai/gpt-4o-mini",
        "responses": "openai/gpt-4o-mini",
        "messages": "anthropic/claude-haiku-4.5",
        "run": "@cf/meta/llama-3.1-8b-instruct",
    },
    "embeddings": {"embeddings": "openai/text-embedding-3-small", "run": "@cf/baai/bge-m3"},
    "rerank": {"run": "@cf/baai/bge-reranker-base"},
}
"""For each kind of model, its formats and the model that is asked in each."""
CLASSES = {
    ("langchain", "chat"): "ChatCloudflareAIGateway",
    ("langchain", "embeddings"): "CloudflareAIGatewayEmbeddings",
    ("langchain", "rerank"): "CloudflareAIGatewayReranker",
    ("llama_index", "chat"): "CloudflareAIGateway",
    ("llama_index", "embeddings"): "CloudflareAIGatewayEmbedding",
    ("llama_index", "rerank"): "CloudflareAIGatewayRerank",
}
FROM_MEMORY = {
    "langchain": "import httpx; from langchain_core.language_models.chat_models import BaseChatModel",
    "llama_index": "import httpx; from llama_index.core.llms.function_calling import FunctionCallingLLM",
}
"""What any package with a chat model of a framework imports."""


def ours(framework: str, kind: str, api: str, base: str) -> Any:
    """A model of this package."""
    arguments: dict[str, Any] = {"model": FORMATS[kind][api]}
    if kind == "embeddings":
        # One thread: the order in which several run would be chance.
        size = {"batch_size": 100, "max_concurrency": 1} if framework == "langchain" else {"embed_batch_size": 100}
        arguments |= {"api": api, **size}
    elif kind == "chat":
        arguments["api"] = api
    if "hold=" in base:
        arguments["timeout"] = (600, 600)  # a client under valgrind is 50 times slower
    model = getattr(import_module(f"cfaig_integrations.{framework}"), CLASSES[framework, kind])
    return model(base_url=base, account_id=ACCOUNT, api_token="x", max_retries=0, **arguments)


@dataclass(frozen=True)
class Alternative:
    """Another package's class for the same work; `make` returns a new object for a base URL of the server."""

    package: str
    framework: str
    kind: str
    format: str
    module: str
    name: str
    make: Callable[[Any, str], Any]

    @property
    def title(self) -> str:
        return f"{self.package} {self.name}"


OPENAI = {"model": "gpt-4o-mini", "api_key": "x", "max_retries": 0}
CLAUDE = {"model": "claude-sonnet-4-5", "api_key": "x", "max_retries": 0, "max_tokens": 1024}
EMBEDDER = {"model": "text-embedding-3-small", "api_key": "x", "max_retries": 0}
LLAMA = {"model": "@cf/meta/llama-3.3-70b-instruct-fp8-fast", "account_id": "a", "api_token": "x"}
USAGE = {"stream_options": {"include_usage": True}}


def workers_embedding(cls: Any, base: str) -> Any:
    """LlamaIndex's class for Workers AI, whose URL is a constant of its module."""
    import_module(cls.__module__).API_URL_TEMPLATE = base + "/accounts/{}/ai/run/{}"
    return cls(account_id="a", auth_token="x", model="@cf/baai/bge-m3", embed_batch_size=100)


ALTERNATIVES = [
    Alternative(
        "langchain-openai", "langchain", "chat", "chat_completions", "langchain_openai", "ChatOpenAI",
        lambda cls, base: cls(base_url=f"{base}/v1", stream_usage=True, **OPENAI),
    ),
    Alternative(
        "langchain-openai", "langchain", "chat", "responses", "langchain_openai", "ChatOpenAI",
        lambda cls, base: cls(base_url=f"{base}/v1", use_responses_api=True, **OPENAI),
    ),
    Alternative(
        "langchain-anthropic", "langchain", "chat", "messages", "langchain_anthropic", "ChatAnthropic",
        lambda cls, base: cls(base_url=base, **CLAUDE),
    ),
    Alternative(
        "langchain-cloudflare", "langchain", "chat", "run", "langchain_cloudflare", "ChatCloudflareWorkersAI",
        lambda cls, base: cls(base_url=base, **LLAMA),
    ),
    Alternative(
        "langchain-cloudflare", "langchain", "chat", "chat_completions", "langchain_cloudflare",
        "ChatCloudflareWorkersAI", lambda cls, base: cls(base_url=base, endpoint_format="openai_compatible", **LLAMA),
    ),
    Alternative(
        "langchain-openrouter", "langchain", "chat", "chat_completions", "langchain_openrouter", "ChatOpenRouter",
        lambda cls, base: cls(base_url=f"{base}/v1", model="openai/gpt-4o-mini", api_key="x", max_retries=0),
    ),
    Alternative(
        "langchain-openai", "langchain", "embeddings", "embeddings", "langchain_openai", "OpenAIEmbeddings",
        lambda cls, base: cls(base_url=f"{base}/v1", chunk_size=100, check_embedding_ctx_length=False, **EMBEDDER),
    ),
    Alternative(
        "langchain-cloudflare", "langchain", "embeddings", "run", "langchain_cloudflare",
        "CloudflareWorkersAIEmbeddings",
        lambda cls, base: cls(
            api_base_url=f"{base}/accounts", account_id="a", api_token="x", model_name="@cf/baai/bge-m3", batch_size=100
        ),
    ),
    Alternative(
        "llama-index-llms-openai", "llama_index", "chat", "chat_completions", "llama_index.llms.openai", "OpenAI",
        lambda cls, base: cls(api_base=f"{base}/v1", additional_kwargs=USAGE, **OPENAI),
    ),
    Alternative(
        "llama-index-llms-openai", "llama_index", "chat", "responses", "llama_index.llms.openai", "OpenAIResponses",
        lambda cls, base: cls(api_base=f"{base}/v1", **OPENAI),
    ),
    Alternative(
        "llama-index-llms-openai-like", "llama_index", "chat", "chat_completions", "llama_index.llms.openai_like",
        "OpenAILike",
        lambda cls, base: cls(
            api_base=f"{base}/v1", is_chat_model=True, is_function_calling_model=True, additional_kwargs=USAGE, **OPENAI
        ),
    ),
    Alternative(
        "llama-index-llms-anthropic", "llama_index", "chat", "messages", "llama_index.llms.anthropic", "Anthropic",
        lambda cls, base: cls(base_url=base, **CLAUDE),
    ),
    Alternative(
        "llama-index-embeddings-openai", "llama_index", "embeddings", "embeddings", "llama_index.embeddings.openai",
        "OpenAIEmbedding", lambda cls, base: cls(api_base=f"{base}/v1", embed_batch_size=100, **EMBEDDER),
    ),
    Alternative(
        "llama-index-embeddings-cloudflare-workersai", "llama_index", "embeddings", "run",
        "llama_index.embeddings.cloudflare_workersai", "CloudflareEmbedding", workers_embedding,
    ),
]  # fmt: skip


def statement(subject: str, framework: str, kind: str = "chat") -> str:
    """The import statement of a subject's class."""
    if subject == NETWORK:
        return "import httpx"
    if subject == MEMORY:
        return FROM_MEMORY[framework]
    if subject == OURS:
        return f"from cfaig_integrations.{framework} import {CLASSES[framework, kind]}"
    other = alternative(subject, framework, kind)
    return f"from {other.module} import {other.name}"


def alternative(title: str, framework: str, kind: str, api: str | None = None) -> Alternative:
    """The alternative of this title; of several formats the first where none is named."""
    return next(
        each
        for each in ALTERNATIVES
        if (each.title, each.framework, each.kind) == (title, framework, kind) and api in {None, each.format}
    )


def make(subject: str, framework: str, kind: str, api: str, base: str) -> Any:
    """A new model of this package or of another."""
    if subject == OURS:
        return ours(framework, kind, api, base)
    other = alternative(subject, framework, kind, api)
    return other.make(getattr(import_module(other.module), other.name), base)
