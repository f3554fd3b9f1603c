"""Strict checks of JSON values; each failure is worded as OpenAI, Anthropic or Workers AI words it."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, ClassVar, NoReturn

from cfaig_integrations.simulator.json_types import Record, is_list, is_record
from cfaig_integrations.simulator.types import InvalidBody

JsonPath = tuple[str | int, ...]  # where a value is in the body: keys and indexes
_TYPE_NAMES: dict[type, str] = {
    str: "string", bool: "boolean", int: "integer", float: "number", list: "array", dict: "object",
}  # fmt: skip


def type_name(value: Any) -> str:
    """The JSON name of a value's type."""
    return next((name for kind, name in _TYPE_NAMES.items() if type(value) is kind), "null")


class Validator:
    """Checks values and raises [InvalidBody][]; a subclass defines the messages of one vendor."""

    code: ClassVar[int] = 7003
    prefix: ClassVar[str] = ""
    tags_in_path: ClassVar[bool] = False
    """Whether a path names the type of an object that has one, as in `content.0.text.index`."""
    missing: ClassVar[str]
    unknown: ClassVar[str]
    type_mismatch: ClassVar[str]
    not_in_list: ClassVar[str]
    below: ClassVar[str]
    above: ClassVar[str]

    def format_path(self, path: JsonPath) -> str:
        """A path as the vendor writes it, such as `messages.0.role`."""
        return ".".join(map(str, path))

    def name_type(self, name: str) -> str:
        """What the vendor calls a JSON type."""
        return name

    def fail(self, message: str, path: JsonPath = ()) -> NoReturn:
        """Reject the body with this message."""
        raise InvalidBody(self.prefix + message, param=self.format_path(path) if path else "", code=self.code)

    def _fail(self, template: str, path: JsonPath, **values: Any) -> NoReturn:
        places = {"path": self.format_path(path), "parent": self.format_path(path[:-1]), "key": path[-1]}
        self.fail(template.format(**places, **values), path)

    def missing_field(self, path: JsonPath) -> NoReturn:
        """Reject the body: a required field is absent."""
        self._fail(self.missing, path)

    def wrong_type(self, path: JsonPath, expected: str, value: Any) -> NoReturn:
        """Reject the body: a value has the wrong JSON type."""
        actual = self.name_type(type_name(value))
        self._fail(self.type_mismatch, path, expected=self.name_type(expected), actual=actual)

    def not_allowed(self, path: JsonPath, value: Any, allowed: Collection[str]) -> NoReturn:
        """Reject the body: a value is not one of those allowed."""
        self._fail(self.not_in_list, path, value=value, allowed=_join(allowed), listed=", ".join(map(repr, allowed)))

    def record(self, value: Any, path: JsonPath) -> Record:
        """An object."""
        return value if is_record(value) else self.wrong_type(path, "object", value)

    def array(self, value: Any, path: JsonPath) -> list[Any]:
        """An array."""
        return value if is_list(value) else self.wrong_type(path, "array", value)

    def text(self, value: Any, path: JsonPath, *, empty: bool = True) -> str:
        """A string; not the empty one with `empty=False`."""
        if not isinstance(value, str):
            self.wrong_type(path, "string", value)
        if not value and not empty:
            place = self.format_path(path)
            self.fail(f"Invalid '{place}': empty string. Expected a string with minimum length 1.", path)
        return value

    def required(self, record: Record, key: str, path: JsonPath = ()) -> Any:
        """A field that must be present and not null."""
        return record[key] if record.get(key) is not None else self.missing_field((*path, key))

    def required_text(self, record: Record, key: str, path: JsonPath = ()) -> str:
        """A field that must be a non-empty string."""
        return self.text(self.required(record, key, path), (*path, key), empty=False)

    def number(
        self, value: Any, path: JsonPath, least: float | None, most: float | None, *, whole: bool = False
    ) -> float:
        """A number within its limits."""
        if isinstance(value, bool) or not isinstance(value, (int, float)) or (whole and value % 1 != 0):
            self.wrong_type(path, "integer" if whole else "number", value)
        kind = "integer" if whole else "decimal"
        if least is not None and value < least:
            self._fail(self.below, path, limit=least, value=value, kind=kind)
        if most is not None and value > most:
            self._fail(self.above, path, limit=most, value=value, kind=kind)
        return value

    def integer(self, record: Record, key: str, *, least: int = 1, most: int | None = None) -> int | None:
        """An integer that may be absent, within its limits."""
        value = record.get(key)
        return None if value is None else int(self.number(value, (key,), least, most, whole=True))

    def one_of(self, value: Any, path: JsonPath, allowed: Collection[str]) -> str:
        """A string that must be one of these."""
        return value if isinstance(value, str) and value in allowed else self.not_allowed(path, value, allowed)

    def only_fields(self, record: Record, allowed: Collection[str], path: JsonPath = ()) -> None:
        """Reject every other field."""
        for key in record:
            if key not in allowed:
                self._fail(self.unknown, (*path, key))

    def no_tracing_fields(self, body: Record) -> None:
        """Reject LangSmith's tracing arguments, which do not belong in a body."""
        self.only_fields(body, [key for key in body if not key.startswith("ls_")])

    def text_list(self, record: Record, key: str, most: int) -> list[str]:
        """A string or a list of at most `most` strings."""
        value = record.get(key)
        if value is None:
            return []
        items = [value] if isinstance(value, str) else self.array(value, (key,))
        if len(items) > most:
            self.fail(f"Invalid '{key}': array too long. Expected an array with maximum length {most}.", (key,))
        return [self.text(item, (key, i)) for i, item in enumerate(items)]


