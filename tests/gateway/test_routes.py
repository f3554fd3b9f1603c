"""Model id and request to a route, and the invariants of the table."""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any, get_args

import pytest

from cfaig_integrations.core.chat import ChatRequest, Continuation, FunctionTool, NativeTool, ToolSpec
from cfaig_integrations.core.content import (
    Media,
    Opaque,
    Part,
    Reasoning,
    Role,
    Text,
    ToolCall,
    ToolResult,
    Turn,
    Wire,
    extras_of,
)
from cfaig_integrations.errors import ConfigError
from cfaig_integrations.gateway.models.routes import (
    TABLE,
    Api,
    Route,
    Row,
    forget,
    is_shape_refusal,
    learn,
    refuses_force,
    route,
    row_of,
)
from cfaig_integrations.wire.registry import codec

ADD = FunctionTool("add", "Adds.", {"type": "object", "properties": {}})
SEARCH = NativeTool({"type": "web_search"})


def ask(model: str, *tools: ToolSpec, turns: tuple[Turn, ...] = (), **fields: Any) -> ChatRequest:
    return ChatRequest(model, (*turns, Turn("user", (Text("Hello"),))), tools=tools, **fields)


def history(*parts: Part, role: Role = "assistant") -> tuple[Turn, ...]:
    return (Turn("user", (Text("Before"),)), Turn(role, parts))


# Model, tools, wire, the other wire.
AUTO: list[tuple[str, tuple[ToolSpec, ...], Wire, Wire | None]] = [
    ("openai/gpt-5.4", (), "chat_completions", "responses"),
    ("openai/gpt-5.4", (ADD,), "responses", "chat_completions"),
    ("openai/gpt-5.4", (SEARCH,), "responses", None),
    ("openai/gpt-5.6-luna", (), "responses", None),
    ("openai/gpt-5.6-terra", (ADD,), "responses", None),
    ("openai/gpt-6.1-sol", (), "chat_completions", "responses"),
    ("openai/gpt-6.1-sol", (ADD,), "responses", None),
    ("openai/gpt-5.4-pro", (), "responses", None),
    ("openai/gpt-5.5-pro", (ADD,), "responses", None),
    ("openai/o3-pro", (), "responses", None),
    ("openai/gpt-6-sol", (), "chat_completions", "responses"),
    ("openai/gpt-6-sol", (ADD,), "responses", "chat_completions"),
    ("anthropic/claude-sonnet-4.5", (), "messages", None),
    ("anthropic/claude-sonnet-4.5", (ADD,), "messages", None),
    ("anthropic/claude-opus-5.5", (ADD,), "messages", None),
    ("minimax/m3", (), "chat_completions", "messages"),
    ("minimax/m3", (ADD,), "messages", "chat_completions"),
    ("minimax/m2.7", (ADD,), "chat_completions", None),
    ("moonshotai/kimi-k3", (ADD,), "chat_completions", None),
    ("alibaba/qwen3-max", (ADD,), "chat_completions", None),
    ("alibaba/qwen3.8-max", (ADD,), "responses", "chat_completions"),
    ("xai/grok-4.6", (), "chat_completions", None),
    ("xai/grok-4.6", (ADD,), "chat_completions", None),
    ("xai/grok-4.6", (SEARCH,), "chat_completions", None),
    ("xai/grok-4.20-multi-agent-0309", (SEARCH,), "responses", None),
    ("xai/grok-4.20-multi-agent-0309", (), "responses", None),
    ("google/gemini-3-flash", (), "chat_completions", None),
    ("google/gemini-3-flash", (ADD,), "chat_completions", None),
    ("deepseek/deepseek-v4-pro", (ADD,), "chat_completions", None),
    ("@cf/openai/gpt-oss-120b", (), "chat_completions", "responses"),
    ("@cf/openai/gpt-oss-120b", (ADD,), "responses", "chat_completions"),
    ("@cf/moonshotai/kimi-k2.6", (ADD,), "chat_completions", None),
    ("@cf/meta/llama-3.1-8b-instruct", (ADD,), "chat_completions", None),
    ("dynamic/support", (ADD,), "chat_completions", None),
    ("cloudflare/auto", (ADD,), "chat_completions", "responses"),
    ("cloudflare/auto", (SEARCH,), "responses", None),
    ("gpt-5", (ADD,), "responses", "chat_completions"),
]


