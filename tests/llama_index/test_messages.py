"""Messages with more than one text, in memories and in both directions."""

from __future__ import annotations

import json
from base64 import b64encode
from typing import Any

import pytest
from llama_index.core.base.llms.types import (
    ChatMessage,
    ContentBlock,
    DocumentBlock,
    ImageBlock,
    MessageRole,
    TextBlock,
    ThinkingBlock,
)
from llama_index.core.chat_engine import SimpleChatEngine
from llama_index.core.memory import ChatMemoryBuffer, Memory

from cfaig_integrations import UnsupportedContent
from cfaig_integrations.simulator import Simulator
from tests.handmade import chat_chunk, last_request, play
from tests.llama_index.call_methods import (
    CALL,
    REASONING_MODELS,
    WEATHER,
    Make,
    answer,
    answers,
    every_chat,
    every_stream,
    result,
    text_of,
    user,
)

PNG = b64encode(b"\x89PNG\r\n\x1a\n" + b"0" * 16).decode()
IMAGE = ImageBlock(image=b"\x89PNG\r\n\x1a\n" + b"0" * 16, image_mimetype="image/png")


async def said(engine: Any, method: str, text: str) -> str:
    actual: Any = getattr(engine, method)(text)
    match method:
        case "chat":
            return str(actual)
        case "achat":
            return str(await actual)
        case "stream_chat":
            return "".join(actual.response_gen)
        case _:
            return "".join([piece async for piece in (await actual).async_response_gen()])


@pytest.mark.parametrize("api", REASONING_MODELS)
@every_chat
async def test_a_chat_engine_remembers_an_answer_with_reasoning(
    make: Make, simulator: Simulator, api: str, method: str
) -> None:
    """run-llama#21679, PR #21738, PR #19954, #23151, PR #23152."""
    llm = make(api=api, **REASONING_MODELS[api])
    engine = SimpleChatEngine.from_defaults(llm=llm, memory=ChatMemoryBuffer.from_defaults(token_limit=3000))
    simulator.reply("It rains.", reasoning="Let me look.")
    assert await said(engine, method, "How is the weather?") == "It rains."
    assert [message.content for message in engine.chat_history] == ["How is the weather?", "It rains."]
    assert await said(engine, method, "And now?")
    sent = json.dumps(last_request(simulator))
    assert sent.count("It rains.") == 1
    assert sent.index("How is the weather?") < sent.index("It rains.") < sent.index("And now?")
    simulator.reset()  # reasoning words that the official types do not know


@pytest.mark.parametrize("api", REASONING_MODELS)
@every_chat
async def test_every_answer_can_be_stored_and_sent_again(
    make: Make, simulator: Simulator, api: str, method: str
) -> None:
    llm = make(api=api, **REASONING_MODELS[api])
    simulator.reply("I will look.", reasoning="Let me look.", calls=[CALL])
    last = (await answers(llm, method, tools=[WEATHER]))[-1].message
    memory = Memory.from_defaults(session_id=f"{api} {method}", token_limit=3000)
    await memory.aput_messages([user(), last, result()])
    stored = await memory.aget()
    assert [message.role for message in stored] == ["user", "assistant", "tool"]
    assert stored[1].blocks == last.blocks
    assert "rains in Paris" in text_of(await answer(llm, method, stored, tools=[WEATHER]))
    simulator.reset()


VISIBLE: dict[str, list[ContentBlock]] = {
    "image alone": [IMAGE],
    "image after text": [TextBlock(text="Here it is."), IMAGE],
}


@pytest.mark.parametrize("visible", VISIBLE)
@pytest.mark.parametrize("api", ["chat_completions", "responses", "messages"])
@every_chat
async def test_an_assistant_image_is_not_dropped(
    make: Make, simulator: Simulator, api: str, visible: str, method: str
) -> None:
    """run-llama PR #18495."""
    said = ChatMessage(role=MessageRole.ASSISTANT, blocks=VISIBLE[visible])
    with pytest.raises(UnsupportedContent) as refused:  # no format has a place for it
        await answer(make(api=api), method, [user("Draw a cat."), said, user("Now a dog.")])
    assert "user" in (refused.value.remedy or "")
    assert not simulator.requests


