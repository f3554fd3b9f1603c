"""Lists that the management API returns in pages."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Generic, TypeVar, cast
from urllib.parse import quote, urlencode

from cfaig_integrations.errors import ConfigError, ProtocolError, invalid
from cfaig_integrations.gateway.actions import Actions, HttpResponse
from cfaig_integrations.gateway.attempts import SimpleRequest, result_of
from cfaig_integrations.gateway.connection import Connection
from cfaig_integrations.wire import jsonio

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Page(Generic[_T]):
    """One page of a list.

    Attributes:
        total: Entries of all pages, if the server says so.
    """

    entries: list[_T]
    total: int | None = None


class Pages(Generic[_T]):
    """All pages of a list, one after the other. An entry that moves to a later page meanwhile is not repeated.

    Args:
        fetch: Gets the page with a number, from 1.
        key: The id of an entry.

    Attributes:
        done: Whether there are no more.
    """

    def __init__(self, fetch: Callable[[int], Actions[Page[_T]]], key: Callable[[_T], str]) -> None:
        self._fetch, self._key = fetch, key
        self._number, self._count = 0, 0
        self._seen: set[str] = set()
        self.done = False

    def next(self) -> Actions[list[_T]]:
        """The entries of the next page."""
        self._number += 1
        page = yield from self._fetch(self._number)
        new = [entry for entry in page.entries if self._key(entry) not in self._seen]
        self._seen.update(map(self._key, new))
        self._count += len(page.entries)
        # Without a total, the end is a page that brings nothing new: a server may send fewer entries than asked for.
        self.done = not new or (page.total is not None and self._count >= page.total)
        return new

    def all(self) -> Actions[list[_T]]:
        """The entries of all pages."""
        entries: list[_T] = []
        while not self.done:
            entries += yield from self.next()
        return entries


def get_page(connection: Connection, path: str, read: Callable[[object], _T]) -> Actions[Page[_T]]:
    """Gets one page, whose entries `read` reads.

    Raises:
        ProtocolError: The result is not a list.
    """

    def page(response: HttpResponse, _: int) -> Page[_T]:
        result = result_of(response)
        if not isinstance(result, list):
            raise ProtocolError(f"The result of {path.partition('?')[0]} is not a list.", body=result)
        info = jsonio.load_object(response.body or b"").get("result_info")
        total = cast("Mapping[str, object]", info).get("total_count") if isinstance(info, Mapping) else None
        entries = [read(each) for each in cast("list[object]", result)]
        return Page(entries, total if type(total) is int else None)

    return SimpleRequest(connection, path, page, method="GET").run()


def query(parameters: Mapping[str, str | int | None]) -> str:
    """A query string without the parameters that are None or empty.

    Raises:
        ConfigError: A value is not a str or an int, or not UTF-8.
    """
    for name, value in parameters.items():
        if value is not None and not isinstance(value, str | int):  # pyright: ignore[reportUnnecessaryIsInstance]  # users call this without a type checker
            raise invalid(name, value, "is not a str", "Use a str.")
    try:
        return urlencode({name: value for name, value in parameters.items() if value not in (None, "")})
    except UnicodeEncodeError as error:
        raise ConfigError(f"The query cannot be encoded: {error}.", remedy="Use valid Unicode.") from error


def rest_path(connection: Connection, path: str) -> str:
    """A path that only Cloudflare's REST API has.

    Raises:
        ConfigError: The host does not have it.
    """
    settings = connection.settings
    if settings.legacy:
        raise ConfigError(
            f"The legacy host and custom domains have no {path.rpartition('/')[2]} endpoint.",
            field="base_url",
            value=settings.base_url,
            remedy="Leave base_url out to use Cloudflare's REST API.",
        )
    return path


def quoted_id(name: str, value: object) -> str:
    """An id in a path.

    Raises:
        ConfigError: It is not an ASCII str.
    """
    if isinstance(value, str) and value.isascii() and value:
        return quote(value, safe="")
    raise invalid(name, value, "is not a valid id", "Use an ASCII str.")
