"""A model knows what it can do, in LangChain's words, and agents use it."""

from __future__ import annotations

import pickle
import warnings
from typing import Any

import pytest
from langchain.agents import create_agent
from langchain.agents.middleware import SummarizationMiddleware
from langchain_core.language_models import ModelProfile
from langchain_core.load import dumpd
from langchain_core.messages import HumanMessage
from pydantic import BaseModel, model_validator

from cfaig_integrations.gateway.models.profiles import TABLE, WORKERS_AI, profile_of
from cfaig_integrations.langchain import ChatCloudflareAIGateway
from cfaig_integrations.simulator import Simulator
from tests.langchain.conftest import Make
from tests.langchain.programs import asked, weather

IDS = [
    *(f"acme/{name}" for row in TABLE for name in row.models.split() if "/" not in name),
    *(f"@cf/acme/{name}" for row in WORKERS_AI for name in row.models.split()),
]


def model(name: str = "openai/gpt-5.4", **arguments: Any) -> ChatCloudflareAIGateway:
    return ChatCloudflareAIGateway(model=name, account_id="a" * 32, api_token="t", **arguments)


@pytest.mark.parametrize("name", IDS)
def test_every_known_model_has_a_profile_of_declared_keys(name: str) -> None:
    profile, expected = model(name).profile, profile_of(name)
    assert profile is not None
    assert profile.keys() <= ModelProfile.__annotations__.keys()
    assert profile["max_input_tokens"] == expected.max_input
    assert profile.get("max_output_tokens") == expected.max_output
    assert (profile["tool_calling"], profile["tool_choice"]) == (expected.tools, expected.tool_choice)
    promised = expected.structured_output or (
        expected.tools and not expected.tool_choice
    )  # else agents would force a tool
    assert (profile["structured_output"], profile["reasoning_output"]) == (promised, expected.reasoning)


@pytest.mark.parametrize(
    ("name", "temperature", "efforts"),
    [
        ("anthropic/claude-opus-5.5", False, ["low", "medium", "high", "xhigh", "max"]),
        ("anthropic/claude-haiku-4.5", True, None),
        ("openai/gpt-4o", True, None),
        ("@cf/openai/gpt-oss-120b", True, ["low", "medium", "high"]),
    ],
)
def test_parameters_in_a_profile(name: str, temperature: bool, efforts: list[str] | None) -> None:
    profile: Any = model(name).profile
    for key, expected in {"temperature": temperature, "reasoning_effort_levels": efforts}.items():
        if key in ModelProfile.__annotations__:
            assert profile.get(key) == expected
    assert profile.get("image_outputs", False) is False


@pytest.mark.parametrize(
    ("name", "can", "cannot"),
    [
        ("openai/gpt-4o", {"image_inputs", "image_url_inputs", "pdf_inputs", "pdf_tool_message"}, {"audio_inputs"}),
        ("google/gemini-3-flash", {"audio_inputs", "image_tool_message"}, {"video_inputs"}),
        ("xai/grok-4.5", {"pdf_inputs"}, {"pdf_tool_message", "image_url_inputs"}),
        ("@cf/moonshotai/kimi-k2.6", {"image_inputs"}, {"image_url_inputs", "pdf_tool_message"}),
        ("openai/gpt-3.5-turbo", {"text_inputs", "text_outputs"}, {"image_inputs", "image_tool_message"}),
    ],
)
def test_modalities_of_a_profile(name: str, can: set[str], cannot: set[str]) -> None:
    profile: Any = model(name).profile
    assert {key for key in can | cannot if profile[key]} == can


@pytest.mark.parametrize("name", ["acme/unheard-of", "@cf/acme/unheard-of", "dynamic/support", "cloudflare/auto"])
def test_an_unknown_model_has_no_profile(name: str) -> None:
    assert model(name).profile is None


def test_a_users_profile_has_precedence_and_is_checked() -> None:
    custom: Any = {"max_input_tokens": 5}
    assert model(profile=custom).profile == custom
    assert model(profile=custom).model_copy(update={"model": "openai/gpt-4o"}).profile == custom
    with pytest.warns(UserWarning, match="window"):
        model(profile={"window": 5})
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model()


def test_another_model_has_its_own_profile() -> None:
    first = model("openai/gpt-4o")
    copied = first.model_copy(update={"model": "openai/gpt-3.5-turbo"})
    first.model = "openai/gpt-5.4"
    result = [each.profile["max_input_tokens"] for each in (first, copied) if each.profile]
    assert result == [922_000, 16_385]
    first.model = "acme/unheard-of"
    assert first.profile is None


def test_a_changed_profile_is_kept_while_the_model_is_the_same() -> None:
    first = model()
    assert first.profile is not None
    first.profile["max_input_tokens"] = 7
    first.timeout = 5
    result = [each.profile for each in (first, first.model_copy(), first.model_copy(update={"temperature": 0.5}))]
    assert [each and each["max_input_tokens"] for each in result] == [7, 7, 7]
    first.profile = None
    assert first.profile == model().profile


def test_a_subclass_may_set_the_profile_in_a_validator() -> None:
    class Chat(ChatCloudflareAIGateway):
        @model_validator(mode="after")
        def fill_in(self) -> Chat:
            self.profile = {"max_input_tokens": 7}
            return self

    assert Chat(model="openai/gpt-5.4", account_id="a" * 32, api_token="t").profile == {"max_input_tokens": 7}


def test_profiles_are_not_shared() -> None:
    changed = model().profile
    assert changed is not None
    changed["max_input_tokens"] = 1
    assert model().profile != changed


def test_a_profile_is_not_serialized() -> None:
    plain = model()
    assert "profile" not in str(dumpd(plain))
    assert "profile" not in plain.model_dump()
    assert plain.profile == model().profile
    assert pickle.loads(pickle.dumps(plain)).profile == plain.profile


async def test_a_fraction_of_the_window_triggers_a_summary(make: Make, simulator: Simulator) -> None:
    chat = make(model="openai/gpt-4.1", profile={"max_input_tokens": 100})
    shorter = SummarizationMiddleware(model=chat, trigger=("fraction", 0.5), keep=("messages", 1))
    agent = create_agent(make(model="openai/gpt-4.1"), [], middleware=[shorter])
    await agent.ainvoke(asked("Hi"))
    assert len(simulator.requests) == 1
    history = [HumanMessage("word " * 40), HumanMessage("word " * 40), HumanMessage("And?")]
    await agent.ainvoke({"messages": history})
    assert len(simulator.requests) == 3


def test_a_fraction_needs_nothing_but_a_known_model(make: Make) -> None:
    SummarizationMiddleware(model=make(model="openai/gpt-4.1"), trigger=("fraction", 0.8))
    with pytest.raises(ValueError, match="profile"):
        SummarizationMiddleware(model=make(model="acme/unheard-of"), trigger=("fraction", 0.8))


class Report(BaseModel):
    """A report."""

    city: str


@pytest.mark.parametrize(
    ("name", "native"), [("openai/gpt-5.4", True), ("anthropic/claude-haiku-4.5", True), ("z-ai/glm-4.6", False)]
)
def test_an_agent_uses_the_models_structured_output(make: Make, simulator: Simulator, name: str, native: bool) -> None:
    agent = create_agent(make(model=name), [weather], response_format=Report)
    agent.invoke(asked("What is the weather in Oslo? Report on the city Oslo."))
    tools = [str(tool) for tool in simulator.requests[-1].body["tools"]]
    assert any("Report" in tool for tool in tools) is not native
