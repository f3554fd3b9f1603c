"""Guardrails: hazard categories found by words, where Cloudflare asks a model (facts §5.7 codes 2016 and 2017, §8.4).

The setting has Cloudflare's form: `{"prompt": {"S1": "BLOCK", "P1": "FLAG"}, "response": {...}}`. A text belongs to a
category when it contains one of its words, or the marker `unsafe:S1`, with which a test chooses a category.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Literal

from cfaig_integrations.simulator.http.bodies import ApiError
from cfaig_integrations.simulator.json_types import as_record, is_list, is_record

Side = Literal["prompt", "response"]

_WORDS = {
    "S1": r"murder|assassinate|kill (?:him|her|them|someone|people)",
    "S2": r"launder money|credit card fraud|phishing kit|write (?:a )?ransomware",
    "S3": r"sex trafficking|sexual assault",
    "S4": r"child (?:abuse|pornography) material",
    "S5": r"spread a false rumou?r",
    "S6": r"prescribe me|without seeing a doctor",
    "S7": r"home address of|social security number",
    "S8": r"full text of the (?:book|novel)|crack the license",
    "S9": r"nerve agent|dirty bomb|build a bomb",
    "S10": r"racial slur|ethnic cleansing",
    "S11": r"kill myself|suicide method|self-harm",
    "S12": r"explicit sexual|pornographic story",
    "S13": r"wrong (?:date|day) of the election|vote twice",
    "P1": r"ignore (?:all )?(?:previous|prior|your) instructions|reveal your system prompt",
}
CATEGORIES = tuple(_WORDS)
ACTIONS = ("FLAG", "BLOCK")
_PATTERNS = {name: re.compile(rf"\b(?:{text})\b|\bunsafe:{name}\b", re.IGNORECASE) for name, text in _WORDS.items()}
_READ_LENGTH = 200_000


def is_legal(value: Any) -> bool:
    """Whether a value is a legal `guardrails` setting."""
    if value is None:
        return True
    if not is_record(value) or not value.keys() <= {"prompt", "response"}:
        return False
    return all(is_record(side) and all(map(_is_choice, side.items())) for side in value.values())


def _is_choice(item: tuple[str, Any]) -> bool:
    return item[0] in CATEGORIES and (item[1] is None or item[1] in ACTIONS)


def flagged(gateway: Mapping[str, Any], side: Side, text: str) -> tuple[list[str], list[str]]:
    """The categories of a text for which a gateway has an action: those to block, and those to flag."""
    choices: dict[str, str | None] = as_record(as_record(gateway["guardrails"]).get(side))
    read = text[-_READ_LENGTH:]
    hits = [name for name, action in choices.items() if action and _PATTERNS[name].search(read)]
    return [n for n in hits if choices[n] == "BLOCK"], [n for n in hits if choices[n] == "FLAG"]


def has_rules(gateway: Mapping[str, Any], side: Side) -> bool:
    """Whether a gateway evaluates one side at all."""
    return bool(as_record(gateway["guardrails"]).get(side))


def blocked(side: Side, endpoint: str) -> ApiError:
    """The error of a blocked prompt or response; `/ai/run` has its own status and code."""
    code = 2016 if side == "prompt" else 2017
    status, code = (422, 2017) if endpoint == "run" else (424, code)
    noun = "Prompt" if side == "prompt" else "Response"
    return ApiError(status, code, f"{noun} blocked due to security configurations", shape="gateway")


def texts_of(value: Any) -> Iterator[str]:
    """All strings of a parsed body, at any depth."""
    waiting = [value]
    while waiting:
        item = waiting.pop()
        if isinstance(item, str):
            yield item
        elif is_list(item):
            waiting.extend(reversed(item))
        elif is_record(item):
            waiting.extend(reversed(list(item.values())))
