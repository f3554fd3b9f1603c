"""The result of a run: its output, and the files in it, however the response holds them (facts §5.1, §9.8, §14.5)."""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias, cast
from urllib.parse import unquote_to_bytes

from cfaig_integrations.errors import ApiError, ConfigError, GatewayError, ProtocolError
from cfaig_integrations.gateway import failures
from cfaig_integrations.gateway.actions import HttpResponse
from cfaig_integrations.gateway.failures.redaction import redacted
from cfaig_integrations.gateway.info import GatewayInfo, key_source
from cfaig_integrations.gateway.media_types import media_type_of
from cfaig_integrations.wire import jsonio
from cfaig_integrations.wire.codec import EmbeddedError
from cfaig_integrations.wire.jsonio import excerpt, is_error
from cfaig_integrations.wire.sniff import sniff

_Bytes: TypeAlias = bytes

_MEDIA = ("audio/", "image/", "video/")
_UNKNOWN_TYPES = ("", "application/octet-stream", "binary/octet-stream")
_FILE_FIELDS = ("image", "images", "audio", "video")
_ENVELOPE = frozenset({"result", "success", "errors", "messages", "state", "gatewayMetadata", "request_id"})
_OUTCOMES = frozenset({"result", "error", "errors"})
_RECEIPT = frozenset({"gatewayMetadata", "id", "model", "request_id", "result", "state", "status"})
"""Fields of a response that only says that the run has begun."""
_PENDING = frozenset({"queued", "running", "pending", "processing"})
"""The first two are documented (facts §9.6)."""


@dataclass(frozen=True, slots=True)
class RunFile:
    """A file in the result of a run: an image, audio, a video.

    Attributes:
        media_type: From the content type or the data URL, else by the first bytes; None if neither says.
        url: Where the provider keeps it, if it does; it expires, so the file is downloaded at once.
        error: Why it could not be downloaded, if it could not.
    """

    media_type: str | None = None
    url: str | None = None
    error: GatewayError | None = None
    data: _Bytes | None = field(default=None, repr=False)

    @property
    def bytes(self) -> _Bytes:
        """The contents.

        Raises:
            GatewayError: The download failed.
            ConfigError: There was none, because of `download=False`.
        """
        if self.data is not None:
            return self.data
        raise self.error or ConfigError(
            "The file was not downloaded.",
            field="download",
            value=False,
            remedy="Leave download=False out, or GET url.",
        )

    def save(self, path: str | Path) -> Path:
        """Writes the contents to a file, and returns its path.

        Raises:
            GatewayError: As `bytes`.
            OSError: The file cannot be written.
        """
        path, data = Path(path), self.bytes
        path.write_bytes(data)
        return path


@dataclass(frozen=True, slots=True)
class RunResult:
    """The result of a run of a model of any modality.

    Attributes:
        json: The model's output without Cloudflare's envelopes: usually a dict, a list of a classifier; None of raw
            bytes.
        files: All files of the output, in its order.
        info: How the gateway handled the run: its log id, whose key was used ...
    """

    json: Any = field(repr=False)  # megabytes of base64
    files: tuple[RunFile, ...]
    info: GatewayInfo

    @property
    def key_source(self) -> str | None:
        """Whose provider key was used: `Unified` or `BYOK`."""
        return self.info.key_source

    @property
    def media_type(self) -> str | None:
        """Media type of the first file; None if there is no file."""
        return self.files[0].media_type if self.files else None

    @property
    def bytes(self) -> _Bytes:
        """Contents of the first file.

        Raises:
            ProtocolError: There is no file.
            GatewayError: The download failed.
        """
        return self._first().bytes

    def save(self, path: str | Path) -> Path:
        """Writes the first file to a path, which it returns.

        Raises:
            ProtocolError: There is no file.
            GatewayError: The download failed.
            OSError: The file cannot be written.
        """
        return self._first().save(path)

    def _first(self) -> RunFile:
        if self.files:
            return self.files[0]
        raise ProtocolError("The result has no file: its output is in json.", body=excerpt(repr(self.json)))


@dataclass(frozen=True, slots=True)
class Pending:
    """A run that has not ended.

    Attributes:
        status: `queued` or `running`, as the server writes it.
    """

    request_id: str
    status: str


@dataclass(frozen=True, slots=True)
class Answer:
    """What a response says of a run.

    Attributes:
        output: The output without envelopes.
        files: Files of the output, not downloaded.
        pending: Set if the run has not ended.
    """

    output: Any
    files: tuple[RunFile, ...] = ()
    key_source: str | None = None
    pending: Pending | None = None


