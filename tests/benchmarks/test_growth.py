"""How work and memory grow with the size of a reply, counted in Python's instructions and in bytes, not in time."""

from __future__ import annotations

import json
import sys
import tracemalloc
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any, TypeAlias

import pytest

from cfaig_integrations.core.content import Wire
from cfaig_integrations.core.events import ArgumentsDelta, Event, PartStarted, TextDelta
from cfaig_integrations.gateway.info import GatewayInfo
from cfaig_integrations.gateway.session import StreamSession
from cfaig_integrations.langchain.chunks import ChunkMaker
from cfaig_integrations.llama_index.responses import ResponseMaker
from cfaig_integrations.wire import embeddings, registry
from tests.reliability.bodies import event as sse

SMALL, LARGE = 100, 500
INFO = {wire: GatewayInfo(wire=wire, requested_model="m") for wire in ("chat_completions", "responses", "messages")}
PIECE = "word " * 10
Work: TypeAlias = Sequence[Callable[[], object]]
"""Steps, each called once and in order."""


def instructions(work: Work) -> int:
    """How many of Python's instructions the steps run; a loop inside one function counts too."""
    count = 0

    def trace(frame: Any, event: str, argument: object) -> Any:
        nonlocal count
        frame.f_trace_opcodes, frame.f_trace_lines = True, False
        count += event == "opcode"
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        for step in work:
            step()
    finally:
        sys.settrace(before)
    return count


def allocated(work: Work) -> int:
    """How many bytes the steps need, counted for each step: a copy that a step makes and drops counts too."""
    total = 0
    tracemalloc.start()
    try:
        for step in work:
            tracemalloc.reset_peak()
            before = tracemalloc.get_traced_memory()[0]
            step()
            total += tracemalloc.get_traced_memory()[1] - before
    finally:
        tracemalloc.stop()
    return total


def peak_bytes(work: Callable[[], object]) -> int:
    """The most memory that `work` has at a time."""
    tracemalloc.start()
    try:
        work()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def growth(measure: Callable[[Work], int], work: Callable[[int], Work]) -> float:
    """What one more event costs in a large stream, in multiples of what it costs in a small one."""
    measure(work(2))
    empty, small, large = (measure(work(size)) for size in (1, SMALL, LARGE))
    return ((large - small) / (LARGE - SMALL)) / ((small - empty) / (SMALL - 1))


