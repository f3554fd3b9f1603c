"""What is fuzzed, and what must hold for any bytes.

Whatever a server sends, a reader returns a well-typed value or raises an error of this package; a split of the bytes
changes nothing; the work is proportional to the input.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from contextlib import suppress
from random import Random
from typing import Any, TypeAlias

from cfaig_integrations.core.content import Wire
from cfaig_integrations.core.events import Event
from cfaig_integrations.core.fold import fold, unfold
from cfaig_integrations.errors import GatewayError, ProtocolError
from cfaig_integrations.gateway.actions import HttpResponse
from cfaig_integrations.gateway.failures import from_embedded, from_html, from_response
from cfaig_integrations.gateway.info import GatewayInfo, read_info
from cfaig_integrations.gateway.run_result import read_answer
from cfaig_integrations.gateway.session import StreamSession
from cfaig_integrations.wire import decisions, embeddings, rerank
from cfaig_integrations.wire.codec import EmbeddedError
from cfaig_integrations.wire.jsonio import load, load_reply
from cfaig_integrations.wire.registry import codec
from cfaig_integrations.wire.sse import SseParser
from tests.fuzz.answers import check_answer
from tests.gateway.test_failures_properties import usable
from tests.wire.harness import chunked
from tests.wire.test_run_invalid_values import assert_well_typed

Target: TypeAlias = Callable[[bytes], None]

WIRES: tuple[Wire, ...] = ("chat_completions", "responses", "messages", "run")
QUESTIONS: dict[str, Any] = {
    "a": {"type": "noul"},
    "b": {"type": "choice", "criteria": {"x": "is x", "y": "is y"}},
    "c": {"type": "score", "criteria": ["bad", "good"]},
}


class TooMuchWork(BaseException):
    """An input made the package call more functions than inputs of its size may."""


def run(name: str, data: bytes) -> None:
    """Runs a target on an input, and counts its calls, which do not depend on the machine."""
    limit = budget = 20_000 + 200 * len(data) if name != "answers" else 1_000_000  # the answer is longer than its input

    def count(frame: Any, event: str, argument: Any) -> None:
        nonlocal budget
        budget -= event == "call"
        if budget < 0:
            raise TooMuchWork(f"{name} made more than {limit} calls for {len(data)} bytes")

    sys.setprofile(count)
    try:
        TARGETS[name](data)
    finally:
        sys.setprofile(None)


def splits(data: bytes) -> Iterable[Iterable[bytes]]:
    """Pieces of random length; of a short input, single bytes too."""
    yield chunked(data, Random(data))
    if len(data) <= 500:
        yield (data[at : at + 1] for at in range(len(data)))


def same(one: object, other: object) -> bool:
    """Whether two values are equal, NaN being equal to itself."""
    return one == other or repr(one) == repr(other)


def check_sse(data: bytes) -> None:
    """Any split gives the same events, which hold no more bytes than came."""

    def parsed(chunks: Iterable[bytes]) -> list[tuple[str, bytes]]:
        parser = SseParser()
        events: list[tuple[str, bytes]] = []
        for chunk in chunks:
            events += parser.feed(chunk)
            assert 0 <= parser.buffered <= 65 * len(data)
        return events + parser.close()

    whole = parsed([data])
    assert sum(len(value) for _, value in whole) <= len(data)
    for split in splits(data):
        assert parsed(split) == whole


Outcome: TypeAlias = tuple[list[Event], str]


def decoded(wire: Wire, chunks: Iterable[bytes]) -> Outcome:
    """The events of a stream, and its error."""
    parser, decoder = SseParser(), codec(wire).decoder()
    events: list[Event] = []
    try:
        for chunk in chunks:
            for name, value in parser.feed(chunk):
                events += decoder.feed(name, value)
        for name, value in parser.close():
            events += decoder.feed(name, value)
        events += decoder.close()
    except (GatewayError, EmbeddedError) as error:
        return events, f"{type(error).__name__}: {error} {getattr(error, 'body', '')}"
    return events, ""


def delivered(wire: Wire, chunks: Iterable[bytes]) -> StreamSession:
    """A session that has read a stream, whose error can be shown and pickled."""
    session = StreamSession(codec(wire).decoder(), GatewayInfo(wire=wire, requested_model="m"), {})
    events: list[Event] = []
    for chunk in chunks:
        if not session.ended:
            events += session.feed(chunk)
    if not session.ended:
        events += session.close()
    if session.error is not None:
        usable(session.error)
    with suppress(ProtocolError):
        assert_well_typed(fold(wire, events))
    return session


def check_stream(wire: Wire, data: bytes) -> None:
    """Reads a stream in several splits, with its decoder and in a session."""
    whole = decoded(wire, [data])
    session = delivered(wire, [data])
    for split in splits(data):
        pieces = list(split)
        assert same(decoded(wire, pieces), whole)
        again = delivered(wire, pieces)
        assert (again.partial, repr(again.error)) == (session.partial, repr(session.error))
    if not whole[1]:
        assert_well_typed(fold(wire, whole[0]))


def check_body(wire: Wire, data: bytes) -> None:
    """Reads a whole body, whose reply is also that of its events."""
    with suppress(GatewayError, EmbeddedError):
        reply = codec(wire).decode(data)
        assert_well_typed(reply)
        assert same(fold(wire, unfold(reply)), reply)


def check_wire(wire: Wire) -> Target:
    def check(data: bytes) -> None:
        check_body(wire, data)
        check_stream(wire, data)

    return check


def check_envelope(data: bytes) -> None:
    """Opens an envelope, and reads what is in it as every format."""
    with suppress(GatewayError, EmbeddedError):
        assert isinstance(load_reply(data), dict)
    for wire in WIRES:
        check_body(wire, data)


def check_error(data: bytes) -> None:
    """Reads an error response: a status and headers in the first line, and the body."""
    head, _, body = data.partition(b"\n")
    fields = [field.partition(":") for field in head.decode("latin-1").split("|")]
    headers = {name.strip().lower(): value.strip() for name, colon, value in fields if colon}
    status = int(head[:3]) if head[:3].isdigit() else 500
    for error in (from_response(status, headers, body), from_html(status, headers, body)):
        usable(error)
        assert len(str(error)) < 6000 + len(head)
    with suppress(ProtocolError):
        usable(from_embedded(load(body), headers, status))
    assert repr(read_info(headers, wire="run", model="m").as_dict())


def check_vectors(data: bytes) -> None:
    """Reads embeddings, a ranking and decisions; the first line is the number of texts."""
    head, _, body = data.partition(b"\n")
    count = int(head) if head.isdigit() and len(head) < 4 else 2
    with suppress(GatewayError, EmbeddedError):
        vectors = embeddings.decode(body, count=count).vectors
        assert len(vectors) == count
        assert all(type(number) is float for vector in vectors for number in vector)
    with suppress(GatewayError, EmbeddedError):
        assert {each.index for each in rerank.decode(body, count=count).ranking} == set(range(count))
    with suppress(GatewayError, EmbeddedError):
        assert decisions.decode(body, QUESTIONS).answers.keys() == QUESTIONS.keys()


def check_run(data: bytes) -> None:
    """Reads the result of a run; the first line is the content type."""
    head, _, body = data.partition(b"\n")
    with suppress(GatewayError, EmbeddedError):
        answer = read_answer(HttpResponse(200, {"content-type": head.decode("latin-1")}, body))
        assert all((file.data is None) is (file.url is not None) for file in answer.files)
        assert answer.key_source is None or isinstance(answer.key_source, str)
        assert repr(answer)


TARGETS: dict[str, Target] = {
    "sse": check_sse,
    **{wire: check_wire(wire) for wire in WIRES},
    "answers": check_answer,
    "envelopes": check_envelope,
    "errors": check_error,
    "vectors": check_vectors,
    "run_results": check_run,
}
