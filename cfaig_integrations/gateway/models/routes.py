"""Model id and request to wire, path and quirks."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import chain
from typing import Literal, TypeAlias

from cfaig_integrations.core.chat import ChatRequest, FunctionTool
from cfaig_integrations.core.content import Opaque, Part, Reasoning, Text, ToolCall, Wire
from cfaig_integrations.errors import ConfigError, invalid
from cfaig_integrations.gateway.addresses import is_cloudflare
from cfaig_integrations.gateway.models.modalities import require_kind
from cfaig_integrations.gateway.models.profiles import profile_of
from cfaig_integrations.gateway.models.route_table import AUTO, TABLE, Row
from cfaig_integrations.gateway.models.tables import IN_PATH, matching
from cfaig_integrations.wire.codec import Features, Quirks
from cfaig_integrations.wire.limits import unchecked_limits
from cfaig_integrations.wire.registry import PDF_RESULTS, codec

Api: TypeAlias = Literal[Wire, "auto"]


@dataclass(frozen=True, slots=True)
class Route:
    """Where one request goes, and how it is written.

    Attributes:
        path: After `{base}/accounts/{account_id}`, or after the legacy host's base; it contains the model id unescaped.
        envelope: Whether the body is `{"model", "input"}` around the encoded request.
        model_in_body: Whether the body names the model; False where the path does.
        quirks: What the encoder must respect.
        features: What the format offers for the model.
        alternative: Wire to try once if the model refuses the body's shape.
    """

    wire: Wire
    model: str
    path: str
    envelope: bool
    model_in_body: bool
    quirks: Quirks
    features: Features
    alternative: Wire | None = None


_PATHS: Mapping[Wire, str] = {
    "chat_completions": "/ai/v1/chat/completions",
    "responses": "/ai/v1/responses",
    "messages": "/ai/v1/messages",
    "run": "/ai/run",
}
_LEGACY_PATH = "/chat/completions"
_SPELLINGS = (("workers-ai/@", "@"), ("google-ai-studio/", "google/"), ("grok/", "xai/"))
"""Beginning of a model id on the legacy host, and on the REST API (§1.3, §14.6)."""
# Visible ASCII without characters that end a path or begin an escape: `%2F` breaks the routing (§1.1).
_MODEL = re.compile(r"[!-~]+")
_NOT_IN_MODEL = re.compile(r'\.\.|//|[?#%\\"]|^/|/$')
_AUTHORS: Mapping[str, tuple[str, ...]] = {
    "openai": ("gpt-", "o1", "o3", "o4", "text-embedding-"),
    "anthropic": ("claude-",),
    "google": ("gemini-",),
    "xai": ("grok-",),
    "deepseek": ("deepseek-",),
    "moonshotai": ("kimi-",),
    "alibaba": ("qwen",),
}
"""How the names of some authors' models begin."""

_learned: dict[tuple[str, bool], Wire] = {}


def route(request: ChatRequest, *, api: Api = "auto", legacy: bool = False, body_options: bool = False) -> Route:
    """The route of a request.

    Under `auto` it is the first wire of the model's row, which depends on whether there are tools. A wire that cannot
    carry the request is skipped for one that can, and a history with values that only one wire understands stays on
    that wire. Any other `api` is never overridden.

    Args:
        request: The request.
        api: The user's choice.
        legacy: Whether it goes to the legacy host or a custom domain, which have chat completions only.
        body_options: Whether gateway options are sent in the body, where not every format has a place for them.

    Raises:
        ConfigError: The model id cannot be right or is not that of a chat model, or the host or `run` does not serve
            the model that way.
    """
    model, row = _chat_id_and_row(request.model, legacy)
    if legacy:
        return _legacy_route(model, row, api)
    if api == "run":
        return _run_route(model)
    if api != "auto":
        return _rest_route(model, api)
    return _rest_route(model, *_choice(model, row, request, body_options=body_options)[:2])


def row_of(model: str) -> Row:
    """The row of a model.

    Raises:
        ConfigError: The id cannot be right.
    """
    return _id_and_row(model)[1]


def checked_id(model: str) -> str:
    """A model id as the REST API spells it.

    Raises:
        ConfigError: It cannot be right.
    """
    return _id_and_row(model)[0]


def _row_if_valid(model: str) -> Row | None:
    """The row of a model; None for an id that cannot be right, which the call itself refuses."""
    try:
        return row_of(model)
    except ConfigError:
        return None


def require_author(model: str, base_url: str) -> None:
    """Refuses an id without its author, which Cloudflare's hosts take on no path (§1.3, §1.5); other hosts may.

    Raises:
        ConfigError: It has none, and the host is one of Cloudflare's.
    """
    if "/" in model or not is_cloudflare(base_url):
        return
    author = next((author for author, begins in _AUTHORS.items() if model.startswith(begins)), "")
    remedy = f"Did you mean '{author}/{model}'?" if author else "Ids look like author/model or @cf/author/model."
    raise invalid("model", model, "has no author", remedy)


