"""The active span of OpenTelemetry, if the program uses it; this package does not depend on it."""

from __future__ import annotations

import sys
from typing import Any


def active_span() -> tuple[str, str] | None:
    """Trace id (32 hex digits) and span id (16) of the active span; None if there is none."""
    trace: Any = sys.modules.get("opentelemetry.trace")  # without it, no span can be active
    if trace is None:
        return None
    span = trace.get_current_span().get_span_context()
    return (f"{span.trace_id:032x}", f"{span.span_id:016x}") if span.is_valid else None
