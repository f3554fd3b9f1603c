"""Server-sent events against a naive parser that sees all bytes at once."""

from __future__ import annotations

import itertools
import re
from unittest.mock import patch

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cfaig_integrations.errors import ProtocolError
from cfaig_integrations.wire import sse
from cfaig_integrations.wire.sse import EVENT_LIMIT, LINE_COST, SseParser

BOM = b"\xef\xbb\xbf"


def parsed(*chunks: bytes, limit: int = EVENT_LIMIT) -> list[tuple[str, bytes]]:
    parser = SseParser()
    with patch.object(sse, "EVENT_LIMIT", limit):
        events = [event for chunk in chunks for event in parser.feed(chunk)]
        return events + parser.close()


def reference(data: bytes) -> list[tuple[str, bytes]]:
    """What the HTML standard says of event streams, over whole bytes, plus our three leniencies.

    A last event without its blank line counts, and so does a `[DONE]` or an object that has lost its field name.
    Byte-order marks, NULs and blanks before a line count as absent, wherever it is.
    """
    events: list[tuple[str, bytes]] = []
    name, data_lines = "", list[bytes]()

    def dispatch() -> None:
        if data_lines:
            events.append((name, b"\n".join(data_lines)))
            data_lines.clear()

    for each in [*re.split(rb"\r\n|\r|\n", data), b""]:
        line = each.lstrip(BOM + b"\0 \t") or each
        field, _, value = line.partition(b":")
        if not line:
            dispatch()
            name = ""
        elif line == b"[DONE]" or line.startswith(b"{"):
            dispatch()
            events.append(("", line))
        elif field == b"data":
            data_lines.append(value.removeprefix(b" "))
        elif field == b"event":
            name = value.strip().decode()
    return events


LINES = st.sampled_from(
    [
        b"",
        b"",
        b"data: {}",
        b"data:{}",
        b"data:  two spaces",
        b"data:",
        b"data",
        b"data: a:b",
        b"dataset: not a field",
        b"data: \xe2\x80\xa8 and \xc2\x85 and \xc3\xa9",
        b"data: " + b"x" * 50,
        b"event: ping",
        b"event:message_stop",
        b"id: 7",
        b"retry: 100",
        b": comment",
        b":",
        b"[DONE]",
        b'{"error": "x"}',
        b"data: [DONE]",
        b" \tdata: after blanks",
        BOM + b"data: not at the start",
        BOM + BOM + b"event: ping",
        b"\0\0data: after NULs",
        b"\0",
    ]
)
STREAMS = st.lists(st.tuples(LINES, st.sampled_from([b"\n", b"\r", b"\r\n"])), max_size=30).map(
    lambda lines: b"".join(line + end for line, end in lines)
)


@given(
    data=st.tuples(st.sampled_from([b"", BOM]), STREAMS, st.sampled_from([b"", b"data: cut", b": c"])).map(b"".join),
    cuts=st.lists(st.integers(0, 2000), max_size=40),
)
def test_any_split_gives_the_same_events(data: bytes, cuts: list[int]) -> None:
    edges = sorted({0, *(cut for cut in cuts if cut < len(data)), len(data)})
    chunks = [data[start:end] for start, end in itertools.pairwise(edges)]
    assert parsed(*chunks) == reference(data)


@given(data=STREAMS)
def test_byte_by_byte(data: bytes) -> None:
    assert parsed(*(data[at : at + 1] for at in range(len(data)))) == reference(data)


