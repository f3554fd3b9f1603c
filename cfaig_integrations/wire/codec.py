"""What a wire format is to the rest of the package, and what it may be told about a model."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

from cfaig_integrations.core.chat import ChatReply, ChatRequest
from cfaig_integrations.core.content import Json, JsonDict, Wire
from cfaig_integrations.core.events import Event
from cfaig_integrations.errors import ConfigError


class EmbeddedError(Exception):
    """A body or an event that says "error" where the HTTP status said 2xx (facts §5.1, §5.3).

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
        data_urls_only: Remote image URLs are not fetched (facts §9.2).
        refused: Fields of a `ChatRequest` that the model's closed schema has no place for; a value for one raises. Stop
            texts among them are looked for here instead.
        efforts: Words that the model takes as reasoning effort, any other raises; empty: any word is sent.
        required_as_named: `tool_choice: required` is refused; with exactly one tool it is sent as that tool's name.
        single_as_named: `tool_choice: required` is only advice; with exactly one tool it is sent as that tool's name,
            which forces (facts §14.4).
        no_forced_tool: `tool_choice` is auto or none; anything else raises.
        forced_as_text: A forced call may arrive as JSON text (facts §14.4).
        parallel_choice: Whether `parallel_tool_calls` has a place; if not, it is left out (facts §14.3).
        bare_tools: A tool's function holds name, description and parameters, and nothing else.
        schema_form: How an output schema is written in `response_format` on chat completions and run.
        strict_schema: Whether `strict` may stand in that envelope.
        schema_description: Whether `description` may stand in it.
        schema_type_only: The schema in it holds `type` and `properties`, and nothing else at its top.
        json_object: Whether JSON can be asked for without a schema; if not, that raises.
        reasoning_field: Message field under which reasoning goes back on chat completions; None: the one it came in.
        openai_history: An assistant's message on chat completions holds OpenAI's own fields and `reasoning_field`, and
            nothing that another provider added to the format: those are refused.
        closed_history: Messages on chat completions hold nothing but role, content, an assistant's `tool_calls` and
            `name`, a system message's `name`, and a tool's `tool_call_id`.
        call_id_limit: Most characters of a tool call's id on chat completions (facts §14.3).
        mistral_turns: Tool-call ids have nine alphanumerics, and no user turn directly follows a tool turn.
        one_system: System messages that stand side by side are merged, for some templates refuse a second one
            (facts §14.3).
        thinking_switch: How `thinking={"type": "disabled"}` is said on chat completions: as `enable_thinking` or as
            `thinking` in `chat_template_kwargs`.
        adaptive_thinking: On messages, `thinking={"type": "enabled"}` is refused: the model chooses its own budget, and
            `reasoning_effort` guides it (facts §14.3).
        run_body: The body that `/ai/run` takes for the model.
    """

    max_tokens_word: Literal["max_tokens", "max_completion_tokens"] = "max_tokens"
    default_max_tokens: int = 8192
    data_urls_only: bool = False
    refused: frozenset[str] = frozenset()
    efforts: tuple[str, ...] = ()
    required_as_named: bool = False
    single_as_named: bool = False
    no_forced_tool: bool = False
    forced_as_text: bool = False
    parallel_choice: bool = True
    bare_tools: bool = False
    schema_form: Literal["envelope", "bare", "guided_json"] = "envelope"
    strict_schema: bool = True
    schema_description: bool = True
    schema_type_only: bool = False
    json_object: bool = True
    reasoning_field: str | None = None
    openai_history: bool = False
    closed_history: bool = False
    call_id_limit: int = 64
    mistral_turns: bool = False
    one_system: bool = False
    thinking_switch: Literal["enable_thinking", "thinking", "none"] = "none"
    adaptive_thinking: bool = False
    run_body: Literal["chat_completions", "messages", "responses", "native"] = "chat_completions"


PLAIN = Quirks()


@dataclass(frozen=True, slots=True)
class Features:
    """What a format offers besides the conversation.

    Attributes:
        stop_texts: Whether the body has a field for texts at which to stop.
        body_options: Whether the body has a place for the gateway's `options`.
        stored_replies: Whether the server keeps replies, so that a request can continue one by its id.
    """

    stop_texts: bool
    body_options: bool
    stored_replies: bool


class StreamDecoder(Protocol):
    """Push decoder of one stream."""

    @property
    def ended(self) -> bool:
        """Whether the end marker came: nothing that may follow belongs to the answer, so reading stops here."""
        ...

    @property
    def keep_alives(self) -> int:
        """How many of the events so far only kept the connection alive (`wire.decoder.is_keep_alive`)."""
        ...

    def feed(self, name: str, data: bytes) -> Sequence[Event]:
        """The events of one server-sent event.

        Raises:
            ProtocolError: The data is not what the wire format allows.
            EmbeddedError: The event is an error.
        """
        ...

    def close(self) -> Sequence[Event]:
        """The last events, once the bytes have ended.

        Raises:
            StreamBroken: The wire's end marker never came.
        """
        ...


class Encode(Protocol):
    """Encodes a request."""

    def __call__(self, request: ChatRequest, *, stream: bool, quirks: Quirks = PLAIN) -> JsonDict:
        """The request body. On run it is the model's input, without the envelope.

        Raises:
            ConfigError: The first of the format's limits, or a value that cannot be right.
        """
        ...


@dataclass(frozen=True, slots=True)
class ChatCodec:
    """One wire format.

    Attributes:
        wire: Its name.
        encode: Request to body.
        decode: Whole 2xx body to reply. Raises `ProtocolError` for a body that the format does not allow, and
            `EmbeddedError` for an error.
        decoder: Creates the decoder of one stream.
        limits: Yields an error for everything in a request that the format, or the model in this format, cannot carry;
            `encode` raises the first. Body fields and native tools are not checked (`wire.limits.unchecked_limits`).
        features: What the format offers for a model.
        headers: Request headers that belong to the format itself, such as an API version.
    """

    wire: Wire
    encode: Encode
    decode: Callable[[bytes], ChatReply]
    decoder: Callable[[], StreamDecoder]
    limits: Callable[[ChatRequest, Quirks], Iterator[ConfigError]]
    features: Callable[[Quirks], Features]
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
