"""LangChain's side of the benchmark: its inputs and methods, and models that answer from memory."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator, Sequence
from typing import Any

from langchain_core.documents import Document
from langchain_core.documents.compressor import BaseDocumentCompressor
from langchain_core.embeddings import Embeddings
from langchain_core.language_models.chat_models import BaseChatModel
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage, HumanMessage, SystemMessage, ToolMessage
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from langchain_core.tools import BaseTool, StructuredTool

from tests.benchmarks import inputs, replies


def message(item: tuple[Any, ...]) -> BaseMessage:
    match item:
        case ("system", text):
            return SystemMessage(text)
        case ("user", text):
            return HumanMessage(text)
        case ("assistant", text):
            return AIMessage(text)
        case ("call", call_id, name, arguments):
            return AIMessage("", tool_calls=[{"id": call_id, "name": name, "args": arguments}])
        case (_, call_id, name, text):
            return ToolMessage(text, tool_call_id=call_id, name=name)
        case _:
            raise ValueError(item)


def tool(i: int) -> BaseTool:
    return StructuredTool.from_function(
        inputs.look_up, name=f"tool_{i}", description=inputs.tool_description(i), args_schema=inputs.tool_arguments(i)
    )


class Calls:
    """What a program calls; each method returns the text or arguments that the model answered."""

    def __init__(self) -> None:
        self.short = [HumanMessage(inputs.QUESTION)]
        self.history = [message(item) for item in inputs.history()]
        self.tools = [tool(i) for i in range(inputs.TOOLS)]
        self.documents = [Document(page_content=text) for text in inputs.texts(100)]

    def prepare(self, model: Any, tools: int) -> Any:
        return model.bind_tools(self.tools[:tools]) if tools else model

    def bind(self, model: Any) -> None:
        model.bind_tools(self.tools)

    def call(self, model: Any) -> str:
        return str(model.invoke(self.short).text)

    async def acall(self, model: Any) -> str:
        return str((await model.ainvoke(self.short)).text)

    def long_call(self, model: Any) -> Any:
        return model.invoke(self.history).tool_calls[0]["args"]

    def stream(self, model: Any) -> str:
        return "".join([chunk.text for chunk in model.stream(self.short)])

    async def astream(self, model: Any) -> str:
        return "".join([chunk.text async for chunk in model.astream(self.short)])

    def tool_stream(self, model: Any) -> Any:
        parts = [part["args"] or "" for chunk in model.stream(self.short) for part in chunk.tool_call_chunks]
        return json.loads("".join(parts))

    def embed(self, model: Any, texts: list[str]) -> list[list[float]]:
        return model.embed_documents(texts)

    def conversation(self, n: int) -> list[BaseMessage]:
        return [message(item) for item in inputs.conversation(n)]

    def converse(self, model: Any, messages: list[BaseMessage]) -> str:
        return str(model.invoke(messages).text)

    def toolbox(self, n: int) -> list[BaseTool]:
        return [tool(i) for i in range(n)]

    def call_with_tools(self, model: Any, tools: list[BaseTool]) -> str:
        return self.call(model.bind_tools(tools) if tools else model)

    def rerank(self, model: Any) -> int:
        return len(model.compress_documents(self.documents, inputs.QUESTION))


METADATA = {"model_name": "m", "finish_reason": "stop", "model_provider": "openai"}


class ChatFromMemory(BaseChatModel):
    """Builds its messages with their constructors."""

    n: int = 20
    tool: bool = False

    @property
    def _llm_type(self) -> str:
        return "memory"

    def bind_tools(self, tools: Sequence[Any], **arguments: Any) -> Any:
        return self.bind(tools=tools)

    def _usage(self) -> Any:
        return {"input_tokens": 27, "output_tokens": self.n, "total_tokens": 27 + self.n}

    def _generate(self, messages: Any, stop: Any = None, run_manager: Any = None, **arguments: Any) -> ChatResult:
        text, calls = "".join(replies.pieces(self.n)), []
        if self.tool:
            parsed = json.loads("".join(replies.argument_pieces(self.n)))
            text, calls = "", [{"name": "tool_0", "args": parsed, "id": "c1"}]
        metadata = dict(METADATA)
        reply = AIMessage(text, tool_calls=calls, response_metadata=metadata, usage_metadata=self._usage())
        return ChatResult(generations=[ChatGeneration(message=reply)])

    async def _agenerate(
        self, messages: Any, stop: Any = None, run_manager: Any = None, **arguments: Any
    ) -> ChatResult:
        return self._generate(messages)

    def _messages(self) -> Iterator[AIMessageChunk]:
        if self.tool:
            call: Any = {"name": "tool_0", "args": "", "id": "c1", "index": 0, "type": "tool_call_chunk"}
            yield AIMessageChunk(content="", tool_call_chunks=[call])
            for part in replies.argument_pieces(self.n):
                call = {"name": None, "args": part, "id": None, "index": 0, "type": "tool_call_chunk"}
                yield AIMessageChunk(content="", tool_call_chunks=[call])
        else:
            for piece in replies.pieces(self.n):
                yield AIMessageChunk(content=piece)
        last: Any = {"usage_metadata": self._usage(), "chunk_position": "last"}
        yield AIMessageChunk(content="", response_metadata=dict(METADATA), **last)

    def _stream(
        self, messages: Any, stop: Any = None, run_manager: Any = None, **arguments: Any
    ) -> Iterator[ChatGenerationChunk]:
        for each in self._messages():
            yield ChatGenerationChunk(message=each)

    async def _astream(
        self, messages: Any, stop: Any = None, run_manager: Any = None, **arguments: Any
    ) -> AsyncIterator[ChatGenerationChunk]:
        for each in self._messages():
            yield ChatGenerationChunk(message=each)


VECTOR = [0.0123] * replies.DIMENSIONS


class EmbeddingsFromMemory(Embeddings):
    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        return [list(VECTOR) for _ in texts]

    def embed_query(self, text: str) -> list[float]:
        return list(VECTOR)


class RerankerFromMemory(BaseDocumentCompressor):
    def compress_documents(self, documents: Sequence[Document], query: str, callbacks: Any = None) -> list[Document]:
        scored = [(document, 0.9 - i / 200) for i, document in enumerate(documents)]
        return [
            Document(
                id=document.id,
                page_content=document.page_content,
                metadata={**document.metadata, "relevance_score": score},
            )
            for document, score in scored
        ]


def from_memory(kind: str, n: int, tool: bool) -> Any:
    """A model that answers from memory: what LangChain costs without a provider."""
    if kind == "chat":
        return ChatFromMemory(n=n, tool=tool)
    return EmbeddingsFromMemory() if kind == "embeddings" else RerankerFromMemory()
