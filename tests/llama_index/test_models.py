"""Any model, on any loop, with limits that programs can work with."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

import pytest
from llama_index.core import SummaryIndex, VectorStoreIndex
from llama_index.core.agent.workflow import FunctionAgent
from llama_index.core.llms.function_calling import FunctionCallingLLM
from llama_index.core.memory import ChatMemoryBuffer
from llama_index.core.program import FunctionCallingProgram
from llama_index.core.program.utils import get_program_for_llm
from llama_index.core.response_synthesizers import ResponseMode
from llama_index.core.schema import TextNode
from pydantic import BaseModel

from cfaig_integrations import ConfigError, InvalidRequest, NotFound, ServerFault
from cfaig_integrations.llama_index import (
    CloudflareAIGateway,
    CloudflareAIGatewayEmbedding,
    CloudflareAIGatewayRerank,
)
from cfaig_integrations.simulator import Simulator
from tests.conftest import where
from tests.handmade import last_request
from tests.llama_index.call_methods import (
    EMBEDDER,
    METHODS,
    WEATHER,
    Make,
    answer,
    every_method,
    every_wire,
    text_of,
)

NAMES = (
    "gpt-5.2",
    "gpt-5.4",
    "gpt-4-turbo-preview",
    "openai/gpt-5-mini",
    "openai/a-model-of-next-year",
    "anthropic.claude-3-5-sonnet-20241022-v2:0",
    "us.anthropic.claude-opus-4-20250514-v1:0",
    "bedrock/converse/amazon.nova-pro-v1:0",
    "@cf/someone/something-7b",
    "dynamic/support",
    "a/b/c/d",
)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("api", ["auto", "chat_completions", "responses", "messages"])
def test_any_string_is_a_model_id(make: Make, simulator: Simulator, name: str, api: str) -> None:
    """run-llama#20360, #20981, #11452, PR #21112 for #18691."""
    llm = make(model=name, api=api, max_retries=0)
    assert llm.metadata.model_name == name
    assert llm.metadata.context_window > 1000
    assert llm.metadata.is_chat_model
    assert llm.to_payload()["model"] == name
    with suppress(NotFound, InvalidRequest, ServerFault):  # whether there is such a model is for the gateway to say
        llm.complete("Hi")
    assert simulator.requests[-1].body["model"] == name


@pytest.mark.parametrize("name", NAMES)
def test_any_string_is_an_embedding_model_id(simulator: Simulator, name: str) -> None:
    model = CloudflareAIGatewayEmbedding(**where(simulator), model=name, api="embeddings", max_retries=0)
    assert model.to_payload()["model"] == name
    with suppress(NotFound, InvalidRequest, ServerFault):
        model.get_query_embedding("Hi")
    assert simulator.requests[-1].body["model"] == name


@pytest.mark.parametrize("name", ["", "?", "my deployment", "../x", "preis/ö"])
def test_an_invalid_model_does_not_break_observers(make: Make, simulator: Simulator, name: str) -> None:
    llm = make(model=name)
    assert (llm.metadata.model_name, llm.to_payload()["model"]) == (name, name)
    with pytest.raises(ConfigError, match="model"):
        llm.complete("Hi")
    assert not simulator.requests


class City(BaseModel):
    """A city."""

    name: str


@pytest.mark.parametrize("name", ["openai/gpt-4.1", "@cf/zai-org/glm-5.2", "gpt-of-next-year", "dynamic/support"])
def test_chat_and_tools_need_no_arguments(make: Make, simulator: Simulator, name: str) -> None:
    """run-llama#18463."""
    llm = make(model=name)
    assert isinstance(llm, FunctionCallingLLM)
    assert llm.metadata.is_chat_model
    assert llm.metadata.is_function_calling_model
    assert isinstance(get_program_for_llm(City, "Name a city.", llm), FunctionCallingProgram)
    assert FunctionAgent(tools=[WEATHER], llm=llm)
    with suppress(NotFound):
        llm.complete("Hi")
    assert simulator.requests[-1].path.endswith("/ai/v1/chat/completions")


WINDOWS = {
    "openai/gpt-4.1": 1_000_000,
    "anthropic/claude-haiku-4.5": 200_000,
    "@cf/zai-org/glm-5.2": 100_000,
    "gpt-of-next-year": 100_000,
}


@pytest.mark.parametrize("name", WINDOWS)
def test_context_windows_are_current(make: Make, name: str) -> None:
    assert make(model=name).metadata.context_window >= WINDOWS[name]
    assert make(model=name, context_window=5000).metadata.context_window == 5000
    memory = ChatMemoryBuffer.from_defaults(llm=make(model=name, context_window=16_000))
    assert memory.token_limit == 12_000


@pytest.mark.parametrize("most", [None, 1, 256, 8191, 8192, 16_000, 1_000_000])
@pytest.mark.parametrize("mode", [ResponseMode.COMPACT, ResponseMode.TREE_SUMMARIZE, ResponseMode.REFINE])
def test_engines_fit_their_prompts_into_the_window(make: Make, simulator: Simulator, most: Any, mode: Any) -> None:
    """run-llama#16235, #11637, #9371."""
    llm = make(model="openai/gpt-4.1", context_window=16_000, max_tokens=most)
    engine = SummaryIndex([TextNode(text="Paris is in France.")]).as_query_engine(llm=llm, response_mode=mode)
    assert str(engine.query("Where is Paris?"))
    assert len(simulator.requests) == 1
    assert simulator.requests[0].body.get("max_completion_tokens") == most