def refuses_force(model: str, api: Wire | Literal["auto"], *, several: bool = False) -> bool:
    """Whether a model is known to refuse a forced tool call.

    Args:
        model: Model id; any string will do.
        api: The user's choice.
        several: Whether it may choose one of several tools.
    """
    row = _row_if_valid(model)
    if row is None:
        return False
    quirks = row.quirks_on(api)
    return quirks.no_forced_tool or (several and quirks.required_as_named)


def affinity_of(model: str) -> Literal["session_affinity", "session_id"] | None:
    """The gateway option that keeps a conversation on the instance or model where it began, if the model has one.

    On Workers AI one instance of the model caches the conversation's prefix (§3.2, §9.7); the Auto Router stays with
    the model that it chose (§3.3). Other models ignore both.

    Raises:
        ConfigError: The id cannot be right.
    """
    model = checked_id(model)
    if model == AUTO:
        return "session_id"
    return "session_affinity" if model.startswith(IN_PATH) else None


def carries_pdf_results(model: str) -> bool:
    """Whether a wire of the model can carry a PDF in a tool's result."""
    row = _row_if_valid(model)
    return row is not None and not PDF_RESULTS.isdisjoint(row.wires.tools)


def takes_cache_markers(model: str, api: Api) -> bool:
    """Whether a request with Anthropic's cache markers goes out in its format."""
    if api != "auto":
        return api == "messages"
    row = _row_if_valid(model)
    return row is not None and "messages" in row.wires.tools


def takes(model: str, field: str) -> bool:
    """Whether a model takes a field of a request, such as `temperature`; True if that is not known."""
    row = _row_if_valid(model)
    return row is None or field not in row.quirks.refused


def efforts_of(model: str) -> tuple[str, ...]:
    """The reasoning efforts that a model takes; empty if they are not known."""
    row = _row_if_valid(model)
    return () if row is None else row.quirks.efforts


def legacy_id(model: str) -> str:
    """A REST model id as the legacy host spells it, where an id without a provider's name gets 400/2019 (§1.5)."""
    for theirs, rest in _SPELLINGS:
        if model.startswith(rest):
            return theirs + model.removeprefix(rest)
    return model


def rest_id(model: str) -> str:
    """A model id in either host's spelling, as the REST API spells it."""
    for theirs, rest in _SPELLINGS:
        if model.startswith(theirs):
            return rest + model.removeprefix(theirs)
    return model


def learn(model: str, *, tools: bool, wire: Wire) -> None:
    """Remembers for this process that a model takes this wire after it refused the body of another."""
    _learned[checked_id(model), tools] = wire


def forget() -> None:
    """Forgets all wires that `learn` remembered."""
    _learned.clear()


_SHAPE = re.compile(r"user input error|invalid value|bad input|/v1/(?:responses|chat/completions|messages)")
_NO_SHAPE = re.compile(
    r"(?:temperature|top_p|top_k|tool_choice).{0,40}not supported|thought_signature|context (?:window|length)"
    r"|prompt is too long"
)
_NO_PATH_CODES = (None, 404, 405, 7000, "invalid_request_error", "not_found")
# Anything else that is missing with 404 would be missing on the other wire too.
_NOT_THE_PATH = re.compile(r"model|account|identifier|gateway|item|response with|file|\bid\b")
_UNPAID = "gateway authentication is required"


def is_shape_refusal(status: int, code: int | str | None, message: str) -> bool:
    """Whether an error is a reason to try the model's other wire: it came before billing (§1.4, §14.1).

    Either the form of the body was refused, or the path is not served, or it requires gateway authentication that the
    other path does not. An error about a parameter's value, or about the length, would occur there too.
    """
    text = message.lower()
    match status:
        case 402:
            return _UNPAID in text
        case 405:
            return True
        case 404:
            return code in _NO_PATH_CODES and not _NOT_THE_PATH.search(text)
        case 400 if code == 7000:
            return "no route" in text
        case 400 if code in (7003, 5006, "invalid_prompt") and not _NO_SHAPE.search(text):
            return code == 5006 or bool(_SHAPE.search(text))
        case _:
            return False


