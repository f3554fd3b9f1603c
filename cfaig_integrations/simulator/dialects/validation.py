"""Looks at JSON strictly, and words each fault as OpenAI, Anthropic or Workers AI would.

Knows no field of any dialect. A place in a body is a tuple of keys and indexes.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection
from typing import Any, ClassVar, NoReturn

from cfaig_integrations.simulator.json_types import is_list, is_record
from cfaig_integrations.simulator.types import BadBody

At = tuple[str | int, ...]
Record = dict[str, Any]

_KINDS = {str: "string", bool: "boolean", int: "integer", float: "number", list: "array", dict: "object"}


def kind_of(value: Any) -> str:
    """The JSON name of a value's type."""
    return next((name for kind, name in _KINDS.items() if type(value) is kind), "null")


class Reader(ABC):
    """Strict look-ups; each raises [BadBody][] in the dialect's own words."""

    code: ClassVar[int]

    @abstractmethod
    def place(self, at: At) -> str:
        """A place as the server spells it."""

    @abstractmethod
    def missing(self, at: At) -> NoReturn:
        """A required field is not there."""
        raise NotImplementedError

    @abstractmethod
    def mistyped(self, at: At, wanted: str, got: Any) -> NoReturn:
        """A value has the wrong JSON type."""
        raise NotImplementedError

    @abstractmethod
    def not_among(self, at: At, got: Any, allowed: Collection[str]) -> NoReturn:
        """A string is none of the known ones."""
        raise NotImplementedError

    @abstractmethod
    def unknown(self, at: At) -> NoReturn:
        """A field that the server does not have."""
        raise NotImplementedError

    @abstractmethod
    def out_of_range(self, at: At, got: float, *, least: float | None, most: float | None) -> NoReturn:
        """A number beyond its limits."""
        raise NotImplementedError

    def fail(self, message: str, at: At = ()) -> NoReturn:
        """Refuse the body with a message of the caller's."""
        raise BadBody(message, param=self.place(at) if at else "", code=self.code)

    def record(self, value: Any, at: At) -> Record:
        """An object."""
        if not is_record(value):
            self.mistyped(at, "object", value)
        return value

    def array(self, value: Any, at: At) -> list[Any]:
        """A list."""
        if not is_list(value):
            self.mistyped(at, "array", value)
        return value

    def text(self, value: Any, at: At, *, empty: bool = True) -> str:
        """A string, which may have to hold something."""
        if not isinstance(value, str):
            self.mistyped(at, "string", value)
        if not value and not empty:
            self.fail(f"Invalid '{self.place(at)}': empty string. Expected a string with minimum length 1.", at)
        return value

    def need(self, record: Record, key: str, at: At = ()) -> Any:
        """A field that must be there and not be null."""
        if record.get(key) is None:
            self.missing((*at, key))
        return record[key]

    def named(self, record: Record, key: str, at: At = ()) -> str:
        """A field that must be a string with content."""
        return self.text(self.need(record, key, at), (*at, key), empty=False)

    def optional(self, record: Record, key: str, kind: type, at: At = ()) -> Any:
        """A field that may be absent or null, but has one type."""
        value = record.get(key)
        if value is not None and type(value) is not kind:
            self.mistyped((*at, key), _KINDS[kind], value)
        return value

    def flag(self, record: Record, key: str, *, default: bool = False) -> bool:
        """A boolean that may be absent."""
        value = self.optional(record, key, bool)
        return default if value is None else bool(value)

    def number(
        self, record: Record, key: str, *, least: float | None = None, most: float | None = None, whole: bool = False
    ) -> float | None:
        """A number that may be absent, within its limits."""
        value = record.get(key)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, (int, float)) or (whole and not float(value).is_integer()):
            self.mistyped((key,), "integer" if whole else "number", value)
        if (least is not None and value < least) or (most is not None and value > most):
            self.out_of_range((key,), value, least=least, most=most)
        return value

    def count(self, record: Record, key: str, *, least: int = 1, most: int | None = None) -> int | None:
        """A whole number that may be absent, within its limits."""
        value = self.number(record, key, least=least, most=most, whole=True)
        return None if value is None else int(value)

    def among(self, value: Any, at: At, allowed: Collection[str]) -> str:
        """A string that must be one of a few."""
        if not isinstance(value, str) or value not in allowed:
            self.not_among(at, value, allowed)
        return value

    def only(self, record: Record, allowed: Collection[str], at: At = ()) -> None:
        """No other fields than these."""
        for key in record:
            if key not in allowed:
                self.unknown((*at, key))

    def no_foreign_keys(self, body: Record) -> None:
        """Tracing words of a client framework never belong in a body."""
        for key in body:
            if key.startswith("ls_"):
                self.unknown((key,))

    def strings(self, record: Record, key: str, most: int) -> list[str]:
        """A string or a list of strings, at most so many."""
        value = record.get(key)
        if value is None:
            return []
        listed = [value] if isinstance(value, str) else self.array(value, (key,))
        if len(listed) > most:
            self.fail(f"Invalid '{key}': array too long. Expected an array with maximum length {most}.", (key,))
        return [self.text(v, (key, i)) for i, v in enumerate(listed)]


