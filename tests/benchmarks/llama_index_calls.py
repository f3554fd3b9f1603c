"""LlamaIndex's side of the benchmark: its inputs and methods, and models that answer from memory."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator, Sequence
from typing import Any

from llama_index.core.base.embeddings.base import BaseEmbedding
from llama_index.core.base.llms.types import (
    ChatMessage,
    ChatResponse,
    CompletionResponse,
    LLMMetadata,
    MessageRole,
    TextBlock,
    ToolCallBlock,
)
from llama_index.core.llms.callbacks import llm_chat_callback, llm_completion_callback
from llama_index.core.llms.function_calling import FunctionCallingLLM
from llama_index.core.postprocessor.types import BaseNodePostprocessor
from llama_index.core.schema import NodeWithScore, QueryBundle, TextNode
from llama_index.core.tools import FunctionTool

from tests.benchmarks import inputs, replies


def message(item: tuple[Any, ...]) -> ChatMessage:
    match item:
        case ("call", call_id, name, arguments):
            call = ToolCallBlock(tool_call_id=call_id, tool_name=name, tool_kwargs=arguments)
            return ChatMessage(role=MessageRole.ASSISTANT, blocks=[TextBlock(text=""), call])
        case ("result", call_id, name, text):
            more = {"tool_call_id": call_id, "name": name}
            return ChatMessage(role=MessageRole.TOOL, content=text, additional_kwargs=more)
        case (role, text):
            return ChatMessage(role=MessageRole(role), content=text)
        case _:
            raise ValueError(item)


def tool(i: int) -> FunctionTool:
    return FunctionTool.from_defaults(
        fn=inputs.look_up, name=f"tool_{i}", description=inputs.tool_description(i), fn_schema=inputs.tool_arguments(i)
    )


class Calls:
    """What a program calls; each method returns the text or arguments that the model answered."""

    def __init__(self) -> None:
        self.short = [ChatMessage(role=MessageRole.USER, content=inputs.QUESTION)]
        self.history = [message(item) for item in inputs.history()]
        self.tools = [tool(i) for i in range(inputs.TOOLS)]
        self.nodes = [NodeWithScore(node=TextNode(text=text), score=0.5) for text in inputs.texts(100)]

    def prepare(self, model: Any, tools: int) -> Any:
        return model

    def bind(self, model: Any) -> None:
        model._prepare_chat_with_tools_compat(self.tools, chat_history=self.history)

    def call(self, model: Any) -> str:
        return model.chat(self.short).message.content or ""

    async def acall(self, model: Any) -> str:
        return (await model.achat(self.short)).message.content or ""

    def long_call(self, model: Any) -> Any:
        return arguments(model.chat_with_tools(self.tools, chat_history=self.history))

    def stream(self, model: Any) -> str:
        return "".join([response.delta or "" for response in model.stream_chat(self.short)])

    async def astream(self, model: Any) -> str:
        return "".join([response.delta or "" async for response in await model.astream_chat(self.short)])

    def tool_stream(self, model: Any) -> Any:
        last: Any = None
        for response in model.stream_chat_with_tools(self.tools[:1], chat_history=self.short):
            last = response
        return arguments(last)

    def embed(self, model: Any, texts: list[str]) -> list[list[float]]:
        return model.get_text_embedding_batch(texts)

    def conversation(self, n: int) -> list[ChatMessage]:
        return [message(item) for item in inputs.conversation(n)]

    def converse(self, model: Any, messages: list[ChatMessage]) -> str:
        return model.chat(messages).message.content or ""

    def toolbox(self, n: int) -> list[FunctionTool]:
        return [tool(i) for i in range(n)]

    def call_with_tools(self, model: Any, tools: list[FunctionTool]) -> str:
        return model.chat_with_tools(tools, chat_history=self.short).message.content or ""

    def rerank(self, model: Any) -> int:
        return len(model.postprocess_nodes(self.nodes, query_str=inputs.QUESTION))


def arguments(response: ChatResponse) -> Any:
    call = next(block for block in response.message.blocks if isinstance(block, ToolCallBlock))
    return json.loads(call.tool_kwargs) if isinstance(call.tool_kwargs, str) else call.tool_kwargs


ASSISTANT = MessageRole.ASSISTANT


class ChatFromMemory(FunctionCallingLLM):
    """Builds its responses with their constructors."""

    n: int = 20
    tool: bool = False

    @property
    def metadata(self) -> LLMMetadata:
        return LLMMetadata(model_name="m", is_function_calling_model=True)

    def _usage(self) -> dict[str, Any]:
        return {"prompt_tokens": 27, "completion_tokens": self.n, "total_tokens": 27 + self.n}

    def _block(self, text: str) -> list[Any]:
        if not self.tool:
            return [TextBlock(text=text)]
        return [TextBlock(text=""), ToolCallBlock(tool_call_id="c1", tool_name="tool_0", tool_kwargs=text)]

    def _whole(self) -> ChatResponse:
        text = "".join(replies.argument_pieces(self.n) if self.tool else replies.pieces(self.n))
        reply = ChatMessage(role=ASSISTANT, blocks=self._block(text))
        return ChatResponse(message=reply, additional_kwargs=self._usage())

    def _responses(self) -> Iterator[ChatResponse]:
        text = ""
        for piece in replies.argument_pieces(self.n) if self.tool else replies.pieces(self.n):
            text += piece
            reply = ChatMessage(role=ASSISTANT, blocks=self._block(text))
            yield ChatResponse(message=reply, delta="" if self.tool else piece)
        last = ChatMessage(role=ASSISTANT, blocks=self._block(text))
        yield ChatResponse(message=last, delta="", additional_kwargs=self._usage())

    async def _aresponses(self) -> AsyncIterator[ChatResponse]:
        for response in self._responses():
            yield response

    @llm_chat_callback()
    def chat(self, messages: Sequence[ChatMessage], **more: Any) -> ChatResponse:
        return self._whole()

    @llm_chat_callback()
    async def achat(self, messages: Sequence[ChatMessage], **more: Any) -> ChatResponse:
        return self._whole()

    @llm_chat_callback()
    def stream_chat(self, messages: Sequence[ChatMessage], **more: Any) -> Any:
        return self._responses()

    @llm_chat_callback()
    async def astream_chat(self, messages: Sequence[ChatMessage], **more: Any) -> Any:
        return self._aresponses()

    @llm_completion_callback()
    def complete(self, prompt: str, formatted: bool = False, **more: Any) -> CompletionResponse:
        raise NotImplementedError

    @llm_completion_callback()
    async def acomplete(self, prompt: str, formatted: bool = False, **more: Any) -> CompletionResponse:
        raise NotImplementedError

    @llm_completion_callback()
    def stream_complete(self, prompt: str, formatted: bool = False, **more: Any) -> Any:
        raise NotImplementedError

    @llm_completion_callback()
    async def astream_complete(self, prompt: str, formatted: bool = False, **more: Any) -> Any:
        raise NotImplementedError

    def _prepare_chat_with_tools(self, tools: Any, **more: Any) -> dict[str, Any]:
        return {"messages": list(more["chat_history"]), "tools": [each.metadata.name for each in tools]}


VECTOR = [0.0123] * replies.DIMENSIONS


class EmbeddingsFromMemory(BaseEmbedding):
    def _get_text_embeddings(self, texts: list[str]) -> list[list[float]]:
        return [list(VECTOR) for _ in texts]

    def _get_text_embedding(self, text: str) -> list[float]:
        return list(VECTOR)

    def _get_query_embedding(self, query: str) -> list[float]:
        return list(VECTOR)

    async def _aget_query_embedding(self, query: str) -> list[float]:
        return list(VECTOR)


class RerankerFromMemory(BaseNodePostprocessor):
    def _postprocess_nodes(
        self, nodes: list[NodeWithScore], query_bundle: QueryBundle | None = None
    ) -> list[NodeWithScore]:
        return [NodeWithScore(node=each.node, score=0.9 - i / 200) for i, each in enumerate(nodes)]


def from_memory(kind: str, n: int, tool: bool) -> Any:
    """A model that answers from memory: what LlamaIndex costs without a provider."""
    if kind == "chat":
        return ChatFromMemory(n=n, tool=tool)
    return EmbeddingsFromMemory(embed_batch_size=100) if kind == "embeddings" else RerankerFromMemory()
