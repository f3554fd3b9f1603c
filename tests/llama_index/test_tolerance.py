"""Unusual answers of servers and models, and how LlamaIndex's engines treat our responses and errors."""

from __future__ import annotations

import json
from contextlib import suppress
from inspect import isawaitable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from llama_index.core.base.llms.types import ChatMessage, ChatResponse, ToolCallBlock
from llama_index.core.chat_engine import SimpleChatEngine
from llama_index.core.extractors import TitleExtractor
from llama_index.core.prompts import PromptTemplate
from llama_index.core.query_engine import RetrieverQueryEngine
from llama_index.core.response_synthesizers import ResponseMode
from llama_index.core.retrievers import BaseRetriever
from llama_index.core.schema import NodeWithScore, QueryBundle, TextNode
from llama_index.core.selectors import LLMSingleSelector, PydanticSingleSelector
from llama_index.core.tools import FunctionTool
from pydantic import BaseModel

from cfaig_integrations import ConfigError, GatewayError, StreamBroken, UnsupportedContent, gateway_context
from cfaig_integrations.core.chat import ChatReply, Choice, Usage
from cfaig_integrations.core.content import (
    Citation,
    Media,
    Opaque,
    Part,
    Reasoning,
    Refusal,
    Text,
    ToolCall,
    Turn,
)
from cfaig_integrations.core.fold import unfold
from cfaig_integrations.gateway import truncation
from cfaig_integrations.gateway.info import read_info
from cfaig_integrations.llama_index import CloudflareAIGateway
from cfaig_integrations.llama_index.inbound import to_turns
from cfaig_integrations.llama_index.outbound import to_completion, to_response
from cfaig_integrations.llama_index.responses import ResponseMaker
from cfaig_integrations.llama_index.tool_calls import tool_selections
from cfaig_integrations.simulator import Simulator
from tests.llama_index.call_methods import METHODS, MODELS, Make, every_wire

both = pytest.mark.parametrize("asynchronous", [False, True], ids=["sync", "async"])


async def awaited(result: Any) -> Any:
    return await result if isawaitable(result) else result


class Answer(BaseModel):
    """An answer."""

    text: str


class Fixed(BaseRetriever):
    """Finds the same node for every question."""

    def _retrieve(self, query_bundle: QueryBundle) -> list[NodeWithScore]:
        return [NodeWithScore(node=TextNode(text="Paris is in France."), score=1.0)]


CONFIG_ERRORS: dict[str, dict[str, Any]] = {
    "an option that no wire of the model has": {"api": "messages", "seed": 1},
    "a token function that gives none": {"api_token": lambda: ""},
    "several answers": {"n": 2},
    "a sixth metadata entry": {"gateway_metadata": {f"k{number}": "v" for number in range(5)}},
}
every_mistake = pytest.mark.parametrize("mistake", CONFIG_ERRORS)


async def query(llm: CloudflareAIGateway, asynchronous: bool, **kwargs: Any) -> Any:
    engine = RetrieverQueryEngine.from_args(Fixed(), llm=llm, **kwargs)
    return str(await engine.aquery("q") if asynchronous else engine.query("q"))


@both
@every_mistake
@pytest.mark.parametrize(
    ("mode", "streaming"),
    [
        (mode, streaming)
        for mode in (ResponseMode.COMPACT, ResponseMode.REFINE, ResponseMode.TREE_SUMMARIZE, ResponseMode.ACCUMULATE)
        for streaming in (False, True)
        if not (streaming and mode == ResponseMode.ACCUMULATE)
    ],
)
async def test_a_config_error_passes_through_a_query_engine(
    make: Make, simulator: Simulator, mode: ResponseMode, streaming: bool, mistake: str, asynchronous: bool
) -> None:
    with gateway_context(metadata={"tenant": "t7"}), pytest.raises(ConfigError) as caught:
        await query(make(**CONFIG_ERRORS[mistake]), asynchronous, response_mode=mode, streaming=streaming)
    assert caught.value.field
    assert caught.value.remedy
    assert not simulator.requests


@both
@every_mistake
@pytest.mark.parametrize("selector", [LLMSingleSelector, PydanticSingleSelector])
async def test_a_config_error_passes_through_a_selector(
    make: Make, simulator: Simulator, selector: Any, mistake: str, asynchronous: bool
) -> None:
    chooser = selector.from_defaults(llm=make(**CONFIG_ERRORS[mistake]))
    with gateway_context(metadata={"tenant": "t7"}), pytest.raises(ConfigError):
        await awaited((chooser.aselect if asynchronous else chooser.select)(["a", "b"], "q"))
    assert not simulator.requests


