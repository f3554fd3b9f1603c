"""Finds words, sentences, numbers, names and values in a text, and the sentences that are relevant to a question."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence


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
_MIN_SHARE = 0.25
_NEAR_BEST = 0.6
_MOST_SENTENCES = 3


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
    numbers: list[int | float] = []
    for m in _NUMBER.finditer(_NO_NUMBER.sub(" ", text)):
        digits = m[0].replace(",", "")
        value = float(digits)
        if math.isfinite(value):
            numbers.append(int(digits) if re.fullmatch(r"-?\d+", digits) else value)
    return numbers or [_NUMBER_WORDS[w] for w in find_words(text) if w in _NUMBER_WORDS]


def find_names(text: str) -> list[str]:
    """Sequences of capitalized words; common words are ignored at the start."""
    names: list[str] = []
    for sentence in split_sentences(QUOTED.sub(lambda m: " " * len(m[0]), text)):
        for m in _NAME.finditer(sentence):
            parts = m[0].split(" ")
            while parts and _is_common(parts[0]):
                parts.pop(0)
            name = " ".join(parts).strip(" ,")
            heading = m.start() == 0 and " " not in name and _PREPOSITION.match(sentence[m.end() :])
            if name and name.lower() not in STOP_WORDS and not heading:
                names.append(re.sub(r"'s$", "", name))
    return names


def _is_common(word: str) -> bool:
    bare = re.sub(r"'\w+$", "", word.strip(",")).lower()
    return bare in STOP_WORDS or bare in COMMAND_WORDS or (bare.endswith("ing") and word[:1].isupper())


def most_relevant(question: str, candidates: Sequence[str]) -> list[str]:
    """The sentences that share most words with the question, weighted by rarity, in their order: at most three.

    None if even the best shares less than a quarter of the question's weight.
    """
    question_words = set(keywords(question))
    bags = [set(keywords(c)) for c in candidates]
    counts = Counter(w for bag in bags for w in bag & question_words)
    weight = {w: math.log(1 + (1 + len(bags)) / (1 + counts[w])) for w in question_words}
    scores = [sum(weight[w] for w in bag & question_words) / (1 + len(bag) / 50) for bag in bags]
    best = max(scores, default=0.0)
    if best <= _MIN_SHARE * sum(weight.values()):
        return []
    ranked = sorted(range(len(bags)), key=lambda i: (-scores[i], i))[:_MOST_SENTENCES]
    selected = sorted(i for i in ranked if scores[i] >= _NEAR_BEST * best)
    return list(dict.fromkeys(candidates[i] for i in selected))


_WORD = re.compile(r"[^\s,;:!?()\"\u201c\u201d]+")
_LABELLED = r"(?<![\w']){label}['\"]?\s*(?:is\b|was\b|are\b|=|:|named\b|called\b)\s*"
_ADJACENT = r"(?<![\w']){label}\s+"
_FIGURE = r"(-?\d{{1,15}}(?:\.\d{{1,15}})?)"
_DIRECTIONS = {
    "from": ("from", "origin", "source", "departure", "start"),
    "to": ("to", "destination", "target", "arrival", "end"),
}
_EMAIL = r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+"
_FORMATS = {
    "email": _EMAIL,
    "uri": r"https?://[^\s'\"<>)]+",
    "url": r"https?://[^\s'\"<>)]+",
    "date": r"\d{4}-\d{2}-\d{2}",
    "date-time": r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}(?::\d{2})?(?:\.\d+)?(?:Z|[+-]\d{2}:\d{2})?",
    "time": r"\d{2}:\d{2}(?::\d{2})?",
    "uuid": r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}",
}


class ExtractedText:
    """The values in a text, in order; each is returned once."""

    def __init__(
        self,
        text: str,
        *,
        backup: str = "",
        extra_numbers: Iterable[int | float] = (),
        ignore: Iterable[str] = (),
        prose: Callable[[], str] = str,
    ) -> None:
        ignored = {stem_word(w) for part in ignore for w in find_words(part)}
        ignored_words = {part.lower() for part in ignore}
        self.text = text
        self.prose = prose
        self.quoted = [q for q in find_quoted(text) if q.lower() not in ignored_words]
        self.names = [n for n in find_names(text) or find_names(backup) if not set(keywords(n)) <= ignored]
        self.numbers = [*extra_numbers, *(find_numbers(text) or find_numbers(backup))]
        self._last: int | float | None = None
        candidates: list[str] = [w.strip(".'") for w in _WORD.findall(QUOTED.sub(" ", text))]
        self.words = [w for w in candidates if w and self._is_content(w, ignored)]

    @staticmethod
    def _is_content(word: str, ignored: set[str]) -> bool:
        low = word.lower()
        plain = low not in STOP_WORDS and low not in COMMAND_WORDS and not re.fullmatch(r"-?[\d.,]+", word)
        return plain and not {stem_word(w) for w in find_words(word)} & ignored

    def mentions(self, phrase: str) -> bool:
        """Whether the text contains the words of `phrase`, in any inflection."""
        stems = {stem_word(w) for w in find_words(phrase)}
        return bool(stems) and stems <= {stem_word(w) for w in find_words(self.text)}

    def number(self) -> int | float | None:
        """The next number, or the last one again."""
        if self.numbers:
            self._last = self.numbers.pop(0)
        return self._last

    def labelled_number(self, label: str) -> int | float | None:
        """A number right after the label (`age: 30`), or before it (`30 days`)."""
        for pattern in (_LABELLED + _FIGURE, _ADJACENT + _FIGURE, _FIGURE + r"\s*{label}"):
            m = re.search(pattern.format(label=_flexible(label)), self.text, re.IGNORECASE)
            value = next(iter(find_numbers(m[1])), None) if m else None
            if value is not None and value in self.numbers:
                self.numbers.remove(value)
                return value
        return None

    def formatted(self, kind: str) -> str | None:
        """A string of a JSON schema format."""
        m = re.search(_FORMATS[kind], self.text) if kind in _FORMATS else None
        return self._used(m[0]) if m else None

    def has_format(self, kind: str) -> bool:
        """Whether the text holds a string of a JSON schema format."""
        return kind in _FORMATS and re.search(_FORMATS[kind], self.text) is not None

    def patterned(self, pattern: str) -> str | None:
        """A value that matches a regular expression."""
        candidates = [*self.quoted, *self.words, *self.names, *(str(n) for n in self.numbers)]
        try:
            return next((c for c in candidates if re.search(pattern, c)), None)
        except re.error:
            return None

    def labelled(self, label: str) -> str | None:
        """The value that the text gives for a label: `city: Paris`, `name is Bob`, `named 'X'`, `from Rome`."""
        for before, form in (*_label_forms(label), *_direction_forms(label)):
            m = re.search(before + form, self.text, re.IGNORECASE)
            value = next((g for g in m.groups() if g), None) if m else None
            if value and (form is not _NAME_VALUE or value[0].isupper() or not value.isascii()):
                return self._used(value.strip().rstrip(".,;"))
        return None

    def string(self) -> str | None:
        """The next quoted string, else the next name."""
        for store in (self.quoted, self.names):
            if store:
                return self._used(store[0])
        return None

    def phrase(self) -> str | None:
        """All remaining words that carry meaning."""
        unused, self.words = self.words, []
        return " ".join(unused) or None

    def _used(self, value: str) -> str:
        parts = set(find_words(value))
        self.quoted = [q for q in self.quoted if q != value]
        self.names = [n for n in self.names if n != value and not set(find_words(n)) <= parts]
        self.words = [w for w in self.words if not set(find_words(w)) <= parts]
        return value


_QUOTE = r"['\"\u2018\u201c\u300a\u300c]([^'\"\u2019\u201d\u300b\u300d\n]+)['\"\u2019\u201d\u300b\u300d]"
_NAME_VALUE = r"((?-i:[A-Z])[\w'-]*(?:[ ](?-i:[A-Z])[\w'-]*)*)"
_ANY = rf"(?:{_QUOTE}|([^\s,;.][^,;.\n]*))"


def _flexible(label: str) -> str:
    return r"[\s_-]*".join(re.escape(w) for w in find_words(label))


def _label_forms(label: str) -> list[tuple[str, str]]:
    forms: list[tuple[str, str]] = []
    whole = find_words(label)
    for part in dict.fromkeys([" ".join(whole), whole[-1] if whole else ""]):
        if part:
            flexible = _flexible(part)
            forms += [(_LABELLED.format(label=flexible), _ANY), (_ADJACENT.format(label=flexible), _QUOTE)]
            forms.append((_ADJACENT.format(label=flexible), _NAME_VALUE))
    if whole and whole[-1] == "name":
        forms += [(r"\b(?:named|called)\s+", _QUOTE), (r"\b(?:named|called)\s+", _NAME_VALUE)]
    return forms


def _direction_forms(label: str) -> list[tuple[str, str]]:
    whole = set(find_words(label))
    return [(rf"\b{way}\s+", _NAME_VALUE) for way, labels in _DIRECTIONS.items() if whole & set(labels)]
