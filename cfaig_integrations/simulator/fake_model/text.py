"""Finds words, sentences, numbers and names in a text, and the sentences that are relevant to a question."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Sequence


def word_set(text: str) -> frozenset[str]:
    """A set of words, written as one string."""
    return frozenset(text.split())


STOP_WORDS = word_set(
    "a about also am an and any are as at be been but by can could did do does each for from get had has have he "
    "her his how i if in into is it its just me my no not of on only or our out please she so some such tell than "
    "that the their them then there these they this to too up use using was we were what when where which who "
    "whose why will with would you your"
)
COMMAND_WORDS = word_set(
    "add answer ask book build call calculate check compute convert count create delete describe do explain "
    "extract fetch find generate get give greet hello hey hi include list look make name open order output play "
    "please print put read remove reply return run say schedule search send set show summarise summarize take tell "
    "thank thanks translate try turn update use using what whats write yes"
)
_CJK = re.compile("[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]")
_ENDINGS = ("ations", "ation", "ators", "ator", "ating", "ings", "ing", "ates", "ated", "ate", "ers", "er", "ies")
_SHORT_ENDINGS = ("ed", "es", "s", "e", "y")
_STEM_MIN = 3
_SENTENCE = re.compile("(?<=[.!?])[\"')\\]]*\\s+|(?<=[\u3002\uff01\uff1f])|\\n+")
_OPENING, _CLOSING = '"\u201c\u2018\u300a\u300c\u300e\u00ab`', '"\u201d\u2019\u300b\u300d\u300f\u00bb`'
QUOTED = re.compile(
    "|".join(f"{re.escape(a)}([^{re.escape(b)}\\n]+){re.escape(b)}" for a, b in zip(_OPENING, _CLOSING, strict=True))
    + "|(?<![A-Za-z0-9])'([^'\\n]+)'(?![A-Za-z0-9])"
)
_NUMBER = re.compile(r"(?<![\w.])-?\d[\d,]*(?:\.\d+)?(?:[eE][+-]?\d+)?(?![\w])")
_NO_NUMBER = re.compile(r"\d{4}-\d{2}-\d{2}(?:T\S*)?|\b\d{1,2}:\d{2}(?::\d{2})?\b|https?://\S+|\S+@\S+\.\w+")
_SPELLED = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve")
_NUMBER_WORDS = {word: number for number, word in enumerate(_SPELLED)}
_NAME = re.compile(r"\b[A-Z][\w'-]*(?:\s+(?:(?:of|de|la|le|von|van|del)\s+)?[A-Z][\w'-]*)*(?:,\s*[A-Z]{2,3}\b)?")
_PREPOSITION = re.compile(r"\s+(?:in|on|at|for|of|from|about)\b")
_FLOOR = 0.25
_NEAR_BEST = 0.6


def stem_word(word: str) -> str:
    """A word without its usual English ending, so that `adder` meets `add` and `cities` meets `city`."""
    for ending in (*_ENDINGS, *_SHORT_ENDINGS):
        if word.endswith(ending) and len(word) - len(ending) >= _STEM_MIN:
            return word[: -len(ending)]
    return word


def find_words(text: str) -> list[str]:
    """The words of a text in lower case; `snake_case` and `camelCase` are split, CJK is split into characters."""
    text = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", text).replace("_", " ")
    text = _CJK.sub(r" \g<0> ", text)
    return [w.lower() for w in re.findall(r"[^\W_]+", text)]


def keywords(text: str) -> list[str]:
    """The stems of the words that carry meaning."""
    return [stem_word(w) for w in find_words(text) if w not in STOP_WORDS]


def split_sentences(text: str) -> list[str]:
    """The sentences and lines of a text, without the empty ones."""
    return [s.strip() for s in _SENTENCE.split(text) if s and re.search(r"\w", s)]


def find_quoted(text: str) -> list[str]:
    """The texts between quotation marks of any kind."""
    return [next(g for g in m.groups() if g) for m in QUOTED.finditer(text)]


def find_numbers(text: str) -> list[int | float]:
    """The numbers of a text in order, except dates and times; words up to twelve if there are no digits."""
    results: list[int | float] = []
    for m in _NUMBER.finditer(_NO_NUMBER.sub(" ", text)):
        digits = m[0].replace(",", "")
        value = float(digits)
        if math.isfinite(value):
            results.append(int(digits) if re.fullmatch(r"-?\d+", digits) else value)
    return results or [_NUMBER_WORDS[w] for w in find_words(text) if w in _NUMBER_WORDS]


def find_names(text: str) -> list[str]:
    """Sequences of capitalized words; common words are ignored at the start."""
    results: list[str] = []
    for sentence in split_sentences(QUOTED.sub(lambda m: " " * len(m[0]), text)):
        for m in _NAME.finditer(sentence):
            parts = m[0].split(" ")
            while parts and _is_common(parts[0]):
                parts.pop(0)
            name = " ".join(parts).strip(" ,")
            heading = m.start() == 0 and " " not in name and _PREPOSITION.match(sentence[m.end() :])
            if name and name.lower() not in STOP_WORDS and not heading:
                results.append(re.sub(r"'s$", "", name))
    return results


def _is_common(word: str) -> bool:
    bare = re.sub(r"'\w+$", "", word.strip(",")).lower()
    return bare in STOP_WORDS or bare in COMMAND_WORDS or (bare.endswith("ing") and word[:1].isupper())


def most_relevant(question: str, candidates: Sequence[str], limit: int = 3) -> list[str]:
    """The sentences that share most words with the question, weighted by rarity, in their order.

    Returns:
        At most `limit` of `candidates`; none if even the best shares less than a quarter of the question's weight.
    """
    question_words = set(keywords(question))
    bags = [set(keywords(c)) for c in candidates]
    counts = Counter(w for bag in bags for w in bag & question_words)
    weight = {w: math.log(1 + (1 + len(bags)) / (1 + counts[w])) for w in question_words}
    scores = [sum(weight[w] for w in bag & question_words) / (1 + len(bag) / 50) for bag in bags]
    best = max(scores, default=0.0)
    if best <= _FLOOR * sum(weight.values()):
        return []
    ranked = sorted(range(len(bags)), key=lambda i: (-scores[i], i))[:limit]
    selected = sorted(i for i in ranked if scores[i] >= _NEAR_BEST * best)
    return list(dict.fromkeys(candidates[i] for i in selected))
