"""One call: requests that are sent, sent again, or changed to what the server accepts, until one succeeds.

A call is a generator. It yields actions (send, wait, ask for a token, read) and is sent their outcomes; transport
errors are thrown into it. So sync and async share everything but the I/O.
"""

from __future__ import annotations

import logging
import os
import random
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Generic, Literal, TypeVar

from cfaig_integrations.core.chat import ChatReply, ChatRequest
from cfaig_integrations.core.content import Wire
from cfaig_integrations.core.fold import fold
from cfaig_integrations.core.forced_calls import with_forced_call
from cfaig_integrations.core.legal import renamed
from cfaig_integrations.core.stops import cut
from cfaig_integrations.core.unfold import unfold
from cfaig_integrations.errors import ApiError, ConfigError, GatewayError
from cfaig_integrations.gateway import failures
from cfaig_integrations.gateway.actions import Actions, AskToken, HttpRequest, HttpResponse, Send, Sleep
from cfaig_integrations.gateway.connection import NO_CALL_OPTIONS, CallOptions, Connection, Pairs
from cfaig_integrations.gateway.continuation import history_digest, is_forgotten, is_unstored_item
from cfaig_integrations.gateway.failures.redaction import conceal
from cfaig_integrations.gateway.info import GatewayInfo, read_info
from cfaig_integrations.gateway.models import routes
from cfaig_integrations.gateway.models.routes import Route
from cfaig_integrations.gateway.prepare import PreparedChat, prepare
from cfaig_integrations.gateway.retry import RetryPolicy
from cfaig_integrations.gateway.session import StreamSession, first_bytes, read_document, read_until_visible
from cfaig_integrations.gateway.settings import Secret
from cfaig_integrations.gateway.truncation import sets_no_limit, warn_of_default_limit
from cfaig_integrations.wire import jsonio
from cfaig_integrations.wire.codec import EmbeddedError
from cfaig_integrations.wire.envelope import is_error
from cfaig_integrations.wire.sniff import sniff

_T = TypeVar("_T")
_log = logging.getLogger(__name__)


def chat(
    connection: Connection, request: ChatRequest, call: CallOptions = NO_CALL_OPTIONS
) -> Actions[tuple[ChatReply, GatewayInfo]]:
    """Gets a whole reply.

    Raises:
        GatewayError: With `requests_sent`.
    """
    return _WholeChat(connection, call, request, stream=False).run()


def stream(connection: Connection, request: ChatRequest, call: CallOptions = NO_CALL_OPTIONS) -> Actions[StreamSession]:
    """Opens a stream, up to the first visible part of the reply.

    Nothing has reached the caller until then, so failures are retried like those of a whole reply.

    Raises:
        GatewayError: With `requests_sent`.
    """
    return _StreamedChat(connection, call, request, stream=True).run()


class Attempts(ABC, Generic[_T]):
    """The requests of one call.

    Attributes:
        sent: Number of requests sent.
        event_id: `cf-aig-event-id` that they share, unless the user sets one (facts §3.1).
        repeatable: Whether sending them twice costs nothing more, so that any transient failure is retried.
    """

    __slots__ = (
        *("_call", "_connection", "_headers", "_log_id", "_log_ids", "_retries"),
        *("event_id", "repeatable", "sent"),
    )

    def __init__(self, connection: Connection, call: CallOptions) -> None:
        self._connection = connection
        self._call = call
        self._headers: Pairs = []
        self._retries = 0
        self._log_id: str | None = None
        self._log_ids: tuple[str, ...] = ()
        self.sent = 0
        self.repeatable = False
        self.event_id = os.urandom(16).hex()

    def run(self) -> Actions[_T]:
        """Attempts, until one succeeds or its failure is final."""
        while True:
            try:
                return (yield from self._attempt())
            except GatewayError as error:
                self._keep_log_id(error)
                pause = self._pause(error)
                if pause is None and not self._change_request(error):
                    final = self._final_error(error)
                    final.requests_sent, final.log_ids = self.sent, self._log_ids
                    conceal(final, self._headers)
                    raise final  # noqa: B904  # its cause is set
                self._log_retry(error, pause)
            if pause is not None:
                yield Sleep(pause)

    @abstractmethod
    def _attempt(self) -> Actions[_T]:
        """Sends a request and reads its response."""

    def _keep_log_id(self, error: GatewayError) -> None:
        """Gives an error the log id of the response in which it occurred, and keeps it for the end of the call."""
        error.log_id, self._log_id = error.log_id or self._log_id, None
        if error.log_id is not None:
            self._log_ids += (error.log_id,)

    def _policy(self) -> RetryPolicy:
        policy = self._connection.policy_of(self._call)
        return replace(policy, after_send=True) if self.repeatable else policy

    def _pause(self, error: GatewayError) -> float | None:
        """Seconds to wait before the same request is sent again; None: it is not."""
        policy = self._policy()
        error.retryable = error.retryable or (policy.after_send and error.maybe_billed)
        pause = policy.delay(error, self._retries + 1, random.random)
        if pause is not None:
            self._retries += 1
        return pause

    def _log_retry(self, error: GatewayError, pause: float | None) -> None:
        conceal(error, self._headers)
        how = "changed, at once" if pause is None else f"in {pause:.1f} s"
        level = logging.WARNING if error.maybe_billed else logging.INFO
        reason, event_id = f"{type(error).__name__}: {error.message}", dict(self._headers).get(b"cf-aig-event-id", b"")
        message = "Request %d failed (%s); sent again %s; log id %s, event id %s"
        _log.log(level, message, self.sent, reason, how, error.log_id, event_id.decode())

    def _change_request(self, _error: GatewayError) -> bool:
        """Whether the request was changed into one that may succeed."""
        return False

    def _final_error(self, error: GatewayError) -> GatewayError:
        return error

    def _send(self, request: HttpRequest) -> Actions[HttpResponse]:
        """The response, if its status is 2xx and it is not a page of HTML."""
        self._headers = request.headers
        source = self._connection.settings.api_token
        if source is not None and not isinstance(source, Secret):
            token = yield AskToken(source)
            self._headers = request.headers + self._connection.auth(token)
            request = replace(request, headers=self._headers)
        self.sent += 1
        try:
            response = yield Send(request)
        except ConfigError:  # the address or the certificates: nothing was sent
            self.sent -= 1
            raise
        if not isinstance(response, HttpResponse):
            raise TypeError(f"the outcome of Send is a {type(response).__name__}")
        if 200 <= response.status < 300:
            self._log_id = response.headers.get("cf-aig-log-id")
            if self._log_ids:
                response = replace(response, earlier_log_ids=self._log_ids)
            return self._check(response)
        raise failures.from_response(response.status, response.headers, response.body or b"")

    def _check(self, response: HttpResponse) -> HttpResponse:
        return _without_html(response)


