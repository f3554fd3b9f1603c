"""What is kept for later: complete responses (facts §7), files by their URL, and runs in the background by their id."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cfaig_integrations.simulator.clock import Clock, Ids
from cfaig_integrations.simulator.gateway.headers import Options

KEYED_TTL = 300  # seconds for a request with a cache key but without a TTL (facts §7: 5 minutes)


@dataclass(frozen=True, slots=True)
class CachePlan:
    """How one request uses the cache."""

    key: str
    ttl: int
    may_read: bool


def plan(options: Options, gateway: Mapping[str, Any], identity: tuple[str, ...], body: bytes) -> CachePlan | None:
    """Decide whether a request uses the cache.

    Returns:
        None when caching is off. The gateway's TTL, a cache key or a TTL header turns it on; that the TTL header
        alone does is in the older documentation examples only (facts §7, "Opt in per request").
    """
    ttl = options.cache_ttl or gateway.get("cache_ttl") or (KEYED_TTL if options.cache_key else 0)
    if not ttl:
        return None
    parts = (options.cache_key,) if options.cache_key else (*identity, hashlib.sha256(body).hexdigest())
    digest = hashlib.sha256(
        "\0".join((str(gateway["account_id"]), str(gateway["id"]), *parts)).encode("utf-8", "surrogatepass")
    ).hexdigest()
    return CachePlan(digest, int(ttl), may_read=not options.skip_cache)


LIFETIME = 3600  # seconds; a URL of a result expires (facts §9.8)
_MOST_BYTES = 200_000_000


@dataclass(slots=True)
class Result:
    """A result that is kept."""

    data: bytes
    content_type: str
    expires_at: float
    polls: int = 0  # how often it was asked for


class Results:
    """Results by their names, until they expire or newer ones need their place."""

    def __init__(self, clock: Clock, ids: Ids) -> None:
        self._clock = clock
        self._ids = ids
        self._results: dict[str, Result] = {}
        self._size = 0
        self._lock = threading.Lock()

    def add(self, data: bytes, content_type: str, name: str | None = None, seconds: int = LIFETIME) -> str:
        """Keep a result; returns its name, which cannot be guessed unless it was passed."""
        with self._lock:
            name = name or self._ids.uuid4()
            replaced = self._results.pop(name, None)
            self._results[name] = Result(data, content_type, self._clock.now() + seconds)
            self._size += len(data) - (len(replaced.data) if replaced else 0)
            while self._size > _MOST_BYTES and len(self._results) > 1:
                self._size -= len(self._results.pop(next(iter(self._results))).data)
            return name

    def get(self, name: str) -> Result | None:
        """The result with a name; None if there is none, or it has expired."""
        with self._lock:
            result = self._results.get(name)
            if result is None or result.expires_at <= self._clock.now():
                return None
            result.polls += 1
            return result

    def clear(self) -> None:
        """Remove everything."""
        with self._lock:
            self._results.clear()
            self._size = 0
