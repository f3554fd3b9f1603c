"""Which account, token, gateway and host: from constructor arguments, then from the environment."""

from __future__ import annotations

import ipaddress
import logging
import os
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from functools import lru_cache
from typing import Any, Final, Literal, TypeAlias, cast
from urllib.parse import SplitResult, urlsplit, urlunsplit

from pydantic import SecretStr

from cfaig_integrations.errors import ConfigError
from cfaig_integrations.gateway.failures.redaction import is_credential, redacted

__all__ = [
    "DEFAULT_BASE_URL",
    "DEFAULT_GATEWAY",
    "UNSET",
    "Secret",
    "Settings",
    "TokenSource",
    "Unset",
    "hidden",
    "resolve",
]

DEFAULT_BASE_URL = "https://api.cloudflare.com/client/v4"
DEFAULT_GATEWAY = "default"
"""Made by Cloudflare on the first authenticated request (facts §2.2)."""

_LEGACY_HOST = "gateway.ai.cloudflare.com"
_NAMES: Mapping[str, tuple[str, ...]] = {
    "api_token": ("CLOUDFLARE_API_TOKEN", "CF_AIG_TOKEN", "CF_AI_API_TOKEN", "CF_API_TOKEN"),
    "account_id": ("CLOUDFLARE_ACCOUNT_ID", "CF_ACCOUNT_ID"),
    "gateway_id": ("CLOUDFLARE_AI_GATEWAY_ID", "CLOUDFLARE_GATEWAY_ID", "CF_AIG_GATEWAY_ID"),
    "base_url": ("CLOUDFLARE_API_BASE_URL",),
}
_Env: TypeAlias = Mapping[str, str] | None
"""Of what to take in place of `os.environ`: that one is in no variable of a frame, for its repr shows every secret."""

_log = logging.getLogger(__name__)
_SLUG = re.compile(r"[A-Za-z0-9_-]{1,64}")
_QUOTES = "\"'`"
_VISIBLE = re.compile(r"[!-~]+")
_PRIVATE_NAME = re.compile(r"[^.]+|.*\.(?:example|internal|invalid|lan|local|localhost|test)")
"""Hosts that no public name server knows (RFC 2606, RFC 6761, RFC 6762)."""
# {prefix}[/v1[/{account}[/{gateway}]]], once a final /compat is off (facts §1.5).
_COMPLETED = re.compile(r"/v1(?:/|$)")
_LEGACY_PATH = re.compile(r"(?P<prefix>.*?)(?:/v1(?:/(?P<account>[^/]+)(?:/(?P<gateway>[^/]+))?)?)?")


class Unset(Enum):
    """The type of `UNSET`."""

    UNSET = "unset"


UNSET: Final = Unset.UNSET
"""Nothing was said, where None would say something."""
_Given: TypeAlias = str | SecretStr | Callable[[], str] | Callable[[], Awaitable[str]] | Literal[Unset.UNSET] | None


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
    return Secret(_first("api_token", None)[1])


def hidden(token: Any) -> Any:
    """What was given as a token, hidden from whoever prints the variables of a frame, be it of the wrong type."""
    given = token is None or token is UNSET or callable(token) or isinstance(token, SecretStr)
    return token if given else Secret(cast("str", token))


def refuse_wrong_type(token: object) -> None:
    """Raises a ConfigError for a hidden token that is not text."""
    if isinstance(token, SecretStr) and not isinstance(token.get_secret_value(), str):  # pyright: ignore
        raise cast("ConfigError", _token_fault(token, "api_token"))


def secret_of(token: object) -> Secret:
    """What a function gave as a token, hidden whatever it is."""
    return Secret(cast("str", token.get_secret_value() if isinstance(token, SecretStr) else token))


TokenSource: TypeAlias = Secret | Callable[[], str] | Callable[[], Awaitable[str]]
"""A token, or what is asked for one before every request."""


@dataclass(frozen=True, slots=True)
class Settings:
    """Where requests go, and in whose name.

    Attributes:
        account_id: Cloudflare account.
        api_token: API token with Account > Workers AI > Read (legacy host: AI Gateway > Run; custom domain: an Access
            token); a callable is asked before every request, and an async one by async calls only. None: there is
            none, as a gateway without authentication on the legacy host needs none beside a provider's key.
        gateway_id: Gateway; None: none is named, and `@cf/` models bypass the gateway.
        base_url: Without a slash at its end; on the legacy host with account, gateway and `/compat`.
        legacy: Whether `base_url` serves OpenAI's chat completions alone: the host that came before the REST API, or a
            custom domain.
        custom: Whether it is a custom domain, which stands for one gateway (facts §14.6).
    """

    account_id: str
    api_token: TokenSource | None = field(repr=False)
    gateway_id: str | None = DEFAULT_GATEWAY
    base_url: str = DEFAULT_BASE_URL
    legacy: bool = False
    custom: bool = False

    def url(self, path: str) -> str:
        """The address of a route's path."""
        return f"{self.base_url}{path}" if self.legacy else f"{self.base_url}/accounts/{self.account_id}{path}"

    def auth_headers(self, token: object) -> dict[str, str]:
        """The one header that carries the token; a text or a `Secret`.

        The legacy host forwards `Authorization` to the provider, which rejects it, so the two are never sent together
        (facts §2.1).

        Raises:
            ConfigError: The token cannot stand in a header.
        """
        secret = token = token if isinstance(token, SecretStr) else Secret(cast("str", token))
        fault = _token_fault(secret, "api_token") or _account_fault(self.account_id, secret)
        if fault:
            raise fault
        value = f"Bearer {secret.get_secret_value()}"
        return {"cf-aig-authorization": value} if self.legacy and not self.custom else {"Authorization": value}


