"""LangChain tools that call the gateway: web search, image generation, text to speech, speech to text.

The tool message's content is a text for the model, its artifact a dict for the program: the pages of a search; media
type and contents (`data`, in base64) or `path` of a file; the model's whole output; and `log_id` of the call.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Unpack

from langchain_core.tools import BaseTool, StructuredTool

from cfaig_integrations.adapters.gateway_tools import (
    ConnectionArguments,
    GatewayTool,
    ImageGeneration,
    SpeechToText,
    TextToSpeech,
    ToolResult,
    WebSearchTool,
    within_run,
)
from cfaig_integrations.gateway.catalog import SearchProvider
from cfaig_integrations.langchain.costs import report
from cfaig_integrations.langchain.errors import langchain_errors
from cfaig_integrations.langchain.run_tracking import run_entries

__all__ = ["image_generation_tool", "speech_to_text_tool", "text_to_speech_tool", "web_search_tool"]


def web_search_tool(
    *,
    name: str = "web_search",
    description: str | None = None,
    provider: SearchProvider | None = None,
    limit: int | None = None,
    **connection: Unpack[ConnectionArguments],
) -> BaseTool:
    """A tool that searches the web.

    Args:
        name: Name of the tool, for the model.
        description: What it does, for the model.
        provider: `ceramic` (the server's default), `exa` or `linkup`.
        limit: Most results.
        **connection: Arguments of `AIGateway`; those that are left out come from the environment.

    Raises:
        ConfigError: A value is missing or not valid.
    """
    return _tool(WebSearchTool(name, description, provider=provider, limit=limit, **connection))


def image_generation_tool(
    model: str,
    *,
    input: Mapping[str, Any] | None = None,
    field: str | None = None,
    folder: str | Path | None = None,
    name: str = "generate_image",
    description: str | None = None,
    **connection: Unpack[ConnectionArguments],
) -> BaseTool:
    """A tool that generates an image from a description.

    Args:
        model: Model id, such as `cloudflare/image`.
        input: Further input fields of the model, such as `{"quality": "high"}`.
        field: Input field of the description, for a model that this package does not know.
        folder: Where files are written; by default a file stays in memory.
        name: Name of the tool, for the model.
        description: What it does, for the model.
        **connection: Arguments of `AIGateway`; those that are left out come from the environment.

    Raises:
        ConfigError: A value is missing or not valid.
    """
    return _tool(ImageGeneration(name, description, model=model, input=input, field=field, folder=folder, **connection))


def text_to_speech_tool(
    model: str,
    *,
    input: Mapping[str, Any] | None = None,
    field: str | None = None,
    folder: str | Path | None = None,
    name: str = "text_to_speech",
    description: str | None = None,
    **connection: Unpack[ConnectionArguments],
) -> BaseTool:
    """A tool that speaks a text.

    Args:
        model: Model id, such as `openai/tts-1`.
        input: Further input fields of the model, such as `{"voice": "alloy"}`.
        field: Input field of the text, for a model that this package does not know.
        folder: Where files are written; by default a file stays in memory.
        name: Name of the tool, for the model.
        description: What it does, for the model.
        **connection: Arguments of `AIGateway`; those that are left out come from the environment.

    Raises:
        ConfigError: A value is missing or not valid.
    """
    return _tool(TextToSpeech(name, description, model=model, input=input, field=field, folder=folder, **connection))


def speech_to_text_tool(
    model: str,
    *,
    input: Mapping[str, Any] | None = None,
    field: str | None = None,
    folder: str | Path | None = None,
    name: str = "speech_to_text",
    description: str | None = None,
    **connection: Unpack[ConnectionArguments],
) -> BaseTool:
    """A tool that transcribes a recording: a URL, a data URL, or a file in `folder`.

    Args:
        model: Model id, such as `cloudflare/stt`.
        input: Further input fields of the model.
        field: Input field of the recording, for a model that this package does not know.
        folder: The only place from which files are read; by default none are.
        name: Name of the tool, for the model.
        description: What it does, for the model.
        **connection: Arguments of `AIGateway`; those that are left out come from the environment.

    Raises:
        ConfigError: A value is missing or not valid.
    """
    return _tool(SpeechToText(name, description, model=model, input=input, field=field, folder=folder, **connection))


def _tool(tool: GatewayTool) -> BaseTool:
    def call(**arguments: str) -> ToolResult:
        with within_run(run_entries(None, None, tool.operation)), langchain_errors():
            result = tool.call(*arguments.values())
        report(result.data)
        return result

    async def acall(**arguments: str) -> ToolResult:
        with within_run(run_entries(None, None, tool.operation)), langchain_errors():
            result = await tool.acall(*arguments.values())
        report(result.data)
        return result

    return StructuredTool(
        name=tool.name,
        description=tool.description,
        args_schema=tool.arguments,
        func=call,
        coroutine=acall,
        response_format="content_and_artifact",
    )
