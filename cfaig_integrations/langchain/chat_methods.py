"""The chat model's constructor arguments and methods, as type checkers see them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import TYPE_CHECKING, Any

from langchain_core.language_models import LanguageModelInput
from langchain_core.language_models.chat_models import BaseChatModel
from langchain_core.messages import AIMessage, AIMessageChunk
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
        def stream(  # noqa: D102
            self,
            input: LanguageModelInput,
            config: RunnableConfig | None = None,
            *,
            stop: str | list[str] | None = None,
            **kwargs: Any,
        ) -> Iterator[AIMessageChunk]: ...
        def astream(  # noqa: D102
            self,
            input: LanguageModelInput,
            config: RunnableConfig | None = None,
            *,
            stop: str | list[str] | None = None,
            **kwargs: Any,
        ) -> AsyncIterator[AIMessageChunk]: ...
else:
    ChatModelMethods = BaseChatModel
