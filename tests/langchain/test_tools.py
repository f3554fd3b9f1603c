"""Every form of a tool and of a tool choice."""

from __future__ import annotations

import pickle
from copy import deepcopy
from typing import Any

import pytest
from langchain_core.tools import StructuredTool, Tool, tool
from pydantic import BaseModel
from typing_extensions import TypedDict

from cfaig_integrations.adapters.tools import choice_among
from cfaig_integrations.adapters.tools import tools_at_once as to_parallel
from cfaig_integrations.core.chat import FunctionTool, NamedTool, NativeTool
from cfaig_integrations.errors import ConfigError
from cfaig_integrations.langchain.tools import bound, to_choice, to_specs
from cfaig_integrations.wire.encoding import parameters_of
from tests.langchain.conftest import Make


@tool
def weather(city: str) -> str:
    """Weather in a city."""
    return city


def plain(city: str) -> str:
    """Weather in a city.

    Args:
        city: Its name.
    """
    return city


class Weather(BaseModel):
    """Weather in a city."""

    city: str


class TypedWeather(TypedDict):
    """Weather in a city."""

    city: str


SCHEMA: dict[str, Any] = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
FORMS = {
    "tool": weather,
    "function": plain,
    "pydantic": Weather,
    "typed dict": TypedWeather,
    "schema": {"title": "weather", "description": "Weather in a city.", **SCHEMA},
    "openai": {"type": "function", "function": {"name": "weather", "description": "d", "parameters": SCHEMA}},
    "responses": {"type": "function", "name": "weather", "description": "d", "parameters": SCHEMA},
    "anthropic": {"name": "weather", "description": "d", "input_schema": SCHEMA},
}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_is_the_same_function(form: str) -> None:
    result = bound(FORMS[form])
    assert isinstance(result.spec, FunctionTool)
    assert result.spec.name.lower() in {"weather", "plain", "typedweather"}
    assert result.spec.parameters["properties"]["city"]["type"] == "string"
    assert result["function"]["name"] == result.spec.name


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("strict", [True, False])
def test_strict_belongs_to_the_function(form: str, strict: bool) -> None:
    result = bound(FORMS[form], strict=strict)
    assert result.spec.strict is strict  # type: ignore[union-attr]
    assert bound(FORMS[form]).spec.strict is None  # type: ignore[union-attr]


def test_anthropic_tool_keys_are_kept() -> None:
    result = bound({"name": "w", "input_schema": SCHEMA, "cache_control": {"type": "ephemeral"}})
    assert result.spec.extras == {"messages": {"cache_control": {"type": "ephemeral"}}}  # type: ignore[union-attr]
    marked = weather.model_copy(update={"extras": {"defer_loading": True}})
    deferred = {"defer_loading": True}
    assert bound(marked).spec.extras == {"messages": deferred, "responses": deferred}  # type: ignore[union-attr]


@pytest.mark.parametrize(
    "raw",
    [
        {"type": "web_search"},
        {"type": "web_search_20250305", "name": "web_search", "max_uses": 2},
        {"type": "mcp", "server_label": "x", "server_url": "https://x"},
        {"type": "custom", "name": "free"},
    ],
)
def test_built_in_tools_pass_as_they_are(raw: dict[str, Any]) -> None:
    result = bound(raw)
    assert isinstance(result.spec, NativeTool)
    assert result.spec.raw == raw
    assert result == raw


def test_the_same_tool_is_converted_once() -> None:
    assert bound(weather) is bound(weather)
    assert bound(Weather).spec is bound(Weather).spec
    assert to_specs([bound(weather)])[0] is bound(weather).spec


def test_a_tool_that_changed_is_converted_again() -> None:
    mutable = weather.model_copy()
    before = bound(mutable)
    mutable.description = "Something else."
    assert bound(mutable)["function"]["description"] == "Something else."
    assert before["function"]["description"] != "Something else."


def test_a_tool_whose_schema_was_changed_in_place_is_converted_again() -> None:
    schema: dict[str, Any] = deepcopy(SCHEMA)
    remote = StructuredTool.from_function(weather.func, name="weather", description="Weather.", args_schema=schema)
    assert bound(remote) is bound(remote)
    schema["properties"]["unit"] = {"enum": ["C", "F"]}
    assert bound(remote)["function"]["parameters"]["properties"]["unit"] == {"enum": ["C", "F"]}


def test_a_tool_whose_extras_were_filled_in_place_is_converted_again() -> None:
    extras: dict[str, Any] = {}
    marked = weather.model_copy(update={"extras": extras})
    assert "defer_loading" not in bound(marked)
    extras["defer_loading"] = True
    assert bound(marked)["defer_loading"] is True


@pytest.mark.parametrize(
    "value", [42, {"type": "function"}, {"input_schema": SCHEMA}, {"type": "function", "function": {}}]
)
def test_invalid_tools_raise(value: Any) -> None:
    with pytest.raises(ConfigError, match="tool"):
        bound(value)