@pytest.mark.parametrize("api", ["responses", "messages", "chat_completions"])
def test_an_image_is_read_in_every_role(make: Make, simulator: Simulator, api: str) -> None:
    llm = make(api=api)
    llm.chat([ChatMessage(role=MessageRole.USER, blocks=[TextBlock(text="What is it?"), IMAGE])])
    assert PNG in simulator.requests[-1].raw.decode()
    simulator.reply(calls=[CALL])
    call = llm.chat([user()], tools=[WEATHER]).message
    visible = ChatMessage(role=MessageRole.TOOL, blocks=[IMAGE], additional_kwargs={"tool_call_id": "call_1"})
    llm.chat([user(), call, visible], tools=[WEATHER])
    assert PNG in simulator.requests[-1].raw.decode()


GENERATED_IMAGE = {"type": "image_generation_call", "id": "ig_1", "status": "completed", "result": PNG}


def drawing(simulator: Simulator, api: str, *, streamed: bool) -> None:
    """An answer that is an image, and nothing else."""
    if api == "responses":
        about: dict[str, Any] = {"id": "r1", "object": "response", "model": "m"}
        complete = {**about, "status": "completed", "output": [GENERATED_IMAGE]}
        if not streamed:
            return simulator.reply_raw(body=json.dumps(complete))
        return play(
            simulator,
            {"type": "response.created", "response": {**about, "status": "in_progress", "output": []}},
            {"type": "response.output_item.added", "output_index": 0, "item": {**GENERATED_IMAGE, "result": None}},
            {"type": "response.output_item.done", "output_index": 0, "item": GENERATED_IMAGE},
            {"type": "response.completed", "response": complete},
        )
    images = [{"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PNG}"}}]
    if streamed:
        end = chat_chunk({}, "stop")
        return play(simulator, chat_chunk({"role": "assistant", "content": "", "images": images}), end, "[DONE]")
    choice = {"index": 0, "message": {"role": "assistant", "content": "", "images": images}, "finish_reason": "stop"}
    body = {"id": "c1", "object": "chat.completion", "created": 1, "model": "m", "choices": [choice]}
    return simulator.reply_raw(body=json.dumps(body))


@pytest.mark.parametrize("api", ["responses", "chat_completions"])
@every_chat
async def test_an_answer_that_is_an_image_is_kept(make: Make, simulator: Simulator, api: str, method: str) -> None:
    drawing(simulator, api, streamed="stream" in method)
    actual = await answers(make(api=api), method, "Draw a cat.")
    assert len(actual) == (2 if "stream" in method else 1)  # shown as soon as it is there
    for response in actual:
        (block,) = (each for each in response.message.blocks if not isinstance(each, TextBlock))
        assert isinstance(block, ImageBlock)
        assert block.resolve_image(as_base64=True).read().decode() == PNG
        assert ChatMessage.model_validate_json(response.message.model_dump_json()).blocks


@every_chat
async def test_an_answered_image_goes_back_with_the_history(make: Make, simulator: Simulator, method: str) -> None:
    llm = make(api="responses")
    drawing(simulator, "responses", streamed="stream" in method)
    drawn = (await answer(llm, method, "Draw a cat.")).message
    await answer(llm, method, [user("Draw a cat."), drawn, user("A bigger one.")])
    items = last_request(simulator)["input"]
    assert [item.get("type", "message") for item in items] == ["message", "image_generation_call", "message"]
    assert items[1]["result"] == PNG
    assert simulator.requests[-1].raw.decode().count(PNG) == 1


@pytest.mark.parametrize(
    ("mime", "name", "data"), [("text/plain", "a.txt", b"Paris."), ("application/pdf", "a.pdf", b"%PDF-1.4")]
)
def test_a_document_keeps_its_media_type(make: Make, simulator: Simulator, mime: str, name: str, data: bytes) -> None:
    """Another package called every document a PDF."""
    block = DocumentBlock(data=data, title=name, document_mimetype=mime)
    make(api="messages").chat([ChatMessage(role=MessageRole.USER, blocks=[TextBlock(text="Read."), block])])
    (sent,) = [each for each in last_request(simulator)["messages"][0]["content"] if each["type"] == "document"]
    assert sent["source"]["media_type"] == mime
    visible = sent["source"]["data"]
    assert visible == (data.decode() if sent["source"]["type"] == "text" else b64encode(data).decode())


@every_stream
async def test_the_last_reasoning_response_is_a_message(make: Make, simulator: Simulator, method: str) -> None:
    simulator.reply("", reasoning="Let me look.")
    last = await answer(make(api="messages", **REASONING_MODELS["messages"]), method)
    assert [type(block) for block in last.message.blocks] == [ThinkingBlock, TextBlock]
    assert last.message.content == ""
    assert ChatMessage.model_validate_json(last.message.model_dump_json()) == last.message
