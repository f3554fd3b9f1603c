"""The model without a neural network: what it calls, what it fills in, what it says, and its limits."""

from __future__ import annotations

import json
from typing import Any

import pytest

from cfaig_integrations.simulator import fake_model, tokens
from cfaig_integrations.simulator.fake_model import conversation
from cfaig_integrations.simulator.types import Answer, Call, Message, ModelRequest, Tool, ToolResult

STRING: dict[str, Any] = {"type": "string"}
INTEGER: dict[str, Any] = {"type": "integer"}


def tool(name: str, about: str = "", /, **properties: Any) -> Tool:
    form = {"type": "object", "properties": properties, "required": list(properties)}
    return Tool(name, about, form)


def model_request(question: str, *tools: Tool, **more: Any) -> ModelRequest:
    return ModelRequest("m", [Message("user", question)], list(tools), **more)


def made(question: str, *tools: Tool, **more: Any) -> list[tuple[str, dict[str, Any]]]:
    return [(c.name, c.arguments) for c in fake_model.generate_answer(model_request(question, *tools, **more)).calls]


def messages(question: str, **more: Any) -> str:
    answer = fake_model.generate_answer(model_request(question, **more))
    assert not answer.calls
    return answer.text


WEATHER = tool("get_weather", "Get the weather at a location.", location=STRING)
MAGIC = tool(
    "magic_function", "Apply a magic function.", input={"type": "integer", "exclusiveMinimum": 5, "maximum": 1000}
)
ADD = tool("add", "Add two numbers.", a=INTEGER, b=INTEGER)
MULTIPLY = tool("multiply", "Multiply two numbers.", a=INTEGER, b=INTEGER)


@pytest.mark.parametrize(
    ("question", "tools", "calls"),
    [
        ("What is the value of magic_function(7)? Use the tool.", [MAGIC], [("magic_function", {"input": 7})]),
        (
            "What is the value of magic_function_no_args()?",
            [MAGIC, tool("magic_function_no_args")],
            [("magic_function_no_args", {})],
        ),
        ("What is the weather in San Francisco, CA?", [WEATHER], [("get_weather", {"location": "San Francisco, CA"})]),
        ("weather in oslo?", [WEATHER], [("get_weather", {"location": "oslo"})]),
        ("What is 3 + 4", [MULTIPLY, ADD], [("add", {"a": 3, "b": 4})]),
        ("add 3 and 4", [MULTIPLY, ADD], [("add", {"a": 3, "b": 4})]),
        ("Hello!", [WEATHER, ADD], []),
        ("What is the capital of France?", [WEATHER, ADD], []),
    ],
)
def test_calls_the_tool_that_fits(question: str, tools: list[Tool], calls: list[Any]) -> None:
    assert made(question, *tools) == calls


def test_calls_in_parallel_for_each_subject_unless_forbidden() -> None:
    cities = [{"location": "Paris"}, {"location": "Tokyo"}, {"location": "New York"}]
    question = "Weather in Paris, Tokyo and New York please"
    assert [a for _, a in made(question, WEATHER)] == cities
    assert [a for _, a in made(question, WEATHER, parallel=False)] == cities[:1]


def test_different_tools_for_different_parts() -> None:
    calls = made("What is 3 * 12? Also, what is 11 + 49?", MULTIPLY, ADD)
    assert calls == [("multiply", {"a": 3, "b": 12}), ("add", {"a": 11, "b": 49})]


def test_a_step_that_needs_a_result_waits_for_it() -> None:
    request = model_request("Multiply 3 by 4 and then add 5", MULTIPLY, ADD)
    first = fake_model.generate_answer(request)
    assert [(c.name, c.arguments) for c in first.calls] == [("multiply", {"a": 3, "b": 4})]
    request.messages += [Message("assistant", calls=[Call("1", "multiply", {"a": 3, "b": 4})])]
    request.messages += [Message("tool", results=[ToolResult("1", "12")])]
    assert [(c.name, c.arguments) for c in fake_model.generate_answer(request).calls] == [("add", {"a": 12, "b": 5})]