def chat_completions(pieces: Sequence[str], *, tool: bool) -> Iterator[bytes]:
    call = {"index": 0, "id": "c", "type": "function", "function": {"name": "f", "arguments": ""}}
    deltas = [{"tool_calls": [call]}] if tool else []
    for piece in pieces:
        more = {"tool_calls": [{"index": 0, "function": {"arguments": piece}}]}
        deltas.append(more if tool else {"content": piece})
    for delta in deltas:
        yield sse({"id": "r", "model": "m", "choices": [{"index": 0, "delta": delta, "finish_reason": None}]})
    yield sse({"id": "r", "model": "m", "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
    yield b"data: [DONE]\n\n"


def messages(pieces: Sequence[str], *, tool: bool) -> Iterator[bytes]:
    block = {"type": "tool_use", "id": "c", "name": "f", "input": {}} if tool else {"type": "text", "text": ""}
    kind, key = ("input_json_delta", "partial_json") if tool else ("text_delta", "text")
    yield sse({"type": "message_start", "message": {"id": "r", "model": "m", "content": []}}, "message_start")
    yield sse({"type": "content_block_start", "index": 0, "content_block": block}, "content_block_start")
    for piece in pieces:
        delta = {"type": kind, key: piece}
        yield sse({"type": "content_block_delta", "index": 0, "delta": delta}, "content_block_delta")
    yield sse({"type": "content_block_stop", "index": 0}, "content_block_stop")
    yield sse({"type": "message_delta", "delta": {"stop_reason": "end_turn"}}, "message_delta")
    yield sse({"type": "message_stop"}, "message_stop")


def responses(pieces: Sequence[str], *, tool: bool) -> Iterator[bytes]:
    kind = "response.function_call_arguments.delta" if tool else "response.output_text.delta"
    whole = "".join(pieces)
    call = {"id": "i", "type": "function_call", "call_id": "c", "name": "f"}
    text = {"type": "output_text", "text": whole, "annotations": []}
    item = {"id": "i", "type": "message", "role": "assistant"}
    begun, done = ({**call, "arguments": ""}, {**call, "arguments": whole})
    if not tool:
        begun, done = ({**item, "content": []}, {**item, "content": [text]})
    yield sse({"type": "response.created", "response": {"id": "r", "model": "m", "output": []}})
    yield sse({"type": "response.output_item.added", "output_index": 0, "item": begun})
    if not tool:
        part = {**text, "text": ""}
        place = {"item_id": "i", "output_index": 0, "content_index": 0}
        yield sse({"type": "response.content_part.added", **place, "part": part})
    for piece in pieces:
        yield sse({"type": kind, "item_id": "i", "output_index": 0, "content_index": 0, "delta": piece})
    yield sse({"type": "response.output_item.done", "output_index": 0, "item": done})
    reply = {"id": "r", "model": "m", "status": "completed", "output": [done]}
    yield sse({"type": "response.completed", "response": reply})


MEASURES = pytest.param(instructions, id="instructions"), pytest.param(allocated, id="bytes")
STREAMS: dict[Wire, Callable[..., Iterator[bytes]]] = {
    "chat_completions": chat_completions,
    "responses": responses,
    "messages": messages,
}


def arguments(count: int) -> list[str]:
    return ['{"a":"', *[PIECE] * (count - 2), '"}'] if count > 1 else ["{}"]


def reading(wire: Wire, size: int, *, tool: bool, events: list[Event] | None = None) -> Work:
    """Reads a stream; each step one of its events."""
    session = StreamSession(registry.codec(wire).decoder(), INFO[wire], {})
    found: list[Event] = [] if events is None else events

    def feed(data: bytes) -> None:
        found[:] = session.feed(data) if events is None else [*found, *session.feed(data)]

    def check() -> None:
        assert session.error is None
        assert session.ended

    pieces = arguments(size) if tool else [PIECE] * size
    return [*(partial(feed, data) for data in STREAMS[wire](pieces, tool=tool)), check]


def converting(framework: str, size: int, *, tool: bool) -> Work:
    """Makes a framework's chunks of the events of a stream."""
    events: list[Event] = []
    for step in reading("chat_completions", size, tool=tool, events=events):
        step()
    assert sum(type(event) in (TextDelta, ArgumentsDelta) for event in events) == size
    langchain = ChunkMaker(INFO["chat_completions"], "m", as_blocks=False)
    maker = langchain if framework == "langchain" else ResponseMaker(INFO["chat_completions"])
    return [*(partial(maker.make, event) for event in events), maker.last]


@pytest.mark.parametrize("tool", [False, True], ids=["text", "tool"])
@pytest.mark.parametrize("wire", STREAMS)
@pytest.mark.parametrize("measure", MEASURES)
def test_reading_a_stream_grows_linearly(measure: Callable[[Work], int], wire: Wire, tool: bool) -> None:
    assert growth(measure, lambda size: reading(wire, size, tool=tool)) < 1.1


@pytest.mark.parametrize("tool", [False, True], ids=["text", "tool"])
@pytest.mark.parametrize("framework", ["langchain", "llama_index"])
@pytest.mark.parametrize("measure", MEASURES)
def test_converting_a_stream_grows_linearly(measure: Callable[[Work], int], framework: str, tool: bool) -> None:
    def without_required_copies(work: Work) -> int:
        """Leaves out the copy of the text so far that LlamaIndex requires in each response."""
        texts = len(PIECE) * len(work) * (len(work) + 1) // 2
        return measure(work) - texts

    grows = growth(measure, lambda size: converting(framework, size, tool=tool))
    if (framework, measure) == ("llama_index", allocated):
        grows = growth(without_required_copies, lambda size: converting(framework, size, tool=tool))
    assert grows < 1.1


@pytest.mark.parametrize(
    ("measure", "step"),
    [(instructions, lambda texts: [text for text in texts if text]), (allocated, "".join)],
    ids=["a loop over all pieces", "a copy of the text"],
)
def test_quadratic_work_is_found(measure: Callable[[Work], int], step: Callable[[list[str]], object]) -> None:
    def work(size: int) -> Work:
        texts: list[str] = []
        return [lambda: step([*texts, PIECE]) if texts.append(PIECE) is None else None] * size

    assert growth(measure, work) > 2


@pytest.mark.parametrize("framework", ["langchain", "llama_index"])
def test_a_stream_keeps_its_text_and_no_list_of_its_chunks(framework: str) -> None:
    text = "x" * 100

    def convert(count: int) -> None:
        langchain = ChunkMaker(INFO["chat_completions"], "m", as_blocks=False)
        maker = langchain if framework == "langchain" else ResponseMaker(INFO["chat_completions"])
        maker.make(PartStarted(0, "text"))
        for _ in range(count):
            maker.make(TextDelta(0, str(text)))

    convert(10)
    few, many = (peak_bytes(lambda count=count: convert(count)) for count in (SMALL, 4 * LARGE))
    # The text so far, twice while it grows, and references to its pieces: a chunk itself takes over 1,000 bytes.
    assert (many - few) / (4 * LARGE - SMALL) < 400


@pytest.mark.parametrize("form", ["floats", "whole numbers", "indexed"])
def test_a_large_embedding_reply_is_not_copied(form: str) -> None:
    row: list[float] = [1] * 1000 if form == "whole numbers" else [0.123456789] * 1000
    rows: list[Any] = [row] * 300
    if form == "indexed":
        rows = [{"index": index, "embedding": row} for index in range(300)]
    body = json.dumps({"data": rows}).encode()
    del rows
    parsed = peak_bytes(lambda: json.loads(body))
    decoded = peak_bytes(lambda: embeddings.decode(body, count=300))
    assert decoded < parsed * (4 if form == "whole numbers" else 1.1)  # a whole number is cached, a float is not
