"""Rerank bodies on `/ai/run/{model}` (facts §6.4)."""

from __future__ import annotations

from cfaig_integrations.core.json_types import JsonObject
from cfaig_integrations.core.vectors import Ranked, RerankReply, RerankRequest
from cfaig_integrations.errors import ProtocolError
from cfaig_integrations.wire.embeddings import usage_of
from cfaig_integrations.wire.jsonio import (
    count_of,
    excerpt,
    load_reply,
    malformed_as_protocol_error,
    objects_of,
    wrong_type,
)

_SCORE_LIMIT = 1e300
"""Beyond every score; a float, so that Python compares it with a whole number of any length."""


def encode(request: RerankRequest, *, top_k: bool = True) -> JsonObject:
    """The body of a request.

    Args:
        request: The request.
        top_k: Whether the model has a field for how many to return; the reply is cut to that in any case.
    """
    body: JsonObject = {"query": request.query, "contexts": [{"text": text} for text in request.passages]}
    if top_k and request.top is not None:
        body["top_k"] = request.top
    return {**body, **request.extra_body}


def decode(body: bytes, *, count: int, top: int | None = None) -> RerankReply:
    """The reply of a whole 2xx body, in Cloudflare's envelope or without it.

    Args:
        body: The body.
        count: How many passages were sent.
        top: How many were requested.

    Raises:
        ProtocolError: It is not a ranking, or not one of these passages.
        EmbeddedError: The body is an error.
    """
    answer = load_reply(body)
    with malformed_as_protocol_error("The answer is not a ranking", body):
        ranking = [_ranked(entry) for entry in objects_of(answer, "response")]
    ranking.sort(key=lambda each: (-each.score, each.index))
    expected = count if top is None else min(top, count)
    indexes = {each.index for each in ranking}
    if len(indexes) != len(ranking) or not indexes <= set(range(count)) or len(indexes) < expected:
        raise ProtocolError(
            f"{expected} of {count} passages should be ranked, and these came back: {sorted(indexes)}.",
            body=excerpt(body),
        )
    return RerankReply(tuple(ranking[:expected]), usage_of(answer))


def _ranked(entry: JsonObject) -> Ranked:
    index, score = count_of(entry.get("id")), entry.get("score")
    if index is None:
        raise wrong_type("response[].id", entry.get("id"), "a position")
    if not isinstance(score, int | float) or isinstance(score, bool) or not -_SCORE_LIMIT < score < _SCORE_LIMIT:
        raise wrong_type("response[].score", score, "a finite number")
    return Ranked(index, float(score))