@pytest.mark.parametrize("choice", ["required", "magic_function"])
def test_forced_call_is_made_and_legal(choice: str) -> None:
    assert made("Hello!", MAGIC, choice=choice) == [("magic_function", {"input": 6})]


def test_no_call_when_choice_is_none() -> None:
    assert made("weather in Paris", WEATHER, choice="none") == []


def after_result(*, failed: bool = False, choice: str = "auto") -> Answer:
    request = model_request(
        "Weather in Paris?", WEATHER, tool("Report", "The final report", text=STRING), choice=choice
    )
    request.messages.append(Message("assistant", calls=[Call("1", "get_weather", {"location": "Paris"})]))
    request.messages.append(Message("tool", results=[ToolResult("1", "It is sunny, 25 C.", failed)]))
    return fake_model.generate_answer(request)


def test_answers_from_the_result() -> None:
    answer = after_result()
    assert not answer.calls
    assert "It is sunny, 25 C." in answer.text
    assert "failed" in after_result(failed=True).text


def test_required_after_a_result_takes_another_tool_and_fills_it_from_the_result() -> None:
    (call,) = after_result(choice="required").calls
    assert call.name == "Report"
    assert "25 C" in call.arguments["text"]


@pytest.mark.parametrize(
    "name", ["\u4f60\u597d\u554a\u96c6\u56e2", "\u3053\u3093\u306b\u3061\u306f\u682a\u5f0f\u4f1a\u793e"]
)
@pytest.mark.parametrize("marks", ["''", "\u300a\u300b", "\u201c\u201d", '""'])
def test_quoted_text_is_returned_exactly(name: str, marks: str) -> None:
    create = tool("create_customer", "Create a customer.", customer_name=STRING, description=STRING)
    ((_, arguments),) = made(f"Create a customer named {marks[0]}{name}{marks[1]} (Hello Group)", create)
    assert arguments["customer_name"] == name


PERSON = {
    "type": "object",
    "properties": {
        "name": STRING,
        "age": INTEGER,
        "city": {"anyOf": [STRING, {"type": "null"}]},
        "email": {"type": "string", "format": "email"},
        "phone": {"type": ["string", "null"], "pattern": r"^\+\d+$"},
    },
    "required": ["name", "age", "city", "phone"],
}


def test_json_is_filled_from_the_text() -> None:
    text = messages("Extract: Alice is 30 and lives in Paris. Mail: alice@x.org", schema=PERSON)
    assert json.loads(text) == {"name": "Alice", "age": 30, "city": "Paris", "email": "alice@x.org", "phone": None}


def test_lists_of_objects_through_references() -> None:
    people = {"type": "array", "items": {"$ref": "#/$defs/P"}}
    form = {"type": "object", "properties": {"name": STRING, "age": INTEGER}, "required": ["name", "age"]}
    schema = {"type": "object", "properties": {"people": people}, "required": ["people"], "$defs": {"P": form}}
    found = json.loads(messages("Alice is 30 and Bob is 25.", schema=schema))
    assert found == {"people": [{"name": "Alice", "age": 30}, {"name": "Bob", "age": 25}]}


def test_enum_by_mention_default_and_recursion_end() -> None:
    node: dict[str, Any] = {"type": "object", "properties": {"next": {"$ref": "#/$defs/N"}}, "required": ["next"]}
    fields = {
        "unit": {"enum": ["celsius", "fahrenheit"]},
        "mode": {"enum": ["a1", "b2"], "default": "b2"},
        "tree": {"$ref": "#/$defs/N"},
    }
    schema = {"type": "object", "properties": fields, "required": ["unit", "mode"], "$defs": {"N": node}}
    found = json.loads(messages("In fahrenheit please", schema=schema))
    assert (found["unit"], found["mode"]) == ("fahrenheit", "b2")


