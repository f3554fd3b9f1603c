"""What the page shows: the filters of the log, the key of the chart and the place in the list, as in its address."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, Self
from urllib.parse import urlencode

from starlette.datastructures import QueryParams

from cfaig_integrations.simulator.gateway.log_store import LogFilter

STATUSES = {"": "Any", "ok": "Succeeded", "error": "Failed", "cached": "From cache"}
_MAX_FILTERS = 20
_PLAIN = ("gateway", "model", "wire", "status", "text", "by")


@dataclass(frozen=True, slots=True, kw_only=True)
class PageQuery:
    """The state of the page."""

    gateway: str = ""
    model: str = ""
    wire: str = ""
    status: str = ""
    """A key of `STATUSES`, or a status code."""
    text: str = ""
    metadata: tuple[tuple[str, str], ...] = ()
    """Keys and values that entries must have."""
    by: str = ""
    """The metadata key of the chart; empty for the server's choice."""
    before: int | None = None
    """Only entries older than the one of this number."""

    @classmethod
    def read(cls, parameters: QueryParams) -> Self:
        """The query of an address; what is not valid is ignored."""
        pairs = zip(parameters.getlist("key"), parameters.getlist("value"), strict=False)
        before = parameters.get("before", "")
        return cls(
            **{name: parameters.get(name, "").strip() for name in _PLAIN},
            metadata=tuple(dict.fromkeys((key, value) for key, value in pairs if key and value))[:_MAX_FILTERS],
            before=int(before) if before.isdecimal() and len(before) < 16 else None,
        )

    def pairs(self) -> Iterator[tuple[str, str]]:
        """Names and values of the query string."""
        for name in _PLAIN:
            if value := getattr(self, name):
                yield name, value
        for key, value in self.metadata:
            yield "key", key
            yield "value", value
        if self.before is not None:
            yield "before", str(self.before)

    def url(self, **changes: Any) -> str:
        """The address of the page with these changes, from the newest entry on unless `before` is among them."""
        text = urlencode(list(replace(self, **{"before": None, **changes}).pairs()), errors="replace")
        return f"/?{text}" if text else "/"

    def narrowed(self, key: str, value: str) -> str:
        """The address with one more metadata filter, in place of another one for the same key."""
        others = tuple(pair for pair in self.metadata if pair[0] != key)
        return self.url(metadata=(*others, (key, value)))

    def widened(self, key: str, value: str) -> str:
        """The address without one of the metadata filters."""
        return self.url(metadata=tuple(pair for pair in self.metadata if pair != (key, value)))

    @property
    def filtered(self) -> bool:
        """Whether any filter is set."""
        return bool(self.gateway or self.model or self.wire or self.status or self.text or self.metadata)

    def filter(self, *, paged: bool = False) -> LogFilter:
        """The filter for the log; with the place in the list if `paged`."""
        success = {"ok": True, "error": False}.get(self.status)
        return LogFilter(
            gateway=self.gateway or None,
            model=self.model or None,
            request_type=self.wire or None,
            metadata=dict(self.metadata),
            success=success,
            cached=True if self.status == "cached" else None,
            status_code=int(self.status) if self.status.isdecimal() and len(self.status) == 3 else None,
            text=self.text or None,
            before_number=self.before if paged else None,
        )
