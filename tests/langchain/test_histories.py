"""A conversation goes on with another model on another wire, whoever wrote what was said before.

Words, calls and results always arrive. What only its maker understands is left out (design §2, §3), and what no other
wire can carry raises; both are counted here, so that neither grows unseen.
"""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

import pytest
from langchain_core.language_models._utils import _update_message_content_to_blocks
from langchain_core.messages import AIMessage

from cfaig_integrations.core.chat import ChatReply, ChatRequest
from cfaig_integrations.core.fold import fold
from cfaig_integrations.errors import ProtocolError, UnsupportedContent
from cfaig_integrations.gateway.models.routes import Api, route
from cfaig_integrations.langchain.inbound import to_turns
from cfaig_integrations.simulator import Simulator
from cfaig_integrations.wire.codec import EmbeddedError
from cfaig_integrations.wire.registry import codec
from tests.langchain.conftest import MODELS, Make
from tests.langchain.histories import assert_sent, history, left_out, read, shape
from tests.langchain.provider_package_messages import PACKAGES
from tests.langchain.test_recordings import as_message, as_stream
from tests.recorded_replies import WIRES, replies, streams
from tests.wire.harness import events_of, needs_complete_recordings, recordings

pytestmark = needs_complete_recordings

Made = list[tuple[int, ChatReply, AIMessage]]

REFUSED: dict[str, dict[str, int]] = {
    "chat": {},
    "responses": {
        "apply_patch_call": 1,
        "compaction": 2,
        "image_generation_call": 2,
        "local_shell_call": 1,
        "mcp_approval_request": 2,
        "shell_call": 3,
    },
    "messages": {"compaction": 1},
}
"""Blocks that no other wire carries, and in how many whole replies they raise."""
REFUSED_STREAMED: dict[str, dict[str, int]] = {
    "chat": {},
    "responses": {
        "apply_patch_call": 2,
        "image_generation_call": 2,
        "local_shell_call": 1,
        "mcp_approval_request": 2,
        "shell_call": 2,
    },
    "messages": {},
}
LEFT_OUT: dict[str, dict[str, int]] = {
    "chat": {"reasoning": 156},
    "responses": {
        "code_interpreter_call": 6,
        "file_search_call": 5,
        "mcp_call": 5,
        "mcp_list_tools": 5,
        "program": 1,
        "program_output": 1,
        "reasoning": 308,
        "tool_search_call": 11,
        "tool_search_output": 9,
        "web_search_call": 48,
    },
    "messages": {
        "advisor_tool_result": 6,
        "bash_code_execution_tool_result": 23,
        "code_execution_tool_result": 7,
        "fallback": 1,
        "mcp_tool_result": 4,
        "mcp_tool_use": 3,
        "reasoning": 53,
        "redacted_thinking": 2,
        "server_tool_use": 69,
        "text_editor_code_execution_tool_result": 7,
        "tool_search_tool_result": 11,
        "web_fetch_tool_result": 7,
        "web_search_tool_result": 11,
    },
}
"""Parts of the other whole replies that are for their maker alone: thoughts, and traces of tools that it ran."""
LEFT_OUT_STREAMED: dict[str, dict[str, int]] = {
    "chat": {"reasoning": 24},
    "responses": {
        "file_search_call": 3,
        "mcp_call": 1,
        "mcp_list_tools": 5,
        "program": 1,
        "program_output": 1,
        "reasoning": 40,
        "tool_search_call": 4,
        "tool_search_output": 2,
        "web_search_call": 4,
    },
    "messages": {
        "advisor_tool_result": 4,
        "bash_code_execution_tool_result": 5,
        "code_execution_tool_result": 2,
        "fallback": 1,
        "mcp_tool_result": 2,
        "mcp_tool_use": 2,
        "reasoning": 9,
        "redacted_thinking": 2,
        "server_tool_use": 31,
        "text_editor_code_execution_tool_result": 6,
        "tool_search_tool_result": 5,
        "web_fetch_tool_result": 3,
        "web_search_tool_result": 6,
    },
}

PAIRS = [(kind, api) for kind, wire in WIRES.items() for api in MODELS if api != wire]
every_other_wire = pytest.mark.parametrize(("kind", "api"), PAIRS)


