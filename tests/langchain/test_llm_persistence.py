"""What LangChain keeps of an LLM and its answers: cache, serialised form, traces, and no secret in any."""

from __future__ import annotations

import json
import sys
from typing import Any

import pytest
from langchain_core.caches import InMemoryCache
from langchain_core.load import dumpd, dumps, load
from langchain_core.tracers.base import BaseTracer
from langchain_core.tracers.schemas import Run

from cfaig_integrations import GatewayOptions, gateway_context
from cfaig_integrations.simulator import Simulator
from tests.langchain.llms import (
    LLM,
    Listener,
    Make,
    both,
    generate,
    invoke,
    make,
    stream,
    texts,
)

__all__ = ["make"]


# LangChain's cache


@both
def test_only_prompts_missing_in_the_cache_are_sent(make: Make, simulator: Simulator, asynchronous: bool) -> None:
    llm = make(cache=InMemoryCache())
    first = generate(llm, asynchronous, ["a", "b"])
    second = generate(llm, asynchronous, ["b", "c", "a", "d"])
    assert len(simulator.requests) == 4
    assert texts(second)[0] == texts(first)[1]
    assert texts(second)[2] == texts(first)[0]


OTHER_ARGUMENTS: list[dict[str, Any]] = [
    {"model": "openai/gpt-4.1-mini"},
    {"temperature": 0.5},
    {"stop": ["x"]},
    {"extra_headers": {"x-a": "1"}},
    {"extra_headers": {"x-a": "2"}},
    {"gateway_options": GatewayOptions(allowed_models=["a/b"])},
    {"gateway_metadata": {"tier": 1}},
    {"extra_body": {"metadata": {"authorization": "a"}}},
    {"extra_body": {"metadata": {"authorization": "b"}}},
]


@both
@pytest.mark.parametrize("arguments", [{"options": {"skip_cache": True}}, {"metadata": {"tier": "gold"}}])
def test_gateway_context_is_part_of_the_cache_key(
    make: Make, simulator: Simulator, asynchronous: bool, arguments: dict[str, Any]
) -> None:
    for answer in ("outside", "inside"):
        simulator.reply(answer)
    llm = make(cache=InMemoryCache())
    assert invoke(llm, asynchronous, "Hi") == "outside"
    with gateway_context(**arguments):
        assert invoke(llm, asynchronous, "Hi") == "inside"
        assert invoke(llm, asynchronous, "Hi") == "inside"
        assert "gold" not in str(llm.asdict())
    assert invoke(llm, asynchronous, "Hi") == "outside"


@both
def test_every_model_parameter_is_part_of_the_cache_key(make: Make, simulator: Simulator, asynchronous: bool) -> None:
    cache = InMemoryCache()
    for number, arguments in enumerate([{}, *OTHER_ARGUMENTS]):
        simulator.reply(f"constructor {number}")
        assert invoke(make(cache=cache, **arguments), asynchronous, "Hi") == f"constructor {number}"
    for number in range(len(OTHER_ARGUMENTS)):
        simulator.reply(f"call {number}")
    answers = {invoke(make(cache=cache), asynchronous, "Hi", **arguments) for arguments in OTHER_ARGUMENTS}
    assert len(answers - {"constructor 0"}) == len(OTHER_ARGUMENTS)
    sent = len(simulator.requests)
    for number, arguments in enumerate([{}, *OTHER_ARGUMENTS]):
        assert invoke(make(cache=cache, **arguments), asynchronous, "Hi") == f"constructor {number}"
    for arguments in OTHER_ARGUMENTS:
        invoke(make(cache=cache), asynchronous, "Hi", **arguments)
    assert len(simulator.requests) == sent


def test_a_changed_model_has_another_cache_key(make: Make, simulator: Simulator) -> None:
    for answer in ("one", "two", "three"):
        simulator.reply(answer)
    llm = make(cache=InMemoryCache())
    assert (llm.invoke("Hi"), llm.invoke("Hi")) == ("one", "one")
    copied = llm.model_copy(update={"temperature": 0.5})
    llm.temperature = 0.1
    assert (llm.invoke("Hi"), copied.invoke("Hi")) == ("two", "three")


# What is written down


@pytest.mark.usefixtures("registered")
def test_it_is_the_same_after_a_round_trip(make: Make, simulator: Simulator) -> None:
    llm = make(temperature=0.0, stop=["x"], gateway=GatewayOptions(cache_ttl=60), streaming=True, timeout=(1, 2))
    written = json.loads(json.dumps(dumpd(llm)))
    assert written["id"] == ["cfaig_integrations", "langchain", "CloudflareAIGatewayLLM"]
    again = load(
        written,
        allowed_objects=[LLM],
        valid_namespaces=["cfaig_integrations"],
        secrets_map={"CLOUDFLARE_API_TOKEN": simulator.api_token},
    )
    assert isinstance(again, LLM)
    assert again.asdict() == llm.asdict()
    assert dumpd(again) == written
    assert again.invoke("Hi")


@both
def test_no_secret_is_shown(make: Make, simulator: Simulator, asynchronous: bool) -> None:
    listener = Listener()
    llm = make(extra_headers={"x-key": "secret-of-object"})
    config = {"callbacks": [listener]}
    invoke(llm, asynchronous, "Hi", config, extra_headers={"x-call": "secret-of-call"})
    stream(llm, asynchronous, "Hi", config, extra_headers={"x-call": "secret-of-call"})
    assert len(listener.shown) == 2
    for shown in (*listener.shown, dumps(llm), repr(llm), str(llm), str(llm.asdict())):
        assert "-of-object" not in shown
        assert "-of-call" not in shown
        assert simulator.api_token not in shown
    for request in simulator.requests:
        assert (request.headers["x-key"], request.headers["x-call"]) == ("secret-of-object", "secret-of-call")


class Traces(BaseTracer):
    def __init__(self) -> None:
        super().__init__()
        self.runs: list[Run] = []

    def _persist_run(self, run: Run) -> None:
        self.runs.append(run)


@both
def test_traces_hold_provider_and_parameters(make: Make, simulator: Simulator, asynchronous: bool) -> None:
    traces, llm = Traces(), make()
    config = {"callbacks": [traces], "metadata": {"user_id": "ann"}}
    arguments = {"model": "anthropic/claude-haiku-4.5", "temperature": 0.5}
    invoke(llm, asynchronous, "Hi", config, **arguments)
    stream(llm, asynchronous, "Hi", config, **arguments)
    for run, entry in zip(traces.runs, simulator.logs(), strict=True):
        result = (run.extra or {})["metadata"]
        assert result["ls_gateway_info"]["log_id"] == entry["id"]
        assert (result["ls_gateway_info"]["provider"], result["ls_temperature"]) == ("anthropic", 0.5)
        assert run.extra["invocation_params"]["model"] == arguments["model"]
    params = llm._get_ls_params(stop=["x"], **arguments)
    assert (params["ls_provider"], params["ls_model_name"]) == ("cloudflare_ai_gateway", arguments["model"])
    assert (params["ls_model_type"], params["ls_stop"]) == ("llm", ["x"])


def test_tokens_are_counted_without_a_tokenizer(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "transformers", None)
    assert make().get_num_tokens("x" * 400) == 100
    assert make(custom_get_token_ids=lambda text: [len(text)]).get_num_tokens("x" * 400) == 1