@pytest.mark.parametrize(("model", "tools", "wire", "other"), AUTO)
def test_auto_chooses_by_model_and_tools(
    model: str, tools: tuple[ToolSpec, ...], wire: Wire, other: Wire | None
) -> None:
    chosen = route(ask(model, *tools))
    assert (chosen.wire, chosen.alternative, chosen.model) == (wire, other, model)


def test_every_format_has_a_path_and_can_be_chosen() -> None:
    assert set(get_args(Api)) == {"auto", *get_args(Wire)}
    for wire in get_args(Wire):
        assert route(ask("acme/m"), api=wire).wire == wire


@pytest.mark.parametrize(
    ("api", "path"),
    [
        ("chat_completions", "/ai/v1/chat/completions"),
        ("responses", "/ai/v1/responses"),
        ("messages", "/ai/v1/messages"),
        ("run", "/ai/run"),
    ],
)
@pytest.mark.parametrize("model", ["openai/gpt-5.6-sol", "anthropic/claude-opus-5", "xai/grok-4.6", "acme/m"])
@pytest.mark.parametrize("tools", [(), (ADD,)])
def test_an_explicit_api_is_never_overridden(api: Api, path: str, model: str, tools: tuple[ToolSpec, ...]) -> None:
    chosen = route(ask(model, *tools), api=api)
    assert (chosen.wire, chosen.path, chosen.alternative) == (api, path, None)
    assert (chosen.envelope, chosen.model_in_body) == (api == "run", True)


@pytest.mark.parametrize("model", ["@cf/meta/llama-3.1-8b-instruct", "@hf/nousresearch/hermes-2-pro-mistral-7b"])
def test_workers_ai_runs_under_its_own_path_without_envelope(model: str) -> None:
    """facts §1.1: the id unescaped, and no `input` around the body."""
    chosen = route(ask(model), api="run")
    quirks = row_of(model).quirks
    assert chosen == Route("run", model, f"/ai/run/{model}", False, False, quirks, codec("run").features(quirks))


# facts §1.3, §14.6: one model, as both hosts spell it.
SPELLINGS = [
    ("google/gemini-3-flash", "google-ai-studio/gemini-3-flash"),
    ("xai/grok-4.6", "grok/grok-4.6"),
    ("@cf/zai-org/glm-5.2", "workers-ai/@cf/zai-org/glm-5.2"),
    ("openai/gpt-5.4", "openai/gpt-5.4"),
    ("groq/llama-3.3-70b-versatile", "groq/llama-3.3-70b-versatile"),
]


@pytest.mark.parametrize(("rest", "legacy_id"), SPELLINGS)
def test_model_ids_take_the_spelling_of_the_host(rest: str, legacy_id: str) -> None:
    for spelling in (rest, legacy_id):
        assert route(ask(spelling)).model == rest
        assert route(ask(spelling), legacy=True).model == legacy_id
        assert route(ask(spelling)).quirks == route(ask(spelling), legacy=True).quirks == row_of(rest).quirks


# Model, whether it refuses one tool by name, whether it refuses any of several.
REFUSED_FORCE = [
    ("openai/gpt-5.4", False, False),
    ("acme/m", False, False),
    ("anthropic/claude-sonnet-5", False, False),
    ("anthropic/claude-opus-5.5", True, True),
    ("@cf/mistralai/mistral-small-3.1-24b-instruct", True, True),
    ("minimax/m2.7", True, True),
    ("minimax/m3", False, False),
    ("@cf/zai-org/glm-4.7-flash", False, True),
    ("no model id", False, False),
]


