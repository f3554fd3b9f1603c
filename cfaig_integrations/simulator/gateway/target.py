"""The model, input and options that a request body contains (facts §1.1, §1.2)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from cfaig_integrations.simulator.catalogue import AUTO, DYNAMIC, current_model_id, is_workers_ai
from cfaig_integrations.simulator.dialects import DIALECTS
from cfaig_integrations.simulator.dialects.tasks import PROVIDERS
from cfaig_integrations.simulator.gateway.rules import USER_ERROR
from cfaig_integrations.simulator.http.bodies import ApiError
from cfaig_integrations.simulator.json_types import as_record, is_list, is_record, parse_json
from cfaig_integrations.simulator.types import InvalidBody, ModelRequest

Body = dict[str, Any]

_FLAGS = ("background", "rejectIfBusy")
_MOST_TAGS = 5
_LONGEST_TAG = 50
_TAGS = f"expected at most {_MOST_TAGS} strings of at most {_LONGEST_TAG} characters"


@dataclass(frozen=True, slots=True)
class Target:
    """A model, its input, and the options of the run."""

    model: str  # as in the request
    input: Body
    options: Body

    @property
    def reject_if_busy(self) -> bool:
        """Whether to fail instead of waiting for capacity."""
        return self.options.get("rejectIfBusy") is True

    @property
    def gateway_id(self) -> str | None:
        """The gateway that a web search names (facts §8.9)."""
        return as_record(self.options.get("gateway")).get("id")

    @property
    def background(self) -> bool:
        """Whether the result is to be asked for later."""
        return self.options.get("background") is True


def parse(raw: bytes) -> Body:
    """The request body."""
    if not raw:
        raise ApiError(400, 3003, "AiError: AiError: Missing headers or body")
    try:
        body = parse_json(raw)
    except ValueError as error:
        raise ApiError(400, 5006, f"AiError: Bad input: Error: body is not valid JSON: {error}") from None
    if not is_record(body):
        raise ApiError(400, 5006, "AiError: Bad input: Error: Type mismatch of '/', not in 'object'")
    return body


def aim(endpoint: str, body: Body, path_model: str | None) -> Target:
    """Find the model and its input."""
    if path_model is not None:
        return _in_path(body, path_model)
    if endpoint == "run":
        return _wrapped(body)
    if endpoint == "websearch":
        provider: Any = body.get("provider", PROVIDERS[0])
        return Target(f"{provider if provider in PROVIDERS else PROVIDERS[0]}/web-search", body, _options(body))
    model = body.get("model")
    if not isinstance(model, str) or not model:
        raise ApiError(400, 7003, f"{USER_ERROR}Invalid value at 'model': expected string, received undefined")
    return _split(model, body)


def _in_path(body: Body, model: str) -> Target:
    if model == AUTO or model.startswith(DYNAMIC):
        raise ApiError(400, 7000, "No route for that URI", shape="v4")
    if isinstance(body.get("input"), dict):
        wrong = "the model is named in the path, so the body must be its input without a wrapper"
        prefix, code = ("AiError: Bad input: Error: ", 5006) if is_workers_ai(model) else (USER_ERROR, 7003)
        raise ApiError(400, code, f"{prefix}Unexpected value at 'input': {wrong}")
    return _split(model, body)


def _wrapped(body: Body) -> Target:
    model = body.get("model")
    if not isinstance(model, str) or not model:
        raise ApiError(500, 7000, "Model ID missing")
    inner = body.get("input")
    if not is_record(inner):
        raise ApiError(400, 7003, f"{USER_ERROR}Invalid value at 'input': expected object, received {_name(inner)}")
    return Target(current_model_id(model) if model.startswith("workers-ai/") else model, inner, _options(body))


def _split(model: str, body: Body) -> Target:
    return Target(model, {key: value for key, value in body.items() if key != "options"}, _options(body))


def _options(body: Body) -> Body:
    options = body.get("options", {})
    if not is_record(options):
        raise ApiError(400, 7003, f"{USER_ERROR}Invalid value at 'options': expected object, received {_name(options)}")
    url, tags = options.get("webhookUrl"), options.get("tags", [])
    are_tags = is_list(tags) and all(isinstance(tag, str) and len(tag) <= _LONGEST_TAG for tag in tags)
    checks = (
        *((name, isinstance(options.get(name, False), bool), "expected boolean") for name in _FLAGS),
        ("webhookUrl", url is None or bool(options.get("background")), "requires background: true"),
        ("webhookFormat", url is not None or options.get("webhookFormat") is None, "requires webhookUrl"),
        ("webhookUrl", url is None, "the simulator calls no webhooks"),
        ("tags", are_tags and len(tags) <= _MOST_TAGS, _TAGS),
    )
    for name, is_legal, problem in checks:
        if not is_legal:
            raise ApiError(400, 7003, f"{USER_ERROR}Invalid value at 'options.{name}': {problem}")
    return options


def _name(value: Any) -> str:
    return "undefined" if value is None else type(value).__name__


def read_chat_body(api: str, body: dict[str, Any], path_model: str | None = None) -> ModelRequest:
    """A request to one of the `DIALECTS`; without messages if the body breaks a rule of its format."""
    try:
        target = aim(api, body, path_model)
        return DIALECTS[api].read({**target.input, "model": target.model})
    except (ApiError, InvalidBody, RecursionError):
        return ModelRequest(path_model or str(body.get("model", "")), [])
