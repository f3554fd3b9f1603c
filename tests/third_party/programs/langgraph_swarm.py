"""Two agents that hand a conversation to each other."""

from __future__ import annotations

from langchain.agents import create_agent
from langgraph.checkpoint.memory import InMemorySaver
from langgraph_swarm import create_handoff_tool, create_swarm

from cfaig_integrations.simulator import Simulator
from tests.third_party.kit import calls, chat_model


def run(simulator: Simulator) -> str:
    """One turn that is handed over, and one that stays there."""
    model = chat_model(simulator)
    alice = create_agent(model, [create_handoff_tool(agent_name="Bob")], name="Alice", system_prompt="You are Alice.")
    bob = create_agent(model, [create_handoff_tool(agent_name="Alice")], name="Bob", system_prompt="You are Bob.")
    graph = create_swarm([alice, bob], default_active_agent="Alice").compile(checkpointer=InMemorySaver())
    config = {"configurable": {"thread_id": "t1"}}
    calls(simulator, "transfer_to_bob")
    simulator.reply("Bob here.")
    first = graph.invoke({"messages": [("user", "Let me talk to Bob.")]}, config)
    assert first["messages"][-1].text == "Bob here.", first
    simulator.reply("Still Bob.")
    second = graph.invoke({"messages": [("user", "Who is there?")]}, config)
    assert second["active_agent"] == "Bob"
    assert "You are Bob." in str(simulator.requests[-1].body)
    metadata = [entry["metadata"]["thread_id"] for entry in simulator.logs()]
    assert metadata == ["t1"] * 3, metadata
    return "handoff and memory; thread_id in each log"
