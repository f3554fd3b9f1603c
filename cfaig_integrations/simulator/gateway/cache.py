"""The gateway's cache of complete responses (facts §7)."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cfaig_integrations.simulator.clock import Clock
from cfaig_integrations.simulator.gateway.headers import Options

KEYED_TTL = 300
"""Seconds for a request with a cache key but without a TTL (facts §7: 5 minutes)."""


@dataclass(frozen=True, slots=True)
class CachePlan:
    """How one request uses the cache."""

    key: str
    ttl: int
    may_read: bool


@dataclass(frozen=True, slots=True)
class CachedAnswer:
    """A cached response."""

    body: bytes
    content_type: str
    expires_at: float


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


class Cache:
    """Responses by key, until they expire."""

    def __init__(self, clock: Clock) -> None:
        """Start empty."""
        self._clock = clock
        self._entries: dict[str, CachedAnswer] = {}
        self._lock = threading.Lock()

    def get(self, plan: CachePlan) -> CachedAnswer | None:
        """The cached response, unless it has expired or the request skips the cache."""
        if not plan.may_read:
            return None
        with self._lock:
            entry = self._entries.get(plan.key)
            return entry if entry is not None and entry.expires_at > self._clock.now() else None

    def put(self, plan: CachePlan, body: bytes, content_type: str) -> None:
        """Store a response, unless the request skips the cache."""
        if not plan.may_read:
            return
        with self._lock:
            self._entries[plan.key] = CachedAnswer(body, content_type, self._clock.now() + plan.ttl)

    def clear(self) -> None:
        """Remove everything."""
        with self._lock:
            self._entries.clear()
