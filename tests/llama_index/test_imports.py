"""What importing the adapter loads beyond LlamaIndex itself, in a fresh process."""

from __future__ import annotations

import subprocess
import sys

import pytest

NAMES = ("CloudflareAIGateway", "CloudflareAIGatewayEmbedding", "CloudflareAIGatewayRerank")
PROGRAM = """
import sys
sys.modules["rich"] = None  # of httpx's command line, which it imports where it finds it
import llama_index.core
before = set(sys.modules)
from cfaig_integrations.llama_index import {names}
print(*sorted(set(sys.modules) - before))
"""
HEAVY = {"openai", "anthropic", "aiohttp", "langchain_core", "starlette", "tiktoken_ext", "torch", "transformers"}
MAXIMUM = 146
"""1,454 modules in all, of which llama-index-core 0.14.25 loads 1,308."""


def added_by(*names: str) -> list[str]:
    command = [sys.executable, "-c", PROGRAM.format(names=", ".join(names))]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()


@pytest.mark.parametrize("names", [NAMES[:1], NAMES], ids=["llm", "all"])
def test_importing_the_adapter_loads_little_beyond_llama_index(names: tuple[str, ...]) -> None:
    added = added_by(*names)
    assert len(added) <= MAXIMUM
    assert not {name.partition(".")[0] for name in added} & HEAVY
    assert "tiktoken" not in added
    ours = [name for name in added if name.startswith("cfaig_integrations.")]
    assert not [name for name in ours if name.split(".")[1] in {"langchain", "simulator", "cli"}]
    chats = {f"cfaig_integrations.wire.{wire}" for wire in ("chat_completions", "responses", "messages", "run")}
    assert not chats & set(ours)  # codecs come with the first call that needs them
