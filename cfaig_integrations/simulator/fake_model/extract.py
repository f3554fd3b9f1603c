"""Extracts the values for a JSON schema from a text: numbers, names, quoted strings and words, each used once."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable

from cfaig_integrations.simulator.fake_model.text import (
    COMMAND_WORDS,
    QUOTED,
    STOP_WORDS,
    find_names,
    find_numbers,
    find_quoted,
    find_words,
    keywords,
    stem_word,
)

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
        """Find the values in a text, or names and numbers in `backup`; `ignore` holds names of the schema."""
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
        for ignored in (_LABELLED + _FIGURE, _ADJACENT + _FIGURE, _FIGURE + r"\s*{label}"):
            m = re.search(ignored.format(label=_flexible(label)), self.text, re.IGNORECASE)
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
        for ignored, value in (*_label_forms(label), *_direction_forms(label)):
            m = re.search(ignored + value, self.text, re.IGNORECASE)
            candidates = next((g for g in m.groups() if g), None) if m else None
            if candidates and (value is not _NAME or candidates[0].isupper() or not candidates.isascii()):
                return self._used(candidates.strip().rstrip(".,;"))
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
_NAME = r"((?-i:[A-Z])[\w'-]*(?:[ ](?-i:[A-Z])[\w'-]*)*)"
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
            forms.append((_ADJACENT.format(label=flexible), _NAME))
    if whole and whole[-1] == "name":
        forms += [(r"\b(?:named|called)\s+", _QUOTE), (r"\b(?:named|called)\s+", _NAME)]
    return forms


def _direction_forms(label: str) -> list[tuple[str, str]]:
    whole = set(find_words(label))
    return [(rf"\b{way}\s+", _NAME) for way, labels in _DIRECTIONS.items() if whole & set(labels)]
