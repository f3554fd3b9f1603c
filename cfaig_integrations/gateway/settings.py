"""Account, token, gateway and host of a connection, from constructor arguments and the environment."""

from __future__ import annotations

import os
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import field
from enum import Enum
from functools import lru_cache
from typing import Any, Final, Literal, TypeAlias, cast
from urllib.parse import SplitResult, urlunsplit

from pydantic import SecretStr

from cfaig_integrations.core.records import record
from cfaig_integrations.errors import ConfigError
from cfaig_integrations.gateway.addresses import DEFAULT_BASE_URL, LEGACY_HOST, VISIBLE_ASCII, Address, address, host_of
from cfaig_integrations.gateway.failures.redaction import is_credential

DEFAULT_GATEWAY = "default"
"""Created by Cloudflare on the first authenticated request (facts §2.2)."""

_Parameter: TypeAlias = Literal["api_token", "account_id", "gateway_id", "base_url"]
_VARIABLES: Mapping[_Parameter, tuple[str, ...]] = {
    "api_token": ("CLOUDFLARE_API_TOKEN", "CF_AIG_TOKEN", "CF_AI_API_TOKEN", "CF_API_TOKEN"),
    "account_id": ("CLOUDFLARE_ACCOUNT_ID", "CF_ACCOUNT_ID"),
    "gateway_id": ("CLOUDFLARE_AI_GATEWAY_ID", "CLOUDFLARE_GATEWAY_ID", "CF_AIG_GATEWAY_ID"),
    "base_url": ("CLOUDFLARE_API_BASE_URL",),
}
"""Environment variables of each parameter; the first that is set counts."""

_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
_QUOTES = "\"'`"
_PROVIDER_KEYS = ("sk-ant-", "sk-or-", "sk-proj-", "sk-svcacct-")
"""How keys of Anthropic, OpenRouter and OpenAI begin."""


class Unset(Enum):
    """The type of `UNSET`."""

    UNSET = "unset"


UNSET: Final = Unset.UNSET
"""An argument that was left out, where None has a meaning."""
TokenFunction: TypeAlias = Callable[[], str] | Callable[[], Awaitable[str]]
"""Called for a token before every request."""
_Token: TypeAlias = str | SecretStr | TokenFunction | Literal[Unset.UNSET] | None


class Secret(SecretStr):
    """A token that no repr, no log and no pickle shows.

    A pickle holds no value: unpickled, the secret is the token in the environment of that process, or empty.
    """

    def __reduce__(self) -> tuple[Any, ...]:
        return _token_of_environment, ()

    def __copy__(self) -> Secret:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> Secret:
        return self


def _token_of_environment() -> Secret:
    return Secret(_from_environment("api_token")[1])


def hidden(token: Any) -> Any:
    """A user's token as a `Secret`, whatever its type, so that tools that print a frame's variables do not show it."""
    is_hidden = token is None or token is UNSET or callable(token) or isinstance(token, SecretStr)
    return token if is_hidden else Secret(cast("str", token))


def refuse_wrong_type(token: object) -> None:
    """Raises a ConfigError for a hidden token that is not a string."""
    if isinstance(token, SecretStr) and not isinstance(token.get_secret_value(), str):  # pyright: ignore
        raise cast("ConfigError", _token_error(token))


def secret_of(token: object) -> Secret:
    """The token that a function returned, hidden whatever its type."""
    return Secret(cast("str", token.get_secret_value() if isinstance(token, SecretStr) else token))


TokenSource: TypeAlias = Secret | TokenFunction


@record
class Settings:
    """Where requests go, and with which token.

    Attributes:
        account_id: Cloudflare account.
        api_token: API token with Account > Workers AI > Read (legacy host: AI Gateway > Run; custom domain: an Access
            token), or a function that is called before every request; an async one works in async calls only. None: a
            gateway without authentication on the legacy host gets a provider's key alone.
        gateway_id: Gateway; None: none is named, and `@cf/` models bypass the gateway.
        base_url: Without a slash at its end; on the legacy host with account, gateway and `/compat`.
        legacy: Whether `base_url` serves OpenAI's chat completions alone: the host that came before the REST API, or a
            custom domain.
        custom: Whether it is a custom domain, which belongs to one gateway (facts §14.6).
    """

    account_id: str
    api_token: TokenSource | None = field(repr=False)
    gateway_id: str | None = DEFAULT_GATEWAY
    base_url: str = DEFAULT_BASE_URL
    legacy: bool = False
    custom: bool = False

    def auth_header(self, token: object) -> dict[str, str]:
        """The one header that carries the token, a `str` or a `Secret`.

        The legacy host forwards `Authorization` to the provider, which rejects it, so it is never sent there (facts
        §2.1).

        Raises:
            ConfigError: The token is not valid in a header.
        """
        token = token if isinstance(token, SecretStr) else Secret(cast("str", token))
        remedy = " An unpickled model reads it from this process's environment: pickles contain no token."
        if error := _token_error(token, remedy=remedy, account=self.account_id):
            raise error
        value = f"Bearer {token.get_secret_value()}"
        return {"cf-aig-authorization" if self.legacy and not self.custom else "authorization": value}


