"""The gateway's tools as tools of LangChain, and in an agent."""

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
from uuid import uuid4

import pytest
from langchain.agents import create_agent
from langchain_core.messages import ToolMessage
from langchain_core.tools import BaseTool

from cfaig_integrations import ApiError, gateway_context
from cfaig_integrations.langchain import (
    ChatCloudflareAIGateway,
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
TOOLS: dict[str, tuple[Callable[..., BaseTool], dict[str, Any], str, Reply]] = {
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


def make(name: str, server: Loopback, /, **more: Any) -> BaseTool:
    factory, arguments, _, reply = TOOLS[name]
    server.usual = reply
    return factory(**arguments, base_url=server.base_url, **ACCOUNT, **more)


@pytest.mark.parametrize("name", TOOLS)
def test_the_signature_names_the_type_of_the_tool(name: str) -> None:
    factory = TOOLS[name][0]
    assert inspect.signature(factory).return_annotation is BaseTool
    assert get_type_hints(factory)["return"] is BaseTool


@pytest.mark.parametrize("name", TOOLS)
def test_a_function_that_makes_tools_can_be_pickled(name: str) -> None:
    factory = TOOLS[name][0]
    assert pickle.loads(pickle.dumps(factory)) is factory


@pytest.mark.parametrize("name", TOOLS)
@pytest.mark.parametrize("asynchronous", [False, True], ids=["sync", "async"])
def test_a_call_has_a_text_and_an_artifact(server: Loopback, name: str, asynchronous: bool) -> None:
    tool, argument = make(name, server), TOOLS[name][2]
    assert tool.name == name
    assert list(tool.args) == [argument]
    call: Any = {"type": "tool_call", "id": "call_1", "name": name, "args": {argument: "https://a/x"}}
    message = asyncio.run(tool.ainvoke(call)) if asynchronous else tool.invoke(call)
    assert isinstance(message, ToolMessage)
    match name:
        case "web_search":
            assert "https://a" in message.text
            assert message.artifact["pages"][0]["title"] == "A"
        case "generate_image":
            assert size_of(b64decode(message.artifact["data"])) == (3, 2)
        case "text_to_speech":
            assert seconds_of(b64decode(message.artifact["data"])) == 0.5
        case _:
            assert message.text == "Hello"
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
    tool, argument, run_id = make(name, server, gateway_metadata={"team": "docs"}), TOOLS[name][2], uuid4()
    config: Any = {
        "run_id": run_id,
        "configurable": {"thread_id": "t1"},
        "metadata": {"user_id": "ann", "cf_aig_metadata": {"tier": "gold"}},
    }
    with gateway_context(metadata={"tier": "block"}):
        call = {argument: "https://a/x"}
        asyncio.run(tool.ainvoke(call, config)) if asynchronous else tool.invoke(call, config)
    assert json.loads(server.seen[0].headers["cf-aig-metadata"]) == {
        "tier": "block",
        "team": "docs",
        "user_id": "ann",
        "thread_id": "t1",
        "parent_run_id": str(run_id),
    }
    tool.invoke({argument: "https://a/x"}, {"metadata": {"cf_aig_metadata": {"area": "north"}}})
    logged = json.loads(server.seen[1].headers["cf-aig-metadata"])
    assert (logged["op"], logged["area"]) == (OPERATIONS[name], "north")


@pytest.mark.parametrize("asynchronous", [False, True], ids=["sync", "async"])
def test_collectors_hear_of_calls_and_failures(server: Loopback, asynchronous: bool) -> None:
    tool, collector = make("web_search", server), LogCollector()
    server.script += [
        json_reply({"items": []}, **{"cf-aig-log-id": "log1"}),
        Reply([b"{}"], status=400, headers={"cf-aig-log-id": "log2"}),
    ]
    config: Any = {"callbacks": [collector]}
    for failure in (nullcontext(), pytest.raises(ApiError)):
        with failure:
            asyncio.run(tool.ainvoke({"query": "a"}, config)) if asynchronous else tool.invoke({"query": "a"}, config)
    assert collector.log_ids == ("log1", "log2")


@pytest.mark.parametrize("name", TOOLS)
def test_name_and_description_can_be_chosen(server: Loopback, name: str) -> None:
    tool = make(name, server, name="other", description="Does it.")
    assert (tool.name, tool.description) == ("other", "Does it.")
    assert ACCOUNT["api_token"] not in repr(tool)


def test_an_agent_uses_a_tool(server: Loopback, simulator: Simulator, tmp_path: Path) -> None:
    speak = make("text_to_speech", server, folder=tmp_path)
    model = ChatCloudflareAIGateway(**where(simulator), model="openai/gpt-5.4")
    simulator.reply(calls=[{"name": "text_to_speech", "arguments": {"text": "Hello"}}])
    simulator.reply("Here it is.")
    state = create_agent(model, [speak]).invoke({"messages": [("user", "Say hello.")]})
    (path,) = tmp_path.iterdir()
    assert path.name in state["messages"][2].text
    assert state["messages"][2].artifact["path"] == str(path)
    assert pickle.loads(pickle.dumps(state["messages"])) == state["messages"]


@pytest.mark.parametrize("asynchronous", [False, True], ids=["sync", "async"])
def test_the_tools_on_the_simulated_gateway(simulator: Simulator, tmp_path: Path, asynchronous: bool) -> None:
    place = {**where(simulator), "folder": tmp_path}

    def call(tool: BaseTool, argument: str) -> Any:
        request: Any = {
            "type": "tool_call",
            "id": "call_1",
            "name": tool.name,
            "args": {next(iter(tool.args)): argument},
        }
        return (asyncio.run(tool.ainvoke(request)) if asynchronous else tool.invoke(request)).artifact

    found = call(web_search_tool(**where(simulator)), "Cloudflare Tunnel")
    assert found["pages"][0]["url"] == "https://example.com/cloudflare-tunnel"
    drawn = call(image_generation_tool("openai/gpt-image-2", **place), "a red cat")
    assert size_of(Path(drawn["path"]).read_bytes()) == (512, 512)
    spoken = call(text_to_speech_tool("@cf/deepgram/aura-2-en", **place), "Hello from Paris.")
    for model in ("cloudflare/stt", "openai/gpt-4o-transcribe", "@cf/openai/whisper-large-v3-turbo"):
        heard = call(speech_to_text_tool(model, **place), Path(spoken["path"]).name)
        assert heard["output"]["text"] == "Hello from Paris."
    assert found["log_id"] == simulator.logs(model="ceramic/web-search")[0]["id"]
