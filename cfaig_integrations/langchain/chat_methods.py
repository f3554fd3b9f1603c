"""The chat model's methods as type checkers see them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from langchain_core.language_models import LanguageModelInput
from langchain_core.language_models.chat_models import BaseChatModel
from langchain_core.messages import AIMessage
from langchain_core.runnables import RunnableConfig

if TYPE_CHECKING:

    class ChatModelMethods(BaseChatModel):
        """LangChain's chat model, where one stop text need not be a list."""

        def invoke(  # noqa: D102
            self,
            input: LanguageModelInput,
            config: RunnableConfig | None = None,
            *,
            stop: str | list[str] | None = None,
            **kwargs: Any,
        ) -> AIMessage: ...
        async def ainvoke(  # noqa: D102
            self,
            input: LanguageModelInput,
            config: RunnableConfig | None = None,
            *,
            stop: str | list[str] | None = None,
            **kwargs: Any,
        ) -> AIMessage: ...
else:
    ChatModelMethods = BaseChatModel
