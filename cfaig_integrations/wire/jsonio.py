"""JSON in and out, the one place where bytes become objects, and what the replies of all wires share.

A reply is read by the types of its fields; it may be in Cloudflare's envelopes, or be an error. Reading uses
`pydantic_core.from_json`, two to four times as fast as the standard library's.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from contextlib import contextmanager
from secrets import token_hex
from typing import cast

from pydantic import BaseModel, Secret, SecretBytes, SecretStr
from pydantic_core import from_json, to_json

from cfaig_integrations.core.json_types import JsonObject, JsonValue
from cfaig_integrations.core.text import read_json, repair_value
from cfaig_integrations.errors import ConfigError, ProtocolError
from cfaig_integrations.wire.codec import EmbeddedError

MALFORMED = (AttributeError, IndexError, KeyError, OverflowError, RecursionError, TypeError, ValueError)
"""What Python raises where a JSON value is not of the type that its format defines."""

_EXCERPT_LENGTH = 500
_LARGEST = 2**53
"""The largest whole number that every JSON reader can represent."""
_MASK = b'"**********"'
"""What pydantic writes in place of a secret."""
_PLACE = token_hex(16)
"""Stands for the tools of a body, and occurs in no text of a user."""


def excerpt(data: bytes | str | JsonObject) -> str:
    """The beginning of `data` as text, short enough for an error message."""
    if isinstance(data, dict):
        data = dump_text(data)
    text = data[: _EXCERPT_LENGTH * 4].decode("utf-8", "replace") if isinstance(data, bytes) else data
    return text if len(text) <= _EXCERPT_LENGTH else text[:_EXCERPT_LENGTH] + " ..."


def load(data: bytes | str, *, repair: bool = True) -> JsonValue:
    """The JSON value of `data`.

    Args:
        data: UTF-8 bytes or text. Bytes that are not UTF-8 become U+FFFD.
        repair: As in `core.text.read_json`.

    Raises:
        ProtocolError: It is not JSON.
    """
    try:
        value: JsonValue = from_json(data)
        return value
    except (ValueError, TypeError) as error:  # the latter for half a surrogate pair in a `str`
        if not data.strip():
            raise ProtocolError("The answer is empty.", body=excerpt(data)) from None
        if "recursion limit" in str(error):  # 200 levels, fewer than the limit of `read_json`
            raise ProtocolError("The answer's JSON is nested too deeply.", body=excerpt(data)) from None
    try:
        return read_json(data.decode("utf-8", "replace") if isinstance(data, bytes) else data, repair=repair)
    except ValueError as error:
        raise ProtocolError(f"The answer is not JSON: {error}.", body=excerpt(data)) from None


def load_object(data: bytes | str | JsonObject) -> JsonObject:
    """The JSON object of `data`, which may be one already; of a list of objects, as Google sends errors, the first.

    Raises:
        ProtocolError: It is not JSON, or not an object.
    """
    value = data if isinstance(data, dict) else load(data)
    if isinstance(value, list) and value and isinstance(value[0], dict):
        value = value[0]
    if not isinstance(value, dict):
        raise ProtocolError(f"The answer is a JSON {type(value).__name__}, not an object.", body=excerpt(data))
    return value


def is_object_text(text: str) -> bool:
    """Whether `text` is exactly one JSON object."""
    try:
        return isinstance(load(text), dict)
    except ProtocolError:
        return False


def as_str(value: JsonValue) -> str:
    """An id, a name or an enumeration value; a number as its digits, empty if it is anything else."""
    return value if isinstance(value, str) else dump_text(value) if type(value) in (int, float) else ""


def as_text(content: JsonValue) -> str:
    """Content as text: numbers as their digits, objects as JSON (facts §5.1, §5.3)."""
    return content if isinstance(content, str) else dump_text(content)


def count_of(value: JsonValue) -> int | None:
    """A number of tokens or a position in a list; None if it is not a whole number from 0 to 2**53."""
    if type(value) is not int:
        if type(value) is not float or not value.is_integer():
            return None
        value = int(value)
    return value if 0 <= value <= _LARGEST else None


def object_or_empty(value: JsonValue) -> JsonObject:
    """An object; empty if the value is anything else."""
    return value if isinstance(value, dict) else {}


def list_or_empty(value: JsonValue) -> list[JsonValue]:
    """A list; empty if the value is anything else."""
    return value if isinstance(value, list) else []


def objects_among(value: JsonValue) -> list[JsonObject]:
    """The objects in a list; none if the value is anything else."""
    return [item for item in list_or_empty(value) if isinstance(item, dict)]


def object_of(holder: Mapping[str, JsonValue], key: str) -> JsonObject | None:
    """The object under `key`; None if there is none.

    Raises:
        ProtocolError: The value is not an object.
    """
    value = holder.get(key)
    if value is None or isinstance(value, dict):
        return value
    raise wrong_type(key, value, "an object")


def objects_of(holder: Mapping[str, JsonValue], key: str, *, one: bool = False) -> list[JsonObject]:
    """The objects in the list under `key`; with `one`, a single object may be there without a list.

    Raises:
        ProtocolError: The value is not a list of objects.
    """
    value = holder.get(key)
    if value is None or (one and value == ""):
        return []
    if one and isinstance(value, dict):
        return [value]
    if not isinstance(value, list):
        raise wrong_type(key, value, "a list")
    objects = [item for item in value if isinstance(item, dict)]
    if len(objects) < len(value):
        raise wrong_type(f"{key}[]", next(item for item in value if not isinstance(item, dict)), "an object")
    return objects


def text_of(holder: Mapping[str, JsonValue], key: str) -> str:
    """The text under `key`; empty if there is none, and a number's digits, for models that answer with one digit.

    Raises:
        ProtocolError: The value is neither text nor a number.
    """
    value = holder.get(key)
    if value is None or type(value) in (str, int, float):
        return as_str(value)
    raise wrong_type(key, value, "text")


def wrong_type(key: str, value: JsonValue, expected: str) -> ProtocolError:
    """The error for a required field of the wrong type."""
    return ProtocolError(f"The answer's {key} is of type {type(value).__name__}, not {expected}.")


def is_error(body: Mapping[str, JsonValue]) -> bool:
    """Whether a body or an event is an error, in any known shape (facts §5.5)."""
    return bool(
        body.get("error")
        or body.get("errors")
        or body.get("success") is False
        or body.get("type") in ("error", "response.failed")  # the latter also where chunks were requested
        or body.get("object") == "error"  # vLLM and Mistral, whose message stands at the top
        or "internalCode" in body
        or ("state" in body and isinstance(result := body.get("result"), dict) and is_error(result))
    )


def unwrap(body: JsonObject) -> JsonObject:
    """The reply inside Cloudflare's envelopes, or `body` if it has none.

    They are `{"result", "success"}` and `{"state", "result"}`, or one around the other (facts §5.2, §14.5).

    Raises:
        ProtocolError: The state is not that of a complete reply.
    """
    while "result" in body and not is_error(body):
        state, result = body.get("state"), body["result"]
        if not isinstance(state, str) and "success" not in body:
            break
        if isinstance(state, str) and state.lower() != "completed":
            raise ProtocolError(
                f"The request's state is {state[:100]!r}, not 'Completed': the response holds no reply.",
                body=excerpt(body),
            )
        if not isinstance(result, dict):
            break
        body = result
    return body


def open_envelope(body: JsonObject) -> JsonObject:
    """The reply inside Cloudflare's envelopes, as `unwrap`.

    Raises:
        ProtocolError: The state is not that of a complete reply.
        EmbeddedError: The body or the reply is an error.
    """
    if is_error(body):
        raise EmbeddedError(body)
    reply = unwrap(body)
    if is_error(reply):
        raise EmbeddedError(reply)
    return reply


def load_reply(body: bytes | JsonObject) -> JsonObject:
    """The JSON object of a whole body, without Cloudflare's envelopes.

    Raises:
        ProtocolError: It is not a JSON object.
        EmbeddedError: It is an error.
    """
    return open_envelope(load_object(body))


@contextmanager
def malformed_as_protocol_error(message: str, data: bytes | str | JsonObject) -> Generator[None]:
    """Turns the errors that malformed values raise into a `ProtocolError` with `message` and an excerpt of `data`."""
    try:
        yield
    except ProtocolError as error:
        error.body = error.body or excerpt(data) or None
        raise
    except MALFORMED as error:
        raise ProtocolError(f"{message}: {error!r}.", body=excerpt(data) or None) from error


class SharedObject(dict[str, JsonValue]):
    """A JSON object that many bodies contain unchanged, such as a tool: its JSON is written once."""

    __slots__ = ("_json",)
    _json: bytes

    def json(self) -> bytes:
        """The object as JSON bytes."""
        try:
            return self._json
        except AttributeError:
            self._json = _dump(self)
            return self._json


def dump(body: Mapping[str, JsonValue]) -> bytes:
    """A request body as JSON bytes, its surrogates repaired and its secrets (`pydantic.SecretStr`) revealed.

    Raises:
        ConfigError: A value in it cannot be written as JSON.
    """
    try:
        return _checked(_dump_body(body), body)
    except (ValueError, RecursionError) as error:  # includes PydanticSerializationError, for an unknown type
        path = _invalid_field(body)
        raise ConfigError(
            f"The request's {path!r} cannot be written as JSON: {error}.",
            field=path,
            remedy="Use strings, finite numbers, booleans, None, lists and dicts, nested at most 200 deep.",
        ) from None


def _dump_body(body: Mapping[str, JsonValue]) -> bytes:
    """The JSON of a body, with that of its tools, perhaps within `input`, as it was written before."""
    inner = body.get("input")
    holder = inner if isinstance(inner, dict) else body
    tools = holder.get("tools")
    if not isinstance(tools, list) or not tools:
        return _dump(body)
    without = {**holder, "tools": _PLACE}
    data = _dump(without if holder is body else {**body, "input": without})
    jsons = [tool.json() if isinstance(tool, SharedObject) else _dump(tool) for tool in tools]
    return data.replace(b'"%s"' % _PLACE.encode(), b"[%s]" % b",".join(jsons), 1)


def _checked(data: bytes, value: object) -> bytes:
    """The JSON of a value with its secrets, after a check for numbers that JSON does not have."""
    if _MASK in data:
        data = _dump(revealed(value))
    if b"NaN" in data or b"Infinity" in data:  # in a text, or as numbers that JSON does not have
        from_json(data, allow_inf_nan=False)
    return data


def revealed(value: object) -> object:
    """A JSON value with the contents of its secrets."""
    match value:
        case Secret() | SecretStr():
            return revealed(cast("object", value.get_secret_value()))
        case SecretBytes():
            return value.get_secret_value()
        case BaseModel():
            return revealed(value.model_dump(by_alias=True))
        case Mapping():
            return {name: revealed(each) for name, each in cast("Mapping[object, object]", value).items()}
        case list() | tuple():
            return [revealed(each) for each in cast("list[object]", value)]
        case str():
            return str(value)  # of a class whose repr hides it
        case _:
            return value


def _invalid_field(body: Mapping[str, JsonValue]) -> str:
    """The field of a body that cannot be written as JSON; within `input`, the field of that object."""
    for key, value in body.items():
        try:
            _checked(_dump(value), value)
        except (ValueError, RecursionError):
            return (_invalid_field(value) if key == "input" and isinstance(value, dict) else "") or key
    return ""


def _dump(value: object) -> bytes:
    try:
        return to_json(value, inf_nan_mode="constants")
    except ValueError:  # half of a surrogate pair, which UTF-8 cannot represent, or a type that JSON does not have
        return to_json(repair_value(value), inf_nan_mode="constants")


def dump_text(value: object) -> str:
    """A JSON value as compact text, characters beyond ASCII as they are, surrogates repaired."""
    return _dump(value).decode()
