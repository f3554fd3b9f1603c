"""Every form of a tool and of a tool choice, names that servers refuse, and the calls of a response."""

from __future__ import annotations

import json
import pickle
from copy import deepcopy
from typing import Any, Generic, TypeVar

import pytest
from llama_index.core.agent.workflow import FunctionAgent
from llama_index.core.base.llms.types import ChatMessage, ChatResponse, TextBlock, ToolCallBlock
from llama_index.core.tools import BaseTool, FunctionTool, QueryEngineTool, ToolMetadata, adapt_to_async_tool
from pydantic import BaseModel, Field, RootModel

from cfaig_integrations.adapters.tools import choice_among
from cfaig_integrations.core.chat import FunctionTool as FunctionSpec
from cfaig_integrations.core.chat import NamedTool, NativeTool
from cfaig_integrations.core.content import Reasoning, Text, ToolCall, Turn, extras_of
from cfaig_integrations.core.replay import replay_state, restore
from cfaig_integrations.errors import ConfigError
from cfaig_integrations.llama_index.llm import CloudflareAIGateway
from cfaig_integrations.llama_index.outbound import to_message
from cfaig_integrations.llama_index.tool_calls import first_call_only, tool_selections
from cfaig_integrations.llama_index.tools import BoundTool, bound_tools, chat_arguments
from cfaig_integrations.simulator import Simulator
from tests.conftest import where

Thing = TypeVar("Thing")


def weather(city: str) -> str:
    """Weather in a city."""
    return city


class Box(BaseModel, Generic[Thing]):
    """A box."""

    value: Thing


class Node(BaseModel):
    """A node."""

    name: str = Field(default="x", description="Its name.")
    next: Node | None = None


class Holder(BaseModel):
    """Holds a node."""

    node: Node = Field(description="The one.")


class Numbers(RootModel[list[int]]):
    """Some numbers."""


class Open(BaseModel, extra="forbid"):
    """Takes nothing else."""

    city: str


def tool_of(kind: type[BaseModel], name: str | None = None) -> FunctionTool:
    return FunctionTool.from_defaults(kind, name=name or kind.__name__, description="Makes one.", fn_schema=kind)


WEATHER = FunctionTool.from_defaults(weather)
BOX = tool_of(Box[int])
SCHEMA: dict[str, Any] = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
FORMS: dict[str, Any] = {
    "tool": WEATHER,
    "adapted tool": adapt_to_async_tool(WEATHER),
    "openai": {"type": "function", "function": {"name": "weather", "description": "d", "parameters": SCHEMA}},
    "responses": {"type": "function", "name": "weather", "description": "d", "parameters": SCHEMA},
    "anthropic": {"name": "weather", "description": "d", "input_schema": SCHEMA},
}


def spec_of(tool: Any, **kwargs: Any) -> FunctionSpec:
    (spec,) = [created.spec for created in bound_tools([tool], **kwargs)]
    assert isinstance(spec, FunctionSpec)
    return spec


@pytest.mark.parametrize("form", FORMS)
def test_every_form_of_a_tool_is_the_same_function(form: str) -> None:
    spec = spec_of(FORMS[form])
    assert spec.name == "weather"
    assert spec.description
    assert spec.parameters["properties"]["city"]["type"] == "string"
    (visible,) = bound_tools([FORMS[form]])
    assert visible["function"]["name"] == "weather"
    json.dumps(visible)


@pytest.mark.parametrize("form", FORMS)
def test_strict_closes_the_schema(form: str) -> None:
    closed = spec_of(FORMS[form], strict=True)
    assert closed.strict is True
    assert closed.parameters["additionalProperties"] is False
    assert spec_of(FORMS[form], strict=False).strict is False
    assert spec_of(FORMS[form]).strict is None
    assert "additionalProperties" not in SCHEMA


def test_a_strict_schema_is_valid_for_openai() -> None:
    parameters = spec_of(tool_of(Node), strict=True).parameters
    assert parameters["required"] == ["name", "next"]
    assert parameters["$defs"]["Node"]["additionalProperties"] is False
    assert "default" not in json.dumps(parameters)
    node = spec_of(tool_of(Holder), strict=True).parameters["properties"]["node"]
    assert node == {"anyOf": [{"$ref": "#/$defs/Node"}], "description": "The one."}


