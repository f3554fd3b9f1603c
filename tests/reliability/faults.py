"""The table of faults: what the server writes for each way to call, and what the call must make of it."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, Literal, cast

from tests.client.loopback import Reply
from tests.reliability import FULL
from tests.reliability.bodies import OVERLOADED, STREAMS, WHOLE, Wire, event, until_visible
from tests.reliability.calls import Way

LOG = "log-7"
SHORT = 0.2
"""Timeout in seconds of cells whose server never goes on."""


@dataclass(frozen=True)
class Expected:
    """What a call leads to.

    Attributes:
        error: Name of the exception, or names where it depends on the format; empty: the complete answer.
        requests: Number of requests that the server receives.
        billed: `maybe_billed` of the error.
        status: `status` of the error.
        logged: Whether the error has the log id of each response.
        kept: Whether the connection can be used again; if not, it is closed.
        partial: Whether the text before the fault was delivered.
    """

    error: str = ""
    requests: int = 1
    billed: bool = False
    status: int | None = None
    logged: bool = False
    kept: bool = False
    partial: bool = False


COMPLETE = Expected(kept=True)
CLOSED = Expected()
LOST = Expected("ConnectFault", billed=True)
"""The connection broke after the request was sent."""
LOST_LATER = replace(LOST, logged=True)
"""The same, after the head of the response."""
LATE = Expected("TimeoutFault", billed=True)
LATE_BODY = replace(LATE, logged=True)
TRUNCATED = Expected("ProtocolError", billed=True, logged=True)
UNREADABLE = replace(TRUNCATED, kept=True)
"""A whole body that came to its end."""
ENDED = Expected("StreamBroken", billed=True, logged=True, kept=True)
"""A stream that came to its end, but not to its end marker."""
ENDED_LATER = replace(ENDED, partial=True)
BROKEN_LATER = replace(ENDED_LATER, kept=False)


@dataclass(frozen=True)
class Fault:
    """A fault.

    Attributes:
        reply: The server's response.
        whole: What a whole call leads to; None: it does not apply.
        stream: The same for a streamed call.
        arguments: Arguments of the constructor.
    """

    name: str
    reply: Callable[[Way], Reply]
    whole: Expected | None
    stream: Expected | None
    arguments: dict[str, Any] = field(default_factory=dict)

    def expected(self, way: Way) -> Expected | None:
        """What a call leads to."""
        return self.stream if way.stream else self.whole

    def __str__(self) -> str:
        return self.name


def head(*lines: str, status: str = "200 OK", version: str = "1.1", log: bool = True) -> bytes:
    """The head of a response."""
    more = (f"cf-aig-log-id: {LOG}",) if log else ()
    return "\r\n".join([f"HTTP/{version} {status}", *more, *lines, "", ""]).encode()


def body(way: Way) -> bytes:
    """The body of the answer."""
    return b"".join(STREAMS[_wire(way)]) if way.stream else WHOLE[way.format]


def before(way: Way) -> bytes:
    """The start of the body, in which nothing is visible."""
    if not way.stream:
        return WHOLE[way.format][:20]
    return b"".join(STREAMS[_wire(way)][: until_visible(_wire(way)) - 1]) or b": wait\n\n"


def half(way: Way) -> bytes:
    """The start of the body; of a stream up to the first part of the text."""
    return b"".join(STREAMS[_wire(way)][: until_visible(_wire(way))]) if way.stream else WHOLE[way.format][:40]


def _wire(way: Way) -> Wire:
    return cast("Wire", way.format)


def _type(way: Way) -> str:
    return "content-type: " + ("text/event-stream" if way.stream else "application/json")


def sized(data: bytes, *lines: str, **more: Any) -> Reply:
    """A response with a content length."""
    return Reply(raw=head(*lines, f"content-length: {len(data)}", **more) + data)


def chunked(way: Way, data: bytes, *lines: str, end: Literal["keep", "cut", "reset", "stall"] = "keep") -> Reply:
    """A chunked response; complete if its connection is kept."""
    raw = head(_type(way), *lines, "transfer-encoding: chunked") + b"%x\r\n%s\r\n" % (len(data), data)
    return Reply(raw=raw + (b"0\r\n\r\n" if end == "keep" else b""), end=end)


def _raw(data: bytes, end: Literal["keep", "cut", "reset", "stall"] = "cut") -> Callable[[Way], Reply]:
    return lambda _: Reply(raw=data, end=end)


def _status(status: str, data: object = None, *lines: str) -> Callable[[Way], Reply]:
    text = data if isinstance(data, bytes) else json.dumps(data or {"error": {"message": "no"}}).encode()
    return lambda _: sized(text, *lines, status=status)


def _failed(error: str, status: int, requests: int = 1, *, billed: bool = False) -> Expected:
    return Expected(error, requests, billed=billed, status=status, logged=True, kept=True)


def _http(name: str, status: str, error: str, requests: int = 1, **more: Any) -> Fault:
    return _both(name, _status(status), _failed(error, int(status.split()[0]), requests, **more))


def _both(name: str, reply: Callable[[Way], Reply], expected: Expected = COMPLETE, **arguments: Any) -> Fault:
    """A fault that leads whole and streamed calls to the same."""
    return Fault(name, reply, expected, expected, arguments)


def _zipped(way: Way) -> bytes:
    return gzip.compress(body(way))


def _counted(way: Way, number: bytes) -> bytes:
    """The body of the answer with another number of tokens, where it has one."""
    return body(way).replace(b'_tokens": 1', b'_tokens": ' + number)


def _inserted(way: Way, data: bytes) -> bytes:
    """A stream with more behind the first part of the text."""
    return half(way) + data + body(way)[len(half(way)) :]


def envelope(code: int, message: str = "no") -> dict[str, Any]:
    """Cloudflare's body of an error."""
    return {"success": False, "errors": [{"code": code, "message": message}], "result": None, "messages": []}


