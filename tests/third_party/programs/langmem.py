"""Memories that are extracted, kept in a store with our vectors, and found again."""

from __future__ import annotations

from langgraph.prebuilt import create_react_agent
from langgraph.store.memory import InMemoryStore
from langmem import create_manage_memory_tool, create_memory_manager, create_search_memory_tool

from cfaig_integrations.simulator import Simulator
from tests.third_party.kit import calls, chat_model, embeddings


def run(simulator: Simulator) -> str:
    """A memory manager, and an agent with the two tools."""
    model = chat_model(simulator)
    manager = create_memory_manager(model, instructions="Extract what the user likes.", enable_inserts=True)
    calls(simulator, "Memory", content="Ann likes tea.")
    simulator.reply("Done.", times=2)
    memories = manager.invoke({"messages": [{"role": "user", "content": "I am Ann and like tea."}]})
    assert [memory.content.content for memory in memories] == ["Ann likes tea."], memories
    simulator.reset()

    store = InMemoryStore(index={"dims": 1024, "embed": embeddings(simulator)})
    namespace = ("memories",)
    tools = [create_manage_memory_tool(namespace=namespace), create_search_memory_tool(namespace=namespace)]
    agent = create_react_agent(model, tools=tools, store=store)
    calls(simulator, "manage_memory", content="Ann likes tea.", action="create")
    simulator.reply("I will remember it.")
    agent.invoke({"messages": [("user", "Remember that I like tea.")]})
    calls(simulator, "search_memory", query="What does Ann drink?")
    simulator.reply("You like tea.")
    state = agent.invoke({"messages": [("user", "What do I like?")]})
    assert "Ann likes tea." in str(state["messages"][-2].content), state
    return "manager, tools, store with embeddings"
