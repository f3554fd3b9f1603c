"""What `AIGateway` and `AsyncAIGateway` share: their settings, and the actions of their calls."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, TypeAlias

from pydantic import SecretStr

from cfaig_integrations.errors import ConfigError, GatewayError
from cfaig_integrations.gateway import run_input, runs
from cfaig_integrations.gateway.actions import Actions
from cfaig_integrations.gateway.connection import CallOptions, Connection, Timeout
from cfaig_integrations.gateway.context import current
from cfaig_integrations.gateway.metadata import encode_metadata
from cfaig_integrations.gateway.models.routes import require_author
from cfaig_integrations.gateway.options import GatewayOptions
from cfaig_integrations.gateway.pages import rest_path
from cfaig_integrations.gateway.run_input import Upload
from cfaig_integrations.gateway.run_result import RunResult
from cfaig_integrations.gateway.runs import Polling
from cfaig_integrations.gateway.settings import TokenFunction, Unset, resolve

Token: TypeAlias = str | SecretStr | TokenFunction | None
GatewayId: TypeAlias = str | Literal[Unset.UNSET] | None
Options: TypeAlias = GatewayOptions | Mapping[str, Any] | None
Metadata: TypeAlias = Mapping[str, Any] | None


def connect(
    account_id: str | None,
    api_token: Token,
    api_key: Token,
    gateway_id: GatewayId,
    base_url: str | None,
    limits: tuple[Timeout | None, int | None, bool],
) -> Connection:
    """The connection that a constructor's arguments describe; the limits are timeout, retries, and `retry_after_send`.

    Raises:
        ConfigError: A value is missing or not valid.
    """
    if api_token is not None and api_key is not None:
        raise ConfigError(
            "api_token and api_key are both set.", field="api_key", remedy="They are two names of one value: set one."
        )
    token = api_key if api_token is None else api_token
    settings = resolve(account_id=account_id, api_token=token, gateway_id=gateway_id, base_url=base_url)
    timeout, max_retries, after_send = limits
    return Connection(settings=settings, timeout=timeout, max_retries=max_retries, retry_after_send=after_send)


class GatewayApi:
    """The connection, and the gateway options and metadata of every run.

    Args:
        connection: Account, host and defaults, without gateway options: those are for runs, not for the logs API.
        gateway: Gateway options of every run.
        metadata: Metadata of every run.

    Raises:
        ConfigError: An option or an entry is not valid.
    """

    def __init__(self, connection: Connection, gateway: Options, metadata: Metadata) -> None:
        self._connection = connection
        self._options = None if gateway is None else GatewayOptions.of(gateway)
        self._metadata = _checked(metadata)

    def _call(self, gateway: Options, metadata: Metadata, timeout: Timeout | None) -> CallOptions:
        """A run's options and metadata: its own override those of `gateway_context`, and these the constructor's."""
        around = current()
        options = around.options if gateway is None else GatewayOptions.of(gateway).over(around.options)
        if self._options is not None:
            options = self._options if options is None else options.over(self._options)
        layers = (_checked(metadata), *around.metadata, self._metadata)
        return CallOptions(
            options=options,
            metadata=tuple(layer for layer in layers if layer),
            automatic=around.automatic,
            timeout=timeout,
        )

    def _run(
        self,
        model: str,
        input: Mapping[str, Any] | bytes,
        *,
        media_type: str | None,
        files: Mapping[str, Upload] | None,
        options: Mapping[str, Any] | None,
        call: CallOptions,
        polling: Polling,
        download: bool,
    ) -> Actions[RunResult]:
        rest_path(self._connection, "/ai/run")
        request = run_input.run_request(
            model,
            input,
            media_type=media_type,
            files=files,
            options=options,
            gateway_fields=None if call.options is None else call.options.body_options(),
        )
        require_author(request.model, self._connection.settings.base_url)
        return runs.run(self._connection, request, call, polling, download=download)

    def _run_batch(
        self, model: str, inputs: Sequence[Mapping[str, Any]], *, call: CallOptions, polling: Polling, download: bool
    ) -> Actions[list[RunResult | GatewayError]]:
        rest_path(self._connection, "/ai/run")
        request = run_input.batch_request(model, inputs)
        return runs.run_batch(self._connection, request, call, polling, count=len(inputs), download=download)


def _checked(metadata: Metadata) -> Mapping[str, Any]:
    if metadata is not None and not isinstance(metadata, Mapping):  # pyright: ignore[reportUnnecessaryIsInstance]  # users call this without a type checker
        raise ConfigError(
            f"gateway_metadata is a {type(metadata).__name__}.", field="gateway_metadata", remedy="Use a dict."
        )
    if metadata:
        encode_metadata(metadata)
    return metadata or {}
