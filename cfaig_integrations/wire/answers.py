"""What whole answers have in common: the way they are wrapped, and how those without text count tokens."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from cfaig_integrations.core.chat import Usage
from cfaig_integrations.wire.codec import EmbeddedError
from cfaig_integrations.wire.common import is_error, unwrapped
from cfaig_integrations.wire.fields import count_of
from cfaig_integrations.wire.jsonio import load_object


def opened(body: bytes) -> dict[str, Any]:
    """The answer, out of Cloudflare's envelope if it is in one.

    Raises:
        ProtocolError: It is no JSON object.
        EmbeddedError: It is an error.
    """
    outer = load_object(body)
    if is_error(outer):
        raise EmbeddedError(outer)
    answer = unwrapped(outer)
    if is_error(answer):
        raise EmbeddedError(answer)
    return answer


def tokens_of(answer: Mapping[str, Any]) -> Usage | None:
    """What it took, under `usage`, or under `meta` as bge-m3 says it (facts §6.1); None if it does not tell."""
    told, meta = answer.get("usage"), answer.get("meta")
    if isinstance(told, dict):
        usage = cast("dict[str, Any]", told)
        given, total = count_of(usage.get("prompt_tokens")) or 0, count_of(usage.get("total_tokens")) or 0
        return Usage(input=given or total, total=total or given, raw=usage)
    if isinstance(meta, dict):
        costs = cast("dict[str, Any]", meta)
        if costs.get("cost_metric_name_1") == "input_tokens":
            spent = count_of(costs.get("cost_metric_value_1")) or 0
            return Usage(input=spent, total=spent, raw=costs)
    return None