def test_a_recursive_class_keeps_its_fields() -> None:
    parameters = spec_of(tool_of(Node)).parameters
    assert parameters["type"] == "object"
    assert parameters["properties"].keys() == {"name", "next"}
    assert parameters["$defs"]["Node"]["properties"].keys() == {"name", "next"}


def test_additional_properties_of_a_class_are_kept() -> None:
    assert spec_of(tool_of(Open)).parameters["additionalProperties"] is False


def test_arguments_are_always_an_object() -> None:
    parameters = spec_of(tool_of(Numbers)).parameters
    assert parameters["type"] == "object"
    assert parameters["properties"]["root"]["type"] == "array"


def test_a_tool_without_a_schema_takes_one_string() -> None:
    tool = FunctionTool.from_defaults(weather, tool_metadata=ToolMetadata("d", "weather", fn_schema=None))
    assert spec_of(tool).parameters["properties"].keys() == {"input"}


def test_custom_tool_metadata_is_used() -> None:
    class Own(ToolMetadata):
        def get_parameters_dict(self) -> dict[str, Any]:
            return SCHEMA

    tool = FunctionTool.from_defaults(weather, tool_metadata=Own("d", "we ather"))
    assert spec_of(tool).parameters == SCHEMA
    assert spec_of(tool).name == "we ather"


def test_a_long_description_is_kept() -> None:
    tool = FunctionTool.from_defaults(weather, description="long " * 1000)
    assert spec_of(tool).description == "long " * 1000


def test_the_same_tool_is_converted_once() -> None:
    assert spec_of(WEATHER) is spec_of(WEATHER)
    assert spec_of(adapt_to_async_tool(WEATHER)) is spec_of(WEATHER)
    assert spec_of(tool_of(Open)) is spec_of(tool_of(Open))
    bound = bound_tools([WEATHER, BOX])
    assert [again.spec for again in bound_tools(bound)] == [tool.spec for tool in bound]


def test_a_changed_tool_is_converted_again() -> None:
    tool = FunctionTool.from_defaults(weather)
    spec_of(tool)
    tool.metadata.description = "Something else."
    assert spec_of(tool).description == "Something else."
    tool.metadata.fn_schema = Open
    assert spec_of(tool).parameters["additionalProperties"] is False


def test_markers_of_anthropic_tools_are_sent() -> None:
    spec = spec_of({"name": "w", "input_schema": SCHEMA, "cache_control": {"type": "ephemeral"}})
    assert spec.extras == {"messages": {"cache_control": {"type": "ephemeral"}}}


@pytest.mark.parametrize(
    "raw", [{"type": "web_search"}, {"type": "mcp", "server_label": "x"}, {"type": "custom", "name": "Box[int]"}]
)
def test_built_in_tools_are_sent_unchanged(raw: dict[str, Any]) -> None:
    (created,) = bound_tools([raw])
    assert created == raw
    assert isinstance(created.spec, NativeTool)
    assert created.spec.raw == raw


@pytest.mark.parametrize(
    "original",
    [
        42,
        "weather",
        {"type": "function"},
        {"input_schema": SCHEMA},
        {"type": "function", "function": {}},
        {"what": "ever"},
        {"type": "object", "properties": {}},
        {"type": ["function"]},
        FunctionTool.from_defaults(weather, tool_metadata=ToolMetadata("d", name="")),
    ],
)
def test_an_invalid_tool_is_refused(original: Any) -> None:
    with pytest.raises(ConfigError, match="tool"):
        bound_tools([original])


@pytest.mark.parametrize("tool", [BOX, {"type": "web_search"}], ids=["function", "native"])
def test_bound_tools_survive_pickles_and_copies(tool: Any) -> None:
    (created,) = bound_tools([tool])
    for again in (pickle.loads(pickle.dumps(created)), deepcopy(created)):
        assert again == created
        assert type(again.spec) is type(created.spec)


def test_a_tool_instead_of_a_list_is_refused() -> None:
    with pytest.raises(ConfigError, match="Give a list"):
        bound_tools(WEATHER)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


