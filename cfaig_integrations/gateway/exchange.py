"""One conversation with the server, as a generator that a driver runs.

The generator yields steps (send this, sleep, ask for a token, read on) and is sent what came of them; a fault of the
network is thrown into it. So what is tried again, when, and over which wire is written once for sync and async.
Knows no HTTP library, no clock and no wire format's fields.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, TypeVar, cast

from cfaig_integrations.core.chat import ChatReply, ChatRequest
from cfaig_integrations.core.content import Wire
from cfaig_integrations.core.fold import fold
from cfaig_integrations.core.stops import cut
from cfaig_integrations.core.unfold import unfold
from cfaig_integrations.errors import ApiError, ConfigError, GatewayError
from cfaig_integrations.gateway import failures, routes
from cfaig_integrations.gateway.affinity import affinity_headers
from cfaig_integrations.gateway.connection import NO_CALL_OPTIONS, CallOptions, Connection, Pairs
from cfaig_integrations.gateway.continuation import is_forgotten, seal, tail_of
from cfaig_integrations.gateway.info import GatewayInfo, read_info
from cfaig_integrations.gateway.options import GatewayOptions
from cfaig_integrations.gateway.routes import Route
from cfaig_integrations.gateway.session import StreamSession
from cfaig_integrations.gateway.settings import Secret
from cfaig_integrations.gateway.steps import Answer, AskToken, HttpCall, Outcome, ReadOn, Send, Sleep, Step
from cfaig_integrations.wire import jsonio
from cfaig_integrations.wire.codec import ChatCodec, Refused
from cfaig_integrations.wire.registry import codec

_T = TypeVar("_T")


def chat(
    connection: Connection, request: ChatRequest, call: CallOptions = NO_CALL_OPTIONS
) -> Generator[Step, Outcome, tuple[ChatReply, GatewayInfo]]:
    """The conversation that gets one whole reply.

    Raises:
        GatewayError: With `requests_sent`.
    """
    talk = _Talk(connection, call, request, stream=False)
    return (yield from talk.run(talk.whole))


def stream(
    connection: Connection, request: ChatRequest, call: CallOptions = NO_CALL_OPTIONS
) -> Generator[Step, Outcome, StreamSession]:
    """The conversation that opens a stream, up to its first piece of the answer.

    Until then nothing has reached the caller, so a failure is tried again like that of a whole reply.

    Raises:
        GatewayError: With `requests_sent`.
    """
    talk = _Talk(connection, call, request, stream=True)
    return (yield from talk.run(talk.opened))


def fetch(
    connection: Connection, path: str, change: dict[str, Any] | None = None
) -> Generator[Step, Outcome, dict[str, Any]]:
    """The conversation that reads a JSON object of the management API, or changes it.

    Args:
        connection: Whom to ask.
        path: Where it is.
        change: Its fields that are to be others; None: it is only read.

    Raises:
        GatewayError: With `requests_sent`.
    """
    talk = _Tries(connection, NO_CALL_OPTIONS)
    url = connection.settings.url(path)
    method, data = ("GET", b"") if change is None else ("PATCH", jsonio.dump(change))
    limits = connection.timeouts_of(NO_CALL_OPTIONS, stream=False)

    def once() -> Generator[Step, Outcome, dict[str, Any]]:
        headers = yield from talk.headers({}, stream=False)
        answer = yield from talk.send(HttpCall(method, url, headers, data, limits))
        body = jsonio.load_object(answer.body or b"")
        if body.get("success") is False:
            raise failures.from_refused(body, answer.headers, answer.status)
        return body

    return (yield from talk.counted(talk.until_final(once)))


def post(
    connection: Connection,
    path: str,
    body: dict[str, Any],
    decode: Callable[[bytes], _T],
    call: CallOptions = NO_CALL_OPTIONS,
) -> Generator[Step, Outcome, tuple[_T, Answer, int]]:
    """The conversation that sends a JSON object to a path, and gets what `decode` reads in the answer.

    Returns:
        What was read, the answer itself, and how many requests it took.

    Raises:
        GatewayError: With `requests_sent`.
    """
    talk = _Tries(connection, call)
    url, data = connection.settings.url(path), jsonio.dump(body)
    limits = connection.timeouts_of(call, stream=False)

    def once() -> Generator[Step, Outcome, tuple[_T, Answer, int]]:
        headers = yield from talk.headers({}, stream=False)
        answer = yield from talk.send(HttpCall("POST", url, headers, data, limits))
        try:
            return decode(answer.body or b""), answer, talk.sent
        except Refused as error:
            raise failures.from_refused(error.body, answer.headers, answer.status) from None

    return (yield from talk.counted(talk.until_final(once)))


class _Tries:
    """The requests of one call: how many were sent, and whether there is to be another."""

    __slots__ = ("_call", "_connection", "_retries", "sent")

    def __init__(self, connection: Connection, call: CallOptions) -> None:
        self._connection = connection
        self._call = call
        self._retries = 0
        self.sent = 0

    def counted(self, steps: Generator[Step, Outcome, _T]) -> Generator[Step, Outcome, _T]:
        """`steps`, with `requests_sent` on whatever they raise."""
        try:
            return (yield from steps)
        except GatewayError as error:
            error.requests_sent = self.sent
            raise

    def until_final(self, once: Callable[[], Generator[Step, Outcome, _T]]) -> Generator[Step, Outcome, _T]:
        """`once`, again and again until it succeeds or its failure is final."""
        policy = self._connection.policy_of(self._call)
        while True:
            try:
                return (yield from once())
            except GatewayError as error:
                delay = policy.delay(error, self._retries + 1, random.random)
                if delay is None:
                    raise
            self._retries += 1
            yield Sleep(delay)

    def send(self, call: HttpCall) -> Generator[Step, Outcome, Answer]:
        """Sends, and raises what the status says."""
        self.sent += 1
        try:
            answer = yield Send(call)
        except ConfigError:
            self.sent -= 1
            raise
        if not isinstance(answer, Answer):
            raise TypeError(f"the driver answered Send with a {type(answer).__name__}")
        if 200 <= answer.status < 300:
            return answer
        raise failures.from_response(answer.status, answer.headers, answer.body or b"")

    def headers(self, wire_headers: Mapping[str, str], *, stream: bool) -> Generator[Step, Outcome, Pairs]:
        """The headers of the next request, its token asked for if it has to be."""
        pairs = self._connection.headers_of(self._call, wire_headers, stream=stream)
        source = self._connection.settings.api_token
        if not isinstance(source, Secret):
            token = yield AskToken(source)
            auth = self._connection.auth(cast("str", token))  # checked there
            pairs += [(name.encode(), value.encode()) for name, value in auth.items()]
        return pairs


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


class _Talk(_Tries):
    """One chat request, on its wire and perhaps on the other."""

    __slots__ = ("_forgotten", "_history", "_limits", "_request", "_stream", "_switched_from")

    def __init__(self, connection: Connection, call: CallOptions, request: ChatRequest, *, stream: bool) -> None:
        super().__init__(connection, call)
        self._request = request
        self._stream = stream
        self._switched_from: Wire | None = None
        self._forgotten = False
        self._history = _history(request, connection.options_of(call))
        self._limits = connection.timeouts_of(call, stream=stream)

    def run(self, once: Callable[[_Prepared], Generator[Step, Outcome, _T]]) -> Generator[Step, Outcome, _T]:
        """The conversation; `once` is one try of it."""
        return self.counted(self._over_wires(once))

    def _over_wires(self, once: Callable[[_Prepared], Generator[Step, Outcome, _T]]) -> Generator[Step, Outcome, _T]:
        legacy = self._connection.settings.legacy
        route = routes.route(self._request, api=self._call.api or self._connection.api, legacy=legacy)
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
        self, route: Route, once: Callable[[_Prepared], Generator[Step, Outcome, _T]]
    ) -> Generator[Step, Outcome, _T]:
        """The conversation over one wire; over again with the whole history, if the server does not remember it."""
        prepared = self._prepared(route)
        try:
            return (yield from self.until_final(partial(once, prepared)))
        except ApiError as error:
            if not (self._continues(route) and is_forgotten(error)):
                raise
        self._forgotten = True
        return (yield from self.until_final(partial(once, self._prepared(route))))

    def _continues(self, route: Route) -> bool:
        return route.wire == "responses" and not self._forgotten and bool(tail_of(self._request))

    def _said(self, route: Route) -> ChatRequest:
        """The request, without what the server remembers and without what is seen to here."""
        request, known = self._request, self._request.continues
        if known is not None and self._continues(route):
            request = replace(request, turns=tail_of(request), previous_response_id=known.response_id)
        return replace(request, stop=()) if request.stop and _cannot_stop(route) else request

    def _prepared(self, route: Route) -> _Prepared:
        wire_codec = codec(route.wire)
        said = self._said(route)
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
        )

    def _body_options(self, wire: Wire) -> dict[str, Any]:
        options = self._connection.options_of(self._call)
        fields = {} if options is None else options.body_options()
        if fields and wire in {"responses", "messages"}:
            raise ConfigError(
                f"The {wire} wire has no place for {', '.join(fields)}.",
                field="gateway",
                value=fields,
                remedy="Take it out, or use api='chat_completions' or api='run' (wire-facts §1.2).",
            )
        return fields

    def whole(self, prepared: _Prepared) -> Generator[Step, Outcome, tuple[ChatReply, GatewayInfo]]:
        """One try for a whole reply."""
        answer = yield from self._sent(prepared)
        reply = self._reply(prepared, answer)
        return reply, self._info(prepared, answer, reply)

    def opened(self, prepared: _Prepared) -> Generator[Step, Outcome, StreamSession]:
        """One try to open a stream."""
        answer = yield from self._sent(prepared)
        session = self._session(prepared, answer)
        if answer.body is not None:
            reply = self._reply(prepared, answer)
            session.info = self._info(prepared, answer, reply)
            session.waiting, session.ended = unfold(reply), True
            return session
        while not session.speaks:
            chunk = yield ReadOn()
            if chunk is None:
                session.waiting += session.close()
                break
            if not isinstance(chunk, bytes):
                raise TypeError(f"the driver answered ReadOn with a {type(chunk).__name__}")
            session.waiting += session.feed(chunk)
        return session

    def _sent(self, prepared: _Prepared) -> Generator[Step, Outcome, Answer]:
        headers = yield from self.headers(prepared.headers, stream=self._stream)
        call = HttpCall("POST", prepared.url, headers, prepared.body, self._limits, self._stream)
        return (yield from self.send(call))

    def _session(self, prepared: _Prepared, answer: Answer) -> StreamSession:
        return StreamSession(
            prepared.codec.decoder(),
            self._info(prepared, answer),
            answer.headers,
            requests_sent=self.sent,
            event_limit=self._connection.event_limit,
            stops=prepared.stops,
        )

    def _reply(self, prepared: _Prepared, answer: Answer) -> ChatReply:
        """The reply that a whole body holds, be it a document or a stream."""
        reply = self._decoded(prepared, answer)
        return cut(reply, prepared.stops) if prepared.stops else reply

    def _decoded(self, prepared: _Prepared, answer: Answer) -> ChatReply:
        body = answer.body or b""
        if "event-stream" in answer.headers.get("content-type", ""):
            session = self._session(replace(prepared, stops=()), answer)
            return fold(prepared.route.wire, [*session.feed(body), *session.close()])
        try:
            return prepared.codec.decode(body)
        except Refused as error:
            raise failures.from_refused(error.body, answer.headers, answer.status) from None

    def _info(self, prepared: _Prepared, answer: Answer, reply: ChatReply | None = None) -> GatewayInfo:
        return read_info(
            answer.headers,
            wire=prepared.route.wire,
            model=self._request.model,
            key_source=None if reply is None else _key_source(reply),
            switched_from=self._switched_from,
            attempts=self.sent,
            history=self._history if prepared.route.wire == "responses" else None,
        )


def _cannot_stop(route: Route) -> bool:
    """Whether the body is in OpenAI's Responses format, which alone has no stop texts."""
    return route.wire == "responses" or (route.wire == "run" and route.quirks.run_body == "responses")


def _history(request: ChatRequest, options: GatewayOptions | None) -> str | None:
    """Seal of what a reply will answer, if the conversation can go on from the provider's memory of the reply."""
    # Of an answer that is cut here, the provider remembers the whole; and who asks for zero data retention asks that
    # nothing be remembered, whatever `store` says.
    unkept = request.extra_body.get("store", request.store) is False or (options is not None and options.zdr)
    if request.continues is None or unkept or request.stop:
        return None
    return seal(request.model, request.turns)


def _refuses_shape(error: ApiError) -> bool:
    return routes.is_shape_refusal(error.status, error.code, error.message)


def _key_source(reply: ChatReply) -> str | None:
    """Whose provider key was used, where the body tells (wire-facts §2.3)."""
    for values in reply.extras.values():
        source = values.get("gatewayMetadata")
        if isinstance(source, Mapping):
            return str(source.get("keySource") or "") or None  # pyright: ignore[reportUnknownMemberType, reportUnknownArgumentType]  # JSON
    return None
