"""Which account, token, gateway and host: from constructor words, then from the environment.

Knows no model, no option of a call and no HTTP library.
"""

from __future__ import annotations

import os
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from functools import lru_cache
from typing import Any, Final, Literal, TypeAlias
from urllib.parse import SplitResult, urlsplit, urlunsplit

from pydantic import SecretStr

from cfaig_integrations.errors import ConfigError

__all__ = ["DEFAULT_BASE_URL", "DEFAULT_GATEWAY", "UNSET", "Secret", "Settings", "TokenSource", "Unset", "resolve"]

DEFAULT_BASE_URL = "https://api.cloudflare.com/client/v4"
DEFAULT_GATEWAY = "default"
"""Made by Cloudflare on the first authenticated request (wire-facts §2.2)."""

_LEGACY_HOST = "gateway.ai.cloudflare.com"
_NAMES: Mapping[str, tuple[str, ...]] = {
    "api_token": ("CLOUDFLARE_API_TOKEN", "CF_AIG_TOKEN", "CF_AI_API_TOKEN", "CF_API_TOKEN"),
    "account_id": ("CLOUDFLARE_ACCOUNT_ID", "CF_ACCOUNT_ID"),
    "gateway_id": ("CLOUDFLARE_AI_GATEWAY_ID", "CLOUDFLARE_GATEWAY_ID", "CF_AIG_GATEWAY_ID"),
    "base_url": ("CLOUDFLARE_API_BASE_URL",),
}
_SLUG = re.compile(r"[A-Za-z0-9_-]{1,64}")
_VISIBLE = re.compile(r"[!-~]+")
# {prefix}[/v1[/{account}[/{gateway}]]], once a final /compat is off (wire-facts §1.5).
_LEGACY_PATH = re.compile(r"(?P<prefix>.*?)(?:/v1(?:/(?P<account>[^/]+)(?:/(?P<gateway>[^/]+))?)?)?")


class Unset(Enum):
    """The type of `UNSET`."""

    UNSET = "unset"


UNSET: Final = Unset.UNSET
"""Nothing was said, where None would say something."""


class Secret(SecretStr):
    """A token that no repr, no log and no pickle shows.

    A pickle carries no value: read back, the secret is what the environment of the reading process holds, and empty if
    it holds none.
    """

    def __reduce__(self) -> tuple[Any, ...]:
        return _secret_of_environment, ()

    def __copy__(self) -> Secret:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> Secret:
        return self


def _secret_of_environment() -> Secret:
    return Secret(_first("api_token", os.environ)[1])


TokenSource: TypeAlias = Secret | Callable[[], str] | Callable[[], Awaitable[str]]
"""A token, or what is asked for one before every request."""


@dataclass(frozen=True, slots=True)
class Settings:
    """Where requests go, and in whose name.

    Attributes:
        account_id: Cloudflare account.
        api_token: API token with Account > Workers AI > Read (legacy host: AI Gateway > Run); a callable is asked
            before every request, and an async one by async calls only.
        gateway_id: Gateway; None: none is named, and `@cf/` models bypass the gateway.
        base_url: Without a slash at its end; on the legacy host with account, gateway and `/compat`.
        legacy: Whether `base_url` is the host that came before the REST API.
    """

    account_id: str
    api_token: TokenSource = field(repr=False)
    gateway_id: str | None = DEFAULT_GATEWAY
    base_url: str = DEFAULT_BASE_URL
    legacy: bool = False

    def url(self, path: str) -> str:
        """The address of a route's path."""
        return f"{self.base_url}{path}" if self.legacy else f"{self.base_url}/accounts/{self.account_id}{path}"

    def auth_headers(self, token: str) -> dict[str, str]:
        """The one header that carries the token.

        The legacy host forwards `Authorization` to the provider, which rejects it, so the two are never sent together
        (wire-facts §2.1).

        Raises:
            ConfigError: The token cannot stand in a header.
        """
        value = f"Bearer {_checked_token(token, 'api_token')}"
        return {"cf-aig-authorization": value} if self.legacy else {"Authorization": value}


