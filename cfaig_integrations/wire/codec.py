"""What a wire format is to the rest of the package, and what it may be told about a model.

Knows no particular wire.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from cfaig_integrations.core.chat import ChatReply, ChatRequest
from cfaig_integrations.core.content import Json, Wire
from cfaig_integrations.core.events import Event


class Refused(Exception):
    """A body or an event that says "error" where the HTTP status said 2xx (wire-facts §5.1, §5.3).

    Never leaves the package: the gateway, which knows the error shapes and codes, turns it into an `ApiError`.

    Attributes:
        body: The error as it came.
    """

    def __init__(self, body: Json) -> None:
        super().__init__("the answer says error")
        self.body = body


@dataclass(frozen=True, slots=True)
class Quirks:
    """What the route table knows about a model that its wire must respect.

    Attributes:
        max_tokens_word: Body field for the most tokens on chat completions.
        default_max_tokens: Sent on messages, where it is required, if the user gave none.
        data_urls_only: Remote image URLs are not fetched (wire-facts §9.2).
        required_as_named: `tool_choice: required` is refused; with exactly one tool it is sent as that tool's name.
        no_tool_choice: `tool_choice` is refused altogether; anything but auto raises.
        schema_form: How an output schema is written in `response_format` on chat completions and run.
        strict_schema: Whether `strict` may stand in that envelope.
        reasoning_field: Message field under which reasoning goes back on chat completions; None: the one it came in.
        openai_history: An assistant's message on chat completions holds OpenAI's own fields and `reasoning_field`, and
            nothing that another provider added to the format: those are refused.
        mistral_turns: Tool-call ids have nine alphanumerics, and no user turn directly follows a tool turn.
        thinking_switch: How `thinking={"type": "disabled"}` is said on chat completions.
        run_body: The body that `/ai/run` takes for the model.
    """

    max_tokens_word: Literal["max_tokens", "max_completion_tokens"] = "max_tokens"
    default_max_tokens: int = 8192
    data_urls_only: bool = False
    required_as_named: bool = False
    no_tool_choice: bool = False
    schema_form: Literal["envelope", "bare", "guided_json"] = "envelope"
    strict_schema: bool = True
    reasoning_field: str | None = None
    openai_history: bool = False
    mistral_turns: bool = False
    thinking_switch: Literal["chat_template_kwargs", "none"] = "none"
    run_body: Literal["chat_completions", "messages", "responses", "native"] = "chat_completions"


PLAIN = Quirks()


class StreamDecoder(Protocol):
    """Push decoder of one stream."""

    @property
    def ended(self) -> bool:
        """Whether the end marker came: nothing that may follow belongs to the answer, so reading stops here."""
        ...

    @property
    def keep_alives(self) -> int:
        """How many of the events so far only kept the connection alive (`wire.common.is_keep_alive`)."""
        ...

    def feed(self, name: str, data: bytes) -> Sequence[Event]:
        """The events of one server-sent event.

        Raises:
            ProtocolError: The data is not what the wire format allows.
            Refused: The event is an error.
        """
        ...

    def close(self) -> Sequence[Event]:
        """The last events, once the bytes have ended.

        Raises:
            StreamBroken: The wire's end marker never came.
        """
        ...


class ChatCodec(Protocol):
    """One wire format."""

    @property
    def wire(self) -> Wire:
        """Its name."""
        ...

    @property
    def headers(self) -> Mapping[str, str]:
        """Request headers that belong to the format itself, such as an API version."""
        ...

    def encode(self, request: ChatRequest, *, stream: bool, quirks: Quirks = PLAIN) -> dict[str, Any]:
        """The request body. On run it is the model's input, without the envelope.

        Raises:
            UnsupportedContent: The wire cannot carry a part.
            ConfigError: A value cannot be right on this wire.
        """
        ...

    def decode(self, body: bytes) -> ChatReply:
        """The reply of a whole 2xx body.

        Raises:
            ProtocolError: The body is not what the wire format allows.
            Refused: The body is an error.
        """
        ...

    def decoder(self) -> StreamDecoder:
        """A decoder for one stream."""
        ...
