"""Time and identifiers, which tests can control."""

from __future__ import annotations

import random
import time
import uuid
from datetime import UTC, datetime


class Clock:
    """A wall clock that can be advanced."""

    def __init__(self) -> None:
        self._ahead = 0.0

    def now(self) -> float:
        """Seconds since 1970, plus the seconds advanced."""
        return time.time() + self._ahead

    def advance(self, seconds: float) -> None:
        """Advance by so many seconds."""
        self._ahead += seconds

    def clear(self) -> None:
        """Return to the system time."""
        self._ahead = 0.0


class Ids:
    """Identifiers in the forms that Cloudflare uses (facts §3.5: lowercase UUIDv7 since 2026-10-08)."""

    def __init__(self, clock: Clock, seed: int | None = None) -> None:
        self._clock = clock
        self._bits = random.Random(seed).getrandbits

    def uuid7(self) -> str:
        """A UUID of version 7, lowercase: 48 bits of milliseconds, then random bits."""
        milliseconds = int(self._clock.now() * 1000) & ((1 << 48) - 1)
        value = milliseconds << 80 | 0x7 << 76 | self._bits(12) << 64 | 0b10 << 62 | self._bits(62)
        return str(uuid.UUID(int=value))

    def uuid4(self) -> str:
        """A UUID of version 4, as in the messages of Workers AI."""
        return str(uuid.UUID(int=self._bits(128), version=4))

    def ray(self) -> str:
        """A `cf-ray` value of the data center `SIM`, which does not exist."""
        return f"{self._bits(64):016x}-SIM"


def timestamp(seconds: float) -> str:
    """A time as the management API writes it, such as `2026-10-08T12:00:00.000Z`."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
