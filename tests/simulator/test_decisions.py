"""Decision models on `/ai/run`."""

from __future__ import annotations

from typing import Any

import pytest

from cfaig_integrations.simulator import Simulator

from .conftest import Caller, error_of

CLEF = "@cf/cloudflare/clef"
REFUND = {"type": "noul", "instructions": "Does the customer want a refund for the parcel?"}
TONE = {"type": "choice", "instructions": "Which tone?", "criteria": {"angry": "shouting and angry", "calm": None}}
URGENCY = {"type": "score", "instructions": "How urgent?", "criteria": ["not urgent", "urgent"]}
BODY: dict[str, Any] = {
    "model": "clef",
    "state": "The customer is shouting and angry: the parcel never arrived, and a refund is urgent.",
    "questions": {"refund": REFUND, "tone": TONE, "urgency": URGENCY},
}


def test_all_kinds_of_questions(sim: Simulator, caller: Caller) -> None:
    answer = caller.post(f"/ai/run/{CLEF}", BODY, {"cf-aig-gateway-id": "default"})
    result = answer.json()["result"]
    assert (result["model"], result["usage"]["output_tokens"]) == ("clef", 0)
    refund, tone, urgency = (result["answers"][key] for key in BODY["questions"])
    assert 0 < refund["noul"] <= 1
    assert tone["choice"] == "angry"
    assert sum(tone["probabilities"].values()) == pytest.approx(1, abs=0.001)
    assert tone["confidence"] == max(tone["probabilities"].values())
    assert (urgency["legend"], set(urgency["probabilities"])) == ({"0": "not urgent", "1": "urgent"}, {"0", "1"})
    assert 0 <= urgency["score"] <= 1
    assert caller.post(f"/ai/run/{CLEF}", BODY).json()["result"]["answers"] == result["answers"], "it is deterministic"
    assert sim.logs()[0]["tokens_in"] == result["usage"]["input_tokens"]


def test_the_wrapper_and_any_state(caller: Caller) -> None:
    inner = {**BODY, "state": {"order": 7, "late": True}, "model": "clef-flash"}
    answer = caller.post("/ai/run", {"model": "@cf/cloudflare/clef-flash", "input": inner})
    assert answer.json()["result"]["model"] == "clef-flash", answer.text


@pytest.mark.parametrize(
    ("change", "status", "code", "reason"),
    [
        ({"model": None}, 400, 5006, "'/model'"),
        ({"model": "clef-flash"}, 400, 5006, "'/model'"),
        ({"questions": {}}, 400, 5006, "between 1 and 64"),
        ({"questions": {str(i): REFUND for i in range(65)}}, 400, 5006, "between 1 and 64"),
        ({"questions": {"q": {"type": "noul"}}}, 400, 5006, "'instructions'"),
        ({"questions": {"q": {"type": "maybe", "instructions": "a"}}}, 400, 5006, "'/questions/q/type'"),
        ({"questions": {"q": {**TONE, "criteria": {"one": None}}}}, 400, 5006, "at least 2"),
        ({"questions": {"q": {**URGENCY, "criteria": {"a": "b"}}}}, 400, 5006, "'/questions/q/criteria'"),
        ({"images": ["http://example.com/a.png"]}, 422, 5012, "image payload is invalid"),
        ({"images": ["data:image/png;base64,AA=="] * 5}, 422, 5012, "image payload is invalid"),
        ({"stream": True}, 400, 5006, "'stream'"),
    ],
)
def test_what_is_refused(caller: Caller, change: dict[str, Any], status: int, code: int, reason: str) -> None:
    error = error_of(caller.post(f"/ai/run/{CLEF}", {**BODY, **change}))
    assert error[:2] == (status, code)
    assert reason in error[2]


def test_it_is_no_chat_model(caller: Caller) -> None:
    missing = error_of(caller.post(f"/ai/run/{CLEF}", {"model": "clef", "state": "x"}))
    assert missing[1] == 5006
    assert "required properties at '/' are 'model,state,questions'" in missing[2]
    assert error_of(caller.chat(CLEF))[:2] == (400, 5007)
