"""What the tests of the LLM share: how to make one, how to call it, and who listens."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.outputs import Generation, LLMResult

from cfaig_integrations.langchain import CloudflareAIGatewayLLM
from cfaig_integrations.simulator import Simulator
from tests.langchain.conftest import MODELS, where

LLM = CloudflareAIGatewayLLM
Make = Callable[..., LLM]
every_wire = pytest.mark.parametrize("api", MODELS)
both = pytest.mark.parametrize("asynchronous", [False, True], ids=["sync", "async"])


@pytest.fixture
def make(simulator: Simulator) -> Make:
    def made(**arguments: Any) -> LLM:
        arguments.setdefault("model", MODELS.get(arguments.get("api", ""), "openai/gpt-4.1"))
        return LLM(**where(simulator), **arguments)

    return made


async def _listed(pieces: Any) -> list[str]:
    return [piece async for piece in pieces]


def invoke(llm: LLM, asynchronous: bool, *args: Any, **arguments: Any) -> str:
    return asyncio.run(llm.ainvoke(*args, **arguments)) if asynchronous else llm.invoke(*args, **arguments)


def stream(llm: LLM, asynchronous: bool, *args: Any, **arguments: Any) -> list[str]:
    return (
        asyncio.run(_listed(llm.astream(*args, **arguments))) if asynchronous else list(llm.stream(*args, **arguments))
    )


def batch(llm: LLM, asynchronous: bool, *args: Any, **arguments: Any) -> list[Any]:
    return asyncio.run(llm.abatch(*args, **arguments)) if asynchronous else llm.batch(*args, **arguments)


def generate(llm: LLM, asynchronous: bool, *args: Any, **arguments: Any) -> LLMResult:
    return asyncio.run(llm.agenerate(*args, **arguments)) if asynchronous else llm.generate(*args, **arguments)


def only(result: LLMResult) -> tuple[Generation, dict[str, Any]]:
    [[results]] = result.generations
    assert isinstance(results, Generation)
    return results, results.generation_info or {}


def texts(result: LLMResult) -> list[list[str]]:
    return [[one.text for one in each] for each in result.generations]


class Listener(BaseCallbackHandler):
    """Writes down what an observer hears of each run."""

    def __init__(self) -> None:
        self.shown: list[str] = []
        self.pieces: dict[Any, list[str]] = {}
        self.results: list[LLMResult] = []

    def on_llm_start(self, serialized: Any, prompts: Any, **kwargs: Any) -> None:
        self.shown.append(repr((serialized, kwargs)))
        self.pieces[kwargs["run_id"]] = []

    def on_llm_new_token(self, token: Any, **kwargs: Any) -> None:
        assert kwargs["chunk"].text == token
        self.pieces[kwargs["run_id"]].append(token)

    def on_llm_end(self, response: LLMResult, **kwargs: Any) -> None:
        self.results.append(response)
