"""Extractors that ask for objects: a program in a pipeline, and the paths of a property graph."""

from __future__ import annotations

import asyncio
import json
from typing import Any, Literal

import pytest
from llama_index.core import PropertyGraphIndex
from llama_index.core.extractors import PydanticProgramExtractor
from llama_index.core.graph_stores import SimplePropertyGraphStore
from llama_index.core.indices.property_graph import (
    DynamicLLMPathExtractor,
    LLMSynonymRetriever,
    SchemaLLMPathExtractor,
    SimpleLLMPathExtractor,
)
from llama_index.core.ingestion import IngestionPipeline
from llama_index.core.program.function_program import FunctionCallingProgram
from pydantic import BaseModel, Field

from cfaig_integrations.llama_index import CloudflareAIGateway, CloudflareAIGatewayEmbedding
from cfaig_integrations.simulator import Simulator
from tests.llama_index.programs.agents_kit import sent, tool_names
from tests.llama_index.programs.conftest import Make
from tests.llama_index.programs.kit import FACTS, both_methods, llm_requests, must_call, nodes, prompt_text


class Mention(BaseModel):
    """A place that a text mentions."""

    name: str
    kind: Literal["city", "country"]


class Facts(BaseModel):
    """What a text is about."""

    capital: str
    mentions: list[Mention] = Field(description="Places.")


PARIS = {"capital": "Paris", "mentions": [{"name": "France", "kind": "country"}]}


@both_methods
async def test_a_program_extracts_an_object_from_each_node(
    llm: CloudflareAIGateway, simulator: Simulator, asynchronous: bool
) -> None:
    program = FunctionCallingProgram.from_defaults(Facts, prompt_template_str="{input}", llm=llm)
    simulator.reply(calls=[{"name": "Facts", "arguments": PARIS}], times=2)
    pipeline = IngestionPipeline(transformations=[PydanticProgramExtractor(program=program)])
    result = (
        await pipeline.arun(nodes=nodes(["paris", "rome"]))
        if asynchronous
        else pipeline.run(nodes=nodes(["paris", "rome"]))
    )
    assert [node.metadata["capital"] for node in result] == ["Paris", "Paris"]
    assert result[0].metadata["mentions"] == PARIS["mentions"]
    assert len(simulator.requests) == 2
    assert all(must_call(request) for request in simulator.requests)
    assert [tool_names(simulator, number) for number in range(2)] == [["Facts"]] * 2
    assert sorted(FACTS["paris"] in prompt_text(request) for request in llm_requests(simulator)) == [False, True]
    assert '"$defs"' in sent(simulator)


@both_methods
async def test_extracted_values_fit_the_class(
    llm: CloudflareAIGateway, simulator: Simulator, asynchronous: bool
) -> None:
    program = FunctionCallingProgram.from_defaults(Mention, prompt_template_str="{input}", llm=llm)
    extractor = PydanticProgramExtractor(program=program)
    result: Any = await extractor.aextract(nodes(["paris"])) if asynchronous else extractor.extract(nodes(["paris"]))
    assert Mention.model_validate(result[0])
    assert len(simulator.requests) == 1


TRIPLETS = {
    "triplets": [
        {
            "subject": {"type": "LOCATION", "name": "Paris"},
            "relation": {"type": "PART_OF"},
            "object": {"type": "LOCATION", "name": "France"},
        }
    ]
}


def graph(embed_model: CloudflareAIGatewayEmbedding, extractor: Any, *, use_async: bool) -> PropertyGraphIndex:
    return PropertyGraphIndex(
        nodes(["paris"]),
        kg_extractors=[extractor],
        embed_model=embed_model,
        property_graph_store=SimplePropertyGraphStore(),
        use_async=use_async,
    )


def triplets_of(index: PropertyGraphIndex) -> list[tuple[str, str, str]]:
    result = index.property_graph_store.get_triplets(entity_names=["Paris", "France"])
    return [(head.name, relation.label, tail.name) for head, relation, tail in result]


