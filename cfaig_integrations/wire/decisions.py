"""Bodies of decision models on `/ai/run/{model}` (facts §14.7)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import cast

from cfaig_integrations.core.chat import Usage
from cfaig_integrations.core.decisions import DecisionReply, DecisionRequest
from cfaig_integrations.core.json_types import JsonObject, JsonValue
from cfaig_integrations.errors import ConfigError, ProtocolError, UnsupportedContent
from cfaig_integrations.wire.jsonio import (
    as_str,
    count_of,
    excerpt,
    load_reply,
    malformed_as_protocol_error,
    object_of,
    wrong_type,
)

_TYPES = ("noul", "choice", "score")
_MOST_QUESTIONS = 64
_MOST_IMAGES = 4


def encode(request: DecisionRequest) -> JsonObject:
    """The body of a request.

    Raises:
        ConfigError: It has no question, or more questions or images than a model takes.
        UnsupportedContent: A question is of a type that the models do not answer.
    """
    count = len(request.questions)
    if not 1 <= count <= _MOST_QUESTIONS:
        raise ConfigError(
            f"questions has {count} entries, and a decision model answers 1 to {_MOST_QUESTIONS}.",
            field="questions",
            value=count,
            remedy="Ask at least one question." if not count else "Split them into several calls.",
        )
    if len(request.images) > _MOST_IMAGES:
        raise ConfigError(
            f"state holds {len(request.images)} images, and a decision model takes {_MOST_IMAGES}.",
            field="state",
            value=len(request.images),
            remedy="Leave some out, or split the state into several calls.",
        )
    for key, question in request.questions.items():
        if question.get("type") not in _TYPES:
            raise UnsupportedContent(
                f"questions[{key!r}] is of type {question.get('type')!r}, which {request.model} does not answer.",
                field="questions",
                value=key,
                remedy=f"Ask a question of type {', '.join(_TYPES)}.",
            )
    body: JsonObject = {"model": request.model.rpartition("/")[2], "state": request.state}
    body["questions"] = dict(request.questions)
    if request.images:
        body["images"] = list(request.images)
    return {**body, **request.extra_body}


def decode(body: bytes, questions: Mapping[str, JsonObject]) -> DecisionReply:
    """The reply of a whole 2xx body, in Cloudflare's envelope or without it.

    Args:
        body: The body.
        questions: The questions that were sent.

    Raises:
        ProtocolError: A question has no answer, or one that does not fit it.
        EmbeddedError: The body is an error.
    """
    reply = load_reply(body)
    with malformed_as_protocol_error("The answer holds no decisions", body):
        answers = object_of(reply, "answers") or {}
        missing = [key for key in questions if not isinstance(answers.get(key), dict)]
        if missing:
            raise ProtocolError(f"These questions were not answered: {', '.join(missing)}.", body=excerpt(body))
        checked = {
            key: _answer(f"answers[{key!r}]", question, cast("JsonObject", answers[key]))
            for key, question in questions.items()
        }
        return DecisionReply(as_str(reply.get("model")), checked, _usage(object_of(reply, "usage")))


def _answer(path: str, question: JsonObject, answer: JsonObject) -> JsonObject:
    """An answer with its type, which the server may leave out."""
    kind = question["type"]
    if answer.get("type", kind) != kind:
        raise ProtocolError(f"The answer's {path} is of type {answer['type']!r} to a question of type {kind!r}.")
    if kind == "noul":
        return {"type": kind, "noul": _number(f"{path}.noul", answer.get("noul"))}
    criteria = question["criteria"]
    levels = [str(level) for level in range(len(criteria))] if isinstance(criteria, Sequence) else []
    names = levels or list(cast("JsonObject", criteria))
    chances = object_of(answer, "probabilities") or {}
    if set(chances) != set(names):
        raise ProtocolError(f"The answer's {path}.probabilities have the keys {sorted(chances)}, not {sorted(names)}.")
    checked: JsonObject = {
        "type": kind,
        "probabilities": {name: _number(f"{path}.probabilities", chances[name]) for name in names},
        "confidence": _number(f"{path}.confidence", answer.get("confidence")),
    }
    if kind == "choice":
        if answer.get("choice") not in names:
            raise wrong_type(f"{path}.choice", answer.get("choice"), f"one of {', '.join(names)}")
        return {**checked, "choice": answer["choice"]}
    legend: JsonObject = dict(zip(levels, cast("list[JsonValue]", criteria), strict=True))
    return {**checked, "score": _number(f"{path}.score", answer.get("score"), len(levels) - 1), "legend": legend}


def _number(path: str, value: JsonValue, largest: int = 1) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= largest:
        raise ProtocolError(f"The answer's {path} is {value!r}, not a number from 0 to {largest}.")
    return float(value)


def _usage(raw: JsonObject | None) -> Usage | None:
    if not raw:
        return None
    prompt, output = (count_of(raw.get(f"{side}_tokens")) or 0 for side in ("input", "output"))
    return Usage(input=prompt, output=output, total=count_of(raw.get("total_tokens")) or prompt + output, raw=raw)
