"""The gateway's tools as tools of LlamaIndex, and in an agent."""

from __future__ import annotations

import asyncio
import inspect
import json
import pickle
from base64 import b64decode
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any, get_type_hints

import pytest
from llama_index.core.agent.workflow import FunctionAgent
from llama_index.core.instrumentation.dispatcher import instrument_tags
from llama_index.core.tools import FunctionTool

from cfaig_integrations import ApiError
from cfaig_integrations.llama_index import (
    CloudflareAIGateway,
    LogCollector,
    image_generation_tool,
    speech_to_text_tool,
    text_to_speech_tool,
    web_search_tool,
)
from cfaig_integrations.simulator import Simulator
from tests.client.gateway_api import ACCOUNT, file_reply, json_reply, png, seconds_of, size_of, wav
from tests.client.loopback import Loopback, Reply
from tests.conftest import where

PAGES = json_reply({"items": [{"url": "https://a", "title": "A", "description": "About a"}]})
TOOLS: dict[str, tuple[Callable[..., FunctionTool], dict[str, Any], str, Reply]] = {
    "web_search": (web_search_tool, {}, "query", PAGES),
    "generate_image": (
        image_generation_tool,
        {"model": "cloudflare/image"},
        "prompt",
        file_reply(png(), "image/png"),
    ),
    "text_to_speech": (text_to_speech_tool, {"model": "elevenlabs/eleven-v3"}, "text", file_reply(wav(), "audio/wav")),
    "speech_to_text": (speech_to_text_tool, {"model": "cloudflare/stt"}, "audio", json_reply({"text": "Hello"})),
}


def make(name: str, server: Loopback, /, **more: Any) -> FunctionTool:
    factory, arguments, _, reply = TOOLS[name]
    server.usual = reply
    return factory(**arguments, base_url=server.base_url, **ACCOUNT, **more)


@pytest.mark.parametrize("name", TOOLS)
def test_the_signature_names_the_type_of_the_tool(name: str) -> None:
    factory = TOOLS[name][0]
    assert inspect.signature(factory).return_annotation is FunctionTool
    assert get_type_hints(factory)["return"] is FunctionTool


@pytest.mark.parametrize("name", TOOLS)
def test_a_function_that_makes_tools_can_be_pickled(name: str) -> None:
    factory = TOOLS[name][0]
    assert pickle.loads(pickle.dumps(factory)) is factory


@pytest.mark.parametrize("name", TOOLS)
@pytest.mark.parametrize("asynchronous", [False, True], ids=["sync", "async"])
def test_a_call_has_a_text_and_data(server: Loopback, name: str, asynchronous: bool) -> None:
    tool, argument = make(name, server), TOOLS[name][2]
    assert tool.metadata.name == name
    assert list(tool.metadata.get_parameters_dict()["properties"]) == [argument]
    arguments = {argument: "https://a/x"}
    output = asyncio.run(tool.acall(**arguments)) if asynchronous else tool.call(**arguments)
    assert (output.tool_name, output.raw_input) == (name, {"args": (), "kwargs": arguments})
    match name:
        case "web_search":
            assert "https://a" in output.content
            assert output.raw_output["pages"][0]["title"] == "A"
        case "generate_image":
            assert size_of(b64decode(output.raw_output["data"])) == (3, 2)
        case "text_to_speech":
            assert seconds_of(b64decode(output.raw_output["data"])) == 0.5
        case _:
            assert output.content == "Hello"
    assert len(server.seen) == 1


OPERATIONS = {
    "web_search": "web_search",
    "generate_image": "image",
    "text_to_speech": "speech",
    "speech_to_text": "transcription",
}


@pytest.mark.parametrize("name", TOOLS)
@pytest.mark.parametrize("asynchronous", [False, True], ids=["sync", "async"])
def test_a_call_carries_the_metadata_of_its_run(server: Loopback, name: str, asynchronous: bool) -> None:
    tool, arguments = make(name, server, gateway_metadata={"team": "docs"}), {TOOLS[name][2]: "https://a/x"}
    with instrument_tags({"user_id": "ann", "run_id": "r1"}):
        asyncio.run(tool.acall(**arguments)) if asynchronous else tool.call(**arguments)
    metadata = {"team": "docs", "user_id": "ann", "run_id": "r1", "op": OPERATIONS[name]}
    assert json.loads(server.seen[0].headers["cf-aig-metadata"]) == metadata


@pytest.mark.parametrize("asynchronous", [False, True], ids=["sync", "async"])
def test_collectors_hear_of_calls_and_failures(server: Loopback, asynchronous: bool) -> None:
    tool = make("web_search", server)
    server.script += [
        json_reply({"items": []}, **{"cf-aig-log-id": "log1"}),
        Reply([b"{}"], status=400, headers={"cf-aig-log-id": "log2"}),
    ]
    with LogCollector() as collector:
        for failure in (nullcontext(), pytest.raises(ApiError)):
            with failure:
                asyncio.run(tool.acall(query="a")) if asynchronous else tool.call(query="a")
    assert collector.log_ids == ("log1", "log2")


@pytest.mark.parametrize("name", TOOLS)
def test_name_and_description_can_be_chosen(server: Loopback, name: str) -> None:
    tool = make(name, server, name="other", description="Does it.")
    assert (tool.metadata.name, tool.metadata.description) == ("other", "Does it.")


async def test_an_agent_uses_a_tool(server: Loopback, simulator: Simulator) -> None:
    llm = CloudflareAIGateway(**where(simulator), model="openai/gpt-5.4")
    simulator.reply(calls=[{"name": "web_search", "arguments": {"query": "a"}}])
    simulator.reply("It is A.")
    response = await FunctionAgent(llm=llm, tools=[make("web_search", server)]).run(user_msg="What is a?")
    assert str(response) == "It is A."
    assert "About a" in str(simulator.requests[-1].body)


@pytest.mark.parametrize("asynchronous", [False, True], ids=["sync", "async"])
def test_the_tools_on_the_simulated_gateway(simulator: Simulator, tmp_path: Path, asynchronous: bool) -> None:
    place = {**where(simulator), "folder": tmp_path}

    def call(tool: FunctionTool, argument: str) -> Any:
        arguments = {next(iter(tool.metadata.get_parameters_dict()["properties"])): argument}
        return (asyncio.run(tool.acall(**arguments)) if asynchronous else tool.call(**arguments)).raw_output

    found = call(web_search_tool(**where(simulator)), "Cloudflare Tunnel")
    assert found["pages"][0]["url"] == "https://example.com/cloudflare-tunnel"
    drawn = call(image_generation_tool("openai/gpt-image-2", **place), "a red cat")
    assert size_of(Path(drawn["path"]).read_bytes()) == (512, 512)
    spoken = call(text_to_speech_tool("@cf/deepgram/aura-2-en", **place), "Hello from Paris.")
    for model in ("cloudflare/stt", "openai/gpt-4o-transcribe", "@cf/openai/whisper-large-v3-turbo"):
        heard = call(speech_to_text_tool(model, **place), Path(spoken["path"]).name)
        assert heard["output"]["text"] == "Hello from Paris."
    assert found["log_id"] == simulator.logs(model="ceramic/web-search")[0]["id"]
