"""What a test of a user's program works with: scripted replies, and the requests that the program sent."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Unpack
from urllib.parse import unquote

from cfaig_integrations.simulator.catalogue import is_embedding
from cfaig_integrations.simulator.dialects import DIALECTS, find_media, is_decision_model
from cfaig_integrations.simulator.gateway.headers import logged_metadata
from cfaig_integrations.simulator.gateway.log_store import Scalar
from cfaig_integrations.simulator.gateway.target import read_chat_body
from cfaig_integrations.simulator.http.bodies import ApiError
from cfaig_integrations.simulator.http.recorder import Captured
from cfaig_integrations.simulator.inference.endpoint import read_provider_path
from cfaig_integrations.simulator.inference.handlers import is_poll
from cfaig_integrations.simulator.inference.request_context import Endpoint
from cfaig_integrations.simulator.json_types import is_record
from cfaig_integrations.simulator.scripting.script import ReplyFields, ScriptEntry, make_step
from cfaig_integrations.simulator.server import Simulator
from cfaig_integrations.simulator.types import Message

_API_PATH = re.compile(r"/accounts/[^/]+/ai/(?:v1/(chat/completions|responses|messages)|(run)(?:/(.+))?)$")
_LEGACY_PATH = re.compile(r"(?:/v1/[^/]+/[^/]+)?/([^/]+)/(.+)$")


@dataclass(frozen=True, slots=True)
class ChatRequest:
    """A chat request as the gateway received it, in terms that do not depend on its format."""

    model: str
    """The model id that was requested."""
    api: str
    """`chat_completions`, `responses`, `messages` or `run`."""
    messages: list[Message]
    """The conversation: `role`, `text`, `calls` (each with `name` and `arguments`), `results` (each with `text`)."""
    tools: list[str]
    """Names of the tools that the model may call."""
    schema: dict[str, Any] | None
    """JSON schema of the answer."""
    stream: bool
    metadata: Mapping[str, Scalar]
    """The entries of `cf-aig-metadata` that reach the gateway's log."""
    headers: Mapping[str, str] = field(repr=False)
    """Names in lower case."""
    body: Any = field(repr=False)
    """The parsed JSON."""

    @property
    def prompt(self) -> str:
        """Text of the last message of the user."""
        return next((message.text for message in reversed(self.messages) if message.role == "user"), "")

    @property
    def system(self) -> str:
        """Text of the system messages."""
        return "\n".join(message.text for message in self.messages if message.role == "system")


class ScriptedGateway:
    """The value of the fixture `ai_gateway`: a simulated gateway with a script.

    Attributes:
        simulator: The simulator itself: its log, faults, gateways and clock.
    """

    def __init__(self, simulator: Simulator) -> None:
        self.simulator = simulator
        self._script = simulator.script

    def reply(self, text: str = "", **fields: Unpack[ReplyFields]) -> None:
        """Queue the reply to the next chat request that has none.

        Args:
            text: Text of the answer.
            **fields: Any of these:
                tool_calls: Calls of the model, each a mapping with `name`, `arguments` and optionally `id`.
                structured: An object for a program that asks for structured output; it becomes JSON text or a tool
                    call, whichever the request asks for.
                reasoning, refusal, searches: The model's reasoning, its refusal, its web searches.
                tokens_in, tokens_out, tokens_cached, tokens_reasoning: Token counts; otherwise they are estimated.
                error: Name of an error, which is then the whole response, or a mapping with `name` and details such
                    as `message`, `status` and `retry_after`. `cfaig_integrations.simulator.FAULTS` lists the names.
                delay: Seconds until the first byte.
                pace: Seconds before every event of a stream.
                truncated: `length` for an answer that ends at the token limit, with the last tool call cut in the
                    middle of its arguments; `connection` for a connection that breaks in the middle of the response.
                times: For how many requests (default 1), None for all that follow.

        Raises:
            TypeError: A key does not exist.
            ValueError: A value is not valid.
        """
        __tracebackhide__ = True
        self.script([{"text": text, **fields}])

    def script(self, entries: Iterable[ScriptEntry]) -> None:
        """Queue a reply for each entry, a mapping with the arguments of `reply`; all are checked first."""
        __tracebackhide__ = True
        try:
            steps = [make_step(entry) for entry in entries]
        except (TypeError, ValueError) as error:
            raise type(error)(str(error)) from None  # so that pytest shows the line of the test
        for step, times in steps:
            self._script.add_reply(step, times)

    @property
    def strict(self) -> bool:
        """Whether a chat request without a scripted reply is refused, and fails the test.

        Otherwise the fake model answers it. Requests for embeddings, rankings, decisions, images and sound are always
        answered.
        """
        return self._script.strict

    @strict.setter
    def strict(self, value: bool) -> None:
        self._script.strict = value

    @property
    def unscripted(self) -> list[str]:
        """The chat requests that the strict mode has refused, each as model and prompt."""
        return list(self._script.unscripted)

    @property
    def remaining(self) -> int:
        """Number of script entries that are not used up."""
        return self._script.waiting[0]

    @property
    def requests(self) -> list[ChatRequest]:
        """The chat requests so far, oldest first, repeated attempts included.

        Those for embeddings, rankings, decisions, images and sound, and all others, are in `simulator.requests`.
        """
        read = (_read(captured) for captured in self.simulator.requests if captured.method == "POST")
        return [request for request in read if request is not None]

    def summary(self) -> str:
        """One line for every chat request, for the report of a failed test."""
        lines = [
            f"{number}. {request.model} ({request.api}{', stream' if request.stream else ''})"
            f"{' tools=' + ','.join(request.tools) if request.tools else ''}: {request.prompt[:200]!r}"
            for number, request in enumerate(self.requests, 1)
        ]
        return "\n".join(lines) or "no chat request was received"


def _read(captured: Captured) -> ChatRequest | None:
    """A captured request as a chat request; None for any other."""
    endpoint, body = _locate(unquote(captured.path)), captured.body
    if endpoint is None or endpoint.name not in DIALECTS or not is_record(body):
        return None
    if is_poll(body) or "queueRequest" in captured.query:
        return None
    named = {**body, "model": f"{endpoint.prefix}{body['model']}"} if "model" in body else body
    parsed = read_chat_body(endpoint.name, named, endpoint.model)
    if is_embedding(parsed.model) or is_decision_model(parsed.model) or find_media(parsed.model) is not None:
        return None
    return ChatRequest(
        model=parsed.model,
        api=endpoint.name,
        messages=parsed.messages,
        tools=[tool.name for tool in parsed.tools],
        schema=parsed.schema,
        stream=parsed.stream,
        metadata=logged_metadata(captured.headers.get("cf-aig-metadata")) or {},
        headers=captured.headers,
        body=body,
    )


def _locate(path: str) -> Endpoint | None:
    """The format and the model that a path stands for; None for a path that takes no model calls."""
    if match := _API_PATH.search(path):
        name = match[1] or match[2]
        return Endpoint("chat_completions" if name == "chat/completions" else name, model=match[3])
    if match := _LEGACY_PATH.match(path):
        try:
            return read_provider_path(match[1], match[2])
        except ApiError:
            return None
    return None
