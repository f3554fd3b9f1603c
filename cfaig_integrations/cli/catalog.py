"""Models as `cfaig models` shows them: those of Workers AI from the account, those of other vendors from a list."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from cfaig_integrations.client.sync import Client
from cfaig_integrations.gateway import catalog
from cfaig_integrations.gateway.connection import Connection
from cfaig_integrations.gateway.models import embeddings
from cfaig_integrations.gateway.models.modalities import kind_of
from cfaig_integrations.gateway.models.profiles import Profile, profile_of
from cfaig_integrations.gateway.models.routes import is_route, rest_id, row_of

_THIRD_PARTY: Mapping[str, str] = {
    "alibaba": "qwen3-max qwen3.7-plus qwen3.8-max",
    "anthropic": (
        "claude-fable-5 claude-haiku-4.5 claude-opus-5 claude-opus-5.5 claude-sonnet-4.5 claude-sonnet-5"
        " claude-sonnet-5.5"
    ),
    "assemblyai": "universal-3.5-pro",
    "black-forest-labs": "flux-video-upscale",
    "bria": "remove-background",
    "bytedance": "seedream-5-pro",
    "cloudflare": "auto image stt",
    "deepseek": "deepseek-v4-pro",
    "elevenlabs": "eleven-v3 music-v2",
    "google": (
        "gemini-2.5-flash gemini-3-flash gemini-3.1-pro gemini-3.5-flash-lite gemini-3.8-flash"
        " gemini-3.8-flash-tts gemini-omni-1.1-flash nano-banana-2"
    ),
    "klingai": "kling-v3-omni",
    "minimax": "m2.7 m3 speech-2.8-hd",
    "moonshotai": "kimi-k3",
    "openai": (
        "gpt-4.1 gpt-4.1-mini gpt-4.1-nano gpt-4o gpt-4o-transcribe gpt-5 gpt-5-nano gpt-5.4 gpt-5.4-pro"
        " gpt-5.5 gpt-5.5-pro gpt-5.6-luna gpt-5.6-sol gpt-5.6-terra gpt-6-astra gpt-6-luna gpt-6-sol"
        " gpt-6.1-sol gpt-image-2 o3 tts-1"
    ),
    "recraft": "recraftv4-vector",
    "xai": "grok-4.20-0309-reasoning grok-4.20-multi-agent-0309 grok-4.3 grok-4.5 grok-4.6 grok-4.7",
}
"""Vendors and names in Cloudflare's catalog and documentation (facts §1.4, §1.6): no API lists them; others exist."""


@dataclass(frozen=True, slots=True)
class Model:
    """What is known about a model.

    Attributes:
        kind: `chat`, or what else it is for.
        wires: Formats in which it is served, the best first.
        wires_with_tools: Those for requests with tools.
        context_window: Tokens of input and output together.
        max_input: Tokens of the input alone, or of one text to embed.
        capabilities: `tools`, `tool_choice`, `schema`, `reasoning`, and kinds of input besides text.
        limits: Further limits, such as texts per request and dimensions of an embedding model.
    """

    id: str
    kind: str
    wires: tuple[str, ...]
    wires_with_tools: tuple[str, ...] = ()
    context_window: int | None = None
    max_input: int | None = None
    max_output: int | None = None
    capabilities: tuple[str, ...] = ()
    limits: Mapping[str, int] = field(default_factory=dict[str, int])
    properties: Mapping[str, Any] = field(default_factory=dict[str, Any])
    description: str = ""
    is_guess: bool = False

    @property
    def author(self) -> str:
        """Its vendor."""
        parts = self.id.split("/")
        return parts[1] if self.id.startswith("@") and len(parts) > 2 else parts[0]

    def fields(self) -> dict[str, Any]:
        """The model as JSON, without what is not known."""
        values = {name: getattr(self, name) for name in self.__slots__}
        return {name: value for name, value in values.items() if value not in (None, "", (), {})}


def model_of(name: str, properties: Mapping[str, Any] | None = None, description: str = "") -> Model:
    """What is known about an id.

    Raises:
        ConfigError: It is not a valid id.
    """
    model, properties = rest_id(name), properties or {}
    row, kind = row_of(model), kind_of(model)
    window = _integer(properties.get("context_window"))
    described = partial(Model, id=model, properties=properties, description=description)
    if kind is None:
        profile = profile_of(model)
        return described(
            kind="chat",
            wires=(*row.wires.plain, *(() if is_route(model) else ("run",))),
            wires_with_tools=row.wires.tools,
            context_window=window or profile.context_window,
            max_input=min(profile.max_input, window) if window else profile.max_input,
            max_output=profile.max_output,
            capabilities=_capabilities(profile, properties),
            is_guess=not profile.is_listed,
        )
    if kind.kind != "embedding":
        task = kind.task.removeprefix("a ").removeprefix("an ").removesuffix(" model")
        return described(kind=task, wires=("run",), context_window=window)
    embedding = embeddings.model_of(model)
    limits = {"texts_per_request": embedding.max_items, "dimensions": embedding.dimensions}
    return described(
        kind="embedding",
        wires=("run", "embeddings") if model.startswith("@") else ("embeddings",),
        max_input=embedding.max_tokens or _integer(properties.get("max_input_tokens")),
        limits={name: value for name, value in limits.items() if value is not None},
    )


def _capabilities(profile: Profile, properties: Mapping[str, Any]) -> tuple[str, ...]:
    has = {
        "tools": profile.tools or _is_true(properties.get("function_calling")),
        "tool_choice": profile.tool_choice,
        "schema": profile.structured_output,
        "reasoning": profile.reasoning or _is_true(properties.get("reasoning")),
    }
    inputs = sorted(profile.inputs - {"text"})
    if _is_true(properties.get("vision")) and "image" not in inputs:
        inputs.append("image")
    return (*(name for name, value in has.items() if value), *inputs)


def _is_true(value: object) -> bool:
    return value is True or value == "true"


def _integer(value: object) -> int | None:
    text = str(value)
    return int(text) if text.isascii() and text.isdigit() and len(text) < 12 else None


def third_party() -> list[Model]:
    """The models of other vendors that are known."""
    return [model_of(f"{author}/{name}") for author, names in _THIRD_PARTY.items() for name in names.split()]


def workers_ai(connection: Connection, search: str) -> list[Model]:
    """The models of Workers AI that a search finds.

    Raises:
        GatewayError: The API returns an error, or cannot be reached.
    """
    entries = Client(connection).run(catalog.models(connection, search=search))
    return [model_of(entry.name, entry.properties, entry.description) for entry in entries]
