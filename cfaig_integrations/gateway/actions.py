"""What the generator of a call asks its driver to do, and what the driver sends back.

The generator decides what is sent, when it is sent again and how long it is waited for; the driver performs the I/O.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from dataclasses import field
from typing import TypeAlias, TypeVar

from cfaig_integrations.core.records import record
from cfaig_integrations.gateway.connection import Pairs, Timeouts
from cfaig_integrations.gateway.settings import Secret, TokenFunction

_T = TypeVar("_T")


@record
class HttpRequest:
    """An HTTP request, ready to be sent."""

    method: str
    url: str
    headers: Pairs
    body: bytes = field(repr=False)  # may hold credentials of MCP servers
    timeouts: Timeouts
    stream: bool = False
    """Whether a 2xx response stays open. Its first byte says what it is: a server may answer `stream: true` with a JSON
    document, and content types are wrong in both directions (facts §5.3, §14.2)."""
    anonymous: bool = False
    """Whether it goes to another host, so that headers and credentials of a user's client are left out, too."""


@record
class Send:
    """Send the request; the outcome is an `HttpResponse`."""

    request: HttpRequest


@record
class Sleep:
    """Wait; the outcome is None."""

    seconds: float


@record
class AskToken:
    """Call the function; the outcome is its token."""

    source: TokenFunction


@record
class ReadOn:
    """Read the open response; the outcome is its next bytes, or None at its end.

    Attributes:
        idle: The bytes before were no part of the reply, so that the time limit of this read began with an earlier one.
    """

    idle: bool = False


@record
class HttpResponse:
    """The server's response.

    Attributes:
        headers: Names in lower case.
        body: The whole body; None if the response is open, to be read by `ReadOn`.
        earlier_log_ids: Log ids of the requests of the call before this one; added by the generator.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes | None
    earlier_log_ids: tuple[str, ...] = ()


Action: TypeAlias = Send | Sleep | AskToken | ReadOn
Outcome: TypeAlias = HttpResponse | bytes | Secret | None
Actions: TypeAlias = Generator[Action, Outcome, _T]
"""The actions of one call; a `GatewayError` of the driver is thrown into it."""
