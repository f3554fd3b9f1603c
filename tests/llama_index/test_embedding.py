"""Embeddings against the simulator: LlamaIndex's contract, its events, and its programs."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from llama_index.core import Document, Settings, VectorStoreIndex
from llama_index.core.callbacks import CallbackManager, CBEventType, EventPayload, LlamaDebugHandler
from llama_index.core.embeddings import BaseEmbedding
from llama_index.core.ingestion import IngestionPipeline
from llama_index.core.instrumentation.dispatcher import instrument_tags
from llama_index.core.instrumentation.events.embedding import EmbeddingEndEvent, EmbeddingStartEvent
from llama_index.core.instrumentation.span_handlers import SimpleSpanHandler
from llama_index.core.rate_limiter import BaseRateLimiter
from llama_index.core.schema import ImageNode, TextNode
from llama_index.core.storage.kvstore import SimpleKVStore

from cfaig_integrations import GatewayOptions, RunInfo, errors
from cfaig_integrations.core.chat import Usage
from cfaig_integrations.gateway.info import GatewayInfo
from cfaig_integrations.llama_index import CloudflareAIGatewayEmbedding
from cfaig_integrations.simulator import Simulator
from tests.llama_index.conftest import Events, where

BGE = "@cf/baai/bge-small-en-v1.5"
M3 = "@cf/baai/bge-m3"
QWEN = "@cf/qwen/qwen3-embedding-0.6b"
UNKNOWN = "@cf/google/embeddinggemma-300m"
APIS = ("run", "embeddings")
BY_32 = [32] * 7 + [26]
Make = Callable[..., CloudflareAIGatewayEmbedding]


@pytest.fixture
def make(simulator: Simulator) -> Make:
    """Makes embeddings at the simulator."""

    def created(**arguments: Any) -> CloudflareAIGatewayEmbedding:
        return CloudflareAIGatewayEmbedding(**where(simulator) | {"model": BGE} | arguments)

    return created


both = pytest.mark.parametrize("asynchronous", [False, True], ids=["sync", "async"])
each_api = pytest.mark.parametrize("api", APIS)


def embed(model: CloudflareAIGatewayEmbedding, texts: list[str], asynchronous: bool) -> list[list[float]]:
    if asynchronous:
        return asyncio.run(model.aget_text_embedding_batch(texts))
    return model.get_text_embedding_batch(texts)


def query(model: CloudflareAIGatewayEmbedding, text: str, asynchronous: bool) -> list[float]:
    return asyncio.run(model.aget_query_embedding(text)) if asynchronous else model.get_query_embedding(text)


def one(model: CloudflareAIGatewayEmbedding, text: str, asynchronous: bool) -> list[float]:
    return asyncio.run(model.aget_text_embedding(text)) if asynchronous else model.get_text_embedding(text)


def texts_of(body: dict[str, Any]) -> list[str]:
    return next(body[key] for key in ("text", "documents", "queries", "input") if key in body)


def test_it_is_a_base_embedding() -> None:
    assert issubclass(CloudflareAIGatewayEmbedding, BaseEmbedding)


@both
@each_api
@pytest.mark.parametrize(("model", "sizes"), [(BGE, [100, 100, 50]), (QWEN, BY_32), (UNKNOWN, BY_32)])
def test_a_long_list_is_split_into_batches_and_keeps_its_order(
    make: Make, simulator: Simulator, model: str, sizes: list[int], api: str, asynchronous: bool
) -> None:
    texts = [f"text number {n}" for n in range(250)]
    vectors = embed(make(model=model, api=api), texts, asynchronous)
    bodies = [request.body for request in simulator.requests]
    assert sorted(len(texts_of(body)) for body in bodies) == sorted(sizes)
    assert sorted(text for body in bodies for text in texts_of(body)) == sorted(texts)
    assert len(vectors) == 250
    for n in (0, 31, 32, 99, 100, 249):
        assert make(model=model, api=api).get_text_embedding(texts[n]) == vectors[n]


@both
def test_the_private_methods_split_lists_that_exceed_one_request(
    make: Make, simulator: Simulator, asynchronous: bool
) -> None:
    model, texts = make(model=QWEN), [f"t{n}" for n in range(70)]
    vectors = asyncio.run(model._aget_text_embeddings(texts)) if asynchronous else model._get_text_embeddings(texts)
    assert len(vectors) == 70
    assert [len(texts_of(request.body)) for request in simulator.requests] == [32, 32, 6]


@both
def test_an_empty_list_sends_no_request(make: Make, simulator: Simulator, asynchronous: bool) -> None:
    for workers in (1, 4):
        assert embed(make(num_workers=workers), [], asynchronous) == []
    assert not simulator.requests


@both
@pytest.mark.parametrize("texts", [["", "Hi", "", "Ho"], ["", ""], []])
def test_nodes_without_text_are_skipped(make: Make, simulator: Simulator, texts: list[str], asynchronous: bool) -> None:
    nodes = [TextNode(text=text) for text in texts] + [ImageNode(image_url="https://x/y.png")]
    pipeline = IngestionPipeline(transformations=[make(embed_batch_size=1)])
    result = asyncio.run(pipeline.arun(nodes=nodes)) if asynchronous else pipeline.run(nodes=nodes)
    assert [node.node_id for node in result] == [node.node_id for node in nodes]
    assert [node.embedding is not None for node in result] == [bool(text) for text in texts] + [False]
    assert [node.embedding for node in result if node.embedding] == [
        one(make(), text, asynchronous) for text in texts if text
    ]


@both
def test_an_empty_text_is_reported_with_its_index_in_the_list(
    make: Make, simulator: Simulator, asynchronous: bool
) -> None:
    with pytest.raises(errors.ConfigError, match=r"texts\[3\] is empty"):
        embed(make(embed_batch_size=2), ["a", "b", "c", "", "d"], asynchronous)
    with pytest.raises(errors.ConfigError, match="one text"):
        embed(make(), "a single text", asynchronous)  # type: ignore[arg-type]
    for ask in (query, one):
        with pytest.raises(errors.ConfigError, match="is empty"):
            ask(make(), "", asynchronous)
    assert not simulator.requests


@both
def test_queries_and_documents_are_sent_in_different_fields(
    make: Make, simulator: Simulator, asynchronous: bool
) -> None:
    model = make(model=QWEN, instruction="Find the capital")
    sent, message = query(model, "Paris", asynchronous), one(model, "Paris", asynchronous)
    assert embed(model, ["Paris"], asynchronous) == [message]
    assert sent != message
    assert [request.body for request in simulator.requests] == [
        {"queries": ["Paris"], "instruction": "Find the capital"},
        {"documents": ["Paris"]},
        {"documents": ["Paris"]},
    ]


@pytest.mark.parametrize(
    ("arguments", "path", "body"),
    [
        ({}, f"/ai/run/{BGE}", {"text": ["Hi"]}),
        ({"pooling": "cls"}, f"/ai/run/{BGE}", {"text": ["Hi"], "pooling": "cls"}),
        ({"dimensions": 384}, f"/ai/run/{BGE}", {"text": ["Hi"]}),
        ({"model": M3, "truncate_inputs": True}, f"/ai/run/{M3}", {"text": ["Hi"], "truncate_inputs": True}),
        ({"extra_body": {"pooling": "mean"}}, f"/ai/run/{BGE}", {"text": ["Hi"], "pooling": "mean"}),
        ({"api": "embeddings"}, "/ai/v1/embeddings", {"model": BGE, "input": ["Hi"]}),
    ],
)
def test_unset_arguments_are_omitted(
    make: Make, simulator: Simulator, arguments: dict[str, Any], path: str, body: dict[str, Any]
) -> None:
    make(**arguments).get_query_embedding("Hi")
    [request] = simulator.requests
    assert request.path.endswith(path)
    assert request.body == body
    assert request.headers["cf-aig-gateway-id"] == "default"


@pytest.mark.parametrize(
    ("arguments", "field"),
    [
        ({"embed_batch_size": 101}, "embed_batch_size"),
        ({"model": QWEN, "embed_batch_size": 33}, "embed_batch_size"),
        ({"model": "no model"}, "model"),
        ({"chunk_size": 5}, "chunk_size"),
    ],
)
def test_an_invalid_argument_is_refused_by_the_constructor(make: Make, arguments: dict[str, Any], field: str) -> None:
    with pytest.raises(errors.ConfigError) as caught:
        make(**arguments)
    assert caught.value.field == field


@pytest.mark.parametrize(
    "arguments", [{"embed_batch_size": 0}, {"model": UNKNOWN, "embed_batch_size": 2049}, {"num_workers": 0}]
)
def test_an_argument_out_of_range_is_refused_by_the_constructor(make: Make, arguments: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(argument for argument in arguments if argument != "model")):
        make(**arguments)


@pytest.mark.parametrize(
    ("arguments", "field"),
    [
        ({"model": M3, "pooling": "cls"}, "pooling"),
        ({"instruction": "find"}, "instruction"),
        ({"dimensions": 5}, "dimensions"),
        ({"api": "embeddings", "gateway": GatewayOptions(reject_if_busy=True)}, "gateway"),
    ],
)
def test_an_unsupported_argument_raises(
    make: Make, simulator: Simulator, arguments: dict[str, Any], field: str
) -> None:
    with pytest.raises(errors.ConfigError) as caught:
        make(**arguments).get_text_embedding_batch(["Hi"])
    assert caught.value.field == field
    assert not simulator.requests


def test_model_and_model_name_are_the_same_value(make: Make) -> None:
    m3 = make(model=M3)
    for model in (make(), m3.model_copy(update={"model": BGE}), m3.model_copy(update={"model_name": BGE})):
        assert (model.model, model.model_name, model.embed_batch_size) == (BGE, BGE, 100)
        assert {"model": BGE, "model_name": BGE, "embed_batch_size": 100}.items() <= model.to_payload().items()
    model = make()
    model.model = QWEN
    assert (model.model_name, model.embed_batch_size) == (QWEN, 32)
    model.model_name = M3
    assert (model.model, model.embed_batch_size) == (M3, 100)
    with pytest.raises(errors.ConfigError, match="twice"):
        make(model_name=M3)


def test_an_explicit_batch_size_is_kept_and_checked_for_each_model(make: Make, simulator: Simulator) -> None:
    model = make(embed_batch_size=50)
    model.model = M3
    assert model.embed_batch_size == 50
    with pytest.raises(errors.ConfigError, match="embed_batch_size=50 is more"):
        model.model = QWEN
    other = make()
    other.embed_batch_size = 2
    embed(other, ["a", "b", "c"], False)
    assert [len(texts_of(request.body)) for request in simulator.requests] == [2, 1]
    with pytest.raises(errors.ConfigError, match="embed_batch_size=200 is more"):
        other.embed_batch_size = 200


@pytest.mark.parametrize(("workers", "at_once"), [(1, 1), (2, 2), (3, 3), (None, 6)])
async def test_num_workers_limits_concurrent_requests(
    make: Make, simulator: Simulator, workers: int | None, at_once: int
) -> None:
    now = most = 0
    barrier = asyncio.Barrier(at_once)

    async def token() -> str:
        nonlocal now, most
        now += 1
        most = max(most, now)
        for _ in range(9):
            await asyncio.sleep(0)  # so that others may come too
        async with asyncio.timeout(10):
            await barrier.wait()  # opens only if so many are here together
        now -= 1
        return simulator.api_token

    model = make(embed_batch_size=1, num_workers=workers, api_token=token)
    assert len(await model.aget_text_embedding_batch([f"t{n}" for n in range(6)])) == 6
    assert most == at_once


def test_by_default_four_requests_are_concurrent(make: Make) -> None:
    assert make().num_workers == 4


@both
@each_api
def test_a_transient_error_is_retried(make: Make, simulator: Simulator, api: str, asynchronous: bool) -> None:
    simulator.fault("close_before_response", times=2)
    vectors = embed(make(api=api, embed_batch_size=1, retry_after_send=True), ["a", "b", "c"], asynchronous)
    assert vectors == make(api=api).get_text_embedding_batch(["a", "b", "c"])
    assert len(simulator.requests) == 3 + 2 + 1


@both
@pytest.mark.parametrize(
    ("fault", "kind"), [("gateway_rate_limit", errors.RateLimited), ("provider_error", errors.ServerFault)]
)
def test_errors_are_gateway_errors(
    make: Make, simulator: Simulator, fault: str, kind: type[errors.GatewayError], asynchronous: bool
) -> None:
    simulator.fault(fault, times=None)
    for ask in (query, one, lambda model, text, asynchronous: embed(model, [text], asynchronous)):
        with pytest.raises(kind) as caught:
            ask(make(max_retries=0), "Hi", asynchronous)
        assert caught.value.requests_sent == 1


def test_a_failure_notes_how_many_texts_were_embedded(make: Make, simulator: Simulator) -> None:
    simulator.fault("gateway_rate_limit", times=None, after=2)
    with pytest.raises(errors.RateLimited) as caught:
        embed(make(max_retries=0, embed_batch_size=10), [f"t{n}" for n in range(45)], False)
    assert caught.value.__notes__ == ["20 of 45 texts were embedded before this failure."]
    assert len(simulator.requests) == 3


@pytest.mark.parametrize("workers", [1, 4])
async def test_after_a_failure_no_more_batches_are_sent(make: Make, simulator: Simulator, workers: int) -> None:
    simulator.fault("gateway_rate_limit", times=None)
    model = make(max_retries=0, embed_batch_size=1, num_workers=workers)
    with pytest.raises(errors.RateLimited) as caught:
        await model.aget_text_embedding_batch([f"t{n}" for n in range(60)])
    assert caught.value.__notes__ == ["0 of 60 texts were embedded before this failure."]
    others = asyncio.all_tasks() - {asyncio.current_task()}  # LlamaIndex lets them run on
    await asyncio.gather(*others, return_exceptions=True)
    assert len(simulator.requests) <= 2 * workers


@both
@each_api
def test_on_usage_is_called_for_each_request(make: Make, simulator: Simulator, api: str, asynchronous: bool) -> None:
    message: list[tuple[Usage | None, GatewayInfo]] = []
    model = make(api=api, embed_batch_size=2, on_usage=lambda usage, info: message.append((usage, info)))
    embed(model, ["one two", "three", "four"], asynchronous)
    assert len(message) == 2
    assert all(usage is not None and usage.input == usage.total > 0 for usage, _ in message)
    assert {info.log_id for _, info in message} == {entry["id"] for entry in simulator.logs()}
    assert {(info.wire, info.requested_model) for _, info in message} == {(api, BGE)}


@both
def test_observers_see_every_batch_once_with_the_model_and_no_secret(
    make: Make, simulator: Simulator, events: Events, asynchronous: bool
) -> None:
    debug = LlamaDebugHandler(print_trace_on_end=False)
    model = make(embed_batch_size=2, callback_manager=CallbackManager([debug]))
    texts = ["a", "b", "c"]
    vectors = embed(model, texts, asynchronous)
    starts = [event for event in events.seen if isinstance(event, EmbeddingStartEvent)]
    ends = [event for event in events.seen if isinstance(event, EmbeddingEndEvent)]
    assert [event.chunks for event in ends] == [["a", "b"], ["c"]]
    assert [vector for event in ends for vector in event.embeddings] == vectors
    assert [(event.model_dict["model"], event.model_dict["model_name"]) for event in starts] == [(BGE, BGE)] * 2
    pairs = debug.get_event_pairs(CBEventType.EMBEDDING)
    assert [pair[1].payload[EventPayload.CHUNKS] for pair in pairs] == [["a", "b"], ["c"]]
    assert simulator.api_token not in f"{events.seen} {pairs}"


@both
def test_a_batch_call_is_one_span_that_is_dropped_when_it_fails(
    make: Make, spans: SimpleSpanHandler, asynchronous: bool
) -> None:
    name = f"CloudflareAIGatewayEmbedding.{'aget' if asynchronous else 'get'}_text_embedding_batch"
    embed(make(), ["a"], asynchronous)
    assert [span.id_.partition("-")[0] for span in spans.completed_spans].count(name) == 1
    with pytest.raises(errors.ConfigError):
        embed(make(), ["a", ""], asynchronous)
    assert [span.id_.partition("-")[0] for span in spans.dropped_spans] == [name]


@both
def test_a_cached_text_is_not_requested_again(make: Make, simulator: Simulator, asynchronous: bool) -> None:
    model = make(embeddings_cache=SimpleKVStore(), embed_batch_size=2)
    first = embed(model, ["a", "b", "c"], asynchronous)
    assert embed(model, ["c", "d", "b"], asynchronous)[::2] == [first[2], first[1]]
    assert query(model, "a", asynchronous) == first[0]
    assert [texts_of(request.body) for request in simulator.requests[2:]] == [["d"]]


def test_texts_embedded_before_a_failure_are_cached(make: Make, simulator: Simulator) -> None:
    simulator.fault("gateway_rate_limit", after=2)
    model = make(max_retries=0, embed_batch_size=1, embeddings_cache=SimpleKVStore())
    with pytest.raises(errors.RateLimited):
        embed(model, ["a", "b", "c"], False)
    assert len(embed(model, ["a", "b", "c"], False)) == 3
    assert [texts_of(request.body) for request in simulator.requests] == [["a"], ["b"], ["c"], ["c"]]


@both
def test_each_batch_acquires_the_rate_limiter(make: Make, asynchronous: bool) -> None:
    class Turnstile(BaseRateLimiter):
        turns = 0

        def acquire(self, num_tokens: int = 0) -> None:
            self.turns += 1

        async def async_acquire(self, num_tokens: int = 0) -> None:
            self.turns += 1

    turnstile = Turnstile()
    embed(make(embed_batch_size=1, rate_limiter=turnstile), ["a", "b", "c"], asynchronous)
    assert turnstile.turns == 3


def test_async_embedding_works_in_one_loop_after_another(make: Make) -> None:
    model = make()
    assert len({tuple(asyncio.run(model.aget_query_embedding("Hi"))) for _ in range(4)}) == 1


@both
def test_the_run_reaches_the_log_of_every_batch(make: Make, simulator: Simulator, asynchronous: bool) -> None:
    model = make(embed_batch_size=1, gateway_metadata={"team": "docs"})
    with instrument_tags({"user": "u1", "llamaindex.step.input_summary": "secret"}):
        embed(model, ["a", "b", "c"], asynchronous)
        query(model, "d", asynchronous)
    assert [entry["metadata"] for entry in simulator.logs()] == [{"team": "docs", "user": "u1", "op": "embedding"}] * 4


def test_a_mapper_receives_the_operation_embedding(make: Make, simulator: Simulator) -> None:
    def mapped(run: RunInfo) -> dict[str, Any]:
        return {"what": f"{run.framework} {run.operation}"}

    make(metadata_mapper=mapped).get_text_embedding("Hi")
    assert simulator.logs()[0]["metadata"] == {"what": "llama_index embedding"}


@both
@each_api
@pytest.mark.parametrize("model", [M3, QWEN])
def test_an_index_retrieves_the_right_node(make: Make, model: str, api: str, asynchronous: bool) -> None:
    nodes = [TextNode(text=f"Fact {n}: the moon has {n} craters.") for n in range(40)]
    nodes += [TextNode(text="Paris is the capital of France."), TextNode(text="Bananas are yellow fruit.")]
    index = VectorStoreIndex(nodes, embed_model=make(model=model, api=api), use_async=asynchronous)
    retriever = index.as_retriever(similarity_top_k=1)
    question = "What is the capital of France?"
    [result] = asyncio.run(retriever.aretrieve(question)) if asynchronous else retriever.retrieve(question)
    assert result.text == "Paris is the capital of France."


def test_an_index_reports_its_purpose(make: Make, simulator: Simulator) -> None:
    index = VectorStoreIndex.from_documents([Document(text="Paris")], embed_model=make())
    index.as_retriever().retrieve("Paris?")
    assert [entry["metadata"]["op"] for entry in simulator.logs()] == ["index_construction", "query"]


@both
def test_a_pipeline_embeds_once_and_caches(make: Make, simulator: Simulator, asynchronous: bool) -> None:
    pipeline = IngestionPipeline(transformations=[make()])
    nodes = [TextNode(text=f"n{n}", id_=str(n)) for n in range(5)]
    for _ in range(2):
        done = asyncio.run(pipeline.arun(nodes=nodes)) if asynchronous else pipeline.run(nodes=nodes)
        assert [len(node.embedding or []) for node in done] == [384] * 5
    assert len(simulator.requests) == 1


def test_a_pipeline_embeds_in_worker_processes(
    make: Make, simulator: Simulator, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("CLOUDFLARE_API_TOKEN", simulator.api_token)
    model = make(gateway_metadata={"team": "docs"})
    nodes = [TextNode(text=f"n{n}") for n in range(6)]
    done = IngestionPipeline(transformations=[model]).run(nodes=nodes, num_workers=2)
    assert [node.embedding for node in done] == model.get_text_embedding_batch([f"n{n}" for n in range(6)])
    assert [len(texts_of(request.body)) for request in simulator.requests] == [3, 3, 6]
    assert {entry["metadata"]["team"] for entry in simulator.logs()} == {"docs"}
    assert "unpickleable" not in capfd.readouterr().err


def test_settings_accept_it(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Settings, "_embed_model", None)
    monkeypatch.setattr(Settings, "_callback_manager", None)
    model = make()
    Settings.embed_model = model
    assert Settings.embed_model is model