def expected_left_out(table: dict[str, dict[str, int]], kind: str, api: str) -> dict[str, int]:
    """Of a chat completion, Workers AI's own endpoint takes the thoughts, too: it speaks the same format."""
    return {} if (kind, api) == ("chat", "run") else table[kind]


def go_on(make: Make, simulator: Simulator, made: Made, **arguments: Any) -> tuple[Counter[str], Counter[str]]:
    """Continues each conversation with a model; what raised in how many, and what was left out of the others.

    Every body is read; of each shape of reply one is also sent to the simulator.
    """
    model = make(max_retries=0, **arguments)
    refused: Counter[str] = Counter()
    dropped: Counter[str] = Counter()
    shapes: set[Any] = set()
    for line, reply, message in made:
        try:
            body = encoded(arguments["api"], message, model=arguments.get("model", ""))
        except UnsupportedContent as error:
            refused[str(error.value)] += 1
            continue
        result = read(body)
        try:
            assert_sent(result, message)
            form = shape(reply.turn.parts)
            if form not in shapes:
                shapes.add(form)
                assert model.invoke(history(message)).text
                assert_sent(read(simulator.requests[-1].body), message)
        except AssertionError as error:
            raise AssertionError(f"line {line}") from error
        dropped += left_out(reply) - Counter([*result.other, *(["reasoning"] if result.reasoning else [])])
    assert len(simulator.requests) == len(shapes)
    return refused, dropped


@every_other_wire
def test_every_whole_reply(make: Make, simulator: Simulator, kind: str, api: str) -> None:
    result = [(line, reply, as_message(reply)) for line, reply in replies(kind)]
    refused, dropped = go_on(make, simulator, result, api=api)
    assert refused == REFUSED[kind]
    assert dropped == expected_left_out(LEFT_OUT, kind, api)
    assert len(result) - refused.total() > 400


@every_other_wire
def test_every_streamed_reply(make: Make, simulator: Simulator, kind: str, api: str) -> None:
    wire = WIRES[kind]
    reported = streams(kind)
    result = [(line, fold(wire, events), as_stream(wire, events, as_blocks=False)) for line, events in reported]
    refused, dropped = go_on(make, simulator, result, api=api)
    assert refused == REFUSED_STREAMED[kind]
    assert dropped == expected_left_out(LEFT_OUT_STREAMED, kind, api)
    assert len(result) - refused.total() > 40


@pytest.mark.parametrize("kind", WIRES)
def test_standard_blocks_are_the_same_history(kind: str) -> None:
    for line, reply in replies(kind):
        message = as_message(reply)
        blocks = _update_message_content_to_blocks(message, "v1")
        assert to_turns(history(blocks)) == to_turns(history(message)), line
    for line, events in streams(kind):
        plain, blocks = (as_stream(WIRES[kind], events, as_blocks=blocks) for blocks in (False, True))
        assert to_turns(history(blocks)) == to_turns(history(plain)), line


def native_replies() -> Made:
    """What Cloudflare's own endpoint answered: native and in the envelope, whole and streamed."""
    result: list[ChatReply] = []
    for record in recordings("cloudflare"):
        data = record["response_body"].encode()
        try:
            wire = codec("run")
            result.append(fold("run", events_of(wire, [data])) if record["stream"] else wire.decode(data))
        except (EmbeddedError, ProtocolError):  # tests/wire/test_run.py says which are no chat answers
            continue
    return [(number, reply, as_message(reply)) for number, reply in enumerate(result) if reply.turn.parts]


OF_CLOUDFLARE: dict[str, dict[str, int]] = {
    "chat_completions": {"reasoning": 3, "web_search_call": 1},
    "responses": {"reasoning": 2},
    "messages": {"reasoning": 2, "web_search_call": 1},
    "run": {"reasoning": 2, "web_search_call": 1},
}
"""Left out of the replies of Cloudflare's endpoint, which are in the format of their model's provider."""


@pytest.mark.parametrize("api", OF_CLOUDFLARE)
def test_every_reply_of_cloudflares_own_endpoint(make: Make, simulator: Simulator, api: str) -> None:
    result = native_replies()
    refused, dropped = go_on(make, simulator, result, api=api)
    assert not refused
    assert dropped == OF_CLOUDFLARE[api]
    assert len(result) == 13


