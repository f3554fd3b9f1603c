"""Looks at JSON strictly, and words each fault as OpenAI, Anthropic or Workers AI would.

Knows no field of any dialect. A place in a body is a tuple of keys and indexes.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection
from typing import Any, ClassVar, NoReturn

from cfaig_integrations.simulator.json_types import is_list, is_record
from cfaig_integrations.simulator.types import InvalidBody

JsonPath = tuple[str | int, ...]
Record = dict[str, Any]

_KINDS = {str: "string", bool: "boolean", int: "integer", float: "number", list: "array", dict: "object"}


def kind_of(value: Any) -> str:
    """The JSON name of a value's type."""
    return next((name for kind, name in _KINDS.items() if type(value) is kind), "null")


class Validator(ABC):
    """Strict look-ups; each raises [InvalidBody][] in the dialect's own words."""

    code: ClassVar[int]

    @abstractmethod
    def format_path(self, path: JsonPath) -> str:
        """A place as the server spells it."""

    @abstractmethod
    def missing_field(self, path: JsonPath) -> NoReturn:
        """A required field is not there."""
        raise NotImplementedError

    @abstractmethod
    def wrong_type(self, path: JsonPath, wanted: str, got: Any) -> NoReturn:
        """A value has the wrong JSON type."""
        raise NotImplementedError

    @abstractmethod
    def not_allowed(self, path: JsonPath, got: Any, allowed: Collection[str]) -> NoReturn:
        """A string is none of the known ones."""
        raise NotImplementedError

    @abstractmethod
    def unknown_field(self, path: JsonPath) -> NoReturn:
        """A field that the server does not have."""
        raise NotImplementedError

    @abstractmethod
    def out_of_range(self, path: JsonPath, got: float, *, least: float | None, most: float | None) -> NoReturn:
        """A number beyond its limits."""
        raise NotImplementedError

    def fail(self, message: str, path: JsonPath = ()) -> NoReturn:
        """Refuse the body with a message of the caller's."""
        raise InvalidBody(message, param=self.format_path(path) if path else "", code=self.code)

    def record(self, value: Any, path: JsonPath) -> Record:
        """An object."""
        if not is_record(value):
            self.wrong_type(path, "object", value)
        return value

    def array(self, value: Any, path: JsonPath) -> list[Any]:
        """A list."""
        if not is_list(value):
            self.wrong_type(path, "array", value)
        return value

    def text(self, value: Any, path: JsonPath, *, empty: bool = True) -> str:
        """A string, which may have to hold something."""
        if not isinstance(value, str):
            self.wrong_type(path, "string", value)
        if not value and not empty:
            self.fail(
                f"Invalid '{self.format_path(path)}': empty string. Expected a string with minimum length 1.", path
            )
        return value

    def required(self, record: Record, key: str, path: JsonPath = ()) -> Any:
        """A field that must be there and not be null."""
        if record.get(key) is None:
            self.missing_field((*path, key))
        return record[key]

    def required_text(self, record: Record, key: str, path: JsonPath = ()) -> str:
        """A field that must be a string with content."""
        return self.text(self.required(record, key, path), (*path, key), empty=False)

    def optional(self, record: Record, key: str, kind: type, path: JsonPath = ()) -> Any:
        """A field that may be absent or null, but has one type."""
        value = record.get(key)
        if value is not None and type(value) is not kind:
            self.wrong_type((*path, key), _KINDS[kind], value)
        return value

    def boolean(self, record: Record, key: str, *, default: bool = False) -> bool:
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
            self.wrong_type((key,), "integer" if whole else "number", value)
        if (least is not None and value < least) or (most is not None and value > most):
            self.out_of_range((key,), value, least=least, most=most)
        return value

    def integer(self, record: Record, key: str, *, least: int = 1, most: int | None = None) -> int | None:
        """A whole number that may be absent, within its limits."""
        value = self.number(record, key, least=least, most=most, whole=True)
        return None if value is None else int(value)

    def one_of(self, value: Any, path: JsonPath, allowed: Collection[str]) -> str:
        """A string that must be one of a few."""
        if not isinstance(value, str) or value not in allowed:
            self.not_allowed(path, value, allowed)
        return value

    def only_fields(self, record: Record, allowed: Collection[str], path: JsonPath = ()) -> None:
        """No other fields than these."""
        for key in record:
            if key not in allowed:
                self.unknown_field((*path, key))

    def no_tracing_fields(self, body: Record) -> None:
        """Tracing words of a client framework never belong in a body."""
        for key in body:
            if key.startswith("ls_"):
                self.unknown_field((key,))

    def text_list(self, record: Record, key: str, most: int) -> list[str]:
        """A string or a list of strings, at most so many."""
        value = record.get(key)
        if value is None:
            return []
        listed = [value] if isinstance(value, str) else self.array(value, (key,))
        if len(listed) > most:
            self.fail(f"Invalid '{key}': array too long. Expected an array with maximum length {most}.", (key,))
        return [self.text(v, (key, i)) for i, v in enumerate(listed)]


