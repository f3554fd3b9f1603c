"""Which wires a chat model is offered on, and what they must respect: a table with its evidence beside each row.

Sections are those of facts.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from typing import Literal

from cfaig_integrations.core.content import Wire
from cfaig_integrations.wire.codec import PLAIN, Quirks

__all__ = ["AUTO", "TABLE", "Row"]


@dataclass(frozen=True, slots=True)
class Row:
    """What is known about some models.

    Attributes:
        pattern: A model id, where `*` stands for any characters.
        plain: Wires for a request without tools, the best first.
        tools: Wires for a request with tools.
        quirks: What wires must respect.
        evidence: Where all that is known from. "Catalogue" is Cloudflare's file of the model, read in November 2026.
        on_chat: What chat completions must respect, where another wire is less strict.
    """

    pattern: str
    plain: tuple[Wire, ...]
    tools: tuple[Wire, ...]
    quirks: Quirks
    evidence: str
    on_chat: Quirks | None = None

    def fits(self, model: str) -> bool:
        """Whether the row speaks of a model."""
        return fnmatchcase(model, self.pattern)

    def quirks_on(self, wire: Wire | Literal["auto"]) -> Quirks:
        """What a wire must respect; with `auto` the one that is the least strict."""
        return self.quirks if self.on_chat is None or wire != "chat_completions" else self.on_chat


AUTO = "cloudflare/auto"
_CHAT: tuple[Wire, ...] = ("chat_completions",)
_RESPONSES: tuple[Wire, ...] = ("responses",)
_MESSAGES: tuple[Wire, ...] = ("messages",)
_CHAT_FIRST: tuple[Wire, ...] = ("chat_completions", "responses")
_RESPONSES_FIRST: tuple[Wire, ...] = ("responses", "chat_completions")

_SAMPLED = frozenset({"frequency_penalty", "presence_penalty", "logprobs", "top_logprobs"})
_TO_HIGH = ("none", "low", "medium", "high")
_TO_MAX = ("none", "minimal", "low", "medium", "high", "xhigh", "max")

_OPENAI = Quirks(max_tokens_word="max_completion_tokens", openai_history=True, call_id_limit=40)
_OPENAI_PRO = replace(
    _OPENAI,
    run_body="responses",
    refused=frozenset({"logprobs", "top_logprobs", "service_tier", "store", "previous_response_id"}),
    parallel_choice=False,
    efforts=_TO_HIGH,
)
_XAI = Quirks(openai_history=True, closed_history=True, schema_description=False)
_CLOSED_XAI = replace(_XAI, refused=_SAMPLED | {"stop", "top_k", "store"}, efforts=("low", "medium", "high", "xhigh"))
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
_CLAUDE = Quirks(run_body="messages")
_ADAPTIVE = replace(_CLAUDE, adaptive_thinking=True, refused=frozenset({"temperature", "top_p", "top_k"}))
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
_NATIVE = replace(_WORKERS_AI, run_body="native")
_BARE = replace(_NATIVE, schema_form="bare")

TABLE: tuple[Row, ...] = (
    Row("dynamic/*", _CHAT, _CHAT, PLAIN, "§1.6: chat completions on both hosts; no route under /ai/run"),
    Row(AUTO, _CHAT_FIRST, _CHAT_FIRST, PLAIN, "§1.6: Chat Completions and Responses"),
    # Workers AI. §1.1: not on messages, few on responses. §9.1-9.3: envelope without strict, data URLs,
    # reasoning_content. §14.3: one system message. §14.4: `required` is advice, a name forces; efforts of models that
    # sglang hosts.
    Row(
        "@cf/openai/gpt-oss*",
        _CHAT_FIRST,
        _RESPONSES_FIRST,
        replace(_ALWAYS_THINKS, efforts=("low", "medium", "high"), forced_as_text=True),
        "§1.1: on responses too; catalogue: reasoning is mandatory, its efforts; §14.4: forced calls as text",
    ),
    Row(
        "@cf/zai-org/glm-4.7-flash*",
        _CHAT,
        _CHAT,
        replace(_WORKERS_AI, required_as_named=True),
        "§9.2: 400 to tool_choice required",
    ),
    Row(
        "@cf/zai-org/glm-5.3-flash*",
        _CHAT,
        _CHAT,
        replace(_ALWAYS_THINKS, efforts=("low", "high", "max")),
        "catalogue: reasoning is mandatory, other efforts silently become max; §14.4",
    ),
    Row(
        "@cf/moonshotai/kimi-k2.6*",
        _CHAT,
        _CHAT,
        replace(_WORKERS_AI, thinking_switch="thinking"),
        "§14.4: chat_template_kwargs.thinking",
    ),
    Row("@cf/moonshotai/*", _CHAT, _CHAT, _ALWAYS_THINKS, "§9.3: thinking cannot be switched off"),
    Row(
        "@cf/mistral*",
        _CHAT,
        _CHAT,
        replace(_ALWAYS_THINKS, no_forced_tool=True, schema_form="guided_json", mistral_turns=True),
        "§9.1, §9.2, §9.3: no forced tool, guided_json, ids of nine, no chat_template_kwargs",
    ),
    # §9.1: Workers AI's own documentation of JSON mode has a bare schema, and Cloudflare's LangChain package takes the
    # envelope off on both endpoints; a model has one input schema, wherever it is called (§5.6, 5006).
    Row("@cf/meta/llama-3*", _CHAT, _CHAT, _BARE, "§9.1: JSON mode with a bare schema; §5.1: native answers"),
    Row("@cf/deepseek-ai/deepseek-r1-distill*", _CHAT, _CHAT, _BARE, "§9.1: JSON mode with a bare schema"),
    Row("@hf/*", _CHAT, _CHAT, _BARE, "§9.1: hermes-2-pro and deepseek-coder take a bare schema"),
    Row("@cf/meta/*", _CHAT, _CHAT, _NATIVE, "recorded cloudflare 8 and 9: Llama 4 answers natively on run"),
    Row("@cf/*", _CHAT, _CHAT, _WORKERS_AI, "§1.1, §9.1-9.3, §14.4, as above"),
    # OpenAI
    Row("openai/gpt-5.[45]-pro*", _RESPONSES, _RESPONSES, _OPENAI_PRO, "catalogue: Responses only, closed schema"),
    Row(
        "openai/*-pro",
        _RESPONSES,
        _RESPONSES,
        replace(_OPENAI, run_body="responses"),
        "catalogue: the two -pro models that are listed; OpenAI serves none on chat completions",
    ),
    Row(
        "openai/gpt-5.6*",
        _RESPONSES,
        _RESPONSES,
        replace(_OPENAI, run_body="responses", efforts=_TO_HIGH),
        "catalogue: luna; §1.4: probes of 2026-08-15, chat completions rejected for luna, terra and sol",
    ),
    Row(
        "openai/gpt-5.4",
        _CHAT_FIRST,
        _RESPONSES_FIRST,
        replace(_OPENAI, efforts=_TO_HIGH),
        "catalogue; §1.4: both accepted",
    ),
    Row(
        "openai/gpt-6.1-sol*",
        _CHAT_FIRST,
        _RESPONSES,
        replace(_OPENAI, efforts=_TO_MAX),
        "catalogue; §1.4: tools with reasoning are refused on chat completions",
    ),
    Row(
        "openai/gpt-6-astra*",
        _CHAT_FIRST,
        _RESPONSES_FIRST,
        replace(_OPENAI, efforts=_TO_HIGH),
        "catalogue: both formats, efforts",
    ),
    Row(
        "openai/gpt-6*",
        _CHAT_FIRST,
        _RESPONSES_FIRST,
        replace(_OPENAI, efforts=_TO_MAX),
        "catalogue: sol and luna in both formats, efforts of sol",
    ),
    Row("openai/*", _CHAT_FIRST, _RESPONSES_FIRST, _OPENAI, "§1.4: gpt-5 and later refuse max_tokens; both accepted"),
    # Others. A schema that is closed refuses what it does not name (§14.3).
    Row(
        "xai/grok-4.20-multi-agent*",
        _RESPONSES,
        _RESPONSES,
        replace(PLAIN, run_body="responses"),
        "catalogue: Responses only; §10: the one xai model with web search there",
    ),
    Row("xai/grok-4.6*", _CHAT, _CHAT, _CLOSED_XAI, "catalogue: closed, as 4.7; §1.4: responses rejected"),
    Row("xai/grok-4.7*", _CHAT, _CHAT, _CLOSED_XAI, "catalogue: chat completions only, closed schema"),
    Row("xai/*", _CHAT, _CHAT, _XAI, "§1.4: responses rejected; catalogue: answers of 4.3 and 4.20 are closed"),
    Row(
        "anthropic/claude-opus-5.5*",
        _MESSAGES,
        _MESSAGES,
        replace(_ADAPTIVE, no_forced_tool=True, efforts=("low", "medium", "high", "xhigh", "max")),
        "catalogue: Messages only, adaptive thinking, efforts; §1.4: tool_choice is auto or none",
    ),
    Row("anthropic/claude-[23]*", _MESSAGES, _MESSAGES, _CLAUDE, "as the next row"),
    Row(
        "anthropic/claude-*-4*",
        _MESSAGES,
        _MESSAGES,
        _CLAUDE,
        "catalogue: haiku-4.5 on Messages only; §1.4: run takes the Messages shape",
    ),
    Row(
        "anthropic/*",
        _MESSAGES,
        _MESSAGES,
        _ADAPTIVE,
        "catalogue: Messages only; §1.4, §14.3: sonnet-5 and later refuse sampling and a thinking budget",
    ),
    Row("google/*", _CHAT, _CHAT, PLAIN, "catalogue: chat completions, and generateContent on run"),
    Row(
        "minimax/m3*",
        ("chat_completions", "messages"),
        ("messages", "chat_completions"),
        PLAIN,
        "catalogue: chat completions, closed, and Messages, open",
        replace(
            _MINIMAX,
            refused=_SAMPLED | {"stop", "seed", "n", "top_k", "reasoning_effort", "reasoning", "service_tier", "store"},
        ),
    ),
    Row(
        "minimax/*",
        _CHAT,
        _CHAT,
        _MINIMAX,
        "catalogue: m2.7 takes tool_choice none or auto, and no required in a schema",
    ),
    Row(
        "alibaba/qwen3-max*",
        _CHAT,
        _CHAT,
        Quirks(max_tokens_word="max_completion_tokens"),
        "catalogue: chat completions only, max_completion_tokens",
    ),
    Row(
        "alibaba/*",
        _CHAT_FIRST,
        _RESPONSES_FIRST,
        Quirks(max_tokens_word="max_completion_tokens"),
        "catalogue: qwen3.7-plus and qwen3.8-max in both formats",
    ),
    Row("deepseek/*", _CHAT, _CHAT, PLAIN, "catalogue: v4-pro on chat completions only"),
    Row("moonshotai/*", _CHAT, _CHAT, PLAIN, "catalogue: kimi-k3 on chat completions only"),
    Row("*", _CHAT_FIRST, _RESPONSES_FIRST, PLAIN, "§1.1: third-party models on chat completions and responses"),
)
"""First match wins."""
