"""The token is nowhere to be seen, and objects travel without it."""

from __future__ import annotations

import asyncio
import json
import logging
import pickle
import traceback
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from copy import copy, deepcopy
from multiprocessing import get_context
from typing import Any

import httpx
import pytest
from llama_index.core import Settings
from llama_index.core.callbacks import CallbackManager, LlamaDebugHandler
from llama_index.core.ingestion import IngestionPipeline
from llama_index.core.instrumentation import get_dispatcher
from llama_index.core.instrumentation.event_handlers import BaseEventHandler
from llama_index.core.instrumentation.span_handlers import BaseSpanHandler
from llama_index.core.prompts import PromptTemplate
from llama_index.core.schema import NodeWithScore, TextNode
from pydantic import BaseModel, Field

from cfaig_integrations import GatewayError
from cfaig_integrations.llama_index import (
    CloudflareAIGateway,
    CloudflareAIGatewayEmbedding,
    CloudflareAIGatewayRerank,
)
from cfaig_integrations.simulator import Simulator
from tests.conftest import where
from tests.llama_index.call_methods import (
    EMBEDDER,
    METHODS,
    QUESTION,
    WEATHER,
    Make,
    answer,
    read,
    value_for,
)

HEADER = "a-secret-of-the-provider"


class City(BaseModel):
    """A city."""

    name: str


class Everything(BaseEventHandler):
    """All that observers are shown, as text."""

    reprs: list[str] = Field(default_factory=list)

    def handle(self, event: Any, **_: Any) -> None:
        self.reprs += [repr(event), str(event.model_dump()), str(vars(event))]


class Spans(BaseSpanHandler[Any]):
    """All that span handlers are shown, as text."""

    reprs: list[str] = Field(default_factory=list)

    def new_span(self, id_: str, bound_args: Any, instance: Any = None, *args: Any, **kwargs: Any) -> None:
        self.reprs += [repr(bound_args.arguments), repr(instance), str(kwargs)]

    def prepare_to_exit_span(self, id_: str, bound_args: Any, instance: Any = None, *args: Any, **kwargs: Any) -> None:
        self.reprs += [repr(bound_args.arguments), str(kwargs)]

    def prepare_to_drop_span(self, id_: str, bound_args: Any, instance: Any = None, *args: Any, **kwargs: Any) -> None:
        self.reprs += [repr(bound_args.arguments), str(kwargs)]


@contextmanager
def watched() -> Iterator[list[str]]:
    """All that observers are shown within the block."""
    dispatcher, events, spans = get_dispatcher(), Everything(), Spans()
    dispatcher.event_handlers.append(events)
    dispatcher.span_handlers.append(spans)
    shown: list[str] = []
    try:
        yield shown
    finally:
        dispatcher.event_handlers.remove(events)
        dispatcher.span_handlers.remove(spans)
        shown += [*events.reprs, *spans.reprs]


@pytest.fixture
def seen(caplog: pytest.LogCaptureFixture) -> Iterator[list[str]]:
    """Watches all there is to watch; at the end, what was seen is held against the secrets."""
    caplog.set_level(logging.DEBUG)
    actual: list[str] = []
    with watched() as shown:
        yield actual
    assert len(shown) > 1
    actual += [*shown, *(f"{record.getMessage()} {vars(record)}" for record in caplog.records)]
    everything = "\n".join(actual)
    assert QUESTION in everything or "city" in everything  # so it does see what goes on
    for secret in (Simulator().api_token, HEADER):
        assert secret not in everything


def observed(make: Make, **kwargs: Any) -> tuple[CloudflareAIGateway, LlamaDebugHandler]:
    debug = LlamaDebugHandler(print_trace_on_end=False)
    return make(callback_manager=CallbackManager([debug]), extra_headers={"x-key": HEADER}, **kwargs), debug


TOOLS = [f"{form}chat_with_tools" for form in ("", "a", "stream_", "astream_")]
OBJECTS = [f"{form}structured_predict" for form in ("", "a", "stream_", "astream_")]
TEXTS = ["predict", "apredict", "stream", "astream"]
CALLS = ["predict_and_call", "apredict_and_call"]


async def every_program_method(llm: CloudflareAIGateway, method: str) -> Any:
    ask = PromptTemplate(QUESTION)
    if method in METHODS:
        return await answer(llm, method)
    if method in TOOLS:
        return await read(await value_for(getattr(llm, method), [WEATHER], user_msg=QUESTION))
    if method in CALLS:
        return await value_for(getattr(llm, method), [WEATHER], user_msg=QUESTION)
    original = (City, ask) if method in OBJECTS else (ask,)
    return await read(await value_for(getattr(llm, method), *original))


@pytest.mark.parametrize("method", [*METHODS, *TOOLS, *OBJECTS, *TEXTS, *CALLS])
async def test_no_observer_sees_the_token(make: Make, simulator: Simulator, seen: list[str], method: str) -> None:
    """run-llama#12853, PRs #21676, #22062, #21613."""
    llm, debug = observed(make)
    if method in OBJECTS:
        simulator.reply('{"name": "a city"}')
    assert await every_program_method(llm, method)
    assert simulator.requests[-1].headers["x-key"] == HEADER
    assert len(debug.get_events()) >= 2
    seen += [str([event.payload for event in debug.get_events()])]


