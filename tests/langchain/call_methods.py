"""What the tests of this folder share: every way to call a model."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Any

import pytest
from langchain_core.messages import AIMessage, AIMessageChunk
from langchain_core.runnables import Runnable
from langchain_core.tools import tool

from tests.langchain.conftest import MODELS

every_wire = pytest.mark.parametrize("api", MODELS)
EMBEDDER = "@cf/baai/bge-small-en-v1.5"


@tool
def weather(city: str) -> str:
    """Weather in a city."""
    return f"It rains in {city}."


def summed(chunks: Sequence[Any]) -> AIMessage:
    """The message that chunks add up to."""
    whole: Any = chunks[0]
    for chunk in chunks[1:]:
        whole = whole + chunk
    assert isinstance(whole, AIMessageChunk)
    return whole


Model = Runnable[Any, AIMessage]
Way = Callable[..., Coroutine[Any, Any, AIMessage]]


async def _invoke(model: Model, ask: Any, config: Any = None, /, **arguments: Any) -> AIMessage:
    return model.invoke(ask, config, **arguments)


async def _ainvoke(model: Model, ask: Any, config: Any = None, /, **arguments: Any) -> AIMessage:
    return await model.ainvoke(ask, config, **arguments)


async def _batch(model: Model, ask: Any, config: Any = None, /, **arguments: Any) -> AIMessage:
    return model.batch([ask], config, **arguments)[0]


async def _abatch(model: Model, ask: Any, config: Any = None, /, **arguments: Any) -> AIMessage:
    return (await model.abatch([ask], config, **arguments))[0]


async def _stream(model: Model, ask: Any, config: Any = None, /, **arguments: Any) -> AIMessage:
    return summed(list(model.stream(ask, config, **arguments)))


async def _astream(model: Model, ask: Any, config: Any = None, /, **arguments: Any) -> AIMessage:
    return summed([chunk async for chunk in model.astream(ask, config, **arguments)])


CALL_METHODS: Mapping[str, Way] = {
    "invoke": _invoke,
    "ainvoke": _ainvoke,
    "batch": _batch,
    "abatch": _abatch,
    "stream": _stream,
    "astream": _astream,
}
"""Every way to get one message out of a model."""
STREAMS = ("stream", "astream")

every_way = pytest.mark.parametrize("call_method", CALL_METHODS)