def content_type(headers: Mapping[str, str]) -> str:
    """A response's media type without parameters, in lower case; empty if it has none."""
    return headers.get("content-type", "").partition(";")[0].strip().lower()


def is_media(response: HttpResponse) -> bool:
    """Whether a response is a file. Content types are wrong in both directions (facts §14.2), so its bytes decide."""
    body, kind = response.body or b"", content_type(response.headers)
    if media_type_of(body) is not None:
        return True
    if not kind.startswith(_MEDIA) and kind != "application/octet-stream":
        return False
    if not body or sniff(body) != "json":
        return bool(body)
    try:
        jsonio.load(body, repair=False)
    except ProtocolError:
        return True  # raw samples whose first byte is a brace
    return False


def file_of(response: HttpResponse, url: str | None = None) -> RunFile:
    """The file that is the body of a response."""
    body, kind = response.body or b"", content_type(response.headers)
    known = media_type_of(body)
    if known is not None and not kind.startswith(_MEDIA):
        kind = known
    return RunFile(None if kind in _UNKNOWN_TYPES else kind, url, data=body)


def read_answer(response: HttpResponse) -> Answer:
    """What a 2xx response says of a run.

    Raises:
        EmbeddedError: The body holds an error.
        ApiError: The run's state is another one than `Completed`.
        ProtocolError: It is empty, or neither JSON nor a file nor text.
    """
    if is_media(response):
        return Answer(None, (file_of(response),))
    body = response.body or b""
    if content_type(response.headers).startswith("text/") and sniff(body) == "text":
        return Answer(body.decode("utf-8", "replace"))
    return read_value(jsonio.load(body), response)


def read_value(value: Any, response: HttpResponse) -> Answer:
    """What a JSON value says of a run: the output inside any envelopes, and its files; as `read_answer`."""
    source: str | None = None
    while isinstance(value, dict):
        body = cast("dict[str, Any]", value)
        source = key_source(body) or source
        pending = _pending(body)
        if pending is not None:
            return Answer(body, (), source, pending)
        state = body.get("state")
        has_state = isinstance(state, str) and (not body.keys().isdisjoint(_OUTCOMES) or body.keys() <= _ENVELOPE)
        if has_state and str(state).lower() != "completed":
            raise _state_error(str(state), body, response)
        if is_error(body):
            raise EmbeddedError(body)
        if "result" not in body or not (has_state or "success" in body or body.keys() <= _ENVELOPE):
            value = {name: each for name, each in body.items() if name != "gatewayMetadata"}
            break
        value = body["result"]
    return Answer(value, tuple(_files(value)), source)


def _pending(body: Mapping[str, Any]) -> Pending | None:
    request_id, status = body.get("request_id"), body.get("status") or body.get("state")
    if not isinstance(request_id, str) or not request_id or body.get("result"):
        return None
    if status is None:
        return Pending(request_id, "queued") if body.keys() <= _RECEIPT else None
    return Pending(request_id, status) if isinstance(status, str) and status.lower() in _PENDING else None


def _state_error(state: str, body: Mapping[str, Any], response: HttpResponse) -> ApiError:
    """The error of a run that ended in another state, with what the body says about the reason."""
    details = failures.from_embedded(body, response.headers, response.status)
    reason = "" if details.message.startswith("The server answered") else f": {details.message}"
    request_id = body.get("request_id") or body.get("id") or details.request_id
    where = f" (request id {request_id})" if request_id else ""
    details.message = str(redacted(f"The run's state is {state[:100]!r}, not 'Completed'{where}{reason}"))
    details.args = (details.message,)
    details.request_id = None if request_id is None else str(request_id)
    return details


def _files(output: Any) -> Iterator[RunFile]:
    if not isinstance(output, dict):
        return
    for name in _FILE_FIELDS:
        value: object = cast("dict[str, Any]", output).get(name)
        for each in cast("list[object]", value) if isinstance(value, list) else [value]:
            if isinstance(each, str) and (file := _file(each)) is not None:
                yield file


def _file(text: str) -> RunFile | None:
    """The file that a data URL, a URL or base64 stands for; None if the text is none of them."""
    if text[:8].lower().startswith(("http://", "https://")):
        return RunFile(url=text)
    kind = ""
    if text[:5].lower() == "data:":
        head, _, text = text[5:].partition(",")
        kind = head.partition(";")[0].strip().lower()
        if not head.lower().endswith(";base64"):
            return RunFile(kind or "text/plain", data=unquote_to_bytes(text))
    try:
        data = b64decode("".join(text.split()), validate=True)
    except ValueError:
        return None
    if not data:
        return None
    return RunFile(media_type_of(data) if kind in _UNKNOWN_TYPES else kind, data=data)
