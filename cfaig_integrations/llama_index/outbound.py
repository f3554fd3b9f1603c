"""Replies to LlamaIndex's responses.

What a message cannot hold (the order of the parts, signatures, item ids) is stored in its `additional_kwargs` as replay
state, and goes back to the provider with the history.
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
from cfaig_integrations.core.content import Citation, Media, Opaque, Reasoning, Refusal, Text, ToolCall, Turn
from cfaig_integrations.core.hints import reasoning_identity, text_logprobs
from cfaig_integrations.core.replay import replay_state
from cfaig_integrations.core.text import read_arguments
from cfaig_integrations.gateway.info import GatewayInfo

REPLAY_KEY = "cf_aig_turn"
"""Key of a message's `additional_kwargs` that holds its replay state."""
INFO_KEY = "cf_aig"
"""Key of a response's `additional_kwargs` and `raw` that holds what the gateway reports."""


def to_response(reply: ChatReply, info: GatewayInfo, *, delta: str | None = None) -> ChatResponse:
    """A whole reply; `delta` is what the last response of a stream adds."""
    choice = reply.choices[0]
    kwargs = {
        "finish_reason": choice.provider_finish or choice.finish,
        "normalized_finish_reason": choice.normalized_finish,
        "finish_state": choice.finish_state,
        INFO_KEY: info.as_dict(),
    }
    return ChatResponse(
        message=to_message(choice.turn),
        raw=to_raw(reply, info),
        delta=delta,
        logprobs=to_logprobs(reply),
        additional_kwargs=kwargs if reply.usage is None else _token_counts(reply.usage) | kwargs,
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
    if turn.is_plain_text:
        return ChatMessage(role=MessageRole.ASSISTANT, blocks=[TextBlock(text=turn.text)])
    blocks = list(_blocks(turn))
    if not turn.tool_calls and not any(isinstance(block, TextBlock) for block in blocks):
        # The content of a message without a text block is None, and chat engines take str() of it.
        blocks.append(TextBlock(text=""))
    kwargs: dict[str, Any] = {}
    if turn.tool_calls:
        kwargs["tool_calls"] = [openai_call(call.id, call.name, call.arguments) for call in turn.tool_calls]
    refusal = "".join(part.text for part in turn.parts if isinstance(part, Refusal))
    if refusal:
        kwargs["refusal"] = refusal
    state = replay_state(turn, shows_media=True)
    if state is not None:
        kwargs[REPLAY_KEY] = state
    return ChatMessage(role=MessageRole.ASSISTANT, blocks=blocks, additional_kwargs=kwargs)


def openai_call(id_: str, name: str, arguments: str) -> dict[str, Any]:
    """A tool call in OpenAI's form, which LlamaIndex's streaming programs look for in `additional_kwargs`."""
    return {"id": id_, "type": "function", "function": {"name": name, "arguments": arguments}}


def _blocks(turn: Turn) -> Iterator[ContentBlock]:
    """The parts of a turn: all text in one block, because a message puts line breaks between them."""
    text = turn.text
    citations: list[Citation] = []
    for part in turn.parts:
        match part:
            case Reasoning():
                yield _thinking_block(part)
            case Text():
                citations += part.citations
                if text:
                    yield TextBlock(text=text)
                    text = ""
            case Refusal():
                yield TextBlock(text=part.text)
            case ToolCall():
                yield ToolCallBlock(tool_call_id=part.id, tool_name=part.name, tool_kwargs=_arguments(part))
            case Media() | Opaque():
                yield from media_blocks(part)
            case _:
                pass
    for citation in citations:
        location = {"start": citation.start, "end": citation.end}
        yield CitationBlock(
            cited_content=TextBlock(text=citation.quoted),
            source=citation.url,
            title=citation.title,
            additional_location_info={key: value for key, value in location.items() if value is not None},
        )


def _thinking_block(part: Reasoning) -> ThinkingBlock:
    """Reasoning; its signature or encrypted form also where LlamaIndex's other packages look for it."""
    identity = reasoning_identity(part.extras)._asdict()
    info = {key: value for key, value in identity.items() if value}
    return ThinkingBlock(content=part.text, additional_information=info)


def _arguments(call: ToolCall) -> dict[str, Any] | str:
    """The parsed arguments of a call, or their text if it is not a JSON object."""
    if call.kind == "custom":
        return call.arguments
    try:
        return read_arguments(call.arguments)
    except ValueError:
        return call.arguments


def media_blocks(part: Media | Opaque) -> tuple[ContentBlock, ...]:
    """The block of an image, audio, video or document that the model made, or that a provider's own tool made.

    Empty if no block can hold it, such as a file's id in the provider's store, an address that is not a URL, or a data
    URL that is not in base64: the replay state has it all.
    """
    match part:
        case Media():
            content = part
        case Opaque(raw={"type": "image_generation_call", "result": str(data)}):  # official SDK: `ImageGenerationCall`
            content = Media("image", data=data)
        case _:
            return ()
    try:
        block = media_block(content) if content.data or content.url else None
    except ValidationError:
        return ()
    return () if block is None or str(getattr(block, "url", "")).startswith("data:") else (block,)


def media_block(media: Media) -> ContentBlock:
    """A block that holds media; its data in base64, because blocks leave bytes that are base64 unchanged.

    Raises:
        ValidationError: Its address is not a URL.
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


def to_raw(reply: ChatReply, info: GatewayInfo) -> dict[str, Any]:
    """The reply's data as plain JSON; finish reason and usage as in OpenAI's Chat Completions, which tracers read."""
    choice = reply.choices[0]
    raw: dict[str, Any] = dict(reply.facts)
    for values in choice.extras.values():
        raw |= values
    names = {"id": reply.id, "model": reply.model, "finish_reason": choice.normalized_finish}
    raw |= {key: value for key, value in names.items() if value}
    if reply.usage is not None:
        raw["usage"] = {**_token_details(reply.usage), **reply.usage.raw, **_token_counts(reply.usage)}
    raw[INFO_KEY] = info.as_dict()
    return raw


def _token_counts(usage: Usage) -> dict[str, Any]:
    return {"prompt_tokens": usage.input, "completion_tokens": usage.output, "total_tokens": usage.total}


def _token_details(usage: Usage) -> dict[str, Any]:
    """Which tokens came from a cache, and which were reasoning, in OpenAI's form."""
    details = {
        "prompt_tokens_details": {"cached_tokens": usage.cache_read},
        "completion_tokens_details": {"reasoning_tokens": usage.reasoning},
    }
    return {key: counts for key, counts in details.items() if None not in counts.values()}


def to_logprobs(reply: ChatReply) -> list[list[LogProb]] | None:
    """The log probabilities of each token, the likeliest first, if the request asked for them."""
    choice = reply.choices[0]
    logprobs = [values.get("logprobs") for values in choice.extras.values()]
    lists: list[object] = [
        cast("Mapping[str, Any]", each).get("content") for each in logprobs if isinstance(each, Mapping)
    ]
    lists += [text_logprobs(part) for part in choice.turn.parts if isinstance(part, Text)]
    return [_alternatives(token) for tokens in lists for token in _mappings(tokens)] or None


def _alternatives(token: Mapping[str, Any]) -> list[LogProb]:
    candidates = _mappings(token.get("top_logprobs")) or [token]
    return [logprob for candidate in candidates if (logprob := _logprob(candidate)) is not None]


def _logprob(token: Mapping[str, Any]) -> LogProb | None:
    try:
        return LogProb(token=str(token.get("token") or ""), logprob=token["logprob"], bytes=token.get("bytes") or [])
    except (KeyError, ValidationError):
        return None


def _mappings(value: object) -> list[Mapping[str, Any]]:
    """The objects in a list; a server's malformed log probabilities are ignored."""
    items = cast("list[object]", value) if isinstance(value, list) else []
    return [cast("Mapping[str, Any]", item) for item in items if isinstance(item, Mapping)]
