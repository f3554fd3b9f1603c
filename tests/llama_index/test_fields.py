"""What the LlamaIndex classes remember of their constructor arguments, however they are changed, copied or rebuilt."""

from __future__ import annotations

import json
import logging
import pickle
from collections.abc import Callable
from copy import copy, deepcopy
from datetime import date, timedelta
from typing import Any
from uuid import UUID

import httpx
import pytest
from llama_index.core.callbacks import CallbackManager
from llama_index.core.rate_limiter import TokenBucketRateLimiter
from llama_index.core.schema import NodeWithScore, TextNode
from llama_index.core.storage.kvstore import SimpleKVStore

from cfaig_integrations import GatewayOptions, errors, gateway_context
from cfaig_integrations.gateway.connection import timeouts
from cfaig_integrations.llama_index import (
    CloudflareAIGateway,
    CloudflareAIGatewayEmbedding,
    CloudflareAIGatewayRerank,
)
from cfaig_integrations.simulator import Simulator
from tests.llama_index.conftest import where

Model = CloudflareAIGateway | CloudflareAIGatewayEmbedding | CloudflareAIGatewayRerank
Make = Callable[..., Model]

MODEL = "@cf/baai/bge-m3"
MODELS: dict[type[Model], str] = {
    CloudflareAIGateway: "@cf/zai-org/glm-5.2",
    CloudflareAIGatewayEmbedding: MODEL,
    CloudflareAIGatewayRerank: MODEL,
}
QUESTION = "What is the capital of France?"
NODES = [NodeWithScore(node=TextNode(text="Paris is the capital of France."))]


@pytest.fixture(params=MODELS, ids=["llm", "embedding", "rerank"])
def kind(request: pytest.FixtureRequest) -> type[Model]:
    result: type[Model] = request.param
    return result


@pytest.fixture
def make(simulator: Simulator, kind: type[Model]) -> Make:
    """Makes an object of each class at the simulator."""

    def created(**arguments: Any) -> Model:
        return kind(**where(simulator) | {"model": MODELS[kind]} | arguments)

    return created


def call(model: Model) -> Any:
    match model:
        case CloudflareAIGateway():
            return model.complete(QUESTION)
        case CloudflareAIGatewayEmbedding():
            return model.get_query_embedding(QUESTION)
        case _:
            return model.postprocess_nodes(NODES, query_str=QUESTION)


async def acall(model: Model) -> Any:
    match model:
        case CloudflareAIGateway():
            return await model.acomplete(QUESTION)
        case CloudflareAIGatewayEmbedding():
            return await model.aget_query_embedding(QUESTION)
        case _:
            return await model.apostprocess_nodes(NODES, query_str=QUESTION)


def sent(simulator: Simulator) -> Any:
    return simulator.requests[-1]


def test_an_unknown_argument_is_refused_with_the_nearest_name(make: Make) -> None:
    with pytest.raises(errors.ConfigError, match=r"acount_id.*Did you mean 'account_id'"):
        make(acount_id="x")


def test_a_subclass_may_have_a_method_whose_signature_cannot_be_read(kind: type[Model]) -> None:
    def method(self: Any) -> str:
        return "called"

    method.__dict__["__signature__"] = "unknown"
    subclass: Any = type("Own", (kind,), {"method": method})
    assert subclass(model=MODELS[kind], account_id="a" * 32, api_token="t").method() == "called"


def test_an_argument_and_its_alias_are_refused_together(make: Make) -> None:
    with pytest.raises(errors.ConfigError, match="twice"):
        make(api_key="other")


def test_aliases_are_accepted(simulator: Simulator, kind: type[Model]) -> None:
    arguments = where(simulator)
    token = arguments.pop("api_token")
    model = kind(
        api_key=token, model_name=MODELS[kind], gateway_options={"cache_ttl": 60}, request_timeout=5, **arguments
    )
    assert model.model == MODELS[kind]
    assert model.timeout == 5
    assert call(model)
    assert sent(simulator).headers["cf-aig-cache-ttl"] == "60"


