"""Removes credentials from errors, texts and JSON values, and hides them in reprs."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, cast

from cfaig_integrations.errors import ApiError, GatewayError, ProtocolError
from cfaig_integrations.wire.jsonio import revealed as revealed

_MAX_DEPTH = 60
"""Levels of a JSON value that an error keeps: deeper values cannot be printed or pickled safely."""
_MAX_LENGTH = 64 * 1024
"""Characters of a text that an error keeps: servers echo whole requests, media included."""
_MIN_SECRET = 8
"""Characters of a secret that is searched for in texts; a shorter one would match parts of words."""

# Every repetition is bounded or cannot overlap with what follows it, so that the search takes linear time.
_CREDENTIAL = re.compile(
    r"""
    (?P<openai>(?i:\bapi[ _-]?key[ ]provided:\s{0,8}))[\w.~+/=*-]{8,}
    | (?P<before>(?i:\b(?:Bearer|Basic)\s{1,8} | \b(?:api[ _-]?key|authorization)["']?\s{0,8}[:=]\s{0,8}["']?))
      (?P<value>[\w.~+/=*-]{8,})
    | \b(?:sk-|cf(?:ut|at|k)_)[\w-]{8,}
    | \b(?P<key>(?:AIza|AKIA|gh[opsu]_|gsk_|hf_|nvapi-|pplx-|r8_|xai-)[\w-]{8,})
    | \beyJ[\w-]{8,500}\.[\w.-]{8,}
    | (?P<field>(?i:[?&][\w-]{0,40}(?:key|token|secret|signature|password|sig)=))[^&\s"'\#<>]{4,}
    | (?P<scheme>\b(?i:https?|wss?)://)[^/\s@"'<>]{1,300}@
    """,
    re.VERBOSE,
)
_RANDOM = re.compile(r"\d|[a-z][A-Z]")
"""What generated keys contain, and words of prose do not."""
_NAME = re.compile(r"(?:^|[-_])(?:authorization|api[-_]?key|token|secret|cookie|password)$", re.IGNORECASE)


class Hidden(bytes):
    """A header value that no repr shows: error reporters print the local variables of every frame."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "b'***'"

    __str__ = __repr__

    def __getitem__(self, key: Any) -> Any:
        # Some error reporters cut a long value before they take its repr.
        item = cast("Any", super().__getitem__(key))
        return Hidden(item) if isinstance(item, bytes) else item


class HiddenText(str):
    """A header value of a user, equal to the text and shown by no repr, as those of the objects that hold it."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "'***'"


def redacted(value: Any, secrets: tuple[str, ...] = ()) -> Any:
    """A text or JSON value without credentials, and shallow enough to be printed.

    Args:
        value: The value.
        secrets: Credentials to remove, in addition to everything that looks like one.
    """
    return _clean(value, secrets, 0)


def conceal(error: GatewayError, headers: Iterable[tuple[bytes, bytes]]) -> None:
    """Removes credentials from an error and its causes: servers and HTTP libraries quote requests."""
    values = [value.decode("latin-1") for name, value in headers if names_a_credential(name.decode())]
    secrets = tuple(secret for value in values if len(secret := value.rpartition(" ")[2]) >= _MIN_SECRET)
    waiting: list[BaseException | None] = [error]
    done: set[int] = set()
    while waiting:
        each = waiting.pop()
        if each is not None and id(each) not in done:
            done.add(id(each))
            waiting += [each.__cause__, each.__context__]
            if isinstance(each, GatewayError):
                _conceal(each, secrets)
            elif any(isinstance(text, str) and secret in text for text in each.args for secret in secrets):
                each.args = tuple(redacted(text, secrets) if isinstance(text, str) else text for text in each.args)


def _conceal(error: GatewayError, secrets: tuple[str, ...]) -> None:
    error.message = redacted(error.message, secrets)
    error.args = tuple(redacted([*error.args], secrets))
    if isinstance(error, ApiError):
        error.code = redacted(error.code, secrets)
        error.headers = redacted(error.headers, secrets)
    if isinstance(error, ApiError | ProtocolError):
        error.body = redacted(error.body, secrets)


def names_a_credential(name: str) -> bool:
    """Whether a header or field with this name holds a credential."""
    return bool(_NAME.search(name))


def is_credential(text: str) -> bool:
    """Whether a text contains what looks like a credential."""
    return _CREDENTIAL.sub(_masked, text) != text


def _clean(value: Any, secrets: tuple[str, ...], depth: int) -> Any:
    match value:
        case str():
            for secret in secrets:
                if secret in value:
                    value = value.replace(secret, "***")
            return _CREDENTIAL.sub(_masked, value if len(value) <= _MAX_LENGTH else value[:_MAX_LENGTH] + " ...")
        case bytes():
            return _clean(value.decode("utf-8", "replace"), secrets, depth)
        case dict() | list() | tuple() | Mapping():
            if depth >= _MAX_DEPTH:
                return "..."
            if isinstance(value, list | tuple):
                return [_clean(each, secrets, depth + 1) for each in cast("list[Any]", value)]
            return {
                _clean(name, secrets, depth): "***"
                if isinstance(name, str) and isinstance(each, str) and each and names_a_credential(name)
                else _clean(each, secrets, depth + 1)
                for name, each in value.items()  # pyright: ignore[reportUnknownVariableType]  # JSON
            }
        case int() if value.bit_length() > 1000:
            return f"an integer of {value.bit_length()} bits"  # Python refuses to print one of 4,300 digits
        case _:
            return value


def _masked(match: re.Match[str]) -> str:
    random = match["value"] or match["key"]
    if random and not (_RANDOM.search(random) or len(random) > 32):
        return match[0]
    return f"{match['openai'] or match['before'] or match['field'] or match['scheme'] or ''}***"
