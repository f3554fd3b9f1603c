"""One conversation with the server, as a generator that a driver runs.

The generator yields steps (send this, sleep, ask for a token, read on) and is sent what came of them; a fault of the
network is thrown into it. So what is tried again, when, and over which wire is written once for sync and async.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, TypeVar, cast

from cfaig_integrations.core.chat import ChatReply, ChatRequest
from cfaig_integrations.core.content import Wire
from cfaig_integrations.core.fold import fold
from cfaig_integrations.core.forced_calls import forced_tools, with_forced_call
from cfaig_integrations.core.legal import Names, legal, renamed
from cfaig_integrations.core.stops import cut
from cfaig_integrations.core.unfold import unfold
from cfaig_integrations.errors import ApiError, ConfigError, GatewayError, ProtocolError
from cfaig_integrations.gateway import failures
from cfaig_integrations.gateway.actions import Action, HttpRequest, HttpResponse, Outcome, ReadOn
from cfaig_integrations.gateway.affinity import affinity_headers
from cfaig_integrations.gateway.attempts import Attempts, readable
from cfaig_integrations.gateway.connection import NO_CALL_OPTIONS, CallOptions, Connection
from cfaig_integrations.gateway.continuation import history_digest, is_forgotten, is_unkept_item, tail_of
from cfaig_integrations.gateway.info import GatewayInfo, read_info
from cfaig_integrations.gateway.models import routes
from cfaig_integrations.gateway.models.routes import Route
from cfaig_integrations.gateway.options import GatewayOptions
from cfaig_integrations.gateway.session import StreamSession, is_visible
from cfaig_integrations.wire import jsonio
from cfaig_integrations.wire.codec import ChatCodec, EmbeddedError
from cfaig_integrations.wire.registry import codec
from cfaig_integrations.wire.sniff import sniff

_T = TypeVar("_T")


def chat(
    connection: Connection, request: ChatRequest, call: CallOptions = NO_CALL_OPTIONS
) -> Generator[Action, Outcome, tuple[ChatReply, GatewayInfo]]:
    """The conversation that gets one whole reply.

    Raises:
        GatewayError: With `requests_sent`.
    """
    talk = _ChatExchange(connection, call, request, stream=False)
    return (yield from talk.run(talk.whole))


def stream(
    connection: Connection, request: ChatRequest, call: CallOptions = NO_CALL_OPTIONS
) -> Generator[Action, Outcome, StreamSession]:
    """The conversation that opens a stream, up to its first piece of the answer.

    Until then nothing has reached the caller, so a failure is tried again like that of a whole reply.

    Raises:
        GatewayError: With `requests_sent`.
    """
    talk = _ChatExchange(connection, call, request, stream=True)
    return (yield from talk.run(talk.opened))


@dataclass(frozen=True, slots=True)
class _Prepared:
    """A request as one wire says it."""

    route: Route
    codec: ChatCodec
    url: str
    headers: Mapping[str, str]
    body: bytes
    stops: tuple[str, ...]
    """Stop texts that the wire has no field for, so that they are looked for here."""
    names: Names
    """The user's names of tools that are called otherwise in the body."""
    forced: frozenset[str]
    """Tools of which one must be called, if a call may arrive as text."""