FAULTS = ("wrong_token", "wrong_token_403", "provider_error", "close_before_response", "model_not_found", "html_200")


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("method", METHODS)
async def test_no_error_shows_the_token(
    make: Make, simulator: Simulator, seen: list[str], fault: str, method: str
) -> None:
    llm, _ = observed(make, max_retries=0)
    simulator.fault(fault, times=None)
    with pytest.raises(GatewayError) as caught:
        await answer(llm, method)
    error = caught.value
    seen += [str(error), repr(error), str(vars(error)), "".join(traceback.format_exception(error))]
    chain: BaseException | None = error
    while chain is not None:
        seen += [str(chain), repr(chain)]
        chain = chain.__cause__ or chain.__context__
    seen.append(repr(pickle.loads(pickle.dumps(error))))


def test_no_repr_shows_the_token(make: Make, simulator: Simulator) -> None:
    llm, _ = observed(make)
    llm.complete(QUESTION)  # after which header blocks are kept
    bound = llm.with_gateway(metadata={"a": 1})
    for model in (llm, bound, copy(llm), deepcopy(llm), llm.as_structured_llm(City)):
        visible = [repr(model), str(model), str(model.to_dict()), str(model.model_dump()), str(model.to_payload())]
        assert all(simulator.api_token not in each and HEADER not in each for each in visible)
    for actual in (llm.to_json(), bound.model_dump_json(), str(llm.model_json_schema), repr(vars(llm))):
        assert simulator.api_token not in actual
    for model in (llm, bound):
        assert simulator.api_token.encode() not in pickle.dumps(model)


def test_a_token_in_the_arguments_of_a_call_is_refused(make: Make, simulator: Simulator, seen: list[str]) -> None:
    llm, _ = observed(make)
    for argument in ("api_key", "api_token"):
        with pytest.raises(GatewayError, match=argument):
            llm.complete(QUESTION, **{argument: "another"})
    assert not simulator.requests
    llm.complete(QUESTION)


def test_a_pickle_holds_no_secret(
    make: Make, simulator: Simulator, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """run-llama#14572, #17532, PR #18893, #14236."""
    kwargs: dict[str, Any] = {"temperature": 0.5, "max_tokens": 9, "timeout": (1, 2), "gateway_metadata": {"team": "a"}}
    with httpx.Client() as client, caplog.at_level(logging.DEBUG):
        llm = make(http_client=client, system_prompt="Be brief.", **kwargs)
        llm.complete("Hi")
        caplog.clear()
        pickled = pickle.dumps(llm.with_gateway(metadata={"job": 1}))
        monkeypatch.setenv("CLOUDFLARE_API_TOKEN", simulator.api_token)
        actual: CloudflareAIGateway = pickle.loads(pickled)
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]
    assert {argument: getattr(actual, argument) for argument in kwargs} == kwargs
    assert actual.system_prompt == "Be brief."
    assert asyncio.run(answer(actual, "achat"))
    assert simulator.requests[-1].body["temperature"] == 0.5
    assert json.loads(simulator.requests[-1].headers["cf-aig-metadata"])["job"] == 1


def _ask(llm: CloudflareAIGateway) -> tuple[str, str]:
    """In another process."""
    return str(llm.complete("Hi")), str(asyncio.run(llm.acomplete("Hi")))


def _embed(model: CloudflareAIGatewayEmbedding) -> int:
    return len(model.get_query_embedding("Hi"))


def _rank(model: CloudflareAIGatewayRerank) -> int:
    return len(model.postprocess_nodes([NodeWithScore(node=TextNode(text="Hi"))], query_str="Hi"))


def test_a_spawned_process_can_call(
    make: Make, simulator: Simulator, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("CLOUDFLARE_API_TOKEN", simulator.api_token)
    embedding = CloudflareAIGatewayEmbedding(**where(simulator), model=EMBEDDER)
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        assert all(pool.submit(_ask, make().with_gateway(metadata={"job": 1})).result())
        assert pool.submit(_embed, embedding).result() > 0
        assert pool.submit(_rank, CloudflareAIGatewayRerank(**where(simulator))).result() == 1
    assert [entry["metadata"]["job"] for entry in simulator.logs()[:2]] == [1, 1]
    assert "unpickleable" not in (err := capfd.readouterr().err)
    assert "Traceback" not in err


def test_a_serialized_pipeline_holds_no_token(simulator: Simulator) -> None:
    embedding = CloudflareAIGatewayEmbedding(**where(simulator), model=EMBEDDER)
    pipeline = IngestionPipeline(transformations=[embedding])
    assert pipeline.run(nodes=[TextNode(text="Hi")])[0].embedding
    assert simulator.api_token not in f"{pipeline!r} {pipeline.model_dump()}"


def test_settings_keep_the_same_object(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("_llm", "_callback_manager"):
        monkeypatch.setattr(Settings, name, None)
    llm = make()
    Settings.llm = llm
    assert Settings.llm is llm
    assert str(Settings.llm.complete("Hi"))
