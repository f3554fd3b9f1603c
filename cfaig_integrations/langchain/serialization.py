"""What LangChain may write down of a model: its serialised form and its name in the cache, without a secret."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from hashlib import sha256
from typing import Any, Self, cast

from langchain_core.language_models.chat_models import BaseChatModel
from langchain_core.load import dumpd
from langchain_core.load.serializable import Serializable

from cfaig_integrations.adapters.arguments import MODEL_PARAMETERS
from cfaig_integrations.adapters.fields import ChatFields
from cfaig_integrations.gateway.connection import timeouts
from cfaig_integrations.gateway.context import current
from cfaig_integrations.langchain.arguments import for_traces
from cfaig_integrations.langchain.fields import LangChainFields

_SERIALISED = "_serialized"


def identity(fields: ChatFields) -> dict[str, Any]:
    """All of a model's fields that shape an answer, so that no two models share an entry of LangChain's cache.

    No secret is among them: of headers only `digest` may tell.
    """
    own = {word: getattr(fields, word) for word in MODEL_PARAMETERS}
    where = {word: getattr(fields, word) for word in ("api", "account_id", "gateway_id", "base_url")}
    told = {"gateway": fields.gateway and fields.gateway.model_dump(mode="json", exclude_none=True)}
    # Dynamic routes may branch on metadata (Cloudflare's docs, features/dynamic-routing).
    told["gateway_metadata"] = fields.gateway_metadata
    return {word: value for word, value in {**own, **where, **told}.items() if value is not None}


def digest(value: object) -> str:
    """A name for a value, which tells two apart and shows neither."""
    return sha256(repr(value).encode("utf-8", "surrogatepass")).hexdigest()


class Written(LangChainFields, Serializable):
    """A model that `dumpd` writes and `load` reads.

    HTTP clients, extra headers and functions are not written; `extra_body` is, as it stands, so it is no place for a
    secret. The token is written as the name of the environment variable that holds it.
    """

    @classmethod
    def is_lc_serializable(cls) -> bool:
        """Yes."""
        return True

    @classmethod
    def get_lc_namespace(cls) -> list[str]:
        """Where `load` finds the class, whatever module it is written in."""
        return ["cfaig_integrations", "langchain"]

    @property
    def lc_secrets(self) -> dict[str, str]:
        """The constructor argument that is a secret, and the variable that stands for it."""
        return {"api_token": "CLOUDFLARE_API_TOKEN"}

    @property
    def lc_attributes(self) -> dict[str, Any]:
        """Constructor arguments that have to be told in JSON's own terms."""
        told: dict[str, Any] = {"gateway_id": self.gateway_id}  # None is a choice, not an omission
        if self.gateway is not None:
            told["gateway"] = self.gateway.model_dump(mode="json", exclude_none=True)
        if self.timeout is not None and not isinstance(self.timeout, float):
            limits = timeouts(self.timeout)
            told["timeout"] = [limits.connect, limits.read]
        return told

    @cached_property
    def _serialized(self) -> dict[str, Any]:
        """What tracers are shown of the model: as it is written, without what is secret in it."""
        written = cast("dict[str, Any]", dumpd(self))
        if "kwargs" in written:
            written["kwargs"] = for_traces(written["kwargs"])
        return written

    def __setattr__(self, name: str, value: Any) -> None:
        super().__setattr__(name, value)
        vars(self).pop(_SERIALISED, None)  # which core computes once and keeps

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """A copy, which is written as what it is and not as what it was copied from."""
        copied = super().model_copy(update=update, deep=deep)
        vars(copied).pop(_SERIALISED, None)
        return copied


class Serialised(Written, BaseChatModel):
    """A chat model that `dumpd` writes and `load` reads, with a name of its own in LangChain's cache."""

    def _get_llm_string(self, stop: list[str] | None = None, **kwargs: Any) -> str:
        """The model's name in LangChain's cache: a digest, so that headers and tools may hold secrets.

        Two names are equal only if all that shapes an answer is, what the blocks around the call tell the gateway
        included: no answer from outside gets into a block with `skip_cache`. That option is for the gateway's cache;
        who wants no answer from LangChain's gives the model `cache=False`. Metadata of the run does not count, for its
        ids would keep every answer to itself.
        """
        headers = sorted((self.extra_headers or {}).items())
        shaping = {**self._identifying_params, **kwargs}
        return f"{self._llm_type} {digest((sorted(shaping.items()), headers, stop, current()))}"
