"""LlamaIndex tools that call the gateway: web search, image generation, text to speech, speech to text.

A tool's output has a text for the model, and as `raw_output` a dict for the program: that `text`; the pages of a
search; media type and contents (`data`, in base64) or `path` of a file; the model's whole output; `log_id` of the call.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Unpack

from llama_index.core.tools import FunctionTool, ToolMetadata

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
from cfaig_integrations.errors import GatewayError
from cfaig_integrations.gateway.catalog import SearchProvider
from cfaig_integrations.llama_index.costs import report
from cfaig_integrations.llama_index.run_metadata import tool_entries

__all__ = ["image_generation_tool", "speech_to_text_tool", "text_to_speech_tool", "web_search_tool"]


def web_search_tool(
    *,
    name: str = "web_search",
    description: str | None = None,
    provider: SearchProvider | None = None,
    limit: int | None = None,
    **connection: Unpack[ConnectionArguments],
) -> FunctionTool:
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
) -> FunctionTool:
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
) -> FunctionTool:
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
) -> FunctionTool:
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


def _tool(tool: GatewayTool) -> FunctionTool:
    def call(**arguments: str) -> dict[str, Any]:
        with _run_of(tool):
            return _output(tool.call(*arguments.values()))

    async def acall(**arguments: str) -> dict[str, Any]:
        with _run_of(tool):
            return _output(await tool.acall(*arguments.values()))

    def text(output: dict[str, Any]) -> str:
        return str(output["text"])

    async def atext(output: dict[str, Any]) -> str:
        return str(output["text"])

    return FunctionTool(
        fn=call,
        async_fn=acall,
        metadata=ToolMetadata(name=tool.name, description=tool.description, fn_schema=tool.arguments),
        callback=text,
        async_callback=atext,
    )


@contextmanager
def _run_of(tool: GatewayTool) -> Generator[None]:
    """What the tool's run contributes to the gateway's log; collectors hear of a call that fails."""
    try:
        with within_run(tool_entries(tool.operation)):
            yield
    except GatewayError as error:
        report(error)
        raise


def _output(result: ToolResult) -> dict[str, Any]:
    report(result.data)
    return {"text": result.text, **result.data}
