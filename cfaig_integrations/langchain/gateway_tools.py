"""LangChain tools that call the gateway: web search, image generation, text to speech, speech to text.

The tool message's content is a text for the model, its artifact a dict for the program: the pages of a search; media
type and contents (`data`, in base64) or `path` of a file; the model's whole output; and `log_id` of the call.
"""

from __future__ import annotations

from langchain_core.tools import BaseTool, StructuredTool

from cfaig_integrations.adapters.gateway_tools import GatewayTool, ToolResult, within_run
from cfaig_integrations.adapters.tool_makers import ToolMaker, returning
from cfaig_integrations.langchain.costs import report
from cfaig_integrations.langchain.errors import langchain_errors
from cfaig_integrations.langchain.run_tracking import run_entries


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


_make = ToolMaker(_tool)
web_search_tool = returning(BaseTool, _make.web_search_tool)
image_generation_tool = returning(BaseTool, _make.image_generation_tool)
text_to_speech_tool = returning(BaseTool, _make.text_to_speech_tool)
speech_to_text_tool = returning(BaseTool, _make.speech_to_text_tool)
