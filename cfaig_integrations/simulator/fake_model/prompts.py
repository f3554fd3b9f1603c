"""What a prompt says about the JSON that it asks for: a JSON schema, or the names of keys."""

from __future__ import annotations

import json
import re
from typing import Any

from cfaig_integrations.simulator.fake_model.text import find_quoted, split_sentences
from cfaig_integrations.simulator.json_types import is_list, is_record

Schema = dict[str, Any]

_DEEPEST = 20


def field_names(schema: Schema) -> list[str]:
    """The names of all fields of a schema, at any depth."""
    results: list[str] = []
    for node in _nodes(schema):
        properties: Any = node.get("properties")
        if is_record(properties):
            results += list(properties)
    return results


def from_prompt(prompt: str) -> Schema | None:
    """The last JSON schema in a prompt."""
    results: Schema | None = None
    decoder, at = json.JSONDecoder(), prompt.find("{")
    while at >= 0:
        try:
            value, end = decoder.raw_decode(prompt, at)
        except (ValueError, RecursionError):
            at = prompt.find("{", at + 1)
            continue
        if is_record(value) and is_record(value.get("properties")):
            results = value
        at = prompt.find("{", end)
    return results


def without_json(prompt: str) -> str:
    """A prompt without JSON, code fences, and sentences about JSON."""
    plain = re.sub(r"```.*?```", "\n", prompt, flags=re.DOTALL)
    for _ in range(_DEEPEST):
        plain = re.sub(r"\{[^{}]*\}", "", plain)
    sentences = [s for s in split_sentences(plain) if not re.search(r"\bjson\b|\bschema\b", s, re.IGNORECASE)]
    return "\n".join(sentences) or plain


def from_keys(prompt: str) -> Schema:
    """A schema of strings for the keys that a prompt names: `with 'setup' and 'punchline' keys`, or a JSON example."""
    keys: list[str] = re.findall(r"[\"']?(\w+)[\"']?\s*:", "".join(re.findall(r"\{[^{}]*\}", prompt)))
    if not keys and re.search(r"\b(?:keys?|fields?|propert(?:y|ies))\b", prompt, re.IGNORECASE):
        keys = [q for q in find_quoted(prompt) if re.fullmatch(r"[\w-]+", q)]
    keys = list(dict.fromkeys(keys)) or ["answer"]
    return {"type": "object", "properties": {k: {"type": "string"} for k in keys}, "required": keys}


def _nodes(node: Any) -> list[Schema]:
    if is_list(node):
        return [n for item in node for n in _nodes(item)]
    if not is_record(node):
        return []
    return [node, *(n for item in node.values() for n in _nodes(item))]
