"""Cloudflare's catalogue of models against tables and wires: what it shows is sent, read, or refused by name."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from typing import Any

import pytest

from cfaig_integrations.core.chat import (
    ChatReply,
    ChatRequest,
    FunctionTool,
    NamedTool,
    NativeTool,
    OutputSchema,
    ToolSpec,
)
from cfaig_integrations.core.content import Media, Text, ToolCall, Turn, Wire
from cfaig_integrations.core.vectors import EmbedRequest, RerankRequest
from cfaig_integrations.errors import ConfigError
from cfaig_integrations.gateway.models.embeddings import embed_route, rerank_route
from cfaig_integrations.gateway.models.modalities import kind_of
from cfaig_integrations.gateway.models.profiles import TABLE, WORKERS_AI, Row, profile_of
from cfaig_integrations.gateway.models.routes import forget, route, row_of
from cfaig_integrations.wire import embeddings, rerank
from cfaig_integrations.wire.registry import codec
from tests.wire.harness import RECORDED, folded, needs_complete_recordings

Json = dict[str, Any]


def lines(name: str) -> list[Json]:
    path = RECORDED / "catalogue" / f"{name}.jsonl"
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()] if path.is_file() else []


MODELS = lines("models")
SAMPLES = lines("samples")
CHATS = [one for one in SAMPLES if one["wire"] in ("chat_completions", "responses", "messages", "run")]
READ = [one for one in CHATS if one["raw_response"] is not None]
VECTORS = [one for one in SAMPLES if one["wire"] in ("embeddings_run", "rerank")]
OTHERS = [one for one in SAMPLES if one["wire"] in ("media", "embeddings_run", "rerank")]
FORMATS: dict[str, Wire] = {
    "chat-completions": "chat_completions",
    "responses": "responses",
    "anthropic-messages": "messages",
}
TASKS = {
    "Text-to-Image": "image generation",
    "Image-to-Image": "image generation",
    "Image-to-Text": "image captioning",
    "Automatic Speech Recognition": "speech recognition",
    "Text-to-Speech": "text-to-speech",
    "Text-to-Video": "video generation",
    "video-to-video": "video generation",
    "Music Generation": "music generation",
    "Decision": "decision",
    "Translation": "translation",
    "Summarization": "summarization",
    "Object Detection": "object detection",
    "Voice Activity Detection": "voice activity detection",
    "Text Embeddings": "embedding",
    "Text Classification": "classification|reranking",
}


def named(one: Json) -> str:
    return f"{one['model']} {one.get('name', '')}".strip()


@pytest.fixture(autouse=True)
def _forget_learned_wires() -> None:
    forget()


@needs_complete_recordings
def test_the_catalogue_is_complete() -> None:
    assert (len(MODELS), len(SAMPLES), len(CHATS) + len(OTHERS)) == (73, 91, 91)


# What the samples send


def request_of(model: str, body: Json) -> ChatRequest:
    """The request that stands for a sample's body."""
    config: Json = body.get("generationConfig", {})
    messages = [("system", text) for text in (body.get("system"), body.get("instructions")) if text]
    messages += [("system", part["text"]) for part in body.get("systemInstruction", {}).get("parts", ())]
    messages += [(one["role"], one["content"]) for one in body.get("messages", ())]
    items = body.get("input", [])
    messages += [("user", items)] if isinstance(items, str) else [(one["role"], one["content"]) for one in items]
    messages += [(one["role"], one["parts"][0]["text"]) for one in body.get("contents", ())]
    form: Json | None = body.get("response_format")
    return ChatRequest(
        model,
        tuple(Turn("assistant" if role == "model" else role, parts_of(content)) for role, content in messages),  # type: ignore[arg-type]  # roles of a file
        tools=tuple(map(tool_of, body.get("tools", ()))),
        tool_choice=body.get("tool_choice"),
        output=None if form is None else OutputSchema(**form["json_schema"]),
        max_tokens=next((body[name] for name in body if name.startswith("max_")), config.get("maxOutputTokens")),
        temperature=body.get("temperature", config.get("temperature")),
        thinking=body.get("thinking"),
        reasoning=body.get("reasoning"),
        reasoning_effort=body.get("reasoning_effort", body.get("output_config", {}).get("effort")),
        stream_usage="stream_options" in body,
    )


def parts_of(content: Any) -> tuple[Text | Media, ...]:
    if isinstance(content, str):
        return (Text(content),)
    return tuple(
        Text(one["text"]) if one["type"] == "text" else Media("image", url=one["image_url"]["url"]) for one in content
    )


def tool_of(tool: Json) -> ToolSpec:
    if "function" not in tool:
        return NativeTool(tool)
    function = tool["function"]
    return FunctionTool(
        function["name"], function.get("description", ""), function["parameters"], function.get("strict")
    )


