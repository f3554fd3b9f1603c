"""Options that several commands share, and the connection that they describe."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from cfaig_integrations.errors import ConfigError
from cfaig_integrations.gateway.connection import Connection
from cfaig_integrations.gateway.settings import UNSET, resolve

DEFAULT_CHAT_MODEL = "@cf/openai/gpt-oss-120b"
"""A model that Cloudflare runs itself: it needs neither credits nor a provider's key."""

Account = Annotated[
    str | None, typer.Option(metavar="ID", help="Account; else CLOUDFLARE_ACCOUNT_ID.", show_default=False)
]
Gateway = Annotated[
    str | None,
    typer.Option(metavar="ID", help="Gateway; else CLOUDFLARE_AI_GATEWAY_ID, or 'default'.", show_default=False),
]
BaseUrl = Annotated[
    str | None,
    typer.Option(metavar="URL", help="Else CLOUDFLARE_API_BASE_URL, or Cloudflare's REST API.", show_default=False),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Metadata = Annotated[
    list[str] | None,
    typer.Option(metavar="KEY=VALUE", help="Entry of the gateway's metadata; repeatable.", show_default=False),
]


def location(account: str | None, gateway: str | None, base_url: str | None) -> dict[str, Any]:
    """The constructor arguments of the options; what is left out comes from the environment."""
    return {"account_id": account, "gateway_id": UNSET if gateway is None else gateway, "base_url": base_url}


def connect(account: str | None, gateway: str | None, base_url: str | None, **fields: Any) -> Connection:
    """The connection of the options.

    Raises:
        ConfigError: A value is missing or not valid.
    """
    return Connection(settings=resolve(**location(account, gateway, base_url)), **fields)


def metadata_entries(entries: list[str] | None) -> dict[str, str]:
    """The entries of `--metadata`, each `key=value`.

    Raises:
        ConfigError: An entry has no key or no equals sign, or repeats a key.
    """
    pairs: dict[str, str] = {}
    for entry in entries or ():
        key, equals, value = entry.partition("=")
        if not equals or not key:
            raise ConfigError(
                f"--metadata {entry!r} is not KEY=VALUE.",
                field="--metadata",
                value=entry,
                remedy="Use --metadata team=docs.",
            )
        if key in pairs:
            raise ConfigError(
                f"--metadata {key!r} is set twice.", field="--metadata", value=entry, remedy="Leave one of them out."
            )
        pairs[key] = value
    return pairs