@pytest.mark.parametrize(("model", "one", "several"), REFUSED_FORCE)
def test_models_that_refuse_a_forced_call(model: str, one: bool, several: bool) -> None:
    assert (refuses_force(model, "auto"), refuses_force(model, "auto", several=True)) == (one, several)


# model, what the error must say
OTHER_KINDS = [
    ("@cf/baai/bge-m3", "embedding model.*CloudflareAIGatewayEmbedding"),
    ("workers-ai/@cf/baai/bge-m3", "embedding model"),
    ("openai/text-embedding-3-small", "embedding model"),
    ("@cf/baai/bge-reranker-base", "reranking model.*CloudflareAIGatewayRerank"),
    ("@cf/cloudflare/clef", "decision model"),
    ("@cf/cloudflare/clef-flash", "decision model"),
    ("@cf/cloudflare/clef-omni", "decision model"),
    ("cloudflare/image", "image generation model"),
    ("openai/gpt-image-2", "image generation model"),
    ("openai/tts-1", "text-to-speech model"),
    ("google/gemini-3.8-flash-tts", "text-to-speech model"),
    ("openai/gpt-4o-transcribe", "speech recognition model"),
    ("@cf/openai/whisper-large-v3-turbo", "speech recognition model"),
    ("google/gemini-omni-1.1-flash", "video generation model"),
    ("@cf/meta/m2m100-1.2b", "translation model"),
]


@pytest.mark.parametrize(("model", "message"), OTHER_KINDS)
@pytest.mark.parametrize("api", get_args(Api))
def test_other_kinds_of_models_are_refused(model: str, message: str, api: Api) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        route(ask(model), api=api)
    assert (caught.value.field, len(str(caught.value)) < 220) == ("model", True)


@pytest.mark.parametrize(
    "model",
    [
        "alibaba/qwen3-omni-flash",
        "amazon/nova-pro",
        "openai/gpt-audio",
        "dynamic/image",
        "dynamic/tts",
        "cloudflare/auto",
        "@cf/meta/llama-3.2-11b-vision-instruct",
        "acme/imagery-writer",
    ],
)
def test_names_that_resemble_another_kind_are_accepted(model: str) -> None:
    assert route(ask(model)).wire


def test_the_legacy_host_accepts_any_model_of_a_provider() -> None:
    assert route(ask("google/gemini-2.5-flash-image"), legacy=True).model == "google-ai-studio/gemini-2.5-flash-image"
    with pytest.raises(ConfigError, match="embedding"):
        route(ask("@cf/baai/bge-m3"), legacy=True)


@pytest.mark.parametrize("model", ["dynamic/support", "cloudflare/auto"])
def test_dynamic_routes_and_the_auto_router_have_no_run(model: str) -> None:
    with pytest.raises(ConfigError, match="run"):
        route(ask(model), api="run")


@pytest.mark.parametrize("model", ["openai/gpt-5.6-sol", "anthropic/claude-opus-5", "dynamic/x", "@cf/meta/llama-4"])
@pytest.mark.parametrize("api", get_args(Api))
def test_the_legacy_host_has_chat_completions_only(model: str, api: Api) -> None:
    if api not in ("auto", "chat_completions"):
        with pytest.raises(ConfigError) as caught:
            route(ask(model, ADD), api=api, legacy=True)
        assert (caught.value.field, caught.value.value) == ("api", api)
        return
    chosen = route(ask(model, ADD), api=api, legacy=True)
    assert (chosen.wire, chosen.path, chosen.alternative) == ("chat_completions", "/chat/completions", None)
    assert chosen.model == ("workers-ai/@cf/meta/llama-4" if model.startswith("@cf/") else model)


def test_workers_ai_prefix() -> None:
    """facts §1.3."""
    request = ask("workers-ai/@cf/zai-org/glm-4.7-flash")
    assert route(request).model == "@cf/zai-org/glm-4.7-flash"
    assert route(request).quirks.required_as_named
    assert route(request, legacy=True).model == request.model
    assert route(request, legacy=True).quirks.required_as_named