def test_tools_keep_their_names() -> None:
    names = ["Box[int]", "weather", "Box(int)", "Box_int_", "x" * 70]
    bound = bound_tools([BOX, WEATHER, *(tool_of(Open, name) for name in names[2:])])
    assert [tool["function"]["name"] for tool in bound] == names
    assert [tool.spec.name for tool in bound_tools(bound) if isinstance(tool.spec, FunctionSpec)] == names


def test_a_repeated_tool_is_sent_once() -> None:
    assert len(bound_tools([WEATHER, BOX, adapt_to_async_tool(WEATHER)])) == 2


def test_two_tools_of_the_same_name_are_refused() -> None:
    with pytest.raises(ConfigError, match="Two tools are called 'weather'"):
        bound_tools([WEATHER, FunctionTool.from_defaults(weather)])


CHOICES: list[tuple[Any, Any]] = [
    (None, None),
    ("auto", "auto"),
    ("none", "none"),
    ("any", "required"),
    ("required", "required"),
    ("weather", NamedTool("weather")),
    ("Box[int]", NamedTool("Box[int]")),
    ({"type": "function", "function": {"name": "Box[int]"}}, NamedTool("Box[int]")),
    ({"type": "function", "name": "Box[int]"}, NamedTool("Box[int]")),
    ({"type": "tool", "name": "weather"}, NamedTool("weather")),
    ({"type": "any"}, "required"),
    ({"type": "auto"}, "auto"),
    ({"type": "none"}, "none"),
    ({"type": "web_search"}, NamedTool("web_search")),
]


@pytest.mark.parametrize(("original", "expected"), CHOICES, ids=str)
def test_every_form_of_a_tool_choice_is_read(original: Any, expected: Any) -> None:
    tools = bound_tools([WEATHER, BOX, {"type": "web_search"}])
    assert choice_among(original, [tool.spec for tool in tools]) == expected


@pytest.mark.parametrize("original", ["wether", {"type": "tool", "name": "x"}, 3, ["weather"]])
def test_a_choice_of_an_absent_tool_is_refused(original: Any) -> None:
    with pytest.raises(ConfigError, match="tool_choice"):
        choice_among(original, [spec_of(WEATHER)])
    with pytest.raises(ConfigError, match="tool_choice"):
        chat_arguments([WEATHER], user_msg="Hi", tool_choice=original)


def test_chat_arguments_do_not_change_the_history() -> None:
    history = [ChatMessage("Hello.")]
    sent = ChatMessage("And now?")
    for said in ("And now?", sent):
        created = chat_arguments([WEATHER], user_msg=said, chat_history=history)
        assert [message.content for message in created["messages"]] == ["Hello.", "And now?"]
        assert created["messages"][1].role == "user"
    assert len(history) == 1
    assert chat_arguments([WEATHER], chat_history=history)["messages"] == history
    assert chat_arguments([WEATHER], user_msg=sent)["messages"] == [sent]


@pytest.mark.parametrize(
    ("kwargs", "expected"),
    [
        ({}, {"parallel_tool_calls": False}),
        ({"allow_parallel_tool_calls": True}, {}),
        ({"tool_required": True, "allow_parallel_tool_calls": True}, {"tool_choice": "required"}),
        (
            {"tool_required": True, "tool_choice": "auto", "allow_parallel_tool_calls": True},
            {"tool_choice": "auto"},
        ),
        ({"tool_choice": "Box[int]", "allow_parallel_tool_calls": True}, {"tool_choice": "Box[int]"}),
        (
            {"tool_choice": {"type": "any", "disable_parallel_tool_use": True}, "allow_parallel_tool_calls": True},
            {"tool_choice": {"type": "any", "disable_parallel_tool_use": True}, "parallel_tool_calls": False},
        ),
        ({"parallel_tool_calls": True, "temperature": 0}, {"parallel_tool_calls": True, "temperature": 0}),
    ],
)
def test_unset_tool_arguments_are_omitted(kwargs: dict[str, Any], expected: dict[str, Any]) -> None:
    created = chat_arguments([BOX], user_msg="Hi", **kwargs)
    assert created.pop("messages")
    assert [tool.spec.name for tool in created.pop("tools")] == ["Box[int]"]
    assert created == expected


