"""Stop texts on a format that has none: the answer ends before the first one all the same."""

from __future__ import annotations

import pytest

from cfaig_integrations.langchain import CloudflareAIGatewayLLM, gateway_info
from cfaig_integrations.simulator import Simulator
from tests.langchain.call_methods import CALL_METHODS, STREAMS, every_way, weather
from tests.langchain.conftest import Make, where

TEXT = "Thought: I know.\nObservation: it rains.\nThought: so be it."


@every_way
@pytest.mark.parametrize("stop", ["\nObservation", "\nObservation:", "Observation: it rains. That is all"])
async def test_the_answer_ends_before_the_stop_text(
    make: Make, simulator: Simulator, call_method: str, stop: str
) -> None:
    simulator.reply(TEXT)
    reply = await CALL_METHODS[call_method](make(api="responses"), "Hi", stop=[stop])
    assert reply.text == TEXT.partition(stop)[0]
    finish = reply.response_metadata["finish_reason"]
    assert (finish == "stop") is (stop in TEXT)
    assert "stop" not in simulator.requests[-1].body


@pytest.mark.parametrize("version", ["v0", "v1"])
@every_way
async def test_both_output_versions_end(make: Make, simulator: Simulator, call_method: str, version: str) -> None:
    simulator.reply(TEXT)
    reply = await CALL_METHODS[call_method](make(api="responses", output_version=version, stop=["\nObs"]), "Hi")
    assert [block["type"] for block in reply.content_blocks] == ["text"]
    assert reply.text == "Thought: I know."


@every_way
async def test_calls_after_the_stop_text_are_dropped(make: Make, simulator: Simulator, call_method: str) -> None:
    simulator.reply("Go. STOP", calls=[{"name": "weather", "arguments": {"city": "Rome"}}])
    reply = await CALL_METHODS[call_method](make(api="responses").bind_tools([weather]), "Hi", stop=["STOP"])
    assert (reply.text, reply.tool_calls) == ("Go. ", [])


def test_a_whole_reply_reports_all_tokens(make: Make, simulator: Simulator) -> None:
    simulator.reply(TEXT, tokens_out=99)
    reply = make(api="responses").invoke("Hi", stop=["\nObservation"])
    assert reply.usage_metadata is not None
    assert reply.usage_metadata["output_tokens"] == 99


@pytest.mark.parametrize("call_method", STREAMS)
async def test_a_stream_is_read_no_further(make: Make, simulator: Simulator, call_method: str) -> None:
    """What comes after the stop text would break the stream, if anybody read it."""
    simulator.reply("one two STOP " + "more " * 400)
    simulator.fault("cut_clean", after_events=40)
    reply = await CALL_METHODS[call_method](make(api="responses", max_retries=0), "Hi", stop=["STOP"])
    assert reply.text == "one two "


@every_way
async def test_the_history_holds_what_was_shown(make: Make, simulator: Simulator, call_method: str) -> None:
    model = make(api="responses")
    simulator.reply(TEXT)
    reply = await CALL_METHODS[call_method](model, "Hi", stop=["\nObservation"])
    model.invoke([("human", "Hi"), reply, ("human", "And?")])
    assert "it rains" not in str(simulator.requests[-1].body)


@pytest.mark.parametrize(
    ("model", "wire"), [("openai/gpt-5.4", "chat_completions"), ("openai/gpt-5.6-luna", "responses")]
)
def test_auto_prefers_a_format_with_stop_texts(make: Make, simulator: Simulator, model: str, wire: str) -> None:
    reply = make(model=model).bind_tools([weather]).invoke("Hi", stop=["STOP"])
    info = gateway_info(reply)
    assert info is not None
    assert info.wire == wire
    assert simulator.requests[-1].body.get("stop") == (["STOP"] if wire == "chat_completions" else None)


@every_way
@pytest.mark.parametrize("api", ["chat_completions", "responses"])
@pytest.mark.parametrize("word", ["stop", "stop_sequences"])
async def test_a_call_can_remove_the_models_stop_texts(
    make: Make, simulator: Simulator, call_method: str, api: str, word: str
) -> None:
    model = make(api=api, stop=["know"])
    simulator.reply(TEXT, times=2)
    assert (await CALL_METHODS[call_method](model, "Hi", **{word: []})).text == TEXT
    assert "stop" not in simulator.requests[-1].body
    with_stops = await CALL_METHODS[call_method](model, "Hi", stop=None)
    assert (simulator.requests[-1].body.get("stop") == ["know"]) or with_stops.text == "Thought: I "
    assert "ls_stop" not in model._get_ls_params([])
    assert model._get_ls_params()["ls_stop"] == ["know"]


def test_a_call_of_an_llm_can_remove_them_too(simulator: Simulator) -> None:
    llm = CloudflareAIGatewayLLM(model="openai/gpt-4.1", stop=["know"], **where(simulator))
    simulator.reply(TEXT, times=2)
    assert llm.invoke("Hi", stop=[]) == "".join(llm.stream("Hi", stop=[])) == TEXT
    llm.invoke("Hi")
    assert [request.body.get("stop") for request in simulator.requests] == [None, None, ["know"]]