@every_mistake
def test_a_config_error_passes_through_an_extractor(make: Make, simulator: Simulator, mistake: str) -> None:
    extractor = TitleExtractor(llm=make(**CONFIG_ERRORS[mistake]), nodes=1, show_progress=False)
    with gateway_context(metadata={"tenant": "t7"}), pytest.raises(ConfigError):
        extractor.process_nodes([TextNode(text="Paris.")])
    assert not simulator.requests


def test_our_errors_are_none_of_those_that_engines_swallow() -> None:
    kinds, result = [GatewayError], set[type[GatewayError]]()
    while kinds:
        kind = kinds.pop()
        if kind.__module__ == GatewayError.__module__:
            result.add(kind)
            kinds += kind.__subclasses__()
    assert {ConfigError, UnsupportedContent} < result
    assert not [kind for kind in result if issubclass(kind, ValueError | TypeError)]


@every_wire
@pytest.mark.parametrize("reasoning", ["", "Hm."])
@pytest.mark.parametrize("method", ["chat", "achat", "stream_chat", "astream_chat"])
async def test_an_empty_answer_has_empty_text(
    make: Make, simulator: Simulator, api: str, reasoning: str, method: str
) -> None:
    simulator.reply("", reasoning=reasoning)
    engine = SimpleChatEngine.from_defaults(llm=make(api=api))
    result = getattr(engine, method)("q")
    if method.startswith("a"):
        result = await result
    if method == "stream_chat":
        assert "".join(result.response_gen) == ""
    elif method == "astream_chat":
        assert "".join([piece async for piece in result.async_response_gen()]) == ""
    assert str(result) == ""
    simulator.reply("Now.")
    assert str(engine.chat("And now?")) == "Now."


ARGUMENTS: dict[str, tuple[str, dict[str, Any]]] = {
    "none": ("", {}),
    "blank": (" \n", {}),
    "null": ("null", {}),
    "object": ('{"city": "Rome"}', {"city": "Rome"}),
    "encoded twice": (json.dumps('{"city": "Rome"}'), {"city": "Rome"}),
    "in a list": ('[{"city": "Rome"}]', {"city": "Rome"}),
    "control characters": ('{"city": "Rome\n\tor so"}', {"city": "Rome\n\tor so"}),
    "BOM": ('\ufeff{"city": "Rome"}', {"city": "Rome"}),
    "fenced": ('```json\n{"city": "Rome"}\n```', {"city": "Rome"}),
    "surrogates": (r'{"city": "\ud83d\ude00 \ud83d"}', {"city": "😀 �"}),
}


def reply_of(*parts: Part, **more: Any) -> ChatReply:
    return ChatReply("chat_completions", "c1", "m", (Choice(Turn("assistant", parts), "stop", "stop"),), **more)


INFO = read_info({}, wire="chat_completions", model="m", attempts=1)


def streamed(reply: ChatReply) -> list[ChatResponse]:
    maker = ResponseMaker(INFO)
    result = [response for event in unfold(reply) if (response := maker.make(event)) is not None]
    return [*result, maker.last()]


@pytest.mark.parametrize("case", ARGUMENTS)
def test_arguments_of_a_call_are_parsed_or_kept_as_text(case: str) -> None:
    text, expected = ARGUMENTS[case]
    reply = reply_of(ToolCall("call_1", "weather", text))
    for response in (to_response(reply, INFO), streamed(reply)[-1]):
        (block,) = (block for block in response.message.blocks if isinstance(block, ToolCallBlock))
        assert block.tool_kwargs == expected
        (selection,) = tool_selections(response)
        assert selection.tool_kwargs == expected
    extra = {"finish_reason": "tool_calls"}
    as_text = ToolCallBlock(tool_call_id="call_1", tool_name="weather", tool_kwargs=text)  # by another program
    stored = ChatResponse(message=ChatMessage(role="assistant", blocks=[as_text]), additional_kwargs=extra)
    assert tool_selections(stored)[0].tool_kwargs == expected


