"""Bodies that are endless, slow, too large, or followed by other bytes."""

from __future__ import annotations

import asyncio
import gzip
import itertools
import json
import time
import traceback
import tracemalloc
import zlib
from collections.abc import Callable
from contextlib import nullcontext
from types import SimpleNamespace
from typing import Any

import h11
import httpx
import httpx2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cfaig_integrations.client import bodies, pool
from cfaig_integrations.client.aio import AsyncClient
from cfaig_integrations.client.bodies import Inflater
from cfaig_integrations.client.sync import Client
from cfaig_integrations.core.fold import fold
from cfaig_integrations.errors import (
    ApiError,
    AuthError,
    ConfigError,
    ConnectFault,
    GatewayError,
    ProtocolError,
    RateLimited,
    StreamBroken,
    TimeoutFault,
)
from cfaig_integrations.gateway.actions import HttpRequest
from cfaig_integrations.gateway.connection import Timeouts
from tests.client.conftest import REQUEST, AsyncDriver, Driver, SyncDriver, connect
from tests.client.loopback import JSON, SSE, STREAM, TEXT, WHOLE, Loopback, Reply, exact, piece, streamed, zipped

Texts = Callable[..., Any]
PING = b": ping\n\n"
LONG = 600.0
"""A timeout in seconds that no test reaches."""
STALL = 2.0
"""A timeout in seconds that a stalled body reaches, and a response head does not, even on a slow machine."""


def _library(name: str, driver: Driver, **arguments: Any) -> Any:
    """A user's client, or None for the package's pools."""
    if name == "ours":
        return None
    library = {"httpx": httpx, "httpx2": httpx2}[name]
    return library.Client(**arguments) if driver.name == "sync" else library.AsyncClient(**arguments)


@pytest.fixture(params=["ours", "httpx", "httpx2"])
def client_kind(request: pytest.FixtureRequest) -> str:
    made: str = request.param
    return made


@pytest.fixture(params=[SyncDriver, AsyncDriver], ids=["sync", "async"])
def texts_of(request: pytest.FixtureRequest) -> Any:
    """Returns the texts of several replies over one client, each whole (w) or streamed (s)."""

    def sync_texts(to: Any, client: Any, modes: str) -> list[str]:
        with client or nullcontext():
            ours = Client(to, client)
            return [
                (ours.chat(REQUEST)[0] if mode == "w" else fold("chat_completions", ours.stream(REQUEST))).turn.text
                for mode in modes
            ]

    async def async_texts(to: Any, client: Any, modes: str) -> list[str]:
        texts = []
        async with client or nullcontext():
            ours = AsyncClient(to, client)
            for mode in modes:
                if mode == "w":
                    texts.append((await ours.chat(REQUEST))[0].turn.text)
                    continue
                async with await ours.stream(REQUEST) as stream:
                    texts.append(fold("chat_completions", [event async for event in stream]).turn.text)
        return texts

    driver = request.param()

    def texts(to: Any, client_kind: str, modes: str, **arguments: Any) -> list[str]:
        client = _library(client_kind, driver, **arguments)
        if driver.name == "sync":
            return sync_texts(to, client, modes)
        answered: list[str] = asyncio.run(async_texts(to, client, modes))
        return answered

    return texts


# The end of a stream


def _chunked(*parts: bytes) -> bytes:
    return b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in parts)


EVENTS = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"


@pytest.mark.usefixtures("slow_drain")
@pytest.mark.parametrize("segments", ["one", "two"])
def test_a_complete_stream_releases_its_connection(
    server: Loopback, texts_of: Texts, client_kind: str, segments: str
) -> None:
    server.usual = Reply(raw=EVENTS + _chunked(*STREAM) + b"0\r\n\r\n") if segments == "one" else streamed()
    assert texts_of(connect(server), client_kind, "sss") == [TEXT] * 3
    assert server.accepted == 1


@pytest.mark.parametrize("end", ["stall", "reset", "cut", "pings"])
def test_nothing_is_read_after_the_end_marker(server: Loopback, texts_of: Texts, client_kind: str, end: Any) -> None:
    server.usual = streamed(*STREAM, again=PING) if end == "pings" else streamed(*STREAM, end=end)
    begun = time.monotonic()
    assert texts_of(connect(server, stream_idle_timeout=LONG), client_kind, "ss") == [TEXT] * 2
    assert time.monotonic() - begun < LONG / 2
    assert server.until(lambda: server.open <= 1)
    assert len(server.seen) == 2