class _Chat(Attempts[_T]):
    """The requests of one chat call, over one wire format and perhaps over another."""

    __slots__ = ("_first_refusal", "_history", "_prepared", "_request", "_route", "_stream", "_whole_history")

    def __init__(self, connection: Connection, call: CallOptions, request: ChatRequest, *, stream: bool) -> None:
        super().__init__(connection, call)
        options = connection.options_of(call)
        no_retention = options is not None and bool(options.zdr)
        self._request = replace(request, items_by_id=False) if no_retention else request
        # A provider would remember the whole of a reply that is cut here, and nothing under zero data retention,
        # whatever `store` says.
        unstored = no_retention or request.extra_body.get("store", request.store) is False or bool(request.stop)
        self._history = None if unstored or not request.continues else history_digest(request.model, request.turns)
        self._stream = stream
        self._route: Route | None = None
        self._prepared: PreparedChat | None = None
        self._whole_history = False
        self._first_refusal: tuple[Wire, ApiError] | None = None

    def _prepare(self) -> PreparedChat:
        if self._route is None:
            options = self._connection.options_of(self._call)
            self._route = routes.route(
                self._request,
                api=self._call.api or self._connection.api,
                legacy=self._connection.settings.legacy,
                body_options=options is not None and bool(options.body_options()),
            )
        if self._prepared is None:
            self._prepared = prepare(
                self._connection,
                self._call,
                self._request,
                self._route,
                stream=self._stream,
                whole_history=self._whole_history,
                event_id=self.event_id,
            )
        return self._prepared

    def _change_request(self, error: GatewayError) -> bool:
        """Sends what the server has not stored, or switches to the model's other wire format."""
        route, prepared = self._route, self._prepared
        if route is None or prepared is None or not isinstance(error, ApiError):
            return False
        if prepared.continues and is_forgotten(error):
            self._whole_history = True
        elif self._request.items_by_id and is_unstored_item(error):
            self._request = replace(self._request, items_by_id=False)
        elif self._first_refusal is None and route.alternative is not None and _refuses_format(error):
            self._first_refusal = route.wire, error
            self._route = routes.route(self._request, api=route.alternative, legacy=self._connection.settings.legacy)
        else:
            return False
        self._prepared = None
        return True

    def _final_error(self, error: GatewayError) -> GatewayError:
        """The error; after a switch, the first refusal instead of one that the user's own choices do not explain."""
        if self._first_refusal is None:
            return error
        refusal = self._first_refusal[1]
        if isinstance(error, ConfigError):
            refusal.__cause__ = None
            return refusal
        if isinstance(error, ApiError) and _refuses_format(error):
            refusal.__cause__ = error
            return refusal
        return error

    def _remember_format(self, wire: Wire) -> None:
        if self._first_refusal is not None:
            routes.learn(self._request.model, tools=bool(self._request.tools), wire=wire)

    def _session(self, prepared: PreparedChat, response: HttpResponse, *, cuts: bool = True) -> StreamSession:
        return StreamSession(
            prepared.codec.decoder(),
            self._info(prepared, response),
            response.headers,
            requests_sent=self.sent,
            stops=prepared.stops if cuts else (),
            request_headers=self._headers,
            names=prepared.names,
            forced=prepared.forced,
            unlimited=self._request.model if sets_no_limit(self._request) else None,
        )

    def _reply(self, prepared: PreparedChat, response: HttpResponse) -> ChatReply:
        """The reply in a whole body, be it a JSON document or a stream."""
        body = response.body or b""
        if sniff(body) == "events":
            session = self._session(prepared, response, cuts=False)
            events = session.feed(body)
            if not session.ended:
                events += session.close()
            if session.error is not None:
                raise session.error
            reply = fold(prepared.route.wire, events)
        else:
            try:
                reply = prepared.codec.decode(body)
            except EmbeddedError as error:
                raise failures.from_embedded(error.body, response.headers, response.status) from None
            if sets_no_limit(self._request):
                warn_of_default_limit(self._request.model, reply.finish)
        reply = renamed(with_forced_call(reply, prepared.forced), prepared.names)
        return cut(reply, prepared.stops) if prepared.stops else reply

    def _info(self, prepared: PreparedChat, response: HttpResponse, reply: ChatReply | None = None) -> GatewayInfo:
        return read_info(
            response.headers,
            wire=prepared.route.wire,
            model=self._request.model,
            key_source=None if reply is None else _key_source(reply),
            switched_from=None if self._first_refusal is None else self._first_refusal[0],
            attempts=self.sent,
            history=self._history if prepared.features.stored_replies else None,
            earlier_log_ids=response.earlier_log_ids,
        )


