"""What a fault is: a name, who fails and how, and what a script may set.

Knows no single fault; those are rows of the tables beside it.
"""

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
    """One way to fail."""

    name: str
    kind: Kind
    source: str
    """Where the fact is from."""
    status: int = 200
    code: int | str | None = None
    message: str = ""
    """`{request}` in it becomes a request UUID."""
    shape: Shape | Literal["provider"] | None = None
    """Body shape; None takes the endpoint's own, `provider` that of the model's vendor."""
    layer: Layer = "provider"
    """Who fails: only what the provider does is retried by the gateway itself, and the edge leaves no log."""
    retry: bool | None = None
    """Whether a client does well to try again; None where that depends on what it has already read."""
    fits: Fits = "any"
    details: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """What a script may set, with defaults."""

    def detailed(self, changes: Mapping[str, Any]) -> Mapping[str, Any]:
        """The details with some of them changed.

        Raises:
            TypeError: This fault has no such detail.
        """
        unknown = changes.keys() - self.details.keys()
        if unknown:
            known = ", ".join(sorted(self.details)) or "none"
            raise TypeError(f"fault {self.name!r} has no detail {sorted(unknown)}; it has: {known}")
        return {**self.details, **changes}


def error(
    name: str,
    status: int,
    code: int | str | None,
    message: str,
    source: str,
    *,
    retry: bool = False,
    shape: Shape | Literal["provider"] | None = None,
    layer: Layer = "provider",
    retry_after: float | None = None,
    http_date: bool = False,
    headers: Mapping[str, str] | None = None,
    extra: Mapping[str, Any] | None = None,
) -> Fault:
    """A row of kind `error`: an HTTP answer that reports a failure."""
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


def effect(
    name: str, source: str, *, fits: Fits = "any", layer: Layer = "provider", retry: bool | None = None, **details: Any
) -> Fault:
    """A row of kind `effect`, with the defaults of its details."""
    return Fault(name, "effect", source, layer=layer, retry=retry, fits=fits, details=details)


def delay(name: str, source: str, *, seconds: float) -> Fault:
    """A row of kind `delay`: nothing happens for a while, and then all is well."""
    return Fault(name, "delay", source, details={"seconds": seconds})