TRUNCATED = [
    '{"city": "Ro',
    '{"city": "Rome"',
    '{"city": "Rome",',
    '[{"city"',
    '"{\\"city\\": \\"Ro"',
    '```json\n{"city": "Ro',
]


@pytest.mark.parametrize("text", TRUNCATED)
def test_truncated_arguments_are_not_completed(text: str) -> None:
    response = to_response(reply_of(ToolCall("call_1", "weather", text)), INFO)
    (selection,) = tool_selections(response, error_on_no_tool_call=False)
    assert selection.tool_kwargs["invalid_arguments"] == text
    with pytest.raises(ValueError, match="weather"):
        tool_selections(response)


def test_partial_arguments_are_objects() -> None:
    for text, _ in ARGUMENTS.values():
        for response in streamed(reply_of(ToolCall("call_1", "weather", text)))[:-1]:
            (selection,) = tool_selections(response)
            assert isinstance(selection.tool_kwargs, dict)


@every_wire
def test_a_tool_without_arguments_is_called(make: Make, simulator: Simulator, api: str) -> None:
    simulator.reply(calls=[{"id": "call_1", "name": "now", "arguments": {}}])
    tool = FunctionTool.from_defaults(lambda: "noon", name="now", description="The time.")
    assert str(make(api=api).predict_and_call([tool], "What time is it?")) == "noon"


TEXTS = st.one_of(
    st.text(max_size=20),
    st.sampled_from(
        ["", "http://", "http://[::1", "https://x/y.png", "data:,", "DATA:", "AAAA", "====", "\0", "{", "null", "x y"]
    ),
)
NUMBERS = st.one_of(st.integers(), st.just(10**400), st.floats(), st.booleans())
VALUES = st.recursive(
    st.one_of(st.none(), NUMBERS, TEXTS),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(
            st.sampled_from(
                [
                    "item",
                    "signature",
                    "logprobs",
                    "content",
                    "token",
                    "logprob",
                    "top_logprobs",
                    "bytes",
                    "part",
                    "type",
                ]
            ),
            inner,
            max_size=4,
        ),
    ),
    max_leaves=8,
)
OBJECTS = st.dictionaries(
    st.sampled_from(["item", "signature", "logprobs", "part", "type", "data"]), VALUES, max_size=3
)
EXTRAS = st.dictionaries(st.sampled_from(list(MODELS)), OBJECTS, max_size=2)
PLACES = st.one_of(st.none(), st.integers())
PARTS = st.one_of(
    st.builds(Text, TEXTS, st.lists(st.builds(Citation, TEXTS, TEXTS, TEXTS, PLACES, PLACES), max_size=2).map(tuple)),
    st.builds(Reasoning, TEXTS, EXTRAS),
    st.builds(Refusal, TEXTS, EXTRAS),
    st.builds(ToolCall, TEXTS, TEXTS, TEXTS, st.sampled_from(["function", "custom"]), EXTRAS),
    st.builds(
        lambda kind, place, value, mime, name: Media(kind, mime=mime, name=name, **{place: value}),
        st.sampled_from(["image", "audio", "video", "file"]),
        st.sampled_from(["url", "data", "file_id"]),
        TEXTS,
        TEXTS,
        TEXTS,
    ),
    st.builds(Opaque, st.sampled_from(["responses", "messages"]), OBJECTS),
    st.builds(lambda data: Opaque("responses", {"type": "image_generation_call", "result": data}), VALUES),
)
REPLIES = st.builds(
    lambda parts, extras, argument, usage: ChatReply(
        "responses", "r1", "m", (Choice(Turn("assistant", tuple(parts)), "stop", argument, extras),), usage, extras
    ),
    st.lists(PARTS, max_size=4),
    EXTRAS,
    TEXTS,
    st.one_of(st.none(), st.builds(Usage, st.integers(), st.integers(), st.integers(), raw=OBJECTS)),
)


def in_json(response: ChatResponse) -> Any:
    """A response as JSON, in which no two NaNs differ."""
    return response.model_dump_json()


@settings(max_examples=400)
@given(reply=REPLIES)
def test_any_reply_becomes_a_response_and_goes_back(reply: ChatReply) -> None:
    complete = to_response(reply, INFO, delta="")
    pieces = streamed(reply)
    assert in_json(pieces[-1]) == in_json(complete)
    for response in pieces:
        to_completion(response)
        tool_selections(response, error_on_no_tool_call=False)
    assert isinstance(complete.message.content, str) or complete.message.blocks
    for message in (complete.message, ChatMessage.model_validate_json(complete.message.model_dump_json())):
        with suppress(UnsupportedContent):  # a `data:` URL that is none
            assert to_turns([message])


