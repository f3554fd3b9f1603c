"""Stream events to LlamaIndex's cumulative responses: each holds the whole message so far.

Finished parts keep their block from response to response; only the part that grows gets a new one. Usage, the skeleton
and parsed arguments stand on the last response.

Responses in between are built without pydantic's validation, which would cost more than all the rest of a piece. A test
holds them equal to constructed ones.
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
from pydantic import BaseModel

from cfaig_integrations.core.chat import FinishReason
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
from cfaig_integrations.llama_index.outbound import INFO, media_blocks, shown_call, to_response

_set = object.__setattr__


class _Mould:
    """Makes objects as their constructor would from the same fields, without the validation.

    Args:
        sample: One that was constructed.
    """

    def __init__(self, sample: BaseModel) -> None:
        self._kind = type(sample)
        self._fields = dict(sample.__dict__)
        self._given = frozenset(sample.model_fields_set)

    def make(self, **values: Any) -> Any:
        made = self._kind.__new__(self._kind)
        _set(made, "__dict__", self._fields | values)
        _set(made, "__pydantic_fields_set__", set(self._given))
        _set(made, "__pydantic_extra__", None)
        _set(made, "__pydantic_private__", None)
        return made


_TEXT = _Mould(TextBlock(text=""))
_THINKING = _Mould(ThinkingBlock(content=""))
_CALL = _Mould(ToolCallBlock(tool_call_id="", tool_name="", tool_kwargs=""))
_MESSAGE = _Mould(ChatMessage(role=MessageRole.ASSISTANT, blocks=[], additional_kwargs={}))
_RESPONSE = _Mould(ChatResponse(message=ChatMessage(), raw={}, delta="", additional_kwargs={}))


class Cumulation:
    """Turns the events of one stream into responses.

    Args:
        info: What the gateway said in the response's headers.

    Attributes:
        finish: Why the answer ended, once `last` has been called.
    """

    def __init__(self, info: GatewayInfo) -> None:
        self.finish: FinishReason = "unknown"
        self._info = info
        self._fold = Fold(cast("Wire", info.wire))  # only chats stream
        self._raw: dict[str, Any] = {INFO: info.as_dict()}
        self._blocks: list[ContentBlock] = []
        self._shown: dict[int, int] = {}
        """Part -> place of its block."""
        self._text: tuple[int, str] | None = None
        """Place of the one text block, and its text."""
        self._calls: list[dict[str, Any]] = []
        self._call_places: dict[int, int] = {}

    def add(self, event: Event) -> ChatResponse | None:
        """The response that an event makes, if it changes the message."""
        self._fold.add(event)
        if isinstance(event, TextDelta):
            return self._said(event.text)
        if isinstance(event, ArgumentsDelta):
            return self._argued(event.part, event.text)
        if isinstance(event, ReasoningDelta):
            return self._thought(event.part, event.text)
        if isinstance(event, PartStarted):
            return self._started(event)
        if isinstance(event, RefusalDelta):
            return self._refused(event.part, event.text)
        if isinstance(event, PartAdded):
            return self._came_whole(event.value)
        return None

    def last(self) -> ChatResponse:
        """The response that ends the stream."""
        reply = self._fold.reply()
        self.finish = reply.finish
        return to_response(reply, self._info, delta="")

    def _came_whole(self, value: Media | Opaque) -> ChatResponse | None:
        shown = media_blocks(value)
        self._blocks += shown
        return self._response("") if shown else None

    def _said(self, text: str) -> ChatResponse:
        if self._text is None:
            self._text = (len(self._blocks), text)
            return self._response(self._new_text(text))
        place, before = self._text
        self._text = (place, before + text)
        self._blocks[place] = _TEXT.make(text=self._text[1])
        return self._response(text)

    def _new_text(self, text: str) -> str:
        """Adds a text block; what the message's content grows by, which puts a line break between two of them."""
        second = any(isinstance(block, TextBlock) for block in self._blocks)
        self._blocks.append(_TEXT.make(text=text))
        return "\n" + text if second else text

    def _thought(self, part: int, text: str) -> ChatResponse:
        place = self._shown.get(part)
        if place is None:
            self._shown[part] = len(self._blocks)
            self._blocks.append(_THINKING.make(content=text, additional_information={}))
        else:
            before = cast("ThinkingBlock", self._blocks[place]).content or ""
            self._blocks[place] = _THINKING.make(content=before + text, additional_information={})
        return self._response("", {"thinking_delta": text})

    def _refused(self, part: int, text: str) -> ChatResponse:
        place = self._shown.get(part)
        if place is None:
            self._shown[part] = len(self._blocks)
            return self._response(self._new_text(text))
        self._blocks[place] = _TEXT.make(text=cast("TextBlock", self._blocks[place]).text + text)
        return self._response(text)

    def _started(self, event: PartStarted) -> ChatResponse | None:
        if event.kind not in {"tool_call", "custom_tool_call"}:
            return None
        self._shown[event.part] = len(self._blocks)
        self._blocks.append(_CALL.make(tool_call_id=event.id, tool_name=event.name, tool_kwargs=""))
        self._call_places[event.part] = len(self._calls)
        self._calls.append(shown_call(event.id, event.name, ""))
        return self._response("")

    def _argued(self, part: int, text: str) -> ChatResponse:
        place = self._shown[part]
        before = cast("ToolCallBlock", self._blocks[place])
        arguments = cast("str", before.tool_kwargs) + text
        self._blocks[place] = _CALL.make(
            tool_call_id=before.tool_call_id, tool_name=before.tool_name, tool_kwargs=arguments
        )
        self._calls[self._call_places[part]] = shown_call(before.tool_call_id or "", before.tool_name, arguments)
        return self._response("")

    def _response(self, delta: str, beside: dict[str, Any] | None = None) -> ChatResponse:
        calls = {"tool_calls": self._calls.copy()} if self._calls else {}
        message = _MESSAGE.make(blocks=self._blocks.copy(), additional_kwargs=calls)
        made = _RESPONSE.make(message=message, raw=self._raw.copy(), delta=delta, additional_kwargs=beside or {})
        return cast("ChatResponse", made)