def resolve(
    *,
    account_id: str | None = None,
    api_token: str | SecretStr | Callable[[], str] | Callable[[], Awaitable[str]] | None = None,
    gateway_id: str | Literal[Unset.UNSET] | None = UNSET,
    base_url: str | None = None,
    environ: Mapping[str, str] | None = None,
) -> Settings:
    """Settings from constructor words, and from the environment where they say nothing.

    Args:
        account_id: Else `CLOUDFLARE_ACCOUNT_ID`, `CF_ACCOUNT_ID`, or the account in a legacy `base_url`.
        api_token: Else `CLOUDFLARE_API_TOKEN`, `CF_AIG_TOKEN`, `CF_AI_API_TOKEN`, `CF_API_TOKEN`.
        gateway_id: At most 64 of `[A-Za-z0-9_-]`; None asks for no gateway. Else `CLOUDFLARE_AI_GATEWAY_ID`,
            `CLOUDFLARE_GATEWAY_ID`, `CF_AIG_GATEWAY_ID`, the gateway in a legacy `base_url`, or `default`.
        base_url: Else `CLOUDFLARE_API_BASE_URL`, or Cloudflare's REST API. The legacy host's
            `https://gateway.ai.cloudflare.com/v1[/{account}/{gateway}[/compat]]`, and any path that ends in
            `/compat`, is completed.
        environ: Instead of `os.environ`.

    Raises:
        ConfigError: A value is missing or cannot be right.
    """
    env = os.environ if environ is None else environ
    address = _address(*_said("base_url", base_url, env, DEFAULT_BASE_URL))
    account = _agreed("account_id", account_id, address.account, env)
    # What stands in the address was said, as a constructor word is; the environment only fills in.
    chosen = _gateway(gateway_id, address.gateway, env)
    url = address.url if address.prefix is None else _completed(address.base, address.prefix, account, chosen)
    return Settings(account, _token(api_token, env), chosen, url, address.legacy)


@dataclass(frozen=True, slots=True)
class _Address:
    """A base URL taken apart.

    Attributes:
        prefix: What stands before `/v1` in a legacy address that is to be completed; None: nothing is.
    """

    base: SplitResult
    url: str
    legacy: bool
    prefix: str | None
    account: str = ""
    gateway: str = ""


@lru_cache(maxsize=64)  # a program has few addresses and makes many models
def _address(source: str, value: str) -> _Address:
    base = _base(source, value)
    legacy = base.hostname == _LEGACY_HOST or base.path.endswith("/compat")
    inside = _LEGACY_PATH.fullmatch(base.path.removesuffix("/compat")) if legacy else None
    if inside is None:
        return _Address(base, urlunsplit(base), legacy, None)
    return _Address(base, "", legacy, inside["prefix"], inside["account"] or "", inside["gateway"] or "")


def _first(word: str, env: Mapping[str, str]) -> tuple[str, str]:
    """The first name of a word that the environment fills, and its value."""
    for name in _NAMES[word]:
        if name in env and (found := env[name]).strip():
            return name, found
    return "", ""


def _said(word: str, value: str | None, env: Mapping[str, str], default: str) -> tuple[str, str]:
    """Who said it (constructor word or variable), and what."""
    if value is not None:
        return word, value
    name, found = _first(word, env)
    return (name, found) if name else (word, default)


