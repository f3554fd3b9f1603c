"""Models with objects that cannot be copied: a deep copy shares them, and pickle names them and the fix."""

from __future__ import annotations

import copy
import pickle
import threading
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.rate_limiters import BaseRateLimiter, InMemoryRateLimiter

from cfaig_integrations.errors import ConfigError
from cfaig_integrations.langchain import (
    ChatCloudflareAIGateway,
    CloudflareAIGatewayEmbeddings,
    CloudflareAIGatewayLLM,
    CloudflareAIGatewayReranker,
)

ACCOUNT = {"account_id": "a" * 32, "api_token": "t"}
MAKERS: list[Callable[..., Any]] = [
    lambda **arguments: ChatCloudflareAIGateway(model="openai/gpt-4.1", **ACCOUNT, **arguments),
    lambda **arguments: CloudflareAIGatewayLLM(model="openai/gpt-4.1", **ACCOUNT, **arguments),
    lambda **arguments: CloudflareAIGatewayEmbeddings(model="@cf/baai/bge-m3", **ACCOUNT, **arguments),
    lambda **arguments: CloudflareAIGatewayReranker(**ACCOUNT, **arguments),
]
every_class = pytest.mark.parametrize("make", MAKERS, ids=["chat", "llm", "embeddings", "reranker"])
COPIES: dict[str, Callable[[Any], Any]] = {
    "copy": copy.copy,
    "deepcopy": copy.deepcopy,
    "model_copy": lambda model: model.model_copy(deep=True),
}
every_copy = pytest.mark.parametrize("copied", COPIES.values(), ids=COPIES)


class Handler(BaseCallbackHandler):
    def __init__(self) -> None:
        self.lock = threading.Lock()


class Unlimited(BaseRateLimiter):
    def acquire(self, *, blocking: bool = True) -> bool:
        return True

    async def aacquire(self, *, blocking: bool = True) -> bool:
        return True


@every_class
@every_copy
def test_copies_share_the_http_client(make: Callable[..., Any], copied: Callable[[Any], Any]) -> None:
    with httpx.Client() as client:
        model = make(http_client=client)
        assert copied(model).http_client is client


@pytest.mark.parametrize("make", MAKERS[:1], ids=["chat"])
@every_copy
def test_copies_share_limiter_and_handlers(make: Callable[..., Any], copied: Callable[[Any], Any]) -> None:
    limiter, handler = InMemoryRateLimiter(), Handler()
    duplicate = copied(make(rate_limiter=limiter, callbacks=[handler], gateway_metadata={"a": 1}))
    assert duplicate.rate_limiter is limiter
    assert duplicate.callbacks[0] is handler
    assert duplicate.gateway_metadata == {"a": 1}


@every_class
def test_pickle_names_an_http_client(make: Callable[..., Any]) -> None:
    with httpx.Client() as client:
        model = make(http_client=client)
        with pytest.raises(ConfigError, match=r"http_client .* cannot be pickled.*model_copy\(update=") as caught:
            pickle.dumps(model)
        assert caught.value.field == "http_client"
        assert pickle.loads(pickle.dumps(model.model_copy(update={"http_client": None}))).http_client is None


def test_pickle_names_a_rate_limiter() -> None:
    model = MAKERS[0](rate_limiter=InMemoryRateLimiter())
    with pytest.raises(ConfigError, match="rate_limiter of ChatCloudflareAIGateway cannot be pickled"):
        pickle.dumps(model)
    assert pickle.loads(pickle.dumps(model.model_copy(update={"rate_limiter": None}))).rate_limiter is None


def test_pickle_names_a_limiter_of_a_local_class() -> None:
    class Local(Unlimited):
        """A class that pickle cannot import."""

    with pytest.raises(ConfigError, match="rate_limiter of ChatCloudflareAIGateway cannot be pickled"):
        pickle.dumps(MAKERS[0](rate_limiter=Local()))


def test_a_limiter_that_can_be_pickled_is() -> None:
    restored = pickle.loads(pickle.dumps(MAKERS[0](rate_limiter=Unlimited())))
    assert isinstance(restored.rate_limiter, Unlimited)
