"""The kinds of answer a model call may have: chat, vectors, media, and bytes from a script.

Knows neither gateway nor faults: a call that was let in, and the reply it deserves.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Protocol

from cfaig_integrations.simulator.catalogue import is_embedding, is_workers_ai
from cfaig_integrations.simulator.dialects import DIALECTS, Dialect, embed
from cfaig_integrations.simulator.fake_model import generate_answer, measure
from cfaig_integrations.simulator.gateway.rules import USER_ERROR, check
from cfaig_integrations.simulator.http.bodies import ApiError, encode, success
from cfaig_integrations.simulator.http.reply import Reply
from cfaig_integrations.simulator.inference.media import Medium, medium_for
from cfaig_integrations.simulator.inference.request_context import RequestContext
from cfaig_integrations.simulator.scripting.answers import RawAnswer
from cfaig_integrations.simulator.scripting.faults.effects import EffectContext
from cfaig_integrations.simulator.types import Answer, InvalidBody, ModelRequest

EVENT_STREAM = "text/event-stream"


class Handler(Protocol):
    """What is to be done for one call."""

    @property
    def stream(self) -> bool:
        """Whether events are wanted."""
        ...

    def reply(self) -> Reply:
        """Do it. Called once for every attempt that reaches the provider."""
        ...

    def effect_context(self) -> EffectContext:
        """What a fault may ask about the reply."""
        ...


@dataclass(slots=True)
class ChatHandler:
    """An answer in words and tool calls."""

    context: RequestContext
    dialect: Dialect
    request: ModelRequest
    answer: Answer = field(default_factory=Answer)

    @property
    def stream(self) -> bool:
        """Whether events are wanted."""
        return self.request.stream

    def reply(self) -> Reply:
        """Let the script or the mind answer, and render it."""
        scripted = self.context.state.script.next_answer()
        if scripted is not None and not scripted.tokens_out:
            measure(self.request, scripted)
        self.answer = answer = scripted if scripted is not None else generate_answer(self.request)
        recalled = self.context.state.prompts.recall(self.request)
        answer.tokens_cached = answer.tokens_cached or min(answer.tokens_in, recalled)
        self.context.tokens_in, self.context.tokens_out = answer.tokens_in, answer.tokens_out
        if not self.stream:
            return Reply(chunks=[self._whole()])
        chunks = list(self.dialect.stream(self.request, answer))
        pace = self.context.state.pace
        pauses = dict.fromkeys(range(len(chunks)), pace) if pace else {}
        return Reply(content_type=EVENT_STREAM, chunks=chunks, streamed=True, pauses=pauses)

    def effect_context(self) -> EffectContext:
        """The same answer whole, and the dialect's errors."""
        return EffectContext(self._whole, self.dialect.error_event)

    def _whole(self) -> bytes:
        return encode(enveloped(self.context, self.dialect.whole(self.request, self.answer)))


@dataclass(slots=True)
class FixedHandler:
    """A reply that is already known."""

    made: Reply
    error_event: Callable[[str], bytes]
    stream: bool = False

    def reply(self) -> Reply:
        """A copy of it."""
        return Reply(
            self.made.status,
            self.made.content_type,
            list(self.made.chunks),
            dict(self.made.headers),
            self.made.streamed,
        )

    def effect_context(self) -> EffectContext:
        """The bytes as they are."""
        return EffectContext(lambda: self.made.body, self.error_event)


def enveloped(context: RequestContext, body: dict[str, Any]) -> dict[str, Any]:
    """The body as its endpoint wraps it (wire-facts §5.1, §5.2); `gatewayMetadata` for third-party models."""
    if not is_workers_ai(context.model) and context.endpoint.name != "embeddings":
        body = {**body, "gatewayMetadata": {"keySource": context.credentials.key_source}}
    return success(body) if context.endpoint.name == "run" else body


def _events(body: bytes) -> Iterator[bytes]:
    while body:
        event, gap, body = body.partition(b"\n\n")
        yield event + gap


def scripted_handler(context: RequestContext, raw: RawAnswer) -> Handler:
    """Bytes from a script; a stream in one piece is cut between its events."""
    streamed = raw.content_type.startswith(EVENT_STREAM)
    chunks = list(raw.chunks)
    if streamed and len(chunks) == 1:
        chunks = list(_events(chunks[0]))
    made = Reply(raw.status, raw.content_type, chunks, dict(raw.headers), streamed or len(chunks) > 1)
    return FixedHandler(made, DIALECTS[context.dialect].error_event, streamed)


def to_api_error(context: RequestContext, wrong: InvalidBody) -> ApiError:
    """How the gateway words a broken rule of a dialect (wire-facts §5.6 code 5006, §5.7 code 7003)."""
    if wrong.code != _USER_ERROR_CODE:
        return ApiError(wrong.status, wrong.code, wrong.message)
    if is_workers_ai(context.model):
        return ApiError(wrong.status, 5006, f"AiError: Bad input: Error: {wrong.message} ({{request}})")
    return ApiError(wrong.status, wrong.code, f"{USER_ERROR}{wrong.message}")


_USER_ERROR_CODE = 7003


def prepare(context: RequestContext, body: dict[str, Any]) -> Handler:
    """Check a body and make ready to answer it.

    Args:
        context: The request, its model resolved.
        body: The model's input, without `model` and options.

    Raises:
        ApiError: The table of rules or the dialect speaks against it.
    """
    name, model = context.endpoint.name, context.model
    full = {**body, "model": model}
    check(model, name, full, legacy=context.endpoint.legacy)
    medium = medium_for(model) if name == "run" else None
    try:
        if medium is not None:
            return _media(context, medium, full)
        if name == "embeddings" or is_embedding(model):
            return _vectors(context, full)
        dialect = DIALECTS[name]
        return ChatHandler(context, dialect, dialect.read(full))
    except InvalidBody as wrong:
        raise to_api_error(context, wrong) from wrong


def _vectors(context: RequestContext, body: dict[str, Any]) -> Handler:
    openai = context.endpoint.name == "embeddings"
    if not openai and context.endpoint.name != "run":
        raise ApiError(400, 5007, f"No such model {context.model} or task")
    inner = body if openai else {key: value for key, value in body.items() if key != "model"}
    made, context.tokens_in = embed(context.model, inner, openai=openai)
    return FixedHandler(Reply(chunks=[encode(enveloped(context, made))]), DIALECTS[context.dialect].error_event)


def _media(context: RequestContext, medium: Medium, body: dict[str, Any]) -> Handler:
    made = medium(body)
    if isinstance(made, Reply):
        return FixedHandler(made, DIALECTS["run"].error_event)
    body = success(made) if isinstance(made, list) else enveloped(context, made)
    return FixedHandler(Reply(chunks=[encode(body)]), DIALECTS["run"].error_event)
