"""Model id to wire, URL and quirks: a table with its evidence beside each row.

Knows chat models by name, as `vector_routes` knows the others and nobody else does. Knows no host, no header and no
HTTP library. Sections are those of wire-facts.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Literal, TypeAlias

from cfaig_integrations.core.chat import ChatRequest
from cfaig_integrations.core.content import Wire
from cfaig_integrations.errors import ConfigError
from cfaig_integrations.gateway.needs import needs_of
from cfaig_integrations.wire.codec import PLAIN, Quirks

__all__ = [
    "TABLE",
    "Api",
    "Route",
    "Row",
    "affinity_of",
    "carries_pdf_results",
    "forget",
    "is_shape_refusal",
    "learn",
    "route",
    "row_of",
]

Api: TypeAlias = Literal["auto", "chat_completions", "responses", "messages", "run"]


@dataclass(frozen=True, slots=True)
class Route:
    """How one request goes.

    Attributes:
        wire: Wire format.
        model: Model id as it is sent.
        path: After `{base}/accounts/{account_id}`, or after the legacy host's base; the model id in it unescaped.
        envelope: Whether the body is `{"model", "input"}` around what the wire encodes.
        model_in_body: Whether the body names the model; False where the path does.
        quirks: What the wire must respect.
        alternative: Wire to try once if the model refuses the body's shape.
    """

    wire: Wire
    model: str
    path: str
    envelope: bool
    model_in_body: bool
    quirks: Quirks
    alternative: Wire | None = None


@dataclass(frozen=True, slots=True)
class Row:
    """What is known about some models.

    Attributes:
        pattern: A model id, or how one begins if it ends in `*`.
        plain: Wires for a request without tools, the best first.
        tools: Wires for a request with tools.
        quirks: What wires must respect.
        evidence: Where all that is known from.
    """

    pattern: str
    plain: tuple[Wire, ...]
    tools: tuple[Wire, ...]
    quirks: Quirks
    evidence: str

    def fits(self, model: str) -> bool:
        """Whether the row speaks of a model."""
        return model.startswith(self.pattern[:-1]) if self.pattern.endswith("*") else model == self.pattern


_AUTO = "cloudflare/auto"
_CHAT: tuple[Wire, ...] = ("chat_completions",)
_RESPONSES: tuple[Wire, ...] = ("responses",)
_CHAT_FIRST: tuple[Wire, ...] = ("chat_completions", "responses")
_RESPONSES_FIRST: tuple[Wire, ...] = ("responses", "chat_completions")

_OPENAI = Quirks(max_tokens_word="max_completion_tokens", openai_history=True)
_WORKERS_AI = Quirks(
    data_urls_only=True,
    strict_schema=False,
    reasoning_field="reasoning_content",
    openai_history=True,
    thinking_switch="enable_thinking",
)
_ALWAYS_THINKS = replace(_WORKERS_AI, thinking_switch="none")
_NATIVE = replace(_WORKERS_AI, run_body="native")

TABLE: tuple[Row, ...] = (
    Row("dynamic/*", _CHAT, _CHAT, PLAIN, "§1.6: chat completions on both hosts; no route under /ai/run"),
    Row(_AUTO, _CHAT_FIRST, _CHAT_FIRST, PLAIN, "§1.6: Chat Completions and Responses"),
    Row(
        "@cf/openai/gpt-oss*",
        _CHAT_FIRST,
        _RESPONSES_FIRST,
        _ALWAYS_THINKS,
        "§1.1: Responses is model dependent, GPT-OSS has it; §9.3: thinking cannot be switched off",
    ),
    Row(
        "@cf/zai-org/glm-4.7-flash",
        _CHAT,
        _CHAT,
        replace(_WORKERS_AI, required_as_named=True),
        "§9.2: 400 to tool_choice required",
    ),
    Row("@cf/moonshotai/*", _CHAT, _CHAT, _ALWAYS_THINKS, "§9.3: thinking cannot be switched off"),
    Row(
        "@cf/mistral*",
        _CHAT,
        _CHAT,
        replace(_ALWAYS_THINKS, no_forced_tool=True, schema_form="guided_json", mistral_turns=True),
        "§9.1, §9.2, §9.3: no tool_choice, guided_json, ids of nine, no chat_template_kwargs",
    ),
    Row(
        "@cf/meta/llama-3*",
        _CHAT,
        _CHAT,
        replace(_NATIVE, schema_form="bare"),
        "§9.1: JSON mode with a bare schema; §5.1: native answers",
    ),
    Row(
        "@cf/deepseek-ai/deepseek-r1-distill*",
        _CHAT,
        _CHAT,
        replace(_NATIVE, schema_form="bare"),
        "§9.1: JSON mode with a bare schema",
    ),
    Row("@cf/meta/*", _CHAT, _CHAT, _NATIVE, "recorded cloudflare 8 and 9: Llama 4 answers natively on run"),
    Row(
        "@hf/*",
        _CHAT,
        _CHAT,
        replace(_NATIVE, schema_form="bare"),
        "§9.1: hermes-2-pro and deepseek-coder take a bare schema",
    ),
    Row(
        "@cf/*",
        _CHAT,
        _CHAT,
        _WORKERS_AI,
        "§1.1: not on messages, few on responses; §9.1-9.3: envelope without strict, data URLs, reasoning_content",
    ),
    Row(
        "openai/gpt-5.6*",
        _RESPONSES,
        _RESPONSES,
        replace(_OPENAI, run_body="responses"),
        "§1.4: probes of 2026-08-15, chat completions rejected for luna, terra and sol",
    ),
    Row(
        "openai/gpt-6.1-sol*",
        _CHAT_FIRST,
        _RESPONSES,
        _OPENAI,
        "§1.4: tools with reasoning are refused on chat completions",
    ),
    Row("openai/*", _CHAT_FIRST, _RESPONSES_FIRST, _OPENAI, "§1.4: gpt-5 and later refuse max_tokens; both accepted"),
    Row(
        "xai/grok-4.20-multi-agent*",
        _CHAT_FIRST,
        _CHAT_FIRST,
        PLAIN,
        "§10: the one xai model with web search on responses",
    ),
    Row("xai/*", _CHAT, _CHAT, PLAIN, "§1.4: responses rejected, probes of 2026-08-15"),
    Row(
        "anthropic/*",
        ("messages", "chat_completions", "responses"),
        ("responses", "messages", "chat_completions"),
        Quirks(run_body="messages"),
        "§1.1: third-party models on all of /ai/v1; §1.4: run takes the Messages shape",
    ),
    Row("*", _CHAT_FIRST, _RESPONSES_FIRST, PLAIN, "§1.1: third-party models on chat completions and responses"),
)
"""First match wins."""

_PATHS: Mapping[Wire, str] = {
    "chat_completions": "/ai/v1/chat/completions",
    "responses": "/ai/v1/responses",
    "messages": "/ai/v1/messages",
    "run": "/ai/run",
}
_LEGACY_PATH = "/chat/completions"
_IN_PATH = ("@cf/", "@hf/")
# Visible ASCII without what ends a path or is an escape: `%2F` breaks the routing (§1.1).
_MODEL = re.compile(r"[!-~]+")
_NOT_IN_MODEL = re.compile(r'\.\.|//|[?#%\\"]|^/|/$')

_lock = threading.Lock()
_learned: dict[tuple[str, bool], Wire] = {}


def route(request: ChatRequest, *, api: Api = "auto", legacy: bool = False) -> Route:
    """How a request goes.

    Under `auto`: with tools, Responses, unless the table knows better; without, the first wire of the model's row. A
    wire that cannot carry the request is passed over for one that can, and a history with marks that only one wire
    understands stays on that wire. Any other `api` is taken as it is.

    Args:
        request: Its model, tools, parameters and history count.
        api: The user's choice.
        legacy: Whether it goes to the legacy host, which has chat completions only.

    Raises:
        ConfigError: The model id cannot be right, or the host or `run` does not serve the model that way.
    """
    model, row = _known(request.model)
    if legacy:
        return _legacy_route(model, row, api)
    if api == "run":
        return _run_route(model, row)
    if api != "auto":
        return Route(api, model, _PATHS[api], False, True, row.quirks)
    wires = _choice(model, row, request)
    other = wires[1] if len(wires) > 1 else None
    return Route(wires[0], model, _PATHS[wires[0]], False, True, row.quirks, other)


def row_of(model: str) -> Row:
    """What the table knows about a model.

    Raises:
        ConfigError: The id cannot be right.
    """
    return _known(model)[1]


def affinity_of(model: str) -> Literal["session_affinity", "session_id"] | None:
    """The gateway option that keeps a conversation with one model where it began, if the model has one.

    On Workers AI one instance of the model holds the conversation's prefix (§3.2, §9.7); the Auto Router keeps to the
    model that it chose (§3.3). Nobody else looks at either.

    Raises:
        ConfigError: The id cannot be right.
    """
    model = _known(model)[0]
    if model == _AUTO:
        return "session_id"
    return "session_affinity" if model.startswith(_IN_PATH) else None


def carries_pdf_results(model: str) -> bool:
    """Whether a wire of the model has a place for a PDF in a tool's result; chat completions has none."""
    try:
        return not {"responses", "messages"}.isdisjoint(_known(model)[1].tools)
    except ConfigError:
        return False


