"""Stream events to LangChain chunks.

Text, reasoning and tool arguments become one small chunk each; everything that must stand in a message once (usage,
finish reason, gateway facts, the skeleton) stands on the last.

Chunks of text and arguments are built without pydantic's validation, which costs four times as much as all the rest of
a chunk (core would even try to parse each piece of arguments as JSON). A test holds them equal to constructed ones.
"""

from __future__ import annotations

from typing import Any, assert_never, cast

from langchain_core.messages import AIMessageChunk
from langchain_core.messages.tool import ToolCallChunk
from langchain_core.outputs import ChatGenerationChunk

from cfaig_integrations.core.content import Extras, Media, Opaque, Refusal, Turn, Wire
from cfaig_integrations.core.events import (
    ArgumentsDelta,
    CitationAdded,
    Event,
    Finished,
    PartAdded,
    PartNoted,
    PartStarted,
    ReasoningDelta,
    RefusalDelta,
    ReplyNoted,
    Started,
    TextDelta,
    UsageUpdated,
)
from cfaig_integrations.core.fold import Fold
from cfaig_integrations.core.replay import canonical, part_state, replay_state
from cfaig_integrations.core.text import repair_surrogates
from cfaig_integrations.gateway.info import GatewayInfo
from cfaig_integrations.langchain.blocks import (
    REFUSALS_ARE_KNOWN,
    annotation,
    part_blocks,
    reasoning_extras,
    refusal_block,
)
from cfaig_integrations.langchain.inbound import PROVIDER, REPLAY_KEY
from cfaig_integrations.langchain.outbound import ending, for_tracers, to_usage
from cfaig_integrations.langchain.tool_calls import CUSTOM_INPUT, StreamedArguments

Content = str | list[str | dict[str, Any]]

_MESSAGE = AIMessageChunk(content="")
_MESSAGE_FIELDS = dict(_MESSAGE.__dict__)
_MESSAGE_SET = frozenset({"content", "additional_kwargs", "response_metadata", "tool_call_chunks"})
_GENERATION_FIELDS = dict(ChatGenerationChunk(message=_MESSAGE).__dict__)
_GENERATION_SET = frozenset({"message"})
_set = object.__setattr__


def quick_chunk(
    content: Content, calls: list[ToolCallChunk] | None = None, beside: dict[str, Any] | None = None
) -> ChatGenerationChunk:
    """A chunk as its constructor would make it, without the validation."""
    message = AIMessageChunk.__new__(AIMessageChunk)
    fields = _MESSAGE_FIELDS.copy()
    fields["content"] = content
    fields["additional_kwargs"] = beside if beside is not None else {}
    fields["response_metadata"] = {"model_provider": PROVIDER}
    fields["tool_calls"] = []
    fields["invalid_tool_calls"] = []
    fields["tool_call_chunks"] = calls if calls is not None else []
    _set(message, "__dict__", fields)
    _set(message, "__pydantic_fields_set__", set(_MESSAGE_SET))
    _set(message, "__pydantic_extra__", {})
    _set(message, "__pydantic_private__", None)
    generation = ChatGenerationChunk.__new__(ChatGenerationChunk)
    held = _GENERATION_FIELDS.copy()
    held["message"] = message
    held["text"] = content if isinstance(content, str) else _text_of(content)
    _set(generation, "__dict__", held)
    _set(generation, "__pydantic_fields_set__", set(_GENERATION_SET))
    _set(generation, "__pydantic_extra__", None)
    _set(generation, "__pydantic_private__", None)
    return generation


def _text_of(content: list[str | dict[str, Any]]) -> str:
    for block in content:
        if isinstance(block, str):
            return block
        if block.get("type") == "text":
            return str(block.get("text") or "")
    return ""


