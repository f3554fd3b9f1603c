"""Stream events to LlamaIndex's cumulative responses: each holds the whole message so far.

Finished parts keep their block from response to response; only the part that grows gets a new one. Usage, replay state
and parsed arguments are on the last response.

Responses in between are built without pydantic's validation, which would cost more than the rest of a response. A test
compares them with constructed ones.
"""

from __future__ import annotations

from typing import Any, cast

from llama_index.core.base.llms.types import (
    ChatMessage,
    ChatResponse,
    ContentBlock,
    MessageRole,
    TextBlock,
    ThinkingBlock,
    ToolCallBlock,
)

from cfaig_integrations.adapters.templates import Template
from cfaig_integrations.core.content import Media, Opaque, Wire
from cfaig_integrations.core.events import (
    ArgumentsDelta,
    Event,
    PartAdded,
    PartStarted,
    ReasoningDelta,
    RefusalDelta,
    TextDelta,
)
from cfaig_integrations.core.fold import Fold
from cfaig_integrations.gateway.info import GatewayInfo
from cfaig_integrations.llama_index.outbound import INFO_KEY, media_blocks, openai_call, to_response

_TEXT = Template(TextBlock(text=""))
_THINKING = Template(ThinkingBlock(content=""))
_CALL = Template(ToolCallBlock(tool_call_id="", tool_name="", tool_kwargs=""))
_MESSAGE = Template(ChatMessage(role=MessageRole.ASSISTANT, blocks=[], additional_kwargs={}))
_RESPONSE = Template(ChatResponse(message=ChatMessage(), raw={}, delta="", additional_kwargs={}))


class ResponseMaker:
    """Turns the events of one stream into responses.

    Args:
        info: What the gateway reported in the response's headers.
    """

    def __init__(self, info: GatewayInfo) -> None:
        self._info = info
        self._fold = Fold(cast("Wire", info.wire))  # only chats stream
        self._raw: dict[str, Any] = {INFO_KEY: info.as_dict()}
        self._blocks: list[ContentBlock] = []
        self._block_of: dict[int, int] = {}
        """Part -> index of its block."""
        self._text: tuple[int, str] | None = None
        """Index of the one text block, and its text."""
        self._calls: list[dict[str, Any]] = []
        self._call_of: dict[int, int] = {}
        """Part -> index in `_calls`."""

    def make(self, event: Event) -> ChatResponse | None:
        """The response after an event, if the event changes the message."""
        self._fold.add(event)
        if type(event) is TextDelta:
            return self._text_delta(event.text)
        if type(event) is ArgumentsDelta:
            return self._arguments_delta(event.part, event.text)
        if isinstance(event, ReasoningDelta):
            return self._reasoning_delta(event.part, event.text)
        if isinstance(event, PartStarted):
            return self._part_started(event)
        if isinstance(event, RefusalDelta):
            return self._refusal_delta(event.part, event.text)
        if isinstance(event, PartAdded):
            return self._part_added(event.value)
        return None

    def last(self) -> ChatResponse:
        """The response that ends the stream."""
        return to_response(self._fold.reply(), self._info, delta="")

    def _text_delta(self, text: str) -> ChatResponse:
        if self._text is None:
            self._text = (len(self._blocks), text)
            return self._response(self._add_text(text))
        index, before = self._text
        self._text = (index, before + text)
        self._blocks[index] = _TEXT.make(text=self._text[1])
        return self._response(text)

    def _add_text(self, text: str) -> str:
        """Adds a text block; returns what the message's content grows by, which separates blocks by a line break."""
        is_second = any(isinstance(block, TextBlock) for block in self._blocks)
        self._blocks.append(_TEXT.make(text=text))
        return "\n" + text if is_second else text

    def _arguments_delta(self, part: int, text: str) -> ChatResponse:
        index = self._block_of[part]
        call = cast("ToolCallBlock", self._blocks[index])
        id_, name, arguments = call.tool_call_id, call.tool_name, cast("str", call.tool_kwargs) + text
        self._blocks[index] = _CALL.make(tool_call_id=id_, tool_name=name, tool_kwargs=arguments)
        self._calls[self._call_of[part]] = openai_call(id_ or "", name, arguments)
        return self._response("")

    def _reasoning_delta(self, part: int, text: str) -> ChatResponse:
        index = self._block_of.get(part)
        if index is None:
            self._block_of[part] = len(self._blocks)
            self._blocks.append(_THINKING.make(content=text, additional_information={}))
        else:
            before = cast("ThinkingBlock", self._blocks[index]).content or ""
            self._blocks[index] = _THINKING.make(content=before + text, additional_information={})
        return self._response("", {"thinking_delta": text})

    def _part_started(self, event: PartStarted) -> ChatResponse | None:
        if event.kind not in {"tool_call", "custom_tool_call"}:
            return None
        self._block_of[event.part] = len(self._blocks)
        self._blocks.append(_CALL.make(tool_call_id=event.id, tool_name=event.name, tool_kwargs=""))
        self._call_of[event.part] = len(self._calls)
        self._calls.append(openai_call(event.id, event.name, ""))
        return self._response("")

    def _refusal_delta(self, part: int, text: str) -> ChatResponse:
        index = self._block_of.get(part)
        if index is None:
            self._block_of[part] = len(self._blocks)
            return self._response(self._add_text(text))
        self._blocks[index] = _TEXT.make(text=cast("TextBlock", self._blocks[index]).text + text)
        return self._response(text)

    def _part_added(self, value: Media | Opaque) -> ChatResponse | None:
        blocks = media_blocks(value)
        self._blocks += blocks
        return self._response("") if blocks else None

    def _response(self, delta: str, kwargs: dict[str, Any] | None = None) -> ChatResponse:
        calls = {"tool_calls": self._calls.copy()} if self._calls else {}
        message = _MESSAGE.make(blocks=self._blocks.copy(), additional_kwargs=calls)
        return _RESPONSE.make(message=message, raw=self._raw.copy(), delta=delta, additional_kwargs=kwargs or {})