class _ChatExchange(Attempts):
    """One chat request, on its wire and perhaps on the other."""

    __slots__ = ("_forgotten", "_history", "_limits", "_request", "_stream", "_switched_from")

    def __init__(self, connection: Connection, call: CallOptions, request: ChatRequest, *, stream: bool) -> None:
        super().__init__(connection, call)
        options = connection.options_of(call)
        self._request = replace(request, items_by_id=False) if options is not None and options.zdr else request
        self._stream = stream
        self._switched_from: Wire | None = None
        self._forgotten = False
        self._history = _history(request, options)
        self._limits = connection.timeouts_of(call, stream=stream)

    def run(self, once: Callable[[_Prepared], Generator[Action, Outcome, _T]]) -> Generator[Action, Outcome, _T]:
        """The conversation; `once` is one try of it."""
        return self.counted(self._over_wires(once))

    def _over_wires(
        self, once: Callable[[_Prepared], Generator[Action, Outcome, _T]]
    ) -> Generator[Action, Outcome, _T]:
        legacy, options = self._connection.settings.legacy, self._connection.options_of(self._call)
        route = routes.route(
            self._request,
            api=self._call.api or self._connection.api,
            legacy=legacy,
            body_options=options is not None and bool(options.body_options()),
        )
        try:
            return (yield from self._on_wire(route, once))
        except ApiError as error:
            if route.alternative is None or not _refuses_shape(error):
                raise
            refusal = error
        other = routes.route(self._request, api=route.alternative, legacy=legacy)
        self._switched_from = route.wire
        try:
            result = yield from self._on_wire(other, once)
        except ConfigError:  # which nobody asked for on that wire
            raise refusal from None
        except ApiError as error:
            if _refuses_shape(error):
                raise refusal from error
            raise
        routes.learn(self._request.model, tools=bool(self._request.tools), wire=other.wire)
        return result

    def _on_wire(
        self, route: Route, once: Callable[[_Prepared], Generator[Action, Outcome, _T]]
    ) -> Generator[Action, Outcome, _T]:
        """The conversation over one wire; over again, if the server does not keep what it was pointed to.

        Then with the whole history, or without the ids of its items.
        """
        prepared = self._prepared(route)
        try:
            return (yield from self.until_final(partial(once, prepared)))
        except ApiError as error:
            if self._continues(route) and is_forgotten(error):
                self._forgotten = True
            elif self._request.items_by_id and is_unkept_item(error):
                self._request = replace(self._request, items_by_id=False)
            else:
                raise
        return (yield from self._on_wire(route, once))

    def _continues(self, route: Route) -> bool:
        remembered = route.wire == "responses" and "previous_response_id" not in route.quirks.refused
        return remembered and not self._forgotten and bool(tail_of(self._request))

    def _said(self, route: Route) -> ChatRequest:
        """The request, without what the server remembers and without what is seen to here."""
        request, known = self._request, self._request.continues
        if known is not None and self._continues(route):
            request = replace(request, turns=tail_of(request), previous_response_id=known.response_id)
        return replace(request, stop=()) if request.stop and _cannot_stop(route) else request

    def _prepared(self, route: Route) -> _Prepared:
        wire_codec = codec(route.wire)
        said, names = legal(self._said(route))
        body = wire_codec.encode(said, stream=self._stream, quirks=route.quirks)
        if route.envelope:
            body = {"model": route.model, "input": body}
        elif route.model_in_body:
            body["model"] = route.model
        else:
            body.pop("model", None)
        options = self._body_options(route.wire)
        if options:
            body["options"] = options | cast("dict[str, Any]", body.get("options") or {})
        together = affinity_headers(route.model, self._call.conversation, self._connection.options_of(self._call))
        return _Prepared(
            route,
            wire_codec,
            self._connection.settings.url(route.path),
            {**wire_codec.headers, **together},
            jsonio.dump(body),
            () if said.stop else self._request.stop,
            names,
            forced_tools(said) if route.quirks.forced_as_text else frozenset(),
        )

    def _body_options(self, wire: Wire) -> dict[str, Any]:
        options = self._connection.options_of(self._call)
        fields = {} if options is None else options.body_options()
        if fields and wire in {"responses", "messages"}:
            raise ConfigError(
                f"The {wire} wire has no place for {', '.join(fields)}.",
                field="gateway",
                value=fields,
                remedy="Take it out, or use api='chat_completions' or api='run'.",
            )
        return fields

    def whole(self, prepared: _Prepared) -> Generator[Action, Outcome, tuple[ChatReply, GatewayInfo]]:
        """One try for a whole reply."""
        answer = yield from self._sent(prepared)
        reply = self._reply(prepared, answer)
        return reply, self._info(prepared, answer, reply)

    def opened(self, prepared: _Prepared) -> Generator[Action, Outcome, StreamSession]:
        """One try to open a stream."""
        answer = yield from self._sent(prepared)
        session = self._session(prepared, answer)
        head = yield from _head()
        if head is not None and sniff(head) in ("json", "html"):
            body = yield from _rest(head, self._connection.event_limit)
            reply = self._reply(prepared, readable(replace(answer, body=body)))
            session.info = self._info(prepared, answer, reply)
            session.waiting, session.ended = unfold(reply), True
        else:
            yield from _until_visible(session, head)
        return session

    def _sent(self, prepared: _Prepared) -> Generator[Action, Outcome, HttpResponse]:
        headers = yield from self.headers(prepared.headers, stream=self._stream)
        call = HttpRequest("POST", prepared.url, headers, prepared.body, self._limits, self._stream)
        return (yield from self.send(call))

    def _session(self, prepared: _Prepared, answer: HttpResponse) -> StreamSession:
        return StreamSession(
            prepared.codec.decoder(),
            self._info(prepared, answer),
            answer.headers,
            requests_sent=self.sent,
            event_limit=self._connection.event_limit,
            stops=prepared.stops,
            request_headers=self._headers,
            names=prepared.names,
            forced=prepared.forced,
        )

    def _reply(self, prepared: _Prepared, answer: HttpResponse) -> ChatReply:
        """The reply that a whole body holds, be it a document or a stream."""
        reply = renamed(with_forced_call(self._decoded(prepared, answer), prepared.forced), prepared.names)
        return cut(reply, prepared.stops) if prepared.stops else reply

    def _decoded(self, prepared: _Prepared, answer: HttpResponse) -> ChatReply:
        body = answer.body or b""
        if sniff(body) == "events":
            session = self._session(replace(prepared, stops=()), answer)
            events = session.feed(body)
            if not session.ended:
                events += session.close()
            if session.error is not None:
                raise session.error
            return fold(prepared.route.wire, events)
        try:
            return prepared.codec.decode(body)
        except EmbeddedError as error:
            raise failures.from_refused(error.body, answer.headers, answer.status) from None

    def _info(self, prepared: _Prepared, answer: HttpResponse, reply: ChatReply | None = None) -> GatewayInfo:
        return read_info(
            answer.headers,
            wire=prepared.route.wire,
            model=self._request.model,
            key_source=None if reply is None else _key_source(reply),
            switched_from=self._switched_from,
            attempts=self.sent,
            history=self._history if prepared.route.wire == "responses" else None,
        )


