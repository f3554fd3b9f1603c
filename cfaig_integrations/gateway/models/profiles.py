"""Limits and capabilities of chat models.

An input kind is what the model accepts; whether a wire can carry it is another question.

Sources in the evidence: CF: Cloudflare's own page or catalog file of the model. LC: profile data of LangChain's
packages (openai 1.7.4, anthropic 1.7.10, google-genai 4.4.2, xai 1.3.0, deepseek 1.1.1, groq 1.1.3, mistralai 1.1.6),
OR: that of openrouter 0.2.9. LI: tables of llama-index-llms-openai 0.8.3 and -anthropic 0.12.3. MD: models.dev of
2026-08-18. Recorded: a recorded exchange with its number. §: facts.md.

Where sources disagree, the smaller number: too small a window forgets early, too large a one ends in a refusal. One
exception: for some models of other providers the catalog has 128,000 tokens, or 16,384, 8,192 or 4,096 out, unlike
all other sources (gpt-5, gpt-5.4, minimax/m3, gemini-3-flash); there the provider's numbers count. Where Cloudflare
hosts the model, or has it hosted (deepseek-v4-pro), its numbers count. The evidence of a row that differs from the
catalog says so.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal, TypeAlias

from cfaig_integrations.gateway.models.tables import IN_PATH

InputKind: TypeAlias = Literal["text", "image", "image_url", "pdf", "audio", "video"]
"""`image`: bytes; `image_url`: an address that the model's host fetches."""

Skill: TypeAlias = Literal["tools", "choice", "schema", "reasoning"]


@dataclass(frozen=True, slots=True)
class Profile:
    """What a model can do.

    Attributes:
        context_window: Tokens of input and output together, at least 1.
        max_input: Tokens of the input, at most `context_window`.
        max_output: Tokens of the output, less than `context_window`; None if not known.
        inputs: Kinds of content it takes, always including `text`.
        tools: Whether it calls functions.
        tool_choice: Whether a call can be forced.
        structured_output: Whether it follows a JSON schema, also when streamed. The JSON mode of older Workers AI
            models does not stream and may fail (§9.1), so it does not count.
        reasoning: Whether it can reason before it answers.
        is_listed: Whether the table has the model; if not, all this is a guess.
    """

    context_window: int
    max_input: int
    max_output: int | None
    inputs: frozenset[InputKind]
    tools: bool
    tool_choice: bool
    structured_output: bool
    reasoning: bool
    is_listed: bool = True


@dataclass(frozen=True, slots=True)
class Row:
    """What is known about some models.

    Attributes:
        models: Their names without provider and author, with a space between them. A name stands for its dated and
            otherwise suffixed forms too, unless another row has them.
        window: Tokens of input and output together.
        output: Tokens of the output; None if not known, or if only the window bounds it.
        max_input: Tokens of the input, if there is a bound besides the window.
    """

    models: str
    window: int
    output: int | None
    inputs: frozenset[InputKind]
    skills: frozenset[Skill]
    evidence: str
    max_input: int | None = None

    def profile(self, *, is_listed: bool = True) -> Profile:
        """The profile of the row's models."""
        return Profile(
            context_window=self.window,
            max_input=self.max_input or self.window,
            max_output=self.output,
            inputs=self.inputs,
            tools="tools" in self.skills,
            tool_choice="choice" in self.skills,
            structured_output="schema" in self.skills,
            reasoning="reasoning" in self.skills,
            is_listed=is_listed,
        )


_TEXT: frozenset[InputKind] = frozenset({"text"})
_IMAGE: frozenset[InputKind] = frozenset({"text", "image"})
_URL: frozenset[InputKind] = frozenset({"text", "image", "image_url"})
_IMAGE_PDF: frozenset[InputKind] = frozenset({"text", "image", "pdf"})
_VIDEO: frozenset[InputKind] = frozenset({"text", "image", "video"})
_PDF: frozenset[InputKind] = _URL | _IMAGE_PDF
_ALL: frozenset[InputKind] = frozenset({"text", "image", "image_url", "pdf", "audio", "video"})