def _base(source: str, value: str) -> SplitResult:
    remedy = f"Give an address such as {DEFAULT_BASE_URL!r}, or leave it out."
    if not _VISIBLE.fullmatch(value):
        raise ConfigError(f"{source}={value!r} is no address.", field=source, value=value, remedy=remedy)
    parts = urlsplit(value.rstrip("/"))
    if parts.scheme not in {"http", "https"} or not parts.hostname or parts.query or parts.fragment:
        raise ConfigError(f"{source}={value!r} is no http(s) address.", field=source, value=value, remedy=remedy)
    if "@" in parts.netloc:
        raise ConfigError(
            f"{source} holds credentials.", field=source, remedy="Take them out, and give the token as api_token."
        )
    if "/accounts" in parts.path:
        raise ConfigError(
            f"{source}={value!r} goes too far.",
            field=source,
            value=value,
            remedy="End it before /accounts: account and endpoint are added to it.",
        )
    return parts


def _agreed(word: str, value: str | None, in_url: str, env: Mapping[str, str]) -> str:
    """An id that a word, the address or the environment gives; the first two must not differ."""
    if value is not None and in_url and value != in_url:
        raise ConfigError(
            f"{word}={value!r}, but base_url says {in_url!r}.",
            field=word,
            value=value,
            remedy="Say it once, or the same twice.",
        )
    return _slug(word, *_said(word, value if value is not None else in_url or None, env, ""))


@lru_cache(maxsize=256)
def _slug(word: str, source: str, found: str) -> str:
    """An id that is one."""
    if not found:
        raise ConfigError(f"No {word} is given.", field=word, remedy=f"Pass {word}=..., or set {_NAMES[word][0]}.")
    if not _SLUG.fullmatch(found):
        raise ConfigError(
            f"{source}={found!r} is no id.",
            field=source,
            value=found,
            remedy="It is 1 to 64 of the characters A-Z, a-z, 0-9, _ and -.",
        )
    return found


def _gateway(value: str | Literal[Unset.UNSET] | None, in_url: str, env: Mapping[str, str]) -> str | None:
    if value is None:
        return None
    if value is UNSET:
        value = None if in_url or _first("gateway_id", env)[0] else DEFAULT_GATEWAY
    return _agreed("gateway_id", value, in_url, env)


def _completed(base: SplitResult, prefix: str, account: str, gateway: str | None) -> str:
    if gateway is None:
        raise ConfigError(
            "gateway_id=None, but the legacy host has the gateway in its address.",
            field="gateway_id",
            remedy="Give a gateway_id, or leave base_url out to use the REST API.",
        )
    if prefix and base.hostname == _LEGACY_HOST:
        raise ConfigError(
            f"base_url path {base.path!r} is none that this package speaks.",
            field="base_url",
            value=urlunsplit(base),
            remedy=f"Use https://{_LEGACY_HOST}/v1/{{account}}/{{gateway}}/compat, or leave base_url out.",
        )
    return urlunsplit(base._replace(path=f"{prefix}/v1/{account}/{gateway}/compat"))


def _token(
    value: str | SecretStr | Callable[[], str] | Callable[[], Awaitable[str]] | None, env: Mapping[str, str]
) -> TokenSource:
    if value is None or isinstance(value, str | SecretStr):
        plain = value.get_secret_value() if isinstance(value, SecretStr) else value
        source, found = _said("api_token", plain, env, "")
        return Secret(_checked_token(found, source))
    if not callable(value):
        kind = type(value).__name__
        raise ConfigError(f"api_token is a {kind}.", field="api_token", remedy="Give a str, a SecretStr or a callable.")
    return value


def _checked_token(token: object, source: str) -> str:
    """The token, if a header can carry it; a message never shows it."""
    if not token:
        raise ConfigError(
            "No api_token is given.",
            field="api_token",
            remedy=f"Pass api_token=..., or set {_NAMES['api_token'][0]}.",
        )
    if not isinstance(token, str):
        raise ConfigError(
            f"{source} gave a {type(token).__name__}, not a str.",
            field=source,
            remedy="An async callable serves async calls only; a callable must return the token itself.",
        )
    if not _VISIBLE.fullmatch(token):
        raise ConfigError(
            f"{source} holds a space, a line break or a character beyond ASCII.",
            field=source,
            remedy="Give the bare token, without 'Bearer' and without quotes.",
        )
    return token