def expected(body: Json) -> Json:
    """A sample's body as this package writes it, where the format allows two ways."""
    body = dict(body)
    if isinstance(body.get("input"), str):  # OpenAI's short form of one user message
        body["input"] = [{"role": "user", "content": body["input"]}]
    if "instructions" in body:  # the same as a system message that stands first, which a conversation keeps
        body["input"] = [{"role": "system", "content": body.pop("instructions")}, *body["input"]]
    if "contents" in body:  # Google's own format; the catalogue offers chat completions beside it, which are used
        words = {"maxOutputTokens": "max_tokens", "temperature": "temperature"}
        asked = request_of("", body)
        messages = [{"role": turn.role, "content": part.text} for turn in asked.turns for part in turn.parts]  # type: ignore[union-attr]  # all are texts
        body = {"messages": messages, **{words[key]: value for key, value in body.get("generationConfig", {}).items()}}
    return body


@needs_complete_recordings
@pytest.mark.parametrize("sample", CHATS, ids=named)
def test_requests_equal_the_samples(sample: Json) -> None:
    request = request_of(sample["model"], sample["request"])
    wire = "chat_completions" if sample["wire"] == "run" else sample["wire"]
    chosen = route(request, api=wire)
    body = codec(chosen.wire).encode(request, stream=sample["request"].get("stream", False), quirks=chosen.quirks)
    assert body.pop("model") == sample["model"]
    assert body == expected(sample["request"])


@needs_complete_recordings
@pytest.mark.parametrize("sample", CHATS, ids=named)
def test_auto_takes_a_listed_format(sample: Json) -> None:
    chosen = route(request_of(sample["model"], sample["request"]))
    shown = "chat_completions" if sample["wire"] == "run" else sample["wire"]  # see `expected`
    assert chosen.wire in (formats_of(sample["model"]) or {shown})


# What they answer


def streamed(wire: Wire, chunks: list[Json]) -> bytes:
    events = [
        (f"event: {chunk['type']}\n" if wire != "chat_completions" else "") + f"data: {json.dumps(chunk)}\n\n"
        for chunk in chunks
    ]
    return "".join([*events, "data: [DONE]\n\n" if wire == "chat_completions" else ""]).encode()


def texts_in(raw: Any) -> str:
    """The text of an answer, found without a codec: in the places where the four formats keep it."""
    match raw:
        case list():
            return "".join(map(texts_in, raw))
        case {"result": {} as answer}:
            return texts_in(answer)
        case {"delta": {"text": str(text)}}:
            return text
        case {"choices": choices}:
            messages = [choice.get("message") or choice.get("delta") for choice in choices]
            return "".join(message.get("content") or "" for message in messages)
        case {"candidates": candidates}:
            return "".join(part.get("text", "") for one in candidates for part in one["content"]["parts"])
        case {"output": items}:
            return "".join(part["text"] for item in items for part in item.get("content") or () if "text" in part)
        case {"content": blocks}:
            return "".join(block["text"] for block in blocks if block["type"] == "text")
        case _:
            return ""


@needs_complete_recordings
@pytest.mark.parametrize("sample", READ, ids=named)
def test_answers_are_decoded(sample: Json) -> None:
    wire, raw = sample["wire"], sample["raw_response"]
    reply: ChatReply = (
        folded(codec(wire), streamed(wire, raw))
        if isinstance(raw, list)
        else codec(wire).decode(json.dumps(raw).encode())
    )
    assert "".join(part.text for part in reply.turn.parts if isinstance(part, Text)) == texts_in(raw)
    calls = [part for part in reply.turn.parts if isinstance(part, ToolCall)]
    assert bool(calls) == (reply.finish == "tool_calls")
    assert reply.finish in ("stop", "length", "tool_calls")
    assert reply.usage is None or reply.usage.total > 0


@needs_complete_recordings
@pytest.mark.parametrize("sample", VECTORS, ids=named)
def test_vectors_and_rankings_are_encoded_and_decoded(sample: Json) -> None:
    model, asked, raw = sample["model"], dict(sample["request"]), json.dumps(sample["raw_response"]).encode()
    if sample["wire"] == "rerank":
        passages = tuple(one["text"] for one in asked["contexts"])
        ranking = RerankRequest(model, asked["query"], passages, asked.get("top_k"))
        _, top_k = rerank_route(model)
        assert rerank.encode(ranking, top_k=top_k) == asked
        assert rerank.decode(raw, count=len(passages), top=asked.get("top_k")).ranking
        return
    texts = asked.get("text") or asked["documents"]
    request = EmbedRequest(
        model, tuple([texts] if isinstance(texts, str) else texts), truncate=asked.get("truncate_inputs")
    )
    for key in asked.keys() & {"text", "documents"}:
        asked[key] = list(request.texts)  # one text may also stand alone
    assert embeddings.encode_run(request, embed_route(request).row.inputs) == asked
    assert len(embeddings.decode(raw, count=len(request.texts)).vectors) == len(request.texts)


@needs_complete_recordings
@pytest.mark.parametrize("sample", OTHERS, ids=named)
def test_other_kinds_of_models_are_refused(sample: Json) -> None:
    with pytest.raises(ConfigError, match=f"is an? ({TASKS[sample['task']]}) model, not a chat model") as caught:
        route(ChatRequest(sample["model"], (Turn("user", (Text("Hello"),)),)))
    if sample["task"] == "Text Embeddings":
        assert "CloudflareAIGatewayEmbeddings" in caught.value.remedy
    if sample["wire"] == "rerank" and "bge-m3" not in sample["model"]:
        assert "CloudflareAIGatewayReranker" in caught.value.remedy