def test_the_environment_provides_defaults(
    simulator: Simulator, kind: type[Model], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in simulator.environment.items():
        monkeypatch.setenv(name, value)
    assert call(kind(model=MODELS[kind]))
    assert sent(simulator).headers["authorization"] == f"Bearer {simulator.api_token}"


@pytest.mark.parametrize("argument", ["api_token", "account_id"])
def test_a_missing_argument_is_reported(
    simulator: Simulator, kind: type[Model], monkeypatch: pytest.MonkeyPatch, argument: str
) -> None:
    for name in ("CLOUDFLARE_API_TOKEN", "CF_AIG_TOKEN", "CF_AI_API_TOKEN", "CF_API_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    for name in ("CLOUDFLARE_ACCOUNT_ID", "CF_ACCOUNT_ID"):
        monkeypatch.delenv(name, raising=False)
    arguments = where(simulator)
    del arguments[argument]
    with pytest.raises(errors.ConfigError) as caught:
        kind(model=MODELS[kind], **arguments)
    assert caught.value.field == argument


async def test_token_functions(make: Make, simulator: Simulator) -> None:
    async def later() -> str:
        return simulator.api_token

    assert call(make(api_token=lambda: simulator.api_token))
    assert await acall(make(api_token=later))


def test_assigned_values_apply(make: Make, simulator: Simulator) -> None:
    model = make(run_metadata=False)
    call(model)
    model.gateway_metadata = {"late": 1}
    model.gateway = GatewayOptions(cache_ttl=60)
    call(model)
    assert sent(simulator).headers["cf-aig-cache-ttl"] == "60"
    assert simulator.logs()[-1]["metadata"] == {"late": 1}
    with pytest.raises(errors.ConfigError):
        model.timeout = -1
    if not isinstance(model, CloudflareAIGateway):  # of a chat model, its first call says so
        with pytest.raises(errors.ConfigError):
            model.model = "no model"


def test_a_bound_copy_adds_metadata_and_the_original_is_unchanged(make: Make, simulator: Simulator) -> None:
    model = make(gateway_metadata={"team": "docs", "tier": 1}, run_metadata=False)
    bound = model.with_gateway(metadata={"team": "web"}, options=GatewayOptions(cache_ttl=60))
    again = bound.with_gateway(metadata={"job": "j1"}, options={"skip_cache": True})
    for each in (model, bound, again):
        call(each)
    assert [entry["metadata"] for entry in simulator.logs()] == [
        {"team": "docs", "tier": 1},
        {"team": "web", "tier": 1},
        {"team": "web", "job": "j1", "tier": 1},
    ]
    logged = [
        {name: request.headers.get(name) for name in ("cf-aig-cache-ttl", "cf-aig-skip-cache")}
        for request in simulator.requests
    ]
    assert [tuple(each.values()) for each in logged] == [(None, None), ("60", None), ("60", "true")]
    with pytest.raises(errors.ConfigError):
        model.with_gateway(metadata={"cf.reserved": 1})


def test_a_surrounding_context_adds_metadata(make: Make, simulator: Simulator) -> None:
    model = make(run_metadata=False)
    with gateway_context(metadata={"tenant": "t1"}):
        call(model)
    call(model)
    assert [entry["metadata"] for entry in simulator.logs()] == [{"tenant": "t1"}, None]


def test_a_copy_uses_its_updated_arguments(make: Make, simulator: Simulator) -> None:
    model = make(run_metadata=False)
    copied = model.model_copy(update={"gateway_metadata": {"copy": True}})
    call(copied)
    assert simulator.logs()[0]["metadata"] == {"copy": True}
    assert copy(model).model == model.model
    with pytest.raises(errors.ConfigError, match="Did you mean 'gateway_metadata'"):
        model.model_copy(update={"gateway_metdata": {}})


def test_deep_copies_share_http_clients(make: Make, simulator: Simulator) -> None:
    handlers = CallbackManager([])
    with httpx.Client(headers={"x-mine": "yes"}) as client:
        model = make(http_client=client, callback_manager=handlers)
        for copied in (deepcopy(model), model.model_copy(deep=True), deepcopy([model, model])[1]):
            assert copied.http_client is client
            assert copied.callback_manager is handlers
            call(copied)
            assert sent(simulator).headers["x-mine"] == "yes"


def test_deep_copies_share_rate_limiter_cache_and_callbacks(simulator: Simulator) -> None:
    limiter, cache, logged = TokenBucketRateLimiter(requests_per_minute=100), SimpleKVStore(), []

    class Listener:
        def hear(self, *heard: object) -> None:
            logged.append(heard)

        def __deepcopy__(self, memo: object) -> Listener:
            raise AssertionError("the listener was copied")

    model = CloudflareAIGatewayEmbedding(
        model=MODEL, rate_limiter=limiter, embeddings_cache=cache, on_usage=Listener().hear, **where(simulator)
    )
    copied = deepcopy(model)
    assert copied.rate_limiter is limiter
    assert copied.embeddings_cache is cache
    copied.get_text_embedding("Hi")
    assert len(logged) == 1


def test_secrets_are_not_visible(make: Make, simulator: Simulator) -> None:
    model = make(extra_headers={"x-key": "other secret"})
    visible = [
        repr(model),
        str(model),
        str(model.to_dict()),
        model.to_json(),
        str(model.model_dump()),
        model.model_dump_json(),
        repr(model._clients),
    ]
    if not isinstance(model, CloudflareAIGatewayRerank):
        visible.append(str(model.to_payload()))
    for each in visible:
        assert simulator.api_token not in each
        assert "other secret" not in each
    assert simulator.api_token.encode() not in pickle.dumps(model)
    call(model)  # after which header blocks are kept
    assert simulator.api_token.encode() not in pickle.dumps(model)


def test_a_serialized_object_is_read_with_the_token_of_the_environment(
    make: Make, simulator: Simulator, kind: type[Model], monkeypatch: pytest.MonkeyPatch
) -> None:
    model = make(gateway=GatewayOptions(cache_ttl=60), gateway_metadata={"team": "docs"}, max_retries=1)
    written = model.to_dict()
    assert written["class_name"] == kind.class_name()
    monkeypatch.setenv("CLOUDFLARE_API_TOKEN", simulator.api_token)
    for read in (kind.from_dict(written), kind.from_json(model.to_json())):
        assert read.to_dict() == written
        call(read)
        assert sent(simulator).headers["cf-aig-cache-ttl"] == "60"
    assert json.loads(model.to_json()) == written
    assert call(kind.from_dict(written, api_key=simulator.api_token))


@pytest.mark.parametrize(
    "arguments",
    [
        {"timeout": httpx.Timeout(5)},
        {"timeout": httpx.Timeout(None, connect=2)},
        {"timeout": (1, 2)},
        {"gateway": GatewayOptions(cache_ttl=timedelta(hours=1))},
        {"gateway_metadata": {"user": UUID(int=7), "day": date(2026, 1, 2)}},
    ],
    ids=str,
)
def test_every_argument_can_be_serialized(make: Make, kind: type[Model], arguments: dict[str, Any]) -> None:
    model = make(**arguments)
    again = kind.from_json(model.to_json(), api_token="t")
    assert again.to_json() == model.to_json()
    assert timeouts(again.timeout) == timeouts(model.timeout)


def test_extra_headers_are_not_pickled_and_logged(
    make: Make, simulator: Simulator, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    pickled = pickle.dumps(make(extra_headers={"x-key": "other secret"}))
    assert b"other secret" not in pickled
    (record,) = caplog.records
    assert "extra_headers" in record.getMessage()
    assert "other secret" not in record.getMessage()
    monkeypatch.setenv("CLOUDFLARE_API_TOKEN", simulator.api_token)
    model = pickle.loads(pickled)
    model.extra_headers = {"x-key": "given anew"}
    call(model)
    assert sent(simulator).headers["x-key"] == "given anew"


def test_a_pickle_has_no_token_and_keeps_its_address(
    make: Make, simulator: Simulator, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with httpx.Client() as client, caplog.at_level(logging.DEBUG):
        pickled = pickle.dumps(make(gateway_metadata={"team": "docs"}, http_client=client, timeout=(1, 2)))
        monkeypatch.setenv("CLOUDFLARE_API_TOKEN", simulator.api_token)
        model = pickle.loads(pickled)
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]
    assert call(model)
    assert model.timeout == (1, 2)
    assert simulator.logs()[0]["metadata"]["team"] == "docs"


def test_a_pickle_keeps_the_address_of_the_environment(
    kind: type[Model], simulator: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not that of the process that reads it, whose environment needs the token alone."""
    for name, value in simulator.environment.items():
        monkeypatch.setenv(name, value)
    pickled = pickle.dumps(kind(model=MODELS[kind]))
    monkeypatch.delenv("CLOUDFLARE_ACCOUNT_ID")
    monkeypatch.setenv("CLOUDFLARE_API_BASE_URL", "http://127.0.0.1:9")
    assert call(pickle.loads(pickled))
    assert len(simulator.requests) == 1


@pytest.mark.parametrize(
    "url", ["https://gateway.ai.cloudflare.com/v1/acc/gw/compat", "https://ai.example.com/compat", None]
)
def test_a_pickle_keeps_its_host(kind: type[Model], url: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLOUDFLARE_API_TOKEN", "t")
    model = kind(model=MODELS[kind], base_url=url, account_id=None if url else "acc")
    assert pickle.loads(pickle.dumps(model))._clients.settings == model._clients.settings


def test_an_explicit_missing_gateway_survives(
    make: Make, simulator: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CLOUDFLARE_API_TOKEN", simulator.api_token)
    model = make(gateway_id=None)
    for each in (model, copy(model), model.with_gateway(), pickle.loads(pickle.dumps(model))):
        call(each)
        assert "cf-aig-gateway-id" not in sent(simulator).headers


def test_values_that_cannot_be_pickled_are_left_out_and_logged(
    simulator: Simulator, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    model = CloudflareAIGatewayEmbedding(
        model=MODEL,
        rate_limiter=TokenBucketRateLimiter(requests_per_minute=100),
        metadata_mapper=lambda run: {"op": run.operation},
        on_usage=print,
        **where(simulator),
    )
    monkeypatch.setenv("CLOUDFLARE_API_TOKEN", simulator.api_token)
    read = pickle.loads(pickle.dumps(model))
    assert read.on_usage is print
    assert read.rate_limiter is None
    logged = sorted(record.getMessage() for record in caplog.records)
    assert [message.split()[0] for message in logged] == ["metadata_mapper", "rate_limiter"]


async def test_an_unpickled_object_without_a_token_raises_when_called(
    make: Make, simulator: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not when it is read: a pool whose worker cannot read a task waits for ever."""
    for name in ("CLOUDFLARE_API_TOKEN", "CF_AIG_TOKEN", "CF_AI_API_TOKEN", "CF_API_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    model = pickle.loads(pickle.dumps(make()))
    with pytest.raises(errors.ConfigError, match=r"pickle.*CLOUDFLARE_API_TOKEN"):
        call(model)
    with pytest.raises(errors.ConfigError, match=r"pickle.*CLOUDFLARE_API_TOKEN"):
        await acall(model)
    assert not simulator.requests
