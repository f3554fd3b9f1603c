"""The kinds of answer a model call may have: chat, vectors, media, and bytes from a script.

Knows neither gateway nor faults: a call that was let in, and the reply it deserves.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Protocol

from cfaig_integrations.simulator.catalogue import is_embedding, is_workers_ai
from cfaig_integrations.simulator.dialects import DIALECTS, Dialect, embed
from cfaig_integrations.simulator.fake_model import measure, think
from cfaig_integrations.simulator.gateway.rules import USER_ERROR, check
from cfaig_integrations.simulator.http.bodies import Refused, encode, success
from cfaig_integrations.simulator.http.reply import Reply
from cfaig_integrations.simulator.inference.media import Medium, medium_for
from cfaig_integrations.simulator.inference.request_context import Visit
from cfaig_integrations.simulator.scripting.answers import Raw
from cfaig_integrations.simulator.scripting.faults.effects import Spoil
from cfaig_integrations.simulator.types import Answer, Asked, BadBody

EVENT_STREAM = "text/event-stream"


class Work(Protocol):
    """What is to be done for one call."""

    @property
    def stream(self) -> bool:
        """Whether events are wanted."""
        ...

    def reply(self) -> Reply:
        """Do it. Called once for every attempt that reaches the provider."""
        ...

    def spoil(self) -> Spoil:
        """What a fault may ask about the reply."""
        ...


@dataclass(slots=True)
class Chat:
    """An answer in words and tool calls."""

    visit: Visit
    dialect: Dialect
    asked: Asked
    answer: Answer = field(default_factory=Answer)

    @property
    def stream(self) -> bool:
        """Whether events are wanted."""
        return self.asked.stream

    def reply(self) -> Reply:
        """Let the script or the mind answer, and render it."""
        scripted = self.visit.world.script.next_answer()
        if scripted is not None and not scripted.tokens_out:
            measure(self.asked, scripted)
        self.answer = answer = scripted if scripted is not None else think(self.asked)
        recalled = self.visit.world.prompts.recall(self.asked)
        answer.tokens_cached = answer.tokens_cached or min(answer.tokens_in, recalled)
        self.visit.tokens_in, self.visit.tokens_out = answer.tokens_in, answer.tokens_out
        if not self.stream:
            return Reply(chunks=[self._whole()])
        chunks = list(self.dialect.stream(self.asked, answer))
        pace = self.visit.world.pace
        pauses = dict.fromkeys(range(len(chunks)), pace) if pace else {}
        return Reply(content_type=EVENT_STREAM, chunks=chunks, streamed=True, pauses=pauses)

    def spoil(self) -> Spoil:
        """The same answer whole, and the dialect's errors."""
        return Spoil(self._whole, self.dialect.error_event)

    def _whole(self) -> bytes:
        return encode(enveloped(self.visit, self.dialect.whole(self.asked, self.answer)))


@dataclass(slots=True)
class Fixed:
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

    def spoil(self) -> Spoil:
        """The bytes as they are."""
        return Spoil(lambda: self.made.body, self.error_event)


def enveloped(visit: Visit, body: dict[str, Any]) -> dict[str, Any]:
    """The body as its endpoint wraps it (wire-facts §5.1, §5.2); `gatewayMetadata` for third-party models."""
    if not is_workers_ai(visit.model) and visit.endpoint.name != "embeddings":
        body = {**body, "gatewayMetadata": {"keySource": visit.credentials.key_source}}
    return success(body) if visit.endpoint.name == "run" else body


def _events(body: bytes) -> Iterator[bytes]:
    while body:
        event, gap, body = body.partition(b"\n\n")
        yield event + gap


def played(visit: Visit, raw: Raw) -> Work:
    """Bytes from a script; a stream in one piece is cut between its events."""
    streamed = raw.content_type.startswith(EVENT_STREAM)
    chunks = list(raw.chunks)
    if streamed and len(chunks) == 1:
        chunks = list(_events(chunks[0]))
    made = Reply(raw.status, raw.content_type, chunks, dict(raw.headers), streamed or len(chunks) > 1)
    return Fixed(made, DIALECTS[visit.dialect].error_event, streamed)


def refusal_of(visit: Visit, wrong: BadBody) -> Refused:
    """How the gateway words a broken rule of a dialect (wire-facts §5.6 code 5006, §5.7 code 7003)."""
    if wrong.code != _USER_ERROR_CODE:
        return Refused(wrong.status, wrong.code, wrong.message)
    if is_workers_ai(visit.model):
        return Refused(wrong.status, 5006, f"AiError: Bad input: Error: {wrong.message} ({{request}})")
    return Refused(wrong.status, wrong.code, f"{USER_ERROR}{wrong.message}")


_USER_ERROR_CODE = 7003


def prepare(visit: Visit, body: dict[str, Any]) -> Work:
    """Check a body and make ready to answer it.

    Args:
        visit: The call, its model resolved.
        body: The model's input, without `model` and options.

    Raises:
        Refused: The table of rules or the dialect speaks against it.
    """
    name, model = visit.endpoint.name, visit.model
    full = {**body, "model": model}
    check(model, name, full, legacy=visit.endpoint.legacy)
    medium = medium_for(model) if name == "run" else None
    try:
        if medium is not None:
            return _media(visit, medium, full)
        if name == "embeddings" or is_embedding(model):
            return _vectors(visit, full)
        dialect = DIALECTS[name]
        return Chat(visit, dialect, dialect.read(full))
    except BadBody as wrong:
        raise refusal_of(visit, wrong) from wrong


def _vectors(visit: Visit, body: dict[str, Any]) -> Work:
    openai = visit.endpoint.name == "embeddings"
    if not openai and visit.endpoint.name != "run":
        raise Refused(400, 5007, f"No such model {visit.model} or task")
    inner = body if openai else {key: value for key, value in body.items() if key != "model"}
    made, visit.tokens_in = embed(visit.model, inner, openai=openai)
    return Fixed(Reply(chunks=[encode(enveloped(visit, made))]), DIALECTS[visit.dialect].error_event)


def _media(visit: Visit, medium: Medium, body: dict[str, Any]) -> Work:
    made = medium(body)
    if isinstance(made, Reply):
        return Fixed(made, DIALECTS["run"].error_event)
    body = success(made) if isinstance(made, list) else enveloped(visit, made)
    return Fixed(Reply(chunks=[encode(body)]), DIALECTS["run"].error_event)