def test_strict_applies_to_the_tools() -> None:
    (tool,) = chat_arguments([WEATHER], user_msg="Hi", strict=True)["tools"]
    assert tool.spec.strict is True


def test_without_tools_no_tool_arguments_are_sent() -> None:
    assert chat_arguments([], user_msg="Hi", tool_choice="auto").keys() == {"messages"}
    for kwargs in ({"tool_required": True}, {"tool_choice": "any"}, {"tool_choice": "weather"}):
        with pytest.raises(ConfigError, match="no tools"):
            chat_arguments([], user_msg="Hi", **kwargs)


def response(*arguments: Any, finish: str | None = None, text: str = "") -> ChatResponse:
    calls = [
        ToolCallBlock(tool_call_id=f"call_{n}", tool_name="weather", tool_kwargs=each)
        for n, each in enumerate(arguments)
    ]
    message = ChatMessage(role="assistant", blocks=[*([TextBlock(text=text)] if text else []), *calls])
    return ChatResponse(message=message, additional_kwargs={"finish_reason": finish} if finish else {})


def chosen(result: ChatResponse, *, error: bool = False) -> list[dict[str, Any]]:
    return [selection.tool_kwargs for selection in tool_selections(result, error_on_no_tool_call=error)]


def test_complete_arguments_are_parsed_in_every_form() -> None:
    original: list[Any] = [{"city": "Rome"}, '{"city": "Rome"}', "", " ", {}]
    for finish in (None, "tool_calls"):
        assert chosen(response(*original, finish=finish)) == [{"city": "Rome"}, {"city": "Rome"}, {}, {}, {}]
    first, *_ = tool_selections(response(*original))
    assert (first.tool_id, first.tool_name) == ("call_0", "weather")


def test_a_call_without_an_id_is_a_selection() -> None:
    block = ToolCallBlock(tool_name="weather", tool_kwargs='{"a"')
    (selection,) = tool_selections(ChatResponse(message=ChatMessage(role="assistant", blocks=[block])))
    assert (selection.tool_id, selection.tool_kwargs) == ("", {})


def test_partial_arguments_are_a_selection() -> None:
    text = json.dumps({"city": "Rome", "days": [1, 2], "more": {"a": None}})
    for end in range(len(text) + 1):
        for error in (True, False):
            (arguments,) = chosen(response(text[:end]), error=error)
            assert arguments.keys() <= {"city", "days", "more"}
    assert chosen(response(text)) == [json.loads(text)]


def test_an_earlier_selection_does_not_change() -> None:
    text = json.dumps({"list": [{"n": number} for number in range(9)]})
    seen = [(result := chosen(response(text[:end])), json.dumps(result)) for end in range(len(text) + 1)]
    assert all(json.dumps(result) == then for result, then in seen)


def test_a_tool_that_changes_its_arguments_does_not_change_the_history() -> None:
    original = response({"orders": [{"id": 1}], "options": {"fast": True}})
    (arguments,) = chosen(original)
    arguments["orders"].clear()
    arguments["options"]["fast"] = False
    assert chosen(original) == [{"orders": [{"id": 1}], "options": {"fast": True}}]


@pytest.mark.parametrize("broken", ['{"city": "Ro', "Rome", "[1]", '{"a": 1}{"b": 2}', '"Rome"'])
def test_arguments_broken_at_the_end_are_never_completed(broken: str) -> None:
    ended = response({"city": "Oslo"}, broken, finish="length")
    complete, (selection,) = chosen(ended)[:1], chosen(ended)[1:]
    assert complete == [{"city": "Oslo"}]
    assert selection["invalid_arguments"] == broken
    assert len(selection) == 2, "a tool of one argument would be called with the only one there is"
    with pytest.raises(ValueError, match=r"weather.*length"):
        chosen(ended, error=True)


async def test_a_tool_does_not_run_on_broken_arguments() -> None:
    (arguments,) = chosen(response('{"city": "Ro', finish="length"))
    with pytest.raises(TypeError):
        await WEATHER.acall(**arguments)


