"""The constructor words of this package's LangChain classes: those of both frameworks, and errors of LangChain's kind.

Knows no message and no wire.
"""

from __future__ import annotations

from cfaig_integrations.client.fields import GatewayFields
from cfaig_integrations.errors import GatewayError
from cfaig_integrations.langchain.errors import to_langchain


class LangChainFields(GatewayFields):
    """Where the gateway is, how to call it, and what to tell it with every call."""

    @staticmethod
    def _of_framework(error: GatewayError) -> GatewayError:
        return to_langchain(error)
