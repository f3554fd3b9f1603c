"""The decision model: what it sends, what it accepts as an answer, and LangChain's middleware on it."""

from __future__ import annotations

import asyncio
import json
import sys
from base64 import b64encode
from collections.abc import Callable
from typing import Any

import pytest

pytest.importorskip("langchain_core.decisions", reason="langchain-core before 1.8 has no decision models")

from langchain.agents import create_agent
from langchain_core import exceptions as lc
from langchain_core.decisions import Box, Choice, ClassifierResponse, Noul, NoulCriteria, Question, Score
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage, ToolMessage

from cfaig_integrations import errors
from cfaig_integrations.langchain import ChatCloudflareAIGateway, CloudflareAIGatewayDecisionModel, LogCollector
from cfaig_integrations.simulator import Simulator
from tests.langchain.conftest import MODELS, where
from tests.langchain.conftest import Make as MakeChat
from tests.langchain.media import png
from tests.langchain.programs import ASK, asked, results, weather

MODEL = "@cf/cloudflare/clef"
Make = Callable[..., CloudflareAIGatewayDecisionModel]
QUESTIONS: dict[str, Question] = {
    "refund": Noul(instructions="Does the customer want a refund?"),
    "tone": Choice(instructions="Tone?", criteria={"angry": None, "calm": "Polite."}),
    "urgency": Score(instructions="How urgent?", criteria=["low", "high"]),
}
ANSWERS: dict[str, dict[str, Any]] = {
    "refund": {"type": "noul", "noul": 0.93},
    "tone": {"choice": "calm", "probabilities": {"angry": 0.2, "calm": 0.8}, "confidence": 0.7},
    "urgency": {"score": 0.4, "legend": {"0": "low"}, "probabilities": {"0": 0.6, "1": 0.4}, "confidence": 0.5},
}
STATE = "The customer says the parcel never arrived."
PNG = b64encode(png()).decode()
IMAGE = {"type": "image", "base64": PNG, "mime_type": "image/png"}


@pytest.fixture
def make(simulator: Simulator) -> Make:
    """Makes a decision model that talks to the simulator."""

    def made(**arguments: Any) -> CloudflareAIGatewayDecisionModel:
        return CloudflareAIGatewayDecisionModel(**where(simulator) | arguments)

    return made


@pytest.fixture
def make_chat(simulator: Simulator) -> MakeChat:
    """Makes a chat model that talks to the simulator."""
    return lambda api: ChatCloudflareAIGateway(model=MODELS[api], api=api, **where(simulator))


def answer(simulator: Simulator, answers: dict[str, Any], *, envelope: bool = True) -> None:
    """Queues a reply; the simulator checks nothing of a request that is answered by one."""
    reply = {"model": "clef", "answers": answers, "usage": {"input_tokens": 120, "output_tokens": 0}}
    simulator.reply_raw(body=json.dumps({"result": reply, "success": True} if envelope else reply))


def ask(
    model: CloudflareAIGatewayDecisionModel,
    asynchronous: bool,
    state: Any = STATE,
    questions: Any = QUESTIONS,
    **kwargs: Any,
) -> ClassifierResponse:
    request: Any = {"state": state, "questions": questions}
    return asyncio.run(model.ainvoke(request, **kwargs)) if asynchronous else model.invoke(request, **kwargs)


both = pytest.mark.parametrize("asynchronous", [False, True], ids=["sync", "async"])


@both
@pytest.mark.parametrize("envelope", [True, False])
def test_questions_are_answered(make: Make, simulator: Simulator, asynchronous: bool, envelope: bool) -> None:
    answer(simulator, ANSWERS, envelope=envelope)
    response = ask(make(), asynchronous)
    assert response.nouls["refund"].noul == 0.93
    assert (response.choices["tone"].choice, response.choices["tone"].probabilities["angry"]) == ("calm", 0.2)
    score = response.scores["urgency"]
    assert (score.score, score.legend, score.probabilities) == (0.4, {0: "low", 1: "high"}, {0: 0.6, 1: 0.4})
    assert response.usage == {"input_tokens": 120, "output_tokens": 0, "total_tokens": 120}
    [entry] = simulator.logs()
    assert (response.model, response.request_id) == (MODEL, entry["id"])
    [request] = simulator.requests
    assert request.path.endswith(f"/ai/run/{MODEL}")
    assert request.body == {
        "model": "clef",
        "state": STATE,
        "questions": {
            "refund": {"type": "noul", "instructions": "Does the customer want a refund?"},
            "tone": {"type": "choice", "instructions": "Tone?", "criteria": {"angry": None, "calm": "Polite."}},
            "urgency": {"type": "score", "instructions": "How urgent?", "criteria": ["low", "high"]},
        },
    }


