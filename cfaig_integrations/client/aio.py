"""Asynchronous calls: performs the actions of `gateway.exchange`. `sync` is the same without `await`."""

from __future__ import annotations

import inspect
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import suppress
from types import AsyncGeneratorType, TracebackType
from typing import Self, TypeVar, assert_never, cast

import anyio
import httpx

from cfaig_integrations.client.bodies import (
    DRAIN_SECONDS,
    IdleTimer,
    Inflater,
    WholeBody,
    already_read,
    discard_connection_if_bytes_are_left,
    join_chunks,
    lower_case,
)
from cfaig_integrations.client.cancellation import defer_cancellation
from cfaig_integrations.client.pool import AsyncPooled
from cfaig_integrations.client.transport_errors import token_function_errors, transport_error
from cfaig_integrations.client.user_clients import AsyncUserClient
from cfaig_integrations.core.chat import ChatReply, ChatRequest
from cfaig_integrations.core.decisions import DecisionReply, DecisionRequest
from cfaig_integrations.core.events import Event, Started
from cfaig_integrations.core.vectors import EmbedReply, EmbedRequest, RerankReply, RerankRequest
from cfaig_integrations.errors import GatewayError
from cfaig_integrations.gateway import exchange, vectors
from cfaig_integrations.gateway.actions import (
    Action,
    Actions,
    AskToken,
    HttpRequest,
    HttpResponse,
    Outcome,
    ReadOn,
    Send,
    Sleep,
)
from cfaig_integrations.gateway.connection import NO_CALL_OPTIONS, CallOptions, Connection
from cfaig_integrations.gateway.info import GatewayInfo
from cfaig_integrations.gateway.models.embeddings import EmbedApi
from cfaig_integrations.gateway.session import StreamSession
from cfaig_integrations.gateway.settings import Secret, TokenFunction, secret_of

_T = TypeVar("_T")
_POOLED = AsyncPooled()


class AsyncClient:
    """Calls models over one connection. Creating one opens nothing.

    Args:
        connection: Account, host and defaults.
        http_async_client: An `httpx.AsyncClient` or one of httpx2 in place of the shared pools; never closed.

    Raises:
        ConfigError: `http_async_client` is of another type.
    """

    def __init__(self, connection: Connection, http_async_client: object = None) -> None:
        self._connection = connection
        self._sender: AsyncPooled | AsyncUserClient = (
            _POOLED if http_async_client is None else AsyncUserClient(http_async_client)
        )

    async def chat(self, request: ChatRequest, call: CallOptions = NO_CALL_OPTIONS) -> tuple[ChatReply, GatewayInfo]:
        """As `Client.chat`."""
        return await self.run(exchange.chat(self._connection, request, call))

    async def stream(self, request: ChatRequest, call: CallOptions = NO_CALL_OPTIONS) -> AsyncChatStream:
        """As `Client.stream`."""
        response = _OpenResponse(self._sender)
        try:
            actions = exchange.stream(self._connection, request, call)
            stream = AsyncChatStream(await defer_cancellation(response.perform(actions)), response)
            await anext(stream)  # once started, a generator that is dropped closes the response
            return stream
        except BaseException:
            await defer_cancellation(response.aclose())
            raise

    async def embed(
        self, request: EmbedRequest, call: CallOptions = NO_CALL_OPTIONS, *, api: EmbedApi = "auto"
    ) -> tuple[EmbedReply, GatewayInfo]:
        """As `Client.embed`."""
        return await self.run(vectors.embed(self._connection, request, call, api=api))

    async def rank(
        self, request: RerankRequest, call: CallOptions = NO_CALL_OPTIONS
    ) -> tuple[RerankReply, GatewayInfo]:
        """As `Client.rank`."""
        return await self.run(vectors.rank(self._connection, request, call))

    async def decide(
        self, request: DecisionRequest, call: CallOptions = NO_CALL_OPTIONS
    ) -> tuple[DecisionReply, GatewayInfo]:
        """As `Client.decide`."""
        return await self.run(vectors.decide(self._connection, request, call))

    async def run(self, actions: Actions[_T]) -> _T:
        """As `Client.run`."""
        response = _OpenResponse(self._sender)
        try:
            return await defer_cancellation(response.perform(actions))
        finally:
            await defer_cancellation(response.aclose())


