"""Blocking calls: performs the actions of `gateway.exchange`. `aio` is the same with `await`."""

from __future__ import annotations

import inspect
import time
from collections.abc import Generator, Iterator, Mapping
from contextlib import suppress
from time import monotonic
from types import TracebackType
from typing import Self, TypeVar, assert_never, cast

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
    time_limit,
)
from cfaig_integrations.client.pool import Pooled
from cfaig_integrations.client.transport_errors import token_function_errors, transport_error
from cfaig_integrations.client.user_clients import UserClient
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
_POOLED = Pooled()


class Client:
    """Calls models over one connection. Creating one opens nothing.

    Args:
        connection: Account, host and defaults.
        http_client: An `httpx.Client` or one of httpx2 in place of the shared pools; never closed.

    Raises:
        ConfigError: `http_client` is of another type.
    """

    def __init__(self, connection: Connection, http_client: object = None) -> None:
        self._connection = connection
        self._sender: Pooled | UserClient = _POOLED if http_client is None else UserClient(http_client)

    def chat(self, request: ChatRequest, call: CallOptions = NO_CALL_OPTIONS) -> tuple[ChatReply, GatewayInfo]:
        """A whole reply, and how the gateway handled the call.

        Raises:
            GatewayError: With `requests_sent`.
        """
        return self.run(exchange.chat(self._connection, request, call))

    def stream(self, request: ChatRequest, call: CallOptions = NO_CALL_OPTIONS) -> ChatStream:
        """A stream whose first visible event has arrived.

        Raises:
            GatewayError: With `requests_sent`, here until that event, and then from the stream.
        """
        response = _OpenResponse(self._sender)
        try:
            return ChatStream(response.perform(exchange.stream(self._connection, request, call)), response)
        except BaseException:
            response.close()
            raise

    def embed(
        self, request: EmbedRequest, call: CallOptions = NO_CALL_OPTIONS, *, api: EmbedApi = "auto"
    ) -> tuple[EmbedReply, GatewayInfo]:
        """The vectors of texts, and how the gateway handled the call.

        Raises:
            GatewayError: With `requests_sent`.
        """
        return self.run(vectors.embed(self._connection, request, call, api=api))

    def rank(self, request: RerankRequest, call: CallOptions = NO_CALL_OPTIONS) -> tuple[RerankReply, GatewayInfo]:
        """The ranking of passages, and how the gateway handled the call.

        Raises:
            GatewayError: With `requests_sent`.
        """
        return self.run(vectors.rank(self._connection, request, call))

    def decide(
        self, request: DecisionRequest, call: CallOptions = NO_CALL_OPTIONS
    ) -> tuple[DecisionReply, GatewayInfo]:
        """The answers to questions about a state, and how the gateway handled the call.

        Raises:
            GatewayError: With `requests_sent`.
        """
        return self.run(vectors.decide(self._connection, request, call))

    def run(self, actions: Actions[_T]) -> _T:
        """The result of a call that opens no stream.

        Raises:
            GatewayError: With `requests_sent`.
        """
        response = _OpenResponse(self._sender)
        try:
            return response.perform(actions)
        finally:
            response.close()


class ChatStream:
    """The events of one reply as they come; closes its connection at the end, on error, and when it is dropped.

    Attributes:
        info: How the gateway handled the call, from the response headers.
    """

    def __init__(self, session: StreamSession, response: _OpenResponse) -> None:
        self.info = session.info
        self._events = _events(session, response)
        next(self._events)  # once started, a generator that is dropped closes the response

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
        """Stops reading, and closes the connection unless it can be used again."""
        self._events.close()


def _events(session: StreamSession, response: _OpenResponse) -> Generator[Event, None, None]:
    try:
        yield Started()
        for event in session.waiting:
            yield event
        while not session.ended:
            try:
                chunk = response.read(idle=session.idle, streaming=True)
            except GatewayError as error:
                events = session.lost(error)
            else:
                events = session.close() if chunk is None else session.feed(chunk)
            for event in events:
                yield event
        if session.error is not None:
            raise session.error
        if not session.stopped:
            response.drain()
    finally:
        response.close()


