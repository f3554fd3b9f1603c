"""What LangChain may write down of a model: its serialised form and its name in the cache, without a secret.

Knows the constructor words that JSON cannot hold as they are; knows no message and no wire.
"""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import sha256
from typing import Any, Self

from langchain_core.language_models.chat_models import BaseChatModel

from cfaig_integrations.gateway.connection import timeouts
from cfaig_integrations.langchain.fields import GatewayFields

_SERIALISED = "_serialized"


class Serialised(GatewayFields, BaseChatModel):
    """A chat model that `dumpd` writes and `load` reads.

    HTTP clients, extra headers and functions are not written. The token is written as the name of the environment
    variable that holds it.
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
        """The constructor word that is a secret, and the variable that stands for it."""
        return {"api_token": "CLOUDFLARE_API_TOKEN"}

    @property
    def lc_attributes(self) -> dict[str, Any]:
        """Constructor words that have to be told in JSON's own terms."""
        told: dict[str, Any] = {"gateway_id": self.gateway_id}  # None is a choice, not an omission
        if self.gateway is not None:
            told["gateway"] = self.gateway.model_dump(mode="json", exclude_none=True)
        if self.timeout is not None and not isinstance(self.timeout, float):
            limits = timeouts(self.timeout)
            told["timeout"] = [limits.connect, limits.read]
        return told

    def __setattr__(self, name: str, value: Any) -> None:
        super().__setattr__(name, value)
        vars(self).pop(_SERIALISED, None)  # which core computes once and keeps

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """A copy, which is written as what it is and not as what it was copied from."""
        copied = super().model_copy(update=update, deep=deep)
        vars(copied).pop(_SERIALISED, None)
        return copied

    def _get_llm_string(self, stop: list[str] | None = None, **kwargs: Any) -> str:
        """The model's name in LangChain's cache: a digest, so that headers and tools may hold secrets.

        Two names are equal only if all that shapes an answer is.
        """
        headers = sorted((self.extra_headers or {}).items())
        shaping = {**self._identifying_params, **kwargs}
        digest = sha256(repr((sorted(shaping.items()), headers, stop)).encode("utf-8", "surrogatepass"))
        return f"{self._llm_type} {digest.hexdigest()}"
