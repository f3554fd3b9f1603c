"""A chat request and its reply.

No field has a default that would be sent: unset fields are None, and are omitted from the request.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

from cfaig_integrations.core.content import NO_EXTRAS, Extras, Json, Turn, Wire
from cfaig_integrations.core.records import record

FinishReason: TypeAlias = Literal[
    "stop", "length", "tool_calls", "content_filter", "refusal", "pause", "error", "unknown"
]
"""Why the model stopped. `pause`: a long server-side turn that has to be continued."""
NormalizedFinishReason: TypeAlias = Literal["stop", "length", "tool_calls", "content_filter", "error", "unknown"]
"""The same in the vocabulary of OpenAI's Chat Completions, which most readers of traces expect."""
FinishState: TypeAlias = Literal["complete", "incomplete", "refused", "failed", "unknown"]
"""What became of the answer."""
_FINISH_STATES: Mapping[FinishReason, FinishState] = {
    "stop": "complete",
    "tool_calls": "complete",
    "length": "incomplete",
    "pause": "incomplete",
    "content_filter": "refused",
    "refusal": "refused",
    "error": "failed",
    "unknown": "unknown",
}


@dataclass(frozen=True, slots=True, weakref_slot=True, eq=False)
class FunctionTool:
    """A tool that the caller runs. Compared by identity, so that wires can cache its encoded form.

    Attributes:
        name: Any text; `core.legal` replaces what servers refuse.
        description: What it does, for the model.
        parameters: JSON schema of its arguments, an object schema.
        strict: Whether arguments must match the schema exactly; None for the server's default.
        extras: Per wire, further keys of the tool's object (such as `cache_control` on `messages`).
    """

    name: str
    description: str
    parameters: Json
    strict: bool | None = None
    extras: Extras = NO_EXTRAS


@dataclass(frozen=True, slots=True, weakref_slot=True, eq=False)
class NativeTool:
    """A tool in the form of one wire format (web search, code interpreter, MCP, custom ...), sent unchanged.

    Attributes:
        raw: The tool's object.
    """

    raw: Json


ToolSpec: TypeAlias = FunctionTool | NativeTool


@record
class NamedTool:
    """The model must call this one."""

    name: str


ToolChoice: TypeAlias = Literal["auto", "none", "required"] | NamedTool


@record
class OutputSchema:
    """The answer must be JSON.

    Attributes:
        schema: JSON schema that it must satisfy; None for any JSON object.
        name: Name of the schema, at most 64 characters of `[A-Za-z0-9_-]`.
        strict: Whether the server must enforce it; None for its default.
        loose: Ask for any JSON object, without the schema, in formats that can; the others send the schema.
    """

    schema: Json | None
    name: str = "answer"
    description: str = ""
    strict: bool | None = None
    loose: bool = False


@record
class Continuation:
    """A conversation that the server keeps, if the format and the provider can.

    Attributes:
        response_id: A response that the provider keeps; empty if there is none yet.
        turns: How many of the request's turns, from the first, that response covers, including itself.
    """

    response_id: str = ""
    turns: int = 0