def test_criteria_and_plain_questions(make: Make, simulator: Simulator) -> None:
    criteria = NoulCriteria(true="They ask for money.")
    questions = {"a": Noul(instructions="?", criteria=criteria), "b": {"type": "noul", "instructions": ["?", 1]}}
    answer(simulator, {"a": {"noul": 1}, "b": {"noul": 0}, "c": {"noul": 0}})
    response = ask(make(model="@cf/cloudflare/clef-flash", extra_body={"x": 1}), False, questions=questions)
    assert response.answers.keys() == {"a", "b"}
    body = simulator.requests[0].body
    assert (body["model"], body["x"]) == ("clef-flash", 1)
    assert body["questions"] == {
        "a": {"type": "noul", "instructions": "?", "criteria": {"true": "They ask for money."}},
        "b": {"type": "noul", "instructions": ["?", 1]},
    }


CALL = {"name": "weather", "args": {"city": "Oslo"}, "id": "1"}
STATES: list[tuple[Any, Any, int]] = [
    (HumanMessage("Hi"), {"role": "user", "content": "Hi"}, 0),
    (
        [SystemMessage("Be brief."), AIMessage("", tool_calls=[CALL]), ToolMessage("Sunny", tool_call_id="1")],
        [
            {"role": "system", "content": "Be brief."},
            {
                "role": "assistant",
                "content": [{"type": "tool_call", "id": "1", "name": "weather", "args": '{"city":"Oslo"}'}],
            },
            {
                "role": "tool",
                "content": [
                    {"type": "tool_result", "id": "1", "failed": False, "content": [{"type": "text", "text": "Sunny"}]}
                ],
            },
        ],
        0,
    ),
    (
        {"messages": [HumanMessage([{"type": "text", "text": "See"}, IMAGE])], "n": 1.5, "also": IMAGE, "x": None},
        {
            "messages": [{"role": "user", "content": [{"type": "text", "text": "See"}, {"type": "image", "index": 0}]}],
            "n": 1.5,
            "also": {"type": "image", "index": 1},
            "x": None,
        },
        2,
    ),
    ([{"type": "file", "rows": 3}, "text"], [{"type": "file", "rows": 3}, "text"], 0),
    ([{"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PNG}"}}], [{"type": "image", "index": 0}], 1),
]


@pytest.mark.parametrize(("state", "expected", "images"), STATES)
def test_messages_and_images_of_a_state(
    make: Make, simulator: Simulator, state: Any, expected: Any, images: int
) -> None:
    answer(simulator, ANSWERS)
    ask(make(), False, state)
    body = simulator.requests[0].body
    assert body["state"] == expected
    assert body.get("images", []) == [f"data:image/png;base64,{PNG}"] * images


MANY = {f"q{number}": Noul(instructions="?") for number in range(65)}
REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"questions": {}}, "questions has 0 entries.*Ask at least one"),
    ({"questions": MANY}, "questions has 65 entries.*several calls"),
    ({"questions": {"where": Box(instructions="The cat")}}, "'where'.*type 'box'.*noul, choice, score"),
    ({"questions": {"a": "Is it?"}}, "'a'.*'Is it\\?'.*Give a Noul"),
    ({"questions": {"a": Noul(instructions=[dict(IMAGE)])}}, "'a'.*image.*Move it to the state"),
    ({"state": [IMAGE] * 5}, "state holds 5 images.*Leave some out"),
    ({"state": [{"type": "image", "url": "https://a.example/b.png"}]}, "state holds image.*base64"),
    ({"state": {"a": object()}}, "state holds a object.*Give texts"),
    ({"state": float("nan")}, "nan|finite|JSON"),
]


@both
@pytest.mark.parametrize(("request_", "message"), REFUSED)
def test_what_is_refused_before_a_request(
    make: Make, simulator: Simulator, asynchronous: bool, request_: dict[str, Any], message: str
) -> None:
    with pytest.raises(errors.ConfigError, match=message) as caught:
        ask(make(), asynchronous, **request_)
    assert isinstance(caught.value, lc.ModelInvalidRequestError)
    assert not simulator.requests


def test_as_many_as_the_models_take(make: Make, simulator: Simulator) -> None:
    questions = dict(list(MANY.items())[:64])
    answer(simulator, {key: {"noul": 0.5} for key in questions})
    assert len(ask(make(), False, [IMAGE] * 4, questions).nouls) == 64


WRONG: list[tuple[str, Any]] = [
    ("refund", None),
    ("refund", {"type": "choice", "noul": 0.5}),
    ("refund", {"noul": 1.5}),
    ("refund", {"noul": True}),
    ("refund", {}),
    ("tone", ANSWERS["tone"] | {"choice": "glad"}),
    ("tone", ANSWERS["tone"] | {"probabilities": {"calm": 0.8}}),
    ("tone", ANSWERS["tone"] | {"confidence": None}),
    ("urgency", ANSWERS["urgency"] | {"score": 1.2}),
    ("urgency", ANSWERS["urgency"] | {"score": "0.4"}),
]