class OpenAIValidator(Validator):
    """OpenAI's messages, such as `Missing required parameter: 'messages[0].role'.`."""

    missing = "Missing required parameter: '{path}'."
    unknown = "Unknown parameter: '{path}'."
    type_mismatch = "Invalid type for '{path}': expected {expected}, but got {actual} instead."
    not_in_list = "Invalid value: '{value}'. Supported values are: {allowed}."
    below = "Invalid '{path}': {kind} below minimum value. Expected a value >= {limit}, but got {value} instead."
    above = "Invalid '{path}': {kind} above maximum value. Expected a value <= {limit}, but got {value} instead."

    def format_path(self, path: JsonPath) -> str:
        """`messages[0].role`."""
        return "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path).removeprefix(".")

    def name_type(self, name: str) -> str:
        """With an article, such as `an integer`."""
        return name if name.startswith(("one of", "null")) else f"{'an' if name[0] in 'aeiou' else 'a'} {name}"

    def not_allowed(self, path: JsonPath, value: Any, allowed: Collection[str]) -> NoReturn:
        """Reject the body: a value is not one of those allowed, or not even a string."""
        if not isinstance(value, str):
            self.wrong_type(path, f"one of {_join(allowed)}", value)
        super().not_allowed(path, value, allowed)


class AnthropicValidator(Validator):
    """Anthropic's messages, such as `messages.0.role: Field required`."""

    tags_in_path = True
    missing = "{path}: Field required"
    unknown = "{path}: Extra inputs are not permitted"
    type_mismatch = "{path}: Input should be a valid {expected}"
    not_in_list = "{path}: Input tag '{value}' found does not match any of the expected tags: {listed}"
    below = "{path}: Input should be greater than or equal to {limit}"
    above = "{path}: Input should be less than or equal to {limit}"

    def name_type(self, name: str) -> str:
        """As Python calls it."""
        return {"object": "dictionary", "array": "list"}.get(name, name)


class WorkersAIValidator(Validator):
    """The messages of Workers AI, with code 5006 (facts §5.6)."""

    code = 5006
    prefix = "AiError: Bad input: Error: "
    missing = "required properties at '{parent}' are '{key}'"
    unknown = "Additional property '{key}' at '{parent}' is not allowed"
    type_mismatch = "Type mismatch of '{path}', '{actual}' not in '{expected}'"
    not_in_list = "'{path}' must be one of {allowed}, got '{value}'"
    below = "'{path}' must be >= {limit}"
    above = "'{path}' must be <= {limit}"

    def format_path(self, path: JsonPath) -> str:
        """`/messages/0/role`."""
        return "/" + "/".join(map(str, path))


def _join(allowed: Collection[str]) -> str:
    *most, last = (f"'{item}'" for item in allowed)
    return f"{', '.join(most)}, and {last}" if most else last