class ChunkMaker:
    """Turns the events of one stream into chunks.

    Args:
        info: What the gateway said in the response's headers.
        model: The model that was asked for.
        as_blocks: Content as indexed standard blocks (`output_version="v1"`) rather than as a string.
    """

    def __init__(self, info: GatewayInfo, model: str, *, as_blocks: bool) -> None:
        self._info = info
        self._model = model
        self._blocks = as_blocks
        self._fold = Fold(cast("Wire", info.wire))  # only chats stream
        self._calls: dict[int, StreamedArguments | None] = {}
        self._whole: list[int] = []
        self._others: set[int] = set()

    def make(self, event: Event) -> ChatGenerationChunk | None:
        """The chunk of one event, if it has one. Answers after the first, which nobody asked for, have none."""
        self._fold.add(event)
        if self._others and getattr(event, "part", None) in self._others:
            return None
        if isinstance(event, TextDelta):
            if self._blocks:
                return quick_chunk([{"type": "text", "text": event.text, "index": event.part}])
            return quick_chunk(event.text)
        if isinstance(event, ArgumentsDelta):
            return self._arguments(event)
        if isinstance(event, ReasoningDelta):
            thought: Content = [{"type": "reasoning", "reasoning": event.text, "index": event.part}]
            beside = {"reasoning_content": event.text} if event.text else None
            return quick_chunk(thought if self._blocks else "", beside=beside)
        return self._rare(event)

    def _rare(
        self,
        event: RefusalDelta
        | PartStarted
        | CitationAdded
        | PartNoted
        | PartAdded
        | Started
        | ReplyNoted
        | UsageUpdated
        | Finished,
    ) -> ChatGenerationChunk | None:
        match event:
            case RefusalDelta(part, text):
                shown: Content = [refusal_block(text) | {"index": part}] if REFUSALS_ARE_KNOWN else []
                return quick_chunk(shown if self._blocks else "", beside={"refusal": text} if text else None)
            case PartStarted():
                return self._started(event)
            case CitationAdded(part, citation) if self._blocks:
                block = {"type": "text", "text": "", "annotations": [annotation(citation)], "index": part}
                return quick_chunk([block])
            case PartNoted(part, extras) if self._blocks:
                return self._noted(part, extras)
            case PartAdded(part, value, choice):
                if choice != 0:
                    self._others.add(part)
                    return None
                return self._added(part, value)
            case CitationAdded() | PartNoted() | Started() | ReplyNoted() | UsageUpdated() | Finished():
                return None
            case _:
                assert_never(event)

    def _started(self, event: PartStarted) -> ChatGenerationChunk | None:
        empty: Content = [] if self._blocks else ""
        if event.choice != 0:
            self._others.add(event.part)
            return None
        match event.kind:
            case "tool_call" | "custom_tool_call":
                custom = event.kind == "custom_tool_call"
                self._calls[event.part] = None if custom else StreamedArguments()
                # The input of a free-text tool is shown as one JSON string, opened here and closed at the end.
                opening = f'{{"{CUSTOM_INPUT}":"' if custom else ""
                id_, name = repair_surrogates(event.id), repair_surrogates(event.name)
                return quick_chunk(empty, [_call_chunk(event.part, id_=id_, name=name, args=opening)])
            case "reasoning" if self._blocks:
                return quick_chunk([{"type": "reasoning", "reasoning": "", "index": event.part}])
            case "text" | "reasoning" | "refusal":
                return None

    def _arguments(self, event: ArgumentsDelta) -> ChatGenerationChunk | None:
        call = self._calls[event.part]
        text = canonical(event.text)[1:-1] if call is None else call.feed(event.text)
        return quick_chunk([] if self._blocks else "", [_call_chunk(event.part, args=text)]) if text else None

    def _noted(self, part: int, extras: Extras) -> ChatGenerationChunk | None:
        shown = reasoning_extras(extras)
        if not shown:
            return None
        return quick_chunk([{"type": "reasoning", "reasoning": "", "index": part, **shown}])

    def _added(self, part: int, value: Media | Opaque) -> ChatGenerationChunk:
        self._whole.append(part)
        beside: dict[str, Any] = {REPLAY_KEY: {"parts": [part_state(part, value)]}}
        if not self._blocks:
            return quick_chunk("", beside=beside)
        # One part may be shown as two blocks (a call and its result); an index of its own keeps each apart.
        shown = part_blocks(value)
        return quick_chunk([{**block, "index": f"lc_{part}_{n}"} for n, block in enumerate(shown)], beside=beside)

    def last(self) -> ChatGenerationChunk:
        """The chunk that ends the stream."""
        reply = self._fold.reply()
        choice = reply.choices[0]
        state = replay_state(choice.turn, sent=self._whole)
        calls = self._closing_calls(choice.turn)
        message = AIMessageChunk(
            content=_late_refusals(choice.turn) if self._blocks else "",
            additional_kwargs={} if state is None else {REPLAY_KEY: state},
            tool_call_chunks=[],
            usage_metadata=None if reply.usage is None else to_usage(reply.usage),
            response_metadata={"model_provider": PROVIDER, **ending(reply, choice, self._info, self._model)},
            chunk_position="last",
        )
        # Set afterwards: the constructor would try to parse them.
        message.tool_call_chunks = calls
        return ChatGenerationChunk(message=message, generation_info=for_tracers(reply, self._model, self._info))

    def _closing_calls(self, turn: Turn) -> list[ToolCallChunk]:
        found: list[ToolCallChunk] = []
        for (number, streamed), call in zip(sorted(self._calls.items()), turn.tool_calls, strict=True):
            rest = '"}' if streamed is None else streamed.close(call)
            found += [_call_chunk(number, args=rest)] if rest else []
        return found


def _late_refusals(turn: Turn) -> list[str | dict[str, Any]]:
    if REFUSALS_ARE_KNOWN:
        return []
    return [refusal_block(part.text) for part in turn.parts if isinstance(part, Refusal)]


def _call_chunk(part: int, *, args: str, id_: str | None = None, name: str | None = None) -> ToolCallChunk:
    return {"type": "tool_call_chunk", "name": name, "args": args, "id": id_, "index": part}
