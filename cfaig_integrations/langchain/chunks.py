"""Stream events to LangChain chunks.

Each piece of text, reasoning or tool arguments becomes one small chunk. Usage, finish reason, gateway info and replay
state are in the last chunk only, because core adds chunks up.

Chunks are built without pydantic's validation, which takes four times as long as everything else (core even tries to
parse each piece of arguments as JSON). A test compares them with constructed ones.
"""

from __future__ import annotations

from typing import Any, cast

from langchain_core.messages import AIMessageChunk
from langchain_core.messages.tool import ToolCallChunk
from langchain_core.outputs import ChatGenerationChunk

from cfaig_integrations.adapters.templates import Template
from cfaig_integrations.core.content import Media, Opaque, Refusal, Turn, Wire
from cfaig_integrations.core.events import (
    ArgumentsDelta,
    CitationAdded,
    Event,
    PartAdded,
    PartExtras,
    PartStarted,
    ReasoningDelta,
    RefusalDelta,
    TextDelta,
)
from cfaig_integrations.core.fold import Fold
from cfaig_integrations.core.hints import refusal_category
from cfaig_integrations.core.replay import canonical, part_state, replay_state
from cfaig_integrations.core.text import repair_surrogates
from cfaig_integrations.gateway.info import GatewayInfo
from cfaig_integrations.langchain.outbound import (
    CUSTOM_INPUT,
    PROVIDER,
    REPLAY_KEY,
    generation_info_of,
    response_metadata_of,
    to_usage,
)
from cfaig_integrations.langchain.outbound_blocks import (
    HAS_REFUSAL_BLOCK,
    annotation,
    part_blocks,
    reasoning_extras,
    refusal_block,
)
from cfaig_integrations.langchain.streamed_arguments import StreamedArguments

Content = str | list[str | dict[str, Any]]

_MESSAGE = Template(AIMessageChunk(content="", additional_kwargs={}, response_metadata={}, tool_call_chunks=[]))
_GENERATION = Template(ChatGenerationChunk(message=AIMessageChunk(content="")))


def quick_chunk(
    content: Content, calls: list[ToolCallChunk] | None = None, additional_kwargs: dict[str, Any] | None = None
) -> ChatGenerationChunk:
    """A chunk as its constructor makes it, without the validation."""
    message = _MESSAGE.make(
        content=content,
        additional_kwargs=additional_kwargs or {},
        response_metadata={"model_provider": PROVIDER},
        tool_calls=[],
        invalid_tool_calls=[],
        tool_call_chunks=calls or [],
    )
    return _GENERATION.make(message=message, text=content if isinstance(content, str) else _text_of(content))


def _text_of(content: list[str | dict[str, Any]]) -> str:
    for block in content:
        if isinstance(block, str):
            return block
        if block.get("type") == "text":
            return str(block.get("text") or "")
    return ""


