"""This package as contenders of the benchmark harness: `bench.py --adapter tests/benchmarks/adapter.py`.

Imports nothing heavy at the top, because the import itself is measured.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

IMPORTS = "from cfaig_integrations.langchain import ChatCloudflareAIGateway"
ACCOUNT = "0" * 32
MODELS = {
    "chat": ("chat_completions", "openai/gpt-4o-mini"),
    "responses": ("responses", "openai/gpt-4o-mini"),
    "messages": ("messages", "anthropic/claude-haiku-4.5"),
    "run": ("run", "@cf/meta/llama-3.1-8b-instruct"),
}


def chat_model(wire: str) -> Callable[[str], Any]:
    api, model = MODELS[wire]

    def make(base: str) -> Any:
        from cfaig_integrations.langchain import ChatCloudflareAIGateway

        return ChatCloudflareAIGateway(
            model=model, api=api, base_url=base, account_id=ACCOUNT, api_token="x", max_retries=0
        )

    return make


CONTENDERS = [
    {
        "name": f"cfaig-lc-{wire}",
        "family": "langchain",
        "wire": wire,
        "role": "candidate",
        "imports": IMPORTS,
        "make": chat_model(wire),
    }
    for wire in MODELS
]