class _OpenResponse:
    """Performs the actions of one call; at most one response is open at a time."""

    _chunks: Iterator[bytes]
    _timer: IdleTimer

    def __init__(self, sender: Pooled | UserClient) -> None:
        self._sender = sender
        self._response: httpx.Response | None = None

    def perform(self, actions: Actions[_T]) -> _T:
        """The result of the actions."""
        try:
            action = next(actions)
            while True:
                try:
                    outcome = self._outcome(action)
                except GatewayError as error:
                    action = actions.throw(error)
                else:
                    action = actions.send(outcome)
        except StopIteration as end:
            result: _T = end.value
            return result

    def _outcome(self, action: Action) -> Outcome:
        match action:
            case Send(request):
                return self._send(request)
            case ReadOn(idle):
                return self.read(idle=idle)
            case Sleep(seconds):
                self.close()
                time.sleep(seconds)
                return None
            case AskToken(source):
                return _token(source)
            case _:
                assert_never(action)

    def _send(self, request: HttpRequest) -> HttpResponse:
        self.close()
        self._timer = IdleTimer(request)
        headers: Mapping[str, str] = {}
        try:
            response = self._response = self._sender.open(request)
            status, headers = response.status_code, lower_case(response)
            is_error = not 200 <= status < 300
            self._chunks = _chunks(response, headers.get("content-encoding", "").lower())
            if request.stream and not is_error:
                return HttpResponse(status, headers, None)
            body = self._whole_body(WholeBody(request, is_error=is_error), is_error=is_error)
        except GatewayError as error:
            self.close()
            error.log_id = headers.get("cf-aig-log-id")
            raise
        except self._sender.errors as error:
            self.close()
            raise transport_error(error, request) from error
        self.close()
        return HttpResponse(status, headers, body)

    def _whole_body(self, body: WholeBody, *, is_error: bool) -> bytes:
        """The body; of an error, what can be read of it, because the status says more than a transport error."""
        try:
            while (part := self.read(idle=body.idle)) is not None:
                body.add(part)
        except GatewayError:
            if not is_error:
                raise
        return body.bytes()

    def read(self, *, idle: bool = False, streaming: bool = False) -> bytes | None:
        """The next bytes, or None at the end.

        Args:
            idle: Whether the last bytes were no part of the reply, so that their time counts.
            streaming: Whether part of the reply has reached the caller.

        Raises:
            GatewayError: The connection fails, or nothing comes in time.
        """
        left = self._timer.seconds_left(idle=idle)
        try:
            if left is None:
                return next(self._chunks, None)
            with time_limit(self._response, left):
                return next(self._chunks, None)
        except GatewayError:
            raise
        except self._sender.errors as error:
            raise transport_error(error, self._timer.request, streaming=streaming, idle=idle) from error

    def drain(self) -> None:
        """Reads what follows the end marker, if it comes at once, so that the connection can be used again."""
        until = monotonic() + DRAIN_SECONDS
        with suppress(GatewayError, *self._sender.errors), time_limit(self._response, DRAIN_SECONDS) as limited:
            while limited and monotonic() < until and next(self._chunks, None) is not None:
                pass

    def close(self) -> None:
        response, self._response = self._response, None
        if response is not None:
            discard_connection_if_bytes_are_left(response)
            response.close()


def _chunks(response: httpx.Response, encoding: str) -> Iterator[bytes]:
    """The decompressed body as it comes; for the common encodings without httpx's layers."""
    body = already_read(response)
    if body is not None:
        return iter((body,))
    join_chunks(response)
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
    with token_function_errors():
        token = source()
    if inspect.iscoroutine(token):
        token.close()  # it is refused as a token, and must not warn of never being awaited
    return secret_of(token)
