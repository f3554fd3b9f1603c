"""The constructor arguments of the LangChain classes: those of both frameworks, with errors of LangChain's kind."""

from __future__ import annotations

import logging
from typing import Any

from cfaig_integrations.adapters.fields import GatewayFields
from cfaig_integrations.errors import GatewayError
from cfaig_integrations.langchain.errors import to_langchain

_log = logging.getLogger(__name__)


class LangChainFields(GatewayFields):
    """Where the gateway is, how to call it, and what to tell it with every call."""

    @staticmethod
    def _framework_error(error: GatewayError) -> GatewayError:
        return to_langchain(error)

    def __getstate__(self) -> dict[Any, Any]:
        """Without the token, and without `extra_headers`, in which a legacy host takes the provider's key."""
        if not self.extra_headers:
            return super().__getstate__()
        _log.warning("extra_headers of %s may hold a secret, and stays behind.", type(self).__name__)
        return super(LangChainFields, self.model_copy(update={"extra_headers": None})).__getstate__()