# What the catalogue says of a model


def formats_of(model: str) -> set[Wire]:
    listed = next((one.get("request_formats") for one in MODELS if one["model"] == model), None)
    return {FORMATS[name.split(" (")[0]] for name in listed} if isinstance(listed, list) else set()


ADD = FunctionTool("add", "Adds.", {"type": "object", "properties": {}})
ASKED: dict[str, Json] = {
    "nothing": {},
    "tools": {"tools": (ADD,)},
    "a forced tool": {"tools": (ADD,), "tool_choice": NamedTool("add")},
    "stop": {"stop": ("END",)},
    "stop and tools": {"tools": (ADD,), "stop": ("END",)},
    "seed": {"seed": 1},
    "a schema": {"output": OutputSchema({"type": "object", "properties": {}})},
    "effort": {"reasoning_effort": "low"},
    "logit_bias": {"extra_body": {"logit_bias": {"1": 2}}, "tools": (ADD,)},
    "include": {"extra_body": {"include": []}},
}


@needs_complete_recordings
@pytest.mark.parametrize("asked", ASKED)
@pytest.mark.parametrize("listed", [one for one in MODELS if isinstance(one.get("request_formats"), list)], ids=named)
def test_every_request_takes_a_listed_format(listed: Json, asked: str) -> None:
    request = ChatRequest(listed["model"], (Turn("user", (Text("Hello"),)),), **ASKED[asked])
    chosen = route(request)
    assert {chosen.wire, chosen.alternative} - {None} <= formats_of(listed["model"])


def row_for(model: str) -> Row:
    profile = profile_of(model)
    assert profile.is_listed
    return next(row for row in (*TABLE, *WORKERS_AI) if row.profile() == profile and row.models in all_names(model))


def all_names(model: str) -> list[str]:
    name = model.rpartition("/")[2]
    return [
        row.models
        for row in (*TABLE, *WORKERS_AI)
        if any(name.startswith(one.rpartition("/")[2]) for one in row.models.split())
    ]


LISTED_CHATS = [one for one in MODELS if kind_of(one["model"]) is None]


@needs_complete_recordings
@pytest.mark.parametrize("listed", LISTED_CHATS, ids=named)
def test_profiles_agree_with_the_catalogue_or_the_evidence_says_why_not(listed: Json) -> None:
    row = row_for(listed["model"])
    evidence = row.evidence
    window, output = listed.get("context_length"), listed.get("max_output_tokens")
    if "1M" in str(listed.get("metadata")):
        window = 1_000_000
    assert window in (None, row.window) or f"{window:,}" in evidence
    assert output in (None, row.output) or f"{output:,}" in evidence
    tags = {*listed.get("tags", ()), *(key for key in ("function_calling", "reasoning", "vision") if listed.get(key))}
    claims = {
        "Reasoning": "reasoning" in row.skills,
        "reasoning": "reasoning" in row.skills,
        "Tool Use": "tools" in row.skills,
        "Function Calling": "tools" in row.skills,
        "function_calling": "tools" in row.skills,
        "Vision": "image" in row.inputs,
        "vision": "image" in row.inputs,
        "Multimodal": "image" in row.inputs,
        "Video": "video" in row.inputs,
    }
    for tag in tags & claims.keys():
        assert claims[tag] or tag in evidence, tag


@needs_complete_recordings
@pytest.mark.parametrize("listed", LISTED_CHATS, ids=named)
def test_models_whose_schema_refuses_forced_calls(listed: Json) -> None:
    chat_only = formats_of(listed["model"]) <= {"chat_completions"}
    if re.search(r"tool_choice (?:enum )?(?:none\|auto|auto\|none)", listed.get("schema", "")) and (
        chat_only or "anthropic" in listed["model"]
    ):
        assert row_of(listed["model"]).quirks.no_forced_tool
        assert not profile_of(listed["model"]).tool_choice


@needs_complete_recordings
@pytest.mark.parametrize("listed", [one for one in MODELS if "reasoning_effort" in one], ids=named)
def test_efforts_are_those_of_the_catalogue(listed: Json) -> None:
    efforts = listed["reasoning_effort"]["supported_efforts"]
    request = ChatRequest(listed["model"], (Turn("user", (Text("Hello"),)),))
    for effort in ("none", "minimal", "low", "medium", "high", "xhigh", "max"):
        chosen = route(replace(request, reasoning_effort=effort))
        if effort in efforts:
            codec(chosen.wire).encode(replace(request, reasoning_effort=effort), stream=False, quirks=chosen.quirks)
            continue
        with pytest.raises(ConfigError) as caught:
            codec(chosen.wire).encode(replace(request, reasoning_effort=effort), stream=False, quirks=chosen.quirks)
        assert all(word in str(caught.value) for word in efforts)