@pytest.mark.parametrize(
    "model",
    [
        "",
        " ",
        "openai/gpt 5",
        "a/../b",
        "..",
        "a?b=c",
        "a#b",
        "a\nb",
        "a\x00",
        "ü/m",
        "/a",
        "a/",
        "a//b",
        "a%2Fb",
        "a\\b",
    ],
)
@pytest.mark.parametrize("api", ["auto", "run"])
def test_model_ids_that_would_break_the_url_are_refused(model: str, api: Api) -> None:
    with pytest.raises(ConfigError) as caught:
        route(ask(model), api=api)
    assert (caught.value.field, caught.value.value) == ("model", model)


MESSAGES_ONLY: dict[str, ChatRequest] = {
    "thinking": ask("anthropic/claude-opus-5", ADD, thinking={"type": "enabled", "budget_tokens": 2048}),
    "a dated tool": ask("anthropic/claude-opus-5", NativeTool({"type": "web_search_20250305", "name": "web_search"})),
    "a tool with an input schema": ask("anthropic/claude-opus-5", NativeTool({"name": "a", "input_schema": {}})),
    "a cache marker on a tool": ask(
        "anthropic/claude-opus-5", FunctionTool("a", "", {}, extras=extras_of("messages", cache_control={}))
    ),
    "a cache marker on a text": ask(
        "anthropic/claude-opus-5",
        ADD,
        turns=history(Text("x", extras=extras_of("messages", cache_control={"type": "ephemeral"})), role="user"),
    ),
    "a thinking signature": ask(
        "anthropic/claude-opus-5", ADD, turns=history(Reasoning("hm", extras_of("messages", signature="s")))
    ),
    "a block of its own": ask(
        "anthropic/claude-opus-5", ADD, turns=history(Opaque("messages", {"type": "redacted_thinking"}))
    ),
}


@pytest.mark.parametrize("name", MESSAGES_ONLY)
def test_values_of_anthropics_format_go_to_messages(name: str) -> None:
    assert route(MESSAGES_ONLY[name]).wire == "messages"
    assert route(replace(MESSAGES_ONLY[name], model="minimax/m3")).wire == "messages"


NOT_ON_RESPONSES: dict[str, dict[str, Any]] = {
    "stop": {"stop": ("END",)},
    "seed": {"seed": 0},
    "n": {"n": 2},
    "frequency_penalty": {"frequency_penalty": 0.0},
    "presence_penalty": {"presence_penalty": 0.5},
    "top_k": {"top_k": 40},
    "few tokens": {"max_tokens": 5},
    "logit_bias": {"extra_body": {"logit_bias": {"1": 2}}},
    "verbosity": {"extra_body": {"verbosity": "low"}},
    "audio": {"turns": history(Media("audio", data="AAAA", mime="audio/wav"), role="user")},
}


@pytest.mark.parametrize("name", NOT_ON_RESPONSES)
def test_requests_that_responses_cannot_carry(name: str) -> None:
    chosen = route(ask("openai/gpt-5.4", ADD, **NOT_ON_RESPONSES[name]))
    assert (chosen.wire, chosen.alternative) == ("chat_completions", None)


@pytest.mark.parametrize("name", ["stop", "top_k", "few tokens"])
def test_anthropic_models_go_to_messages(name: str) -> None:
    assert route(ask("anthropic/claude-opus-5", ADD, **NOT_ON_RESPONSES[name])).wire == "messages"


@pytest.mark.parametrize(
    "fields",
    [
        {"turns": history(Media("audio", data="AAAA", mime="audio/wav"), role="user")},
        {"extra_body": {"logit_bias": {"1": 2}}},
    ],
)
def test_requests_that_messages_cannot_carry(fields: dict[str, Any]) -> None:
    assert route(ask("minimax/m3", ADD, **fields)).wire == "chat_completions"
    assert route(ask("anthropic/claude-opus-5", ADD, **fields)).wire == "messages"  # its only one, which says why


