"""Which wires a chat model is offered on, and what they must respect.

A new model needs nothing if the defaults fit. Otherwise it has a row here (formats, and what the model refuses) and
one in `profiles` (context window, capabilities), an embedding model one in `embeddings`. A row names its evidence, and
the first that matches counts. Tests are in `tests/gateway/`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

from cfaig_integrations.core.content import Wire
from cfaig_integrations.wire.codec import PLAIN, Quirks


class Wires(NamedTuple):
    """The wires of a model, the best first.

    Attributes:
        plain: For a request without tools.
        tools: For a request with tools.
    """

    plain: tuple[Wire, ...]
    tools: tuple[Wire, ...]


@dataclass(frozen=True, slots=True)
class Row:
    """What is known about some models.

    Attributes:
        quirks: What wires must respect.
        on_chat: What chat completions must respect, where another wire is less strict.
    """

    models: str
    wires: Wires
    quirks: Quirks
    evidence: str
    on_chat: Quirks | None = None

    def quirks_on(self, wire: Wire | Literal["auto"]) -> Quirks:
        """What a wire must respect; with `auto` the one that is the least strict."""
        return self.quirks if self.on_chat is None or wire != "chat_completions" else self.on_chat


AUTO = "cloudflare/auto"
_CHAT = Wires(("chat_completions",), ("chat_completions",))
_RESPONSES = Wires(("responses",), ("responses",))
_MESSAGES = Wires(("messages",), ("messages",))
_BOTH = Wires(("chat_completions", "responses"), ("responses", "chat_completions"))

_SAMPLING = frozenset({"frequency_penalty", "presence_penalty", "logprobs", "top_logprobs"})
_PROMPT_CACHE = frozenset({"prompt_cache_key", "prompt_cache_retention", "prompt_cache_options"})
_TO_HIGH = ("none", "low", "medium", "high")
_TO_MAX = ("none", "minimal", "low", "medium", "high", "xhigh", "max")

_OPENAI = Quirks(max_tokens_field="max_completion_tokens", openai_history=True, call_id_limit=40)
_OPENAI_PRO = replace(
    _OPENAI,
    run_body="responses",
    refused=_PROMPT_CACHE
    | {"logprobs", "top_logprobs", "service_tier", "store", "previous_response_id"}
    | {"include", "truncation", "context_management"},
    parallel_choice=False,
    efforts=_TO_HIGH,
)
_XAI = Quirks(openai_history=True, closed_history=True, schema_description=False)
_CLOSED_XAI = replace(
    _XAI,
    refused=_SAMPLING | (_PROMPT_CACHE - {"prompt_cache_key"}) | {"stop", "top_k", "store", "verbosity", "logit_bias"},
    efforts=("low", "medium", "high", "xhigh"),
)
_MINIMAX = Quirks(
    no_forced_tool=True,
    bare_tools=True,
    parallel_choice=False,
    strict_schema=False,
    schema_type_only=True,
    json_object=False,
    openai_history=True,
    closed_history=True,
)
_MINIMAX_M3 = replace(
    _MINIMAX,
    refused=_SAMPLING
    | _PROMPT_CACHE
    | {"stop", "seed", "n", "top_k", "reasoning_effort", "reasoning", "service_tier", "store"}
    | {"verbosity", "logit_bias"},
)
_CLAUDE = Quirks(run_body="messages")
_ADAPTIVE = replace(_CLAUDE, adaptive_thinking=True, refused=frozenset({"temperature", "top_p", "top_k"}))
_CLAUDE_EFFORTS = ("low", "medium", "high", "xhigh", "max")
_ALIBABA = Quirks(max_tokens_field="max_completion_tokens")
_WORKERS_AI = Quirks(
    data_urls_only=True,
    one_system=True,
    strict_schema=False,
    reasoning_field="reasoning_content",
    openai_history=True,
    single_as_named=True,
    thinking_switch="enable_thinking",
    efforts=("none", "low", "medium", "high", "max"),
)
_ALWAYS_THINKS = replace(_WORKERS_AI, thinking_switch="none")
_GPT_OSS = replace(_ALWAYS_THINKS, efforts=("low", "medium", "high"), forced_as_text=True)
_MISTRAL = replace(_ALWAYS_THINKS, no_forced_tool=True, schema_form="guided_json", mistral_turns=True)
_NATIVE = replace(_WORKERS_AI, run_body="native")

TABLE: tuple[Row, ...] = (
    Row("dynamic/*", _CHAT, PLAIN, "§1.6: chat completions on both hosts; no route under /ai/run"),
    Row(AUTO, Wires(_BOTH.plain, _BOTH.plain), PLAIN, "§1.6: Chat Completions and Responses"),
    # Workers AI. §1.1: not on messages, few on responses. §9.1-9.3: envelope without strict, data URLs,
    # reasoning_content. §14.3: one system message. §14.4: `required` is advice, a name forces; efforts of models that
    # sglang hosts.
    Row(
        "@cf/openai/gpt-oss*",
        _BOTH,
        _GPT_OSS,
        "§1.1: on responses too; catalog: reasoning is mandatory, its efforts; §14.4: forced calls as text",
    ),
    Row(
        "@cf/zai-org/glm-4.7-flash*",
        _CHAT,
        replace(_WORKERS_AI, required_as_named=True),
        "§9.2: 400 to tool_choice required",
    ),
    Row(
        "@cf/zai-org/glm-5.3-flash*",
        _CHAT,
        replace(_ALWAYS_THINKS, efforts=("low", "high", "max")),
        "catalog: reasoning is mandatory, other efforts silently become max; §14.4",
    ),
    Row(
        "@cf/moonshotai/kimi-k2.6*",
        _CHAT,
        replace(_WORKERS_AI, thinking_switch="thinking"),
        "§14.4: chat_template_kwargs.thinking",
    ),
    Row("@cf/moonshotai/*", _CHAT, _ALWAYS_THINKS, "§9.3: thinking cannot be switched off"),
    Row(
        "@cf/mistral*",
        _CHAT,
        _MISTRAL,
        "§9.1, §9.2, §9.3: no forced tool, guided_json, ids of nine, no chat_template_kwargs",
    ),
    # §9.1: Workers AI's own documentation of JSON mode has a bare schema, and Cloudflare's LangChain package takes the
    # envelope off on both endpoints; a model has one input schema, wherever it is called (§5.6, 5006).
    Row(
        "@cf/meta/llama-3* @cf/deepseek-ai/deepseek-r1-distill* @hf/*",
        _CHAT,
        replace(_NATIVE, schema_form="bare"),
        "§9.1: JSON mode with a bare schema, as hermes-2-pro and deepseek-coder; §5.1: native answers",
    ),
    Row("@cf/meta/*", _CHAT, _NATIVE, "recorded cloudflare 8 and 9: Llama 4 answers natively on run"),
    Row("@cf/*", _CHAT, _WORKERS_AI, "§1.1, §9.1-9.3, §14.4, as above"),
    # OpenAI
    Row("openai/gpt-5.[45]-pro*", _RESPONSES, _OPENAI_PRO, "catalog: Responses only, closed schema"),
    Row(
        "openai/*-pro",
        _RESPONSES,
        replace(_OPENAI, run_body="responses"),
        "catalog: the two -pro models that are listed; OpenAI serves none on chat completions",
    ),
    Row(
        "openai/gpt-5.6*",
        _RESPONSES,
        replace(_OPENAI, run_body="responses", efforts=_TO_HIGH),
        "catalog: luna; §1.4: probes of 2026-08-15, chat completions rejected for luna, terra and sol",
    ),
    Row("openai/gpt-5.4", _BOTH, replace(_OPENAI, efforts=_TO_HIGH), "catalog; §1.4: both accepted"),
    Row(
        "openai/gpt-6.1-sol*",
        Wires(_BOTH.plain, _RESPONSES.tools),
        replace(_OPENAI, efforts=_TO_MAX),
        "catalog; §1.4: tools with reasoning are refused on chat completions",
    ),
    Row("openai/gpt-6-astra*", _BOTH, replace(_OPENAI, efforts=_TO_HIGH), "catalog: both formats, efforts"),
    Row(
        "openai/gpt-6*",
        _BOTH,
        replace(_OPENAI, efforts=_TO_MAX),
        "catalog: sol and luna in both formats, efforts of sol",
    ),
    Row("openai/*", _BOTH, _OPENAI, "§1.4: gpt-5 and later refuse max_tokens; both accepted"),
    # Others. A schema that is closed refuses what it does not name (§14.3).
    Row(
        "xai/grok-4.20-multi-agent*",
        _RESPONSES,
        replace(PLAIN, run_body="responses"),
        "catalog: Responses only; §10: the one xai model with web search there",
    ),
    Row(
        "xai/grok-4.[67]*",
        _CHAT,
        _CLOSED_XAI,
        "catalog: closed schemas, 4.7 on chat completions only; §1.4: responses rejected",
    ),
    Row("xai/*", _CHAT, _XAI, "§1.4: responses rejected; catalog: answers of 4.3 and 4.20 are closed"),
    Row(
        "anthropic/claude-opus-5.5*",
        _MESSAGES,
        replace(_ADAPTIVE, no_forced_tool=True, efforts=_CLAUDE_EFFORTS),
        "catalog: Messages only, adaptive thinking, efforts; §1.4: tool_choice is auto or none",
    ),
    Row(
        "anthropic/claude-[23]* anthropic/claude-*-4*",
        _MESSAGES,
        _CLAUDE,
        "catalog: haiku-4.5 on Messages only; §1.4: run takes the Messages shape",
    ),
    Row(
        "anthropic/*",
        _MESSAGES,
        _ADAPTIVE,
        "catalog: Messages only; §1.4, §14.3: sonnet-5 and later refuse sampling and a thinking budget",
    ),
    Row(
        "minimax/m3*",
        Wires(("chat_completions", "messages"), ("messages", "chat_completions")),
        PLAIN,
        "catalog: chat completions, closed, and Messages, open",
        on_chat=_MINIMAX_M3,
    ),
    Row("minimax/*", _CHAT, _MINIMAX, "catalog: m2.7 takes tool_choice none or auto, and no required in a schema"),
    Row("alibaba/qwen3-max*", _CHAT, _ALIBABA, "catalog: chat completions only, max_completion_tokens"),
    Row("alibaba/*", _BOTH, _ALIBABA, "catalog: qwen3.7-plus and qwen3.8-max in both formats"),
    Row(
        "google/* deepseek/* moonshotai/*",
        _CHAT,
        PLAIN,
        "catalog: chat completions; google also generateContent on run; v4-pro and kimi-k3 on nothing else",
    ),
    Row("*", _BOTH, PLAIN, "§1.1: third-party models on chat completions and responses"),
)
