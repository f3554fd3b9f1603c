"""Runs conversations with blocking calls.

Knows how to send, sleep and read; what to send, and whether again, is `gateway.exchange`'s. Its twin is `aio`, which
differs by `await`.
"""

from __future__ import annotations

import inspect
import time
from collections.abc import Generator, Iterator
from contextlib import suppress
from time import monotonic
from types import TracebackType
from typing import Self, TypeVar, assert_never, cast

import httpx

from cfaig_integrations.client.bodies import (
    AFTER_THE_END,
    MOST_BYTES,
    MOST_ERROR_BYTES,
    Inflater,
    Whole,
    already_read,
    close_if_bytes_are_left,
    within,
)
from cfaig_integrations.client.senders import Pooled, Sender, UserClient, lower_case
from cfaig_integrations.client.transport_errors import idle_timeout, token_faults, transport_error
from cfaig_integrations.core.chat import ChatReply, ChatRequest
from cfaig_integrations.core.events import Event, Started
from cfaig_integrations.core.vectors import EmbedReply, EmbedRequest, RerankReply, RerankRequest
from cfaig_integrations.errors import GatewayError
from cfaig_integrations.gateway import exchange, vectors
from cfaig_integrations.gateway.actions import (
    Action,
    AskToken,
    HttpRequest,
    HttpResponse,
    Outcome,
    ReadOn,
    Send,
    Sleep,
    TokenFunction,
    stays_open,
)
from cfaig_integrations.gateway.connection import NO_CALL_OPTIONS, CallOptions, Connection
from cfaig_integrations.gateway.info import GatewayInfo
from cfaig_integrations.gateway.models.embeddings import EmbedApi
from cfaig_integrations.gateway.session import StreamSession
from cfaig_integrations.gateway.settings import Secret, secret_of

_T = TypeVar("_T")
_POOLED = Pooled()


class Client:
    """Calls models over one connection. Making one opens nothing.

    Args:
        connection: Whom to call, and how.
        http_client: Instead of the shared pools, an `httpx.Client` or one of httpx2; never closed.

    Raises:
        ConfigError: `http_client` is neither.
    """

    __slots__ = ("_connection", "_sender")

    def __init__(self, connection: Connection, http_client: object = None) -> None:
        self._connection = connection
        self._sender: Sender = _POOLED if http_client is None else UserClient(http_client)

    def chat(self, request: ChatRequest, call: CallOptions = NO_CALL_OPTIONS) -> tuple[ChatReply, GatewayInfo]:
        """One whole reply, and what the gateway says about it.

        Raises:
            GatewayError: With `requests_sent`.
        """
        return self.run(exchange.chat(self._connection, request, call))

    def stream(self, request: ChatRequest, call: CallOptions = NO_CALL_OPTIONS) -> ChatStream:
        """A stream that has begun: its first piece of the answer is there.

        Raises:
            GatewayError: With `requests_sent`; from here as long as no event was given out, and then from the stream.
        """
        line = _OpenResponse(self._sender)
        try:
            return ChatStream.of(_run(exchange.stream(self._connection, request, call), line), line)
        except BaseException:
            line.close()
            raise

    def embed(
        self, request: EmbedRequest, call: CallOptions = NO_CALL_OPTIONS, *, api: EmbedApi = "auto"
    ) -> tuple[EmbedReply, GatewayInfo]:
        """The vectors of texts, and what the gateway says about the call.

        Raises:
            GatewayError: With `requests_sent`.
        """
        return self.run(vectors.embed(self._connection, request, call, api=api))

    def rank(self, request: RerankRequest, call: CallOptions = NO_CALL_OPTIONS) -> tuple[RerankReply, GatewayInfo]:
        """Passages by how well they answer, and what the gateway says about the call.

        Raises:
            GatewayError: With `requests_sent`.
        """
        return self.run(vectors.rank(self._connection, request, call))

    def run(self, talk: Generator[Action, Outcome, _T]) -> _T:
        """The outcome of any conversation that opens no stream.

        Raises:
            GatewayError: With `requests_sent`.
        """
        line = _OpenResponse(self._sender)
        try:
            return _run(talk, line)
        finally:
            line.close()


