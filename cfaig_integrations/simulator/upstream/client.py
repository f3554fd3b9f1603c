"""Sends requests to a real OpenAI- or Anthropic-compatible server, instead of answering them here."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

import httpx

from cfaig_integrations.simulator.catalogue import is_workers_ai
from cfaig_integrations.simulator.http.bodies import ApiError
from cfaig_integrations.simulator.http.recorder import MASK, HiddenText
from cfaig_integrations.simulator.json_types import as_record, encode, parse_json, records

_FORWARDED = ("anthropic-version", "anthropic-beta", "openai-beta", "user-agent")
_ANTHROPIC_VERSION = "2023-06-01"
_CONNECT_SECONDS = 10.0
_SILENT_SECONDS = 600.0
_MOST_CONNECTIONS = 1000
_MODELS_SECONDS = 30.0
_LISTING_SECONDS = 10.0
_NOT_SERVED = frozenset({404, 405, 501})
_TRANSIENT = frozenset({408, 425, 429, 500, 502, 503, 504, 529})


class UpstreamError(ApiError):
    """An error response of the upstream server, which is passed on as it is."""

    def __init__(self, status: int, body: bytes, content_type: str, headers: Mapping[str, str]) -> None:
        super().__init__(status, status, f"the upstream server answered {status}", transient=status in _TRANSIENT)
        self.body = body
        self.content_type = content_type
        self.headers = {name: headers[name] for name in ("retry-after",) if name in headers}


class Upstream:
    """One upstream server."""

    def __init__(self, url: str, *, model: str | None = None, key: str | None = None) -> None:
        """Create the client; nothing is sent yet.

        Args:
            url: Base URL, such as `http://127.0.0.1:11434/v1`.
            model: The model that the server is asked for, whatever was requested. None sends the requested id where
                the server lists it, else the part of the id after the author.
            key: API key of the server.

        Raises:
            ValueError: The URL is not an HTTP address, or holds credentials.
        """
        _check_url(url)
        self.url = url.rstrip("/")
        self._model = model
        self._key = None if key is None else HiddenText(key)
        self._client: httpx.AsyncClient | None = None
        self._lacks: set[str] = set()
        self._listed: frozenset[str] = frozenset()
        self._listed_until = 0.0
        self._listing = asyncio.Lock()

    @property
    def key(self) -> str | None:
        """API key of the server."""
        return self._key

    def lacks(self, form: str) -> bool:
        """Whether the server is known not to have a format."""
        return form in self._lacks

    async def close(self) -> None:
        """Close all connections."""
        if self._client is not None:
            await self._client.aclose()
            self._client = None
            self._listing = asyncio.Lock()

    async def send(self, form: str, body: Mapping[str, Any], headers: Mapping[str, str]) -> httpx.Response | None:
        """Send a request and wait for the headers of its response.

        Returns:
            The open response, of which the body must be read or closed; None if the server does not have this format.

        Raises:
            UpstreamError: The server answered with an error.
            ApiError: 502/2005; transient if it could not be reached, not if it redirects.
        """
        url = f"{self.url}/{form.replace('_', '/')}"  # `chat_completions` is at `/chat/completions`
        sent_headers = self._headers(form, headers)
        request = self._opened().build_request("POST", url, content=encode(body), headers=sent_headers)
        try:
            response = await self._opened().send(request, stream=True)
            if response.is_success:
                return response
            content = await response.aread()
        except httpx.HTTPError as error:
            raise self.failure(error) from error
        if response.status_code < 400:
            raise self._redirected(response)
        if response.status_code in _NOT_SERVED and b"model" not in content.lower():
            self._lacks.add(form)
            return None
        content_type = response.headers.get("content-type", "application/json")
        if self._key:
            content = content.replace(self._key.encode(), MASK.encode())
        raise UpstreamError(response.status_code, content, content_type, response.headers)

    def failure(self, error: Exception) -> ApiError:
        """The error for a server that cannot be reached, or stops in the middle."""
        reason = str(error) or type(error).__name__
        message = f"Failed to get response from provider: {self.url} failed: {reason}"
        return ApiError(502, 2005, message, shape="gateway", transient=True)

    def _redirected(self, response: httpx.Response) -> ApiError:
        """The error for a redirect, which is not followed: it would send prompts and the key to another address."""
        target = response.headers.get("location", "another address")
        error = self.failure(ValueError(f"it redirects to {target}; use the URL that it redirects to"))
        error.transient = False
        return error

    async def model_name(self, requested: str) -> str:
        """What the server calls the model of a request.

        The id itself or a part of it, whichever the server lists; if it lists neither, the id without its author.
        """
        if self._model is not None:
            return self._model
        short = requested.rpartition("/")[2] if is_workers_ai(requested) else requested.partition("/")[2] or requested
        listed = await self._models()
        for name in (requested, short, requested.rpartition("/")[2]):
            if name in listed:
                return name
            if f"{name}:latest" in listed:
                return f"{name}:latest"
        return short

    async def _models(self) -> frozenset[str]:
        async with self._listing:  # calls at the same time wait for one list, and none goes without
            if time.monotonic() >= self._listed_until:
                try:
                    self._listed = await self._list()
                except httpx.ConnectError:  # it may be about to start
                    return self._listed
                except (httpx.HTTPError, ValueError):
                    pass
                self._listed_until = time.monotonic() + _MODELS_SECONDS
            return self._listed

    async def _list(self) -> frozenset[str]:
        headers = self._headers("", {})
        response = await self._opened().get(self.url + "/models", headers=headers, timeout=_LISTING_SECONDS)
        return frozenset(str(row.get("id")) for row in records(as_record(parse_json(response.content)).get("data")))

    def _headers(self, form: str, headers: Mapping[str, str]) -> httpx.Headers:
        sent = {name: headers[name] for name in _FORWARDED if name in headers}
        if form == "messages":
            sent.setdefault("anthropic-version", _ANTHROPIC_VERSION)
        sent |= {"accept-encoding": "identity", "content-type": "application/json"}
        if self._key is not None:
            if form == "messages":
                sent["x-api-key"] = self._key
            if form != "messages" or not (urlsplit(self.url).hostname or "").endswith("anthropic.com"):
                sent["authorization"] = f"Bearer {self._key}"
        return httpx.Headers([(name.encode(), value.encode("latin-1", "replace")) for name, value in sent.items()])

    def _opened(self) -> httpx.AsyncClient:
        if self._client is None:
            timeout = httpx.Timeout(_SILENT_SECONDS, connect=_CONNECT_SECONDS)
            limits = httpx.Limits(max_connections=_MOST_CONNECTIONS, max_keepalive_connections=100)
            self._client = httpx.AsyncClient(timeout=timeout, limits=limits, trust_env=False)
        return self._client


def _check_url(url: str) -> None:
    try:
        parts, parsed = urlsplit(url), httpx.URL(url)
        valid = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except (ValueError, httpx.InvalidURL):
        valid, parsed = False, httpx.URL()
    if parsed.userinfo:
        raise ValueError("upstream must be a URL without user name and password: pass the API key by itself")
    if not valid or parsed.query or parsed.fragment:
        raise ValueError(f"upstream={url!r} must be a URL such as http://127.0.0.1:11434/v1")
