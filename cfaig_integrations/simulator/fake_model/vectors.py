"""Embeddings without a neural network: hashed words and groups of letters, the same on every machine.

Texts that share words are similar; vectors of different models or poolings cannot be compared, as with real models
(facts §6.1).
"""

from __future__ import annotations

import hashlib
import math
from collections import defaultdict
from collections.abc import Iterator
from functools import lru_cache
from itertools import pairwise
from typing import Literal

from cfaig_integrations.simulator.fake_model.text import STOP_WORDS, find_words, keywords, stem_word

Kind = Literal["query", "document"]

_PLACES = 4  # dimensions that one feature changes
_GRAM = 3
_WORD, _STOP_WORD, _PAIR, _LETTERS = 1.0, 0.1, 0.5, 0.25
_KIND_WEIGHT = 0.15  # how much the vectors of queries and documents of an asymmetric model differ
_STEEPNESS = 12.0
_MIDDLE = 0.35


def embed(text: str, dims: int, *, space: str = "", kind: Kind | None = None) -> list[float]:
    """A unit vector for a text."""
    values = [0.0] * dims
    features: defaultdict[str, float] = defaultdict(float)
    for feature, weight in _features(text):
        features[feature] += weight
    size = math.sqrt(sum(w * w for w in features.values())) or 1.0
    for feature, weight in features.items():
        for place, sign in _places(f"{space}|{feature}", dims):
            values[place] += sign * weight / size
    if kind is not None:
        for place, sign in _places(f"{space}|kind|{kind}", dims):
            values[place] += sign * _KIND_WEIGHT
    size = math.sqrt(sum(v * v for v in values))
    return [round(v / size, 8) for v in values] if size else [1.0, *([0.0] * (dims - 1))]


def cosine(a: list[float], b: list[float]) -> float:
    """The cosine of two unit vectors, from -1 to 1."""
    return sum(x * y for x, y in zip(a, b, strict=True))


def relevance(query: str, text: str) -> float:
    """How well a text answers a query, from 0 to 1: similarity, and the share of the query's words that it has."""
    query_words, text_words = set(keywords(query)), set(keywords(text))
    share = len(query_words & text_words) / len(query_words) if query_words else 0.0
    near = cosine(embed(query, 512, space="rerank"), embed(text, 512, space="rerank"))
    return 1 / (1 + math.exp(-_STEEPNESS * ((near + share) / 2 - _MIDDLE)))


def _features(text: str) -> Iterator[tuple[str, float]]:
    words = find_words(text) or list(text)
    stems = [stem_word(w) for w in words]
    for word, stem in zip(words, stems, strict=True):
        is_stop_word = word in STOP_WORDS
        yield f"w:{stem}", _STOP_WORD if is_stop_word else _WORD
        if not is_stop_word:
            marked = f"<{word}>"
            yield from ((f"g:{marked[i : i + _GRAM]}", _LETTERS) for i in range(max(1, len(marked) - _GRAM + 1)))
    yield from ((f"p:{a} {b}", _PAIR) for a, b in pairwise(stems))


@lru_cache(maxsize=65536)
def _places(feature: str, dims: int) -> tuple[tuple[int, float], ...]:
    digest = hashlib.blake2b(feature.encode("utf-8", "surrogatepass"), digest_size=4 * _PLACES).digest()
    words = [int.from_bytes(digest[4 * i : 4 * i + 4], "little") for i in range(_PLACES)]
    return tuple(((w >> 1) % dims, 0.5 if w & 1 else -0.5) for w in words)