@pytest.mark.parametrize(
    ("data", "events"),
    [
        (b"data: one\n\ndata: two\n\n", [("", b"one"), ("", b"two")]),
        (b"event: a\ndata: 1\n\ndata: 2\n\n", [("a", b"1"), ("", b"2")]),
        (b"event: lost\n\ndata: 2\n\n", [("", b"2")]),
        (b"data: 1\ndata: 2\n\n", [("", b"1\n2")]),
        (b"data:tight\n\n", [("", b"tight")]),
        (b": keep-alive\n\n: again\n\n", []),
        (b"data: at the end", [("", b"at the end")]),
        (b"data: at the end\r", [("", b"at the end")]),
        (b"data: x\n\n[DONE]", [("", b"x"), ("", b"[DONE]")]),
        (b"data: x\n[DONE]\n\n", [("", b"x"), ("", b"[DONE]")]),
        (b'data: x\n{"error": 1}\n\ndata: y\n\n', [("", b"x"), ("", b'{"error": 1}'), ("", b"y")]),
        ("data: a\u2028b\u0085c\x0bd\n\n".encode(), [("", "a\u2028b\u0085c\x0bd".encode())]),
        (BOM + b"data: x\n\n", [("", b"x")]),
        (BOM + BOM + b"event: a\n\0\0data: x\n\n", [("a", b"x")]),
        (b"data: x\n\n   data: y\n\n \n\n", [("", b"x"), ("", b"y")]),
        (b"", []),
    ],
)
def test_examples(data: bytes, events: list[tuple[str, bytes]]) -> None:
    assert parsed(data) == events == reference(data)


def test_events_are_returned_as_soon_as_they_are_complete() -> None:
    parser = SseParser()
    assert parser.feed(b"data: 1\n\nda") == [("", b"1")]
    assert parser.feed(b"ta: 2\r") == []
    assert parser.feed(b"\n\r") == [("", b"2")]
    assert parser.feed(b"\ndata: 3\r\r") == [("", b"3")]
    assert parser.feed(b"") == []


@pytest.mark.parametrize("piece", [b":", b" \t", b"\0\0", BOM, b" \0: x"])
def test_comments_and_bytes_before_a_line_are_no_progress(piece: bytes) -> None:
    parser = SseParser()
    parser.feed(piece)
    assert parser.buffered == 0


def test_a_line_after_blanks_is_progress() -> None:
    parser = SseParser()
    parser.feed(b"  data: x")
    assert parser.buffered > 0


def test_an_event_larger_than_any_network_read() -> None:
    value = b"x" * 3_000_000
    stream = b"data: " + value + b"\n\n"
    assert parsed(*(stream[at : at + 65_536] for at in range(0, len(stream), 65_536))) == [("", value)]


@given(cut=st.integers(0, 40), size=st.integers(0, 10))
def test_an_event_within_the_limit_passes_in_any_split(cut: int, size: int) -> None:
    limit = 10 + LINE_COST  # a second line counts more than its bytes
    stream = b"data: " + b"x" * size + b"\ndata:" + b"y" * (10 - size) + b"\n\n"
    expected = [("", b"x" * size + b"\n" + b"y" * (10 - size))]
    assert parsed(stream[:cut], stream[cut:], limit=limit) == expected
    for pieces in ([stream * 5], [stream[at : at + 1] for at in range(len(stream))] * 5):
        assert parsed(*pieces, limit=limit) == expected * 5, "the limit is for one event, not for the stream"


@pytest.mark.parametrize("chunk", [1, 7, 10_000])
@pytest.mark.parametrize(
    "stream",
    [
        b"data: " + b"x" * 101 + b"\n\n",
        b"data: " + b"x" * 60 + b"\ndata: " + b"x" * 41 + b"\n\n",
        b"data: never ends " + b"x" * 101,
        b"x" * 200,
        b"data:\n" * 9,
        b"data\n" * 9,
        b"data: x\n" * 9,
    ],
)
def test_an_event_over_the_limit_is_refused(stream: bytes, chunk: int) -> None:
    with pytest.raises(ProtocolError, match="larger than 100 bytes"):
        parsed(*(stream[at : at + chunk] for at in range(0, len(stream), chunk)), limit=100)


def test_the_limit_is_64_mib() -> None:
    assert EVENT_LIMIT == 64 * 2**20
    parser = SseParser()
    parser.feed(b"data: ")
    half = bytes(32 * 2**20)
    parser.feed(half)
    parser.feed(half)
    with pytest.raises(ProtocolError):
        parser.feed(b"x")
