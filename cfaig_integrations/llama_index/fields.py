"""The constructor arguments of the LlamaIndex classes: the shared ones, bound metadata, copies and safe pickles."""

from __future__ import annotations

import inspect
import json
import logging
import pickle
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, ClassVar, Self

from pydantic import Field, field_serializer

from cfaig_integrations.adapters.fields import GatewayFields, Token
from cfaig_integrations.adapters.secrets import for_traces
from cfaig_integrations.errors import ConfigError
from cfaig_integrations.gateway.connection import Timeout, TimeoutLike, timeouts
from cfaig_integrations.gateway.info import GatewayInfo
from cfaig_integrations.gateway.metadata import encode_metadata
from cfaig_integrations.gateway.options import GatewayOptions
from cfaig_integrations.llama_index.costs import report

_NEVER_PICKLED = frozenset({"api_token", "http_client", "http_async_client"})
"""The secret, and what cannot leave its process."""
_SHARED_BY_COPIES = ("api_token", "callback_manager", "embeddings_cache", "metadata_mapper", "on_usage", "rate_limiter")
"""A copy of a rate limiter would double the limit, and nobody reads a copy of a callback manager."""

_log = logging.getLogger(__name__)


class LlamaFields(GatewayFields):
    """Where the gateway is, how to call it, and the options and metadata of every call.

    Attributes:
        bound_metadata: Metadata of `with_gateway`; over `gateway_metadata` and LlamaIndex's instrument tags.
    """

    api_token: Token | None = Field(default=None, repr=False, exclude=True)
    bound_metadata: dict[str, Any] | None = None

    _framework: ClassVar[str] = "llama-index"
    _filled_in = frozenset({"completion_to_prompt", "messages_to_prompt"})

    def __init_subclass__(cls, **kwargs: Any) -> None:
        for method in vars(cls).values():
            if inspect.isfunction(method):  # LlamaIndex's spans need the signature at each call, or else compute it
                with suppress(ValueError, TypeError, NameError):  # none, or names that only type checkers know
                    vars(method)["__signature__"] = inspect.signature(method)
        super().__init_subclass__(**kwargs)

    def with_gateway(
        self,
        *,
        metadata: Mapping[str, Any] | None = None,
        options: GatewayOptions | Mapping[str, Any] | None = None,
    ) -> Self:
        """A copy with further metadata and options for every call; it shares the connections of this one.

        Unlike a `gateway_context` it also applies where a streaming query engine is read later, and in threads.

        Args:
            metadata: Entries of `cf-aig-metadata`, over those of earlier `with_gateway` and of the constructor.
            options: `GatewayOptions`, or a dict of its fields, over those of this object field by field.

        Raises:
            ConfigError: An entry or an option is invalid.
        """
        bound = {**(self.bound_metadata or {}), **(metadata or {})}
        encode_metadata(bound)
        gateway = self.gateway if options is None else GatewayOptions.of(options).over(self.gateway)
        return self.model_copy(update={"bound_metadata": bound or None, "gateway": gateway})

    def _report(self, info: GatewayInfo) -> None:
        report(info)

    @field_serializer("timeout")
    def _serialize_timeout(self, timeout: Timeout | None) -> Timeout | None:
        """An HTTP library's timeout object as the two of its limits that are used."""
        if not isinstance(timeout, TimeoutLike):
            return timeout
        limits = timeouts(timeout)
        return limits.connect, limits.read

    def to_dict(self, **kwargs: Any) -> dict[str, Any]:
        """The constructor arguments, as every event of a call holds them: without secrets; `from_dict` reads it.

        Args:
            **kwargs: As of pydantic's `model_dump`.
        """
        return for_traces(self.model_dump(**kwargs))

    def to_json(self, **kwargs: Any) -> str:
        """The same as JSON; `from_json` reads it.

        Args:
            **kwargs: As of pydantic's `model_dump`.
        """
        return json.dumps(for_traces(self.model_dump(mode="json", **kwargs)))

    def _shared_values(self) -> list[object]:
        return [*super()._shared_values(), *(self.__dict__.get(name) for name in _SHARED_BY_COPIES)]

    def __getstate__(self) -> dict[str, Any]:
        """Without the token, which the reading process takes from its environment, and without HTTP clients.

        The address is kept, also if it is that of this process's environment.
        `extra_headers`, which may hold a provider's key, and values that cannot be pickled, such as a lambda, are left
        out with a warning in the log.
        """
        state = {name: value for name, value in self.__dict__.items() if name not in _NEVER_PICKLED}
        if state.pop("extra_headers", None):
            _log.warning("extra_headers of %s may hold a secret and is not pickled.", type(self).__name__)
        for name in [name for name, value in state.items() if not _can_be_pickled(value)]:
            _log.warning("%s of %s cannot be pickled and is left out.", name, type(self).__name__)
            del state[name]
        settings = self._clients.settings
        state.update(account_id=settings.account_id or None, base_url=settings.base_url)
        return {"__dict__": state}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Constructs the object anew; without a token in the environment its calls raise `ConfigError`."""
        arguments: dict[str, Any] = state["__dict__"]
        try:
            type(self).__init__(self, **arguments)
        except ConfigError as error:
            if error.field != "api_token":
                raise
            # A pool whose worker cannot read a task waits forever, so this must not be raised here.
            type(self).__init__(self, **arguments, api_token=_no_token)


def _can_be_pickled(value: object) -> bool:
    try:
        pickle.dumps(value)
    except (pickle.PicklingError, TypeError, AttributeError):
        return False
    return True


def _no_token() -> str:
    raise ConfigError(
        "This object was unpickled, pickles contain no token, and this process's environment has none.",
        field="api_token",
        remedy="Set CLOUDFLARE_API_TOKEN here; a token passed to the constructor is not pickled.",
    )
