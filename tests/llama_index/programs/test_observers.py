"""What observers see of a program: one event per request, with the token counts of the gateway's log.

The fixtures say the same of every other program, with an event handler; here with the older callback handlers.
"""

from __future__ import annotations

from typing import Any

import pytest
from llama_index.core import Settings, VectorStoreIndex
from llama_index.core.callbacks import CallbackManager, LlamaDebugHandler, TokenCountingHandler
from llama_index.core.callbacks.schema import CBEventType, EventPayload
from llama_index.core.chat_engine.types import ChatMode
from llama_index.core.retrievers import QueryFusionRetriever

from cfaig_integrations.llama_index import CloudflareAIGatewayEmbedding
from cfaig_integrations.simulator import Simulator
from tests.conftest import where
from tests.llama_index.programs.conftest import Make
from tests.llama_index.programs.kit import ANSWER, M3, QUESTION, both_methods, llm_requests, nodes, steps


class ObservedEvents:
    """The parts of a program, and the handlers that watch all of them."""

    def __init__(self, make: Make, simulator: Simulator) -> None:
        self.debug = LlamaDebugHandler(print_trace_on_end=False)
        self.counting = TokenCountingHandler()
        self.manager = CallbackManager([self.debug, self.counting])
        self.simulator = simulator
        self.llm = make(callback_manager=self.manager)
        embed_model = CloudflareAIGatewayEmbedding(**where(simulator), model=M3, callback_manager=self.manager)
        self.index = VectorStoreIndex(nodes(), embed_model=embed_model, callback_manager=self.manager)

    def check(self) -> None:
        pairs = self.debug.get_event_pairs(CBEventType.LLM)
        requests = llm_requests(self.simulator)
        assert [len(pair) for pair in pairs] == [2] * len(requests)
        for _, end in pairs:
            assert end.payload is not None
            assert end.payload.keys() & {EventPayload.RESPONSE, EventPayload.COMPLETION}
        embeddings = self.debug.get_event_pairs(CBEventType.EMBEDDING)
        assert [len(pair) for pair in embeddings] == [2] * (len(self.simulator.requests) - len(requests))
        talks = [entry for entry in self.simulator.logs() if entry["model"] != M3]
        assert self.counting.prompt_llm_token_count == sum(entry["tokens_in"] for entry in talks) > 0
        assert self.counting.completion_llm_token_count == sum(entry["tokens_out"] for entry in talks) > 0
        assert self.counting.total_embedding_token_count > 0


@pytest.fixture
def observed(make: Make, simulator: Simulator, monkeypatch: pytest.MonkeyPatch) -> ObservedEvents:
    created = ObservedEvents(make, simulator)
    # Most engines take the handlers from here, and put them into the LLM in place of its own.
    monkeypatch.setattr(Settings, "callback_manager", created.manager)
    return created


@both_methods
@pytest.mark.parametrize("streaming", [False, True], ids=["whole", "streamed"])
async def test_a_query_is_counted_once(observed: ObservedEvents, asynchronous: bool, streaming: bool) -> None:
    engine = observed.index.as_query_engine(llm=observed.llm, streaming=streaming)
    response: Any = await engine.aquery(QUESTION) if asynchronous else engine.query(QUESTION)
    if streaming and asynchronous:
        text = "".join([piece async for piece in response.async_response_gen()])
    else:
        text = "".join(response.response_gen) if streaming else str(response)
    assert text == ANSWER
    assert steps(observed.simulator) == ["embed", "embed", "ask"]
    observed.check()


@both_methods
@pytest.mark.parametrize("streaming", [False, True], ids=["whole", "streamed"])
async def test_a_conversation_is_counted_once(observed: ObservedEvents, asynchronous: bool, streaming: bool) -> None:
    engine = observed.index.as_chat_engine(ChatMode.CONDENSE_PLUS_CONTEXT, llm=observed.llm)
    for _ in range(2):
        if streaming and asynchronous:
            parts = await engine.astream_chat(QUESTION)
            assert "".join([piece async for piece in parts.async_response_gen()])
        elif streaming:
            assert "".join(engine.stream_chat(QUESTION).response_gen)
        else:
            assert str(await engine.achat(QUESTION) if asynchronous else engine.chat(QUESTION))
    assert steps(observed.simulator) == ["embed", "embed", "ask", "ask", "embed", "ask"]
    observed.check()


def test_a_completion_is_counted_once(observed: ObservedEvents) -> None:
    retriever = QueryFusionRetriever([observed.index.as_retriever()], llm=observed.llm, num_queries=2, use_async=False)
    observed.simulator.reply("capital of France")
    assert retriever.retrieve(QUESTION)
    observed.check()