def resolve(
    *,
    account_id: str | None = None,
    api_token: _Token = UNSET,
    gateway_id: str | Literal[Unset.UNSET] | None = UNSET,
    base_url: str | None = None,
    provider_key: bool = False,
) -> Settings:
    """Settings from constructor arguments, and from the environment where they are left out.

    Args:
        account_id: Else `CLOUDFLARE_ACCOUNT_ID`, `CF_ACCOUNT_ID`, or the account in a legacy `base_url`.
        api_token: Else, and for None, `CLOUDFLARE_API_TOKEN`, `CF_AIG_TOKEN`, `CF_AI_API_TOKEN`, `CF_API_TOKEN`.
        gateway_id: Up to 64 of `[A-Za-z0-9_-]`; None bypasses the gateway. Else `CLOUDFLARE_AI_GATEWAY_ID`,
            `CLOUDFLARE_GATEWAY_ID`, `CF_AIG_GATEWAY_ID`, the gateway in a legacy `base_url`, or `default`.
        base_url: Else `CLOUDFLARE_API_BASE_URL`, or Cloudflare's REST API. The legacy host's
            `https://gateway.ai.cloudflare.com/v1[/{account}/{gateway}[/compat]]`, and any path with `/v1` that ends in
            `/compat`, is completed. Any other path that ends in `/compat` is that of a custom domain, which belongs to
            one gateway: neither account nor gateway is needed.
        provider_key: Whether the requests carry a provider's key. On the legacy host no token is then needed, and
            `api_token=None` sends none.

    Raises:
        ConfigError: A value is missing or not valid.
    """
    api_token = hidden(api_token)
    source, url = _from_argument_or_environment("base_url", base_url, DEFAULT_BASE_URL)
    parsed = address(source, url)
    if parsed.custom:
        account = "" if account_id is None else _resolve_id("account_id", account_id, "")
        gateway = None if gateway_id is UNSET else _resolve_gateway(gateway_id, "")
    else:
        account = _resolve_id("account_id", account_id, parsed.account)
        gateway = _resolve_gateway(gateway_id, parsed.gateway)
    url = parsed.url if parsed.prefix is None else _completed(parsed.base, parsed.prefix, account, gateway)
    token = _resolve_token(api_token, parsed, account, provider_key=provider_key)
    return Settings(account, token, gateway, url, parsed.legacy, parsed.custom)


def _from_environment(parameter: _Parameter) -> tuple[str, str]:
    """The first variable of a parameter that is set, and its value; both empty if there is none."""
    # `os.environ` is in no local variable: its repr, which error reporters print, shows every secret.
    for name in _VARIABLES[parameter]:
        if (value := os.environ.get(name, "")).strip():
            return name, value
    return "", ""


def _from_argument_or_environment(parameter: _Parameter, value: str | None, default: str) -> tuple[str, str]:
    """The name of the argument or variable that sets a parameter, and its value."""
    if value is None:
        name, value = _from_environment(parameter)
        return (name, value) if name else (parameter, default)
    if not isinstance(value, str):  # pyright: ignore[reportUnnecessaryIsInstance]  # users call this without a type checker
        raise ConfigError(f"{parameter} is a {type(value).__name__}.", field=parameter, remedy="Use a str.")
    return parameter, value


def _resolve_id(parameter: Literal["account_id", "gateway_id"], value: str | None, in_url: str) -> str:
    """An id from its argument, the URL or the environment; the first two must not differ."""
    if value is not None and in_url and value != in_url:
        raise ConfigError(
            f"{parameter} differs from the one in base_url, {in_url!r}.",
            field=parameter,
            remedy="Set one of them, or both to the same.",
        )
    source, text = _from_argument_or_environment(parameter, value if value is not None else in_url or None, "")
    _check_id(parameter, source, text)
    return text


