"""Runs conversations without blocking the event loop.

Knows how to send, sleep and read; what to send, and whether again, is `gateway.exchange`'s. Its twin is `sync`, which
differs by the absence of `await`.
"""

from __future__ import annotations

import inspect
from collections.abc import AsyncGenerator, AsyncIterator, Generator
from contextlib import suppress
from time import monotonic
from types import AsyncGeneratorType, TracebackType
from typing import Self, TypeVar, assert_never, cast

import anyio
import httpx

from cfaig_integrations.client.bodies import (
    AFTER_THE_END,
    MOST_BYTES,
    MOST_ERROR_BYTES,
    Inflater,
    Whole,
    already_read,
    close_if_bytes_are_left,
)
from cfaig_integrations.client.cancellation import shielded
from cfaig_integrations.client.senders import AsyncPooled, AsyncSender, AsyncUserClient, lower_case
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
_POOLED = AsyncPooled()


class AsyncClient:
    """Calls models over one connection. Making one opens nothing.

    Args:
        connection: Whom to call, and how.
        http_async_client: Instead of the shared pools, an `httpx.AsyncClient` or one of httpx2; never closed.

    Raises:
        ConfigError: `http_async_client` is neither.
    """

    __slots__ = ("_connection", "_sender")

    def __init__(self, connection: Connection, http_async_client: object = None) -> None:
        self._connection = connection
        self._sender: AsyncSender = _POOLED if http_async_client is None else AsyncUserClient(http_async_client)

    async def chat(self, request: ChatRequest, call: CallOptions = NO_CALL_OPTIONS) -> tuple[ChatReply, GatewayInfo]:
        """One whole reply, and what the gateway says about it.

        Raises:
            GatewayError: With `requests_sent`.
        """
        return await self.run(exchange.chat(self._connection, request, call))

    async def stream(self, request: ChatRequest, call: CallOptions = NO_CALL_OPTIONS) -> AsyncChatStream:
        """A stream that has begun: its first piece of the answer is there.

        Raises:
            GatewayError: With `requests_sent`; from here as long as no event was given out, and then from the stream.
        """
        line = _OpenResponse(self._sender)
        try:
            session = await shielded(_run(exchange.stream(self._connection, request, call), line))
            return await AsyncChatStream.of(session, line)
        except BaseException:
            await shielded(line.aclose())
            raise

    async def embed(
        self, request: EmbedRequest, call: CallOptions = NO_CALL_OPTIONS, *, api: EmbedApi = "auto"
    ) -> tuple[EmbedReply, GatewayInfo]:
        """The vectors of texts, and what the gateway says about the call.

        Raises:
            GatewayError: With `requests_sent`.
        """
        return await self.run(vectors.embed(self._connection, request, call, api=api))

    async def rank(
        self, request: RerankRequest, call: CallOptions = NO_CALL_OPTIONS
    ) -> tuple[RerankReply, GatewayInfo]:
        """Passages by how well they answer, and what the gateway says about the call.

        Raises:
            GatewayError: With `requests_sent`.
        """
        return await self.run(vectors.rank(self._connection, request, call))

    async def run(self, talk: Generator[Action, Outcome, _T]) -> _T:
        """The outcome of any conversation that opens no stream.

        Raises:
            GatewayError: With `requests_sent`.
        """
        line = _OpenResponse(self._sender)
        try:
            return await shielded(_run(talk, line))
        finally:
            await shielded(line.aclose())