@pytest.mark.parametrize("fields", [{"stop": ("END",)}, {"top_k": 4}, {"reasoning_effort": "low"}])
def test_fields_that_a_closed_schema_refuses_go_to_the_other_wire(fields: dict[str, Any]) -> None:
    assert route(ask("minimax/m3")).wire == "chat_completions"
    assert route(ask("minimax/m3", **fields)).wire == "messages"


@pytest.mark.parametrize("model", ["openai/gpt-5.4", "@cf/openai/gpt-oss-120b", "minimax/m3"])
def test_body_options_go_to_chat_completions(model: str) -> None:
    """facts §1.2."""
    assert route(ask(model, ADD)).wire != "chat_completions"
    assert route(ask(model, ADD), body_options=True).wire == "chat_completions"


@pytest.mark.parametrize(
    "fields",
    [
        {"reasoning": {"effort": "low", "summary": "auto"}},
        {"previous_response_id": "resp_1"},
        {"turns": history(Media("image", file_id="file-1"), role="user")},
        {"turns": history(Media("file", url="https://a/b.pdf"), role="user")},
        {"turns": history(Reasoning("hm", extras_of("responses", encrypted_content="e")))},
        {"turns": history(Opaque("responses", {"type": "compaction"}))},
        {"extra_body": {"include": ["message.output_text.logprobs"]}},
        {"extra_body": {"truncation": "auto"}},
        {"extra_body": {"context_management": [{"type": "compaction"}]}},
    ],
)
def test_requests_that_chat_completions_cannot_carry(fields: dict[str, Any]) -> None:
    assert route(ask("openai/gpt-5.4", **fields)).wire == "responses"


def test_a_thought_signature_keeps_the_conversation_on_chat_completions() -> None:
    """facts §1.4: without it the replayed call is refused."""
    call = ToolCall("c1", "add", "{}", extras=extras_of("chat_completions", extra_content={"google": {}}))
    turns = (*history(call), Turn("tool", (ToolResult("c1", (Text("1"),)),)))
    assert route(ask("acme/m", ADD, turns=turns)).wire == "chat_completions"
    assert route(ask("acme/m", ADD, turns=history(replace(call, extras={})))).wire == "responses"


def test_a_continued_conversation_goes_to_responses() -> None:
    assert route(ask("openai/gpt-5.4")).wire == "chat_completions"
    asked = route(ask("openai/gpt-5.4", continues=Continuation()))
    assert (asked.wire, asked.alternative) == ("responses", "chat_completions")
    marked = history(Text("Hi", extras=extras_of("messages", cache_control={})), role="user")
    assert route(ask("openai/gpt-5.4", turns=marked, continues=Continuation())).wire == "chat_completions"


def test_the_latest_value_of_one_wire_decides() -> None:
    call = ToolCall("c1", "add", "{}", extras=extras_of("chat_completions", extra_content={"google": {}}))
    result = Turn("tool", (ToolResult("c1", (Text("1"),)),))
    chat, messages = (*history(call), result), history(Reasoning("a", extras_of("messages", signature="s")))
    assert route(ask("minimax/m3", ADD, turns=(*messages, *chat))).wire == "chat_completions"
    assert route(ask("minimax/m3", turns=(*chat, *messages))).wire == "messages"


def test_values_of_a_wire_that_the_model_does_not_have_are_ignored() -> None:
    turns = history(Reasoning("a", extras_of("messages", signature="s")))
    assert route(ask("openai/gpt-5.4", ADD, turns=turns)) == route(ask("openai/gpt-5.4", ADD))


def test_a_request_that_no_wire_can_carry_takes_the_first() -> None:
    assert route(ask("openai/gpt-5.4", seed=1, previous_response_id="r")).wire == "chat_completions"
    assert route(ask("openai/gpt-5.6-sol", ADD, stop=("END",))).wire == "responses"


def test_a_learned_wire_is_used_for_requests_with_or_without_tools_only() -> None:
    learn("acme/m", tools=True, wire="chat_completions")
    assert (route(ask("acme/m", ADD)).wire, route(ask("acme/m", ADD)).alternative) == ("chat_completions", None)
    assert route(ask("acme/m")).alternative == "responses"
    assert route(ask("acme/other", ADD)).wire == "responses"
    assert route(ask("acme/m", ADD), api="responses").wire == "responses"
    forget()
    assert route(ask("acme/m", ADD)).wire == "responses"


