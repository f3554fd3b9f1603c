"""Which model is served on which endpoint, and which bodies its catalogue entry rejects: one table, with evidence."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from cfaig_integrations.simulator.catalogue import AUTHORS, AUTO, DYNAMIC, is_embedding, is_workers_ai
from cfaig_integrations.simulator.dialects.media import find_media
from cfaig_integrations.simulator.http.bodies import ApiError, Shape
from cfaig_integrations.simulator.json_types import as_record, is_list, is_record, records

CHAT = frozenset({"chat_completions"})
RESPONSES = frozenset({"responses"})
MESSAGES = frozenset({"messages"})
RUN = frozenset({"run"})
EMBEDDINGS = frozenset({"embeddings"})
EVERYWHERE = CHAT | RESPONSES | MESSAGES | RUN | EMBEDDINGS

USER_ERROR = "Model execution failed (User Input Error): "

Body = dict[str, Any]
Condition = Callable[[Body], bool]
Place = Callable[[Body], int | None]  # finds the index of the first message that meets a condition


@dataclass(frozen=True, slots=True)
class Rule:
    """A body that a model rejects on an endpoint.

    The message may name `{model}`, and `{index}` of the first message that meets a `place`. Without a `condition` every
    body is rejected.
    """

    model: str  # regular expression over the whole model id
    endpoints: frozenset[str]
    message: str
    evidence: str
    condition: Condition | None = None
    place: Place | None = None  # finds the message that is rejected; instead of `condition`
    status: int = 400
    code: int | str = 7003
    shape: Shape | None = None

    def rejection(self, model: str, endpoint: str, body: Body) -> str | None:
        """The message of the error, if the request is rejected."""
        if endpoint not in self.endpoints or not re.fullmatch(self.model, model):
            return None
        index = self.place(body) if self.place is not None else None
        if (self.place is not None and index is None) or (self.condition is not None and not self.condition(body)):
            return None
        return self.message.format(model=model, index=index)


# --------------------------------------------------------------------------------------------- conditions on a body


def _messages(body: Body) -> list[Body]:
    return records(body.get("messages"))


def _calls(body: Body) -> list[Body]:
    return [call for message in _messages(body) for call in records(message.get("tool_calls"))]


def _kind(choice: Any) -> Any:
    return choice.get("type") if is_record(choice) else choice


def _json_schema(body: Body) -> Body:
    return as_record(as_record(body.get("response_format")).get("json_schema"))


def _has(*names: str) -> Condition:
    return lambda body: any(body.get(name) is not None for name in names)


def _unknown_to(*names: str) -> Condition:
    return lambda body: not body.keys() <= {*names, "model", "options"}


def _unknown_in_schema(*names: str) -> Condition:
    return lambda body: not _json_schema(body).keys() <= set(names)


def _forces_tool(body: Body) -> bool:
    return _kind(body.get("tool_choice")) not in {None, "auto", "none"}


def _remote_image(body: Body) -> bool:
    parts = [part.get("image_url") for message in _messages(body) for part in records(message.get("content"))]
    urls = [image.get("url") if is_record(image) else image for image in parts]
    return any(isinstance(url, str) and not url.startswith("data:") for url in urls)


def _first(test: Condition) -> Place:
    """The index of the first message that meets a condition."""

    def place(body: Body) -> int | None:
        messages: Any = body.get("messages")
        listed: list[Any] = messages if is_list(messages) else []
        return next((i for i, message in enumerate(listed) if is_record(message) and test(message)), None)

    return place


_NOT_FOUND = "Model not found: {model}"
_NEWER_CLAUDE = r"anthropic/claude-[a-z]+-([5-9]|\d\d)(\.\d+)?(-.*)?"
_NEWER_GPT = r"openai/(gpt-([5-9]|\d\d)|o[1-9]).*"
_XAI = r"xai/grok-4\.[67]"
_MINIMAX = r"minimax/m3|minimax/m2\.7"
_GPT_OSS = r"@cf/openai/gpt-oss-.*"
_OLDER_TEXT = r"@(cf|hf)/(meta/llama-(2|3)\b.*|meta/llama-3[.-].*|mistral/.*|thebloke/.*)"

_XAI_MESSAGE = {"role", "content", "tool_calls", "name"}
_TOOL_FIELDS = {"name", "description", "parameters"}
_CLOSED_XAI = (
    "max_completion_tokens", "max_tokens", "messages", "n", "parallel_tool_calls", "prompt_cache_key",
    "reasoning_effort", "response_format", "search_parameters", "seed", "service_tier", "stream", "stream_options",
    "temperature", "tool_choice", "tools", "top_p", "user", "web_search_options",
)  # fmt: skip
_CLOSED_PRO = (
    "input", "instructions", "max_output_tokens", "reasoning", "stream", "temperature", "text", "tool_choice", "tools",
    "top_p",
)  # fmt: skip
_CLOSED_MINIMAX = (
    "mask_sensitive_info", "max_completion_tokens", "max_tokens", "messages", "response_format", "stream",
    "stream_options", "temperature", "tool_choice", "tools", "top_p",
)  # fmt: skip


def _user_error(
    model: str, endpoints: frozenset[str], message: str, evidence: str, condition: Condition | None = None
) -> Rule:
    return Rule(model, endpoints, USER_ERROR + message, evidence, condition)


def _bad_input(
    model: str, message: str, evidence: str, condition: Condition | None = None, *, place: Place | None = None
) -> Rule:
    worded = f"AiError: Bad input: Error: {message}"
    return Rule(model, CHAT | RUN, worded, evidence, condition, place=place, code=5006)


# fmt: off
RULES: tuple[Rule, ...] = (
    Rule(r"anthropic/.*\d-\d.*", EVERYWHERE - MESSAGES, _NOT_FOUND,
        "facts §1.3: dashed ids are not in the run catalogue (O: SPIKE); the documentation's own example of "
        "/ai/v1/messages has one, so there it passes",
        status=404),
    Rule(r"perplexity/.*|deepseek/deepseek-chat", EVERYWHERE,
        "This model is not available via unified billing. Please use BYOK.", "facts §1.7", status=402, code=2021,
        shape="gateway"),
    Rule(r"@(cf|hf)/.*", MESSAGES, "No such model {model} or task", "facts §1.1: no `@cf/` here", code=5007),
    Rule(rf"(?!{_GPT_OSS})@(cf|hf)/.*", RESPONSES,
        "AiError: Bad input: Error: oneOf at '/' not met, 0 matches: required properties at '/' are 'prompt'",
        "facts §1.1: model dependent, GPT-OSS has it; §5.5 shape 5 (O: FX:68320345152)", code="invalid_prompt",
        shape="openai_code"),
    _user_error(r"openai/gpt-5\.6-.*", CHAT, "Invalid value at 'input': expected string or array, received undefined",
        "facts §1.4 (O: FX:60964327167)"),
    _user_error(r"xai/(?!grok-4\.20-multi-agent-0309).*", RESPONSES,
        "Invalid value at 'messages': expected array, received undefined",
        "facts §1.4 (O: FX:60964327167); §10 names the one model that has it"),
    _user_error(r"openai/.*-pro|xai/grok-4\.20-multi-agent-0309", CHAT,
        "Invalid value at 'input': expected string or array, received undefined",
        "facts §14.3; the catalogue offers Responses only"),
    _user_error(r"(google|deepseek|moonshotai|minimax)/.*|alibaba/qwen3-max", RESPONSES,
        "Invalid value at 'messages': expected array, received undefined",
        "facts §1.4; the catalogue offers other formats only"),
    _user_error(_XAI, CHAT, "Unrecognized key(s) in object",
        "facts §14.3: the schema is closed; whether it is enforced is not known", _unknown_to(*_CLOSED_XAI)),
    _user_error(_XAI, CHAT, "Unrecognized key(s) in object at 'messages'", "facts §14.3: as above",
        lambda body: any(not m.keys() <= _XAI_MESSAGE for m in _messages(body) if m.get("role") == "assistant")),
    _user_error(_XAI, CHAT, "Unrecognized key(s) in object at 'response_format.json_schema'", "facts §14.3: as above",
        _unknown_in_schema("name", "schema", "strict")),
    _user_error(_XAI, CHAT, "Invalid value at 'messages.role': expected 'system' | 'user' | 'assistant' | 'tool'",
        "facts §14.3: as above", lambda body: any(message.get("role") == "developer" for message in _messages(body))),
    _user_error(r"openai/gpt-5\.[45]-pro", RESPONSES, "Unrecognized key(s) in object", "facts §14.3: as above",
        _unknown_to(*_CLOSED_PRO)),
    _user_error(_MINIMAX, CHAT, "Unrecognized key(s) in object at 'response_format'", "facts §14.3: as above",
        lambda body: _kind(body.get("response_format")) == "json_object"),
    _user_error(_MINIMAX, CHAT, "Unrecognized key(s) in object at 'response_format.json_schema'",
        "facts §14.3: as above", _unknown_in_schema("name", "description", "schema")),
    _user_error(_MINIMAX, CHAT, "Unrecognized key(s) in object at 'response_format.json_schema.schema'",
        "facts §14.3: as above",
        lambda body: not as_record(_json_schema(body).get("schema")).keys() <= {"type", "properties"}),
    _user_error(_MINIMAX, CHAT, "Invalid value at 'tools.function': expected name, description and parameters only",
        "facts §14.3: as above",
        lambda body: any(as_record(t.get("function")).keys() != _TOOL_FIELDS for t in records(body.get("tools")))),
    _user_error(r"minimax/m3", CHAT, "Unrecognized key(s) in object", "facts §14.3: as above",
        _unknown_to(*_CLOSED_MINIMAX)),
    _user_error(_MINIMAX, CHAT, "Invalid value at 'tool_choice': expected 'none' | 'auto'",
        "facts §14.3: as above", _forces_tool),
    _user_error(r"openai/gpt-6.*", CHAT,
        "Function tools with reasoning_effort are not supported for {model} in /v1/chat/completions. To use function "
        "tools, use /v1/responses or set reasoning_effort to 'none'.",
        "facts §1.4 (O: FX:70236987120)",
        lambda body: bool(body.get("tools")) and body.get("reasoning_effort") != "none"),
    _user_error(_NEWER_GPT, CHAT,
        "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead.",
        "facts §1.4 (C: FX:59651001731)", _has("max_tokens")),
    _user_error(r"anthropic/.*", RUN | MESSAGES, "Invalid value at 'max_tokens': expected number, received undefined",
        "facts §1.4, §13.19", lambda body: body.get("max_tokens") is None),
    _user_error(_NEWER_CLAUDE, EVERYWHERE, "`temperature` is not supported on this model. Remove it from your request.",
        "facts §1.4 (O: SPIKE)", _has("temperature")),
    _user_error(_NEWER_CLAUDE, EVERYWHERE,
        "`top_p` and `top_k` are not supported on this model. Remove them from your request.",
        "facts §1.4 (O: FX:69684989092)", _has("top_p", "top_k")),
    _user_error(_NEWER_CLAUDE, RUN | MESSAGES, "Invalid value at 'thinking.type': expected 'adaptive' | 'disabled'",
        "facts §14.3", lambda body: _kind(body.get("thinking")) == "enabled"),
    _user_error(r"anthropic/claude-opus-5\.5.*", EVERYWHERE,
        "Invalid value at 'tool_choice.type': expected 'auto' | 'none'", "facts §1.4 (O: SPIKE)", _forces_tool),
    _user_error(r"google/gemini-3.*", CHAT, "Function call is missing a thought_signature in functionCall parts.",
        "facts §1.4 (D: usage/web-search; O: FX:55310556057)",
        lambda body: any("thought_signature" not in str(call.get("extra_content")) for call in _calls(body))),
    Rule(r"(?!@).*", EMBEDDINGS, _NOT_FOUND, "facts §6.3: the REST catalogue has no third-party embedding model",
        status=404),
    Rule(r"@cf/.*", CHAT | RUN,
        "AiError: Bad input: reasoning_effort: Input should be 'none', 'low', 'medium', 'high' or 'max'",
        "facts §14.1, §14.4",
        lambda body: body.get("reasoning_effort") not in {None, "none", "low", "medium", "high", "max"}, code=8007),
    Rule(r"@cf/zai-org/glm-4\.7-flash", CHAT | RUN, "tool_choice 'required' is not supported by this model",
        "facts §9.2", lambda body: body.get("tool_choice") == "required", code=8001),
    _bad_input(r"@(cf|hf)/.*",
        "oneOf at '/' not met, 0 matches: Type mismatch of '/messages/{index}/content', 'null' not in 'string'",
        "facts §9.2: replay with null content is refused (O: FX:62066469703)",
        place=_first(lambda m: m.get("role") == "assistant" and m.get("content", "") is None)),
    _bad_input(r"@cf/moonshotai/.*", "required properties at '/messages/{index}' are 'role,content'",
        "facts §9.2: Kimi refuses a turn without the key (C: AG)",
        place=_first(lambda m: m.get("role") == "assistant" and "content" not in m)),
    _bad_input(_OLDER_TEXT,
        "oneOf at '/' not met, 0 matches: required properties at '/' are 'prompt', Type mismatch of "
        "'/messages/{index}/content', 'array' not in 'string'",
        "facts §5.6 and §9.2: 5006 (O, C)", place=_first(lambda m: is_list(m.get("content")))),
    _bad_input(r"@(cf|hf)/.*", "image_url must be a data URL; remote URLs are not fetched", "facts §9.2",
        _remote_image),
    _bad_input(r"@cf/mistralai/.*", "tool call id must be 9 characters of a-z, A-Z, 0-9", "facts §9.2",
        lambda body: any(not re.fullmatch("[A-Za-z0-9]{9}", str(call.get("id"))) for call in _calls(body))),
    _bad_input(r"@cf/mistralai/.*", "Unexpected role 'user' after role 'tool'", "facts §9.2",
        lambda body: ("tool", "user") in pairwise(message.get("role") for message in _messages(body))),
    _bad_input(r"@(cf|hf)/.*", "'/top_k' must be <= 50", "facts §9.4: on some models",
        lambda body: isinstance(body.get("top_k"), int) and body["top_k"] > 50),
)
# fmt: on


def check_id(model: str, endpoint: str, *, legacy: bool = False) -> None:
    """Reject a model id that cannot be served."""
    if legacy and "/" not in model:
        raise ApiError(400, 2019, "Chat completion bad format", shape="gateway")
    if is_workers_ai(model):
        if not re.fullmatch(r"@(cf|hf)/[\w.-]+/[\w.-]+", model):
            raise ApiError(400, 5007, f"No such model {model} or task")
        return
    if endpoint == "embeddings" and model.startswith(DYNAMIC):
        raise ApiError(500, 5017, "Configuration error: Failed to fetch configuration", shape="workers_ai")
    if model == AUTO or model.startswith(DYNAMIC):
        if endpoint not in (CHAT | RESPONSES if model == AUTO else CHAT):
            raise ApiError(404, 7003, _NOT_FOUND.format(model=model))
        return
    author, _, name = model.partition("/")
    if endpoint != "websearch" and not find_media(model) and (author not in AUTHORS | {"perplexity"} or not name):
        raise ApiError(404, 7003, _NOT_FOUND.format(model=model))


def check(model: str, endpoint: str, body: Body, *, legacy: bool = False) -> None:
    """Reject what the table rejects."""
    for rule in RULES:
        if legacy and rule.endpoints == EMBEDDINGS and is_embedding(model):
            continue
        message = rule.rejection(model, endpoint, body)
        if message is not None:
            raise ApiError(rule.status, rule.code, message, shape=rule.shape)