def test_a_missing_call_is_an_error_only_on_request() -> None:
    for finish in (None, "stop"):
        said = response(text="I would rather talk.", finish=finish)
        assert chosen(said) == []
        with pytest.raises(ValueError, match="I would rather talk"):
            chosen(said, error=True)


def test_free_text_is_the_argument_input() -> None:
    turn = Turn("assistant", (ToolCall("call_0", "weather", "print(1)", "custom"),))
    said = response("print(1)", finish="tool_calls")
    said.message.additional_kwargs["cf_aig_turn"] = replay_state(turn)
    assert chosen(said, error=True) == [{"input": "print(1)"}]


def calls_of(turn: Turn) -> ChatResponse:
    return ChatResponse(message=to_message(turn), raw={"id": "1"}, additional_kwargs={"finish_reason": "tool_calls"})


def test_the_first_call_keeps_its_reasoning_and_text() -> None:
    first, second = ToolCall("a", "weather", "{}"), ToolCall("b", "weather", "{}")
    turn = Turn("assistant", (Reasoning("Hm.", extras_of("messages", signature="s")), first, second, Text("So.")))
    original = calls_of(turn)
    before = original.model_dump_json()
    result = first_call_only(original)
    assert [selection.tool_id for selection in tool_selections(result)] == ["a"]
    assert [call["id"] for call in result.message.additional_kwargs["tool_calls"]] == ["a"]
    assert result.message.content == "So."
    assert (result.raw, result.additional_kwargs) == (original.raw, original.additional_kwargs)
    plain = Turn("assistant", (Reasoning("Hm."), Text("So."), first))
    assert restore(plain, result.message.additional_kwargs["cf_aig_turn"]).parts == (*turn.parts[:2], Text("So."))
    assert original.model_dump_json() == before


def test_several_calls_are_kept_if_allowed() -> None:
    llm = CloudflareAIGateway(model="openai/gpt-5.4", account_id="acc", api_token="tok")
    several = calls_of(Turn("assistant", (ToolCall("a", "weather", "{}"), ToolCall("b", "weather", "{}"))))
    validated = llm._validate_chat_with_tools_response(several, [WEATHER], allow_parallel_tool_calls=True)
    assert len(tool_selections(validated)) == 2
    assert len(tool_selections(llm._validate_chat_with_tools_response(several, [WEATHER]))) == 1
    one = response({}, finish="stop")
    assert llm._validate_chat_with_tools_response(one, [WEATHER]) is one


def test_a_query_engine_is_a_tool() -> None:
    class Engine:
        def query(self, text: str) -> str:
            return text

    tool: BaseTool = QueryEngineTool(Engine(), ToolMetadata("Answers.", "my engine"))  # type: ignore[arg-type]
    (created,) = bound_tools([tool])
    assert isinstance(created, BoundTool)
    assert created["function"]["name"] == "my engine"
    assert created["function"]["parameters"]["required"] == ["input"]


@pytest.mark.parametrize("streaming", [False, True])
@pytest.mark.parametrize("api", ["chat_completions", "responses", "messages"])
async def test_an_agent_uses_a_tool_whose_name_servers_refuse(simulator: Simulator, api: Any, streaming: bool) -> None:
    llm = CloudflareAIGateway(**where(simulator), model="openai/gpt-5.4", api=api)
    tools: list[Any] = [FunctionTool.from_defaults(weather, name="weather (now)")]
    agent = FunctionAgent(tools=tools, llm=llm, streaming=streaming, initial_tool_choice="weather (now)")
    simulator.reply(calls=[{"id": "call_1", "name": "weather__now_", "arguments": {"city": "Rome"}}])
    simulator.reply("Fine.")
    answer = await agent.run("How is the weather?")
    assert str(answer) == "Fine."
    assert [(call.tool_name, str(call.tool_output)) for call in answer.tool_calls] == [("weather (now)", "Rome")]
    first, second = (json.dumps(request.body) for request in simulator.requests)
    assert "weather__now_" in first
    assert first.count("weather (now)") == second.count("weather (now)")  # the description, which FunctionTool writes
    assert second.count("weather__now_") == 2
    assert "parallel_tool_calls" not in first
