"""Decision models: questions about a state, with probabilities for answers (facts §14.7)."""

from __future__ import annotations

import json
import math
import re
from typing import Any

from cfaig_integrations.simulator import tokens
from cfaig_integrations.simulator.dialects.validation import JsonPath, Record, Validator, WorkersAIValidator
from cfaig_integrations.simulator.fake_model import vectors
from cfaig_integrations.simulator.json_types import is_list, is_record
from cfaig_integrations.simulator.types import InvalidBody

_MODEL = re.compile(r"@cf/cloudflare/(clef(?:-[a-z]+)?)")
_KINDS = ("noul", "choice", "score")
_MOST_QUESTIONS = 64
_MOST_IMAGES = 4
_READ_LENGTH = 20_000
_SHARPNESS = 6.0
"""How much more probable a criterion is that fits the state better."""


def is_decision_model(model: str) -> bool:
    """Whether a model answers questions about a state."""
    return _MODEL.fullmatch(model) is not None


def decide(model: str, body: Record) -> tuple[Record, int]:
    """Answer all questions.

    Returns:
        The content of `result`, and the tokens it took.

    Raises:
        InvalidBody: Code 5006 for a wrong body, 422/5012 for a wrong image.
    """
    validator = WorkersAIValidator()
    if not {"model", "state", "questions"} <= body.keys():
        validator.fail("required properties at '/' are 'model,state,questions'")
    validator.only_fields(body, ("model", "state", "questions", "images"))
    name = model.rpartition("/")[2]
    validator.one_of(body["model"], ("model",), (name,))
    questions = validator.record(body["questions"], ("questions",))
    if not 1 <= len(questions) <= _MOST_QUESTIONS:
        validator.fail(f"'/questions' must have between 1 and {_MOST_QUESTIONS} entries, got {len(questions)}")
    _check_images(validator, body.get("images"))
    state = body["state"] if isinstance(body["state"], str) else json.dumps(body["state"], ensure_ascii=False)
    answers = {key: _answer(validator, state, entry, ("questions", key)) for key, entry in questions.items()}
    count = tokens.count(state) + tokens.count(json.dumps(questions, ensure_ascii=False))
    return {"model": name, "answers": answers, "usage": {"input_tokens": count, "output_tokens": 0}}, count


def _check_images(validator: Validator, images: Any) -> None:
    if images is None:
        return
    listed = validator.array(images, ("images",))
    valid = [
        (isinstance(image, str) and image.startswith("data:image/"))
        or (is_record(image) and {"content_type", "base64"} <= image.keys())
        for image in listed
    ]
    if len(listed) > _MOST_IMAGES or not all(valid):
        problems: Record = {"formErrors": [], "fieldErrors": {"images": ["image payload is invalid"]}}
        error: Record = {"type": "invalid_request", "message": "Request body failed validation", "details": problems}
        text = json.dumps({"error": error}, separators=(",", ":"))
        raise InvalidBody(f"AiError: AiError: {text}", code=5012, status=422)


def _answer(validator: Validator, state: str, question: Any, path: JsonPath) -> Record:
    record = validator.record(question, path)
    validator.only_fields(record, ("type", "instructions", "criteria"), path)
    kind = validator.one_of(validator.required(record, "type", path), (*path, "type"), _KINDS)
    instructions = validator.required_text(record, "instructions", path)
    if kind == "noul":
        return {"type": kind, "noul": round(_fit(state, instructions), 4)}
    options = _options(validator, record, kind, (*path, "criteria"))
    weights = [math.exp(_SHARPNESS * _fit(state, f"{instructions} {text}")) for text in options.values()]
    chances = {name: round(w / sum(weights), 4) for name, w in zip(options, weights, strict=True)}
    best = max(chances, key=lambda name: chances[name])
    if kind == "choice":
        return {"type": kind, "choice": best, "probabilities": chances, "confidence": chances[best]}
    score = round(sum(int(level) * chance for level, chance in chances.items()), 4)
    legend = {"legend": options, "probabilities": chances, "confidence": chances[best]}
    return {"type": kind, "score": score, **legend}


def _options(validator: Validator, record: Record, kind: str, path: JsonPath) -> dict[str, str]:
    """The texts of the options by name; of a score, by level from 0."""
    criteria = validator.required(record, "criteria", path[:-1])
    if kind == "score":
        listed = validator.array(criteria, path)
        options = {str(level): validator.text(text, (*path, level)) for level, text in enumerate(listed)}
    elif is_list(criteria):
        options = {validator.text(name, (*path, i)): "" for i, name in enumerate(criteria)}
    else:
        options = {name: f"{name} {text or ''}" for name, text in validator.record(criteria, path).items()}
    if len(options) < 2:
        validator.fail(f"'{validator.format_path(path)}' must have at least 2 entries", path)
    return options


def _fit(state: str, text: str) -> float:
    """How well a text fits the state, from 0 to 1."""
    return min(1.0, max(0.0, vectors.relevance(text, state[:_READ_LENGTH])))
