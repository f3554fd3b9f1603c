"""LangChain and LlamaIndex read the same text, calls and usage from every recording, whole and streamed."""

from __future__ import annotations

from typing import Any

import pytest
from langchain_core.messages import AIMessage
from llama_index.core.base.llms.types import ChatResponse, ToolCallBlock

from cfaig_integrations.core.chat import ChatReply
from cfaig_integrations.core.events import Event
from cfaig_integrations.core.fold import fold
from cfaig_integrations.langchain import inbound as langchain_inbound
from cfaig_integrations.langchain.chunks import ChunkMaker
from cfaig_integrations.langchain.outbound import CUSTOM_INPUT, to_result
from cfaig_integrations.llama_index import inbound as llama_inbound
from cfaig_integrations.llama_index.outbound import to_response
from cfaig_integrations.llama_index.responses import ResponseMaker
from tests.recorded_replies import WIRES, info, replies, streams
from tests.wire.harness import needs_recordings

pytestmark = needs_recordings


def read_by_langchain(message: AIMessage) -> dict[str, Any]:
    usage = message.usage_metadata
    tokens = None if usage is None else (usage["input_tokens"], usage["output_tokens"], usage["total_tokens"])
    # The free text of a custom tool is its one argument.
    calls = {call["id"]: (call["name"], call["args"].get(CUSTOM_INPUT, call["args"])) for call in message.tool_calls}
    broken = {call["id"]: (call["name"], call["args"]) for call in message.invalid_tool_calls}
    return {
        "text": message.text,
        "calls": calls | broken,
        "tokens": tokens,
        "reasoning": message.additional_kwargs.get("reasoning_content", ""),
        "refusal": message.additional_kwargs.get("refusal"),
        "finish": message.response_metadata["finish_reason"],
        "gateway": message.response_metadata["gateway"],
    }


def read_by_llama_index(response: ChatResponse) -> dict[str, Any]:
    message, fields = response.message, response.additional_kwargs
    refusal = message.additional_kwargs.get("refusal")
    texts = [block.text for block in message.blocks if block.block_type == "text"]
    if refusal:
        texts.remove(refusal)
    tokens = ("prompt_tokens", "completion_tokens", "total_tokens")
    return {
        "text": "".join(texts),
        "calls": {
            block.tool_call_id: (block.tool_name, block.tool_kwargs)
            for block in message.blocks
            if isinstance(block, ToolCallBlock)
        },
        "tokens": tuple(fields[each] for each in tokens) if "prompt_tokens" in fields else None,
        "reasoning": "".join(block.content or "" for block in message.blocks if block.block_type == "thinking"),
        "refusal": refusal,
        "finish": fields["finish_reason"],
        "gateway": fields["cf_aig"],
    }


def by_langchain(reply: ChatReply) -> AIMessage:
    message = to_result(reply, info(reply.wire), "asked").generations[0].message
    assert isinstance(message, AIMessage)
    return message


def langchain_stream(kind: str, events: list[Event]) -> AIMessage:
    maker = ChunkMaker(info(WIRES[kind]), "asked", as_blocks=False)
    chunks = [chunk.message for event in events if (chunk := maker.make(event)) is not None]
    whole = chunks[0] if chunks else maker.last().message
    for chunk in [*chunks[1:], maker.last().message] if chunks else []:
        whole = whole + chunk
    assert isinstance(whole, AIMessage)
    return whole


def llama_stream(kind: str, events: list[Event]) -> ChatResponse:
    maker = ResponseMaker(info(WIRES[kind]))
    for event in events:
        maker.make(event)
    return maker.last()


@pytest.mark.parametrize("kind", WIRES)
def test_both_frameworks_read_the_same_from_every_reply(kind: str) -> None:
    found = replies(kind)
    assert len(found) > 50
    for line, reply in found:
        ours, theirs = by_langchain(reply), to_response(reply, info(reply.wire))
        assert read_by_langchain(ours) == read_by_llama_index(theirs), f"{kind}.jsonl line {line}"
        assert langchain_inbound.to_turns([ours]) == llama_inbound.to_turns([theirs.message]), f"{kind}.jsonl {line}"


@pytest.mark.parametrize("kind", WIRES)
def test_both_frameworks_read_the_same_from_every_stream(kind: str) -> None:
    found = streams(kind)
    assert len(found) > 40
    for line, events in found:
        ours, theirs = langchain_stream(kind, events), llama_stream(kind, events)
        assert read_by_langchain(ours) == read_by_llama_index(theirs), f"{kind}.jsonl line {line}"
        whole = to_response(fold(WIRES[kind], events), info(WIRES[kind]), delta="")
        assert theirs == whole, f"{kind}.jsonl line {line}"
