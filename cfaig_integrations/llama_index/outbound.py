"""Replies to LlamaIndex's responses.

What a message cannot hold (the order of the parts, signatures, item ids) rides in its `additional_kwargs` as a
skeleton, and goes back to the provider with the history.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, cast

from llama_index.core.base.llms.types import (
    AudioBlock,
    ChatMessage,
    ChatResponse,
    CitationBlock,
    CompletionResponse,
    ContentBlock,
    DocumentBlock,
    ImageBlock,
    LogProb,
    MessageRole,
    TextBlock,
    ThinkingBlock,
    ToolCallBlock,
    VideoBlock,
)
from pydantic import ValidationError

from cfaig_integrations.core.chat import ChatReply, Usage
from cfaig_integrations.core.content import (
    Citation,
    Extras,
    Media,
    Opaque,
    Reasoning,
    Refusal,
    Text,
    ToolCall,
    Turn,
)
from cfaig_integrations.core.hints import reasoning_identity, text_logprobs
from cfaig_integrations.core.replay import replay_state
from cfaig_integrations.core.text import read_arguments
from cfaig_integrations.gateway.info import GatewayInfo

REPLAY_KEY = "cf_aig_turn"
"""Key of a message's `additional_kwargs` under which it keeps its skeleton."""
INFO = "cf_aig"
"""Key under which a response says what the gateway said."""


def to_response(reply: ChatReply, info: GatewayInfo, *, delta: str | None = None) -> ChatResponse:
    """A whole reply; `delta` is what a stream's last piece adds."""
    return ChatResponse(
        message=to_message(reply.turn),
        raw=to_raw(reply, info),
        delta=delta,
        logprobs=to_logprobs(reply),
        additional_kwargs=beside_response(reply, info),
    )


def to_completion(response: ChatResponse) -> CompletionResponse:
    """A chat's response as that of a completion."""
    return CompletionResponse(
        text=response.message.content or "",
        additional_kwargs={**response.message.additional_kwargs, **cast("dict[str, Any]", response.additional_kwargs)},  # pyright: ignore[reportUnknownMemberType]
        raw=response.raw,
        logprobs=response.logprobs,
        delta=response.delta,
    )


def to_message(turn: Turn) -> ChatMessage:
    """An assistant's turn as a message."""
    blocks = list(_blocks(turn))
    if not turn.tool_calls and not any(isinstance(block, TextBlock) for block in blocks):
        # The content of a message without a text block is None, and chat engines take str() of it.
        blocks.append(TextBlock(text=""))
    return ChatMessage(role=MessageRole.ASSISTANT, blocks=blocks, additional_kwargs=beside_message(turn))


def beside_message(turn: Turn) -> dict[str, Any]:
    """What stands in the message's `additional_kwargs`."""
    found: dict[str, Any] = {}
    if turn.tool_calls:
        found["tool_calls"] = [shown_call(call.id, call.name, call.arguments) for call in turn.tool_calls]
    refusal = "".join(part.text for part in turn.parts if isinstance(part, Refusal))
    if refusal:
        found["refusal"] = refusal
    state = replay_state(turn, shows_media=True)
    if state is not None:
        found[REPLAY_KEY] = state
    return found


def shown_call(id_: str, name: str, arguments: str) -> dict[str, Any]:
    """A call in OpenAI's form, where LlamaIndex's streaming programs still look for it."""
    return {"id": id_, "type": "function", "function": {"name": name, "arguments": arguments}}


def _blocks(turn: Turn) -> Iterator[ContentBlock]:
    """The parts of a turn: all text in one block, because a message puts line breaks between them."""
    text = turn.text
    citations: list[Citation] = []
    for part in turn.parts:
        match part:
            case Reasoning():
                yield thinking_block(part.text, part.extras)
            case Text():
                citations += part.citations
                if text:
                    yield TextBlock(text=text)
                    text = ""
            case Refusal():
                yield TextBlock(text=part.text)
            case ToolCall():
                yield call_block(part)
            case Media() | Opaque():
                yield from media_blocks(part)
            case _:
                pass
    for citation in citations:
        yield citation_block(citation)


def thinking_block(text: str, extras: Extras) -> ThinkingBlock:
    """A part of the reasoning; its signature, or its encrypted form, also where other packages look for it."""
    known = reasoning_identity(extras)._asdict()
    return ThinkingBlock(content=text, additional_information={key: value for key, value in known.items() if value})


def call_block(call: ToolCall) -> ToolCallBlock:
    """A call; its arguments as they arrived if they hold no JSON object."""
    return ToolCallBlock(tool_call_id=call.id, tool_name=call.name, tool_kwargs=arguments_of(call))


