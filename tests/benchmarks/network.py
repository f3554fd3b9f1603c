"""What the network costs alone: httpx and json, with the same requests and the same responses."""

from __future__ import annotations

import base64
import json
from array import array
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import httpx

CONNECTIONS = 100
"""Httpx's default."""


@dataclass
class Endpoint:
    """A URL and the body that a model of this package sent to it."""

    url: str
    payload: dict[str, Any]

    @cached_property
    def client(self) -> httpx.Client:
        return httpx.Client(timeout=600, headers=HEADERS)

    @cached_property
    def async_client(self) -> httpx.AsyncClient:
        return httpx.AsyncClient(timeout=600, headers=HEADERS)

    def content(self) -> bytes:
        return json.dumps(self.payload, separators=(",", ":"), ensure_ascii=False).encode()


HEADERS = {"authorization": "Bearer x", "content-type": "application/json"}


class Calls:
    """The methods of `langchain_calls.Calls`, with decoded JSON as results."""

    def prepare(self, model: Endpoint, tools: int) -> Endpoint:
        return model

    def call(self, model: Endpoint) -> Any:
        return json.loads(model.client.post(model.url, content=model.content()).raise_for_status().content)

    long_call = rerank = call

    async def acall(self, model: Endpoint) -> Any:
        response = await model.async_client.post(model.url, content=model.content())
        return json.loads(response.raise_for_status().content)

    def stream(self, model: Endpoint) -> int:
        return sum(1 for _ in self._events(model))

    tool_stream = stream

    def _events(self, model: Endpoint) -> Iterator[Any]:
        rest = b""
        with model.client.stream("POST", model.url, content=model.content()) as response:
            for chunk in response.raise_for_status().iter_bytes():
                *lines, rest = (rest + chunk).split(b"\n")
                yield from decoded(lines)

    async def astream(self, model: Endpoint) -> int:
        return sum([1 async for _ in self._aevents(model)])

    async def _aevents(self, model: Endpoint) -> AsyncIterator[Any]:
        rest = b""
        async with model.async_client.stream("POST", model.url, content=model.content()) as response:
            async for chunk in response.raise_for_status().aiter_bytes():
                *lines, rest = (rest + chunk).split(b"\n")
                for event in decoded(lines):
                    yield event

    def embed(self, model: Endpoint, texts: list[str]) -> list[list[float]]:
        reply = self.call(model)
        rows = reply["result"]["data"] if "result" in reply else [each["embedding"] for each in reply["data"]]
        return [array("f", base64.b64decode(row)).tolist() if isinstance(row, str) else row for row in rows]


def decoded(lines: list[bytes]) -> Iterator[Any]:
    for line in lines:
        if line.startswith(b"data: ") and line != b"data: [DONE]":
            yield json.loads(line[6:])
