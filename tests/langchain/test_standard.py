"""The conformance suites of langchain-tests: without a network, and on each wire against the simulator."""

from __future__ import annotations

import json
import sys
from typing import Any, Literal

import pytest
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, HumanMessage
from langchain_tests.integration_tests import ChatModelIntegrationTests
from langchain_tests.unit_tests import ChatModelUnitTests

from cfaig_integrations.langchain import ChatCloudflareAIGateway
from cfaig_integrations.simulator import Simulator
from tests.handmade import chat_chunk, play
from tests.langchain import media
from tests.langchain.call_methods import summed
from tests.langchain.conftest import MODELS, where

PARAMS = {"model": "openai/gpt-5.4", "account_id": "0" * 32}


class TestUnit(ChatModelUnitTests):
    @pytest.fixture(autouse=True)
    def _token(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("CLOUDFLARE_API_TOKEN", "token-from-the-environment")

    @pytest.fixture(autouse=True)
    def _known_to_load(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """`load(allowed_objects="all")` knows the classes in core's own table alone, which no package can join."""
        load = sys.modules["langchain_core.load.load"]
        path = tuple(ChatCloudflareAIGateway.lc_id())
        monkeypatch.setitem(load.ALL_SERIALIZABLE_MAPPINGS, path, path)
        monkeypatch.setattr(load, "_default_class_paths_cache", {})

    @property
    def chat_model_class(self) -> type[BaseChatModel]:
        return ChatCloudflareAIGateway

    @property
    def chat_model_params(self) -> dict[str, Any]:
        return PARAMS

    @property
    def init_from_env_params(self) -> tuple[dict[str, str], dict[str, Any], dict[str, Any]]:
        environment = {"CLOUDFLARE_API_TOKEN": "token", "CLOUDFLARE_ACCOUNT_ID": "a" * 32}
        return environment, {"model": "openai/gpt-5.4"}, {}


@pytest.fixture(autouse=True)
def _offline_media(monkeypatch: pytest.MonkeyPatch) -> None:
    """The media tests fetch their files with `httpx.get`; they get small ones of the same kind."""
    monkeypatch.setattr("httpx.get", media.get)


LONG = "The quick brown fox jumps over the lazy dog near the bank of the river. " * 120
Detail = Literal["audio_input", "audio_output", "reasoning_output", "cache_read_input", "cache_creation_input"]


class OnTheSimulator(ChatModelIntegrationTests):
    """The suite with every flag on that the wire can carry."""

    api: Literal["chat_completions", "responses", "messages", "run"]
    output_version = "v0"
    details: tuple[Detail, ...] = ("cache_read_input",)
    """What the wire counts apart; Anthropic and Workers AI do not tell the tokens of reasoning (facts §5.4)."""
    carries: frozenset[str]
    """What the wire carries besides JSON mode, images and Anthropic's inputs."""
    other_model: str
    _simulated: Simulator

    @pytest.fixture(autouse=True)
    def _simulator(self, simulator: Simulator) -> None:
        type(self)._where = where(simulator)
        type(self)._simulated = simulator

    @property
    def chat_model_class(self) -> type[BaseChatModel]:
        return ChatCloudflareAIGateway

    @property
    def chat_model_params(self) -> dict[str, Any]:
        version = {"output_version": self.output_version}
        return {"model": MODELS[self.api], "api": self.api, **version, **type(self)._where}

    @property
    def supports_json_mode(self) -> bool:
        return True

    @property
    def supports_image_inputs(self) -> bool:
        return True

    @property
    def supports_image_tool_message(self) -> bool:
        return True

    @property
    def supports_anthropic_inputs(self) -> bool:
        return True

    @property
    def supports_image_urls(self) -> bool:
        return "image_urls" in self.carries

    @property
    def supports_audio_inputs(self) -> bool:
        return "audio_inputs" in self.carries

    @property
    def supports_pdf_inputs(self) -> bool:
        return "pdf_inputs" in self.carries

    @property
    def supports_pdf_tool_message(self) -> bool:
        return "pdf_tool_message" in self.carries

    @property
    def model_override_value(self) -> str:
        return self.other_model

    @property
    def supported_usage_metadata_details(self) -> dict[str, list[Any]]:
        return {"invoke": [*self.details], "stream": [*self.details]}

    def _said(self, prompt: str, *, stream: bool, **arguments: Any) -> AIMessage:
        model = ChatCloudflareAIGateway(**{**self.chat_model_params, **arguments})
        # Messages caches what is marked, and the others take no notice of the mark.
        ask = [HumanMessage([{"type": "text", "text": prompt, "cache_control": {"type": "ephemeral"}}])]
        return summed(list(model.stream(ask))) if stream else model.invoke(ask)

    def invoke_with_cache_creation_input(self, *, stream: bool = False) -> AIMessage:
        return self._said(LONG, stream=stream)

    def invoke_with_cache_read_input(self, *, stream: bool = False) -> AIMessage:
        self._said(LONG, stream=stream)
        result = self._said(LONG, stream=stream)
        assert result.usage_metadata is not None
        assert result.usage_metadata.get("input_token_details", {}).get("cache_read", 0) >= 1024
        return result

    def invoke_with_reasoning_output(self, *, stream: bool = False) -> AIMessage:
        result = self._said("Why is the sky blue?", stream=stream, model="openai/gpt-5.4", reasoning_effort="low")
        assert result.usage_metadata is not None
        assert result.usage_metadata.get("output_token_details", {}).get("reasoning", 0) > 0
        return result

    def invoke_with_audio_input(self, *, stream: bool = False) -> AIMessage:
        usage = {
            "prompt_tokens": 20,
            "completion_tokens": 30,
            "total_tokens": 50,
            "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 15},
            "completion_tokens_details": {"reasoning_tokens": 0, "audio_tokens": 25},
        }
        if stream:
            play(self._simulated, chat_chunk({"content": "Hi"}, "stop"), chat_chunk({}, usage=usage), "[DONE]")
        else:
            answer = {"index": 0, "message": {"role": "assistant", "content": "Hi"}, "finish_reason": "stop"}
            self._simulated.reply_raw(body=json.dumps({"id": "c1", "model": "m", "choices": [answer], "usage": usage}))
        return self._said("Listen.", stream=stream)

    invoke_with_audio_output = invoke_with_audio_input


class TestChatCompletions(OnTheSimulator):
    api = "chat_completions"
    details = ("audio_input", "audio_output", "reasoning_output", "cache_read_input")
    carries = frozenset({"image_urls", "audio_inputs", "pdf_inputs"})
    other_model = "openai/gpt-4.1-mini"


class TestResponses(OnTheSimulator):
    api = "responses"
    details = ("reasoning_output", "cache_read_input", "cache_creation_input")
    carries = frozenset({"image_urls", "pdf_inputs", "pdf_tool_message"})
    other_model = "openai/gpt-5.5"


class TestMessages(OnTheSimulator):
    api = "messages"
    details = ("cache_read_input", "cache_creation_input")
    carries = frozenset({"image_urls", "pdf_inputs", "pdf_tool_message"})
    other_model = "anthropic/claude-sonnet-5"


class TestRun(OnTheSimulator):
    api = "run"
    carries = frozenset({"audio_inputs", "pdf_inputs"})
    other_model = "@cf/moonshotai/kimi-k2.6"


class TestChatCompletionsInBlocks(TestChatCompletions):
    output_version = "v1"


class TestResponsesInBlocks(TestResponses):
    output_version = "v1"


class TestMessagesInBlocks(TestMessages):
    output_version = "v1"


class TestRunInBlocks(TestRun):
    output_version = "v1"


del OnTheSimulator  # not a suite of its own
