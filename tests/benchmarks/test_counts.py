"""Costs counted without valgrind: connections, conversions, objects of a stream, and copies of a long reply."""

from __future__ import annotations

import asyncio
import gc
import json
import os
import tracemalloc
from collections.abc import Callable
from importlib import import_module
from typing import Any

import httpx
import pytest
from pydantic.json_schema import GenerateJsonSchema

from tests.benchmarks import inputs, replies
from tests.benchmarks.counting import ROOT, server
from tests.benchmarks.subjects import ACCOUNT, CLASSES, FORMATS, FRAMEWORKS, ours

frameworks = pytest.mark.parametrize("framework", FRAMEWORKS)


def answered(framework: str, kind: str, api: str, answer: Callable[[httpx.Request], httpx.Response]) -> Any:
    """A model whose HTTP client answers by itself."""
    model = getattr(import_module(f"cfaig_integrations.{framework}"), CLASSES[framework, kind])
    client = httpx.Client(transport=httpx.MockTransport(answer))
    place = {"base_url": "https://example.com", "account_id": ACCOUNT, "api_token": "x", "http_client": client}
    return model(model=FORMATS[kind][api], api=api, **place)


def calls_of(framework: str) -> Any:
    return import_module(f"tests.benchmarks.{framework}_calls").Calls()


@frameworks
def test_concurrent_calls_open_a_connection_each_and_use_it_again(framework: str) -> None:
    calls = calls_of(framework)

    async def together(url: str) -> None:
        model = ours(framework, "chat", "chat_completions", f"{url}/@hold=20")
        for _ in range(3):
            await asyncio.gather(*[calls.acall(model) for _ in range(20)])

    with server({**os.environ, "PYTHONPATH": str(ROOT)}) as url:
        asyncio.run(together(url))
        counts = httpx.get(f"{url}/counts").json()
    assert counts == {"requests": 60, "connections": 21}  # one of them asks for the counts


@frameworks
@pytest.mark.parametrize("api", FORMATS["chat"])
def test_schemas_of_tools_are_converted_once(framework: str, api: str, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = calls_of(framework)
    whole = replies.WHOLE[api](12, True)
    generate = GenerateJsonSchema.generate
    converted: list[object] = []

    def counted(self: GenerateJsonSchema, *positional: Any, **named: Any) -> Any:
        converted.append(positional)
        return generate(self, *positional, **named)

    monkeypatch.setattr(GenerateJsonSchema, "generate", counted)
    for _ in range(2):
        model = answered(framework, "chat", api, lambda request: httpx.Response(200, json=whole))
        for _ in range(2):
            calls.long_call(calls.prepare(model, inputs.TOOLS))
    assert len(converted) == inputs.TOOLS


KEPT = {"langchain": 6, "llama_index": 9}
"""Objects that the garbage collector knows of a chunk that a program keeps: the chunk, its fields and their values."""


@frameworks
@pytest.mark.parametrize("api", FORMATS["chat"])
def test_a_chunk_consists_of_few_objects_and_the_stream_keeps_none(framework: str, api: str) -> None:
    calls = calls_of(framework)

    def objects(n: int) -> tuple[int, int]:
        body = "".join(replies.EVENTS[api](n, False)).encode()
        head = {"content-type": "text/event-stream"}
        model = answered(framework, "chat", api, lambda request: httpx.Response(200, headers=head, content=body))
        source = model.stream(calls.short) if framework == "langchain" else model.stream_chat(calls.short)
        gc.collect()
        before = len(gc.get_objects())
        chunks = list(source)
        gc.collect()
        kept = len(gc.get_objects())
        assert len(chunks) >= n
        del chunks
        gc.collect()
        return kept - before, len(gc.get_objects()) - before

    objects(10)
    short, long = objects(100), objects(300)
    assert round((long[0] - short[0]) / 200, 1) <= KEPT[framework]  # other threads have objects, too
    assert long[1] - short[1] < 20


@frameworks
def test_a_long_reply_of_embeddings_is_not_copied(framework: str) -> None:
    """20 MB: beside the vectors only the body itself, once."""
    texts, dimensions = 500, 2000
    row = "[" + ",".join(["-0.0123456789012345678"[:19]] * dimensions) + "]"
    rows = (f'{{"object":"embedding","index":{i},"embedding":{row}}}' for i in range(texts))
    body = f'{{"object":"list","data":[{",".join(rows)}],"model":"m","usage":{{"prompt_tokens":1}}}}'.encode()
    assert len(body) > 19_000_000

    class Body(httpx.SyncByteStream):
        def __iter__(self) -> Any:
            for start in range(0, len(body), 65536):
                yield body[start : start + 65536]

    head = {"content-type": "application/json"}
    model = answered(
        framework, "embeddings", "embeddings", lambda request: httpx.Response(200, headers=head, stream=Body())
    )
    calls = calls_of(framework)
    size = {"batch_size": texts} if framework == "langchain" else {"embed_batch_size": texts}
    model = model.model_copy(update=size)
    documents = inputs.texts(texts)
    tracemalloc.start()
    try:
        found = calls.embed(model, documents)
        kept, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(found) == texts
    assert json.loads(row)[0] == found[0][0]
    assert peak - kept < 1.2 * len(body)


SIZES = {"langchain": 3600, "llama_index": 3000}
"""Bytes of one more model; 832 of LangChain's are its model profile, which a program may change."""


@frameworks
def test_a_further_model_takes_little_memory(framework: str) -> None:
    model = getattr(import_module(f"cfaig_integrations.{framework}"), CLASSES[framework, "chat"])

    def models(n: int) -> list[Any]:
        return [model(model="openai/gpt-4o-mini", account_id=ACCOUNT, api_token="x") for _ in range(n)]

    models(5)
    gc.collect()
    tracemalloc.start()
    try:
        kept = models(1000)
        gc.collect()
        assert tracemalloc.get_traced_memory()[0] / len(kept) < SIZES[framework]
    finally:
        tracemalloc.stop()