# Progress


@pytest.mark.parametrize("sign", [PING, b"\n", b": x", b" "], ids=["comment", "newline", "half a comment", "blank"])
@pytest.mark.parametrize("before", [(), (piece("Hello"),)], ids=["before the first words", "after them"])
def test_keep_alives_are_no_progress_of_a_stream(
    server: Loopback, texts_of: Texts, client_kind: str, sign: bytes, before: Any
) -> None:
    if sign == b": x":
        sign = b":" + b"x" * 30
        server.usual = streamed(*before, b"\n" * bool(before) + sign, again=b"\n" + sign)
    else:
        server.usual = streamed(*before, sign, again=sign)
    with pytest.raises(TimeoutFault, match=r"0\.3 s, set by stream_idle_timeout=") as caught:
        texts_of(connect(server, stream_idle_timeout=0.3, max_retries=0), client_kind, "s")
    assert caught.value.requests_sent == 1
    assert server.until(lambda: server.open == 0)


@pytest.mark.parametrize("status", [200, 500])
def test_blanks_are_no_progress_of_a_whole_response(
    server: Loopback, texts_of: Texts, client_kind: str, status: int
) -> None:
    server.usual = Reply([b" "], status=status, again=b"\n")
    with pytest.raises(GatewayError) as caught:
        texts_of(connect(server, timeout=0.3 if status == 200 else STALL, max_retries=0), client_kind, "w")
    if status == 500:
        assert isinstance(caught.value, ApiError)
        assert caught.value.status == 500
    else:
        assert isinstance(caught.value, TimeoutFault)
        assert "0.3 s, set by timeout=" in caught.value.message


def test_blanks_before_a_whole_response_are_ignored(server: Loopback, texts_of: Texts, client_kind: str) -> None:
    server.usual = Reply([b" ", b"\n", b"\r\n", WHOLE[:9], WHOLE[9:]])
    assert texts_of(connect(server), client_kind, "ww") == [TEXT] * 2
    assert server.accepted == 1


def test_text_between_keep_alives_is_progress(server: Loopback, texts_of: Texts, client_kind: str) -> None:
    parts = [part for word in "abcdefghij" for part in (piece(word), PING, PING)]
    server.usual = streamed(*parts, piece("", "stop"), b"data: [DONE]\n\n")
    assert texts_of(connect(server, stream_idle_timeout=LONG), client_kind, "s") == ["abcdefghij"]


# Limits


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bodies, "MAX_BYTES", 100_000)
    monkeypatch.setattr(bodies, "MAX_ERROR_BYTES", 10_000)


@pytest.mark.usefixtures("small")
def test_an_endless_body_is_limited(server: Loopback, texts_of: Texts, client_kind: str) -> None:
    server.usual = Reply([b"{"], again=b'"' + b"x" * 5000 + b'"', pause=0)
    with pytest.raises(ProtocolError, match="larger"):
        texts_of(connect(server, timeout=LONG, max_retries=0), client_kind, "w")
    assert server.until(lambda: server.open == 0)


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("mode", ["w", "s"])
def test_an_endless_error_body_raises_the_error_of_its_status(
    server: Loopback, texts_of: Texts, client_kind: str, mode: str
) -> None:
    server.usual = Reply([b"no "], status=401, again=b"x" * 5000, pause=0)
    with pytest.raises(AuthError):
        texts_of(connect(server, timeout=LONG, max_retries=0), client_kind, mode)
    assert server.until(lambda: server.open == 0)


@pytest.mark.parametrize("end", ["stall", "cut", "reset"])
def test_a_truncated_error_body_raises_the_error_of_its_status(
    server: Loopback, texts_of: Texts, client_kind: str, end: Any
) -> None:
    server.usual = Reply([b'{"error": {"message": "who'], status=401, end=end)
    with pytest.raises(AuthError):
        texts_of(connect(server, timeout=STALL if end == "stall" else LONG), client_kind, "w")


def test_the_duration_of_a_body_is_limited(
    server: Loopback, texts_of: Texts, client_kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bodies, "MAX_TIMEOUTS", 0.001)
    server.usual = Reply([b"{"], again=b"x")
    with pytest.raises(TimeoutFault, match=r"did not end .* 600 s, set by timeout="):
        texts_of(connect(server, timeout=LONG, max_retries=0), client_kind, "w")
    assert server.until(lambda: server.open == 0)


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("encoding", ["gzip", "deflate"])
def test_a_compressed_body_is_limited_by_its_decompressed_size(
    server: Loopback, texts_of: Texts, client_kind: str, encoding: str
) -> None:
    squeeze = gzip.compress if encoding == "gzip" else zlib.compress
    server.usual = Reply([squeeze(b" " * 10_000_000)], headers=JSON | {"content-encoding": encoding})
    with pytest.raises(ProtocolError, match="larger"):
        texts_of(connect(server, max_retries=0), client_kind, "w")


