"""A fault: who fails and how, and which details a script may set."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from cfaig_integrations.simulator.http.bodies import SHAPES, Shape
from cfaig_integrations.simulator.json_types import is_json, is_record

Kind = Literal["error", "delay", "effect"]
Layer = Literal["edge", "gateway", "provider"]
Fits = Literal["any", "stream", "whole"]


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < _MOST_SECONDS


def _is_json_object(value: Any) -> bool:
    return is_record(value) and is_json(value)


def _is_text_mapping(value: Any) -> bool:
    texts: list[Any] = [*value.keys(), *value.values()] if is_record(value) else [None]
    return all(isinstance(text, str) and text.isascii() and text.isprintable() for text in texts)


_MOST_SECONDS = 1e9
_DETAILS: Mapping[str, tuple[str, Callable[[Any], bool]]] = {
    "status": ("an HTTP status from 200 to 599", lambda value: type(value) is int and 200 <= value <= 599),
    "code": ("an integer, a text or None", lambda value: value is None or type(value) in {int, str}),
    "message": ("a text", lambda value: isinstance(value, str)),
    "shape": (f"None, provider or one of {', '.join(SHAPES)}", lambda value: value in (None, "provider", *SHAPES)),
    "retry_after": ("a number of seconds or None", lambda value: value is None or _is_number(value)),
    "http_date": ("True or False", lambda value: isinstance(value, bool)),
    "headers": ("a mapping of ASCII texts", _is_text_mapping),
    "extra": ("a mapping of JSON values", _is_json_object),
    "seconds": ("a number of seconds", _is_number),
}
"""What a detail must be, and the test of that."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One kind of failure."""

    name: str
    kind: Kind
    source: str
    """The evidence for it."""
    status: int = 200
    code: int | str | None = None
    message: str = ""
    """`{request}` is replaced by a request id."""
    shape: Shape | Literal["provider"] | None = None
    """Body shape; None for the endpoint's usual one, `provider` for that of the model's vendor."""
    layer: Layer = "provider"
    """Who fails: the gateway itself retries only provider errors, and errors at the edge leave no log entry."""
    retry: bool | None = None
    """Whether a client should retry; None where that depends on what it has already read."""
    fits: Fits = "any"
    details: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """The details that a script may change, with their defaults."""

    def detailed(self, changes: Mapping[str, Any]) -> Mapping[str, Any]:
        """The details with these changes."""
        unknown = changes.keys() - self.details.keys()
        if unknown:
            available = ", ".join(sorted(self.details)) or "none"
            raise TypeError(f"fault {self.name!r} has no detail {sorted(unknown)}; use one of: {available}")
        for name, value in changes.items():
            if name in _DETAILS and not _DETAILS[name][1](value):
                raise ValueError(
                    f"{name}={value!r:.80} is not valid for the fault {self.name!r}: use {_DETAILS[name][0]}"
                )
        return {**self.details, **changes}


def make_error(
    name: str,
    status: int,
    code: int | str | None,
    message: str,
    *,
    source: str,
    retry: bool = False,
    shape: Shape | Literal["provider"] | None = None,
    layer: Layer = "provider",
    retry_after: float | None = None,
    http_date: bool = False,
    headers: Mapping[str, str] | None = None,
    extra: Mapping[str, Any] | None = None,
) -> Fault:
    """A fault of kind `error`: an HTTP response that reports a failure."""
    details: dict[str, Any] = {
        "status": status,
        "code": code,
        "message": message,
        "shape": shape,
        "retry_after": retry_after,
        "http_date": http_date,
        "headers": dict(headers or {}),
        "extra": dict(extra or {}),
    }
    return Fault(name, "error", source, status, code, message, shape, layer, retry, "any", details)
