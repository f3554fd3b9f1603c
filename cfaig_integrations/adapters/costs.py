"""The log ids of a run, which a framework's handler collects and `AIGateway.run_cost` reads."""

from __future__ import annotations


class LogIds:
    """Log ids in the order of the calls, each once. Thread-safe, because the operations of a dict are."""

    _ids: dict[str, None]

    @property
    def log_ids(self) -> tuple[str, ...]:
        """The log ids so far."""
        return tuple(self._ids.copy())

    def add(self, log_id: str | None) -> None:
        """Adds the log id of a call; None, of a call that was not logged, is ignored."""
        if log_id:
            self._ids[log_id] = None

    def clear(self) -> None:
        """Forgets all log ids, before another run."""
        self._ids.clear()
