"""Messages with more than text: to the model, through an agent, and out of its tools."""

from __future__ import annotations

import json
from base64 import b64encode
from typing import Any

import pytest
from llama_index.core.agent.workflow import FunctionAgent
from llama_index.core.base.llms.types import ChatMessage, DocumentBlock, ImageBlock, MessageRole, TextBlock
from llama_index.core.memory import ChatMemoryBuffer

from cfaig_integrations.llama_index import CloudflareAIGateway
from cfaig_integrations.simulator import Simulator
from tests.langchain.media import PDF, png
from tests.llama_index.programs.agents_kit import SUNNY, merged, run_agent, sent, turns, weather

PICTURE = b64encode(png()).decode()
QUESTION = "What is the weather in Oslo, as in this picture?"
both_modes = pytest.mark.parametrize("streaming", [True, False], ids=["streaming", "whole"])


@pytest.fixture(params=["chat_completions", "responses", "messages"])
def api(request: pytest.FixtureRequest) -> Any:
    return request.param


def picture_parts(message: dict[str, Any]) -> list[dict[str, Any]]:
    return [part for part in message["content"] if "image" in part["type"]]


def user_messages(simulator: Simulator) -> list[dict[str, Any]]:
    body = simulator.requests[-1].body
    return [item for item in body.get("messages") or body["input"] if item.get("role") == "user"]


def ask(*blocks: Any) -> ChatMessage:
    return ChatMessage(role=MessageRole.USER, blocks=[TextBlock(text=QUESTION), *blocks])


IN_EACH_FORM: dict[str, dict[str, Any]] = {
    "chat_completions": {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PICTURE}"}},
    "responses": {"type": "input_image", "image_url": f"data:image/png;base64,{PICTURE}"},
    "messages": {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PICTURE}},
}


@pytest.mark.parametrize("method", ["chat", "achat", "stream_chat", "astream_chat"])
async def test_an_image_reaches_the_model(
    llm: CloudflareAIGateway, simulator: Simulator, api: str, method: str
) -> None:
    result: Any = getattr(llm, method)([ask(ImageBlock(image=png(), image_mimetype="image/png"))])
    match method:
        case "achat":
            last = await result
        case "stream_chat":
            last = list(result)[-1]
        case "astream_chat":
            last = [response async for response in await result][-1]
        case _:
            last = result
    assert "I received an image." in last.message.content
    (message,) = user_messages(simulator)
    (part,) = picture_parts(message)
    assert part == IN_EACH_FORM[api]
    assert message["content"][0]["text"] == QUESTION


@both_modes
async def test_an_agent_receives_an_image(llm: CloudflareAIGateway, simulator: Simulator, streaming: bool) -> None:
    memory = ChatMemoryBuffer.from_defaults(token_limit=3000)
    agent = FunctionAgent(tools=[weather], llm=llm, streaming=streaming)
    picture = ImageBlock(url="https://example.com/oslo.png")
    run = await run_agent(agent.run(ask(picture), memory=memory))
    assert run.results == [SUNNY]
    assert SUNNY in run.answer
    assert len(simulator.requests) == 2
    assert merged(turns(simulator)) == ["user", "call", "result"]
    assert "https://example.com/oslo.png" in sent(simulator)
    await agent.run("What is 2 + 3?", memory=memory)
    assert "https://example.com/oslo.png" in sent(simulator)


async def test_several_images_and_a_document_keep_their_order(llm: CloudflareAIGateway, simulator: Simulator) -> None:
    blocks = [
        ImageBlock(image=png(), image_mimetype="image/png"),
        TextBlock(text="Before and after."),
        ImageBlock(url="https://example.com/2.png"),
        DocumentBlock(data=PDF, title="report.pdf", document_mimetype="application/pdf"),
    ]
    await llm.achat([ask(*blocks)])
    (message,) = user_messages(simulator)
    kinds = ["image" if "image" in part["type"] else part["type"] for part in message["content"]]
    assert [kind.removeprefix("input_") for kind in kinds][:4] == ["text", "image", "text", "image"]
    assert len(kinds) == 5
    assert b64encode(PDF).decode() in json.dumps(message)


def photograph(city: str) -> list[Any]:
    """A photograph of a city."""
    return [TextBlock(text=f"A photograph of {city}."), ImageBlock(image=png(), image_mimetype="image/png")]


@both_modes
async def test_a_tool_returns_an_image(
    llm: CloudflareAIGateway, simulator: Simulator, api: str, streaming: bool
) -> None:
    """Chat completions have no place for it in a tool's message: it follows as the user's."""
    simulator.reply(calls=[{"name": "photograph", "arguments": {"city": "Oslo"}}])
    simulator.reply("A fine picture.")
    run = await run_agent(FunctionAgent(tools=[photograph], llm=llm, streaming=streaming).run("Show me Oslo."))
    assert run.answer == "A fine picture."
    assert len(simulator.requests) == 2
    assert PICTURE in sent(simulator)
    assert "A photograph of Oslo." in sent(simulator)
    after = ["user"] if api == "chat_completions" else []
    assert merged(turns(simulator)) == ["user", "call", "result", *after]
