"""An account to ask, and the opt-in without which every live test is skipped, all with one reason."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from typing import Any

import httpx
import pytest
from pydantic import SecretStr

CREDENTIALS = ("CLOUDFLARE_API_TOKEN", "CLOUDFLARE_ACCOUNT_ID")
REST = "https://api.cloudflare.com/client/v4"
UNANSWERED = frozenset({401, 402, 403, 429, 502, 503, 504})
"""Statuses that answer no question: no permission, no credits, too many requests, no service."""


def is_enabled(environment: Mapping[str, str]) -> bool:
    """Whether the environment has credentials, and says that they may be spent."""
    return environment.get("CFAIG_LIVE") == "1" and all(environment.get(name) for name in CREDENTIALS)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if is_enabled(os.environ):
        return
    # As a mark, and not raised by a fixture, pytest reports all of them in one line.
    skip = pytest.mark.skip(reason=f"live: needs CFAIG_LIVE=1, {' and '.join(CREDENTIALS)}")
    for item in items:
        if item.get_closest_marker("live"):
            item.add_marker(skip)


class Account:
    """The account of an environment.

    Attributes:
        arguments: Constructor arguments of the package's classes that lead to it.
    """

    def __init__(self, environment: Mapping[str, str]) -> None:
        base_url = environment.get("CLOUDFLARE_API_BASE_URL", REST)
        account_id, token = environment["CLOUDFLARE_ACCOUNT_ID"], environment["CLOUDFLARE_API_TOKEN"]
        self.gateway_id = environment.get("CLOUDFLARE_AI_GATEWAY_ID", "default")
        self.arguments: dict[str, Any] = {
            "base_url": base_url,
            "account_id": account_id,
            "api_token": SecretStr(token),
            "gateway_id": self.gateway_id,
            "max_retries": 0,
        }
        self._client = httpx.Client(
            base_url=f"{base_url}/accounts/{account_id}", headers={"authorization": f"Bearer {token}"}, timeout=120
        )

    def post(self, path: str, body: Mapping[str, Any], *, gateway: bool = True, **headers: str) -> httpx.Response:
        """One request as it stands, without the package.

        Args:
            path: After the account.
            body: The JSON body.
            gateway: Whether to name the gateway.
            **headers: Further headers, with underscores for hyphens.
        """
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        if gateway:
            sent["cf-aig-gateway-id"] = self.gateway_id
        response = self._client.post(path, json=body, headers=sent)
        if response.status_code in UNANSWERED:
            pytest.skip(f"no answer: {response.status_code} {response.text[:200]}")
        return response

    def close(self) -> None:
        self._client.close()


@pytest.fixture(scope="session")
def account() -> Iterator[Account]:
    account = Account(os.environ)
    yield account
    account.close()
