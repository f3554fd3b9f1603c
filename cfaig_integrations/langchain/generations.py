"""Replies and stream events as generations: a text, and beside it what the reply says otherwise.

A stream's last piece holds what a whole answer holds, all others text alone: core adds them up, and adds numbers too.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

from langchain_core.outputs import Generation, GenerationChunk, LLMResult

from cfaig_integrations.core.chat import ChatReply, Choice
from cfaig_integrations.core.content import Refusal, Text, Wire
from cfaig_integrations.core.events import Event, PartStarted, RefusalDelta, TextDelta
from cfaig_integrations.core.fold import Fold
from cfaig_integrations.gateway.info import GatewayInfo
from cfaig_integrations.langchain.inbound import REPLAY_KEY
from cfaig_integrations.langchain.outbound import beside, ending, for_tracers, to_usage

_USAGE = "usage_metadata"
_COUNTS = {"prompt_tokens": "input_tokens", "completion_tokens": "output_tokens", "total_tokens": "total_tokens"}
"""Names of the counts in `llm_output`, where LangChain's cost handlers look for them, and ours."""


def to_generations(reply: ChatReply, info: GatewayInfo, model: str) -> list[Generation]:
    """A reply's answers; more than one only if `n` asked for it. Token counts, which are of all, stand with the first.

    Args:
        reply: The reply.
        info: What the gateway said about it.
        model: The model that was asked for.
    """
    return [
        Generation(text=_text(choice), generation_info=_beside(reply, number, info, model))
        for number, choice in enumerate(reply.choices)
    ]


def to_llm_result(answers: list[list[Generation]], model: str) -> LLMResult:
    """The answers to several prompts, with the sum of their token counts."""
    usages = [usage for each in answers for one in each if (usage := (one.generation_info or {}).get(_USAGE))]
    counts = {word: sum(usage[ours] for usage in usages) for word, ours in _COUNTS.items()} if usages else {}
    return LLMResult(generations=[*answers], llm_output={"token_usage": counts, "model_name": model})


def in_one(pieces: Sequence[GenerationChunk]) -> Generation:
    """The pieces of a whole stream as one answer."""
    return Generation(text="".join(piece.text for piece in pieces), generation_info=pieces[-1].generation_info)


class PieceMaker:
    """Turns the events of one stream into pieces of text.

    Args:
        info: What the gateway said in the response's headers.
        model: The model that was asked for.
    """

    def __init__(self, info: GatewayInfo, model: str) -> None:
        self._info = info
        self._model = model
        self._fold = Fold(cast("Wire", info.wire))  # only chats stream
        self._others: set[int] = set()

    def make(self, event: Event) -> GenerationChunk | None:
        """The piece of one event, if it is text."""
        self._fold.add(event)
        match event:
            case TextDelta(part, text) | RefusalDelta(part, text) if part not in self._others:
                return GenerationChunk(text=text)
            case PartStarted(part, choice=choice) if choice != 0:
                self._others.add(part)
                return None
            case _:
                return None

    def last(self) -> GenerationChunk:
        """The piece that ends the stream."""
        return GenerationChunk(text="", generation_info=_beside(self._fold.reply(), 0, self._info, self._model))


def _text(choice: Choice) -> str:
    """What the model says; a refusal too, which nobody would see otherwise."""
    return "".join(part.text for part in choice.turn.parts if isinstance(part, Text | Refusal))


def _beside(reply: ChatReply, number: int, info: GatewayInfo, model: str) -> dict[str, Any]:
    choice = reply.choices[number]
    said = {key: value for key, value in beside(choice.turn).items() if key != REPLAY_KEY}
    counted = {} if reply.usage is None or number > 0 else {_USAGE: dict(to_usage(reply.usage))}
    return {**ending(reply, choice, info, model), **said, **counted, **for_tracers(reply, model, info)}