@pytest.mark.parametrize("schema", [{}, {"type": "object", "properties": {"setup": STRING, "punchline": STRING}}])
def test_joke_as_json(schema: dict[str, Any]) -> None:
    found = json.loads(
        messages("Tell me a joke about cats. Return a JSON with 'setup' and 'punchline' keys.", schema=schema)
    )
    assert set(found) == {"setup", "punchline"}
    assert "cats" in found["setup"]


def test_a_schema_in_the_prompt_is_followed_without_json_mode() -> None:
    form = json.dumps({"properties": {"city": STRING}, "required": ["city"]})
    assert conversation.from_prompt(f"as JSON: {form}") is not None
    assert json.loads(messages(f"Answer as JSON with this schema:\n{form}\nI live in Rome.")) == {"city": "Rome"}


@pytest.mark.parametrize(
    ("question", "text"),
    [
        ("Say hello world", "hello world"),
        ("Reply with exactly: PONG", "PONG"),
        ("Please repeat after me: one two.", "one two"),
        ("Say 'this is a test' and nothing else", "this is a test"),
        ("Count from 2 to 5", "2, 3, 4, 5"),
        ("What is 12 * 4?", "12 * 4 = 48."),
    ],
)
def test_simple_instructions(question: str, text: str) -> None:
    assert messages(question) == text


def test_answers_from_the_context() -> None:
    context = "The author grew up in Ohio. He later painted in Florence. Bananas are yellow."
    prompt = f"Context:\n{context}\nAnswer the query.\nQuery: Which city did he paint in?\nAnswer: "
    assert messages(prompt) == "He later painted in Florence."


def test_remembers_a_name_and_mentions_what_it_saw() -> None:
    talk = [Message("user", "my name is Bob"), Message("assistant", "hi"), Message("user", "What is my name?")]
    assert "Bob" in fake_model.generate_answer(ModelRequest("m", talk)).text
    assert (
        "image" in fake_model.generate_answer(ModelRequest("m", [Message("user", "Describe it", media=["image"])])).text
    )


@pytest.mark.parametrize("question", ["", "?", "hello", "how are you", "Who wrote Faust?", "\u4f60\u597d"])
def test_text_is_never_empty(question: str) -> None:
    assert messages(question).strip()


def test_stop_sequence_cuts_before_it() -> None:
    answer = fake_model.generate_answer(model_request("hi", stop=["you"]))
    assert answer.text == fake_model.generate_answer(model_request("hi")).text.partition("you")[0]
    assert answer.stopped_by == "you"


def test_max_tokens_cuts_text_and_arguments() -> None:
    answer = fake_model.generate_answer(model_request("Count from 1 to 20", max_tokens=5))
    assert (answer.finish, tokens.count(answer.text)) == ("length", 5)
    (call,) = fake_model.generate_answer(model_request("weather in Paris", WEATHER, max_tokens=4)).calls
    whole = json.dumps({"location": "Paris"})
    assert call.raw
    assert call.raw != whole
    assert whole.startswith(call.raw)


def test_reasoning_is_counted_and_eats_the_limit() -> None:
    answer = fake_model.generate_answer(model_request("Tell me", reason=True))
    assert 0 < answer.tokens_reasoning < answer.tokens_out
    short = fake_model.generate_answer(model_request("Tell me", reason=True, max_tokens=3))
    assert (short.text, short.finish) == ("", "length")


def test_same_request_same_answer() -> None:
    request = model_request("Weather in Paris and Rome", WEATHER)
    assert fake_model.generate_answer(request) == fake_model.generate_answer(request)


def test_tokens_join_to_the_text() -> None:
    text = "Hello  W\u00f6rld,\n\t\u4f60\u597d internationalisation!  "
    assert "".join(tokens.pieces(text)) == text
    assert tokens.cut(text, 2) == "Hello  W\u00f6rld"
    english = "The quick brown fox jumps over the lazy dog near the river bank. " * 20
    assert 3 < len(english) / tokens.count(english) < 5


def test_counts_that_a_script_gave_are_kept() -> None:
    answer = Answer(text="one two three", tokens_in=77)
    fake_model.measure(model_request("Tell me"), answer)
    assert (answer.tokens_in, answer.tokens_out) == (77, 3)
