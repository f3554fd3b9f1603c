"""Conditions on a request body, for the table of rules."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any, cast

from cfaig_integrations.simulator.json_types import as_record, is_list, is_record

Body = dict[str, Any]
Condition = Callable[[Body], bool]
Place = Callable[[Body], int | None]
"""Finds the index of the first message that meets a condition."""


def has(*names: str) -> Condition:
    """Any of these fields is present."""
    return lambda body: any(body.get(name) is not None for name in names)


def lacks(name: str) -> Condition:
    """The field is absent."""
    return lambda body: body.get(name) is None


def _dicts(value: Any) -> Iterator[Body]:
    if is_list(value):
        for item in value:
            if isinstance(item, dict):
                yield cast("Body", item)


def _messages(body: Body) -> Iterator[Body]:
    return _dicts(body.get("messages"))


def _kind(choice: Any) -> Any:
    return cast("Body", choice).get("type") if isinstance(choice, dict) else choice


def system_is_list(body: Body) -> bool:
    """Whether `system` is an array of blocks."""
    return isinstance(body.get("system"), list)


def forces_tool(body: Body) -> bool:
    """Whether `tool_choice` forces a tool call."""
    return _kind(body.get("tool_choice")) not in {None, "auto", "none"}


def choice_is(word: str) -> Condition:
    """Whether `tool_choice` has this value."""
    return lambda body: body.get("tool_choice") == word


def tools_while_reasoning(body: Body) -> bool:
    """Whether there are tools while reasoning is not disabled."""
    return bool(body.get("tools")) and body.get("reasoning_effort") != "none"


def unknown_to(*names: str) -> Condition:
    """Whether a field was sent that is not among these."""
    return lambda body: any(name not in {*names, "model", "options"} for name in body)


def unknown_in_messages(body: Body) -> bool:
    """Whether an assistant message has a field that a closed schema does not allow."""
    allowed = {"role", "content", "tool_calls", "name"}
    assistants = (message for message in _messages(body) if message.get("role") == "assistant")
    return any(name not in allowed for message in assistants for name in message)


def thinking_enabled(body: Body) -> bool:
    """Whether a thinking budget is given."""
    return bool(_kind(body.get("thinking")) == "enabled")


def effort_not_in(*efforts: str) -> Condition:
    """Whether the reasoning effort is none of these."""
    return lambda body: body.get("reasoning_effort") not in {None, *efforts}


def unsigned_call(body: Body) -> bool:
    """Whether a replayed tool call lacks its thought signature."""
    calls = [call for message in _messages(body) for call in _dicts(message.get("tool_calls"))]
    return any("thought_signature" not in str(call.get("extra_content")) for call in calls)


def _first(body: Body, test: Condition) -> int | None:
    messages: Any = body.get("messages")
    listed: list[Any] = messages if is_list(messages) else []
    return next((i for i, message in enumerate(listed) if is_record(message) and test(message)), None)


def null_content(body: Body) -> int | None:
    """The first assistant message with `content: null`."""
    return _first(body, lambda message: message.get("role") == "assistant" and message.get("content", "") is None)


def missing_content(body: Body) -> int | None:
    """The first assistant message without `content`."""
    return _first(body, lambda message: message.get("role") == "assistant" and "content" not in message)


def content_parts(body: Body) -> int | None:
    """The first message that has an array for content."""
    return _first(body, lambda message: isinstance(message.get("content"), list))


def remote_image(body: Body) -> bool:
    """Whether an image is a URL that would have to be fetched."""
    for message in _messages(body):
        for part in _dicts(message.get("content")):
            image = part.get("image_url")
            url = cast("Body", image).get("url") if isinstance(image, dict) else image
            if isinstance(url, str) and not url.startswith("data:"):
                return True
    return False


def user_after_tool(body: Body) -> bool:
    """Whether a user message follows a tool message directly."""
    roles = [message.get("role") for message in _messages(body)]
    return any(pair == ("tool", "user") for pair in pairwise(roles))


def call_id_not_nine(body: Body) -> bool:
    """Whether a tool call has an id that is not nine letters or digits."""
    ids = [call.get("id") for message in _messages(body) for call in _dicts(message.get("tool_calls"))]
    return any(not re.fullmatch(r"[A-Za-z0-9]{9}", str(value)) for value in ids)


def bare_schema(body: Body) -> bool:
    """Whether the response format has a JSON schema without the envelope of name and schema."""
    form = body.get("response_format")
    if not isinstance(form, dict) or _kind(form) != "json_schema":
        return False
    inner = cast("Body", form).get("json_schema")
    return not isinstance(inner, dict) or "schema" not in inner or "name" not in inner


def role_is(role: str) -> Condition:
    """Whether a message has this role."""
    return lambda body: any(message.get("role") == role for message in _messages(body))


def format_is(kind: str) -> Condition:
    """Whether the response format is of this type."""
    return lambda body: as_record(body.get("response_format")).get("type") == kind


def _json_schema(body: Body) -> Body:
    return as_record(as_record(body.get("response_format")).get("json_schema"))


def unknown_in_schema(*names: str) -> Condition:
    """Whether the envelope of the output schema has a key that is not among these."""
    return lambda body: not _json_schema(body).keys() <= set(names)


def unknown_in_inner_schema(*names: str) -> Condition:
    """Whether the output schema itself has a key that is not among these."""
    return lambda body: not as_record(_json_schema(body).get("schema")).keys() <= set(names)


def tools_unlike(*names: str) -> Condition:
    """Whether a function does not have exactly these keys."""
    return lambda body: any(as_record(t.get("function")).keys() != set(names) for t in _dicts(body.get("tools")))


def top_k_over_fifty(body: Body) -> bool:
    """Whether `top_k` is above 50."""
    return isinstance(body.get("top_k"), int) and body["top_k"] > 50
