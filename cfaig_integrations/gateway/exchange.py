"""A chat call: a request in the model's format, then others without what the server refused, until one succeeds."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import TypeVar

from cfaig_integrations.core.chat import ChatReply, ChatRequest
from cfaig_integrations.core.content import Wire
from cfaig_integrations.core.fold import fold, unfold
from cfaig_integrations.core.forced_calls import with_forced_call
from cfaig_integrations.core.legal import renamed
from cfaig_integrations.core.stops import cut
from cfaig_integrations.errors import ApiError, ConfigError, GatewayError
from cfaig_integrations.gateway import failures
from cfaig_integrations.gateway.actions import Actions, HttpResponse
from cfaig_integrations.gateway.attempts import Attempts, without_html
from cfaig_integrations.gateway.connection import NO_CALL_OPTIONS, CallOptions, Connection
from cfaig_integrations.gateway.continuation import history_digest, is_forgotten, is_unstored_item
from cfaig_integrations.gateway.info import GatewayInfo, key_source, read_info
from cfaig_integrations.gateway.models import routes
from cfaig_integrations.gateway.models.routes import Route
from cfaig_integrations.gateway.prepare import PreparedChat, prepare
from cfaig_integrations.gateway.session import StreamSession, first_bytes, read_document, read_until_visible
from cfaig_integrations.gateway.truncation import sets_no_limit, warn_of_default_limit
from cfaig_integrations.wire.codec import EmbeddedError
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


class _Chat(Attempts[_T]):
    """The requests of one chat call, over one wire format and perhaps over another."""

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
            routes.require_author(self._request.model, self._connection.settings.base_url)
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
        """The error; the first refusal if the other format, which the user did not choose, does not fit either."""
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
        if body[:1] != b"{" and sniff(body) == "events":
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
            if reply.finish == "length" and sets_no_limit(self._request):
                warn_of_default_limit(self._request.model, reply.finish)
        if prepared.forced:
            reply = with_forced_call(reply, prepared.forced)
        if prepared.names:
            reply = renamed(reply, prepared.names)
        return cut(reply, prepared.stops) if prepared.stops else reply

    def _info(self, prepared: PreparedChat, response: HttpResponse, reply: ChatReply | None = None) -> GatewayInfo:
        return read_info(
            response.headers,
            wire=prepared.route.wire,
            model=self._request.model,
            key_source=None if reply is None else next(filter(None, map(key_source, reply.extras.values())), None),
            switched_from=None if self._first_refusal is None else self._first_refusal[0],
            attempts=self.sent,
            history=self._history if prepared.route.features.stored_replies else None,
            earlier_log_ids=response.earlier_log_ids,
        )


class _WholeChat(_Chat[tuple[ChatReply, GatewayInfo]]):
    def _attempt(self) -> Actions[tuple[ChatReply, GatewayInfo]]:
        prepared = self._prepare()
        response = yield from self._send(prepared.http)
        reply = self._reply(prepared, response)
        self._remember_format(prepared.route.wire)
        return reply, self._info(prepared, response, reply)


class _StreamedChat(_Chat[StreamSession]):
    def _attempt(self) -> Actions[StreamSession]:
        prepared = self._prepare()
        response = yield from self._send(prepared.http)
        session = self._session(prepared, response)
        chunk = yield from first_bytes()
        if chunk is not None and sniff(chunk) in ("json", "html"):
            body = yield from read_document(chunk)
            reply = self._reply(prepared, without_html(replace(response, body=body)))
            session.info = self._info(prepared, response, reply)
            session.waiting, session.ended = unfold(reply), True
        else:
            yield from read_until_visible(session, chunk)
        self._remember_format(prepared.route.wire)
        return session


def _refuses_format(error: ApiError) -> bool:
    return routes.is_shape_refusal(error.status, error.code, error.message)