FAMILY = {
    "openai/gpt-4.1": ("chat_completions", False),
    "@cf/zai-org/glm-5.2": ("chat_completions", True),
    "@cf/mistralai/mistral-small-3.1-24b-instruct": ("chat_completions", True),
    "@cf/meta/llama-3.1-8b-instruct": ("run", True),
    "@cf/moonshotai/kimi-k2.5": ("run", True),
}
"""Models that speak OpenAI's chat format: how they are reached, and whether they are shown thoughts."""


@pytest.mark.parametrize("model", FAMILY)
def test_one_format_has_many_providers(make: Make, simulator: Simulator, model: str) -> None:
    """What one provider added to OpenAI's format is not sent to another that refuses it."""
    api, thoughts = FAMILY[model]
    result = [(line, reply, as_message(reply)) for line, reply in replies("chat")]
    alike = {
        (shape(reply.turn.parts), *reply.turn.extras.get(reply.wire, ())): one for one in result for reply in [one[1]]
    }
    assert len(alike) > 15
    refused, dropped = go_on(make, simulator, list(alike.values()), model=model, api=api)
    assert not refused
    assert ("reasoning" in dropped) is not thoughts
    if thoughts:
        simulator.reset()  # `reasoning_content` is no word of the official types, which judge what is left


@pytest.mark.parametrize("version", ["v0", "v1"])
@pytest.mark.parametrize("api", MODELS)
@pytest.mark.parametrize("maker", ["chat_completions", "responses"])
def test_a_refusal_is_sent_to_every_other_model(
    make: Make, simulator: Simulator, maker: str, api: str, version: str
) -> None:
    """No recording holds one."""
    simulator.reply(refusal="I will not.")
    result = make(api=maker, output_version=version).invoke("Do it.")
    assert make(api=api).invoke(history(result)).text
    assert read(simulator.requests[-1].body).text == "I will not."