def _choice(model: str, row: Row, request: ChatRequest, *, body_options: bool) -> Sequence[Wire]:
    """The wires to try, the best first; more than one only if another may be tried."""
    has_tools = bool(request.tools)
    wires = row.wires.tools if has_tools else row.wires.plain
    if len(wires) == 1:
        return wires
    able: list[Wire] = [
        wire for wire in wires if _carries(wire, request, row.quirks_on(wire), body_options=body_options)
    ] or [*wires]
    learned = _learned.get((model, has_tools))
    if learned is not None and learned in able:
        return [learned]
    if len(able) > 1:
        preferred = _preferred_wire(request)
        able.sort(key=lambda wire: wire != preferred)
    return able


def _carries(wire: Wire, request: ChatRequest, quirks: Quirks, *, body_options: bool) -> bool:
    wire_codec = codec(wire)
    if body_options and not wire_codec.features(quirks).body_options:
        return False
    return next(chain(unchecked_limits(request, wire), wire_codec.limits(request, quirks)), None) is None


def _preferred_wire(request: ChatRequest) -> Wire | None:
    """The wire that alone understands something in a request (a signature, a cache marker, a block of its own).

    The latest such thing decides. Without any, it is the wire whose server keeps replies, if the request continues one.
    """
    for turn in reversed(request.turns):
        for part in reversed(turn.parts):
            if type(part) is not Text or part.extras:
                wire = _wire_of_part(part)
                if wire is not None:
                    return wire
    # Anthropic's automatic prompt caching is a field of the body (`cache_control` of its official request type).
    if "cache_control" in request.extra_body:
        return "messages"
    if any(isinstance(tool, FunctionTool) and "messages" in tool.extras for tool in request.tools):
        return "messages"
    return None if request.continues is None else "responses"


def _wire_of_part(part: Part) -> Wire | None:
    if isinstance(part, Opaque):
        return part.wire
    if "messages" in part.extras:
        return "messages"
    if isinstance(part, Reasoning) and "responses" in part.extras:
        return "responses"
    # Gemini's thought signature, without which it refuses the replayed call (facts §1.4, §5.2).
    if isinstance(part, ToolCall) and "extra_content" in part.extras.get("chat_completions", {}):
        return "chat_completions"
    return None


@lru_cache(maxsize=1024)
def _rest_route(model: str, wire: Wire, alternative: Wire | None = None) -> Route:
    quirks = _with_max_output(model, _id_and_row(model)[1].quirks_on(wire))
    return Route(wire, model, _PATHS[wire], False, True, quirks, codec(wire).features(quirks), alternative)


def _with_max_output(model: str, quirks: Quirks) -> Quirks:
    """The quirks with the output limit of a model whose own format requires one."""
    return replace(quirks, max_output=profile_of(model).max_output) if quirks.run_body == "messages" else quirks


def _legacy_route(model: str, row: Row, api: Api) -> Route:
    if api not in ("auto", "chat_completions"):
        raise invalid(
            "api",
            api,
            "does not exist on the legacy host, nor on a custom domain",
            "Leave base_url out to use the REST API, or use api='chat_completions'.",
        )
    quirks, wire = row.quirks_on("chat_completions"), codec("chat_completions")
    return Route(wire.wire, legacy_id(model), _LEGACY_PATH, False, True, quirks, wire.features(quirks))


def is_route(model: str) -> bool:
    """Whether the gateway chooses the model: for a dynamic route, and under the Auto Router."""
    return model.startswith("dynamic/") or model == AUTO


@lru_cache(maxsize=1024)
def _run_route(model: str) -> Route:
    if is_route(model):
        raise ConfigError(
            f"{model} cannot be run: /ai/run has no route for it.",
            field="api",
            value="run",
            remedy="Use api='chat_completions' or 'auto'.",
        )
    in_path = model.startswith(IN_PATH)
    path = f"{_PATHS['run']}/{model}" if in_path else _PATHS["run"]
    quirks = _with_max_output(model, _id_and_row(model)[1].quirks)
    return Route("run", model, path, not in_path, not in_path, quirks, codec("run").features(quirks))


@lru_cache(maxsize=1024)
def _id_and_row(model: str) -> tuple[str, Row]:
    """The id as the REST API spells it, and its row."""
    if not isinstance(model, str) or not _MODEL.fullmatch(model) or _NOT_IN_MODEL.search(model):  # pyright: ignore[reportUnnecessaryIsInstance]  # users call this without a type checker
        raise invalid(
            "model", model, "is not a valid model id", "Ids look like author/model, @cf/author/model or dynamic/route."
        )
    model = rest_id(model)
    return model, next(matching(TABLE, model))


@lru_cache(maxsize=1024)
def _chat_id_and_row(model: str, legacy: bool) -> tuple[str, Row]:
    """As `_id_and_row`, for a chat model; providers on the legacy host have models that are not in the tables."""
    id_, row = _id_and_row(model)
    if not legacy or id_.startswith(IN_PATH):
        require_kind(id_, "chat")
    return id_, row