_NONE: frozenset[Skill] = frozenset()
_TOOLS: frozenset[Skill] = frozenset({"tools", "choice"})
_CHAT: frozenset[Skill] = frozenset({"tools", "choice", "schema"})
_REASONING: frozenset[Skill] = frozenset({"tools", "choice", "reasoning"})
_FULL: frozenset[Skill] = _CHAT | _REASONING
_ONLY_REASONING: frozenset[Skill] = frozenset({"reasoning"})

TABLE: tuple[Row, ...] = (
    # OpenAI
    Row("gpt-3.5-turbo", 16_385, 4_096, _TEXT, _TOOLS, "LC and MD, tools after OR and LI"),
    Row("gpt-4", 8_192, None, _TEXT, _TOOLS, "LC, MD: 8,192 in all"),
    Row("gpt-4-turbo", 128_000, 4_096, _URL, _TOOLS, "LC, MD"),
    Row("gpt-4o gpt-4o-mini", 128_000, 16_384, _PDF, _CHAT, "LC, MD, OR"),
    Row("gpt-4o-2024-05-13", 128_000, 4_096, _PDF, _CHAT, "LC, MD, OR"),
    Row("gpt-4.1 gpt-4.1-mini gpt-4.1-nano", 1_047_576, 32_768, _PDF, _CHAT, "LC, MD, OR"),
    Row("o1-mini o1-preview", 128_000, None, _TEXT, _ONLY_REASONING, "LI: window, and no functions"),
    Row("o1 o1-pro o3 o3-pro o4-mini", 200_000, 100_000, _PDF, _FULL, "LC, MD, OR"),
    Row("o3-mini", 200_000, 100_000, _TEXT, _FULL, "MD; LC and OR say PDF too"),
    Row(
        "gpt-5 gpt-5-mini gpt-5-nano gpt-5.1 gpt-5.2 gpt-5.3 gpt-5.4-mini gpt-5.4-nano",
        400_000,
        128_000,
        _PDF,
        _FULL,
        "MD, LI; LC: 272,000 in",
        272_000,
    ),
    Row("gpt-5-pro", 400_000, 272_000, _PDF, _FULL, "MD, LC", 272_000),
    Row("gpt-5.2-pro", 400_000, 128_000, _PDF, _REASONING, "MD, LC", 272_000),
    Row("gpt-5.3-codex-spark", 128_000, 32_000, _PDF, _FULL, "MD, LC", 100_000),
    Row(
        "gpt-5-chat gpt-5.1-chat gpt-5.2-chat gpt-5.3-chat gpt-5.4-chat",
        128_000,
        16_384,
        _URL,
        _CHAT,
        "LI: all windows; MD: the rest, of 5.2 and 5.3",
    ),
    Row(
        "gpt-5.4 gpt-5.5 gpt-5.5-pro",
        1_000_000,
        128_000,
        _PDF,
        _FULL,
        "CF: window, and 16,384 out; MD, LC, LI: 1,050,000, 922,000 of them in, and 128,000 out",
        922_000,
    ),
    Row(
        "gpt-5.6 gpt-5.6-luna gpt-5.6-sol gpt-5.6-terra",
        1_050_000,
        128_000,
        _PDF,
        _FULL,
        "CF: luna; MD, LC, LI; MD: 922,000 in",
        922_000,
    ),
    Row("gpt-5.4-pro", 1_000_000, 128_000, _PDF, _REASONING, "CF: window, and 16,384 out; MD, LC: the rest", 922_000),
    Row(
        "gpt-6-astra gpt-6-luna gpt-6-sol gpt-6.1-sol gpt-6.1-terra",
        1_050_000,
        128_000,
        _PDF,
        _FULL,
        "CF: both sol, and text and image of their inputs; LC; LI: windows of all but the last",
    ),
    Row(
        "gpt-oss-120b gpt-oss-20b gpt-oss-safeguard-20b",
        131_072,
        40_960,
        _TEXT,
        _FULL,
        "LC, MD: the output of Cerebras, 65,536 on Groq",
    ),
    # Anthropic
    Row("claude", 200_000, None, _PDF, _TOOLS, "the smallest of the following rows, for new names"),
    Row("claude-3-haiku claude-3-opus claude-3-sonnet", 200_000, 4_096, _URL, _TOOLS, "LI; MD, OR: output"),
    Row("claude-3.5-haiku claude-3.5-sonnet", 200_000, 8_192, _PDF, _TOOLS, "LI; models.dev for this gateway"),
    Row("claude-3.7-sonnet", 200_000, 64_000, _URL, _REASONING, "LI: window; MD: Helicone; recorded chat: :thinking"),
    Row("claude-opus-4 claude-opus-4-0 claude-opus-4.1", 200_000, 32_000, _PDF, _REASONING, "LI, MD, OR"),
    Row("claude-sonnet-4 claude-sonnet-4-0", 200_000, 64_000, _PDF, _REASONING, "CF; LI: a million; MD, OR: output"),
    Row(
        "claude-haiku-4.5 claude-sonnet-4.5 claude-opus-4.5",
        200_000,
        64_000,
        _PDF,
        _FULL,
        "LC, LI; CF: sonnet; recorded messages 344: haiku; MD: a million for sonnet",
    ),
    Row(
        "claude-opus-4.6 claude-sonnet-4.6 claude-opus-4.7 claude-opus-4.8 claude-opus-5 claude-sonnet-5"
        " claude-sonnet-5.5 claude-fable-5 claude-fable-5.1",
        1_000_000,
        128_000,
        _PDF,
        _FULL,
        "LC; LI and MD: most of them",
    ),
    Row("claude-haiku-5.5", 1_000_000, 128_000, _PDF, _REASONING, "LC, LI"),
    Row("claude-opus-5.5", 1_000_000, 128_000, _PDF, _FULL - {"choice"}, "CF, LC; §1.4: no tool can be forced"),
    # Google
    Row(
        "gemini-2.5-pro gemini-2.5-flash gemini-2.5-flash-lite gemini-3-flash gemini-3.1-pro gemini-3.1-flash-lite"
        " gemini-3.5-flash gemini-3.5-flash-lite gemini-3.6-flash gemini-3.7-flash gemini-3.8-flash gemini-4-argon",
        1_048_576,
        65_536,
        _ALL,
        _FULL,
        "LC; MD, OR: most of them",
    ),
    # xAI
    Row("grok-3 grok-3-mini", 131_072, None, _TEXT, _TOOLS, "MD: Helicone"),
    Row("grok-4", 256_000, None, _TEXT, _TOOLS, "MD: Helicone and others, whose outputs differ"),
    Row("grok-4-fast grok-4-1-fast", 2_000_000, 30_000, _IMAGE, _TOOLS, "MD: Helicone"),
    Row("grok-4.20 grok-4.3", 1_000_000, 30_000, _IMAGE_PDF, _FULL, "LC, MD"),
    Row("grok-4.20-0309-non-reasoning", 1_000_000, 30_000, _IMAGE_PDF, _CHAT, "LC, MD"),
    Row(
        "grok-4.20-multi-agent",
        1_000_000,
        30_000,
        _IMAGE_PDF,
        _FULL - {"choice"},
        "LC, MD, without tools; CF: tools, and 2,000,000 tokens",
    ),
    Row("grok-4.5", 500_000, None, _IMAGE_PDF, _FULL, "MD, LC"),
    Row(
        "grok-4.6 grok-4.7",
        500_000,
        None,
        _URL,
        _FULL,
        "CF: window, images by address; its closed schema has no file; MD, and models.dev for this gateway: 4.6",
    ),
    Row("grok-build-0.1", 256_000, None, _IMAGE_PDF, _FULL, "LC, MD"),
    # DeepSeek
    Row("deepseek-chat", 1_000_000, 384_000, _TEXT, _TOOLS, "MD; recorded chat 660: refuses over 1,048,565"),
    Row("deepseek-reasoner", 1_000_000, 384_000, _TEXT, _REASONING, "MD"),
    Row("deepseek-v4-flash", 1_000_000, 384_000, _TEXT, _FULL, "LC, MD"),
    Row("deepseek-v4-pro", 131_072, None, _TEXT, _FULL, "CF: window; LC, MD: the rest"),
    # Groq
    Row("llama-3.1-8b-instant", 131_072, None, _TEXT, _TOOLS, "LC, MD"),
    Row("llama-3.3-70b-versatile", 131_072, 32_768, _TEXT, _TOOLS, "LC, MD"),
    Row("qwen3-32b", 131_072, 40_960, _TEXT, _REASONING, "LC"),
    Row("deepseek-r1-distill-llama-70b", 131_072, 8_192, _TEXT, _REASONING, "LC"),
    Row("llama-4-scout-17b-16e-instruct llama-4-maverick-17b-128e-instruct", 131_072, 8_192, _IMAGE, _CHAT, "LC"),
    # Mistral
    Row("mistral-large-latest mistral-large-2512 mistral-medium-2508", 262_144, None, _IMAGE, _TOOLS, "LC, MD"),
    Row("mistral-medium-latest mistral-medium-2604", 262_144, None, _IMAGE, _FULL, "LC, MD"),
    Row("mistral-medium-2505", 131_072, None, _IMAGE, _TOOLS, "LC, MD"),
    Row("mistral-large-2411", 131_072, 16_384, _TEXT, _TOOLS, "LC, MD"),
    Row("mistral-small-latest mistral-small-2603", 256_000, None, _IMAGE, _REASONING, "LC, MD"),
    Row("mistral-small-2506", 128_000, 16_384, _IMAGE, _TOOLS, "LC, MD"),
    Row("magistral-medium-latest", 128_000, 16_384, _TEXT, _REASONING, "LC, MD"),
    Row("magistral-small", 128_000, None, _TEXT, _REASONING, "LC, MD"),
    Row(
        "ministral-3b-latest ministral-8b-latest mistral-nemo open-mistral-nemo", 128_000, None, _TEXT, _TOOLS, "LC, MD"
    ),
    Row("pixtral-12b pixtral-large-latest", 128_000, None, _IMAGE, _TOOLS, "LC, MD"),
    Row("codestral-latest", 256_000, 4_096, _TEXT, _TOOLS, "LC, MD"),
    # Alibaba, Moonshot, Z.ai, MiniMax, Perplexity
    Row("qwen3-max", 262_144, 65_536, _TEXT, _TOOLS, "MD; OR adds a schema; CF: Reasoning, which its samples lack"),
    Row("qwen3.5-397b-a17b", 262_144, 65_536, _VIDEO, _FULL, "MD, OR"),
    Row("qwen3.7-max", 1_000_000, 65_536, _TEXT, _REASONING, "MD; OR: 131,072 out"),
    Row("qwen3.7-plus", 1_000_000, 65_536, _VIDEO, _REASONING, "CF: window, inputs; MD; OR: 131,072 out"),
    Row("qwen3.8-max", 1_000_000, 131_072, _VIDEO, _FULL, "CF: window, inputs; MD, which adds PDF; OR"),
    Row("kimi-k3", 1_048_576, 131_072, _VIDEO, _FULL, "CF: window, which it gives as output too (1,048,576); MD"),
    Row("kimi-k2.5 kimi-k2.6 kimi-k2.7-code", 262_144, None, _IMAGE, _FULL, "MD, OR"),
    Row("glm-4.6 glm-4.7 glm-5", 204_800, 131_072, _TEXT, _REASONING, "MD"),
    Row("glm-5-turbo glm-5.1", 200_000, 131_072, _TEXT, _REASONING, "MD"),
    Row("glm-5.2", 1_000_000, 131_072, _TEXT, _FULL, "MD"),
    Row("minimax/m3", 1_000_000, 128_000, _VIDEO, _REASONING, "CF: window, and 4,096 out; MD: the rest"),
    Row(
        "minimax/m2.7",
        204_800,
        131_072,
        _TEXT,
        _REASONING - {"choice"},
        "MD; CF: 128,000 tokens, 4,096 out, and no tool can be forced",
    ),
    Row("sonar", 128_000, 4_096, _TEXT, _NONE, "MD"),
    Row("sonar-pro", 200_000, 8_000, _IMAGE, _NONE, "OR; MD: 8,192 out"),
    Row("sonar-reasoning-pro", 128_000, 4_096, _IMAGE, _ONLY_REASONING, "MD"),
    Row("sonar-deep-research", 128_000, 32_768, _TEXT, _ONLY_REASONING, "MD"),
)
"""Models of other providers."""

