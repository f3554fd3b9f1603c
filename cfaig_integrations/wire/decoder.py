"""Decoding of streams whose events are JSON objects: what all wires share."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from pydantic_core import from_json

from cfaig_integrations.core.events import Event
from cfaig_integrations.core.json_types import JsonObject, JsonValue
from cfaig_integrations.core.text import read_int
from cfaig_integrations.errors import ProtocolError, StreamBroken
from cfaig_integrations.wire.codec import EmbeddedError
from cfaig_integrations.wire.jsonio import MALFORMED, excerpt, is_error, load, malformed_as_protocol_error, unwrap

_DONE = b"[DONE]"
"""The end marker of chat completions."""
_KEEP_ALIVE_NAMES = frozenset({"ping", "keepalive", "keep-alive", "keep_alive", "heartbeat"})
_KEEP_ALIVE_DATA = frozenset({b"", b"null", *(name.encode() for name in _KEEP_ALIVE_NAMES)})
_SEPARATOR = re.compile(r"(?:\s|\ufeff|data:|\[DONE\])*+")
_ERROR = re.compile(r'\{\s*"(?:error|errors|success|type)"\s*:')
_RAW_DECODER = json.JSONDecoder(strict=False, parse_int=read_int)


def is_keep_alive(name: JsonValue, data: bytes = b"{}") -> bool:
    """Whether a server-sent event carries nothing of the reply and only keeps the connection alive.

    Args:
        name: The event's name, or the `type` of its JSON object.
        data: The event's data.
    """
    return (isinstance(name, str) and name in _KEEP_ALIVE_NAMES) or data.strip().lower() in _KEEP_ALIVE_DATA


@dataclass(slots=True, eq=False)
class EventDecoder:
    """Push decoder of one stream; a subclass implements `_take` for the JSON objects, and the end of the stream.

    Attributes:
        ended: Whether the end marker came.
        keep_alives: How many of the events so far only kept the connection alive.
        pending_error: The error of the last event, raised when another one follows: otherwise the event may only have
            been truncated.
    """

    ended: bool = False
    keep_alives: int = 0
    pending_error: ProtocolError | EmbeddedError | None = None
    ends_with_done: ClassVar[bool] = False
    """Whether `[DONE]` is the end marker; in other formats, only servers that imitate them send it."""
    payload_keys: ClassVar[frozenset[str]] = frozenset()
    """Keys under which an event without a type may hold a piece of the reply."""

    def feed(self, name: str, data: bytes) -> Sequence[Event]:
        """The events of one server-sent event.

        Raises:
            ProtocolError: The data, or that of the event before it, is not what the format allows.
            EmbeddedError: The event is an error.
        """
        if self.ended and not self._reopens(data):
            return ()
        if self.pending_error is not None:
            raise self.pending_error
        try:
            event: JsonValue = from_json(data)
        except ValueError:
            return self._feed_irregular(name, data)
        if not isinstance(event, dict):
            return self._feed_irregular(name, data)
        if "result" in event:
            event = unwrap(event)
        try:
            return self._take(name, event)
        except (ProtocolError, *MALFORMED) as error:
            raise _with_excerpt(error, data) from None

    def _feed_irregular(self, name: str, data: bytes) -> Sequence[Event]:
        """Takes data that is not exactly one valid object: a keep-alive, several objects, `[DONE]`."""
        if is_keep_alive(name, data) and b"\n" not in data:
            self.keep_alives += 1
            return ()
        try:
            objects = split_objects(data)
        except ProtocolError as error:
            self.pending_error = error
            return ()
        events: list[Event] = []
        for each in objects:
            try:
                events += self._take(name if len(objects) == 1 else "", unwrap(each))
            except (ProtocolError, EmbeddedError, *MALFORMED) as error:
                error_with_body = _with_excerpt(error, data)
                if not events:
                    raise error_with_body from None
                self.pending_error = error_with_body  # raised once the caller has the events before it
                return events
            if self.ended:
                return events
        self.ended = self.ends_with_done and data.rstrip().endswith(_DONE)
        return events

    def _reopens(self, data: bytes) -> bool:
        """Whether data after the end marker still belongs to the reply."""
        return False

    def _take(self, name: str, event: JsonObject) -> Sequence[Event]:
        """The events of one JSON object; `name` is that of the server-sent event, which some servers omit."""
        raise NotImplementedError

    def _take_unknown(self, event: JsonObject) -> Sequence[Event]:
        """Skips an event of an unknown type; an error if it is one, or has a piece of a reply but no type."""
        if is_error(event):
            raise EmbeddedError(event)
        kind = event.get("type")
        if not event or is_keep_alive(kind):
            self.keep_alives += 1
        elif not isinstance(kind, str) and (keys := sorted(self.payload_keys & event.keys())):
            raise ProtocolError(f"An event of the stream has a {keys[0]} but no type.")
        return ()

    def close(self) -> Sequence[Event]:
        """The last events.

        Raises:
            StreamBroken: The stream ended before its end marker, or held no reply.
            ProtocolError: What it held is not a valid reply.
            EmbeddedError: Its last event was an error.
        """
        if missing := self._missing():
            raise self._truncated(missing)
        with malformed_as_protocol_error("The stream held no valid reply", ""):
            return self._last_events()

    def _missing(self) -> str:
        """What a stream that ends here lacks, as a sentence; empty if the reply is complete."""
        raise NotImplementedError

    def _last_events(self) -> Sequence[Event]:
        """The events that only the end of the stream makes final."""
        return ()

    def _partial_text(self) -> str:
        """The text so far."""
        raise NotImplementedError

    def _truncated(self, message: str) -> ProtocolError | EmbeddedError:
        """The error of a stream that ended too early."""
        error = self.pending_error
        if isinstance(error, EmbeddedError):
            return error
        return StreamBroken(message, body=error.body if error else None, partial=self._partial_text())


def _with_excerpt(error: Exception, data: bytes) -> ProtocolError | EmbeddedError:
    """The error of an event, with the event."""
    if isinstance(error, EmbeddedError):
        return error
    if not isinstance(error, ProtocolError):
        return ProtocolError(f"The stream has an event that does not follow its format: {error!r}.", body=excerpt(data))
    error.body = error.body or excerpt(data)
    return error


def split_objects(data: bytes) -> list[JsonObject]:
    """The JSON objects in the data of one event: more than one where a server joined events (facts §14.2).

    An event that was cut off by an error is that error. `[DONE]` is skipped.

    Raises:
        ProtocolError: There is anything other than objects and lists of them.
    """
    text = data.decode("utf-8", "replace")
    values: list[JsonValue] = []
    at = _skip_separator(text, 0)
    while at < len(text):
        try:
            _, end = _RAW_DECODER.raw_decode(text, at)
            value = load(text[at:end], repair=False)
        except (ValueError, RecursionError, ProtocolError) as error:
            if trailing := _trailing_error(text, at):
                return [trailing]
            raise ProtocolError("An event of the stream is not JSON.", body=excerpt(data)) from error
        values += value if value and isinstance(value, list) else [value]
        at = _skip_separator(text, end)
    objects = [value for value in values if isinstance(value, dict)]
    if len(objects) < len(values):
        raise ProtocolError("An event of the stream is JSON, but not an object.", body=excerpt(data))
    return objects


def _skip_separator(text: str, at: int) -> int:
    """Where the next value begins: after whitespace, end markers, and the label of an event without its own line."""
    separator = _SEPARATOR.match(text, at)
    return separator.end() if separator else at


def _trailing_error(text: str, at: int) -> JsonObject | None:
    starts = [match.start() for match in _ERROR.finditer(text, at + 1)]
    for start in starts[-2:]:  # the outer and the inner object of `{"type": "error", "error": {..}}`
        try:
            value = load(text[start:], repair=False)
        except ProtocolError:
            continue
        if isinstance(value, dict) and is_error(value):
            return value
    return None