@lru_cache(maxsize=256)
def _check_id(parameter: Literal["account_id", "gateway_id"], source: str, value: str) -> None:
    """Raises a ConfigError for an id that is not valid; without the value, which may be a token by mistake."""
    if not value:
        remedy = f"Pass {parameter}=..., or set {_VARIABLES[parameter][0]}."
        raise ConfigError(f"{parameter} is missing.", field=parameter, remedy=remedy)
    if parameter == "account_id" and is_credential(value):
        raise _id_is_token(source)
    if not _ID.fullmatch(value):
        raise ConfigError(
            f"{source} is not a valid id (it has {len(value)} characters).",
            field=source,
            remedy="An id is 1 to 64 of the characters A-Z, a-z, 0-9, _ and -.",
        )


def _id_is_token(source: str) -> ConfigError:
    return ConfigError(f"{source} is a token.", field=source, remedy="Set it to the id, and api_token to the token.")


def _resolve_gateway(value: str | Literal[Unset.UNSET] | None, in_url: str) -> str | None:
    if value is None:
        return None
    if value is UNSET:
        value = None if in_url or _from_environment("gateway_id")[0] else DEFAULT_GATEWAY
    return _resolve_id("gateway_id", value, in_url)


def _completed(base: SplitResult, prefix: str, account: str, gateway: str | None) -> str:
    if gateway is None:
        raise ConfigError(
            "gateway_id is None, but a URL of the legacy host contains the gateway.",
            field="gateway_id",
            remedy="Set gateway_id, or leave base_url out to use the REST API.",
        )
    if prefix and host_of(base) == LEGACY_HOST:
        raise ConfigError(
            f"base_url has the path {base.path!r}, which is not supported.",
            field="base_url",
            value=urlunsplit(base),
            remedy=f"Use https://{LEGACY_HOST}/v1/{{account}}/{{gateway}}/compat, or leave base_url out.",
        )
    return urlunsplit(base._replace(path=f"{prefix}/v1/{account}/{gateway}/compat"))


def _resolve_token(token: _Token, address: Address, account: str, *, provider_key: bool) -> TokenSource | None:
    source, remedy = "api_token", ""
    if address.custom:
        remedy = " On a custom domain it is a Cloudflare Access token."
    elif address.legacy:
        if token is None and provider_key:
            return None
        remedy = " Without gateway authentication, extra_headers={'Authorization': 'Bearer <provider key>'} is enough."
    if token is None or token is UNSET:
        source = _from_environment("api_token")[0] or source
        token = _token_of_environment()
        if provider_key and address.legacy and not address.custom and not token.get_secret_value():
            return None
    elif isinstance(token, SecretStr):
        token = Secret(token.get_secret_value())
    elif callable(token):
        return token
    if error := _token_error(token, source, remedy, account=account):
        raise error
    return cast("Secret", token)


def _token_error(
    token: object, source: str = "api_token", remedy: str = "", *, account: str | None = None
) -> ConfigError | None:
    """The error of a token that is not valid in a header or for an account; its traceback does not show the token."""
    value = token.get_secret_value() if isinstance(token, SecretStr) else token
    if value == "":
        return ConfigError(
            "api_token is missing.",
            field="api_token",
            remedy=f"Pass api_token=..., or set {_VARIABLES['api_token'][0]}.{remedy}",
        )
    if not isinstance(value, str):
        return ConfigError(
            f"{source} is a {type(value).__name__}, not a str.",
            field=source,
            remedy="Use a str, a SecretStr, or a function that returns the token (an async one for async calls only).",
        )
    if value.startswith(_PROVIDER_KEYS):
        return ConfigError(
            f"{source} is a provider's key.",
            field=source,
            remedy="Pass Cloudflare's API token: the gateway bills for the provider, or holds its key.",
        )
    if not VISIBLE_ASCII.fullmatch(value) or value[0] in _QUOTES or value[-1] in _QUOTES:
        return ConfigError(
            f"{source} contains a space, a line break, a quote or a non-ASCII character.",
            field=source,
            remedy="Use the bare token, without 'Bearer' and without quotes.",
        )
    return _id_is_token("account_id") if value == account else None