@both_methods
def test_a_graph_is_extracted_from_lines_of_text(
    llm: CloudflareAIGateway,
    embed_model: CloudflareAIGatewayEmbedding,
    simulator: Simulator,
    asynchronous: bool,
) -> None:
    simulator.reply("(Paris, is the capital of, France)")
    index = graph(embed_model, SimpleLLMPathExtractor(llm=llm), use_async=asynchronous)
    assert triplets_of(index) == [("Paris", "Is the capital of", "France")]
    assert len(llm_requests(simulator)) == 1
    assert FACTS["paris"] in prompt_text(llm_requests(simulator)[0])


@pytest.mark.parametrize("way", ["json_schema", "function_calling", "prompt"])
@both_methods
def test_a_graph_is_extracted_by_schema(
    make: Make,
    embed_model: CloudflareAIGatewayEmbedding,
    simulator: Simulator,
    way: str,
    asynchronous: bool,
) -> None:
    """Nested classes with literals, which are in `$defs`."""
    if way == "function_calling":
        simulator.reply(calls=[{"name": "KGSchema", "arguments": TRIPLETS}])
    else:
        simulator.reply(json.dumps(TRIPLETS))
    extractor = SchemaLLMPathExtractor(llm=make(structured_output=way), raise_on_error=True)
    index = graph(embed_model, extractor, use_async=asynchronous)
    assert triplets_of(index) == [("Paris", "PART_OF", "France")]
    assert len(llm_requests(simulator)) == 1
    body = json.dumps(llm_requests(simulator)[0].body)
    assert all(argument in body for argument in ("$defs", "#/$defs/Triplet", "MISCELLANEOUS", "HAS_ALIAS", "triplets"))
    assert must_call(llm_requests(simulator)[0]) is (way == "function_calling")


@pytest.mark.parametrize("way", ["auto", "function_calling"])
def test_a_schema_may_have_properties(
    make: Make, embed_model: CloudflareAIGatewayEmbedding, simulator: Simulator, way: str
) -> None:
    """The objects are open: `properties` may have any key. The fake model's values fit the schema."""
    extractor = SchemaLLMPathExtractor(
        llm=make(structured_output=way),
        possible_entities=Literal["CITY", "COUNTRY"],
        possible_entity_props=["since"],
        possible_relations=Literal["CAPITAL_OF"],
        possible_relation_props=["until"],
        strict=False,
        raise_on_error=True,
    )
    graph(embed_model, extractor, use_async=True)
    assert len(llm_requests(simulator)) == 1
    assert "since" in json.dumps(llm_requests(simulator)[0].body)


def test_a_graph_is_extracted_without_a_schema(
    llm: CloudflareAIGateway, embed_model: CloudflareAIGatewayEmbedding, simulator: Simulator
) -> None:
    path = {"head": "Paris", "head_type": "CITY", "relation": "IN", "tail": "France", "tail_type": "COUNTRY"}
    simulator.reply(f"```json\n{json.dumps([path])}\n```")
    extractor = DynamicLLMPathExtractor(llm=llm, allowed_entity_types=["CITY"])
    assert triplets_of(graph(embed_model, extractor, use_async=True)) == [("Paris", "IN", "France")]


@both_methods
def test_a_graph_index_answers_queries(
    llm: CloudflareAIGateway,
    embed_model: CloudflareAIGatewayEmbedding,
    simulator: Simulator,
    asynchronous: bool,
) -> None:
    simulator.reply("(Paris, is the capital of, France)")
    index = graph(embed_model, SimpleLLMPathExtractor(llm=llm), use_async=True)
    retriever = LLMSynonymRetriever(index.property_graph_store, llm=llm, include_text=True)
    engine = index.as_query_engine(llm=llm, sub_retrievers=[retriever])
    simulator.reply("Paris^France")
    question = "What is the capital of France?"
    response = asyncio.run(engine.aquery(question)) if asynchronous else engine.query(question)
    assert "Paris is the capital of France" in str(response)
    assert len(llm_requests(simulator)) == 3
    assert "synonyms" in prompt_text(llm_requests(simulator)[1])
    assert "Is the capital of" in prompt_text(llm_requests(simulator)[2])