def test_gzip_in_place_of_deflate_is_decompressed() -> None:
    assert b"".join(Inflater("deflate").feed(gzip.compress(b"text"))) == b"text"


def test_a_blank_piece_of_a_body_is_no_progress() -> None:
    body = bodies.WholeBody(HttpRequest("POST", "https://example.org", [], b"", Timeouts()), is_error=False)
    idle: list[bool] = []
    for part in (b" \n", b'{"a":', b" ", b"", b"1}"):
        body.add(part)
        idle.append(body.idle)
    assert idle == [True, False, True, True, False]


def test_decompression_yields_small_pieces() -> None:
    pieces = list(Inflater().feed(gzip.compress(b"x" * 5_000_000)))
    assert b"".join(pieces) == b"x" * 5_000_000
    assert max(map(len, pieces)) <= 1024 * 1024


BARE = zlib.compress(WHOLE)[2:-4]


@pytest.mark.parametrize(
    ("encoding", "body"),
    [
        ("GZIP", gzip.compress(WHOLE)),
        ("x-gzip", gzip.compress(WHOLE)),
        ("gzip", gzip.compress(WHOLE[:40]) + gzip.compress(WHOLE[40:])),
        ("gzip", gzip.compress(WHOLE) + b"\0" * 1000),
        ("deflate", zlib.compress(WHOLE)),
        ("deflate", BARE),
    ],
    ids=["capitals", "x-gzip", "two parts", "padded", "deflate", "without a header"],
)
def test_forms_of_compression(server: Loopback, texts_of: Texts, client_kind: str, encoding: str, body: bytes) -> None:
    for pieces in ([body], [body[at : at + 7] for at in range(0, len(body), 7)]):
        server.script.append(Reply(pieces, headers=JSON | {"content-encoding": encoding}))
        assert texts_of(connect(server, max_retries=0), client_kind, "w") == [TEXT]


def test_a_body_that_is_not_compressed_as_its_headers_say(server: Loopback, texts_of: Texts, client_kind: str) -> None:
    server.usual = Reply([WHOLE], headers=JSON | {"content-encoding": "gzip"})
    with pytest.raises(ProtocolError, match="decompressed"):
        texts_of(connect(server, max_retries=0), client_kind, "w")


# What follows an answer


EVIL = json.dumps(
    {"id": "c2", "choices": [{"index": 0, "message": {"role": "assistant", "content": "not yours"}}]}
).encode()


@pytest.mark.parametrize("kind", ["whole", "compressed", "stream"])
def test_bytes_after_a_response_are_not_read_as_the_next_one(
    server: Loopback, texts_of: Texts, client_kind: str, kind: str
) -> None:
    after = exact(EVIL, "content-type: application/json").raw
    match kind:
        case "whole":
            server.usual = exact(WHOLE, "content-type: application/json", after=after)
        case "compressed":
            server.usual = exact(gzip.compress(WHOLE), "content-encoding: gzip", after=after)
        case _:
            server.usual = Reply(raw=EVENTS + _chunked(*STREAM) + b"0\r\n\r\n" + after)
    assert texts_of(connect(server, max_retries=0), client_kind, "sss" if kind == "stream" else "www") == [TEXT] * 3
    assert server.accepted == 3


# A client whose hooks do more than look


def _reading(response: Any) -> None:
    response.read()


async def _areading(response: Any) -> None:
    await response.aread()


def _raising(response: Any) -> None:
    response.raise_for_status()


async def _araising(response: Any) -> None:
    response.raise_for_status()


def _hooks(driver: Driver, hook: Any, ahook: Any) -> Any:
    return {"response": [hook if driver.name == "sync" else ahook]}


@pytest.mark.parametrize("library", ["httpx", "httpx2"])
@pytest.mark.parametrize("form", ["plain", "compressed"])
def test_a_hook_may_read_the_response(server: Loopback, driver: Driver, library: str, form: str) -> None:
    client = _library(library, driver, event_hooks=_hooks(driver, _reading, _areading))
    to = connect(server, timeout=LONG, stream_idle_timeout=LONG)
    server.usual = zipped(Reply()) if form == "compressed" else Reply()
    assert driver.chat(to, client=client)[0].turn.text == TEXT
    client = _library(library, driver, event_hooks=_hooks(driver, _reading, _areading))
    server.usual = zipped(streamed()) if form == "compressed" else streamed()
    assert fold("chat_completions", driver.events(to, client=client)).turn.text == TEXT
    assert len(server.seen) == 2