class AsyncChatStream:
    """The events of one reply as they come; closes its connection at the end, on error, and when nobody listens.

    Attributes:
        info: What the gateway said in the response's headers.
    """

    __slots__ = ("_events", "_line", "info")

    def __init__(self, session: StreamSession, line: _OpenResponse) -> None:
        self.info = session.info
        self._line = line
        self._events = cast("AsyncGeneratorType[Event]", _events(session, line))

    @classmethod
    async def of(cls, session: StreamSession, line: _OpenResponse) -> AsyncChatStream:
        """A stream that is ready to be read."""
        stream = cls(session, line)
        await anext(stream._events)  # from here on, dropping the generator closes the line
        return stream

    def __aiter__(self) -> AsyncIterator[Event]:
        return self._events

    async def __anext__(self) -> Event:
        return await anext(self._events)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Reads no more, and closes the connection unless it can be used again."""
        if self._events.ag_running:
            return  # a loop that ends closes all generators at once, this one and those around it
        await shielded(self._line.aclose())  # and then nothing is left to wait for while the generator is closed
        await self._events.aclose()


async def _events(session: StreamSession, line: _OpenResponse) -> AsyncGenerator[Event]:
    try:
        yield Started()
        for event in session.waiting:
            yield event
        while not session.ended:
            try:
                chunk = await shielded(line.read(idle=session.idle, streaming=True))
            except GatewayError as error:
                events = session.lost(error)
            else:
                events = session.close() if chunk is None else session.feed(chunk)
            for event in events:
                yield event
        if session.error is not None:
            raise session.error
        if not session.stopped:
            await shielded(line.drain())
    finally:
        await shielded(line.aclose())


async def _run(talk: Generator[Action, Outcome, _T], line: _OpenResponse) -> _T:
    """Runs a conversation to its end."""
    try:
        step = next(talk)
        while True:
            try:
                outcome = await line.do(step)
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

    def __init__(self, sender: AsyncSender) -> None:
        self._sender = sender
        self._response: httpx.Response | None = None
        self._call: HttpRequest | None = None
        self._chunks: AsyncIterator[bytes] = _nothing()
        self._since = 0.0

    async def do(self, step: Action) -> Outcome:
        match step:
            case Send(call):
                return await self._send(call)
            case ReadOn(idle):
                return await self.read(idle=idle)
            case Sleep(seconds):
                await self.aclose()
                await anyio.sleep(seconds)
                return None
            case AskToken(source):
                return await _token(source)
            case _:
                assert_never(step)

    async def _send(self, call: HttpRequest) -> HttpResponse:
        await self.aclose()
        self._call = call
        try:
            response = self._response = await self._sender.open(call)
            status, headers = response.status_code, lower_case(response)
            self._chunks = _chunks(response, headers.get("content-encoding", "").lower())
            if stays_open(call, status):
                return HttpResponse(status, headers, None)
            body = await self._whole(call, is_error=not 200 <= status < 300)
        except GatewayError:
            await self.aclose()
            raise
        except self._sender.faults as error:
            await self.aclose()
            raise transport_error(error, call) from error
        await self.aclose()
        return HttpResponse(status, headers, body)

    async def _whole(self, call: HttpRequest, *, is_error: bool) -> bytes:
        """The body; of an error, what can be had of it, because the status says more than what broke it off."""
        whole = Whole(call, MOST_ERROR_BYTES if is_error else MOST_BYTES)
        try:
            while (part := await self.read(idle=whole.idle)) is not None:
                whole.add(part)
        except GatewayError:
            if not is_error:
                raise
        return whole.bytes()

    async def read(self, *, idle: bool = False, streaming: bool = False) -> bytes | None:
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
                return await anext(self._chunks, None)
            left = call.timeouts.read - (now - self._since)
            if left <= 0:
                raise idle_timeout(call)
            with anyio.fail_after(left):
                return await anext(self._chunks, None)
        except GatewayError:
            raise
        except self._sender.faults as error:
            raise transport_error(error, call, streaming=streaming, idle=idle) from error

    async def drain(self) -> None:
        """Reads what follows the end marker, if it comes at once, so that the connection can be used again."""
        with suppress(GatewayError, *self._sender.faults), anyio.move_on_after(AFTER_THE_END):
            while await anext(self._chunks, None) is not None:
                pass

    async def aclose(self) -> None:
        response, self._response = self._response, None
        if response is not None:
            close_if_bytes_are_left(response)
            await response.aclose()


def _chunks(response: httpx.Response, encoding: str) -> AsyncIterator[bytes]:
    """The body as it comes, decompressed; without httpx's layers for it, where they can be left out."""
    body = already_read(response)
    if body is not None:
        return _only(body)
    stream = cast("httpx.AsyncByteStream", response.stream)
    match encoding:
        case "" | "identity":
            return aiter(stream)
        case "gzip" | "x-gzip" | "deflate":
            return _inflated(stream, encoding)
        case _:
            return response.aiter_bytes()


async def _inflated(stream: httpx.AsyncByteStream, encoding: str) -> AsyncGenerator[bytes]:
    inflater = Inflater(encoding)
    async for data in stream:
        for piece in inflater.feed(data):
            yield piece


async def _only(body: bytes) -> AsyncGenerator[bytes]:
    yield body


async def _nothing() -> AsyncGenerator[bytes]:
    return
    yield b""


async def _token(source: TokenFunction) -> Secret:
    with token_faults():
        token = source()
        return secret_of(await token if inspect.isawaitable(token) else token)