def _read(*, idle: bool = False) -> Generator[Action, Outcome, bytes | None]:
    chunk = yield ReadOn(idle)
    if chunk is not None and not isinstance(chunk, bytes):
        raise TypeError(f"the driver answered ReadOn with a {type(chunk).__name__}")
    return chunk


def _head() -> Generator[Action, Outcome, bytes | None]:
    """The first bytes of an open answer that are not blank, or None if there are none."""
    chunk = yield from _read()
    while chunk is not None and sniff(chunk) is None:
        chunk = yield from _read(idle=True)
    return chunk


def _rest(head: bytes, limit: int) -> Generator[Action, Outcome, bytes]:
    """A whole document that came where a stream was asked for; complete JSON is enough where its end is lost."""
    body = bytearray(head)
    chunk: bytes | None = b""
    while chunk is not None and len(body) <= limit:
        body += chunk
        try:
            chunk = yield from _read()
        except GatewayError:
            if not jsonio.is_object_text(body.decode("utf-8", "replace")):
                raise
            break
    if len(body) > limit:
        raise ProtocolError(f"The answer is larger than {limit} bytes.", body=jsonio.excerpt(bytes(body[:2000])))
    return bytes(body)


def _until_visible(session: StreamSession, chunk: bytes | None) -> Generator[Action, Outcome, None]:
    """Reads until a reader would see something of the answer; before that, nothing has reached the caller."""
    while True:
        events = session.close() if chunk is None else session.feed(chunk)
        session.waiting += events
        if session.ended or any(map(is_visible, events)):
            break
        try:
            chunk = yield from _read(idle=session.idle)
        except GatewayError as error:
            session.waiting += session.lost(error)
            break
    if session.error is not None and not any(map(is_visible, session.waiting)):
        raise session.error


def _cannot_stop(route: Route) -> bool:
    """Whether the model has no stop texts, or the body is in OpenAI's Responses format, which alone has none."""
    return (
        "stop" in route.quirks.refused
        or route.wire == "responses"
        or (route.wire == "run" and route.quirks.run_body == "responses")
    )


def _history(request: ChatRequest, options: GatewayOptions | None) -> str | None:
    """Digest of what a reply will answer, if the conversation can go on from the provider's memory of the reply."""
    # Of an answer that is cut here, the provider remembers the whole; and who asks for zero data retention asks that
    # nothing be remembered, whatever `store` says.
    unkept = request.extra_body.get("store", request.store) is False or (options is not None and options.zdr)
    if request.continues is None or unkept or request.stop:
        return None
    return history_digest(request.model, request.turns)


def _refuses_shape(error: ApiError) -> bool:
    return routes.is_shape_refusal(error.status, error.code, error.message)


def _key_source(reply: ChatReply) -> str | None:
    """Whose provider key was used, where the body tells (facts §2.3)."""
    for values in reply.extras.values():
        source = values.get("gatewayMetadata")
        if isinstance(source, Mapping):
            return str(source.get("keySource") or "") or None  # pyright: ignore[reportUnknownMemberType, reportUnknownArgumentType]  # JSON
    return None
