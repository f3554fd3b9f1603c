"""The constructor arguments of the LlamaIndex classes: those of both frameworks, bound copies, and clean pickles."""

from __future__ import annotations

import json
import logging
import pickle
from collections.abc import Mapping
from typing import Any, Self

from pydantic import Field, field_serializer

from cfaig_integrations.adapters.fields import GatewayFields, Token
from cfaig_integrations.errors import ConfigError
from cfaig_integrations.gateway.connection import Timeout, TimeoutLike, timeouts
from cfaig_integrations.gateway.metadata import encode_metadata
from cfaig_integrations.gateway.options import GatewayOptions

_NEVER_PICKLED = frozenset({"api_token", "http_client", "http_async_client"})
"""The secret, and what cannot leave its process."""
_MAY_BE_SECRET = "extra_headers"
"""A legacy host takes the provider's key in them (facts §2.3)."""
_SHARED = ("api_token", "callback_manager", "embeddings_cache", "metadata_mapper", "on_usage", "rate_limiter")
"""What deep copies have in common: a copied limiter would double the limit, and a copied listener be heard by none."""

_log = logging.getLogger(__name__)


class LlamaFields(GatewayFields):
    """Where the gateway is, how to call it, and what to tell it with every call.

    Attributes:
        bound_metadata: What `with_gateway` was given; over `gateway_metadata`, and over LlamaIndex's instrument tags.
    """

    api_token: Token | None = Field(default=None, repr=False, exclude=True)
    bound_metadata: dict[str, Any] | None = None

    def with_gateway(
        self,
        *,
        metadata: Mapping[str, Any] | None = None,
        options: GatewayOptions | Mapping[str, Any] | None = None,
    ) -> Self:
        """A copy that tells the gateway more with every call; it shares the connections of this one.

        The form that holds everywhere: in a streaming query engine that is read after its `with`, and in threads.

        Args:
            metadata: Entries of `cf-aig-metadata`, over those of earlier `with_gateway` and of the constructor.
            options: `GatewayOptions`, or a dict of its fields, over those of this object field by field.

        Raises:
            ConfigError: An entry or an option can never be sent.
        """
        bound = {**(self.bound_metadata or {}), **(metadata or {})}
        encode_metadata(bound)
        own = self.gateway if options is None else GatewayOptions.of(options).over(self.gateway)
        return self.model_copy(update={"bound_metadata": bound or None, "gateway": own})

    @field_serializer("timeout")
    def _written_timeout(self, timeout: Timeout | None) -> Timeout | None:
        """An HTTP library's own object as the two of its limits that count."""
        if not isinstance(timeout, TimeoutLike):
            return timeout
        limits = timeouts(timeout)
        return limits.connect, limits.read

    def to_json(self, **kwargs: Any) -> str:
        """The words as JSON, without a secret; `from_json` reads it.

        Args:
            **kwargs: As of pydantic's `model_dump`.
        """
        return json.dumps(self.model_dump(mode="json", **kwargs))

    def __deepcopy__(self, memo: dict[int, Any] | None = None) -> Self:
        """A deep copy; HTTP clients, callbacks, cache and rate limiter, which cannot be copied, are shared."""
        seen = {} if memo is None else memo
        own = (self.__dict__.get(name) for name in _SHARED)
        seen.update({id(each): each for each in own if each is not None})
        return super().__deepcopy__(seen)

    def __getstate__(self) -> dict[str, Any]:
        """Without the token, which the reading process takes from its environment, and without HTTP clients.

        What else may be secret, `extra_headers`, or cannot be pickled, such as a rate limiter or a lambda, stays behind
        with a warning in the log.
        """
        state = {name: value for name, value in self.__dict__.items() if name not in _NEVER_PICKLED}
        if state.pop(_MAY_BE_SECRET, None):
            _log.warning("%s of %s may hold a secret, and stays behind.", _MAY_BE_SECRET, type(self).__name__)
        for name in [name for name, value in state.items() if not _can_be_pickled(value)]:
            _log.warning("%s of %s cannot be pickled, and stays behind.", name, type(self).__name__)
            del state[name]
        return {"__dict__": state}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Made anew from its words; where the environment holds no token, its calls raise `ConfigError`."""
        words: dict[str, Any] = state["__dict__"]
        try:
            type(self).__init__(self, **words)
        except ConfigError as error:
            if error.field != "api_token":
                raise
            # A pool whose worker cannot read a task waits for ever, so that this must not be raised here.
            type(self).__init__(self, **words, api_token=_no_token)


def _can_be_pickled(value: object) -> bool:
    if value is None or isinstance(value, str | int | float):
        return True
    try:
        pickle.dumps(value)
    except (pickle.PicklingError, TypeError, AttributeError):
        return False
    return True


def _no_token() -> str:
    raise ConfigError(
        "This object came out of a pickle, which holds no token, and the environment of this process has none.",
        field="api_token",
        remedy="Set CLOUDFLARE_API_TOKEN here; api_token= given elsewhere does not come along.",
    )
