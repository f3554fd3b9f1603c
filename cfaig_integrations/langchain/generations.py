"""Replies and stream events to generations: a text, and all else that a reply holds in `generation_info`.

In a stream only the last chunk has a `generation_info`: core adds chunks up, numbers included.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

from langchain_core.outputs import Generation, GenerationChunk, LLMResult

from cfaig_integrations.core.chat import ChatReply
from cfaig_integrations.core.content import Refusal, Text, Wire
from cfaig_integrations.core.events import Event, PartStarted, RefusalDelta, TextDelta
from cfaig_integrations.core.fold import Fold
from cfaig_integrations.gateway.info import GatewayInfo
from cfaig_integrations.langchain.outbound import (
    REPLAY_KEY,
    additional_kwargs_of,
    response_metadata_of,
    to_llm_output,
    to_usage,
    tracer_info,
)

_USAGE = "usage_metadata"


def to_generations(reply: ChatReply, info: GatewayInfo, model: str) -> list[Generation]:
    """A reply's answers, several only if `n` asked for them. A refusal is part of the text."""
    return [
        Generation(
            text="".join(part.text for part in choice.turn.parts if isinstance(part, Text | Refusal)),
            generation_info=_generation_info(reply, number, info, model),
        )
        for number, choice in enumerate(reply.choices)
    ]


def to_llm_result(answers: list[list[Generation]], model: str) -> LLMResult:
    """The answers to several prompts, with the sum of their token counts."""
    usages = [usage for each in answers for one in each if (usage := (one.generation_info or {}).get(_USAGE))]
    return LLMResult(generations=[*answers], llm_output=to_llm_output(usages, model))


def joined(chunks: Sequence[GenerationChunk]) -> Generation:
    """The chunks of a whole stream as one answer."""
    return Generation(text="".join(chunk.text for chunk in chunks), generation_info=chunks[-1].generation_info)


class GenerationChunkMaker:
    """Converts the events of one stream to chunks of text."""

    def __init__(self, info: GatewayInfo, model: str) -> None:
        self._info = info
        self._model = model
        self._fold = Fold(cast("Wire", info.wire))  # only chats stream
        self._other_choices: set[int] = set()

    def make(self, event: Event) -> GenerationChunk | None:
        """The chunk of one event; None if the event has no text."""
        self._fold.add(event)
        match event:
            case TextDelta(part, text) | RefusalDelta(part, text) if part not in self._other_choices:
                return GenerationChunk(text=text)
            case PartStarted(part, choice=choice) if choice != 0:
                self._other_choices.add(part)
                return None
            case _:
                return None

    def last(self) -> GenerationChunk:
        """The chunk that ends the stream."""
        info = _generation_info(self._fold.reply(), 0, self._info, self._model)
        return GenerationChunk(text="", generation_info=info)


def _generation_info(reply: ChatReply, number: int, info: GatewayInfo, model: str) -> dict[str, Any]:
    choice = reply.choices[number]
    values = response_metadata_of(reply, choice, info, model) | additional_kwargs_of(choice.turn)
    values.pop(REPLAY_KEY, None)
    if reply.usage is not None and number == 0:  # the usage is that of all answers
        values[_USAGE] = dict(to_usage(reply.usage))
    return values | tracer_info(reply, model, info)
