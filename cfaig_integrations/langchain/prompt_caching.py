"""Agent middleware that marks what Anthropic's models keep in their prompt cache."""

from __future__ import annotations

import warnings
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Literal, cast

from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.tools import BaseTool

from cfaig_integrations.errors import ConfigError, invalid
from cfaig_integrations.gateway.models.routes import takes_cache_markers
from cfaig_integrations.langchain.chat_model import ChatCloudflareAIGateway
from cfaig_integrations.langchain.errors import langchain_errors

try:
    from langchain.agents.middleware.types import AgentMiddleware, ModelRequest, ModelResponse
except ModuleNotFoundError as error:
    raise ImportError(
        "CloudflarePromptCachingMiddleware needs the extra 'langchain-agents': "
        "pip install 'cfaig-integrations[langchain-agents]'"
    ) from error

_KEY = "cache_control"
_MOST_MARKERS = 4
"""Of one request, by Anthropic's documentation of prompt caching."""

_Handler = Callable[[ModelRequest[Any]], ModelResponse[Any]]
_AsyncHandler = Callable[[ModelRequest[Any]], Awaitable[ModelResponse[Any]]]


class CloudflarePromptCachingMiddleware(AgentMiddleware[Any, Any, Any]):
    """Marks the system prompt, the tools and the last message of each model call for the prompt cache.

    For agents whose model is a `ChatCloudflareAIGateway` in Anthropic's format; langchain-anthropic's own middleware
    accepts only its own class. The gateway takes the system prompt as plain text, so its marker is sent on the first
    block of the first user message, where it covers the tools and the system prompt. Markers of your own stay, and no
    request gets more than the four that Anthropic allows. In deepagents it is there without being asked for; give it in
    `middleware=` to change its arguments.

    Other models need no markers: OpenAI's and Workers AI's cache the beginning of a prompt by themselves.

    Args:
        ttl: How long the cache keeps a prefix after its last use.
        min_messages_to_cache: Mark nothing in shorter conversations; the system prompt counts as one message.
        unsupported_model_behavior: What to do for any other model: `ignore`, `warn` or `raise`.

    Raises:
        ConfigError: `ttl` or `unsupported_model_behavior` is none of these; in a call, the model takes no markers and
            `unsupported_model_behavior` is `raise`.

    Example:
        >>> middleware = [CloudflarePromptCachingMiddleware()]  # doctest: +SKIP
        >>> agent = create_agent(model, tools, system_prompt=prompt, middleware=middleware)  # doctest: +SKIP
    """

    def __init__(
        self,
        *,
        ttl: Literal["5m", "1h"] = "5m",
        min_messages_to_cache: int = 0,
        unsupported_model_behavior: Literal["ignore", "warn", "raise"] = "warn",
    ) -> None:
        super().__init__()
        with langchain_errors():
            _require("ttl", ttl, ("5m", "1h"))
            _require("unsupported_model_behavior", unsupported_model_behavior, ("ignore", "warn", "raise"))
        self.ttl = ttl
        self.min_messages_to_cache = min_messages_to_cache
        self.unsupported_model_behavior = unsupported_model_behavior

    def wrap_model_call(self, request: ModelRequest[Any], handler: _Handler) -> ModelResponse[Any]:
        """Marks a request before it is sent."""
        return handler(self._marked(request))

    async def awrap_model_call(self, request: ModelRequest[Any], handler: _AsyncHandler) -> ModelResponse[Any]:
        """The asynchronous form of `wrap_model_call`."""
        return await handler(self._marked(request))

    def _marked(self, request: ModelRequest[Any]) -> ModelRequest[Any]:
        count = len(request.messages) + (request.system_message is not None)
        if not self._is_supported(request) or count < self.min_messages_to_cache:
            return request
        marker = {"type": "ephemeral", "ttl": self.ttl}
        system, tools, messages = request.system_message, [*(request.tools or ())], [*request.messages]
        left = _MOST_MARKERS - _count(system, tools, messages)
        if left > 0 and messages and (last := _with_marker(messages[-1], marker)) is not None:
            messages[-1], left = last, left - 1
        if left > 0 and system is not None and (marked := _with_marker(system, marker)) is not None:
            system, left = marked, left - 1
        # Anthropic refuses markers on tools that its tool search loads.
        place = next((n for n in reversed(range(len(tools))) if not _tool_keys(tools[n]).get("defer_loading")), None)
        if left > 0 and place is not None and _KEY not in _tool_keys(tools[place]):
            tools[place] = _tool_with_marker(tools[place], marker)
        return request.override(system_message=system, tools=tools, messages=messages)

    def _is_supported(self, request: ModelRequest[Any]) -> bool:
        model, settings = request.model, request.model_settings or {}
        if isinstance(model, ChatCloudflareAIGateway):
            name, api = settings.get("model") or model.model, settings.get("api") or model.api
            if takes_cache_markers(name, api):
                return True
        else:
            name = type(model).__name__
        message = f"{name} takes no cache markers of Anthropic's format."
        if self.unsupported_model_behavior == "raise":
            with langchain_errors():
                raise ConfigError(
                    message,
                    field="model",
                    value=name,
                    remedy="Use an anthropic/ model, or leave CloudflarePromptCachingMiddleware out.",
                )
        if self.unsupported_model_behavior == "warn":
            warnings.warn(f"{message} CloudflarePromptCachingMiddleware has no effect.", stacklevel=4)
        return False


def _require(argument: str, value: object, allowed: Sequence[str]) -> None:
    if value not in allowed:
        raise invalid(argument, value, "does not exist", f"Use one of {', '.join(allowed)}.")


def _blocks(message: BaseMessage) -> list[Any]:
    content = message.content
    if isinstance(content, str):
        return [{"type": "text", "text": content}] if content.strip() else []
    return [{"type": "text", "text": block} if isinstance(block, str) else dict(block) for block in content]


def _with_marker(message: Any, marker: Mapping[str, str]) -> Any:
    """The message with a marker on its last block; None if it has no block that can hold one, or holds one."""
    blocks = _blocks(message)
    if isinstance(message, AIMessage) or not blocks or any(_KEY in block for block in blocks):
        return None
    blocks[-1] = {**blocks[-1], _KEY: dict(marker)}
    return message.model_copy(update={"content": blocks})


def _tool_keys(tool: BaseTool | dict[str, Any]) -> dict[str, Any]:
    return (tool.extras or {}) if isinstance(tool, BaseTool) else tool


def _tool_with_marker(tool: BaseTool | dict[str, Any], marker: Mapping[str, str]) -> BaseTool | dict[str, Any]:
    if isinstance(tool, BaseTool):
        return tool.model_copy(update={"extras": {**(tool.extras or {}), _KEY: dict(marker)}})
    return {**tool, _KEY: dict(marker)}


def _count(system: BaseMessage | None, tools: Sequence[Any], messages: Sequence[BaseMessage]) -> int:
    """How many markers a request has."""
    holders = [_tool_keys(tool) for tool in tools]
    for message in (*([system] if system else ()), *messages):
        if not isinstance(message.content, str):
            holders += [cast("dict[str, Any]", block) for block in message.content if isinstance(block, dict)]
    return sum(_KEY in holder or _KEY in (holder.get("extras") or {}) for holder in holders)