class OpenAIReader(Reader):
    """Words faults as OpenAI does: `Missing required parameter: 'messages[0].role'.`."""

    code = 7003

    def place(self, at: At) -> str:
        """`messages[0].role`."""
        steps = "".join(f"[{s}]" if isinstance(s, int) else f".{s}" for s in at)
        return steps.removeprefix(".")

    def missing(self, at: At) -> NoReturn:
        """A required field is not there."""
        self.fail(f"Missing required parameter: '{self.place(at)}'.", at)

    def mistyped(self, at: At, wanted: str, got: Any) -> NoReturn:
        """A value has the wrong JSON type."""
        self.fail(
            f"Invalid type for '{self.place(at)}': expected {_an(wanted)}, but got {_an(kind_of(got))} instead.", at
        )

    def not_among(self, at: At, got: Any, allowed: Collection[str]) -> NoReturn:
        """A string is none of the known ones."""
        if not isinstance(got, str):
            self.mistyped(at, f"one of {_listed(allowed)}", got)
        self.fail(f"Invalid value: '{got}'. Supported values are: {_listed(allowed)}.", at)

    def unknown(self, at: At) -> NoReturn:
        """A field that the server does not have."""
        self.fail(f"Unknown parameter: '{self.place(at)}'.", at)

    def out_of_range(self, at: At, got: float, *, least: float | None, most: float | None) -> NoReturn:
        """A number beyond its limits."""
        kind = "integer" if isinstance(got, int) else "decimal"
        low = least is not None and got < least
        side, limit, sign = ("below minimum", least, ">=") if low else ("above maximum", most, "<=")
        name = self.place(at)
        self.fail(f"Invalid '{name}': {kind} {side} value. Expected a value {sign} {limit}, but got {got} instead.", at)


class AnthropicReader(Reader):
    """Words faults as Anthropic does: `messages.0.role: Field required`."""

    code = 7003

    def place(self, at: At) -> str:
        """`messages.0.role`."""
        return ".".join(str(s) for s in at)

    def missing(self, at: At) -> NoReturn:
        """A required field is not there."""
        self.fail(f"{self.place(at)}: Field required", at)

    def mistyped(self, at: At, wanted: str, got: Any) -> NoReturn:
        """A value has the wrong JSON type."""
        words = {"object": "dictionary", "array": "list"}
        self.fail(f"{self.place(at)}: Input should be a valid {words.get(wanted, wanted)}", at)

    def not_among(self, at: At, got: Any, allowed: Collection[str]) -> NoReturn:
        """A string is none of the known ones."""
        options = ", ".join(f"'{a}'" for a in allowed)
        self.fail(f"{self.place(at)}: Input tag '{got}' found does not match any of the expected tags: {options}", at)

    def unknown(self, at: At) -> NoReturn:
        """A field that the server does not have."""
        self.fail(f"{self.place(at)}: Extra inputs are not permitted", at)

    def out_of_range(self, at: At, got: float, *, least: float | None, most: float | None) -> NoReturn:
        """A number beyond its limits."""
        low = least is not None and got < least
        side = f"greater than or equal to {least}" if low else f"less than or equal to {most}"
        self.fail(f"{self.place(at)}: Input should be {side}", at)


class WorkersReader(Reader):
    """Words faults as Workers AI does, with code 5006 (wire-facts §5.6)."""

    code = 5006

    def fail(self, message: str, at: At = ()) -> NoReturn:
        """Refuse the body with a message of the caller's."""
        raise BadBody(f"AiError: Bad input: Error: {message}", param=self.place(at) if at else "", code=self.code)

    def place(self, at: At) -> str:
        """`/messages/0/role`."""
        return "/" + "/".join(str(s) for s in at)

    def missing(self, at: At) -> NoReturn:
        """A required field is not there."""
        self.fail(f"required properties at '{self.place(at[:-1])}' are '{at[-1]}'", at)

    def mistyped(self, at: At, wanted: str, got: Any) -> NoReturn:
        """A value has the wrong JSON type."""
        self.fail(f"Type mismatch of '{self.place(at)}', '{kind_of(got)}' not in '{wanted}'", at)

    def not_among(self, at: At, got: Any, allowed: Collection[str]) -> NoReturn:
        """A string is none of the known ones."""
        self.fail(f"'{self.place(at)}' must be one of {_listed(allowed)}, got '{got}'", at)

    def unknown(self, at: At) -> NoReturn:
        """A field that the server does not have."""
        self.fail(f"Additional property '{at[-1]}' at '{self.place(at[:-1])}' is not allowed", at)

    def out_of_range(self, at: At, got: float, *, least: float | None, most: float | None) -> NoReturn:
        """A number beyond its limits."""
        low = least is not None and got < least
        self.fail(f"'{self.place(at)}' must be {'>=' if low else '<='} {least if low else most}", at)


def _an(word: str) -> str:
    return word if word.startswith(("one of", "null")) else f"{'an' if word[0] in 'aeiou' else 'a'} {word}"


def _listed(allowed: Collection[str]) -> str:
    quoted = [f"'{a}'" for a in allowed]
    return quoted[0] if len(quoted) == 1 else f"{', '.join(quoted[:-1])}, and {quoted[-1]}"
