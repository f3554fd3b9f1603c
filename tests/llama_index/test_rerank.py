"""The reranker against the simulator: a node postprocessor of LlamaIndex, alone and in a query engine's place."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from llama_index.core import VectorStoreIndex
from llama_index.core.callbacks import CallbackManager, CBEventType, EventPayload, LlamaDebugHandler
from llama_index.core.instrumentation.dispatcher import instrument_tags
from llama_index.core.instrumentation.events.rerank import ReRankEndEvent, ReRankStartEvent
from llama_index.core.instrumentation.span_handlers import SimpleSpanHandler
from llama_index.core.llms import MockLLM
from llama_index.core.postprocessor.types import BaseNodePostprocessor
from llama_index.core.schema import BaseNode, Document, MetadataMode, NodeWithScore, QueryBundle, TextNode

from cfaig_integrations import errors
from cfaig_integrations.llama_index import CloudflareAIGatewayEmbedding, CloudflareAIGatewayRerank
from cfaig_integrations.simulator import Simulator
from tests.llama_index.conftest import Events, where

MODEL = "@cf/baai/bge-reranker-base"
M3 = "@cf/baai/bge-m3"
QUESTION = "What is the capital of France?"
TEXTS = ["Bananas are yellow.", "Paris is the capital of France.", "France has many rivers."]
Make = Callable[..., CloudflareAIGatewayRerank]


@pytest.fixture
def make(simulator: Simulator) -> Make:
    """Makes a reranker at the simulator."""

    def created(**arguments: Any) -> CloudflareAIGatewayRerank:
        return CloudflareAIGatewayRerank(**where(simulator) | arguments)

    return created


@pytest.fixture
def nodes() -> list[NodeWithScore]:
    return [NodeWithScore(node=TextNode(text=text, id_=str(n)), score=0.5 - n / 10) for n, text in enumerate(TEXTS)]


both = pytest.mark.parametrize("asynchronous", [False, True], ids=["sync", "async"])


def rerank(
    reranker: CloudflareAIGatewayRerank, nodes: list[NodeWithScore], asynchronous: bool, **sent: Any
) -> list[NodeWithScore]:
    sent = sent or {"query_str": QUESTION}
    if asynchronous:
        return asyncio.run(reranker.apostprocess_nodes(nodes, **sent))
    return reranker.postprocess_nodes(nodes, **sent)


def test_it_is_a_node_postprocessor() -> None:
    assert issubclass(CloudflareAIGatewayRerank, BaseNodePostprocessor)


@both
@pytest.mark.parametrize("sent", [{"query_str": QUESTION}, {"query_bundle": QueryBundle(QUESTION)}])
def test_nodes_are_ordered_by_their_new_scores(
    make: Make, simulator: Simulator, nodes: list[NodeWithScore], sent: dict[str, Any], asynchronous: bool
) -> None:
    best = rerank(make(), nodes, asynchronous, **sent)
    assert [each.node_id for each in best] == ["1", "2", "0"]
    assert [each.node for each in best] == [nodes[1].node, nodes[2].node, nodes[0].node]
    scores = [each.get_score(raise_error=True) for each in best]
    assert scores == sorted(scores, reverse=True)
    assert not {0.5, 0.4, 0.3} & set(scores)
    assert [each.score for each in nodes] == [0.5, 0.4, 0.3]  # what was given stays as it was
    [request] = simulator.requests
    assert request.path.endswith(f"/ai/run/{MODEL}")
    assert request.body == {"query": QUESTION, "contexts": [{"text": text} for text in TEXTS]}
    assert request.headers["cf-aig-gateway-id"] == "default"


def test_the_nodes_are_not_copied(make: Make, nodes: list[NodeWithScore]) -> None:
    assert {id(each.node) for each in rerank(make(), nodes, False)} == {id(each.node) for each in nodes}


@both
@pytest.mark.parametrize(("model", "top_k"), [(MODEL, 2), (M3, None)])
def test_top_n_nodes_are_kept(
    make: Make, simulator: Simulator, nodes: list[NodeWithScore], model: str, top_k: int | None, asynchronous: bool
) -> None:
    best = rerank(make(model=model, top_n=2), nodes, asynchronous)
    assert [each.node_id for each in best] == ["1", "2"]
    assert simulator.requests[0].body.get("top_k") == top_k
    assert len(rerank(make(top_n=9), nodes, asynchronous)) == 3


def test_the_model_receives_the_embedding_text(make: Make, simulator: Simulator) -> None:
    metadata = {"title": "Cities", "path": "/a/b"}
    node = TextNode(text="Paris", metadata=metadata, excluded_embed_metadata_keys=["path"])
    rerank(make(extra_body={"new": 1}), [NodeWithScore(node=node)], False)
    assert simulator.requests[0].body == {"query": QUESTION, "contexts": [{"text": "title: Cities\n\nParis"}], "new": 1}


class Shouting(TextNode):
    def get_content(self, metadata_mode: MetadataMode = MetadataMode.NONE) -> str:
        return self.text.upper()


@pytest.mark.parametrize(
    "node",
    [
        TextNode(text=" Paris "),
        TextNode(text="Paris", metadata={"title": "Cities"}),
        TextNode(text="Paris", metadata={"path": "/a"}, excluded_embed_metadata_keys=["path"]),
        Shouting(text="Paris"),
        Document(text="Paris"),
    ],
)
def test_the_model_receives_what_llama_index_would_embed(make: Make, simulator: Simulator, node: BaseNode) -> None:
    rerank(make(), [NodeWithScore(node=node)], False)
    assert simulator.requests[0].body["contexts"] == [{"text": node.get_content(metadata_mode=MetadataMode.EMBED)}]


@both
def test_no_nodes_send_no_request(make: Make, simulator: Simulator, asynchronous: bool) -> None:
    assert rerank(make(), [], asynchronous) == []
    assert not simulator.requests


@both
@pytest.mark.parametrize("model", [MODEL, M3])
@pytest.mark.parametrize(
    ("top_n", "expected"), [(None, ["2", "3", "1", "0", "4"]), (4, ["2", "3", "1", "0"]), (2, ["2", "3"])]
)
def test_nodes_without_text_come_last_without_a_score(
    make: Make, simulator: Simulator, model: str, top_n: int | None, expected: list[str], asynchronous: bool
) -> None:
    texts = ["", *TEXTS, ""]
    original = [NodeWithScore(node=TextNode(text=text, id_=str(n)), score=0.5) for n, text in enumerate(texts)]
    best = rerank(make(model=model, top_n=top_n), original, asynchronous)
    assert [each.node_id for each in best] == expected
    assert [each.score is None for each in best] == [place in {"0", "4"} for place in expected]
    assert [context["text"] for context in simulator.requests[0].body["contexts"]] == TEXTS


@both
def test_only_empty_nodes_send_no_request(make: Make, simulator: Simulator, asynchronous: bool) -> None:
    original = [NodeWithScore(node=TextNode(text="", id_=str(n)), score=0.5) for n in range(3)]
    assert [each.node_id for each in rerank(make(top_n=2), original, asynchronous)] == ["0", "1"]
    assert not simulator.requests


@both
@pytest.mark.parametrize("sent", [{"query_bundle": None}, {"query_str": ""}, {"query_bundle": QueryBundle("")}])
def test_a_missing_question_is_refused(
    make: Make, simulator: Simulator, nodes: list[NodeWithScore], sent: dict[str, Any], asynchronous: bool
) -> None:
    with pytest.raises(errors.ConfigError, match="no question") as caught:
        rerank(make(), nodes, asynchronous, **sent)
    assert caught.value.field == "query_bundle"
    assert not simulator.requests


@pytest.mark.parametrize("arguments", [{"model": "cohere/rerank"}, {"top": 3}])
def test_an_invalid_argument_is_refused_by_the_constructor(make: Make, arguments: dict[str, Any]) -> None:
    with pytest.raises(errors.ConfigError):
        make(**arguments)
    with pytest.raises(ValueError, match="top_n"):
        make(top_n=0)


@both
def test_errors_are_gateway_errors(
    make: Make, simulator: Simulator, nodes: list[NodeWithScore], asynchronous: bool
) -> None:
    simulator.fault("gateway_rate_limit")
    with pytest.raises(errors.RateLimited) as caught:
        rerank(make(max_retries=0), nodes, asynchronous)
    assert caught.value.requests_sent == 1


@both
def test_a_transient_error_is_retried(
    make: Make, simulator: Simulator, nodes: list[NodeWithScore], asynchronous: bool
) -> None:
    simulator.fault("close_before_response")
    assert rerank(make(retry_after_send=True), nodes, asynchronous)[0].node_id == "1"
    assert len(simulator.requests) == 2


@both
def test_the_run_reaches_the_log(
    make: Make, simulator: Simulator, nodes: list[NodeWithScore], asynchronous: bool
) -> None:
    with instrument_tags({"user": "u1"}):
        rerank(make(gateway_metadata={"team": "docs"}), nodes, asynchronous)
    assert simulator.logs()[0]["metadata"] == {"team": "docs", "user": "u1", "op": "rerank"}


@both
@pytest.mark.parametrize(("top_n", "message"), [(2, 2), (None, 3)])
def test_observers_see_the_reranking(
    make: Make,
    simulator: Simulator,
    nodes: list[NodeWithScore],
    events: Events,
    spans: SimpleSpanHandler,
    top_n: int | None,
    message: int,
    asynchronous: bool,
) -> None:
    debug = LlamaDebugHandler(print_trace_on_end=False)
    best = rerank(make(top_n=top_n, callback_manager=CallbackManager([debug])), nodes, asynchronous)
    start, end = (event for event in events.seen if isinstance(event, ReRankStartEvent | ReRankEndEvent))
    assert (start.model_name, start.top_n, start.nodes) == (MODEL, message, nodes)
    assert start.query.query_str == QUESTION
    assert end.nodes == best
    [(begun, ended)] = debug.get_event_pairs(CBEventType.RERANKING)
    assert begun.payload[EventPayload.NODES] == nodes
    assert begun.payload[EventPayload.MODEL_NAME] == MODEL
    assert begun.payload[EventPayload.QUERY_STR] == QUESTION
    assert begun.payload[EventPayload.TOP_K] == message
    assert ended.payload[EventPayload.NODES] == best
    name = f"CloudflareAIGatewayRerank.{'_a' if asynchronous else '_'}postprocess_nodes"
    assert [span.id_.partition("-")[0] for span in spans.completed_spans] == [name]
    assert simulator.api_token not in f"{events.seen} {begun} {ended}"


@both
def test_observers_see_a_failure(
    make: Make, simulator: Simulator, nodes: list[NodeWithScore], events: Events, asynchronous: bool
) -> None:
    simulator.fault("gateway_rate_limit")
    debug = LlamaDebugHandler(print_trace_on_end=False)
    with pytest.raises(errors.RateLimited) as caught:
        rerank(make(max_retries=0, callback_manager=CallbackManager([debug])), nodes, asynchronous)
    [(_, ended)] = debug.get_event_pairs(CBEventType.RERANKING)
    assert ended.payload[EventPayload.EXCEPTION] is caught.value
    assert not any(isinstance(event, ReRankEndEvent) for event in events.seen)


@both
def test_a_query_engine_answers_from_the_best_nodes(make: Make, simulator: Simulator, asynchronous: bool) -> None:
    embed_model = CloudflareAIGatewayEmbedding(model=M3, **where(simulator))
    index = VectorStoreIndex([TextNode(text=text) for text in TEXTS], embed_model=embed_model)
    engine = index.as_query_engine(llm=MockLLM(), similarity_top_k=3, node_postprocessors=[make(top_n=1)])
    answer = asyncio.run(engine.aquery(QUESTION)) if asynchronous else engine.query(QUESTION)
    assert [each.text for each in answer.source_nodes] == [TEXTS[1]]
    assert simulator.logs()[-1]["metadata"] == {"op": "query"}
