"""Chat engines of every mode, whole and streamed, sync and async."""

from __future__ import annotations

from typing import Any

import pytest
from llama_index.core import VectorStoreIndex
from llama_index.core.base.llms.types import MessageRole
from llama_index.core.chat_engine.types import BaseChatEngine, ChatMode

from cfaig_integrations.llama_index import CloudflareAIGateway
from cfaig_integrations.simulator import Simulator
from tests.llama_index.programs.kit import ANSWER, FACTS, QUESTION, embedded, llm_requests, prompt_text, roles, steps

# A chat engine's memory keeps its SQLite connection longer than the event loop that opened it.
pytestmark = pytest.mark.filterwarnings(
    r"ignore:Exception in thread Thread-\d+ \(_connection_worker_thread\):pytest.PytestUnhandledThreadExceptionWarning"
)
FOLLOW_UP = "And of Italy?"
WHOLE_QUESTION = "What is the capital of Italy?"
METHODS = ["chat", "achat", "stream_chat", "astream_chat"]
CONDENSING = (ChatMode.CONDENSE_QUESTION, ChatMode.CONDENSE_PLUS_CONTEXT, ChatMode.BEST)


async def turn(engine: BaseChatEngine, method: str, message: str) -> str:
    """What the engine answers, in several pieces if it streams."""
    result: Any = getattr(engine, method)(message)
    if method.startswith("a"):
        result = await result
    if "stream" not in method:
        return str(result.response)
    if method.startswith("a"):
        pieces = [piece async for piece in result.async_response_gen()]
    else:
        pieces = list(result.response_gen)
    assert len(pieces) > 2
    return "".join(pieces)


@pytest.mark.parametrize("mode", [mode for mode in ChatMode if mode not in (ChatMode.REACT, ChatMode.OPENAI)])
@pytest.mark.parametrize("method", METHODS)
async def test_a_chat_engine_remembers_the_conversation(
    index: VectorStoreIndex, llm: CloudflareAIGateway, simulator: Simulator, mode: ChatMode, method: str
) -> None:
    engine = index.as_chat_engine(mode, llm=llm)
    answers = [ANSWER, FACTS["rome"]]
    if mode == ChatMode.SIMPLE:
        simulator.reply(ANSWER)
    assert await turn(engine, method, QUESTION) == ANSWER
    if mode == ChatMode.SIMPLE:
        simulator.reply(FACTS["rome"])
    elif mode in CONDENSING:
        simulator.reply(WHOLE_QUESTION)
    assert answers[1] in await turn(engine, method, FOLLOW_UP)
    history = [(message.role, message.content) for message in engine.chat_history]
    assert [role for role, _ in history] == [MessageRole.USER, MessageRole.ASSISTANT] * 2
    assert [content for _, content in history[:3]] == [QUESTION, ANSWER, FOLLOW_UP]
    check(simulator, mode)
    assert llm_requests(simulator)[-1].body.get("stream", False) is ("stream" in method)


def check(simulator: Simulator, mode: ChatMode) -> None:
    """The requests of two turns."""
    requests = llm_requests(simulator)
    alternating = ["user", "assistant", "user"]
    match mode:
        case ChatMode.SIMPLE:
            assert steps(simulator)[1:] == ["ask", "ask"]
            assert [roles(request) for request in requests] == [["user"], alternating]
        case ChatMode.CONTEXT:
            assert steps(simulator)[1:] == ["embed", "ask", "embed", "ask"]
            assert embedded(simulator)[1:] == [[QUESTION], [FOLLOW_UP]]
            assert [roles(request) for request in requests] == [["system", "user"], ["system", *alternating]]
        case _:
            assert steps(simulator)[1:] == ["embed", "ask", "ask", "embed", "ask"]
            assert embedded(simulator)[1:] == [[QUESTION], [WHOLE_QUESTION]]
            first, condense, last = requests
            assert roles(first) == ["system", "user"]
            assert roles(condense) == ["user"]
            assert all(text in prompt_text(condense) for text in (QUESTION, ANSWER, FOLLOW_UP))
            history = [] if mode == ChatMode.CONDENSE_QUESTION else alternating[:2]
            assert roles(last) == ["system", *history, "user"]


@pytest.mark.parametrize("method", METHODS)
async def test_a_chat_engine_can_be_reset(
    index: VectorStoreIndex, llm: CloudflareAIGateway, simulator: Simulator, method: str
) -> None:
    engine = index.as_chat_engine(ChatMode.CONTEXT, llm=llm, system_prompt="Be brief.")
    await turn(engine, method, QUESTION)
    engine.reset()
    assert engine.chat_history == []
    await turn(engine, method, QUESTION)
    assert [roles(request) for request in llm_requests(simulator)] == [["system", "user"]] * 2
    assert "Be brief." in prompt_text(llm_requests(simulator)[-1])