class OpenAIValidator(Validator):
    """Words faults as OpenAI does: `Missing required parameter: 'messages[0].role'.`."""

    code = 7003

    def format_path(self, path: JsonPath) -> str:
        """`messages[0].role`."""
        steps = "".join(f"[{s}]" if isinstance(s, int) else f".{s}" for s in path)
        return steps.removeprefix(".")

    def missing_field(self, path: JsonPath) -> NoReturn:
        """A required field is not there."""
        self.fail(f"Missing required parameter: '{self.format_path(path)}'.", path)

    def wrong_type(self, path: JsonPath, wanted: str, got: Any) -> NoReturn:
        """A value has the wrong JSON type."""
        self.fail(
            f"Invalid type for '{self.format_path(path)}': expected {_an(wanted)}, but got {_an(kind_of(got))} instead.",
            path,
        )

    def not_allowed(self, path: JsonPath, got: Any, allowed: Collection[str]) -> NoReturn:
        """A string is none of the known ones."""
        if not isinstance(got, str):
            self.wrong_type(path, f"one of {_listed(allowed)}", got)
        self.fail(f"Invalid value: '{got}'. Supported values are: {_listed(allowed)}.", path)

    def unknown_field(self, path: JsonPath) -> NoReturn:
        """A field that the server does not have."""
        self.fail(f"Unknown parameter: '{self.format_path(path)}'.", path)

    def out_of_range(self, path: JsonPath, got: float, *, least: float | None, most: float | None) -> NoReturn:
        """A number beyond its limits."""
        kind = "integer" if isinstance(got, int) else "decimal"
        low = least is not None and got < least
        side, limit, sign = ("below minimum", least, ">=") if low else ("above maximum", most, "<=")
        name = self.format_path(path)
        self.fail(
            f"Invalid '{name}': {kind} {side} value. Expected a value {sign} {limit}, but got {got} instead.", path
        )


class AnthropicValidator(Validator):
    """Words faults as Anthropic does: `messages.0.role: Field required`."""

    code = 7003

    def format_path(self, path: JsonPath) -> str:
        """`messages.0.role`."""
        return ".".join(str(s) for s in path)

    def missing_field(self, path: JsonPath) -> NoReturn:
        """A required field is not there."""
        self.fail(f"{self.format_path(path)}: Field required", path)

    def wrong_type(self, path: JsonPath, wanted: str, got: Any) -> NoReturn:
        """A value has the wrong JSON type."""
        words = {"object": "dictionary", "array": "list"}
        self.fail(f"{self.format_path(path)}: Input should be a valid {words.get(wanted, wanted)}", path)

    def not_allowed(self, path: JsonPath, got: Any, allowed: Collection[str]) -> NoReturn:
        """A string is none of the known ones."""
        options = ", ".join(f"'{a}'" for a in allowed)
        self.fail(
            f"{self.format_path(path)}: Input tag '{got}' found does not match any of the expected tags: {options}",
            path,
        )

    def unknown_field(self, path: JsonPath) -> NoReturn:
        """A field that the server does not have."""
        self.fail(f"{self.format_path(path)}: Extra inputs are not permitted", path)

    def out_of_range(self, path: JsonPath, got: float, *, least: float | None, most: float | None) -> NoReturn:
        """A number beyond its limits."""
        low = least is not None and got < least
        side = f"greater than or equal to {least}" if low else f"less than or equal to {most}"
        self.fail(f"{self.format_path(path)}: Input should be {side}", path)


class WorkersAIValidator(Validator):
    """Words faults as Workers AI does, with code 5006 (wire-facts §5.6)."""

    code = 5006

    def fail(self, message: str, path: JsonPath = ()) -> NoReturn:
        """Refuse the body with a message of the caller's."""
        raise InvalidBody(
            f"AiError: Bad input: Error: {message}", param=self.format_path(path) if path else "", code=self.code
        )

    def format_path(self, path: JsonPath) -> str:
        """`/messages/0/role`."""
        return "/" + "/".join(str(s) for s in path)

    def missing_field(self, path: JsonPath) -> NoReturn:
        """A required field is not there."""
        self.fail(f"required properties at '{self.format_path(path[:-1])}' are '{path[-1]}'", path)

    def wrong_type(self, path: JsonPath, wanted: str, got: Any) -> NoReturn:
        """A value has the wrong JSON type."""
        self.fail(f"Type mismatch of '{self.format_path(path)}', '{kind_of(got)}' not in '{wanted}'", path)

    def not_allowed(self, path: JsonPath, got: Any, allowed: Collection[str]) -> NoReturn:
        """A string is none of the known ones."""
        self.fail(f"'{self.format_path(path)}' must be one of {_listed(allowed)}, got '{got}'", path)

    def unknown_field(self, path: JsonPath) -> NoReturn:
        """A field that the server does not have."""
        self.fail(f"Additional property '{path[-1]}' at '{self.format_path(path[:-1])}' is not allowed", path)

    def out_of_range(self, path: JsonPath, got: float, *, least: float | None, most: float | None) -> NoReturn:
        """A number beyond its limits."""
        low = least is not None and got < least
        self.fail(f"'{self.format_path(path)}' must be {'>=' if low else '<='} {least if low else most}", path)


def _an(word: str) -> str:
    return word if word.startswith(("one of", "null")) else f"{'an' if word[0] in 'aeiou' else 'a'} {word}"


def _listed(allowed: Collection[str]) -> str:
    quoted = [f"'{a}'" for a in allowed]
    return quoted[0] if len(quoted) == 1 else f"{', '.join(quoted[:-1])}, and {quoted[-1]}"