@record
class ChatRequest:
    """One request to a model, with the conversation so far.

    Attributes:
        model: Model id as the user wrote it, such as `openai/gpt-5.4` or `@cf/zai-org/glm-5.2`.
        turns: The conversation, oldest first.
        parallel_tool_calls: Whether several tools may be called at once.
        output: The answer must be JSON.
        temperature: 0 to 2 on most models.
        max_tokens: Maximum number of tokens to generate, including reasoning.
        stop: Texts at which to stop.
        reasoning_effort: A value that the provider defines, such as `low`, `medium`, `high`.
        thinking: Anthropic's `thinking` object, such as `{"type": "enabled", "budget_tokens": 2048}`.
        reasoning: The Responses wire's `reasoning` object, such as `{"effort": "low", "summary": "auto"}`.
        verbosity: How long the answer is to be, such as `low`; OpenAI's formats.
        logit_bias: Token id -> -100 to 100; Chat Completions.
        prompt_cache_key: Requests with the same key share a cached prefix; OpenAI's formats.
        prompt_cache_retention: How long OpenAI keeps the prefix, such as `24h`.
        prompt_cache_options: OpenAI's object of cache options.
        include: Further data that a response is to contain; Responses.
        truncation: Whether the server may drop the beginning of the conversation; Responses.
        context_management: What the server does with a long context: a list on Responses, an object on Messages.
        output_config: Anthropic's object of output options, such as `{"effort": "low"}`.
        mcp_servers: Anthropic's MCP servers, which may hold keys.
        container: Anthropic's container for code execution, its id or an object.
        inference_geo: Where Anthropic runs the model.
        betas: Names of Anthropic's beta features, for the header `anthropic-beta`.
        previous_response_id: The response that `turns` continue; they contain only what came after it.
        continues: Which of `turns` the server may already have. `turns` has them all, in case it does not.
        items_by_id: Whether items of earlier replies may be sent with the ids under which the provider keeps them.
        stream_usage: Ask for token counts in a stream, where asking is needed.
        extra_body: Further body fields, added last.
    """

    model: str
    turns: tuple[Turn, ...]
    tools: tuple[ToolSpec, ...] = ()
    tool_choice: ToolChoice | None = None
    parallel_tool_calls: bool | None = None
    output: OutputSchema | None = None
    temperature: float | None = None
    max_tokens: int | None = None
    top_p: float | None = None
    top_k: int | None = None
    stop: tuple[str, ...] = ()
    seed: int | None = None
    frequency_penalty: float | None = None
    presence_penalty: float | None = None
    n: int | None = None
    logprobs: bool | None = None
    top_logprobs: int | None = None
    reasoning_effort: str | None = None
    thinking: Json | None = None
    reasoning: Json | None = None
    service_tier: str | None = None
    store: bool | None = None
    verbosity: str | None = None
    logit_bias: Mapping[str, float] | None = None
    prompt_cache_key: str | None = None
    prompt_cache_retention: str | None = None
    prompt_cache_options: Json | None = None
    include: Sequence[str] | None = None
    truncation: str | None = None
    context_management: Sequence[Json] | Json | None = None
    output_config: Json | None = None
    mcp_servers: Sequence[Json] | None = field(default=None, repr=False)
    container: str | Json | None = None
    inference_geo: str | None = None
    betas: Sequence[str] | None = None
    previous_response_id: str | None = None
    continues: Continuation | None = None
    items_by_id: bool = True
    stream_usage: bool = True
    extra_body: Json = field(default_factory=dict[str, Any])


@record
class Usage:
    """Token counts.

    Attributes:
        input: All input tokens, including those read from a cache and written to it.
        output: All output tokens, including reasoning.
        total: Their sum, or the total that the server reports.
        cache_read: Input tokens that came from the provider's cache; None if not reported.
        cache_write: Input tokens written to it.
        reasoning: Output tokens that were reasoning.
        audio_in: Input tokens that were audio.
        audio_out: Output tokens that were audio.
        raw: The provider's object, unchanged.
    """

    input: int = 0
    output: int = 0
    total: int = 0
    cache_read: int | None = None
    cache_write: int | None = None
    reasoning: int | None = None
    audio_in: int | None = None
    audio_out: int | None = None
    raw: Json = field(default_factory=dict[str, Any])


@record
class Choice:
    """One answer of a reply.

    Attributes:
        finish: Why it ended.
        provider_finish: The reason in the provider's terms; empty if it gave none.
        extras: Values of this answer that only one format has, such as `logprobs`.
    """

    turn: Turn
    finish: FinishReason
    provider_finish: str = ""
    extras: Extras = NO_EXTRAS

    @property
    def normalized_finish(self) -> NormalizedFinishReason:
        """Why it ended, in OpenAI's vocabulary: a refusal is filtered content, and a paused turn has stopped."""
        match self.finish:
            case "refusal":
                return "content_filter"
            case "pause":
                return "stop"
            case finish:
                return finish

    @property
    def finish_state(self) -> FinishState:
        """What became of the answer, whatever the provider calls it."""
        return _FINISH_STATES[self.finish]


@record
class ChatReply:
    """The reply to a request.

    Attributes:
        wire: The wire that carried it.
        id: The provider's id of the reply; empty if it gave none.
        model: The model that answered, as the provider reports it; empty if it does not.
        choices: The answers; more than one only if `n` asked for it.
        usage: Token counts, if reported.
        extras: Values of the reply that only one format has (service tier, fingerprint, creation time ...).
    """

    wire: Wire
    id: str
    model: str
    choices: tuple[Choice, ...]
    usage: Usage | None = None
    extras: Extras = NO_EXTRAS

    @property
    def turn(self) -> Turn:
        """The first answer."""
        return self.choices[0].turn

    @property
    def finish(self) -> FinishReason:
        """Why the first answer ended."""
        return self.choices[0].finish

    @property
    def facts(self) -> Mapping[str, Any]:
        """The values in `extras`, without the names of their formats."""
        return {key: value for values in self.extras.values() for key, value in values.items()}
