"""Rerank bodies on `/ai/run/{model}` (facts §6.4)."""

from __future__ import annotations

from typing import Any

from cfaig_integrations.core.vectors import Ranked, RerankReply, RerankRequest
from cfaig_integrations.errors import ProtocolError
from cfaig_integrations.wire.answers import opened, tokens_of
from cfaig_integrations.wire.fields import count_of, objects_of, unusable
from cfaig_integrations.wire.jsonio import excerpt

_MOST = 1e300
"""Beyond every score; a number that Python compares with any other, however long."""


def encode(request: RerankRequest, *, top_k: bool = True) -> dict[str, Any]:
    """The body of a request.

    Args:
        request: What is asked.
        top_k: Whether the model can be told how many to return; the reply is cut to that in any case.
    """
    body: dict[str, Any] = {"query": request.query, "contexts": [{"text": text} for text in request.passages]}
    if top_k and request.top is not None:
        body["top_k"] = request.top
    return {**body, **request.extra_body}


def decode(body: bytes, *, count: int, top: int | None = None) -> RerankReply:
    """The reply of a whole 2xx body, in Cloudflare's envelope or without it.

    Args:
        body: As it came.
        count: How many passages were sent.
        top: How many were asked for.

    Raises:
        ProtocolError: It is no ranking, or not one of these passages.
        EmbeddedError: The body is an error.
    """
    answer = opened(body)
    try:
        ranking = sorted(map(_ranked, objects_of(answer, "response")), key=_worst_last)
    except ProtocolError as error:
        error.body = excerpt(body)
        raise
    wanted = count if top is None else min(top, count)
    places = {each.index for each in ranking}
    if len(places) != len(ranking) or not places <= set(range(count)) or len(places) < wanted:
        raise ProtocolError(
            f"{wanted} of {count} passages should be ranked, and these came back: {sorted(places)}.",
            body=excerpt(body),
        )
    return RerankReply(tuple(ranking[:wanted]), tokens_of(answer))


def _ranked(entry: dict[str, Any]) -> Ranked:
    index = count_of(entry.get("id"))
    score: Any = entry.get("score")
    if index is None:
        raise unusable("response[].id", entry.get("id"), "a place")
    if type(score) not in (int, float) or not -_MOST < score < _MOST:
        raise unusable("response[].score", score, "a finite number")
    return Ranked(index, float(score))


def _worst_last(ranked: Ranked) -> tuple[float, int]:
    return -ranked.score, ranked.index
