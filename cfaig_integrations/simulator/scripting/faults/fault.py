"""A fault: who fails and how, and which details a script may set."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from cfaig_integrations.simulator.http.bodies import Shape

Kind = Literal["error", "delay", "effect"]
Layer = Literal["edge", "gateway", "provider"]
Fits = Literal["any", "stream", "whole"]


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
