"""Many calls at once: no answer is mixed up, none is lost, and neither memory nor descriptors grow.

By default few, with the other tests; `python -m tests.reliability` makes thousands.
"""

from __future__ import annotations

import asyncio
import gc
import json
import os
import resource
import sys
import threading
from collections.abc import Callable, Coroutine, Iterator
from itertools import count, islice
from typing import Any

import pytest
from pydantic_core import from_json

from cfaig_integrations import langchain as lc
from cfaig_integrations import llama_index as li
from cfaig_integrations.client import aio, pool, sync
from tests.reliability import FULL
from tests.reliability.calls import MODELS, WAYS, Outcome, Perform, Way, performer
from tests.reliability.echo import HELD, Echo, marker, score_of, text_of, vector_of
from tests.waiting import PATIENCE, until, until_async

STREAMS = 1000 if FULL else 64
THREADS = 64 if FULL else 8
TASKS = 64 if FULL else 16
ROUND = 2000 if FULL else 160
ROUNDS = 10 if FULL else 4
TEXTS = 10
"""Of one call for embeddings, each in a request of its own."""


@pytest.fixture
def echo(monkeypatch: pytest.MonkeyPatch) -> Iterator[Echo]:
    """A server, and pools that close no connection because a machine is slow."""
    monkeypatch.setattr(pool, "KEEP_ALIVE_SECONDS", 10 * PATIENCE)
    for module in (sync, aio):
        monkeypatch.setattr(module, "DRAIN_SECONDS", PATIENCE)
    pool.close_all()
    with Echo() as running:
        yield running
        pool.close_all()
        assert until(lambda: running.counts().open == 0), "a connection is left"


def is_answer(outcome: Outcome, number: int) -> bool:
    """Whether a call got the answer to its own prompt."""
    expected = ((text_of(number), []), ("", vector_of(number)), ("", [score_of(number)]))
    return (outcome.text, outcome.numbers) in expected


def at_once(call: Coroutine[Any, Any, None]) -> None:
    """Makes a call that awaits nothing."""
    with pytest.raises(StopIteration):
        call.send(None)


def test_streams_in_one_event_loop_are_not_mixed_up(echo: Echo, record_property: Callable[[str, object], None]) -> None:
    """All are open at once; then the events of all come in turn."""
    ways = [way for way in WAYS if way.stream and way.asynchronous]
    performers = [performer(way, base_url=echo.base_url) for way in ways]
    outcomes = [Outcome() for _ in range(STREAMS)]

    async def main() -> None:
        tasks = [
            asyncio.create_task(performers[number % len(ways)](outcome, HELD + marker(number)))
            for number, outcome in enumerate(outcomes)
        ]
        assert await until_async(lambda: all(outcome.text for outcome in outcomes) or any(map(_failed, tasks)))
        await asyncio.to_thread(echo.release)
        await asyncio.gather(*tasks)
        assert asyncio.all_tasks() == {asyncio.current_task()}

    asyncio.run(main())
    mixed_up = [number for number, outcome in enumerate(outcomes) if not is_answer(outcome, number)]
    counts = echo.counts()
    assert mixed_up == []
    assert (counts.requests, counts.accepted, counts.most_open) == (STREAMS,) * 3
    record_property("streams at once", STREAMS)
    record_property("lost or mixed up", len(mixed_up))


def _failed(task: asyncio.Task[None]) -> bool:
    return task.done() and task.exception() is not None


