"""A message of which a program replaced the text takes back nothing that says it in the old form."""

from __future__ import annotations

import json
from typing import Any

import pytest
from langchain.agents import create_agent
from langchain.agents.middleware import PIIMiddleware
from langchain_core.messages import AIMessage, HumanMessage

from cfaig_integrations.simulator import Simulator
from tests.langchain.conftest import Make

SECRET = "ann@example.org"
TEXT = f"Write to {SECRET}."
THOUGHT = f"Her address is {SECRET}."
URL = {"type": "url_citation", "url": "https://a.example", "title": SECRET, "start_index": 0, "end_index": 5}
QUOTE = {"type": "char_location", "cited_text": SECRET, "document_index": 0, "document_title": "t"} | {
    "start_char_index": 0,
    "end_char_index": 5,
}
REPLIES: dict[str, dict[str, Any]] = {
    "run": {
        "id": "1",
        "model": "m",
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": TEXT, "reasoning_content": THOUGHT},
                "finish_reason": "stop",
            }
        ],
    },
    "responses": {
        "id": "resp_1",
        "object": "response",
        "status": "completed",
        "model": "m",
        "output": [
            {
                "type": "reasoning",
                "id": "rs_1",
                "summary": [{"type": "summary_text", "text": THOUGHT}],
                "encrypted_content": SECRET,
            },
            {
                "type": "message",
                "id": "msg_1",
                "role": "assistant",
                "status": "completed",
                "content": [{"type": "output_text", "text": TEXT, "annotations": [URL]}],
            },
        ],
    },
    "messages": {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "m",
        "content": [
            {"type": "thinking", "thinking": THOUGHT, "signature": SECRET},
            {"type": "redacted_thinking", "data": SECRET},
            {"type": "text", "text": TEXT, "citations": [QUOTE]},
        ],
        "stop_reason": "end_turn",
        "stop_sequence": None,
        "usage": {"input_tokens": 1, "output_tokens": 1},
    },
}
MODELS = {
    "run": "@cf/zai-org/glm-5.2",
    "responses": "openai/gpt-5.4",
    "messages": "anthropic/claude-sonnet-4.5",
}
every = pytest.mark.parametrize("api", REPLIES)
in_either_form = pytest.mark.parametrize("version", [None, "v1"])


@every
@in_either_form
@pytest.mark.parametrize("strategy", ["redact", "mask", "hash"])
def test_redaction_middleware(make: Make, simulator: Simulator, api: str, version: str | None, strategy: Any) -> None:
    simulator.reply_raw(body=json.dumps(REPLIES[api]), times=2)
    model = make(api=api, model=MODELS[api], output_version=version)
    redacts = PIIMiddleware("email", strategy=strategy, apply_to_output=True)
    agent: Any = create_agent(model, [], middleware=[redacts])
    result = agent.invoke({"messages": [("user", "x")]})["messages"]
    assert SECRET not in result[-1].text
    agent.invoke({"messages": [*result, HumanMessage("again")]})
    assert SECRET not in json.dumps(simulator.requests[-1].body)


@every
@in_either_form
@pytest.mark.parametrize("word", ["x" * len(SECRET), "***", ""])
def test_any_replacement_text(make: Make, simulator: Simulator, api: str, version: str | None, word: str) -> None:
    simulator.reply_raw(body=json.dumps(REPLIES[api]), times=3)
    model = make(api=api, model=MODELS[api], output_version=version)
    result = model.invoke("q")
    if isinstance(result.content, str):
        content: Any = result.content.replace(SECRET, word)
    else:
        content = [
            {**block, "text": block["text"].replace(SECRET, word)} if block["type"] == "text" else block
            for block in json.loads(json.dumps(result.content))
        ]
    edited = AIMessage.model_validate_json(result.model_copy(update={"content": content}).model_dump_json())
    model.invoke([HumanMessage("q"), edited, HumanMessage("again")])
    sent = json.dumps(simulator.requests[-1].body)
    assert SECRET not in sent
    assert f"Write to {word}." in sent
    model.invoke([HumanMessage("q"), result, HumanMessage("again")])
    assert THOUGHT in json.dumps(simulator.requests[-1].body)


@every
@in_either_form
@pytest.mark.parametrize(
    "stored", [None, 7, "x", [], {}, {"parts": 7}, {"version": 1}, {"version": 9, "parts": [{"n": 0, "kind": "text"}]}]
)
def test_damaged_replay_state_is_ignored(
    make: Make, simulator: Simulator, api: str, version: str | None, stored: Any
) -> None:
    simulator.reply_raw(body=json.dumps(REPLIES[api]), times=3)
    model = make(api=api, model=MODELS[api], output_version=version)
    result = model.invoke("q")
    without = {key: value for key, value in result.additional_kwargs.items() if key != "cf_aig_turn"}
    for extra in (without, {**without, "cf_aig_turn": stored}):
        edited = result.model_copy(update={"additional_kwargs": extra})
        assert edited.content_blocks
        model.invoke([HumanMessage("q"), edited, HumanMessage("again")])
    assert simulator.requests[-1].body == simulator.requests[-2].body