class _WholeChat(_Chat[tuple[ChatReply, GatewayInfo]]):
    __slots__ = ()

    def _attempt(self) -> Actions[tuple[ChatReply, GatewayInfo]]:
        prepared = self._prepare()
        response = yield from self._send(prepared.http)
        reply = self._reply(prepared, response)
        self._remember_format(prepared.route.wire)
        return reply, self._info(prepared, response, reply)


class _StreamedChat(_Chat[StreamSession]):
    __slots__ = ()

    def _attempt(self) -> Actions[StreamSession]:
        prepared = self._prepare()
        response = yield from self._send(prepared.http)
        session = self._session(prepared, response)
        chunk = yield from first_bytes()
        if chunk is not None and sniff(chunk) in ("json", "html"):
            body = yield from read_document(chunk)
            reply = self._reply(prepared, _without_html(replace(response, body=body)))
            session.info = self._info(prepared, response, reply)
            session.waiting, session.ended = unfold(reply), True
        else:
            yield from read_until_visible(session, chunk)
        self._remember_format(prepared.route.wire)
        return session


class JsonRequest(Attempts[_T]):
    """One request with a JSON response.

    Args:
        connection: Account, host and defaults.
        path: Path of the endpoint.
        read: Makes the result of the response, given the number of requests sent; an `EmbeddedError` of it becomes the
            error that the body holds.
        body: JSON object to send, if any.
        method: HTTP method.
        call: What this call changes.
        repeatable: Whether sending it twice costs nothing more; None: unless it is a `POST`.
    """

    __slots__ = ("_body", "_method", "_path", "_read")

    def __init__(
        self,
        connection: Connection,
        path: str,
        read: Callable[[HttpResponse, int], _T],
        *,
        body: dict[str, Any] | None = None,
        method: Literal["GET", "PATCH", "POST"] = "POST",
        call: CallOptions = NO_CALL_OPTIONS,
        repeatable: bool | None = None,
    ) -> None:
        super().__init__(connection, call)
        self._method, self._path, self._read = method, path, read
        self.repeatable = method != "POST" if repeatable is None else repeatable
        self._body = b"" if body is None else jsonio.dump(body)

    def _attempt(self) -> Actions[_T]:
        url = self._connection.url(self._path)
        event_id = self.event_id if self._method == "POST" else None
        headers = self._connection.headers_of(self._call, {}, stream=False, event_id=event_id)
        timeouts = self._connection.timeouts_of(self._call, stream=False)
        response = yield from self._send(HttpRequest(self._method, url, headers, self._body, timeouts))
        try:
            return self._read(response, self.sent)
        except EmbeddedError as error:
            raise failures.from_embedded(error.body, response.headers, response.status) from None


def result_of(response: HttpResponse) -> object:
    """The `result` of a response of Cloudflare's management API.

    Raises:
        EmbeddedError: The body holds an error.
    """
    body = jsonio.load_object(response.body or b"")
    if is_error(body):
        raise EmbeddedError(body)
    return body.get("result")


def _without_html(response: HttpResponse) -> HttpResponse:
    """The response, unless it is the page of a proxy or a login."""
    if response.body is not None and sniff(response.body) == "html":
        raise failures.from_html(response.status, response.headers, response.body)
    return response


def _refuses_format(error: ApiError) -> bool:
    return routes.is_shape_refusal(error.status, error.code, error.message)


def _key_source(reply: ChatReply) -> str | None:
    """Whose provider key was used, where the body has it (facts §2.3)."""
    for values in reply.extras.values():
        source = values.get("gatewayMetadata")
        if isinstance(source, Mapping):
            return str(source.get("keySource") or "") or None  # pyright: ignore[reportUnknownMemberType, reportUnknownArgumentType]  # JSON
    return None