class AsyncChatStream:
    """The events of one reply as they come; closes its connection at the end, on error, and when it is dropped.

    Attributes:
        info: How the gateway handled the call, from the response headers.
    """

    def __init__(self, session: StreamSession, response: _OpenResponse) -> None:
        self.info = session.info
        self._response = response
        self._events = cast("AsyncGeneratorType[Event]", _events(session, response))

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
        """Stops reading, and closes the connection unless it can be used again."""
        if self._events.ag_running:
            return  # a loop that ends closes all generators at once, this one and those around it
        await defer_cancellation(self._response.aclose())  # then closing the generator waits for nothing
        await self._events.aclose()


async def _events(session: StreamSession, response: _OpenResponse) -> AsyncGenerator[Event]:
    try:
        yield Started()
        for event in session.waiting:
            yield event
        while not session.ended:
            try:
                chunk = await defer_cancellation(response.read(idle=session.idle, streaming=True))
            except GatewayError as error:
                events = session.lost(error)
            else:
                events = session.close() if chunk is None else session.feed(chunk)
            for event in events:
                yield event
        if session.error is not None:
            raise session.error
        if not session.stopped:
            await defer_cancellation(response.drain())
    finally:
        await defer_cancellation(response.aclose())


class _OpenResponse:
    """Performs the actions of one call; at most one response is open at a time."""

    _chunks: AsyncIterator[bytes]
    _timer: IdleTimer

    def __init__(self, sender: AsyncPooled | AsyncUserClient) -> None:
        self._sender = sender
        self._response: httpx.Response | None = None

    async def perform(self, actions: Actions[_T]) -> _T:
        """The result of the actions."""
        try:
            action = next(actions)
            while True:
                try:
                    outcome = await self._outcome(action)
                except GatewayError as error:
                    action = actions.throw(error)
                else:
                    action = actions.send(outcome)
        except StopIteration as end:
            result: _T = end.value
            return result

    async def _outcome(self, action: Action) -> Outcome:
        match action:
            case Send(request):
                return await self._send(request)
            case ReadOn(idle):
                return await self.read(idle=idle)
            case Sleep(seconds):
                await self.aclose()
                await anyio.sleep(seconds)
                return None
            case AskToken(source):
                return await _token(source)
            case _:
                assert_never(action)

    async def _send(self, request: HttpRequest) -> HttpResponse:
        await self.aclose()
        self._timer = IdleTimer(request)
        headers: Mapping[str, str] = {}
        try:
            response = self._response = await self._sender.open(request)
            status, headers = response.status_code, lower_case(response)
            is_error = not 200 <= status < 300
            self._chunks = _chunks(response, headers.get("content-encoding", "").lower())
            if request.stream and not is_error:
                return HttpResponse(status, headers, None)
            body = await self._whole_body(WholeBody(request, is_error=is_error), is_error=is_error)
        except GatewayError as error:
            await self.aclose()
            error.log_id = headers.get("cf-aig-log-id")
            raise
        except self._sender.errors as error:
            await self.aclose()
            raise transport_error(error, request) from error
        await self.aclose()
        return HttpResponse(status, headers, body)

    async def _whole_body(self, body: WholeBody, *, is_error: bool) -> bytes:
        """The body; of an error, what can be read of it, because the status says more than a transport error."""
        try:
            while (part := await self.read(idle=body.idle)) is not None:
                body.add(part)
        except GatewayError:
            if not is_error:
                raise
        return body.bytes()

    async def read(self, *, idle: bool = False, streaming: bool = False) -> bytes | None:
        """As `sync._OpenResponse.read`."""
        left = self._timer.seconds_left(idle=idle)
        try:
            if left is None:
                return await anext(self._chunks, None)
            with anyio.fail_after(left):
                return await anext(self._chunks, None)
        except GatewayError:
            raise
        except self._sender.errors as error:
            raise transport_error(error, self._timer.request, streaming=streaming, idle=idle) from error

    async def drain(self) -> None:
        """Reads what follows the end marker, if it comes at once, so that the connection can be used again."""
        with suppress(GatewayError, *self._sender.errors), anyio.move_on_after(DRAIN_SECONDS):
            while await anext(self._chunks, None) is not None:
                pass

    async def aclose(self) -> None:
        response, self._response = self._response, None
        if response is not None:
            discard_connection_if_bytes_are_left(response)
            await response.aclose()


def _chunks(response: httpx.Response, encoding: str) -> AsyncIterator[bytes]:
    """The decompressed body as it comes; for the common encodings without httpx's layers."""
    body = already_read(response)
    if body is not None:
        return _once(body)
    join_chunks(response)
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


async def _once(body: bytes) -> AsyncGenerator[bytes]:
    yield body


async def _token(source: TokenFunction) -> Secret:
    with token_function_errors():
        token = source()
        return secret_of(await token if inspect.isawaitable(token) else token)