@every_wire
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("kwargs", [{}, {"max_tokens": 20}])
async def test_a_truncated_answer_is_logged_once(
    make: Make, simulator: Simulator, caplog: pytest.LogCaptureFixture, api: str, method: str, kwargs: dict[str, Any]
) -> None:
    truncation._models_warned_about.clear()
    simulator.reply("It begins and", finish="length")
    simulator.reply("It begins and", finish="length")
    sent: Any = "q" if method.endswith("complete") else [ChatMessage(content="q")]
    model = make(api=api, **kwargs)
    for _ in range(2):
        result = getattr(model, method)(sent)
        if method.startswith("a"):
            result = await result
        if method.startswith("astream"):
            [each async for each in result]
        elif method.startswith("stream"):
            list(result)
    warnings = [record.getMessage() for record in caplog.records if "max_tokens" in record.getMessage()]
    assert len(warnings) == (0 if kwargs else 1)


@pytest.mark.parametrize("stream", ["stream_structured_predict", "astream_structured_predict"])
@pytest.mark.parametrize("way", ["json_schema", "function_calling", "prompt"])
async def test_a_structured_stream_raises_in_the_call(make: Make, simulator: Simulator, stream: str, way: Any) -> None:
    simulator.fault("no_credits", times=None)
    call = getattr(make(structured_output=way, max_retries=0), stream)
    with pytest.raises(GatewayError):
        await awaited(call(Answer, PromptTemplate("q")))


def sse(*events: dict[str, Any]) -> str:
    return "".join(f"event: {event.get('type', 'message')}\ndata: {json.dumps(event)}\n\n" for event in events)


def chunk(delta: dict[str, Any]) -> dict[str, Any]:
    return {"id": "c1", "model": "m", "choices": [{"index": 0, "delta": delta, "finish_reason": None}]}


