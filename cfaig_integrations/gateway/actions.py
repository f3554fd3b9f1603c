"""What a conversation asks of its driver, and what it is answered."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

from cfaig_integrations.gateway.connection import Pairs, Timeouts
from cfaig_integrations.gateway.settings import Secret

TokenFunction: TypeAlias = Callable[[], str] | Callable[[], Awaitable[str]]
"""A token that is asked for before every request."""


@dataclass(frozen=True, slots=True)
class HttpRequest:
    """An HTTP request, ready to be sent."""

    method: str
    url: str
    headers: Pairs
    body: bytes
    timeouts: Timeouts
    stream: bool = False


@dataclass(frozen=True, slots=True)
class Send:
    """Send this, and answer with an `HttpResponse`."""

    call: HttpRequest


@dataclass(frozen=True, slots=True)
class Sleep:
    """Do nothing for so many seconds."""

    seconds: float


@dataclass(frozen=True, slots=True)
class AskToken:
    """Ask this for a token, and answer with what it gives."""

    source: TokenFunction


@dataclass(frozen=True, slots=True)
class ReadOn:
    """Read the open stream, and answer with its next bytes, or None at its end.

    Attributes:
        idle: The bytes before brought nothing of the answer, so the time limit of this read began with an earlier one.
    """

    idle: bool = False


@dataclass(frozen=True, slots=True)
class HttpResponse:
    """What the server answered.

    Attributes:
        headers: Names in lower case.
        body: All of it; None if it is a stream, and open.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes | None


Action: TypeAlias = Send | Sleep | AskToken | ReadOn
Outcome: TypeAlias = HttpResponse | bytes | Secret | None


def stays_open(call: HttpRequest, status: int) -> bool:
    """Whether an answer is to be read as it comes: a stream was asked for, and this is no error.

    What is in it is told by its first byte: a server may answer `stream: true` with one JSON document, and content
    types lie in both directions (facts §5.3, §14.2).
    """
    return call.stream and 200 <= status < 300