def index_of(llm: CloudflareAIGateway, simulator: Simulator) -> Any:
    texts = [TextNode(text=f"Paris has {n} bridges. " * 200) for n in range(3)]
    embed_model = CloudflareAIGatewayEmbedding(**where(simulator), model=EMBEDDER, max_retries=0)
    index = VectorStoreIndex(texts, embed_model=embed_model)
    return index.as_query_engine(llm=llm, response_mode=ResponseMode.TREE_SUMMARIZE, use_async=True, similarity_top_k=3)


@every_wire
def test_one_llm_serves_successive_event_loops(make: Make, simulator: Simulator, api: str) -> None:
    """run-llama#20433, #19578, #13904, #16336, #13827, #16033, PR #12946."""
    llm = make(api=api, max_retries=0)

    async def work() -> list[str]:
        both = await asyncio.gather(*(answer(llm, method) for method in METHODS))
        return [text_of(response) for response in both]

    for _ in range(3):
        assert all(asyncio.run(work()))
    with ThreadPoolExecutor(3) as pool:
        assert all(all(texts) for texts in pool.map(lambda _: asyncio.run(work()), range(3)))
    assert len(simulator.requests) == 6 * len(METHODS)
    assert simulator.in_flight == 0


def test_an_engine_that_creates_event_loops_works(make: Make, simulator: Simulator) -> None:
    engine = index_of(make(context_window=2000, max_retries=0), simulator)
    for _ in range(3):
        assert str(engine.query("How many bridges?"))

    async def within() -> str:
        return str(await asyncio.to_thread(engine.query, "How many bridges?"))

    assert asyncio.run(within())


NOTEBOOK = """
import asyncio, sys, nest_asyncio
from llama_index.core import SummaryIndex
from llama_index.core.schema import TextNode
from cfaig_integrations.llama_index import CloudflareAIGateway
llm = CloudflareAIGateway(model="openai/gpt-4.1", max_retries=0, context_window=2000)
nodes = [TextNode(text=f"Paris has {n} bridges. " * 150) for n in range(3)]
engine = SummaryIndex(nodes).as_query_engine(llm=llm, response_mode="tree_summarize", use_async=True)

async def cell(n):
    first = str(await llm.acomplete("Hi"))
    inner = str(engine.query("How many bridges?"))
    again = "".join([piece.delta async for piece in await llm.astream_complete("Hi")])
    assert first and inner and again

loop = asyncio.new_event_loop()
asyncio.set_event_loop(loop)
nest_asyncio.apply(loop)
for n in range(3):
    loop.run_until_complete(cell(n))
print("done")
"""


def test_nested_event_loops_of_notebooks_work(simulator: Simulator, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in simulator.environment.items():
        monkeypatch.setenv(name, value)
    finished_run = subprocess.run([sys.executable, "-c", NOTEBOOK], capture_output=True, text=True, check=False)
    assert finished_run.stdout == "done\n", finished_run.stderr
    assert "Event loop is closed" not in finished_run.stderr
    assert len(simulator.requests) >= 3 * 5


def test_a_callback_payload_names_the_model_twice(make: Make, simulator: Simulator) -> None:
    """openinference PR #3306."""
    embedding = CloudflareAIGatewayEmbedding(**where(simulator), model=EMBEDDER)
    for result, name in ((make(model="openai/gpt-4.1"), "openai/gpt-4.1"), (embedding, EMBEDDER)):
        payload = result.to_payload()
        assert (payload["model"], payload["model_name"]) == (name, name)
        assert payload["class_name"] == result.class_name()
        json.dumps(payload)
    assert CloudflareAIGatewayRerank(**where(simulator)).to_dict()["model"]


TOKEN_ARGUMENTS = {"max_tokens", "max_completion_tokens", "max_output_tokens"}
PARAMETER = {
    ("openai/gpt-5.4", "chat_completions"): "max_completion_tokens",
    ("openai/o4-mini", "chat_completions"): "max_completion_tokens",
    ("openai/gpt-4.1", "chat_completions"): "max_completion_tokens",
    ("openai/a-model-of-next-year", "chat_completions"): "max_completion_tokens",
    ("anthropic/claude-haiku-4.5", "chat_completions"): "max_tokens",
    ("google/gemini-3-flash", "chat_completions"): "max_tokens",
    ("@cf/zai-org/glm-5.2", "chat_completions"): "max_tokens",
    ("@cf/openai/gpt-oss-120b", "chat_completions"): "max_tokens",
    ("workers-ai/@cf/zai-org/glm-5.2", "chat_completions"): "max_tokens",
    ("dynamic/route", "chat_completions"): "max_tokens",
    ("openai/gpt-5.4", "responses"): "max_output_tokens",
    ("anthropic/claude-haiku-4.5", "messages"): "max_tokens",
    ("@cf/zai-org/glm-5.2", "run"): "max_tokens",
}


def limits(simulator: Simulator) -> dict[str, int]:
    body = last_request(simulator)
    return {name: body[name] for name in TOKEN_ARGUMENTS & body.keys()}


@pytest.mark.parametrize(("model", "api"), PARAMETER)
@pytest.mark.parametrize("argument", sorted(TOKEN_ARGUMENTS))
def test_the_token_limit_has_the_models_parameter_name(
    make: Make, simulator: Simulator, model: str, api: str, argument: str
) -> None:
    """litellm#13714."""
    for llm, arguments in (
        (make(model=model, api=api, **{argument: 40}), {}),
        (make(model=model, api=api), {argument: 40}),
    ):
        with suppress(NotFound):  # of the model of next year
            llm.complete("Hi", **arguments)
        assert limits(simulator) == {PARAMETER[model, api]: 40}


@every_method
async def test_a_custom_body_field_is_kept(make: Make, simulator: Simulator, method: str) -> None:
    await answer(make(api="chat_completions", extra_body={"max_tokens": 7}), method)
    assert limits(simulator) == {"max_tokens": 7}
