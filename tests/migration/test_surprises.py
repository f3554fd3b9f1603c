"""What surprises users of other packages: each behavior that the documentation states."""

from __future__ import annotations

from typing import Any

import pytest

pytest.importorskip("langchain_core")
pytest.importorskip("llama_index.core")

from langchain_core.exceptions import OutputParserException
from llama_index.core.prompts import PromptTemplate
from pydantic import BaseModel, ValidationError

from cfaig_integrations import AIGateway, GatewayError
from cfaig_integrations.langchain import ChatCloudflareAIGateway
from cfaig_integrations.llama_index import CloudflareAIGateway
from cfaig_integrations.simulator import Simulator
from tests.conftest import where

WIRES = {
    "chat_completions": "openai/gpt-5.4",
    "responses": "openai/gpt-5.4",
    "messages": "anthropic/claude-haiku-4.5",
    "run": "openai/gpt-5.4",
}
QUESTION = "What is the capital of France?"


class Capital(BaseModel):
    """A capital and its country."""

    city: str
    country: str


def test_finish_reasons_of_all_formats_have_one_vocabulary(simulator: Simulator) -> None:
    own, normalized = set(), set()
    for api, model in WIRES.items():
        connection: Any = {"model": model, "api": api, **where(simulator)}
        metadata = ChatCloudflareAIGateway(**connection).invoke("Hi").response_metadata
        own.add(metadata["finish_reason"])
        normalized |= {
            metadata["normalized_finish_reason"],
            CloudflareAIGateway(**connection).complete("Hi").additional_kwargs["normalized_finish_reason"],
        }
    assert len(own) > 1
    assert normalized == {"stop"}


@pytest.mark.parametrize("kind", [ChatCloudflareAIGateway, CloudflareAIGateway])
def test_a_value_of_the_wrong_type_is_an_error_of_pydantic(kind: Any) -> None:
    with pytest.raises(ValidationError) as caught:
        kind(model="openai/gpt-5.4", account_id="acc", api_token="tok", temperature="hot")
    assert not isinstance(caught.value, GatewayError)
    with pytest.raises(GatewayError):
        kind(model="openai/gpt-5.4", account_id="acc", api_token="tok", temprature=0)


def test_an_answer_that_fits_no_schema_is_an_error_of_the_framework(simulator: Simulator) -> None:
    for _ in range(2):
        simulator.reply("I do not know.")
    model: Any = {"model": "openai/gpt-5.4", **where(simulator)}
    with pytest.raises(OutputParserException):
        ChatCloudflareAIGateway(**model).with_structured_output(Capital).invoke(QUESTION)
    with pytest.raises(ValueError, match="not JSON"):
        CloudflareAIGateway(**model).structured_predict(Capital, PromptTemplate(QUESTION))


@pytest.mark.parametrize("model", ["openai/gpt-5.4", "@cf/zai-org/glm-5.2"])
def test_fields_of_an_answer_are_not_swapped(simulator: Simulator, model: str) -> None:
    connection: Any = {"model": model, **where(simulator)}
    text, expected = "Country: France, city: Paris.", Capital(city="Paris", country="France")
    assert ChatCloudflareAIGateway(**connection).with_structured_output(Capital).invoke(text) == expected
    assert CloudflareAIGateway(**connection).structured_predict(Capital, PromptTemplate(text)) == expected


def test_only_an_answer_of_the_cache_costs_nothing(simulator: Simulator) -> None:
    model = ChatCloudflareAIGateway("openai/gpt-5.4", gateway={"cache_ttl": 300}, **where(simulator))
    first, second = model.invoke("Hi"), model.invoke("Hi")
    gateway = AIGateway(**where(simulator))
    assert second.response_metadata["gateway"]["cache_status"] == "HIT"
    paid, cached = gateway.cost(first), gateway.cost(second)
    assert (bool(paid), cached) == (True, 0)