def test_a_free_text_tool_is_native() -> None:
    free = Tool(name="code", description="Runs it.", func=str, metadata={"type": "custom_tool"})
    result = bound(free)
    assert result == {"type": "custom", "name": "code", "description": "Runs it."}
    assert isinstance(result.spec, NativeTool)
    assert choice_among("code", [result.spec]) == NamedTool("code")


@pytest.mark.parametrize("bound_tool", [weather, {"type": "web_search"}], ids=["function", "native"])
def test_bound_tools_survive_pickles_and_copies(bound_tool: Any) -> None:
    result = bound(bound_tool)
    for again in (pickle.loads(pickle.dumps(result)), deepcopy(result)):
        assert again == result
        assert type(again.spec) is type(result.spec)


@pytest.mark.parametrize(
    ("result", "choice", "expected"),
    [
        (None, {"type": "any", "disable_parallel_tool_use": True}, False),
        (None, {"type": "tool", "name": "w", "disable_parallel_tool_use": False}, True),
        (True, {"type": "any", "disable_parallel_tool_use": True}, True),
        (None, {"type": "any"}, None),
        (False, "any", False),
    ],
)
def test_anthropics_choice_limits_parallel_calls(result: Any, choice: Any, expected: Any) -> None:
    assert to_parallel(result, choice) is expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, None),
        (False, None),
        ("auto", "auto"),
        ("none", "none"),
        ("any", "required"),
        ("required", "required"),
        (True, "required"),
        ("weather", NamedTool("weather")),
        ({"type": "function", "function": {"name": "weather"}}, NamedTool("weather")),
        ({"type": "function", "name": "weather"}, NamedTool("weather")),
        ({"type": "tool", "name": "weather"}, NamedTool("weather")),
        ({"type": "any"}, "required"),
        ({"type": "auto"}, "auto"),
        ({"type": "none"}, "none"),
        ({"type": "web_search"}, NamedTool("web_search")),
    ],
)
def test_every_form_of_a_choice(value: Any, expected: Any) -> None:
    assert choice_among(value, to_specs([bound(weather), bound({"type": "web_search"})])) == expected


@pytest.mark.parametrize("value", ["wether", {"type": "tool", "name": "x"}, 3, ["weather"]])
def test_a_choice_without_its_tool_raises(value: Any) -> None:
    with pytest.raises(ConfigError, match="tool_choice"):
        choice_among(value, to_specs([bound(weather)]))


DEEP: dict[str, Any] = {"type": "string"}
for _ in range(400):
    DEEP = {"type": "object", "properties": {"a": DEEP}}


@pytest.mark.parametrize("strict", [None, True, False])
@pytest.mark.parametrize(
    "parameters", ["x", [1], {"type": "object", "properties": [1]}, {"type": "array", "items": {}}], ids=repr
)
def test_invalid_parameter_schemas_raise(make: Make, parameters: Any, strict: bool | None) -> None:
    forms: list[dict[str, Any]] = [
        {"type": "function", "function": {"name": "f", "parameters": parameters}},
        {"type": "function", "name": "f", "parameters": parameters},
        {"name": "f", "input_schema": parameters},
    ]
    for form in forms:
        with pytest.raises(ConfigError):
            make().bind_tools([form], strict=strict).invoke("q")


@pytest.mark.parametrize("strict", [None, True])
def test_properties_may_be_null(strict: bool | None) -> None:
    form = {"type": "function", "function": {"name": "f", "parameters": {"type": "object", "properties": None}}}
    result = bound(form, strict=strict).spec
    assert isinstance(result, FunctionTool)
    assert parameters_of(result)["properties"] == {}


@pytest.mark.parametrize("tools", [5, [None], [5], ["x"], [{"type": 5}], [{}], [DEEP], [object()]], ids=range(8))
def test_invalid_tools_of_a_call_raise(make: Make, tools: Any) -> None:
    with pytest.raises(ConfigError):
        make().invoke("q", tools=tools)


@pytest.mark.parametrize(
    ("model", "api", "choice", "count", "refused"),
    [
        ("minimax/m3", "chat_completions", "any", 1, True),
        ("minimax/m3", "messages", "any", 1, False),
        ("@cf/zai-org/glm-4.7-flash", "auto", "any", 2, True),
        ("@cf/zai-org/glm-4.7-flash", "auto", "weather", 2, False),
        ("@cf/zai-org/glm-4.7-flash", "auto", "any", 1, False),
        ("@cf/mistralai/mistral-small-3.1-24b-instruct", "auto", "any", 1, True),
        ("@cf/mistralai/mistral-small-3.1-24b-instruct", "auto", "any", 0, False),
        ("anthropic/claude-opus-5.5", "auto", "weather", 1, True),
        ("openai/gpt-4.1", "auto", "any", 2, False),
    ],
)
def test_a_refused_choice_is_an_error(model: str, api: Any, choice: str, count: int, refused: bool) -> None:
    tools = to_specs([weather, {"name": "other", "input_schema": SCHEMA}][:count])
    if refused:
        with pytest.raises(ConfigError, match="ProviderStrategy"):
            to_choice(choice, tools, model=model, api=api)
    else:
        assert to_choice(choice, tools, model=model, api=api) == choice_among(choice, tools)