def arguments_of(call: ToolCall) -> dict[str, Any] | str:
    """The arguments of a call if they are whole, else their text."""
    if call.kind == "custom":
        return call.arguments
    try:
        return read_arguments(call.arguments)
    except ValueError:
        return call.arguments


def media_blocks(part: Media | Opaque) -> tuple[ContentBlock, ...]:
    """The image, recording, film or document that the model made, or that a tool drew on the provider's side.

    None if a block cannot hold it, such as a file's id in the provider's store, an address that is no URL, or data in
    the address that are not in base64: the whole of it is in the skeleton.
    """
    match part:
        case Media():
            made = part
        case Opaque(raw={"type": "image_generation_call", "result": str(data)}):  # official SDK: `ImageGenerationCall`
            made = Media("image", data=data)
        case _:
            return ()
    try:
        block = media_block(made) if made.data or made.url else None
    except ValidationError:
        return ()
    return () if block is None or str(getattr(block, "url", "")).startswith("data:") else (block,)


def media_block(media: Media) -> ContentBlock:
    """A block that holds a medium; its data in base64, for which blocks also take bytes that happen to be it.

    Raises:
        ValidationError: Its address is no URL.
    """
    data = media.data.encode(errors="replace") or None
    url, mime = cast("Any", media.url or None), media.mime or None
    match media.kind:
        case "image":
            return ImageBlock(image=data, url=url, image_mimetype=mime)
        case "audio":
            return AudioBlock(audio=data, url=url, format=media.mime.partition("/")[2] or None)
        case "video":
            return VideoBlock(video=data, url=url, video_mimetype=mime)
        case "file":
            return DocumentBlock(data=data, url=url, title=media.name or None, document_mimetype=mime)


def citation_block(citation: Citation) -> CitationBlock:
    """A source that the text cites."""
    places = {"start": citation.start, "end": citation.end}
    return CitationBlock(
        cited_content=TextBlock(text=citation.quoted),
        source=citation.url,
        title=citation.title,
        additional_location_info={key: value for key, value in places.items() if value is not None},
    )


def to_raw(reply: ChatReply, info: GatewayInfo) -> dict[str, Any]:
    """The reply's facts as plain JSON; `usage` where LlamaIndex's token counter looks for it."""
    choice = reply.choices[0]
    told = {"id": reply.id, "model": reply.model, "finish_reason": choice.finish_word or choice.finish}
    found: dict[str, Any] = dict(reply.facts)
    for values in choice.extras.values():
        found |= values
    found |= {key: value for key, value in told.items() if value}
    if reply.usage is not None:
        found["usage"] = {**reply.usage.raw, **_tokens(reply.usage)}
    found[INFO] = info.as_dict()
    return found


def _tokens(usage: Usage) -> dict[str, int]:
    return {"prompt_tokens": usage.input, "completion_tokens": usage.output, "total_tokens": usage.total}


def beside_response(reply: ChatReply, info: GatewayInfo) -> dict[str, Any]:
    """What stands in the response's `additional_kwargs`."""
    choice = reply.choices[0]
    found: dict[str, Any] = {} if reply.usage is None else dict(_tokens(reply.usage))
    return {**found, "finish_reason": choice.finish_word or choice.finish, INFO: info.as_dict()}


def to_logprobs(reply: ChatReply) -> list[list[LogProb]] | None:
    """The log probabilities of each token, the likeliest first, if they were asked for; of Responses, of each text."""
    choice = reply.choices[0]
    held = [values.get("logprobs") for values in choice.extras.values()]
    listed: list[object] = [
        cast("Mapping[str, Any]", each).get("content") for each in held if isinstance(each, Mapping)
    ]
    listed += [text_logprobs(part) for part in choice.turn.parts if isinstance(part, Text)]
    return [_alternatives(token) for tokens in listed for token in _objects(tokens)] or None


def _alternatives(token: Mapping[str, Any]) -> list[LogProb]:
    given = _objects(token.get("top_logprobs")) or [token]
    return [found for each in given if (found := _logprob(each)) is not None]


def _logprob(given: Mapping[str, Any]) -> LogProb | None:
    try:
        return LogProb(token=str(given.get("token") or ""), logprob=given["logprob"], bytes=given.get("bytes") or [])
    except (KeyError, ValidationError):
        return None


def _objects(given: object) -> list[Mapping[str, Any]]:
    """What of a list is objects: an answer is not lost for what some server says about its tokens."""
    listed = cast("list[object]", given) if isinstance(given, list) else []
    return [cast("Mapping[str, Any]", each) for each in listed if isinstance(each, Mapping)]