def learn(model: str, *, tools: bool, wire: Wire) -> None:
    """Remembers for this process that a model takes this wire where it refused the other one's shape."""
    with _lock:
        _learned[_known(model)[0], tools] = wire


def forget() -> None:
    """Forgets what was learned."""
    with _lock:
        _learned.clear()


_SHAPE = re.compile(r"user input error|invalid value|bad input|/v1/(?:responses|chat/completions|messages)")
_NO_SHAPE = re.compile(
    r"(?:temperature|top_p|top_k|tool_choice).{0,40}not supported|thought_signature|context (?:window|length)"
    r"|prompt is too long"
)


def is_shape_refusal(status: int, code: int | str | None, message: str) -> bool:
    """Whether a model refused the form of the body, before billing, so that its other wire is worth a try (§1.4).

    A complaint about a parameter's value, or about the length, would come on the other wire too. An authenticated
    gateway was refused as one that is not, on Responses only (§14.1).
    """
    text = message.lower()
    if status == 402:
        return "gateway authentication is required" in text
    if status != 400 or code not in (7003, 5006, "invalid_prompt") or _NO_SHAPE.search(text):
        return False
    return code == 5006 or bool(_SHAPE.search(text))


def _choice(model: str, row: Row, request: ChatRequest) -> list[Wire]:
    """The wires to try, the best first; more than one only if another may be tried."""
    has_tools = bool(request.tools)
    wires = row.tools if has_tools else row.plain
    if len(wires) == 1:
        return [*wires]
    needs = needs_of(request)
    able: list[Wire] = [wire for wire in wires if wire not in needs.refused_by] or [*wires]
    known = _learned.get((model, has_tools))
    if known is not None and known in able:
        return [known]
    able.sort(key=lambda wire: wire != needs.home)
    return able