PIECES: dict[str, dict[str, Any]] = {
    "audio": {"content": None, "audio": {"id": "audio_1", "data": "UklGRg==", "transcript": "Hi.", "expires_at": 1}},
    "image": {"content": "See:", "images": [{"image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}}]},
}


@pytest.mark.parametrize("kind", PIECES)
def test_generated_media_are_sent_back_where_possible(make: Make, simulator: Simulator, kind: str) -> None:
    """No recording of a whole reply holds such a thing."""
    choice = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", **PIECES[kind]}}
    body = {"id": "c", "object": "chat.completion", "created": 1, "model": "m", "choices": [choice]}
    simulator.reply_raw(body=json.dumps(body))
    maker = MODELS["chat_completions"] if kind == "audio" else "google/gemini-3-flash"
    result = make(api="chat_completions", model=maker).invoke("Do it.")
    sent = encoded("chat_completions", result, model=maker)["messages"][1]
    assert sent["audio"] == {"id": "audio_1"} if kind == "audio" else sent["images"] == PIECES["image"]["images"]
    for api in ("responses", "messages", *(["chat_completions", "run"] if kind == "image" else [])):
        with pytest.raises(UnsupportedContent):
            make(api=api).invoke(history(result))
    assert len(simulator.requests) == 1


REFUSED_OF_PACKAGES: dict[str, dict[str, int]] = {
    "chat": {},
    "responses": {"apply_patch_call": 1, "compaction": 2, "image_generation_call": 2, "mcp_approval_request": 2},
    "messages": {"compaction": 1},
}
PACKAGE_PAIRS = [(package, api) for package, (kind, _) in PACKAGES.items() for api in MODELS if api != WIRES[kind]]


def encoded(api: Api, message: AIMessage, *, model: str = "") -> dict[str, Any]:
    request = ChatRequest(model or MODELS[api], to_turns(history(message)))
    call_method = route(request, api=api)
    return codec(call_method.wire).encode(request, stream=False, quirks=call_method.quirks)


@pytest.mark.parametrize(("package", "api"), PACKAGE_PAIRS)
def test_every_message_of_another_package(make: Make, simulator: Simulator, package: str, api: Api) -> None:
    kind, write = PACKAGES[package]
    model = make(api=api, max_retries=0)
    refused: Counter[str] = Counter()
    shapes: set[Any] = set()
    lines = {line for line, _ in replies(kind)}
    for record in recordings(kind, stream=False):
        if record["line"] not in lines:
            continue
        message = write(json.loads(record["response_body"]))
        try:
            assert_sent(read(encoded(api, message)), message)
            form = shape(to_turns([message])[0].parts)
            if form not in shapes:
                shapes.add(form)
                assert model.invoke(history(message)).text
        except UnsupportedContent as error:
            refused[str(error.value)] += 1
        except AssertionError as error:
            raise AssertionError(f"line {record['line']}") from error
    assert refused == REFUSED_OF_PACKAGES[kind]
    assert len(simulator.requests) > 4


ITEM = {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "E"}
SEARCH = {"type": "web_search_call", "id": "ws_1", "status": "completed", "action": {"type": "search", "query": "q"}}
SQL = {"type": "custom_tool_call", "id": "ctc_1", "call_id": "call_1", "name": "sql", "input": "SELECT 1"}
IMAGE = {"type": "image_generation_call", "id": "ig_1", "result": "iVBORw0KGgo=", "status": "completed"}
SHOWN = {
    "type": "image",
    "base64": IMAGE["result"],
    "mime_type": "image/png",
    "id": "ig_1",
    "extras": {"status": "completed"},
}
SQL_CALL: Any = {"name": "sql", "args": {"__arg1": "SELECT 1"}, "id": "call_1", "type": "tool_call"}
OWN: dict[str, tuple[Any, dict[str, Any], list[Any], Any]] = {
    "thoughts beside": ([], {"reasoning": ITEM}, [], ITEM),
    "traces beside": ([], {"tool_outputs": [{**SEARCH, "index": 1}]}, [], SEARCH),
    "streamed": ([{**SEARCH, "index": 1}], {}, [], SEARCH),
    "free text": ([SQL], {}, [SQL_CALL], {key: value for key, value in SQL.items() if key != "id"}),
    "free text, v1": ([{"type": "non_standard", "value": SQL}], {}, [SQL_CALL], None),
    "image": ([IMAGE], {}, [], IMAGE),
    "image, v1": ([SHOWN], {}, [], IMAGE),
}
"""Content, `additional_kwargs` and calls of a message of langchain-openai, and the item that they stand for."""


@pytest.mark.parametrize("case", OWN)
def test_additional_kwargs_of_langchain_openai_are_sent_back(make: Make, simulator: Simulator, case: str) -> None:
    content, extra, calls, item = OWN[case]
    reported: list[Any] = [{"type": "text", "text": "a"}]
    metadata = {"model_provider": "openai"}
    answer = AIMessage([*content, *reported], additional_kwargs=extra, tool_calls=calls, response_metadata=metadata)
    make(api="responses").invoke(history(answer), store=True)
    sent = simulator.requests[-1].body["input"]
    item = item or OWN["free text"][3]
    result = [each for each in sent if each.get("type") == item["type"]]
    assert [{key: each[key] for key in item} for each in result] == [item]
    assert "index" not in result[0]


def test_audio_of_langchain_openai_is_sent_back(make: Make, simulator: Simulator) -> None:
    audio = {"id": "audio_1", "data": "UklGRg==", "expires_at": 1, "transcript": "Hello."}
    result = AIMessage("", additional_kwargs={"audio": audio}, response_metadata={"model_provider": "openai"})
    assert encoded("chat_completions", result)["messages"][1]["audio"] == {"id": "audio_1"}
    for api in ("responses", "messages"):
        with pytest.raises(UnsupportedContent):
            make(api=api).invoke(history(result))
    assert not simulator.requests


def test_thinking_in_a_list_is_read_as_text(make: Make, simulator: Simulator) -> None:
    block: Any = {"type": "thinking", "thinking": [{"type": "text", "text": "Hm."}]}
    for content in ([block], [{"type": "non_standard", "value": block}]):
        result = AIMessage([*content, {"type": "text", "text": "a"}], response_metadata={"model_provider": "openai"})
        make(api="run").invoke(history(result))
        assert read(simulator.requests[-1].body).reasoning == "Hm."
        make(api="messages").invoke(history(result))
        assert read(simulator.requests[-1].body).reasoning == ""