class ChunkMaker:
    """Converts the events of one stream to chunks.

    Args:
        info: What the gateway reports in the response's headers.
        model: Model id of the request.
        as_blocks: Content as indexed standard blocks (`output_version="v1"`) instead of a string.
    """

    def __init__(self, info: GatewayInfo, model: str, *, as_blocks: bool) -> None:
        self._info = info
        self._model = model
        self._as_blocks = as_blocks
        self._fold = Fold(cast("Wire", info.wire))  # only chats stream
        self._calls: dict[int, StreamedArguments | None] = {}
        """Part number of a call -> its arguments; None for a free-text tool."""
        self._sent_states: list[int] = []
        """Numbers of the parts whose replay state is in an earlier chunk."""
        self._other_choices: set[int] = set()
        """Numbers of the parts of further answers, which have no place in a message."""

    def make(self, event: Event) -> ChatGenerationChunk | None:
        """The chunk of one event; None if the event has none."""
        self._fold.add(event)
        if self._other_choices and getattr(event, "part", None) in self._other_choices:
            return None
        if type(event) is TextDelta:
            if self._as_blocks:
                return quick_chunk([{"type": "text", "text": event.text, "index": event.part}])
            return quick_chunk(event.text)
        if type(event) is ArgumentsDelta:
            call = self._calls[event.part]
            text = canonical(event.text)[1:-1] if call is None else call.feed(event.text)
            return quick_chunk(self._empty_content(), [_call_chunk(event.part, args=text)]) if text else None
        if isinstance(event, ReasoningDelta):
            block = {"type": "reasoning", "reasoning": event.text, "index": event.part}
            kwargs = {"reasoning_content": event.text} if event.text else None
            return quick_chunk([block] if self._as_blocks else "", additional_kwargs=kwargs)
        return self._rare(event)

    def _empty_content(self) -> Content:
        return [] if self._as_blocks else ""

    def _rare(self, event: Event) -> ChatGenerationChunk | None:
        match event:
            case RefusalDelta(part, text):
                kwargs = {"refusal": text} if text else None
                if self._as_blocks and HAS_REFUSAL_BLOCK:
                    return quick_chunk([refusal_block(text) | {"index": part}], additional_kwargs=kwargs)
                return quick_chunk(self._empty_content(), additional_kwargs=kwargs)
            case PartStarted(part, choice=choice) | PartAdded(part, choice=choice) if choice != 0:
                self._other_choices.add(part)
                return None
            case PartStarted():
                return self._started(event)
            case CitationAdded(part, citation) if self._as_blocks:
                block = {"type": "text", "text": "", "annotations": [annotation(citation)], "index": part}
                return quick_chunk([block])
            case PartExtras(part, extras) if self._as_blocks and (category := refusal_category(Refusal("", extras))):
                return quick_chunk([refusal_block("", category) | {"index": part}]) if HAS_REFUSAL_BLOCK else None
            case PartExtras(part, extras) if self._as_blocks and (fields := reasoning_extras(extras)):
                return quick_chunk([{"type": "reasoning", "reasoning": "", "index": part, **fields}])
            case PartAdded(part, value):
                return self._added(part, value)
            case _:
                return None

    def _started(self, event: PartStarted) -> ChatGenerationChunk | None:
        match event.kind:
            case "tool_call" | "custom_tool_call":
                is_custom = event.kind == "custom_tool_call"
                self._calls[event.part] = None if is_custom else StreamedArguments()
                # The input of a free-text tool is shown as one JSON string, which `last` closes.
                opening = f'{{"{CUSTOM_INPUT}":"' if is_custom else ""
                id_, name = repair_surrogates(event.id), repair_surrogates(event.name)
                return quick_chunk(self._empty_content(), [_call_chunk(event.part, id_=id_, name=name, args=opening)])
            case "reasoning" if self._as_blocks:
                return quick_chunk([{"type": "reasoning", "reasoning": "", "index": event.part}])
            case "refusal" if self._as_blocks and HAS_REFUSAL_BLOCK:
                return quick_chunk([refusal_block("") | {"index": event.part}])  # it may have no text
            case "text" | "reasoning" | "refusal":
                return None

    def _added(self, part: int, value: Media | Opaque) -> ChatGenerationChunk:
        self._sent_states.append(part)
        kwargs: dict[str, Any] = {REPLAY_KEY: {"parts": [part_state(part, value)]}}
        if not self._as_blocks:
            return quick_chunk("", additional_kwargs=kwargs)
        # A part may be two blocks, a call and its result: an index for each keeps core from merging them.
        blocks = [{**block, "index": f"lc_{part}_{number}"} for number, block in enumerate(part_blocks(value))]
        return quick_chunk([*blocks], additional_kwargs=kwargs)

    def last(self) -> ChatGenerationChunk:
        """The chunk that ends the stream."""
        reply = self._fold.reply()
        choice = reply.choices[0]
        state = replay_state(choice.turn, sent=self._sent_states)
        content: Content = self._empty_content()
        if self._as_blocks and not HAS_REFUSAL_BLOCK:
            content = [block for part in choice.turn.parts if isinstance(part, Refusal) for block in part_blocks(part)]
        metadata = response_metadata_of(reply, choice, self._info, self._model)
        message = AIMessageChunk(
            content=content,
            additional_kwargs={} if state is None else {REPLAY_KEY: state},
            tool_call_chunks=[],
            usage_metadata=None if reply.usage is None else to_usage(reply.usage),
            response_metadata={"model_provider": PROVIDER, **metadata},
            chunk_position="last",
        )
        # Set afterwards: the constructor would try to parse them.
        message.tool_call_chunks = self._closing_calls(choice.turn)
        return ChatGenerationChunk(
            message=message,
            generation_info=generation_info_of(reply, choice, message.usage_metadata, self._info, self._model),
        )

    def _closing_calls(self, turn: Turn) -> list[ToolCallChunk]:
        chunks: list[ToolCallChunk] = []
        for (part, streamed), call in zip(sorted(self._calls.items()), turn.tool_calls, strict=True):
            rest = '"}' if streamed is None else streamed.close(call)
            chunks += [_call_chunk(part, args=rest)] if rest else []
        return chunks


def _call_chunk(part: int, *, args: str, id_: str | None = None, name: str | None = None) -> ToolCallChunk:
    return {"type": "tool_call_chunk", "name": name, "args": args, "id": id_, "index": part}