class ChatStream:
    """The events of one reply as they come; closes its connection at the end, on error, and when nobody listens.

    Attributes:
        info: What the gateway said in the response's headers.
    """

    __slots__ = ("_events", "info")

    def __init__(self, session: StreamSession, line: _OpenResponse) -> None:
        self.info = session.info
        self._events = _events(session, line)

    @classmethod
    def of(cls, session: StreamSession, line: _OpenResponse) -> ChatStream:
        """A stream that is ready to be read."""
        stream = cls(session, line)
        next(stream._events)  # from here on, dropping the generator closes the line
        return stream

    def __iter__(self) -> Iterator[Event]:
        return self._events

    def __next__(self) -> Event:
        return next(self._events)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Reads no more, and closes the connection unless it can be used again."""
        self._events.close()


def _events(session: StreamSession, line: _OpenResponse) -> Generator[Event, None, None]:
    try:
        yield Started()
        for event in session.waiting:
            yield event
        while not session.ended:
            try:
                chunk = line.read(idle=session.idle, streaming=True)
            except GatewayError as error:
                events = session.lost(error)
            else:
                events = session.close() if chunk is None else session.feed(chunk)
            for event in events:
                yield event
        if session.error is not None:
            raise session.error
        if not session.stopped:
            line.drain()
    finally:
        line.close()


def _run(talk: Generator[Action, Outcome, _T], line: _OpenResponse) -> _T:
    """Runs a conversation to its end."""
    try:
        step = next(talk)
        while True:
            try:
                outcome = line.do(step)
            except GatewayError as error:
                step = talk.throw(error)
            else:
                step = talk.send(outcome)
    except StopIteration as end:
        result: _T = end.value
        return result


class _OpenResponse:
    """One open response at most."""

    __slots__ = ("_call", "_chunks", "_response", "_sender", "_since")

    def __init__(self, sender: Sender) -> None:
        self._sender = sender
        self._response: httpx.Response | None = None
        self._call: HttpRequest | None = None
        self._chunks: Iterator[bytes] = iter(())
        self._since = 0.0

    def do(self, step: Action) -> Outcome:
        match step:
            case Send(call):
                return self._send(call)
            case ReadOn(idle):
                return self.read(idle=idle)
            case Sleep(seconds):
                self.close()
                time.sleep(seconds)
                return None
            case AskToken(source):
                return _token(source)
            case _:
                assert_never(step)

    def _send(self, call: HttpRequest) -> HttpResponse:
        self.close()
        self._call = call
        try:
            response = self._response = self._sender.open(call)
            status, headers = response.status_code, lower_case(response)
            self._chunks = _chunks(response, headers.get("content-encoding", "").lower())
            if stays_open(call, status):
                return HttpResponse(status, headers, None)
            body = self._whole(call, is_error=not 200 <= status < 300)
        except GatewayError:
            self.close()
            raise
        except self._sender.faults as error:
            self.close()
            raise transport_error(error, call) from error
        self.close()
        return HttpResponse(status, headers, body)

    def _whole(self, call: HttpRequest, *, is_error: bool) -> bytes:
        """The body; of an error, what can be had of it, because the status says more than what broke it off."""
        whole = Whole(call, MOST_ERROR_BYTES if is_error else MOST_BYTES)
        try:
            while (part := self.read(idle=whole.idle)) is not None:
                whole.add(part)
        except GatewayError:
            if not is_error:
                raise
        return whole.bytes()

    def read(self, *, idle: bool = False, streaming: bool = False) -> bytes | None:
        """The next bytes, or None at the end.

        Args:
            idle: The bytes before were no progress, and their time counts.
            streaming: Part of the answer has reached the caller.

        Raises:
            GatewayError: They do not come, or not in time.
        """
        call, now = self._call, monotonic()
        if not idle:
            self._since = now
        try:
            if not idle or call is None or call.timeouts.read is None:
                return next(self._chunks, None)
            left = call.timeouts.read - (now - self._since)
            if left <= 0:
                raise idle_timeout(call)
            with within(self._response, left):
                return next(self._chunks, None)
        except GatewayError:
            raise
        except self._sender.faults as error:
            raise transport_error(error, call, streaming=streaming, idle=idle) from error

    def drain(self) -> None:
        """Reads what follows the end marker, if it comes at once, so that the connection can be used again."""
        until = monotonic() + AFTER_THE_END
        with suppress(GatewayError, *self._sender.faults), within(self._response, AFTER_THE_END) as limited:
            while limited and monotonic() < until and next(self._chunks, None) is not None:
                pass

    def close(self) -> None:
        response, self._response = self._response, None
        if response is not None:
            close_if_bytes_are_left(response)
            response.close()


def _chunks(response: httpx.Response, encoding: str) -> Iterator[bytes]:
    """The body as it comes, decompressed; without httpx's layers for it, where they can be left out."""
    body = already_read(response)
    if body is not None:
        return iter((body,))
    stream = cast("httpx.SyncByteStream", response.stream)
    match encoding:
        case "" | "identity":
            return iter(stream)
        case "gzip" | "x-gzip" | "deflate":
            return _inflated(stream, encoding)
        case _:
            return response.iter_bytes()


def _inflated(stream: httpx.SyncByteStream, encoding: str) -> Generator[bytes, None, None]:
    inflater = Inflater(encoding)
    for data in stream:
        yield from inflater.feed(data)


def _token(source: TokenFunction) -> Secret:
    with token_faults():
        token = source()
    if inspect.iscoroutine(token):
        token.close()  # it is refused by who gets it, and must not complain of never being awaited
    return secret_of(token)