@pytest.mark.parametrize("library", ["httpx", "httpx2"])
@pytest.mark.parametrize("mode", ["chat", "events"])
def test_a_hook_that_raises_for_the_status_does_not_change_the_error(
    server: Loopback, driver: Driver, library: str, mode: str, pauses: list[float]
) -> None:
    server.script.append(Reply([b"{}"], status=429))
    server.script.append(Reply([b"{}"], status=429))
    server.usual = Reply([b"{}"], status=401)
    client = _library(library, driver, event_hooks=_hooks(driver, _raising, _araising))
    with pytest.raises(RateLimited):
        getattr(driver, mode)(connect(server, max_retries=0), client=client)
    client = _library(library, driver, event_hooks=_hooks(driver, _raising, _araising))
    with pytest.raises(AuthError) as caught:
        getattr(driver, mode)(connect(server), client=client)
    assert caught.value.requests_sent == 2


# What goes wrong around HTTP


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> Any:
    pool.close_all()
    pool.tls.cache_clear()
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    yield monkeypatch
    pool.close_all()
    pool.tls.cache_clear()


@pytest.mark.parametrize("variable", ["HTTP_PROXY", "https_proxy", "ALL_PROXY"])
@pytest.mark.parametrize(
    "value", ["socks5://user:hush@127.0.0.1:1", "gopher://hush@x:1", "http://x:hush", "socks4://x"]
)
def test_the_error_of_an_unusable_proxy_names_its_variable(
    server: Loopback, driver: Driver, environment: Any, variable: str, value: str
) -> None:
    environment.setenv(variable, value)
    with pytest.raises(ConfigError, match=variable) as caught:
        driver.chat(connect(server))
    assert caught.value.field == variable
    assert "hush" not in str(caught.value)
    assert caught.value.requests_sent == 0


@pytest.mark.parametrize("variable", ["SSL_CERT_FILE", "SSL_CERT_DIR"])
def test_the_error_of_missing_certificates_names_their_variable(
    driver: Driver, environment: Any, variable: str, server: Loopback, tmp_path: Any
) -> None:
    environment.delenv("SSL_CERT_FILE", raising=False)
    environment.setenv(variable, str(tmp_path / "missing"))
    server_url = server.base_url.replace("http://", "https://")
    with pytest.raises(ConfigError, match=variable) as caught:
        driver.chat(connect(server, base=server_url))
    assert caught.value.field == variable


def test_the_error_of_a_failed_connection_names_the_host(server: Loopback, texts_of: Texts, client_kind: str) -> None:
    to = connect(server, max_retries=0)
    server.stop()
    with pytest.raises(ConnectFault, match=r"127\.0\.0\.1"):
        texts_of(to, client_kind, "w")


@pytest.mark.parametrize(
    ("arguments", "argument"), [({"timeout": 0.2}, "timeout="), ({"timeout": (LONG, 0.2)}, "timeout=")]
)
def test_a_timeout_names_its_seconds_and_its_argument(
    server: Loopback, texts_of: Texts, client_kind: str, arguments: Any, argument: str
) -> None:
    server.usual = Reply(silent=True, end="stall")
    with pytest.raises(TimeoutFault, match=rf"127\.0\.0\.1 sent nothing .* 0\.2 s, set by {argument}"):
        texts_of(connect(server, max_retries=0, **arguments), client_kind, "w")


def test_a_redirect_shows_its_location(server: Loopback, texts_of: Texts, client_kind: str) -> None:
    server.usual = Reply([b""], status=307, headers={"location": "https://elsewhere.example/x"})
    with pytest.raises(ApiError) as caught:
        texts_of(connect(server, max_retries=0), client_kind, "w", follow_redirects=True)
    assert caught.value.headers["location"] == "https://elsewhere.example/x"
    assert len(server.seen) == 1


def test_the_error_under_another_event_loop_has_a_remedy(server: Loopback) -> None:
    call = AsyncClient(connect(server)).chat(REQUEST)
    with pytest.raises(ConfigError, match="http_async_client"):
        call.send(None)  # as trio would


