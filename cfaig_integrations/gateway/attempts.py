"""The requests of one call: each is sent, and sent again while its failure is transient.

A call is a generator. It yields actions (send, wait, ask for a token, read) and is sent their outcomes; transport
errors are thrown into it. So sync and async share everything but the I/O.
"""

from __future__ import annotations

import logging
import os
import random
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Generic, Literal, TypeVar, cast

from cfaig_integrations.errors import ConfigError, GatewayError, TransportFault
from cfaig_integrations.gateway import failures
from cfaig_integrations.gateway.actions import Actions, AskToken, HttpRequest, HttpResponse, Send, Sleep
from cfaig_integrations.gateway.connection import NO_CALL_OPTIONS, CallOptions, Connection, Pairs
from cfaig_integrations.gateway.failures.redaction import conceal
from cfaig_integrations.gateway.settings import Secret
from cfaig_integrations.wire import jsonio
from cfaig_integrations.wire.codec import EmbeddedError
from cfaig_integrations.wire.jsonio import is_error
from cfaig_integrations.wire.sniff import sniff

_T = TypeVar("_T")
_log = logging.getLogger(__name__)


class Attempts(ABC, Generic[_T]):
    """The requests of one call.

    Attributes:
        sent: Number of requests sent.
        event_id: `cf-aig-event-id` that they share, unless the user sets one (facts §3.1).
        repeatable: Whether sending them twice costs nothing more, so that any transient failure is retried.
    """

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
                    if isinstance(final, TransportFault) and final.maybe_billed and not final.retryable:
                        final.message += " The model may have run: only retry_after_send=True sends it again."
                        final.args = (final.message,)
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

    def _pause(self, error: GatewayError) -> float | None:
        """Seconds to wait before the same request is sent again; None: it is not."""
        policy = self._connection.policy_of(self._call)
        if self.repeatable:
            policy = replace(policy, after_send=True)
        error.retryable = policy.repeats(error)
        pause = policy.delay(error, self._retries + 1, random.random)
        if pause is not None:
            self._retries += 1
        error.maybe_billed = error.maybe_billed and not self.repeatable
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
            response = cast("HttpResponse", (yield Send(request)))
        except ConfigError:  # the address or the certificates: nothing was sent
            self.sent -= 1
            raise
        if 200 <= response.status < 300:
            self._log_id = response.headers.get("cf-aig-log-id")
            if self._log_ids:
                response = replace(response, earlier_log_ids=self._log_ids)
            return self._check(response)
        raise failures.from_response(response.status, response.headers, response.body or b"")

    def _check(self, response: HttpResponse) -> HttpResponse:
        return without_html(response)


class SimpleRequest(Attempts[_T]):
    """One request that stays the same, and whose response is read as a whole.

    Args:
        connection: Account, host and defaults.
        path: Path of the endpoint, or its whole URL.
        read: Makes the result of the response, given the number of requests sent; an `EmbeddedError` of it becomes the
            error that the body holds.
        body: JSON object or bytes to send, if any.
        method: HTTP method.
        call: What this call changes.
    """

    def __init__(
        self,
        connection: Connection,
        path: str,
        read: Callable[[HttpResponse, int], _T],
        *,
        body: dict[str, Any] | bytes = b"",
        method: Literal["GET", "PATCH", "POST"] = "POST",
        call: CallOptions = NO_CALL_OPTIONS,
    ) -> None:
        super().__init__(connection, call)
        self._method, self._path, self._read = method, path, read
        self.repeatable = method != "POST"
        self._body = body if isinstance(body, bytes) else jsonio.dump(body)

    def _attempt(self) -> Actions[_T]:
        url = self._connection.url(self._path) if self._path.startswith("/") else self._path
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


def without_html(response: HttpResponse) -> HttpResponse:
    """The response, unless it is the page of a proxy or a login."""
    body = response.body
    if body is not None and body[:1] != b"{" and sniff(body) == "html":
        raise failures.from_html(response.status, response.headers, body)
    return response