# Cloudflare publishes no bound of the answer alone: §5 code 5021 counts question and answer against the window. Their
# hosts fetch no images (§9.2). `function_calling`, `vision` and `reasoning` are properties of the catalog (§8.8).
WORKERS_AI: tuple[Row, ...] = (
    Row("llama-3.1-8b-instruct", 7_968, None, _TEXT, _NONE, "CF"),
    Row("llama-3.1-8b-instruct-fp8", 32_000, None, _TEXT, _NONE, "CF, MD; recorded cloudflare 22"),
    Row("llama-3.1-8b-instruct-fast", 128_000, None, _TEXT, _NONE, "CF"),
    Row("llama-3.2-1b-instruct", 60_000, None, _TEXT, _NONE, "MD"),
    Row("llama-3.2-3b-instruct", 80_000, None, _TEXT, _NONE, "MD"),
    Row("llama-3.2-11b-vision-instruct", 128_000, None, _IMAGE, _NONE, "MD"),
    Row("llama-3.3-70b-instruct-fp8-fast", 24_000, None, _TEXT, _TOOLS, "MD"),
    Row("llama-4-scout-17b-16e-instruct", 131_000, None, _IMAGE, _TOOLS, "MD"),
    Row("llama-guard-3-8b", 131_072, None, _TEXT, _NONE, "MD"),
    Row("llama-2-7b-chat-hf-lora", 8_192, None, _TEXT, _NONE, "CF"),
    Row("mistral-7b-instruct-v0.2-lora", 15_000, None, _TEXT, _NONE, "models.dev"),
    Row("mistral-small-3.1-24b-instruct", 128_000, None, _TEXT, _TOOLS - {"choice"}, "MD; §9.2: no tool_choice"),
    Row("hermes-2-pro-mistral-7b", 24_000, None, _TEXT, _TOOLS, "CF"),
    Row("gemma-2b-it-lora", 8_192, None, _TEXT, _NONE, "models.dev"),
    Row("gemma-7b-it-lora", 3_500, None, _TEXT, _NONE, "models.dev"),
    Row("gemma-3-12b-it", 80_000, None, _IMAGE, _NONE, "CF"),
    Row("gemma-4-26b-a4b-it", 256_000, None, _IMAGE, _FULL, "MD"),
    Row("gemma-sea-lion-v4-27b-it", 128_000, None, _TEXT, _NONE, "MD"),
    Row("gpt-oss-120b gpt-oss-20b", 128_000, None, _TEXT, _FULL, "MD"),
    Row("kimi-k2.5", 256_000, None, _IMAGE, _FULL, "CF"),
    Row("kimi-k2.6 kimi-k2.7-code", 262_144, None, _IMAGE, _FULL, "CF, MD; recorded cloudflare 25 and 26"),
    Row("nemotron-3-120b-a12b", 256_000, None, _TEXT, _FULL, "MD"),
    Row("qwen2.5-coder-32b-instruct", 32_768, None, _TEXT, _NONE, "MD"),
    Row("qwen3-30b-a3b-fp8", 32_768, None, _TEXT, _REASONING, "MD"),
    Row("qwen3.8-27b", 262_144, None, _IMAGE, _FULL, "MD"),
    Row("qwq-32b", 24_000, None, _TEXT, _ONLY_REASONING, "MD"),
    Row("deepseek-r1-distill-qwen-32b", 80_000, None, _TEXT, _ONLY_REASONING, "MD"),
    Row("deepseek-v4-flash-0731 deepseek-v4-pro-0813", 1_048_576, None, _TEXT, _FULL, "models.dev; MD: more for flash"),
    Row("glm-4.7-flash", 131_072, None, _TEXT, _FULL, "MD"),
    Row("glm-5.2", 256_000, None, _TEXT, _FULL, "models.dev, measured; CF, MD: 262,144"),
    Row("glm-5.3", 1_048_576, None, _TEXT, _FULL, "models.dev; skills of its maker after OR"),
    Row("glm-5.3-flash", 1_310_720, None, _IMAGE, _FULL, "CF"),
    Row("granite-4.0-h-micro", 131_000, None, _TEXT, _TOOLS, "MD"),
    Row("eurollm-9b-it", 32_000, None, _TEXT, _TOOLS, "CF"),
    Row("clef clef-flash clef-omni", 65_536, None, _IMAGE, _NONE, "CF; §14.7: decision models, which do not chat"),
    Row("apertus-v1.5-8b", 262_144, None, _IMAGE, _TOOLS, "CF"),
)
"""Models that Cloudflare runs itself, whose windows are not those of the same models elsewhere."""

