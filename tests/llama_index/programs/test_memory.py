"""Memories that ask the model what to keep."""

from __future__ import annotations

from llama_index.core.base.llms.types import ChatMessage, MessageRole
from llama_index.core.memory import ChatSummaryMemoryBuffer, FactExtractionMemoryBlock, Memory
from llama_index.core.memory.memory import InsertMethod

from cfaig_integrations.llama_index import CloudflareAIGateway
from cfaig_integrations.simulator import Simulator
from tests.llama_index.programs.kit import llm_requests, prompt_text, roles

WALKS = ChatMessage(role=MessageRole.USER, content="My name is Ann, and I like long walks on the beach at night.")
POLITE = ChatMessage(role=MessageRole.ASSISTANT, content="Nice to meet you, Ann.")
WHO = ChatMessage(role=MessageRole.USER, content="What is my name?")


async def test_memory_keeps_facts_of_dropped_messages(llm: CloudflareAIGateway, simulator: Simulator) -> None:
    block = FactExtractionMemoryBlock(llm=llm, max_facts=1)
    memory = Memory.from_defaults(
        session_id="one",
        token_limit=40,
        chat_history_token_ratio=0.5,
        token_flush_size=10,
        memory_blocks=[block],
        insert_method=InsertMethod.SYSTEM,
    )
    simulator.reply("<facts><fact>The user is Ann.</fact><fact>Ann likes walks.</fact></facts>")
    simulator.reply("<facts><fact>The user is Ann, who likes walks.</fact></facts>")
    await memory.aput_messages([WALKS, POLITE, WHO])
    assert block.facts == ["The user is Ann, who likes walks."]
    extract, condense = llm_requests(simulator)
    assert roles(extract) == ["user", "assistant", "user"]
    assert "<fact>Ann likes walks.</fact>" in prompt_text(condense)
    recalled = await memory.aget()
    assert [message.role for message in recalled] == [MessageRole.SYSTEM, MessageRole.USER]
    simulator.reply("Your name is Ann.")
    assert llm.chat(recalled).message.content == "Your name is Ann."
    assert "The user is Ann, who likes walks." in prompt_text(llm_requests(simulator)[-1])


def test_an_old_conversation_is_summarized(llm: CloudflareAIGateway, simulator: Simulator) -> None:
    memory = ChatSummaryMemoryBuffer.from_defaults(llm=llm, token_limit=12)
    for message in (WALKS, POLITE, WHO):
        memory.put(message)
    simulator.reply("Ann likes walks.")
    recalled = memory.get()
    assert [(message.role, message.content) for message in recalled] == [
        (MessageRole.SYSTEM, "Ann likes walks."),
        (MessageRole.USER, WHO.content),
    ]
    (request,) = llm_requests(simulator)
    assert roles(request) == ["system", "user"]
    assert str(WALKS.content) in prompt_text(request)
    assert str(WHO.content) not in prompt_text(request)


def test_memory_is_limited_by_the_context_window(llm: CloudflareAIGateway) -> None:
    memory = ChatSummaryMemoryBuffer.from_defaults(llm=llm)
    assert memory.token_limit == int(llm.metadata.context_window * 0.75)
