"""Properties of every wire: any byte split, CRLF, comments, truncation, fold == decode, echo."""

from __future__ import annotations

import functools
import importlib
import random
import sys
from collections.abc import Iterable, Iterator
from typing import Any

import pytest

from cfaig_integrations.core.chat import ChatReply
from cfaig_integrations.core.events import Event
from cfaig_integrations.core.fold import fold
from cfaig_integrations.wire.codec import ChatCodec
from cfaig_integrations.wire.sse import SseParser
from tests.recordings import COMPLETE, RECORDED, SHARED, recordings

__all__ = ["COMPLETE", "RECORDED", "SHARED", "recordings"]

needs_recordings = pytest.mark.recordings("any")
"""A test over recordings, wherever they are from."""
needs_complete_recordings = pytest.mark.recordings("complete")
"""A test that knows what the maintainers' corpus holds, or that needs the official SDKs' types as a validator."""


def assert_number(number: int, expected: int) -> None:
    """As many recordings as the maintainers' corpus holds; of another corpus, some."""
    assert number == expected if COMPLETE else number > 0


@functools.cache
def _validator() -> Any:
    sys.path.append(str(SHARED / "tools"))
    return importlib.import_module("validate")


def validate_request(kind: str, body: Any) -> list[str]:
    """The errors of the official SDKs' types for a body; none where these are not available."""
    errors: list[str] = _validator().validate_request(kind, body) if COMPLETE else []
    return errors


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
