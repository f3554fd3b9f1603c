"""Runs of models of any modality: the request, the wait for a result that comes later, and the files in it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from time import monotonic
from typing import Any, TypeAlias, cast
from urllib.parse import urljoin, urlsplit

from cfaig_integrations.errors import ConfigError, GatewayError, ProtocolError, TimeoutFault, invalid
from cfaig_integrations.gateway import failures
from cfaig_integrations.gateway.actions import Actions, HttpRequest, HttpResponse, Send, Sleep
from cfaig_integrations.gateway.addresses import is_private
from cfaig_integrations.gateway.attempts import Attempts, SimpleRequest
from cfaig_integrations.gateway.connection import CallOptions, Connection
from cfaig_integrations.gateway.info import GatewayInfo, read_info
from cfaig_integrations.gateway.run_input import RunRequest
from cfaig_integrations.gateway.run_result import (
    Answer,
    Pending,
    RunFile,
    RunResult,
    file_of,
    is_media,
    read_answer,
    read_value,
)
from cfaig_integrations.wire import jsonio
from cfaig_integrations.wire.codec import EmbeddedError
from cfaig_integrations.wire.jsonio import excerpt

Progress: TypeAlias = Callable[[str, int], object]
"""Called with the status of a run that has not ended, and the number of times that it was asked for."""

_MAX_REDIRECTS = 5


class Polling:
    """How the result of a run is waited for.

    Raises:
        ConfigError: A number is out of range, or `progress` is not a function.
    """

    def __init__(self, interval: float, wait: float, progress: Progress | None = None) -> None:
        for name, value, least in (("poll_interval", interval, "above"), ("wait", wait, "of at least")):
            is_number = isinstance(value, int | float) and not isinstance(value, bool)  # pyright: ignore[reportUnnecessaryIsInstance]  # users call this without a type checker
            if not is_number or not (value > 0 if least == "above" else value >= 0):
                raise invalid(name, value, "is not a duration", f"Use a number of seconds {least} zero.")
        if progress is not None and not callable(progress):
            raise ConfigError(
                f"progress is a {type(progress).__name__}.",
                field="progress",
                remedy="Use a function of the status and the number of polls.",
            )
        self._interval, self._wait, self._progress = interval, wait, progress
        self._began, self._slept = monotonic(), 0.0
        self._polls = 0

    def pause(self, pending: Pending) -> Sleep:
        """The pause before the next request.

        Raises:
            TimeoutFault: It would end too late.
        """
        if self._progress is not None:
            self._progress(pending.status, self._polls)
        if max(monotonic() - self._began, self._slept) + self._interval > self._wait:
            raise TimeoutFault(
                f"The run {pending.request_id} is still {pending.status!r} after wait={self._wait:g} seconds. "
                "Use a larger wait, or ask for its result later with this request id.",
                maybe_billed=True,
            )
        self._slept += self._interval
        self._polls += 1
        return Sleep(self._interval)


def run(
    connection: Connection, request: RunRequest, call: CallOptions, polling: Polling, *, download: bool = True
) -> Actions[RunResult]:
    """Runs a model, and downloads the files of its output.

    Raises:
        GatewayError: With `requests_sent`; `TimeoutFault` if the result does not come in time.
    """
    answer, _, info = yield from _answer(connection, request, call, polling)
    files = answer.files
    if download:
        files = yield from _downloaded(connection, call, files)
    return RunResult(answer.output, files, info)


def run_batch(
    connection: Connection, request: RunRequest, call: CallOptions, polling: Polling, *, count: int, download: bool
) -> Actions[list[RunResult | GatewayError]]:
    """Runs a batch: for each input, in their order, its result or its error (facts §9.6).

    Raises:
        GatewayError: With `requests_sent`; `TimeoutFault` if the results do not come in time.
    """
    if count == 0:
        return []
    answer, headers, info = yield from _answer(connection, request, call, polling)
    output: object = answer.output
    responses = cast("dict[str, object]", output).get("responses") if isinstance(output, dict) else None
    if not isinstance(responses, list):
        raise ProtocolError("The answer to a batch has no list of responses.", body=excerpt(repr(answer.output)))
    results: list[RunResult | GatewayError] = [
        ProtocolError(f"The answer to the batch has no response to input {index}.") for index in range(count)
    ]
    response = HttpResponse(200, headers, None)
    for item in cast("list[object]", responses):
        index = _index(item, count)
        if index is None:
            continue
        fields = cast("dict[str, Any]", item)
        failed = fields.get("success") is False or "result" not in fields or fields.get("error")
        try:
            answer = read_value(fields if failed else fields["result"], response)
        except EmbeddedError as error:
            results[index] = failures.from_embedded(error.body, headers)
        except GatewayError as error:
            results[index] = error
        else:
            files = (yield from _downloaded(connection, call, answer.files)) if download else answer.files
            results[index] = RunResult(answer.output, files, replace(info, key_source=answer.key_source))
    return results


def _index(item: object, count: int) -> int | None:
    """The index of the input that a response of a batch belongs to: its reference, else its id."""
    if not isinstance(item, dict):
        return None
    fields = cast("dict[str, object]", item)
    for value in (fields.get("external_reference"), fields.get("id")):
        text = str(value)
        if text.isascii() and text.isdigit() and len(text) < 10 and int(text) < count:
            return int(text)
    return None


def _answer(
    connection: Connection, request: RunRequest, call: CallOptions, polling: Polling
) -> Actions[tuple[Answer, Mapping[str, str], GatewayInfo]]:
    """The answer to a run once it has ended, the response's headers, and how the gateway handled the run.

    The headers of the first response count: they name the log entry of the run, and those of the others of the polls.
    """
    attempts = _RunAttempts(connection, request, call)
    answer, first = yield from attempts.run()
    headers: Mapping[str, str] = first
    while answer.pending is not None and request.awaited:
        try:
            yield polling.pause(answer.pending)
        except GatewayError as error:
            error.requests_sent, error.log_ids = attempts.sent, attempts.log_ids
            raise
        attempts = attempts.poll(answer.pending.request_id)
        answer, last = yield from attempts.run()
        headers = {**last, **first}
    info = read_info(headers, wire="run", model=request.model, key_source=answer.key_source, attempts=attempts.sent)
    return answer, headers, replace(info, log_ids=attempts.log_ids)


class _RunAttempts(SimpleRequest[tuple[Answer, Mapping[str, str]]]):
    """The requests of one run, or of one question for its result."""

    def __init__(self, connection: Connection, request: RunRequest, call: CallOptions) -> None:
        headers = {**call.extra_headers, "accept": "*/*", "content-type": request.content_type}
        call = replace(call, extra_headers=headers)
        super().__init__(connection, request.path, _read, body=request.body, call=call)
        self._request = request

    @property
    def log_ids(self) -> tuple[str, ...]:
        """Those of all requests of the run so far."""
        return self._log_ids if self._log_id is None else (*self._log_ids, self._log_id)

    def poll(self, request_id: str) -> _RunAttempts:
        """The next question for the result, which continues the counts of the run."""
        request = replace(self._request, body=jsonio.dump({"request_id": request_id}), content_type="application/json")
        attempts = _RunAttempts(self._connection, request, self._call)
        attempts.sent, attempts.event_id, attempts.repeatable = self.sent, self.event_id, True
        attempts._log_ids = self.log_ids
        return attempts

    def _check(self, response: HttpResponse) -> HttpResponse:
        return response if is_media(response) else super()._check(response)


def _read(response: HttpResponse, _: int) -> tuple[Answer, Mapping[str, str]]:
    return read_answer(response), response.headers


def _downloaded(connection: Connection, call: CallOptions, files: tuple[RunFile, ...]) -> Actions[tuple[RunFile, ...]]:
    """The files with their contents; one that cannot be downloaded keeps its URL and the error."""
    complete: list[RunFile] = []
    for file in files:
        if file.url is not None and file.data is None:
            try:
                file = yield from _Download(connection, call, file.url).run()  # noqa: PLW2901
            except GatewayError as error:
                file = replace(file, error=error)  # noqa: PLW2901
        complete.append(file)
    return tuple(complete)


class _Download(Attempts[RunFile]):
    """Downloads a file from the host of a provider, which must receive neither the token nor a header of ours."""

    def __init__(self, connection: Connection, call: CallOptions, url: str) -> None:
        super().__init__(connection, call)
        self._url = url
        self.repeatable = True

    def _attempt(self) -> Actions[RunFile]:
        url, timeouts = self._public_url(self._url), self._connection.timeouts_of(self._call, stream=False)
        redirects = 0
        while True:
            self.sent += 1
            response = cast("HttpResponse", (yield Send(HttpRequest("GET", url, [], b"", timeouts, anonymous=True))))
            if 200 <= response.status < 300:
                if not response.body:
                    raise ProtocolError("The file of the result is empty.")
                return file_of(response if is_media(response) else self._check(response), self._url)
            location = response.headers.get("location", "") if 300 <= response.status < 400 else ""
            if location:
                url = self._public_url(url, location)
            if not location or redirects == _MAX_REDIRECTS or not url.startswith(("http://", "https://")):
                error = failures.from_response(response.status, response.headers, response.body or b"")
                if location:
                    error.hint = f"Of a file, {_MAX_REDIRECTS} redirects to http:// or https:// URLs are followed."
                raise error
            redirects += 1

    def _public_url(self, url: str, location: str = "") -> str:
        """The URL, or that to which it redirects.

        Raises:
            ProtocolError: It is not valid, or on this machine or its network while the gateway is not (in tests it is).
        """
        try:
            url = urljoin(url, location)
            parts = urlsplit(url)
            host, _ = (parts.hostname or "").encode("idna").decode(), parts.port
            if not host and parts.scheme in ("http", "https"):
                raise ValueError("it has no host")
        except ValueError as error:
            raise ProtocolError(f"The file of the result has an invalid URL: {error}.", body=url) from None
        if is_private(host) and not is_private(urlsplit(self._connection.settings.base_url).hostname or ""):
            raise ProtocolError(f"The file of the result is at the private address {host}, and is not downloaded.")
        return url