def resolve(
    *,
    account_id: str | None = None,
    api_token: _Given = UNSET,
    gateway_id: str | Literal[Unset.UNSET] | None = UNSET,
    base_url: str | None = None,
    provider_key: bool = False,
    environ: Mapping[str, str] | None = None,
) -> Settings:
    """Settings from constructor arguments, and from the environment where they say nothing.

    Args:
        account_id: Else `CLOUDFLARE_ACCOUNT_ID`, `CF_ACCOUNT_ID`, or the account in a legacy `base_url`.
        api_token: Else, and for None, `CLOUDFLARE_API_TOKEN`, `CF_AIG_TOKEN`, `CF_AI_API_TOKEN`, `CF_API_TOKEN`.
        gateway_id: At most 64 of `[A-Za-z0-9_-]`; None asks for no gateway. Else `CLOUDFLARE_AI_GATEWAY_ID`,
            `CLOUDFLARE_GATEWAY_ID`, `CF_AIG_GATEWAY_ID`, the gateway in a legacy `base_url`, or `default`.
        base_url: Else `CLOUDFLARE_API_BASE_URL`, or Cloudflare's REST API. The legacy host's
            `https://gateway.ai.cloudflare.com/v1[/{account}/{gateway}[/compat]]`, and any path with `/v1` that ends in
            `/compat`, is completed. Any other path that ends in `/compat` is that of a custom domain, which stands for
            one gateway: neither account nor gateway is needed.
        provider_key: Whether the requests carry a provider's key. On the legacy host none but that is then needed, and
            `api_token=None` asks for none.
        environ: Instead of `os.environ`.

    Raises:
        ConfigError: A value is missing or cannot be right.
    """
    api_token, env = hidden(api_token), environ
    source, url = _said("base_url", base_url, env, DEFAULT_BASE_URL)
    address = _address(source, url)
    if address.custom:
        account = "" if account_id is None else _agreed("account_id", account_id, "", env)
        chosen = None if gateway_id is UNSET else _gateway(gateway_id, "", env)
    else:
        account = _agreed("account_id", account_id, address.account, env)
        # What stands in the address was said, as a constructor argument is; the environment only fills in.
        chosen = _gateway(gateway_id, address.gateway, env)
    url = address.url if address.prefix is None else _completed(address.base, address.prefix, account, chosen)
    token = _token(api_token, env, address, provider_key=provider_key)
    fault = _account_fault(account, token)
    if fault:
        raise fault
    return Settings(account, token, chosen, url, address.legacy, address.custom)


@dataclass(frozen=True, slots=True)
class _Address:
    """A base URL taken apart.

    Attributes:
        custom: Whether it is a custom domain's.
        prefix: What stands before `/v1` in a legacy address that is to be completed; None: nothing is.
    """

    base: SplitResult
    url: str
    legacy: bool
    prefix: str | None
    account: str = ""
    gateway: str = ""
    custom: bool = False


@lru_cache(maxsize=64)  # a program has few addresses and makes many models
def _address(source: str, value: str) -> _Address:
    base = _base(source, value)
    legacy = base.hostname == _LEGACY_HOST or base.path.endswith("/compat")
    stem = base.path.removesuffix("/compat")
    if legacy and base.hostname != _LEGACY_HOST and not _COMPLETED.search(stem):
        return _Address(base, urlunsplit(base), legacy, None, custom=True)
    inside = _LEGACY_PATH.fullmatch(stem) if legacy else None
    if inside is None:
        return _Address(base, urlunsplit(base), legacy, None)
    return _Address(base, "", legacy, inside["prefix"], inside["account"] or "", inside["gateway"] or "")


def _first(word: str, env: _Env) -> tuple[str, str]:
    """The first name of a word that the environment fills, and its value."""
    for name in _NAMES[word]:
        if (found := (os.environ if env is None else env).get(name, "")).strip():
            return name, found
    return "", ""


def _said(word: str, value: str | None, env: _Env, default: str) -> tuple[str, str]:
    """Who said it (constructor argument or variable), and what."""
    if value is not None:
        if not isinstance(value, str):  # pyright: ignore[reportUnnecessaryIsInstance]  # users call this without a type checker
            raise ConfigError(f"{word} is a {type(value).__name__}.", field=word, remedy="Give a str.")
        return word, value
    name, found = _first(word, env)
    return (name, found) if name else (word, default)