def test_a_learned_wire_that_cannot_carry_a_request_is_ignored() -> None:
    learn("acme/m", tools=True, wire="responses")
    assert route(ask("acme/m", ADD, seed=1)).wire == "chat_completions"


def test_threads_can_learn_concurrently() -> None:
    def one(i: int) -> Wire:
        learn(f"acme/m{i % 7}", tools=True, wire="chat_completions")
        return route(ask(f"acme/m{i % 7}", ADD)).wire

    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(one, range(400))) == {"chat_completions"}


SHAPE: list[tuple[int, int | str | None, str, bool]] = [
    (400, 7003, "Model execution failed (User Input Error): Invalid value at 'input'", True),
    (400, 7003, "Function tools with reasoning_effort are not supported in /v1/chat/completions.", True),
    (400, 5006, "Bad input: Error: oneOf at '/' not met", True),
    (400, "invalid_prompt", "Bad input: Error: required properties at '/' are 'prompt'", True),
    (400, 7003, "Model execution failed (User Input Error): `temperature` is not supported on this model.", False),
    (400, 7003, "Model execution failed (User Input Error): missing a thought_signature", False),
    (400, 7003, "Model execution failed (User Input Error): prompt is too long", False),
    (404, 7003, "Model not found: acme/m", False),
    (402, 7003, "Wholesale rate limit exceeded for this gateway.", False),
    (402, 2021, "Gateway authentication is required to use unified billing", True),
    (402, None, "Gateway authentication is required", True),
    (402, 2021, "Insufficient balance; add money to your gateway or use BYOK", False),
    (405, None, "Method Not Allowed", True),
    (405, 7000, "The server answered 405 and did not say why", True),
    (404, None, "Not Found", True),
    (404, None, "The server answered 404 and did not say why", True),
    (404, 7000, "No route for that URI", True),
    (400, 7000, "No route for that URI", True),
    (404, None, "Invalid URL (POST /v1/responses)", True),
    (404, 7003, "Could not route to /accounts/x/ai/v1/responses, perhaps your object identifier is invalid?", False),
    (404, "model_not_found", "The model `m` does not exist or you do not have access to it.", False),
    (404, None, "The model `m` does not exist", False),
    (404, None, "Item with id 'rs_1' not found. Items are not persisted when `store` is set to false.", False),
    (404, "previous_response_not_found", "Previous response with id 'resp_1' not found.", False),
    (400, 2005, "Failed to get response from provider", False),
    (400, None, "Invalid value at 'input'", False),
    (500, 5006, "Bad input", False),
    (200, 7003, "User Input Error", False),
]


@pytest.mark.parametrize(("status", "code", "message", "refusal"), SHAPE)
def test_errors_that_are_a_reason_to_try_another_wire(
    status: int, code: int | str | None, message: str, refusal: bool
) -> None:
    assert is_shape_refusal(status, code, message) is refusal


