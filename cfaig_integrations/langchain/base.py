"""Base classes of the LangChain classes: constructor fields, and models that LangChain can serialize."""

from __future__ import annotations

import logging
import pickle
from collections.abc import Callable, Mapping
from functools import cached_property
from math import ceil
from typing import TYPE_CHECKING, Any, ClassVar, Self, cast

from langchain_core.language_models import LangSmithParams
from langchain_core.load import dumpd
from langchain_core.load.serializable import Serializable
from langchain_core.runnables import RunnableConfig

from cfaig_integrations.adapters.fields import ChatFields, GatewayFields
from cfaig_integrations.adapters.secrets import for_traces
from cfaig_integrations.errors import ConfigError, GatewayError
from cfaig_integrations.gateway.connection import timeouts
from cfaig_integrations.gateway.context import holding
from cfaig_integrations.gateway.info import GatewayInfo
from cfaig_integrations.langchain.arguments import hide_secrets
from cfaig_integrations.langchain.costs import report
from cfaig_integrations.langchain.errors import to_langchain
from cfaig_integrations.langchain.outbound import PROVIDER
from cfaig_integrations.langchain.run_tracking import CURRENT_CONFIG

_log = logging.getLogger(__name__)
_CHARACTERS_PER_TOKEN = 4
"""As in langchain-core's estimate for messages."""
_UNPICKLABLE = ("http_client", "http_async_client", "rate_limiter")
"""Fields of a user's objects that mostly hold locks or sockets."""
_SERIALIZED = "_serialized"


class LangChainFields(GatewayFields):
    """Connection settings and metadata of a LangChain class."""

    _framework: ClassVar[str] = "langchain"

    @staticmethod
    def _framework_error(error: GatewayError) -> GatewayError:
        return to_langchain(error)

    def _report(self, info: GatewayInfo) -> None:
        report(info)

    def __getstate__(self) -> dict[Any, Any]:
        """The state for pickle: without the token, and without `extra_headers`, which may hold a provider's key.

        Raises:
            ConfigError: An HTTP client or the rate limiter cannot be pickled.
        """
        for field in _UNPICKLABLE:
            self._require_picklable(field)
        if not self.extra_headers:
            return super().__getstate__()
        _log.warning("extra_headers of %s may hold a secret and are not pickled.", type(self).__name__)
        return super(LangChainFields, self.model_copy(update={"extra_headers": None})).__getstate__()

    def _require_picklable(self, field: str) -> None:
        value = getattr(self, field, None)
        if value is None:
            return
        try:
            pickle.dumps(value)
        except (pickle.PicklingError, TypeError, AttributeError) as error:  # a lock, a socket, a local class
            raise to_langchain(
                ConfigError(
                    f"{field} of {type(self).__name__} cannot be pickled: {error}.",
                    field=field,
                    value=value,
                    remedy=f"Pickle model.model_copy(update={{'{field}': None}}), and set {field} after loading.",
                )
            ) from error

    def _shared_values(self) -> list[object]:
        """What a deep copy shares: the rate limiter, whose limit is for all copies, and callback handlers too."""
        callbacks = getattr(self, "callbacks", None)
        handlers = cast("list[object]", callbacks) if isinstance(callbacks, list) else [callbacks]
        return [*super()._shared_values(), getattr(self, "rate_limiter", None), *handlers]


class GatewayModel(LangChainFields, ChatFields, Serializable):
    """A language model that `dumpd` writes and `load` reads.

    The token is written as the name of its environment variable. HTTP clients, `extra_headers` and functions are not
    written. `extra_body` is, so it must not hold a secret.
    """

    if TYPE_CHECKING:  # a field of LangChain's base class
        custom_get_token_ids: Callable[[str], list[int]] | None

    @classmethod
    def is_lc_serializable(cls) -> bool:
        """True."""
        return True

    @classmethod
    def get_lc_namespace(cls) -> list[str]:
        """The namespace in which `load` finds the class, independent of its module."""
        return ["cfaig_integrations", "langchain"]

    @property
    def lc_secrets(self) -> dict[str, str]:
        """The secret constructor argument and its environment variable."""
        return {"api_token": "CLOUDFLARE_API_TOKEN"}

    @property
    def lc_attributes(self) -> dict[str, Any]:
        """Constructor arguments whose values are not JSON, or are written although they are None."""
        attributes: dict[str, Any] = {"gateway_id": self.gateway_id}  # None bypasses the gateway
        if self.gateway is not None:
            attributes["gateway"] = self.gateway.model_dump(mode="json", exclude_none=True)
        if self.timeout is not None and not isinstance(self.timeout, float):
            limits = timeouts(self.timeout)
            attributes["timeout"] = [limits.connect, limits.read]
        return attributes

    if not TYPE_CHECKING:  # a type checker sees those of LangChain's base classes

        def _get_ls_params(self, stop: list[str] | None = None, **kwargs: Any) -> LangSmithParams:
            params = super()._get_ls_params(self.stop if stop is None else stop, **kwargs)
            params["ls_provider"] = PROVIDER
            return params

        def bind(self, **kwargs: Any) -> Any:
            """The model with arguments for every call, whose headers and credentials no repr shows.

            Tools are bound as they are, because other code reads them.
            """
            tools = {"tools": kwargs.pop("tools")} if "tools" in kwargs else {}
            return super().bind(**hide_secrets(kwargs), **tools)

        def invoke(self, input: Any, config: RunnableConfig | None = None, **kwargs: Any) -> Any:
            """The answer to a prompt; `configurable` of the config may identify the conversation."""
            with holding(CURRENT_CONFIG, config):
                return super().invoke(input, config, **kwargs)

        async def ainvoke(self, input: Any, config: RunnableConfig | None = None, **kwargs: Any) -> Any:
            """The asynchronous form of `invoke`."""
            with holding(CURRENT_CONFIG, config):
                return await super().ainvoke(input, config, **kwargs)

    @cached_property
    def _serialized(self) -> dict[str, Any]:
        """The serialized model as tracers see it: without secrets."""
        serialized = cast("dict[str, Any]", dumpd(self))
        if "kwargs" in serialized:
            serialized["kwargs"] = for_traces(serialized["kwargs"])
        return serialized

    def __setattr__(self, name: str, value: Any) -> None:
        super().__setattr__(name, value)
        vars(self).pop(_SERIALIZED, None)

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """A copy with its own connection and serialized form.

        Args:
            update: Fields to change.
            deep: Copy the fields' values too.

        Raises:
            ConfigError: A field does not exist, or its value is invalid.
        """
        copied = super().model_copy(update=update, deep=deep)
        vars(copied).pop(_SERIALIZED, None)
        return copied

    def get_token_ids(self, text: str) -> list[int]:
        """The token ids of a text from `custom_get_token_ids`; without it, one number for every four characters.

        Args:
            text: The text.

        Returns:
            Ids. Without a tokenizer only their number has a meaning.
        """
        if self.custom_get_token_ids is not None:
            return self.custom_get_token_ids(text)
        return list(range(ceil(len(text) / _CHARACTERS_PER_TOKEN)))
