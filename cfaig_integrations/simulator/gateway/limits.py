"""The gateway's rate limit, in fixed and sliding windows (facts §8.2)."""

from __future__ import annotations

import threading
from collections import defaultdict, deque
from collections.abc import Mapping
from typing import Any

from cfaig_integrations.simulator.clock import Clock
from cfaig_integrations.simulator.http.bodies import ApiError


class RateLimits:
    """The times of the requests to each gateway."""

    def __init__(self, clock: Clock) -> None:
        """Start without requests."""
        self._clock = clock
        self._times: defaultdict[str, deque[float]] = defaultdict(deque)
        self._lock = threading.Lock()

    def enter(self, gateway: Mapping[str, Any]) -> None:
        """Count one request.

        Raises:
            ApiError: 429/2003 without Retry-After when the limit is reached; the request is then not counted.
        """
        limit, interval = int(gateway["rate_limiting_limit"] or 0), int(gateway["rate_limiting_interval"] or 0)
        if not limit or not interval:
            return
        now = self._clock.now()
        fixed = gateway["rate_limiting_technique"] != "sliding"
        opened = now - now % interval if fixed else now - interval
        with self._lock:
            times = self._times[f"{gateway['account_id']}/{gateway['id']}"]
            while times and (times[0] < opened if fixed else times[0] <= opened):
                times.popleft()
            if len(times) >= limit:
                raise ApiError(429, 2003, "Rate limited", shape="gateway")
            times.append(now)

    def clear(self) -> None:
        """Remove all requests."""
        with self._lock:
            self._times.clear()