HTML = b"<!doctype html><html><head><title>Sign in</title></head></html>"
_OK = head("content-type: application/json", "content-length: 100")
_STREAM_LIMIT = {"timeout": SHORT, "stream_idle_timeout": SHORT}

BEFORE_THE_HEAD = (
    _both("reset before the head", lambda _: Reply(silent=True, end="reset"), LOST),
    _both("closed before the head", lambda _: Reply(silent=True, end="cut"), LOST),
    _both("closed in the status line", _raw(b"HTTP/1.1 2", "cut"), LOST),
    _both("reset in the head", _raw(head(log=False)[:-2], "reset"), LOST),
    _both("no first byte", lambda _: Reply(silent=True, end="stall"), LATE, **_STREAM_LIMIT),
    _both("a slow first byte", lambda way: replace(sized(body(way)), wait=0.05)),
    _both("not HTTP", _raw(b"hello\r\n\r\n", "cut"), LOST),
    _both("a head of 300 kB", _raw(head(f"x-long: {'x' * 300_000}"), "cut"), LOST),
    _both("two content lengths", _raw(head("content-length: 5", "content-length: 6") + b"hello"), LOST),
    _both("a negative content length", _raw(head("content-length: -5") + b"hello"), LOST),
)
IN_THE_BODY = (
    _both("reset after the head", _raw(_OK, "reset"), LOST_LATER),
    _both("closed after the head", _raw(_OK, "cut"), LOST_LATER),
    _both("stall after the head", _raw(_OK, "stall"), LATE_BODY, **_STREAM_LIMIT),
    _both("reset before the text", lambda way: chunked(way, before(way), end="reset"), LOST_LATER),
    _both("closed before the text", lambda way: chunked(way, before(way), end="cut"), LOST_LATER),
    Fault("a stream that ends before the text", lambda way: chunked(way, before(way)), None, ENDED),
    Fault("reset after some text", lambda way: chunked(way, half(way), end="reset"), LOST_LATER, BROKEN_LATER),
    Fault("closed after some text", lambda way: chunked(way, half(way), end="cut"), LOST_LATER, BROKEN_LATER),
    Fault("ends after some text", lambda way: chunked(way, half(way)), UNREADABLE, ENDED_LATER),
    _both("stalls after some text", lambda way: chunked(way, half(way), end="stall"), LATE_BODY, **_STREAM_LIMIT),
    _both(
        "only pings",
        lambda way: Reply(pieces=[], headers={"cf-aig-log-id": LOG}, again=b": ping\n\n" if way.stream else b"  \n"),
        LATE_BODY,
        **_STREAM_LIMIT,
    ),
    _both(
        "an invalid chunk size",
        lambda way: Reply(raw=head("transfer-encoding: chunked") + b"zz\r\n" + body(way), end="cut"),
        LOST_LATER,
    ),
    Fault(
        "a body that is too short",
        lambda way: Reply(raw=head(f"content-length: {len(body(way)) + 9}") + body(way), end="cut"),
        LOST_LATER,
        CLOSED,
    ),
    Fault(
        "a content length that is too short",
        lambda way: Reply(raw=head(f"content-length: {len(half(way))}") + body(way)),
        TRUNCATED,
        BROKEN_LATER,
    ),
    _both("HTTP/1.0, complete", lambda way: Reply(raw=head(version="1.0") + body(way), end="cut"), CLOSED),
    Fault(
        "HTTP/1.0, closed in the body",
        lambda way: Reply(raw=head(version="1.0") + half(way), end="cut"),
        TRUNCATED,
        BROKEN_LATER,
    ),
    Fault("silence after the end", lambda way: chunked(way, body(way), end="stall"), None, CLOSED),
    Fault("reset after the end", lambda way: chunked(way, body(way), end="reset"), None, CLOSED),
)
COMPRESSION = (
    _both("gzip", lambda way: sized(_zipped(way), "content-encoding: gzip")),
    Fault(
        "truncated gzip",
        lambda way: sized(_zipped(way)[: len(_zipped(way)) // 2], "content-encoding: gzip"),
        UNREADABLE,
        ENDED,
    ),
    _both("gzip that is none", lambda way: sized(body(way), "content-encoding: gzip"), TRUNCATED),
    Fault("an unknown encoding", lambda way: sized(b"\x8b\x03\x80" * 30, "content-encoding: x-own"), UNREADABLE, ENDED),
)
TYPES = (
    _both("no content type", lambda way: sized(body(way))),
    _both(
        "the other content type",
        lambda way: sized(body(way), "content-type: " + ("application/json" if way.stream else "text/event-stream")),
    ),
    _both("text/plain", lambda way: sized(body(way), "content-type: text/plain")),
    Fault(
        "a document in place of a stream",
        lambda way: sized(WHOLE[way.format], "content-type: application/json"),
        None,
        COMPLETE,
    ),
    _both("a login page", _status("200 OK", HTML), replace(UNREADABLE, billed=False)),
    Fault("an empty body", _status("200 OK", b""), UNREADABLE, ENDED),
    Fault("204", _raw(head(status="204 No Content"), "keep"), UNREADABLE, ENDED),
    _both(
        "early hints", lambda way: Reply(raw=b"HTTP/1.1 103 Early Hints\r\nlink: <a>\r\n\r\n" + sized(body(way)).raw)
    ),
    _both("continue", lambda way: Reply(raw=b"HTTP/1.1 100 Continue\r\n\r\n" * 3 + sized(body(way)).raw)),
    _both(
        "switching protocols",
        _raw(b"HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n"),
        LOST,
    ),
)
JSON = (
    Fault("invalid JSON", lambda way: sized(event("{]") if way.stream else b"{]"), UNREADABLE, ENDED),
    Fault("null", lambda way: sized(event("null") if way.stream else b"null"), UNREADABLE, ENDED),
    Fault("a number", lambda way: sized(event("1") if way.stream else b"1"), UNREADABLE, ENDED),
    Fault("an empty object", lambda way: sized(event("{}") if way.stream else b"{}"), UNREADABLE, ENDED),
    Fault(
        "100,000 brackets", lambda way: sized(event("[" * 100_000) if way.stream else b"[" * 100_000), UNREADABLE, ENDED
    ),
    Fault(
        "invalid JSON within the text",
        lambda way: sized(half(way) + event("{]") + body(way)[len(half(way)) :]),
        None,
        replace(TRUNCATED, partial=True),
    ),
    _both("a byte order mark", lambda way: sized(b"\xef\xbb\xbf" + body(way))),
    _both("blanks before the body", lambda way: sized(b" \r\n\n" * 50 + body(way))),
    Fault("lines that end with CR LF", lambda way: sized(body(way).replace(b"\n", b"\r\n")), None, COMPLETE),
    Fault("comments between events", lambda way: sized(body(way).replace(b"\n\n", b"\n\n: ping\n\n")), None, COMPLETE),
)
ERRORS = (
    *[_http(f"redirect {status}", status, "ApiError") for status in ("301 Moved", "302 Found", "307 T", "308 P")],
    _http("a redirect without target", "303 See Other", "ApiError"),
    _http("400", "400 Bad", "InvalidRequest"),
    _http("401", "401 No", "AuthError"),
    _http("402", "402 Pay", "PaymentRequired"),
    _http("403", "403 No", "PermissionDenied"),
    _http("404", "404 No", "NotFound"),
    _http("408", "408 Late", "InvalidRequest", 3),
    _http("409", "409 Conflict", "InvalidRequest", billed=True),
    _http("429", "429 Slow", "RateLimited", 3),
    *[_http(str(status), f"{status} Oops", "ServerFault", 3) for status in (500, 502, 503, 520, 522, 529)],
    *[_http(str(status), f"{status} Late", "ServerFault", billed=True) for status in (504, 524)],
    _both("a page with 502", _status("502 Bad", HTML), _failed("ServerFault", 502, 3)),
    _both("a page with 524", _status("524 Late", HTML), _failed("ServerFault", 524, billed=True)),
    _both("Retry-After of an hour", _status("429 Slow", None, "retry-after: 3600"), _failed("RateLimited", 429)),
    _both("Retry-After of a second", _status("503 Busy", None, "retry-after: 1"), _failed("ServerFault", 503, 3)),
    _both("no such model, with 200", _status("200 OK", envelope(5007)), _failed("NotFound", 200)),
    _both("out of capacity, with 200", _status("200 OK", envelope(3040)), _failed("RateLimited", 200, 3)),
    _both(
        "the body of an error is cut",
        _raw(head("content-length: 99", status="503 Busy") + b'{"err'),
        Expected("ServerFault", 3, False, 503, True, False),
    ),
    Fault(
        "an error event before the text",
        lambda way: sized(before(way) + OVERLOADED[_wire(way)]),
        None,
        Expected("ServerFault RateLimited", 3, status=200, logged=True),
    ),
    Fault(
        "an error event after some text",
        lambda way: sized(half(way) + OVERLOADED[_wire(way)]),
        None,
        Expected("ServerFault RateLimited", billed=True, status=200, logged=True, partial=True),
    ),
)
UNUSUAL = (
    _both("HTTP/2", _raw(b"\0\0\x06\x04\0\0\0\0\0\0\x04\0\xff\xff\xff", "cut"), LOST),
    _both("a compressed transfer", _raw(head("transfer-encoding: gzip, chunked") + b"0\r\n\r\n"), LOST),
    Fault(
        "an invalid trailer",
        lambda way: Reply(raw=chunked(way, body(way)).raw[:-2] + b"x y: z\r\n\r\n", end="cut"),
        LOST_LATER,
        CLOSED,
    ),
    _both("trailers", lambda way: Reply(raw=chunked(way, body(way)).raw[:-2] + b"cf-aig-log-id: other\r\n\r\n")),
    _both("the connection is to be closed", lambda way: sized(body(way), "connection: close"), CLOSED),
    _both("two content types", lambda way: sized(body(way), "content-type: text/html", _type(way))),
    _both("a length beside chunks", lambda way: chunked(way, body(way), "content-length: 5")),
    _both("gzip in two members", lambda way: sized(_zipped(way) + gzip.compress(b"\n\n"), "content-encoding: gzip")),
    _both(
        "gzip with a wrong checksum",
        lambda way: sized(_zipped(way)[:-8] + bytes(8), "content-encoding: gzip"),
        TRUNCATED,
    ),
    Fault("UTF-16", lambda way: sized(body(way).decode().encode("utf-16")), UNREADABLE, ENDED),
    Fault("lines that end with CR", lambda way: sized(body(way).replace(b"\n", b"\r")), None, COMPLETE),
    Fault(
        "ids, retry times and unknown fields",
        lambda way: sized(body(way).replace(b"data:", b"id: 7\nretry: 9\nx: y\ndata:")),
        None,
        COMPLETE,
    ),
    Fault("NUL between events", lambda way: sized(_inserted(way, b"\0\n\n")), None, COMPLETE),
    Fault(
        "byte-order marks, NULs and blanks before lines",
        lambda way: sized(body(way).replace(b"data:", b"\xef\xbb\xbf\0 data:")),
        None,
        COMPLETE,
    ),
    Fault("a comment of 1 MB", lambda way: sized(_inserted(way, b": " + b"x" * 2**20 + b"\n\n")), None, COMPLETE),
    Fault(
        "an event of 20 MB",
        lambda way: sized(_inserted(way, event({"x": "y" * (20_000_000 if FULL else 200_000)}))),
        None,
        COMPLETE,
    ),
    _both("a number of 5,000 digits", lambda way: sized(_counted(way, b"9" * 5000))),
    _both("a number of tokens that is none", lambda way: sized(_counted(way, b"NaN"))),
    _both("a key twice", lambda way: sized(body(way).replace(b'{"', b'{"id": "x", "', 1))),
)
"""Further faults, and responses that HTTP, server-sent events or JSON allow and servers seldom write."""
FAULTS = (*BEFORE_THE_HEAD, *IN_THE_BODY, *COMPRESSION, *TYPES, *JSON, *ERRORS, *UNUSUAL)
