"""The request of a run of any model: JSON, raw bytes or a form, and the options beside the input (facts §1.1, §9.8)."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from math import isfinite
from pathlib import PurePath
from typing import Any, TypeAlias, cast

from cfaig_integrations.core.json_types import JsonValue
from cfaig_integrations.errors import ConfigError, invalid, shown
from cfaig_integrations.gateway.media_types import check_media_type, media_type_of
from cfaig_integrations.gateway.models.routes import checked_id, is_route
from cfaig_integrations.gateway.models.tables import IN_PATH
from cfaig_integrations.wire import jsonio

Upload: TypeAlias = tuple[str, bytes, str]
"""A file of a form: its name, its bytes and its media type."""

_RUN = "/ai/run"
_MAX_DEPTH = 200
_REMEDIES: tuple[tuple[str, str], ...] = (
    ("read_bytes", "Read the file, and encode its bytes as the model's schema says, or pass it in files=."),
    ("get_secret_value", "Use value.get_secret_value()."),
    ("tolist", "Use value.tolist()."),
    ("model_dump", "Use value.model_dump(mode='json')."),
    ("isoformat", "Use value.isoformat()."),
    ("hex", "Encode it as the model's schema says: base64.b64encode(value).decode(), a data URL, or list(value)."),
)
"""By an attribute of a value that JSON does not have, how to write it."""


@dataclass(frozen=True, slots=True)
class RunRequest:
    """A run, ready to be sent.

    Attributes:
        model: Model id as the REST API spells it.
        path: After `{base}/accounts/{account_id}`.
        awaited: Whether the result comes with the response, or is to be asked for; False: a webhook receives it.
    """

    model: str
    path: str
    body: bytes
    content_type: str = "application/json"
    awaited: bool = True


def run_request(
    model: str,
    input: Mapping[str, Any] | bytes,
    *,
    media_type: str | None = None,
    files: Mapping[str, Upload] | None = None,
    options: Mapping[str, Any] | None = None,
    gateway_fields: Mapping[str, Any] | None = None,
) -> RunRequest:
    """The request of a run.

    Args:
        model: Model id.
        input: The model's input: a mapping, or the bytes of a raw body.
        media_type: Media type of the raw body; by default that of its first bytes.
        files: Files of a form, whose other fields are `input`. An empty mapping is a form without files.
        options: Fields of the body's `options`.
        gateway_fields: Further fields of it, from the gateway options.

    Raises:
        ConfigError: An argument is not valid.
    """
    model = _checked_model(model)
    options = {**(gateway_fields or {}), **_checked_options(options)}
    raw = bytes(input) if isinstance(input, bytes | bytearray | memoryview) else None
    if media_type is not None and raw is None:
        raise invalid(
            "media_type",
            media_type,
            "has no effect on a body that is not bytes",
            "Leave it out, or pass the raw body as bytes.",
        )
    if media_type is not None:
        check_media_type("media_type", media_type)
    if raw is None and files is None:
        return _json_request(model, _checked_input(input), options)
    if not model.startswith(IN_PATH):
        raise ConfigError(
            f"{model} takes JSON only: bytes and files are for @cf/ models.",
            field="input" if files is None else "files",
            remedy="Put media into the input, as the model's schema says: a URL, a data URL or base64.",
        )
    if options:
        raise invalid(
            "options",
            options,
            "cannot be sent beside a body that is not JSON",
            "Leave them out, or pass the input as a mapping.",
        )
    path = f"{_RUN}/{model}"
    if files is not None:
        return RunRequest(model, path, *_form(_checked_input(input), files))
    data = raw or b""
    return RunRequest(model, path, data, media_type or media_type_of(data) or "application/octet-stream")


def _json_request(model: str, fields: dict[str, Any], options: dict[str, Any]) -> RunRequest:
    _check_json(fields, "input")
    if fields.get("stream"):
        raise ConfigError(
            "input['stream'] is set, and run returns whole results.",
            field="input['stream']",
            value=fields["stream"],
            remedy="Leave it out; a chat model class streams.",
        )
    # A run in the background is documented on /ai/run alone (facts §1.2).
    if model.startswith(IN_PATH) and "background" not in options:
        extra = cast("Mapping[str, Any]", fields.get("options") or {})
        if options and not isinstance(extra, Mapping):  # pyright: ignore[reportUnnecessaryIsInstance]  # a user's value
            raise invalid("input['options']", extra, "is not a dict", "Use a dict.")
        body = {**fields, "options": {**options, **extra}} if options else fields
        return RunRequest(model, f"{_RUN}/{model}", jsonio.dump(body))
    body = {"model": model, "input": fields, **({"options": options} if options else {})}
    return RunRequest(model, _RUN, jsonio.dump(body), awaited="webhookUrl" not in options)


def batch_request(model: str, inputs: object) -> RunRequest:
    """The request that queues several inputs of a Workers AI model, referred to by their indexes (facts §9.6).

    Raises:
        ConfigError: An argument is not valid.
    """
    model = _checked_model(model)
    if not model.startswith(IN_PATH):
        raise ConfigError(
            f"{model} cannot be run in batches, as Workers AI models can.",
            field="model",
            value=model,
            remedy="Call run for each input, or use an @cf/ model.",
        )
    if not isinstance(inputs, list | tuple):
        raise ConfigError(
            f"inputs is a {type(inputs).__name__}.", field="inputs", value=inputs, remedy="Use a list of mappings."
        )
    requests: list[JsonValue] = []
    for index, each in enumerate(cast("list[object]", inputs)):
        where = f"inputs[{index}]"
        fields = _checked_input(each, where)
        _check_json(fields, where)
        if "external_reference" in fields:
            raise ConfigError(
                f"{where} has an external_reference, which run_batch sets itself.",
                field=f"{where}['external_reference']",
                value=fields["external_reference"],
                remedy="Leave it out: the results come in the order of the inputs.",
            )
        requests.append({**fields, "external_reference": str(index)})
    return RunRequest(model, f"{_RUN}/{model}?queueRequest=true", jsonio.dump({"requests": requests}))


def _checked_model(model: str) -> str:
    """A model id as the REST API spells it.

    Raises:
        ConfigError: It is not valid, or `/ai/run` has no route for it.
    """
    model = checked_id(model)
    if is_route(model):
        raise ConfigError(
            f"{model} cannot be run: /ai/run has no route for it.",
            field="model",
            value=model,
            remedy="Use a chat model class with it, or the id of a model.",
        )
    return model


def _checked_input(value: object, where: str = "input") -> dict[str, Any]:
    if isinstance(value, Mapping):
        return dict(cast("Mapping[str, Any]", value))
    remedy = f"Use a mapping of the model's input fields, such as {{'prompt': {shown(value)}}}."
    if not isinstance(value, str):
        remedy = "Use a mapping of the model's input fields, or bytes for a model that takes a raw body."
    raise ConfigError(f"{where} is a {type(value).__name__}.", field=where, value=value, remedy=remedy)


def _checked_options(options: Mapping[str, Any] | None) -> dict[str, Any]:
    """Options with the rules that the endpoint would enforce (facts §1.2)."""
    if options is None:
        return {}
    if not isinstance(options, Mapping):  # pyright: ignore[reportUnnecessaryIsInstance]  # users call this without a type checker
        raise ConfigError(f"options is a {type(options).__name__}.", field="options", remedy="Use a mapping.")
    _check_json(options, "options")
    checked = {name: value for name, value in options.items() if value is not None}
    url = checked.get("webhookUrl")
    if url is not None and not checked.get("background"):
        raise ConfigError(
            "options['webhookUrl'] is set without options['background'].",
            field="options['webhookUrl']",
            value=url,
            remedy="Set background to True, too.",
        )
    if url is not None and not (isinstance(url, str) and url.lower().startswith("https://")):
        raise invalid("options['webhookUrl']", url, "is not an https URL", "Use a public https:// URL.")
    if "webhookFormat" in checked and url is None:
        raise ConfigError(
            "options['webhookFormat'] is set without options['webhookUrl'].",
            field="options['webhookFormat']",
            value=checked["webhookFormat"],
            remedy="Set webhookUrl, too, or leave it out.",
        )
    return checked


def _check_json(value: object, where: str, depth: int = 0) -> None:
    """Finds what JSON does not have: the serializer writes bytes, paths and sets as something else, without an error.

    Raises:
        ConfigError: There is such a value; its path is named.
    """
    match value:
        case None | bool() | str() | int():
            return
        case float() if isfinite(value):
            return
        case float():
            raise invalid(where, value, "is not a finite number", "Use a finite number or None.")
        case Mapping() | list() | tuple() if depth < _MAX_DEPTH:
            items = cast("Mapping[object, object] | list[object] | tuple[object, ...]", value)
            if not isinstance(items, Mapping) and set(map(type, items)) <= {int}:
                return  # a file as a list of its bytes
            for key, inner in items.items() if isinstance(items, Mapping) else enumerate(items):
                if isinstance(items, Mapping) and not isinstance(key, str):
                    raise invalid(where, key, "is a key that is not a str", "Use str keys.")
                _check_json(inner, f"{where}[{key!r}]", depth + 1)
        case Mapping() | list() | tuple():
            raise invalid(where, "...", "is nested too deeply", f"Use at most {_MAX_DEPTH} levels.")
        case _:
            remedy = next((text for name, text in _REMEDIES if hasattr(value, name)), "Use what JSON has.")
            raise invalid(where, value, f"is a {type(value).__name__}, which JSON does not have", remedy)


def _form(fields: Mapping[str, Any], files: Mapping[str, Upload]) -> tuple[bytes, str]:
    """A multipart form, and its content type with the boundary."""
    boundary = secrets.token_hex(16)
    parts: list[bytes] = []
    for name, value in fields.items():
        parts.append(_part(boundary, name, _field(name, value).encode("utf-8", "replace")))
    for name, (filename, data, media_type) in files.items():
        parts.append(_part(boundary, name, data, filename, media_type))
    return b"".join([*parts, f"--{boundary}--\r\n".encode()]), f"multipart/form-data; boundary={boundary}"


def _field(name: str, value: object) -> str:
    match value:
        case bool():
            return "true" if value else "false"
        case str() | int() | float():
            return str(value)
        case _:
            raise invalid(
                f"input[{name!r}]",
                value,
                f"is a {type(value).__name__}, which a form does not have",
                "Use text or a number (json.dumps(value) for a list or a dict), or files= for a file.",
            )


def _part(boundary: str, name: str, data: bytes, filename: str | None = None, media_type: str | None = None) -> bytes:
    lines = [f"--{boundary}", f'Content-Disposition: form-data; name="{_quoted(name)}"']
    if filename is not None:
        lines[-1] += f'; filename="{_quoted(PurePath(filename).name)}"'
        lines.append(f"Content-Type: {media_type}")
    return "\r\n".join([*lines, "", ""]).encode("utf-8", "replace") + data + b"\r\n"


def _quoted(text: str) -> str:
    # As browsers quote names in forms (WHATWG).
    return str(text).replace("\r", "%0D").replace("\n", "%0A").replace('"', "%22")
