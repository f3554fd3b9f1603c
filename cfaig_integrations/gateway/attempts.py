"""The requests of one call: headers, sending, retries; and the two calls that are no more than that."""

from __future__ import annotations

import random
from collections.abc import Callable, Generator, Mapping
from typing import Any, TypeVar

from cfaig_integrations.errors import ConfigError, GatewayError
from cfaig_integrations.gateway import failures
from cfaig_integrations.gateway.actions import Action, AskToken, HttpRequest, HttpResponse, Outcome, Send, Sleep
from cfaig_integrations.gateway.connection import NO_CALL_OPTIONS, CallOptions, Connection, Pairs
from cfaig_integrations.gateway.failures.redaction import conceal
from cfaig_integrations.gateway.settings import Secret
from cfaig_integrations.wire import jsonio
from cfaig_integrations.wire.codec import EmbeddedError
from cfaig_integrations.wire.common import is_error
from cfaig_integrations.wire.sniff import sniff

_T = TypeVar("_T")


class Attempts:
    """The requests of one call: how many were sent, and whether there is to be another."""

    __slots__ = ("_call", "_connection", "_headers", "_retries", "sent")

    def __init__(self, connection: Connection, call: CallOptions) -> None:
        self._connection = connection
        self._call = call
        self._headers: Pairs = []
        self._retries = 0
        self.sent = 0

    def counted(self, steps: Generator[Action, Outcome, _T]) -> Generator[Action, Outcome, _T]:
        """`steps`, with `requests_sent` on whatever they raise, and no credential of the request in it."""
        try:
            return (yield from steps)
        except GatewayError as error:
            error.requests_sent = self.sent
            conceal(error, self._headers)
            raise

    def until_final(self, once: Callable[[], Generator[Action, Outcome, _T]]) -> Generator[Action, Outcome, _T]:
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

    def send(self, call: HttpRequest) -> Generator[Action, Outcome, HttpResponse]:
        """Sends, and raises what the status says."""
        self.sent += 1
        try:
            answer = yield Send(call)
        except ConfigError:
            self.sent -= 1
            raise
        if not isinstance(answer, HttpResponse):
            raise TypeError(f"the driver answered Send with a {type(answer).__name__}")
        if 200 <= answer.status < 300:
            return readable(answer)
        raise failures.from_response(answer.status, answer.headers, answer.body or b"")

    def headers(self, wire_headers: Mapping[str, str], *, stream: bool) -> Generator[Action, Outcome, Pairs]:
        """The headers of the next request, its token asked for if it has to be."""
        pairs = self._connection.headers_of(self._call, wire_headers, stream=stream)
        source = self._connection.settings.api_token
        if source is not None and not isinstance(source, Secret):
            token = yield AskToken(source)
            pairs += self._connection.auth(token)
        self._headers = pairs
        return pairs


def readable(answer: HttpResponse) -> HttpResponse:
    """The answer, unless it is the page of a proxy or a login."""
    if answer.body is not None and sniff(answer.body) == "html":
        raise failures.from_html(answer.status, answer.headers, answer.body)
    return answer


def fetch(
    connection: Connection, path: str, read: Callable[[object], _T], change: dict[str, Any] | None = None
) -> Generator[Action, Outcome, _T]:
    """The conversation that reads an object of the management API, or changes it.

    Args:
        connection: Whom to ask.
        path: Where it is.
        read: Makes what is wanted of the answer's result.
        change: Its fields that are to be others; None: it is only read.

    Raises:
        GatewayError: With `requests_sent`.
    """
    talk = Attempts(connection, NO_CALL_OPTIONS)
    url = connection.settings.url(path)
    method, data = ("GET", b"") if change is None else ("PATCH", jsonio.dump(change))
    limits = connection.timeouts_of(NO_CALL_OPTIONS, stream=False)

    def once() -> Generator[Action, Outcome, _T]:
        headers = yield from talk.headers({}, stream=False)
        answer = yield from talk.send(HttpRequest(method, url, headers, data, limits))
        body = jsonio.load_object(answer.body or b"")
        if is_error(body):
            raise failures.from_refused(body, answer.headers, answer.status)
        return read(body.get("result"))

    return (yield from talk.counted(talk.until_final(once)))


def post(
    connection: Connection,
    path: str,
    body: dict[str, Any],
    decode: Callable[[bytes], _T],
    call: CallOptions = NO_CALL_OPTIONS,
) -> Generator[Action, Outcome, tuple[_T, HttpResponse, int]]:
    """The conversation that sends a JSON object to a path, and gets what `decode` reads in the answer.

    Returns:
        What was read, the answer itself, and how many requests it took.

    Raises:
        GatewayError: With `requests_sent`.
    """
    talk = Attempts(connection, call)
    url, data = connection.settings.url(path), jsonio.dump(body)
    limits = connection.timeouts_of(call, stream=False)

    def once() -> Generator[Action, Outcome, tuple[_T, HttpResponse, int]]:
        headers = yield from talk.headers({}, stream=False)
        answer = yield from talk.send(HttpRequest("POST", url, headers, data, limits))
        try:
            return decode(answer.body or b""), answer, talk.sent
        except EmbeddedError as error:
            raise failures.from_refused(error.body, answer.headers, answer.status) from None

    return (yield from talk.counted(talk.until_final(once)))