def _base(source: str, value: str) -> SplitResult:
    remedy = f"Give an address such as {DEFAULT_BASE_URL!r}, or leave it out."
    shown = str(redacted(value))[:100]
    try:
        parts = urlsplit(value.rstrip("/"))
        usable = _VISIBLE.fullmatch(value) and (parts.port is None or parts.port)
    except ValueError as error:  # brackets that do not match, a port that is none
        raise ConfigError(f"{source}={shown!r} is not a valid address: {error}.", field=source, remedy=remedy) from None
    if "@" in parts.netloc:
        raise ConfigError(
            f"{source} holds credentials.", field=source, remedy="Take them out, and give the token as api_token."
        )
    if not usable:
        raise ConfigError(f"{source}={shown!r} is not a valid address.", field=source, value=shown, remedy=remedy)
    if parts.scheme not in {"http", "https"} or not parts.hostname or parts.query or parts.fragment:
        raise ConfigError(f"{source}={shown!r} is no http(s) address.", field=source, value=shown, remedy=remedy)
    if parts.scheme == "http" and not _is_private(parts.hostname):
        _log.warning("%s=%r is not encrypted: everyone on the way can read the token. Use https.", source, shown)
    if "/accounts" in parts.path:
        raise ConfigError(
            f"{source}={value!r} goes too far.",
            field=source,
            value=value,
            remedy="End it before /accounts: account and endpoint are added to it.",
        )
    return parts


def _is_private(host: str) -> bool:
    """Whether a host is this machine, or one that only a private network knows."""
    try:
        return ipaddress.ip_address(host).is_private
    except ValueError:
        return bool(_PRIVATE_NAME.fullmatch(host))


def _agreed(word: str, value: str | None, in_url: str, env: _Env) -> str:
    """An id that a word, the address or the environment gives; the first two must not differ."""
    if value is not None and in_url and value != in_url:
        raise ConfigError(
            f"{word} is another one than that in base_url, {in_url!r}.",
            field=word,
            remedy="Say it once, or the same twice.",
        )
    source, found = _said(word, value if value is not None else in_url or None, env, "")
    fault = _id_fault(word, source, found)
    if fault:
        raise fault
    return found


@lru_cache(maxsize=256)
def _id_fault(word: str, source: str, found: str) -> ConfigError | None:
    """What is wrong with an id; it may be a token by mistake, and is not repeated."""
    if not found:
        return ConfigError(f"No {word} is given.", field=word, remedy=f"Pass {word}=..., or set {_NAMES[word][0]}.")
    if word == "account_id" and is_credential(found):
        return _swapped(source)
    if not _SLUG.fullmatch(found):
        return ConfigError(
            f"{source} is not a valid id: it has {len(found)} characters.",
            field=source,
            remedy="An id is 1 to 64 of the characters A-Z, a-z, 0-9, _ and -.",
        )
    return None


def _account_fault(account: str, token: object) -> ConfigError | None:
    same = isinstance(token, SecretStr) and token.get_secret_value() == account
    return _swapped("account_id") if same else None


def _swapped(source: str) -> ConfigError:
    return ConfigError(f"{source} is a token.", field=source, remedy="Give the id there, and the token as api_token.")


def _gateway(value: str | Literal[Unset.UNSET] | None, in_url: str, env: _Env) -> str | None:
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


def _token(given: _Given, env: _Env, address: _Address, *, provider_key: bool) -> TokenSource | None:
    source, on_legacy = "api_token", address.legacy and not address.custom
    if given is None and provider_key and on_legacy:
        return None
    if given is None or given is UNSET:
        source, found = _first("api_token", env)
        given, found = Secret(found), ""
        if provider_key and on_legacy and not given.get_secret_value():
            return None
    elif isinstance(given, SecretStr):
        given = Secret(given.get_secret_value())
    elif callable(given):
        return given
    fault = _token_fault(given, source, _KEY_REMEDY if on_legacy else _ACCESS_REMEDY if address.custom else "")
    if fault:
        raise fault
    return cast("Secret", given)


_KEY_REMEDY = " A gateway without authentication needs only extra_headers={'Authorization': 'Bearer <provider key>'}."
_ACCESS_REMEDY = " On a custom domain it is a Cloudflare Access token."


def _token_fault(given: object, source: str, remedy: str = "") -> ConfigError | None:
    """Why a header cannot carry a token; never shows it, nor has a frame that would when it is raised."""
    token = given.get_secret_value() if isinstance(given, SecretStr) else given
    if token == "":
        return ConfigError(
            "No api_token is given.",
            field="api_token",
            remedy=f"Pass api_token=..., or set {_NAMES['api_token'][0]}.{remedy}",
        )
    if not isinstance(token, str):
        return ConfigError(
            f"{source} gave a {type(token).__name__}, not a str.",
            field=source,
            remedy="Give a str, a SecretStr or a callable that returns the token; async ones serve async calls only.",
        )
    if not _VISIBLE.fullmatch(token) or token[0] in _QUOTES or token[-1] in _QUOTES:
        return ConfigError(
            f"{source} holds a space, a line break, a quote or a character beyond ASCII.",
            field=source,
            remedy="Give the bare token, without 'Bearer' and without quotes.",
        )
    return None
