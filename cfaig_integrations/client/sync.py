"""Runs conversations with blocking calls.

Knows how to send, sleep and read; what to send, and whether again, is `gateway.exchange`'s. Its twin is `aio`, which
differs by `await`.
"""

from __future__ import annotations

import inspect
import time
from collections.abc import Generator, Iterator
from contextlib import suppress
from types import TracebackType
from typing import Self, TypeVar, assert_never, cast

import httpx

from cfaig_integrations.client.faults import fault
from cfaig_integrations.client.senders import Borrowed, Pooled, Sender, lower_case
from cfaig_integrations.core.chat import ChatReply, ChatRequest
from cfaig_integrations.core.events import Event, Started
from cfaig_integrations.core.vectors import EmbedReply, EmbedRequest, RerankReply, RerankRequest
from cfaig_integrations.errors import GatewayError
from cfaig_integrations.gateway import exchange, vectors
from cfaig_integrations.gateway.connection import NO_CALL_OPTIONS, CallOptions, Connection
from cfaig_integrations.gateway.info import GatewayInfo
from cfaig_integrations.gateway.session import StreamSession
from cfaig_integrations.gateway.settings import Secret
from cfaig_integrations.gateway.steps import (
    Answer,
    AskableToken,
    AskToken,
    HttpCall,
    Outcome,
    ReadOn,
    Send,
    Sleep,
    Step,
    stays_open,
)
from cfaig_integrations.gateway.vector_routes import EmbedApi

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
        self._sender: Sender = _POOLED if http_client is None else Borrowed(http_client)

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
        line = _Line(self._sender)
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

    def run(self, talk: Generator[Step, Outcome, _T]) -> _T:
        """The outcome of any conversation that opens no stream.

        Raises:
            GatewayError: With `requests_sent`.
        """
        line = _Line(self._sender)
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

    def __init__(self, session: StreamSession, line: _Line) -> None:
        self.info = session.info
        self._events = _events(session, line)

    @classmethod
    def of(cls, session: StreamSession, line: _Line) -> ChatStream:
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


def _events(session: StreamSession, line: _Line) -> Generator[Event, None, None]:
    try:
        yield Started()
        for event in session.waiting:
            yield event
        while not session.ended:
            try:
                chunk = line.read(streaming=True)
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


def _run(talk: Generator[Step, Outcome, _T], line: _Line) -> _T:
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


class _Line:
    """One open response at most."""

    __slots__ = ("_response", "_sender", "chunks", "faults")

    def __init__(self, sender: Sender) -> None:
        self._sender = sender
        self._response: httpx.Response | None = None
        self.faults = sender.faults
        self.chunks: Iterator[bytes] = iter(())

    def do(self, step: Step) -> Outcome:
        match step:
            case Send(call):
                return self._send(call)
            case ReadOn():
                return self.read()
            case Sleep(seconds):
                self.close()
                time.sleep(seconds)
                return None
            case AskToken(source):
                return _token(source)
            case _:
                assert_never(step)

    def _send(self, call: HttpCall) -> Answer:
        self.close()
        try:
            response = self._response = self._sender.open(call)
            status, headers = response.status_code, lower_case(response)
            encoded = "content-encoding" in headers
            if stays_open(call, status):
                self.chunks = response.iter_bytes() if encoded else iter(_raw(response))
                return Answer(status, headers, None)
            body = response.read() if encoded else b"".join(_raw(response))
        except self.faults as error:
            self.close()
            raise fault(error) from error
        self.close()
        return Answer(status, headers, body)

    def drain(self) -> None:
        """Reads what follows the end marker, so that the connection can be used again."""
        with suppress(*self.faults):
            while next(self.chunks, None) is not None:
                pass

    def read(self, *, streaming: bool = False) -> bytes | None:
        try:
            return next(self.chunks, None)
        except self.faults as error:
            raise fault(error, streaming=streaming) from error

    def close(self) -> None:
        response, self._response = self._response, None
        if response is not None:
            response.close()


def _raw(response: httpx.Response) -> httpx.SyncByteStream:
    """A body that is not compressed, without the layers that would decompress it."""
    return cast("httpx.SyncByteStream", response.stream)


def _token(source: AskableToken) -> Secret:
    token = source()
    if inspect.iscoroutine(token):
        token.close()  # it is refused by who gets it, and must not complain of never being awaited
    return Secret(cast("str", token))