SEARCH = {"type": "web_search_call", "id": "ws_1", "status": "completed", "action": {"type": "search", "query": "q"}}
MESSAGE = {"id": "m1", "type": "message", "role": "assistant", "model": "m", "content": [], "usage": {}}
STARTED: dict[str, tuple[str, str]] = {
    "a role": ("chat_completions", sse(chunk({"role": "assistant", "content": ""}))),
    "a call": (
        "chat_completions",
        sse(chunk({"tool_calls": [{"index": 0, "id": "c", "type": "function", "function": {"name": "weather"}}]})),
    ),
    "a message": ("messages", sse({"type": "message_start", "message": MESSAGE})),
    "a block": (
        "messages",
        sse(
            {"type": "message_start", "message": MESSAGE},
            {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        ),
    ),
    "a block that is not shown": (
        "messages",
        sse(
            {"type": "message_start", "message": MESSAGE},
            {"type": "content_block_start", "index": 0, "content_block": {"type": "redacted_thinking", "data": "x"}},
            {"type": "content_block_stop", "index": 0},
        ),
    ),
    "a response": ("responses", sse({"type": "response.created", "response": {"id": "r1", "output": []}})),
    "an item that is not shown": (
        "responses",
        sse(
            {"type": "response.created", "response": {"id": "r1", "output": []}},
            {"type": "response.output_item.added", "output_index": 0, "item": SEARCH},
            {"type": "response.output_item.done", "output_index": 0, "item": SEARCH},
        ),
    ),
    "nothing": ("run", sse({"response": ""})),
}
TIME = FunctionTool.from_defaults(lambda: "noon", name="weather", description="The weather.")
STREAMS: dict[str, tuple[Any, ...]] = {
    "stream_chat": ([ChatMessage(content="q")],),
    "astream_chat": ([ChatMessage(content="q")],),
    "stream_complete": ("q",),
    "astream_complete": ("q",),
    "stream_chat_with_tools": ([TIME], "q"),
    "astream_chat_with_tools": ([TIME], "q"),
    "stream_structured_predict": (Answer, PromptTemplate("q")),
    "astream_structured_predict": (Answer, PromptTemplate("q")),
}


@pytest.mark.parametrize("begun", STARTED)
@pytest.mark.parametrize("method", STREAMS)
async def test_a_stream_that_fails_at_once_raises_in_the_call(
    make: Make, simulator: Simulator, begun: str, method: str
) -> None:
    api, body = STARTED[begun]
    simulator.reply_raw(body=body, content_type="text/event-stream", times=None)
    call = getattr(make(api=api, max_retries=0), method)
    with pytest.raises(StreamBroken):
        await awaited(call(*STREAMS[method]))


@pytest.mark.parametrize("method", ["stream_chat", "astream_chat"])
async def test_an_unread_stream_releases_its_connection(make: Make, simulator: Simulator, method: str) -> None:
    for _ in range(70):
        simulator.reply("A long answer, of which nobody reads a word.")
        result = await awaited(getattr(make(), method)([ChatMessage(content="q")]))
        if method == "astream_chat":
            await result.aclose()
        del result
    simulator.reply("Now.")
    assert (await make().acomplete("q")).text == "Now."


def nested(depth: int) -> dict[str, Any]:
    created: dict[str, Any] = {"type": "string"}
    for _ in range(depth):
        created = {"type": "object", "properties": {"x": created}}
    return created


def calling(arguments: Any) -> ChatMessage:
    return ChatMessage(role="assistant", blocks=[ToolCallBlock(tool_call_id="c", tool_name="f", tool_kwargs=arguments)])


DEEP = {"type": "json_schema", "json_schema": {"schema": nested(3000), "strict": True}}
BAD: dict[str, tuple[list[ChatMessage], dict[str, Any]]] = {
    "arguments that are no JSON": ([calling({"a": {1, 2}})], {}),
    "arguments of great depth": ([calling(nested(20_000))], {}),  # Python 3.13 writes 10,000 levels
    "old calls that are no list": ([ChatMessage(role="assistant", additional_kwargs={"tool_calls": 5})], {}),
    "old calls that are no calls": ([ChatMessage(role="assistant", additional_kwargs={"tool_calls": [5]})], {}),
    "no list of tools": ([], {"tools": 5}),
    "one tool": ([], {"tools": {"type": "function", "function": {"name": "f"}}}),
    "a tool that is none": ([], {"tools": [None]}),
    "no stop texts": ([], {"stop": 5}),
    "no number": ([], {"max_tokens": "many"}),
    "no thinking": ([], {"thinking": 5}),
    "no reasoning": ([], {"reasoning": 5}),
    "a schema of great depth": ([], {"response_format": DEEP}),
    "a body that is no JSON": ([], {"extra_body": {"x": object()}}),
    "no options": ([], {"gateway": 5}),
}


@every_wire
@pytest.mark.parametrize("bad", BAD)
@pytest.mark.parametrize("streams", [False, True])
@both
async def test_invalid_input_raises_a_config_error(
    make: Make, simulator: Simulator, api: str, bad: str, streams: bool, asynchronous: bool
) -> None:
    messages, kwargs = BAD[bad]
    llm = make(api=api)
    chat, stream = (llm._achat, llm._astream_chat) if asynchronous else (llm._chat, llm._stream_chat)  # not observed
    with pytest.raises(ConfigError):
        await awaited((stream if streams else chat)([ChatMessage(content="q"), *messages], "chat", kwargs))
    assert not simulator.requests


REFUSING = "@cf/mistralai/mistral-small-3.1-24b-instruct"


@both
@pytest.mark.parametrize(("model", "choice"), [(REFUSING, None), ("minimax/m3", None), ("openai/gpt-4.1", "required")])
async def test_a_selector_forces_its_tool_only_if_the_model_allows_it(
    make: Make, simulator: Simulator, model: str, choice: str | None, asynchronous: bool
) -> None:
    simulator.reply(calls=[{"id": "a23456789", "name": "SingleSelection", "arguments": {"index": 2, "reason": "So."}}])
    selector = PydanticSingleSelector.from_defaults(llm=make(model=model, api="chat_completions"))
    result = await awaited((selector.aselect if asynchronous else selector.select)(["a", "b"], "q"))
    assert result.ind == 1
    assert simulator.requests[0].body.get("tool_choice") == choice


def test_an_explicit_tool_choice_is_kept(make: Make) -> None:
    with pytest.raises(ConfigError, match="tool_choice"):
        make(model=REFUSING).chat_with_tools([TIME], "q", tool_choice="required")