def _legacy_route(model: str, row: Row, api: Api) -> Route:
    if api not in ("auto", "chat_completions"):
        raise ConfigError(
            f"api={api!r} does not exist on the legacy host.",
            field="api",
            value=api,
            remedy="Leave base_url out to use the REST API, or use api='chat_completions'.",
        )
    # Without its provider's name the compat endpoint answers 400/2019 (§1.5).
    sent = f"workers-ai/{model}" if model.startswith(_IN_PATH) else model
    return Route("chat_completions", sent, _LEGACY_PATH, False, True, row.quirks)


def _run_route(model: str, row: Row) -> Route:
    if model.startswith("dynamic/") or model == _AUTO:
        raise ConfigError(
            f"{model} cannot be run: /ai/run has no route for it.",
            field="api",
            value="run",
            remedy="Use api='chat_completions' or 'auto' (wire-facts §1.6).",
        )
    in_path = model.startswith(_IN_PATH)
    path = f"{_PATHS['run']}/{model}" if in_path else _PATHS["run"]
    return Route("run", model, path, not in_path, not in_path, row.quirks)


@lru_cache(maxsize=1024)
def _known(model: str) -> tuple[str, Row]:
    """The id as the REST API spells it, and its row."""
    if not isinstance(model, str) or not _MODEL.fullmatch(model) or _NOT_IN_MODEL.search(model):  # pyright: ignore[reportUnnecessaryIsInstance]  # users call this without a type checker
        raise ConfigError(
            f"model={model!r} is no model id.",
            field="model",
            value=model,
            remedy="Ids look like author/model, @cf/author/model or dynamic/route.",
        )
    if model.startswith("workers-ai/@"):  # the legacy host's spelling (§1.3)
        model = model.removeprefix("workers-ai/")
    return model, next(row for row in TABLE if row.fits(model))