def test_no_frame_that_sends_shows_the_token(server: Loopback, driver: Driver) -> None:
    to = connect(server, max_retries=0)
    server.stop()
    with pytest.raises(ConnectFault) as caught:
        driver.chat(to)
    shown: list[str] = []
    error: BaseException | None = caught.value
    while error is not None:
        trace = error.__traceback__
        while trace is not None:
            if "cfaig_integrations/client/" in trace.tb_frame.f_code.co_filename:
                shown += [
                    f"{trace.tb_frame.f_code.co_qualname}: {value!r}" for value in trace.tb_frame.f_locals.values()
                ]
            trace = trace.tb_next
        error = error.__cause__
    assert shown
    assert not [each for each in shown if "Bearer" in each and "HttpRequest(" not in each]


def test_an_invalid_header_is_not_quoted(server: Loopback, driver: Driver) -> None:
    to = connect(server, api_token=lambda: "tok hush\x01")
    with pytest.raises(GatewayError) as caught:
        driver.chat(to)
    assert "hush" not in "".join(traceback.format_exception(caught.value))


def test_a_stream_truncated_within_an_event_is_broken(server: Loopback, texts_of: Texts, client_kind: str) -> None:
    server.usual = Reply([b"".join(STREAM[:1])], headers=SSE, end="cut")
    with pytest.raises(StreamBroken) as caught:
        texts_of(connect(server), client_kind, "s")
    assert caught.value.partial == "Hello"


def _read_by_h11(data: bytes, cuts: list[int], *, joined: bool) -> tuple[list[bytes], str]:
    """The pieces of a chunked body that arrives in parts, and the type of the event or error at its end."""
    connection = h11.Connection(h11.CLIENT)
    connection.send(h11.Request(method="GET", target="/", headers=[("host", "h")]))
    connection.send(h11.EndOfMessage())
    connection.receive_data(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
    connection.next_event()
    if joined:
        stream: Any = SimpleNamespace(_stream=SimpleNamespace(_h11_state=connection))
        response: Any = SimpleNamespace(stream=stream)
        bodies.join_chunks(response)
    pieces: list[bytes] = []
    edges = [0, *sorted(cut % (len(data) + 1) for cut in cuts), len(data)]
    for part in (*(data[start:end] for start, end in itertools.pairwise(edges) if end > start), b""):
        connection.receive_data(part)
        while True:
            try:
                event = connection.next_event()
            except h11.RemoteProtocolError:
                return pieces, "error"
            if not isinstance(event, h11.Data):
                break
            pieces.append(bytes(event.data))
        if event is not h11.NEED_DATA:
            return pieces, type(event).__name__
    return pieces, "open"


_CHUNK = st.one_of(
    st.binary(min_size=1, max_size=40).map(lambda data: b"%x\r\n%b\r\n" % (len(data), data)),
    st.sampled_from(
        [b"3;extension=1\r\nabc\r\n", b"003\r\n\r\n3\r\n", b"2\r\nabX\r\n", b"x\r\n", b"ffffffffff\r\na", b"\r\n"]
    ),
)


@given(
    chunks=st.lists(_CHUNK, max_size=8),
    end=st.sampled_from([b"0\r\n\r\n", b"0\r\na: b\r\n\r\n", b""]),
    cuts=st.lists(st.integers(0, 400), max_size=4),
)
def test_joined_chunks_are_what_h11_reads(chunks: list[bytes], end: bytes, cuts: list[int]) -> None:
    data = b"".join(chunks) + end
    expected, joined = (_read_by_h11(data, cuts, joined=join) for join in (False, True))
    assert b"".join(joined[0]) == b"".join(expected[0])
    assert joined[1] == expected[1]
    assert len(joined[0]) <= len(expected[0])


def test_chunks_that_arrive_together_are_read_as_one() -> None:
    data = b"".join(b"5\r\nhello\r\n" for _ in range(1000)) + b"0\r\n\r\n"
    assert _read_by_h11(data, [], joined=True) == ([b"hello" * 1000], "EndOfMessage")


def test_a_whole_body_is_collected_without_a_second_copy() -> None:
    length = 20_000_000
    body = bodies.WholeBody(HttpRequest("POST", "http://host", [], b"", Timeouts()), is_error=False)
    tracemalloc.start()
    try:
        for _ in range(length // 100_000):
            body.add(bytes(100_000))
        assert len(body.bytes()) == length
        assert tracemalloc.get_traced_memory()[1] < 1.3 * length
    finally:
        tracemalloc.stop()