class Load:
    """Calls in every way, in threads and in one event loop at a time."""

    def __init__(self, base_url: str) -> None:
        self.mixed_up: list[tuple[Way, int, Outcome]] = []
        self.failed: list[BaseException] = []
        self.made = 0
        self._numbers = count()
        self._performers = {way: performer(way, base_url=base_url) for way in WAYS}

    def _calls(self, *, asynchronous: bool) -> Iterator[tuple[Way, Perform, int]]:
        ways = [way for way in WAYS if way.asynchronous is asynchronous]
        for place in range(ROUND // 2):
            way = ways[place % len(ways)]
            yield way, self._performers[way], next(self._numbers)

    async def _work(self, calls: Iterator[tuple[Way, Perform, int]]) -> None:
        for way, perform, number in calls:
            outcome = Outcome()
            await perform(outcome, marker(number))
            if not is_answer(outcome, number):
                self.mixed_up.append((way, number, outcome))

    def _thread(self, calls: list[tuple[Way, Perform, int]]) -> None:
        try:
            at_once(self._work(iter(calls)))
        except BaseException as error:
            self.failed.append(error)

    async def round(self) -> None:
        """Half of the calls in threads, the other half in tasks at the same time."""
        calls = list(self._calls(asynchronous=False))
        threads = [threading.Thread(target=self._thread, args=(calls[place::THREADS],)) for place in range(THREADS)]
        for thread in threads:
            thread.start()
        queue = self._calls(asynchronous=True)
        await asyncio.gather(*[self._work(queue) for _ in range(TASKS)])
        assert await until_async(lambda: not any(thread.is_alive() for thread in threads))
        self.made += ROUND


def used() -> tuple[int, int, float]:
    """Descriptors, blocks of memory, and the most megabytes of this process so far."""
    gc.collect()
    megabytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1024 if sys.platform == "linux" else 1024**2)
    return len(os.listdir("/dev/fd")), sys.getallocatedblocks(), megabytes


def test_calls_in_threads_and_tasks_get_their_answers_and_leave_nothing(
    echo: Echo, record_property: Callable[[str, object], None]
) -> None:
    """After the first round nothing grows."""
    load = Load(echo.base_url)
    from_json(json.dumps([f"{number}" for number in range(200_000)]))  # fills its cache of strings

    async def main() -> list[tuple[int, int, float]]:
        after = [used()]
        for _ in range(ROUNDS):
            await load.round()
            after.append(used())
        assert asyncio.all_tasks() == {asyncio.current_task()}
        return after

    before, first, *_, last = asyncio.run(main())
    counts = echo.counts()
    assert load.failed == []
    assert load.mixed_up == []
    assert counts.requests == load.made
    most = THREADS + -(-TASKS // pool.SHARDS) * pool.SHARDS
    assert counts.accepted <= most, "connections are not used again"
    assert last[0] <= before[0] + most, "descriptors are left open"
    assert last[1] - first[1] < 1500 + (load.made - ROUND) / 2, "memory is kept after each call"
    assert not FULL or last[2] - first[2] < 30
    record_property("calls", load.made)
    record_property("lost or mixed up", len(load.mixed_up) + len(load.failed))
    record_property("connections", counts.accepted)
    for place, name in enumerate(("descriptors", "blocks of memory", "MB")):
        record_property(f"{name} after {ROUND} calls and at the end", (round(first[place]), round(last[place])))


@pytest.mark.parametrize("asynchronous", [False, True], ids=["sync", "async"])
@pytest.mark.parametrize("framework", ["langchain", "llama_index"])
def test_each_text_of_concurrent_calls_gets_its_vector(
    echo: Echo, framework: str, asynchronous: bool, record_property: Callable[[str, object], None]
) -> None:
    """Vectors of calls that are in several requests, while other calls are made."""
    settings: dict[str, Any] = {
        "model": MODELS["embeddings"],
        "base_url": echo.base_url,
        "account_id": "acc",
        "api_token": "tok",
    }
    model: Any
    if framework == "langchain":
        model = lc.CloudflareAIGatewayEmbeddings(batch_size=1, **settings)
        embed, aembed = model.embed_documents, model.aembed_documents
    else:
        model = li.CloudflareAIGatewayEmbedding(embed_batch_size=1, **settings)
        embed, aembed = model.get_text_embedding_batch, model.aget_text_embedding_batch
    texts = map(marker, count())
    calls = [list(islice(texts, TEXTS)) for _ in range(200 if FULL else 6)]

    async def main() -> list[list[list[float]]]:
        return await asyncio.gather(
            *[aembed(call) if asynchronous else asyncio.to_thread(embed, call) for call in calls]
        )

    vectors = [vector for answers in asyncio.run(main()) for vector in answers]
    assert [vector[0] for vector in vectors] == list(range(len(calls) * TEXTS))
    assert echo.counts().requests == len(vectors)
    record_property("texts", len(vectors))
    record_property("lost or mixed up", 0)
