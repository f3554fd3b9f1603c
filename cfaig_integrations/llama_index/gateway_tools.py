"""LlamaIndex tools that call the gateway: web search, image generation, text to speech, speech to text.

A tool's output has a text for the model, and as `raw_output` a dict for the program: that `text`; the pages of a
search; media type and contents (`data`, in base64) or `path` of a file; the model's whole output; `log_id` of the call.
"""

from __future__ import annotations

from typing import Any

from llama_index.core.tools import FunctionTool, ToolMetadata

from cfaig_integrations.adapters.gateway_tools import GatewayTool, ToolResult, within_run
from cfaig_integrations.adapters.tool_makers import ToolMaker, returning
from cfaig_integrations.llama_index.costs import report, reported_errors
from cfaig_integrations.llama_index.run_metadata import tool_entries


def _tool(tool: GatewayTool) -> FunctionTool:
    def call(**arguments: str) -> dict[str, Any]:
        with reported_errors(), within_run(tool_entries(tool.operation)):
            return _output(tool.call(*arguments.values()))

    async def acall(**arguments: str) -> dict[str, Any]:
        with reported_errors(), within_run(tool_entries(tool.operation)):
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


def _output(result: ToolResult) -> dict[str, Any]:
    report(result.data)
    return {"text": result.text, **result.data}


_make = ToolMaker(_tool)
web_search_tool = returning(FunctionTool, _make.web_search_tool)
image_generation_tool = returning(FunctionTool, _make.image_generation_tool)
text_to_speech_tool = returning(FunctionTool, _make.text_to_speech_tool)
speech_to_text_tool = returning(FunctionTool, _make.speech_to_text_tool)
