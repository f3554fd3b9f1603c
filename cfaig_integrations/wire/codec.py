"""The interface of a wire format, and the properties of a model that its encoder respects."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from cfaig_integrations.core.chat import ChatReply, ChatRequest
from cfaig_integrations.core.content import Json, JsonDict, Wire
from cfaig_integrations.core.events import Event
from cfaig_integrations.core.json_types import JsonObject
from cfaig_integrations.errors import ConfigError


class EmbeddedError(Exception):
    """An error in the body or in an event of a 2xx response (facts §5.1, §5.3).

    Never leaves the package: the gateway, which knows the error shapes and codes, turns it into an `ApiError`.

    Attributes:
        body: The error, unchanged.
    """

    def __init__(self, body: Json) -> None:
        super().__init__("the response is an error")
        self.body = body


@dataclass(frozen=True, slots=True)
class Quirks:
    """Properties of a model, from the route table, that an encoder must respect.

    Attributes:
        max_tokens_field: Name of the body field `max_tokens` on chat completions.
        max_output: Most tokens of an answer, if known. Messages requires `max_tokens`: this is sent if the request has
            none.
        default_max_tokens: Sent in that case if `max_output` is not known; a budget for thinking is added.
        data_urls_only: Remote image URLs are not fetched (facts §9.2).
        refused: Fields of a `ChatRequest` that the model's closed schema does not have; a value for one raises. Stop
            texts among them are applied by this package instead.
        efforts: Reasoning efforts that the model takes, any other raises; empty if any is sent.
        required_as_named: `tool_choice: required` is refused; with exactly one tool it is sent as that tool's name.
        single_as_named: `tool_choice: required` is only advice; with exactly one tool it is sent as that tool's name,
            which forces (facts §14.4).
        no_forced_tool: `tool_choice` is auto or none; anything else raises.
        forced_as_text: A forced call may arrive as JSON text (facts §14.4).
        parallel_choice: Whether there is a `parallel_tool_calls`; if not, it is omitted (facts §14.3).
        bare_tools: A tool's function has name, description and parameters, and nothing else.
        schema_form: How an output schema is written in `response_format` on chat completions and run.
        strict_schema: Whether that envelope has `strict`.
        schema_description: Whether it has `description`.
        schema_type_only: The schema in it has `type` and `properties`, and nothing else at its top.
        json_object: Whether JSON can be asked for without a schema; if not, that raises.
        reasoning_field: Message field for earlier reasoning on chat completions; None for the one it came in.
        openai_history: An assistant's message on chat completions has OpenAI's fields and `reasoning_field`, and
            nothing that another provider added to the format: that is refused.
        closed_history: Messages on chat completions have nothing but role, content, an assistant's `tool_calls` and
            `name`, a system message's `name`, and a tool's `tool_call_id`.
        call_id_limit: Maximum length of a tool call's id on chat completions (facts §14.3).
        mistral_turns: Tool-call ids have nine alphanumerics, and no user turn directly follows a tool turn.
        one_system: Adjacent system messages are merged, because some templates refuse a second one (facts §14.3).
        thinking_switch: Name of the switch in `chat_template_kwargs` that `thinking={"type": "disabled"}` sets on chat
            completions.
        adaptive_thinking: On messages, `thinking={"type": "enabled"}` is refused: the model chooses its budget, guided
            by `reasoning_effort` (facts §14.3).
        run_body: The body that `/ai/run` takes for the model.
    """

    max_tokens_field: Literal["max_tokens", "max_completion_tokens"] = "max_tokens"
    max_output: int | None = None
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
        """Whether the end marker has arrived: nothing after it belongs to the answer, so reading stops."""
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
        decode: Whole 2xx body, or its JSON object, to reply. Raises `ProtocolError` for a body that the format does
            not allow, and `EmbeddedError` for an error.
        decoder: Creates the decoder of one stream.
        limits: Yields an error for everything in a request that the format, or the model in this format, cannot carry;
            `encode` raises the first. Body fields and native tools are not checked (`wire.limits.unchecked_limits`).
        features: What the format offers for a model.
        headers: Request headers that belong to the format itself, such as an API version; None: there are none.
    """

    wire: Wire
    encode: Encode
    decode: Callable[[bytes | JsonObject], ChatReply]
    decoder: Callable[[], StreamDecoder]
    limits: Callable[[ChatRequest, Quirks], Iterator[ConfigError]]
    features: Callable[[Quirks], Features]
    headers: Callable[[ChatRequest, Quirks], Mapping[str, str]] | None = None