@both
@pytest.mark.parametrize(("key", "wrong"), WRONG)
def test_answers_that_do_not_fit_are_errors(
    make: Make, simulator: Simulator, asynchronous: bool, key: str, wrong: Any
) -> None:
    answer(simulator, ANSWERS | {key: wrong})
    with pytest.raises(errors.ProtocolError, match=key):
        ask(make(), asynchronous)


@both
def test_failures_are_langchain_errors_and_retried(make: Make, simulator: Simulator, asynchronous: bool) -> None:
    error = {"success": False, "errors": [{"code": 2003, "message": "Rate limited"}]}
    simulator.reply_raw(429, json.dumps(error))
    with pytest.raises(errors.RateLimited) as caught:
        ask(make(max_retries=0), asynchronous)
    assert isinstance(caught.value, lc.ModelRateLimitError)
    simulator.reply_raw(503, "{}", headers={"retry-after": "0"})
    answer(simulator, ANSWERS)
    assert ask(make(), asynchronous).nouls
    assert len(simulator.requests) == 3


@both
def test_the_run_is_in_the_log(make: Make, simulator: Simulator, asynchronous: bool) -> None:
    answer(simulator, ANSWERS)
    run_id = "0192f000-0000-7000-8000-000000000001"
    ask(make(), asynchronous, config={"run_id": run_id, "metadata": {"user_id": "u1"}})
    assert simulator.logs()[0]["metadata"] == {"user_id": "u1", "run_id": run_id, "op": "decision"}


@pytest.mark.parametrize("arguments", [{"model": "openai/gpt-5.4"}, {"model": "@cf/baai/bge-m3"}, {"top_n": 3}])
def test_the_constructor_refuses(make: Make, arguments: dict[str, Any]) -> None:
    with pytest.raises(errors.ConfigError):
        make(**arguments)


def test_an_old_core_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "cfaig_integrations.langchain.decisions", raising=False)
    monkeypatch.setitem(sys.modules, "langchain_core.decisions", None)
    with pytest.raises(ImportError, match=r"langchain-core 1\.8"):
        from cfaig_integrations.langchain import CloudflareAIGatewayDecisionModel as _  # noqa: F401


@both
@pytest.mark.filterwarnings("ignore:The middleware `ModelRouterMiddleware` is in beta")
def test_the_model_router_chooses_by_it(
    make: Make, make_chat: MakeChat, simulator: Simulator, asynchronous: bool
) -> None:
    from langchain.agents.middleware import ModelChoice, ModelRouterMiddleware

    small, large = make_chat(api="chat_completions"), make_chat(api="responses")
    router = ModelRouterMiddleware(
        choices={"small": ModelChoice(small, "Simple tasks."), "large": ModelChoice(large, "Hard tasks.")},
        instructions="Choose the least costly model suited to the task.",
        classifier=make(),
    )
    agent: Any = create_agent(small, middleware=[router])
    chances = {"choice": "large", "probabilities": {"small": 0.1, "large": 0.9}, "confidence": 0.9}
    answer(simulator, {"model_route": chances})
    state = asyncio.run(agent.ainvoke(asked("Hi"))) if asynchronous else agent.invoke(asked("Hi"))
    assert state["messages"][-1].response_metadata["model_name"] == MODELS["responses"]
    assert simulator.requests[0].body["state"] == {"role": "user", "content": "Hi"}


@both
@pytest.mark.parametrize(("risk", "executed"), [(0.1, True), (0.9, False)])
def test_auto_mode_blocks_risky_calls(
    make: Make, make_chat: MakeChat, simulator: Simulator, asynchronous: bool, risk: float, executed: bool
) -> None:
    from langchain.agents.middleware import AutoModeMiddleware

    auto_mode = AutoModeMiddleware(tools=[weather.__name__], classifier=make())
    agent: Any = create_agent(make_chat(api="chat_completions"), [weather], middleware=[auto_mode])
    simulator.reply(calls=[{"name": "weather", "arguments": {"city": "Oslo"}}])
    answer(simulator, {"is_risky": {"noul": risk}})
    state = asyncio.run(agent.ainvoke(asked(ASK))) if asynchronous else agent.invoke(asked(ASK))
    [result] = results(state["messages"])
    assert result.startswith("It is 21 degrees") is executed
    assert ("blocked" in result) is not executed
    assert simulator.requests[1].body["state"]["tool_call"]["args"] == {"city": "Oslo"}


@both
def test_the_local_gateway_decides(make: Make, simulator: Simulator, asynchronous: bool) -> None:
    response = ask(make(), asynchronous, [HumanMessage([{"type": "text", "text": STATE}, IMAGE])])
    assert response.answers.keys() == QUESTIONS.keys()
    assert sum(response.choices["tone"].probabilities.values()) == pytest.approx(1, abs=0.01)


@both
def test_collectors_hear_of_a_decision(make: Make, simulator: Simulator, asynchronous: bool) -> None:
    collector = LogCollector()
    ask(make(), asynchronous, config={"callbacks": [collector]})
    assert collector.log_ids == tuple(entry["id"] for entry in simulator.logs())
    assert len(collector.log_ids) == 1
