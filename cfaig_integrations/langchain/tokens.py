"""How long a prompt is, without a tokenizer: about four characters to a token."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from math import ceil
from typing import Any

from langchain_core.language_models.chat_models import BaseChatModel
from langchain_core.messages import BaseMessage
from langchain_core.messages.utils import count_tokens_approximately

from cfaig_integrations.langchain.errors import langchain_errors
from cfaig_integrations.langchain.tools import bound

_CHARACTERS_PER_TOKEN = 4
"""As langchain-core's own estimate of messages has it."""


def token_ids(text: str, own: Callable[[str], list[int]] | None) -> list[int]:
    """The tokens of a text: those of the caller's tokenizer, or one number for each four characters.

    Args:
        text: The text.
        own: The caller's tokenizer.

    Returns:
        Ids. Without a tokenizer they name nothing; only how many there are means something.
    """
    return list(range(ceil(len(text) / _CHARACTERS_PER_TOKEN))) if own is None else own(text)


class TokenCounting(BaseChatModel):
    """A chat model that can say how long a prompt is."""

    def get_token_ids(self, text: str) -> list[int]:
        """The tokens of a text: those of `custom_get_token_ids`, or one number for each four characters.

        Args:
            text: The text.

        Returns:
            Ids. Without a tokenizer they name nothing; only how many there are means something.
        """
        return token_ids(text, self.custom_get_token_ids)

    def get_num_tokens_from_messages(self, messages: list[BaseMessage], tools: Sequence[Any] | None = None) -> int:
        """About how many tokens a conversation takes.

        Args:
            messages: The conversation.
            tools: Tools that go with it, in any form that `bind_tools` takes.

        Returns:
            Tokens; with `custom_get_token_ids`, those of the text, of tool calls and of tools.

        Raises:
            ConfigError: A tool is none.
        """
        with langchain_errors():
            shown: list[dict[str, Any]] = [dict(bound(tool)) for tool in tools or ()]
        if self.custom_get_token_ids is None:
            return count_tokens_approximately(messages, tools=[*shown])
        counted = super().get_num_tokens_from_messages(messages)  # which counts no tools
        return counted + sum(len(self.custom_get_token_ids(json.dumps(tool))) for tool in shown)
