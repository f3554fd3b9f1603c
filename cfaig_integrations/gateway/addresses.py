"""Base URLs: Cloudflare's REST API, the legacy host and custom domains, as users write them."""

from __future__ import annotations

import ipaddress
import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import cast
from urllib.parse import SplitResult, urlsplit, urlunsplit

from cfaig_integrations.errors import ConfigError
from cfaig_integrations.gateway.failures.redaction import redacted

_REST_HOST = "api.cloudflare.com"
DEFAULT_BASE_URL = f"https://{_REST_HOST}/client/v4"
LEGACY_HOST = "gateway.ai.cloudflare.com"
VISIBLE_ASCII = re.compile(r"[!-~]+")

_log = logging.getLogger(__name__)
_PRIVATE_HOST = re.compile(r"[^.]+|.*\.(?:example|internal|invalid|lan|local|localhost|test|\d+|0x[\da-f]*)")
"""Names that no public name server knows (RFC 2606, RFC 6761, RFC 6762), and short forms of addresses: `127.1`."""
_COMPLETED_PATH = re.compile(r"/v1(?:/|$)")
# {prefix}[/v1[/{account}[/{gateway}]]], without a final /compat (facts §1.5); every path is one.
_LEGACY_PATH = re.compile(r"(?P<prefix>.*?)(?:/v1(?:/(?P<account>[^/]+)(?:/(?P<gateway>[^/]+))?)?)?")
_REST_PATH = re.compile(r"(?P<root>.*?)(?:/accounts/(?P<account>[^/]+)(?:/ai(?:/v1|/run)?)?|/ai/v1)")
"""A base URL may end with the account's path or with that of the formats, as OpenAI's client needs it."""
_PROVIDER_PATH = re.compile(r"/v1/(?P<account>[^/]+)/(?P<gateway>[^/]+)/(?P<provider>[^/]+)(?:/.*)?")
_PROVIDER_HOSTS: Mapping[str, str] = {
    "api.anthropic.com": "anthropic/...",
    "api.openai.com": "openai/...",
    "api.x.ai": "xai/...",
    "generativelanguage.googleapis.com": "google/...",
}
_PROVIDER_PATHS: Mapping[str, str] = {
    "compat": "author/...",
    "google-ai-studio": "google/...",
    "grok": "xai/...",
    "workers-ai": "@cf/...",
}
"""Providers in the paths of the legacy host whose models have another prefix (facts §1.3)."""


@dataclass(frozen=True, slots=True)
class Address:
    """A parsed base URL.

    Attributes:
        prefix: Path before `/v1` in a legacy URL that is to be completed; None: the URL is complete.
        account: Account in the URL, or empty.
        gateway: Gateway in a legacy URL, or empty.
    """

    base: SplitResult
    url: str
    legacy: bool
    prefix: str | None
    account: str = ""
    gateway: str = ""
    custom: bool = False


@lru_cache(maxsize=64)  # a program has few URLs and makes many models; and each is warned of once
def address(source: str, value: str) -> Address:
    """The parts of a base URL.

    Raises:
        ConfigError: It is not the URL of an API that this package can use.
    """
    base = _parsed_url(source, value)
    is_legacy_host = host_of(base) == LEGACY_HOST
    if not is_legacy_host and not base.path.endswith("/compat"):
        return _rest_address(source, base)
    path = base.path.removesuffix("/compat")
    if not is_legacy_host and not _COMPLETED_PATH.search(path):
        return Address(base, urlunsplit(base), True, None, custom=True)
    if is_legacy_host and (provider := _PROVIDER_PATH.fullmatch(path)):
        raise _provider_path(source, provider)
    match = cast("re.Match[str]", _LEGACY_PATH.fullmatch(path))
    return Address(base, "", True, match["prefix"], match["account"] or "", match["gateway"] or "")


def _rest_address(source: str, base: SplitResult) -> Address:
    if model := _PROVIDER_HOSTS.get(host_of(base)):
        raise ConfigError(
            f"{source} is a provider's own address, {base.hostname!r}.",
            field=source,
            remedy=f"Leave it out: the gateway reaches the provider with model={model!r}.",
        )
    match = _REST_PATH.fullmatch(base.path)
    if match is not None:
        base = base._replace(path=match["root"])
    elif "/accounts" in base.path:
        raise ConfigError(
            f"{source} continues after the account with an unknown path.",
            field=source,
            value=urlunsplit(base),
            remedy="Leave base_url out and pass account_id=, or end it with /accounts/{account_id}/ai/v1.",
        )
    return Address(base, urlunsplit(base), False, None, (match and match["account"]) or "")


def _provider_path(source: str, match: re.Match[str]) -> ConfigError:
    account, gateway, provider = match["account"], match["gateway"], match["provider"]
    model = _PROVIDER_PATHS.get(provider, f"{provider}/...")
    return ConfigError(
        f"{source} ends in the path {provider!r} of one provider or format.",
        field=source,
        value=provider,
        remedy=f"Leave it out, and write account_id={account!r}, gateway_id={gateway!r}, model={model!r}.",
    )


def _parsed_url(source: str, value: str) -> SplitResult:
    remedy = f"Use a URL such as {DEFAULT_BASE_URL!r}, or leave it out."
    shown = str(redacted(value))[:100]
    try:
        parts = urlsplit(value.rstrip("/"))
        is_valid = VISIBLE_ASCII.fullmatch(value) and (parts.port is None or parts.port)
    except ValueError as error:  # unbalanced brackets, a port that is not a number
        raise ConfigError(f"{source}={shown!r} is not a valid URL: {error}.", field=source, remedy=remedy) from None
    if "@" in parts.netloc:
        raise ConfigError(
            f"{source} contains credentials.", field=source, remedy="Remove them, and pass the token as api_token."
        )
    is_http = parts.scheme in {"http", "https"} and parts.hostname and not parts.query and not parts.fragment
    if not is_valid or not is_http:
        kind = "http(s) URL without query and fragment" if is_valid else "valid URL"
        raise ConfigError(f"{source}={shown!r} is not a {kind}.", field=source, value=shown, remedy=remedy)
    if parts.scheme == "http" and not is_private(cast("str", parts.hostname)):
        _log.warning("%s=%r is not encrypted, so that the token can be read in transit. Use https.", source, shown)
    return parts


def host_of(url: SplitResult) -> str:
    """A URL's host without port, in lower case and without the final dot of a complete name."""
    return (url.hostname or "").removesuffix(".")


def is_cloudflare(url: str) -> bool:
    """Whether a URL, however it is spelled, is on one of Cloudflare's hosts."""
    return host_of(urlsplit(url)) in (_REST_HOST, LEGACY_HOST)


def is_private(host: str) -> bool:
    """Whether a host is this machine, or one that only a private network knows."""
    host = host.removesuffix(".")
    try:
        return not ipaddress.ip_address(host).is_global
    except ValueError:
        return bool(_PRIVATE_HOST.fullmatch(host))
