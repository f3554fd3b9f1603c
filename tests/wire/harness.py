"""What every wire must hold, said once: any byte split, CRLF, comments, cuts, fold == decode, echo."""

from __future__ import annotations

import json
import random
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

from cfaig_integrations.core.chat import ChatReply
from cfaig_integrations.core.events import Event
from cfaig_integrations.core.fold import fold
from cfaig_integrations.wire.codec import ChatCodec
from cfaig_integrations.wire.sse import SseParser

SHARED = Path(__file__).resolve().parents[3] / "shared"
RECORDED = SHARED / "recorded"

needs_recordings = pytest.mark.skipif(
    not RECORDED.is_dir(), reason="NO RECORDINGS: ../shared/recorded is absent, so nothing recorded was checked"
)


def recordings(kind: str, *, stream: bool | None = None, ok: bool | None = True) -> list[dict[str, Any]]:
    """The recorded exchanges of one kind (`chat`, `responses`, `messages`, `cloudflare`); each knows its `line`."""
    found: list[dict[str, Any]] = []
    if not RECORDED.is_dir():
        return found
    for line, text in enumerate((RECORDED / f"{kind}.jsonl").read_text(encoding="utf-8").split("\n")):
        if not text:
            continue
        record = json.loads(text)
        record["line"] = line
        succeeded = 200 <= int(record["status"]) < 300
        if (stream is None or record["stream"] is stream) and (ok is None or succeeded is ok):
            found.append(record)
    return found


def chunked(data: bytes, rng: random.Random, longest: int = 40) -> Iterator[bytes]:
    """`data` in pieces of random length."""
    if len(data) > 20_000:
        longest *= 40
    at = 0
    while at < len(data):
        step = rng.randint(1, longest)
        yield data[at : at + step]
        at += step


def events_of(codec: ChatCodec, chunks: Iterable[bytes]) -> list[Event]:
    """The events of a stream that arrives in `chunks`; raises as a real stream would."""
    parser, decoder = SseParser(), codec.decoder()
    events: list[Event] = []
    for chunk in chunks:
        for name, data in parser.feed(chunk):
            events += decoder.feed(name, data)
    for name, data in parser.close():
        events += decoder.feed(name, data)
    return [*events, *decoder.close()]


def folded(codec: ChatCodec, data: bytes) -> ChatReply:
    """The reply that a stream adds up to."""
    return fold(codec.wire, events_of(codec, [data]))


def with_crlf(text: str) -> bytes:
    """The same stream with CRLF line ends."""
    return text.replace("\r\n", "\n").replace("\n", "\r\n").encode()


def with_comments(text: str) -> bytes:
    """The same stream with comments between its events."""
    return (": connected\n\n" + text.replace("\r\n", "\n").replace("\n\n", "\n\n: keep-alive\n\n")).encode()


def assert_same_in_any_split(codec: ChatCodec, text: str, seed: int) -> list[Event]:
    """A stream's events do not depend on where the network cuts it, on its line ends, or on comments."""
    data, rng = text.encode(), random.Random(seed)
    whole = events_of(codec, [data])
    assert whole, "a stream without events proves nothing"
    assert events_of(codec, chunked(data, rng)) == whole
    assert events_of(codec, chunked(with_crlf(text), rng)) == whole
    assert events_of(codec, chunked(with_comments(text), rng)) == whole
    return whole
