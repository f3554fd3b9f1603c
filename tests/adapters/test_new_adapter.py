"""An adapter for a framework whose messages are pairs of role and text, written as `adapters.__init__` describes."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextvars import ContextVar
from typing import Any, cast

import pytest

from cfaig_integrations import ConfigError, GatewayError
from cfaig_integrations.adapters.arguments import call_options, chat_request, split_arguments
from cfaig_integrations.adapters.fields import ChatFields
from cfaig_integrations.adapters.run_metadata import Framework, Operation, RunEntries, RunInfo, automatic
from cfaig_integrations.adapters.tools import choice_among, tool_of_mapping
from cfaig_integrations.core.chat import ChatReply, ChatRequest
from cfaig_integrations.core.content import Role, Text, Turn, Wire
from cfaig_integrations.core.events import TextDelta
from cfaig_integrations.core.fold import Fold
from cfaig_integrations.core.replay import replay_state, restore
from cfaig_integrations.gateway.connection import CallOptions
from cfaig_integrations.simulator import Simulator
from tests.conftest import where

PAIRS = Framework(name="pairs", default_keys=("run_id", "op"))
JOB: ContextVar[str | None] = ContextVar("job", default=None)
"""What the framework knows of its current run."""
WIRES: dict[Wire, str] = {
    "chat_completions": "openai/gpt-4.1",
    "responses": "openai/gpt-5.4",
    "messages": "anthropic/claude-haiku-4.5",
}
WEATHER = {"type": "function", "function": {"name": "weather", "parameters": {"type": "object", "properties": {}}}}


class Message(tuple[Role, str]):
    """A message of the framework, which keeps further data in `state`."""

    state: Mapping[str, Any] | None = None


class PairsError(Exception):
    """The framework's own error."""


class PairsConfigError(PairsError, ConfigError):
    """A `ConfigError` that programs of the framework can catch as theirs."""


def run_entries(fields: ChatFields, operation: Operation) -> RunEntries:
    run = RunInfo(framework=PAIRS.name, operation=operation, run_id=JOB.get())
    return RunEntries(automatic=automatic(run, PAIRS, fields.metadata_keys, fields.metadata_mapper))


def to_turn(message: Message) -> Turn:
    role, text = message
    return restore(Turn(role, (Text(text),)), message.state)


def to_message(reply: ChatReply) -> Message:
    turn = reply.choices[0].turn
    message = Message(("assistant", turn.text))
    message.state = replay_state(turn)
    return message


class PairsChat(ChatFields):
    """The framework's chat model."""

    @staticmethod
    def _framework_error(error: GatewayError) -> GatewayError:
        return PairsConfigError(str(error)) if isinstance(error, ConfigError) else error

    def _request(self, messages: Sequence[Message], kwargs: Mapping[str, Any]) -> tuple[ChatRequest, CallOptions]:
        arguments = split_arguments(kwargs)
        tools = tuple(tool_of_mapping(tool).spec for tool in arguments.recognized.get("tools", ()))
        choice = choice_among(arguments.recognized.get("tool_choice"), tools)
        turns = tuple(to_turn(message) for message in messages)
        request = chat_request(self, arguments, turns, tools=tools, tool_choice=choice)
        return request, call_options(arguments, self.api, run_entries(self, "chat"))

    def ask(self, messages: Sequence[Message], **kwargs: Any) -> Message:
        reply, _ = self._clients.sync.chat(*self._request(messages, kwargs))
        return to_message(reply)

    def stream(self, messages: Sequence[Message], **kwargs: Any) -> Iterator[str | Message]:
        """Pieces of the text, then the message."""
        with self._clients.sync.stream(*self._request(messages, kwargs)) as events:
            fold = Fold(cast("Wire", events.info.wire))
            for event in events:
                fold.add(event)
                if isinstance(event, TextDelta):
                    yield event.text
            yield to_message(fold.reply())


@pytest.fixture(params=WIRES)
def chat(request: pytest.FixtureRequest, simulator: Simulator) -> PairsChat:
    return PairsChat(**where(simulator), api=request.param, model=WIRES[request.param])


QUESTION = Message(("user", "What is the capital of France?"))


def test_a_history_goes_back_to_the_gateway(chat: PairsChat, simulator: Simulator) -> None:
    answer = chat.ask([QUESTION])
    assert answer[0] == "assistant"
    assert answer[1]
    assert chat.ask([QUESTION, answer, QUESTION])[1]
    assert json.dumps(answer[1]) in json.dumps(simulator.requests[-1].body)


def test_the_pieces_of_a_stream_add_up_to_the_message(chat: PairsChat) -> None:
    *pieces, message = chat.stream([QUESTION])
    assert len(pieces) > 1
    assert message == Message(("assistant", "".join(cast("list[str]", pieces))))


def test_tools_and_arguments_of_a_call_are_sent(chat: PairsChat, simulator: Simulator) -> None:
    chat.ask([QUESTION], temperature=0.5, tools=[WEATHER], tool_choice="auto", gateway_metadata={"team": "docs"})
    sent = simulator.requests[-1]
    assert sent.body["temperature"] == 0.5
    assert "weather" in str(sent.body["tools"])
    assert '"team":"docs"' in sent.headers["cf-aig-metadata"].replace(" ", "")


def test_the_run_is_in_the_log(chat: PairsChat, simulator: Simulator) -> None:
    token = JOB.set("job-1")
    try:
        chat.ask([QUESTION])
    finally:
        JOB.reset(token)
    assert '"run_id":"job-1"' in simulator.requests[-1].headers["cf-aig-metadata"].replace(" ", "")


def test_errors_are_the_frameworks(simulator: Simulator) -> None:
    with pytest.raises(PairsError, match="temprature"):
        PairsChat(**where(simulator), model="openai/gpt-4.1", temprature=0.5)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
