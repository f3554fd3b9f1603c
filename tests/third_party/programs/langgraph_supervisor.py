"""A supervisor hands a sum to one of two agents."""

from __future__ import annotations

from langchain.agents import create_agent
from langgraph_supervisor import create_supervisor

from cfaig_integrations.simulator import Simulator
from tests.third_party.kit import calls, chat_model


def add(a: int, b: int) -> int:
    """Adds two numbers."""
    return a + b


def search(topic: str) -> str:
    """Searches for a topic."""
    return f"Nothing about {topic}."


def run(simulator: Simulator) -> str:
    """Asks once, in both modes."""
    model = chat_model(simulator)
    mathematician = create_agent(model, [add], name="mathematician")
    researcher = create_agent(model, [search], name="researcher")
    graph = create_supervisor([researcher, mathematician], model=model, prompt="Delegate.").compile()
    question = {"messages": [{"role": "user", "content": "What is 2 + 3?"}]}
    for ask in (graph.invoke, lambda state: list(graph.stream(state, stream_mode="values"))[-1]):
        calls(simulator, "transfer_to_mathematician")
        calls(simulator, "add", a=2, b=3)
        simulator.reply("2 + 3 is 5.")
        simulator.reply("The sum is 5.")
        messages = ask(question)["messages"]
        assert messages[-1].text == "The sum is 5.", messages
        assert any(message.text == "2 + 3 is 5." for message in messages), messages
    assert len(simulator.requests) == 8
    return "handoff, tool, answer; invoke and stream"