# Unknown models are sent everything, and the server decides; only a schema, which agents would choose automatically, is
# not promised.
_UNKNOWN = Row("", 128_000, None, _TEXT, _TOOLS, "a guess").profile(is_listed=False)
_UNKNOWN_WORKERS_AI = Row("", 8_192, None, _TEXT, _TOOLS, "a guess").profile(is_listed=False)


def _canonical(name: str) -> str:
    """One spelling for `claude-haiku-4.5` and `claude-haiku-4-5`, which both occur (§1.3)."""
    return name.lower().replace(".", "-")


def _index(rows: tuple[Row, ...]) -> Mapping[str, Profile]:
    return {_canonical(name): profile for row in rows for profile in (row.profile(),) for name in row.models.split()}


_INDEX = _index(TABLE)
_WORKERS_AI_INDEX = _index(WORKERS_AI)

_SEPARATOR = re.compile(r"[-:@]")
_VERSION = re.compile(r"-\d{1,2}(?!\d)")
_OTHER_KIND = re.compile(r"-(?:audio|embedding|image|live|moderation|realtime|transcribe|translate|tts)\b")


@lru_cache(maxsize=1024)
def profile_of(model: str) -> Profile:
    """What a model can do, or a guess with `is_listed` False.

    The name without its provider, `@cf/` and author is looked up as it is, then without its last suffix, and so on. A
    suffix that begins with a number of one or two digits makes another version, and one like `-image` another kind of
    model: the row of `gpt-4` says nothing about `gpt-4.5`. A dynamic route is never known, whatever its name: the
    gateway chooses its model.

    Accepts any string, and never raises.
    """
    name = _canonical(model).removeprefix("workers-ai/")
    on_workers_ai = name.startswith(IN_PATH)
    if not name.startswith("dynamic/"):
        index = _WORKERS_AI_INDEX if on_workers_ai else _INDEX
        profile = _longest_match(name, index) or _longest_match(name.rpartition("/")[2], index)
        if profile is not None:
            return profile
    return _UNKNOWN_WORKERS_AI if on_workers_ai else _UNKNOWN


def _longest_match(name: str, index: Mapping[str, Profile]) -> Profile | None:
    """The profile of a name, or of its longest beginning that names the same model."""
    for end in [len(name), *reversed([match.start() for match in _SEPARATOR.finditer(name)])]:
        profile = index.get(name[:end])
        if profile is not None and not _VERSION.match(name, end) and not _OTHER_KIND.search(name, end):
            return profile
    return None