# facts §9.1-9.3 and §1.4: model -> quirks that it must have.
QUIRKS: list[tuple[str, dict[str, Any]]] = [
    ("openai/gpt-4.1", {"max_tokens_field": "max_completion_tokens", "data_urls_only": False, "strict_schema": True}),
    ("openai/gpt-5.6-sol", {"max_tokens_field": "max_completion_tokens", "run_body": "responses"}),
    ("anthropic/claude-opus-5", {"run_body": "messages", "max_output": 128_000, "max_tokens_field": "max_tokens"}),
    ("google/gemini-3-flash", {"run_body": "chat_completions", "reasoning_field": None}),
    (
        "@cf/qwen/qwen3-30b-a3b-fp8",
        {
            "data_urls_only": True,
            "reasoning_field": "reasoning_content",
            "strict_schema": False,
            "schema_form": "envelope",
            "thinking_switch": "enable_thinking",
            "run_body": "chat_completions",
        },
    ),
    ("@cf/zai-org/glm-4.7-flash", {"required_as_named": True, "data_urls_only": True}),
    ("@cf/zai-org/glm-5.2", {"required_as_named": False}),
    (
        "@cf/mistralai/mistral-small-3.1-24b-instruct",
        {"no_forced_tool": True, "mistral_turns": True, "schema_form": "guided_json", "thinking_switch": "none"},
    ),
    ("@cf/moonshotai/kimi-k2.6", {"thinking_switch": "thinking", "reasoning_field": "reasoning_content"}),
    ("@cf/moonshotai/kimi-k2.5", {"thinking_switch": "none"}),
    ("@cf/zai-org/glm-5.3-flash", {"thinking_switch": "none", "efforts": ("low", "high", "max")}),
    ("@cf/qwen/qwen3-30b-a3b-fp8", {"efforts": ("none", "low", "medium", "high", "max"), "single_as_named": True}),
    (
        "@cf/openai/gpt-oss-120b",
        {
            "thinking_switch": "none",
            "no_forced_tool": False,
            "forced_as_text": True,
            "efforts": ("low", "medium", "high"),
        },
    ),
    (
        "xai/grok-4.7",
        {"closed_history": True, "schema_description": False, "efforts": ("low", "medium", "high", "xhigh")},
    ),
    ("minimax/m2.7", {"no_forced_tool": True, "bare_tools": True, "json_object": False, "schema_type_only": True}),
    ("openai/gpt-5.4-pro", {"parallel_choice": False, "efforts": ("none", "low", "medium", "high")}),
    ("anthropic/claude-sonnet-5", {"adaptive_thinking": True, "refused": {"temperature", "top_p", "top_k"}}),
    ("anthropic/claude-fable-5.1", {"adaptive_thinking": True}),
    ("anthropic/claude-haiku-4.5", {"adaptive_thinking": False, "refused": set()}),
    ("anthropic/claude-sonnet-4-5-20250929", {"adaptive_thinking": False}),
    ("anthropic/claude-3.7-sonnet", {"adaptive_thinking": False}),
    ("anthropic/claude-opus-5.5", {"no_forced_tool": True, "adaptive_thinking": True}),
    ("@cf/meta/llama-3.3-70b-instruct-fp8-fast", {"schema_form": "bare", "run_body": "native"}),
    ("@cf/meta/llama-4-scout-17b-16e-instruct", {"schema_form": "envelope", "run_body": "native"}),
    ("@cf/deepseek-ai/deepseek-r1-distill-qwen-32b", {"schema_form": "bare"}),
    ("@hf/nousresearch/hermes-2-pro-mistral-7b", {"schema_form": "bare", "run_body": "native"}),
    ("dynamic/support", {"max_tokens_field": "max_tokens", "run_body": "chat_completions"}),
]


@pytest.mark.parametrize(("model", "facts"), QUIRKS)
@pytest.mark.parametrize("api", ["auto", "chat_completions"])
def test_quirks_of_models(model: str, facts: dict[str, Any], api: Api) -> None:
    quirks = route(ask(model, ADD), api=api).quirks
    assert {name: getattr(quirks, name) for name in facts} == facts


@pytest.mark.parametrize("row", TABLE, ids=lambda row: row.models)
def test_each_row_is_valid_reachable_and_has_evidence(row: Row) -> None:
    assert row.evidence.strip()
    for wires in row.wires:
        assert wires
        assert len(set(wires)) == len(wires)
        assert set(wires) <= {"chat_completions", "responses", "messages"}
    for pattern in row.models.split():
        assert row_of(re.sub(r"\[(.).*?\]", r"\1", pattern).replace("*", "-zz")) is row


def test_patterns_are_unique_and_the_last_matches_everything() -> None:
    patterns = [pattern for row in TABLE for pattern in row.models.split()]
    assert len(set(patterns)) == len(patterns)
    assert patterns.index("*") == len(patterns) - 1
