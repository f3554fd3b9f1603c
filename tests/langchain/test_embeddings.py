"""Embeddings against the simulator: the conformance suite on both endpoints, and what it does not look at."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
from collections.abc import Callable
from typing import Any

import pytest
from langchain_core import exceptions as lc
from langchain_core.embeddings import Embeddings
from langchain_core.runnables import RunnableLambda
from langchain_core.vectorstores import InMemoryVectorStore
from langchain_tests.integration_tests import EmbeddingsIntegrationTests
from langchain_tests.unit_tests import EmbeddingsUnitTests

from cfaig_integrations import errors, gateway_context
from cfaig_integrations.core.chat import Usage
from cfaig_integrations.gateway.info import GatewayInfo
from cfaig_integrations.gateway.options import GatewayOptions
from cfaig_integrations.langchain import CloudflareAIGatewayEmbeddings
from cfaig_integrations.simulator import Simulator
from tests.langchain.conftest import where

BGE = "@cf/baai/bge-small-en-v1.5"
M3 = "@cf/baai/bge-m3"
QWEN = "@cf/qwen/qwen3-embedding-0.6b"
APIS = ("run", "embeddings")
Make = Callable[..., CloudflareAIGatewayEmbeddings]


@pytest.fixture
def make(simulator: Simulator) -> Make:
    """Makes embeddings that talk to the simulator."""

    def made(**arguments: Any) -> CloudflareAIGatewayEmbeddings:
        return CloudflareAIGatewayEmbeddings(**where(simulator) | {"model": BGE} | arguments)

    return made


class TestUnit(EmbeddingsUnitTests):
    @property
    def embeddings_class(self) -> type[Embeddings]:
        return CloudflareAIGatewayEmbeddings

    @property
    def embedding_model_params(self) -> dict[str, Any]:
        return {"model": BGE, "account_id": "0" * 32, "api_token": "token"}

    @property
    def init_from_env_params(self) -> tuple[dict[str, str], dict[str, Any], dict[str, Any]]:
        environment = {"CLOUDFLARE_API_TOKEN": "token", "CLOUDFLARE_ACCOUNT_ID": "a" * 32}
        return environment, {"model": BGE}, {}


class OnTheSimulator(EmbeddingsIntegrationTests):
    arguments: dict[str, Any]

    @pytest.fixture(autouse=True)
    def _simulator(self, simulator: Simulator) -> None:
        type(self)._where = where(simulator)

    @property
    def embeddings_class(self) -> type[Embeddings]:
        return CloudflareAIGatewayEmbeddings

    @property
    def embedding_model_params(self) -> dict[str, Any]:
        return {**self.arguments, **type(self)._where}


class TestRun(OnTheSimulator):
    arguments = {"model": QWEN, "api": "run"}  # noqa: RUF012


class TestEmbeddings(OnTheSimulator):
    arguments = {"model": M3, "api": "embeddings"}  # noqa: RUF012


del OnTheSimulator  # not a suite of its own


def embed(model: CloudflareAIGatewayEmbeddings, texts: list[str], asynchronous: bool) -> list[list[float]]:
    return asyncio.run(model.aembed_documents(texts)) if asynchronous else model.embed_documents(texts)


def texts_of(body: dict[str, Any]) -> list[str]:
    return next(body[key] for key in ("text", "documents", "queries", "input") if key in body)


both = pytest.mark.parametrize("asynchronous", [False, True], ids=["sync", "async"])
each_api = pytest.mark.parametrize("api", APIS)


@both
@each_api
@pytest.mark.parametrize(("model", "sizes"), [(BGE, [100, 100, 50]), (QWEN, [32] * 7 + [26])])
def test_long_lists_are_sent_in_batches_and_returned_in_order(
    make: Make, simulator: Simulator, model: str, sizes: list[int], api: str, asynchronous: bool
) -> None:
    texts = [f"text number {n}" for n in range(250)]
    vectors = embed(make(model=model, api=api), texts, asynchronous)
    bodies = [request.body for request in simulator.requests]
    assert sorted(len(texts_of(body)) for body in bodies) == sorted(sizes)
    assert sorted(text for body in bodies for text in texts_of(body)) == sorted(texts)
    assert len(vectors) == 250
    one_by_one = make(model=model, api=api, batch_size=1, max_concurrency=8)
    for n in (0, 31, 32, 99, 100, 249):
        assert one_by_one.embed_documents([texts[n]]) == [vectors[n]]


@both
def test_an_empty_list_sends_no_request(make: Make, simulator: Simulator, asynchronous: bool) -> None:
    assert embed(make(), [], asynchronous) == []
    assert not simulator.requests


@both
def test_an_empty_text_is_reported_with_its_index(make: Make, simulator: Simulator, asynchronous: bool) -> None:
    with pytest.raises(errors.ConfigError, match=r"texts\[3\] is empty") as caught:
        embed(make(batch_size=2), ["a", "b", "c", "", "d"], asynchronous)
    assert isinstance(caught.value, lc.ModelInvalidRequestError)
    with pytest.raises(errors.ConfigError):
        make().embed_query("")
    with pytest.raises(errors.ConfigError):
        embed(make(), "a single text", asynchronous)  # type: ignore[arg-type]
    assert not simulator.requests


@pytest.mark.parametrize("asynchronous", [False, True], ids=["sync", "async"])
def test_queries_and_documents_have_separate_fields(make: Make, simulator: Simulator, asynchronous: bool) -> None:
    model = make(model=QWEN, instruction="Find the capital")
    query = asyncio.run(model.aembed_query("Paris")) if asynchronous else model.embed_query("Paris")
    [document] = embed(model, ["Paris"], asynchronous)
    assert query != document
    assert [request.body for request in simulator.requests] == [
        {"queries": ["Paris"], "instruction": "Find the capital"},
        {"documents": ["Paris"]},
    ]


@pytest.mark.parametrize(
    ("arguments", "path", "body"),
    [
        ({}, f"/ai/run/{BGE}", {"text": ["Hi"]}),
        ({"pooling": "cls"}, f"/ai/run/{BGE}", {"text": ["Hi"], "pooling": "cls"}),
        ({"dimensions": 384}, f"/ai/run/{BGE}", {"text": ["Hi"]}),
        ({"model": M3, "truncate_inputs": True}, f"/ai/run/{M3}", {"text": ["Hi"], "truncate_inputs": True}),
        ({"api": "embeddings"}, "/ai/v1/embeddings", {"model": BGE, "input": ["Hi"]}),
        ({"api": "embeddings", "dimensions": 384}, "/ai/v1/embeddings", {"model": BGE, "input": ["Hi"]}),
        (
            {"gateway": GatewayOptions(reject_if_busy=True)},
            f"/ai/run/{BGE}",
            {"text": ["Hi"], "options": {"rejectIfBusy": True}},
        ),
    ],
)
def test_only_set_arguments_are_sent(
    make: Make, simulator: Simulator, arguments: dict[str, Any], path: str, body: dict[str, Any]
) -> None:
    make(**arguments).embed_query("Hi")
    [request] = simulator.requests
    assert request.path.endswith(path)
    assert request.body == body
    assert request.headers["cf-aig-gateway-id"] == "default"  # cloudflare/ai #403: embeddings bypassed the gateway


def test_embedding_on_the_legacy_host(simulator: Simulator) -> None:
    model = CloudflareAIGatewayEmbeddings(model=BGE, **where(simulator) | {"base_url": simulator.legacy_url})
    assert len(model.embed_query("Hi")) == 384
    [request] = simulator.requests
    assert request.path.endswith("/compat/embeddings")
    assert request.body == {"model": f"workers-ai/{BGE}", "input": ["Hi"]}


@pytest.mark.parametrize(
    ("arguments", "field"),
    [
        ({"batch_size": 101}, "batch_size"),
        ({"model": QWEN, "batch_size": 33}, "batch_size"),
        ({"model": "no model"}, "model"),
        ({"chunk_size": 5}, "chunk_size"),
    ],
)
def test_the_constructor_rejects_invalid_arguments(make: Make, arguments: dict[str, Any], field: str) -> None:
    with pytest.raises(errors.ConfigError) as caught:
        make(**arguments)
    assert caught.value.field == field


@pytest.mark.parametrize(
    ("arguments", "field"),
    [
        ({"model": M3, "pooling": "cls"}, "pooling"),
        ({"instruction": "find"}, "instruction"),
        ({"truncate_inputs": True}, "truncate_inputs"),
        ({"dimensions": 5}, "dimensions"),
        ({"api": "embeddings", "pooling": "cls"}, "pooling"),
        ({"api": "embeddings", "gateway": GatewayOptions(reject_if_busy=True)}, "gateway"),
        ({"model": "openai/text-embedding-3-small", "api": "run"}, "api"),
    ],
)
def test_unsupported_arguments_raise(make: Make, simulator: Simulator, arguments: dict[str, Any], field: str) -> None:
    with pytest.raises(errors.ConfigError) as caught:
        make(**arguments).embed_documents(["Hi"])
    assert caught.value.field == field
    assert not simulator.requests


class Gauge:
    """Counts how many requests are under way at once; each waits until `width` of them are, or nothing more comes."""

    def __init__(self, width: int) -> None:
        self.most = self.now = 0
        self.lock = threading.Lock()
        self.barrier = threading.Barrier(width)

    def enter(self) -> None:
        with self.lock:
            self.now += 1
            self.most = max(self.most, self.now)

    def leave(self) -> None:
        with self.lock:
            self.now -= 1


@pytest.mark.parametrize("width", [1, 2, 3])
def test_the_number_of_threads_is_limited(make: Make, width: int) -> None:
    gauge = Gauge(width)

    def token() -> str:
        gauge.enter()
        gauge.barrier.wait(10)  # opens only if so many are here together
        gauge.leave()
        return real

    model = make(batch_size=1, max_concurrency=width)
    real = model.api_token.get_secret_value()  # type: ignore[union-attr]
    model = make(batch_size=1, max_concurrency=width, api_token=token)
    assert len(model.embed_documents([f"t{n}" for n in range(6)])) == 6
    assert gauge.most == width


@pytest.mark.parametrize("width", [1, 2, 3])
async def test_the_number_of_tasks_is_limited(make: Make, width: int) -> None:
    gauge, barrier = Gauge(width), asyncio.Barrier(width)

    async def token() -> str:
        gauge.enter()
        async with asyncio.timeout(10):
            await barrier.wait()
        gauge.leave()
        return real

    real = make().api_token.get_secret_value()  # type: ignore[union-attr]
    model = make(batch_size=1, max_concurrency=width, api_token=token)
    assert len(await model.aembed_documents([f"t{n}" for n in range(6)])) == 6
    assert gauge.most == width


@both
@each_api
def test_transient_failures_are_retried(make: Make, simulator: Simulator, api: str, asynchronous: bool) -> None:
    simulator.fault("close_before_response", times=2)
    vectors = embed(make(api=api, batch_size=1, retry_after_send=True), ["a", "b", "c"], asynchronous)
    assert vectors == make(api=api).embed_documents(["a", "b", "c"])
    assert len(simulator.requests) == 3 + 2 + 1


@both
@each_api
@pytest.mark.parametrize(
    ("fault", "ours", "others"),
    [
        ("gateway_rate_limit", errors.RateLimited, lc.ModelRateLimitError),
        ("provider_error", errors.ServerFault, lc.ModelAPIError),
    ],
)
def test_errors_are_gateway_and_langchain_errors(
    make: Make,
    simulator: Simulator,
    api: str,
    asynchronous: bool,
    fault: str,
    ours: type[Exception],
    others: type[Exception],
) -> None:
    simulator.fault(fault, times=None)
    with pytest.raises(ours) as caught:
        embed(make(api=api, max_retries=0, batch_size=1), ["a", "b"], asynchronous)
    assert isinstance(caught.value, others)
    assert caught.value.requests_sent == 1  # type: ignore[attr-defined]


@both
def test_after_a_failure_no_more_batches_are_sent(make: Make, simulator: Simulator, asynchronous: bool) -> None:
    simulator.fault("gateway_rate_limit", times=None)
    with pytest.raises(errors.RateLimited):
        embed(make(max_retries=0, batch_size=1, max_concurrency=2), [f"t{n}" for n in range(60)], asynchronous)
    assert len(simulator.requests) < 30


@each_api
def test_an_unknown_model_is_not_found(make: Make, api: str) -> None:
    with pytest.raises(errors.ApiError) as caught:
        make(model="@cf/baai/none", api=api).embed_query("Hi")
    assert isinstance(caught.value, lc.ModelError)


def test_a_third_party_model_is_not_in_the_rest_catalogue(make: Make, simulator: Simulator) -> None:
    """facts §6.3."""
    with pytest.raises(errors.ApiError) as caught:
        make(model="openai/text-embedding-3-small", dimensions=256).embed_query("Hi")
    assert caught.value.code == 7003
    assert simulator.requests[0].body["dimensions"] == 256


@both
@each_api
def test_metadata_reaches_the_log_of_every_batch(
    make: Make, simulator: Simulator, api: str, asynchronous: bool
) -> None:
    embed(make(api=api, batch_size=1, gateway_metadata={"team": "docs"}), ["a", "b", "c"], asynchronous)
    assert [entry["metadata"]["team"] for entry in simulator.logs()] == ["docs"] * 3


@both
@each_api
def test_usage_is_reported_for_each_request(make: Make, simulator: Simulator, api: str, asynchronous: bool) -> None:
    reported: list[tuple[Usage | None, GatewayInfo]] = []
    model = make(api=api, batch_size=2, on_usage=lambda usage, info: reported.append((usage, info)))
    embed(model, ["one two", "three", "four"], asynchronous)
    assert len(reported) == 2
    assert all(usage is not None and usage.input == usage.total > 0 for usage, _ in reported)
    assert {info.log_id for _, info in reported} == {entry["id"] for entry in simulator.logs()}
    assert {(info.wire, info.requested_model) for _, info in reported} == {(api, BGE)}


def test_a_model_without_token_counts_reports_none(make: Make) -> None:
    reported: list[Usage | None] = []
    make(model="@cf/google/embeddinggemma-300m", on_usage=lambda usage, _: reported.append(usage)).embed_query("Hi")
    assert reported == [None]


def test_usage_of_m3_is_read_from_its_own_form(make: Make) -> None:
    reported: list[Usage | None] = []
    make(model=M3, on_usage=lambda usage, _: reported.append(usage)).embed_query("Hi there")
    assert reported[0] is not None
    assert reported[0].input > 0


@both
def test_too_few_vectors_are_an_error(make: Make, simulator: Simulator, asynchronous: bool) -> None:
    simulator.reply_raw(body=b'{"result": {"shape": [1, 384], "data": [[1.0]]}, "success": true}')
    with pytest.raises(errors.ProtocolError, match="2 texts were sent, and 1 vectors"):
        embed(make(), ["a", "b"], asynchronous)


@both
def test_vectors_of_another_length_are_an_error(make: Make, simulator: Simulator, asynchronous: bool) -> None:
    simulator.reply_raw(body=b'{"result": {"shape": [1, 1], "data": [[1.0]]}, "success": true}')
    with pytest.raises(errors.ProtocolError, match="384 was expected"):
        embed(make(), ["a"], asynchronous)


@both
def test_an_error_in_a_2xx_is_an_error(make: Make, simulator: Simulator, asynchronous: bool) -> None:
    simulator.reply_raw(body=b'{"result": null, "success": false, "errors": [{"code": 5006, "message": "no"}]}')
    with pytest.raises(errors.ApiError) as caught:
        embed(make(max_retries=0), ["a"], asynchronous)
    assert caught.value.code == 5006


@both
@each_api
@pytest.mark.parametrize("model", [BGE, M3, QWEN])
def test_a_vector_store_finds_the_right_text(make: Make, model: str, api: str, asynchronous: bool) -> None:
    texts = [f"Fact {n}: the moon has {n} craters." for n in range(40)]
    texts += ["Paris is the capital of France.", "Bananas are yellow fruit."]
    store = InMemoryVectorStore(make(model=model, api=api))

    async def search() -> list[str]:
        await store.aadd_texts(texts)
        return [result.page_content for result in await store.asimilarity_search("What is the capital of France?", k=1)]

    if asynchronous:
        assert asyncio.run(search()) == ["Paris is the capital of France."]
    else:
        store.add_texts(texts)
        result = store.similarity_search("What is the capital of France?", k=1)
        assert [each.page_content for each in result] == ["Paris is the capital of France."]


def test_poolings_give_different_vectors(make: Make) -> None:
    mean, cls = make().embed_query("Hi there"), make(pooling="cls").embed_query("Hi there")
    assert abs(sum(a * b for a, b in zip(mean, cls, strict=True))) < 0.5


def test_no_secret_is_shown(make: Make, simulator: Simulator) -> None:
    assert simulator.api_token not in repr(make())
    assert simulator.api_token not in str(make().model_dump())


def test_run_and_context_metadata_of_an_embedding_reach_the_log(simulator: Simulator) -> None:
    embeddings = CloudflareAIGatewayEmbeddings(
        model="@cf/baai/bge-m3", metadata_keys=["user_id", "op"], **where(simulator)
    )
    chain = RunnableLambda(embeddings.embed_query)
    with gateway_context(metadata={"team": "docs"}):
        chain.invoke("text", {"metadata": {"user_id": "u1"}})
    assert simulator.logs()[0]["metadata"] == {"team": "docs", "user_id": "u1", "op": "embedding"}


def test_embedding_loads_no_chat_model() -> None:
    program = "import sys, cfaig_integrations.langchain.embeddings as _; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.split()
    assert "langchain_core.embeddings" in loaded
    assert "langchain_core.language_models.chat_models" not in loaded
