"""Input of the wrong type, size or alphabet is rejected by name before anything is sent."""

from __future__ import annotations

import asyncio
import json
import logging
from typing import Any

import pytest

from cfaig_integrations import ConfigError, GatewayOptions, gateway_context
from cfaig_integrations.adapters.arguments import CallArguments, call_options, chat_request
from cfaig_integrations.adapters.fields import ChatFields
from cfaig_integrations.adapters.run_metadata import RunEntries
from cfaig_integrations.core.content import Text, Turn
from cfaig_integrations.gateway.addresses import address
from cfaig_integrations.gateway.connection import Connection, Timeouts, timeouts
from cfaig_integrations.gateway.context import Context, current
from cfaig_integrations.gateway.logs import Feedback, LogFilter, LogQuery, entry
from cfaig_integrations.gateway.metadata import encode_metadata
from cfaig_integrations.gateway.run_input import run_request
from cfaig_integrations.gateway.settings import resolve

HUGE = 10**5000


def name_of(value: object) -> str:
    """An id of a test case; not every value can be printed."""
    return value if isinstance(value, str) and value.isascii() else type(value).__name__


SETTINGS = resolve(account_id="acc", api_token="tok")
TURNS = (Turn("user", (Text("Hello"),)),)


class Broken:
    """Has no repr."""

    def __repr__(self) -> str:
        raise RuntimeError


def fields() -> ChatFields:
    return ChatFields(model="openai/gpt-5.4", account_id="acc", api_token="tok")


CALLS: list[tuple[str, Any]] = [
    (name, value)
    for names, values in [
        (("temperature", "top_p", "max_tokens", "top_k", "n", "seed"), ("0.5", [1], Broken())),
        (("reasoning", "thinking"), ("high", ["high"], 3)),
        (("reasoning_effort", "service_tier", "model", "previous_response_id"), (3, ["x"], {"x": 1})),
        (("store", "logprobs"), ("yes", {})),
        (("stop",), (3, [3], [None], {"a": 1}, HUGE)),
        (("extra_body",), ("x", 3, ["x"], HUGE)),
    ]
    for name in names
    for value in values
]


@pytest.mark.parametrize(("name", "value"), CALLS, ids=name_of)
def test_a_call_argument_of_the_wrong_type_is_rejected(name: str, value: Any) -> None:
    with pytest.raises(ConfigError, match=name) as caught:
        chat_request(fields(), CallArguments({name: value}), TURNS)
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize(
    "arguments",
    [
        {"temperature": 1, "max_tokens": 5, "reasoning_effort": "low", "thinking": {"type": "adaptive"}, "stop": ["x"]},
        {"temperature": None, "reasoning": None, "stop": None, "store": False, "logprobs": True, "extra_body": None},
        {"stop": ("x", "y")},
        {"stop": {"x"}},
    ],
)
def test_call_arguments_of_the_right_type_are_accepted(arguments: dict[str, Any]) -> None:
    assert chat_request(fields(), CallArguments(arguments), TURNS).turns == TURNS


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("api", HUGE),
        ("session_affinity", HUGE),
        ("gateway", HUGE),
        ("gateway_metadata", HUGE),
        ("gateway", Broken()),
        ("extra_headers", "x-key: canary"),
        ("extra_headers", ["canary"]),
    ],
    ids=name_of,
)
def test_gateway_arguments_of_a_call_are_validated(name: str, value: Any) -> None:
    with pytest.raises(ConfigError, match=name) as caught:
        call_options(CallArguments({name: value}), "auto", RunEntries())
    assert "canary" not in str(caught.value)
    if name == "extra_headers":
        assert caught.value.value is None


@pytest.mark.parametrize(
    "value", [HUGE, -HUGE, 1e300, float("nan"), float("inf"), True, "5", b"5", [5], Broken(), {}], ids=name_of
)
def test_invalid_numbers_are_rejected(value: Any) -> None:
    with pytest.raises(ConfigError, match="timeout"):
        timeouts(value)
    with pytest.raises(ConfigError, match="max_retries"):
        Connection(settings=SETTINGS, max_retries=value)
    with pytest.raises(ConfigError, match="cache_ttl"):
        GatewayOptions.of({"cache_ttl": value})
    with pytest.raises(ConfigError, match="request_timeout"):
        GatewayOptions.of({"request_timeout": -1 if isinstance(value, int) and value < 2 else value})
    if value is not HUGE and not isinstance(value, float):
        with pytest.raises(ConfigError):
            GatewayOptions.of({"custom_cost": {"total_cost": value}})
    assert timeouts(1e6) == Timeouts(read=1e6)


@pytest.mark.parametrize(
    ("metadata", "sent"),
    [
        ({"a": "\ud83d\ude00"}, {"a": "\U0001f600"}),
        ({"a": "x\ud83d"}, {"a": "x\ufffd"}),
        ({"\ud83d": 1}, {"\ufffd": 1}),
        ({"a": 10**150}, {"a": str(10**150)}),
    ],
)
def test_metadata_is_valid_unicode(metadata: dict[str, Any], sent: dict[str, Any]) -> None:
    assert json.loads(encode_metadata(metadata) or "") == sent


@pytest.mark.parametrize("value", [HUGE, b"x", Broken(), object(), [1], {"a": 1}, None, float("nan"), 1j], ids=name_of)
def test_metadata_that_is_not_json_is_rejected(value: Any) -> None:
    with pytest.raises(ConfigError, match="Metadata"):
        encode_metadata({"a": value})
    with pytest.raises(ConfigError):
        gateway_context(metadata={"a": value})
    with pytest.raises(ConfigError):
        encode_metadata({value: 1} if value.__hash__ else {Broken(): 1})


@pytest.mark.parametrize("name", ["account_id", "gateway_id", "base_url"])
@pytest.mark.parametrize("value", [3, [1], b"x", {"a": 1}])
def test_settings_of_the_wrong_type_are_rejected(name: str, value: Any) -> None:
    with pytest.raises(ConfigError, match=name):
        resolve(**{"account_id": "acc", "api_token": "tok", name: value})


@pytest.mark.parametrize("value", ["http://[::1", "http://x:99999", "http://x:p", "https://", "\ud800", "x y", "//x"])
def test_an_invalid_url_is_rejected(value: str) -> None:
    with pytest.raises(ConfigError, match="base_url"):
        resolve(account_id="acc", api_token="tok", base_url=value)


@pytest.mark.parametrize(
    ("base", "warned"),
    [
        ("http://ai.example.com/v4", True),
        ("http://8.8.8.8/v4", True),
        ("https://ai.example.com/v4", False),
        ("http://localhost:8080/v4", False),
        ("http://127.0.0.2/v4", False),
        ("http://[::1]:80/v4", False),
        ("http://10.1.2.3/v4", False),
        ("http://100.64.1.2/v4", False),
        ("http://proxy:4000/v4", False),
        ("http://ai.internal/v4", False),
    ],
)
def test_one_warning_for_an_unencrypted_public_url(base: str, warned: bool, caplog: pytest.LogCaptureFixture) -> None:
    address.cache_clear()
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            resolve(account_id="acc", api_token="canary", base_url=base)
    assert len(caplog.records) == warned
    assert "canary" not in caplog.text


@pytest.mark.parametrize("log_id", [None, 3, "", "é", "\ud800", ["x"]])
def test_an_invalid_log_id_is_rejected(log_id: Any) -> None:
    with pytest.raises(ConfigError, match="log_id"):
        next(entry(Connection(settings=SETTINGS), log_id))


@pytest.mark.parametrize(
    "query",
    [
        LogQuery(search="\ud800"),
        LogQuery(filters=[LogFilter("model", "eq", [object()])]),  # type: ignore[list-item]
        LogQuery(filters=[LogFilter("model", "eq", 3)]),  # type: ignore[arg-type]
        LogQuery(filters=["model"]),  # type: ignore[list-item]
    ],
)
def test_a_query_that_cannot_be_encoded_is_rejected(query: LogQuery) -> None:
    with pytest.raises(ConfigError, match="logs"):
        query.encoded()


def test_a_filter_of_logs_takes_a_list_of_values() -> None:
    with pytest.raises(ConfigError, match=r"^value='gpt-6' is not a list\. Use \['gpt-6'\]\.$"):
        LogFilter("model", "eq", "gpt-6")


@pytest.mark.parametrize("score", ["5", True, float("nan"), HUGE, [5]], ids=name_of)
def test_an_invalid_score_is_rejected(score: Any) -> None:
    with pytest.raises(ConfigError, match="score"):
        Feedback(score=score)


@pytest.mark.parametrize(
    ("field", "value"), [("value", True), ("value", 1.0), ("value", "1"), ("metadata", ["a"]), ("metadata", "a")]
)
def test_feedback_of_the_wrong_type_is_rejected(field: str, value: Any) -> None:
    with pytest.raises(ConfigError, match=f"^{field}="):
        Feedback(**{field: value})


def test_names_in_a_form_that_utf8_does_not_have_are_replaced() -> None:
    upload = ("\udcff.png", b"x", "image/png")  # a file on Linux may have such a name
    body = run_request("@cf/a/b", {"\ud800": "x"}, files={"image": upload}).body
    assert b'name="?"' in body
    assert b'filename="?.png"' in body


async def test_many_tasks_can_be_inside_one_block() -> None:
    block = gateway_context(metadata={"a": 1})
    steps: list[asyncio.Event] = [asyncio.Event() for _ in range(4)]

    async def task(number: int) -> None:
        with block:
            assert current().metadata == ({"a": 1},)
            steps[number].set()
            await steps[(number + 1) % 4].wait()  # so that all are inside before any leaves, in another order
            with block:
                assert current().metadata == ({"a": 1}, {"a": 1})
            assert current().metadata == ({"a": 1},)
        assert current() == Context()

    await asyncio.gather(*map(task, range(4)))
    assert current() == Context()


async def test_a_block_that_ends_in_another_task_has_no_effect_there() -> None:
    block = gateway_context(metadata={"a": 1})

    async def enter() -> None:
        block.__enter__()

    await asyncio.create_task(enter())
    with gateway_context(metadata={"b": 1}):
        block.__exit__(None, None, None)
        assert current().metadata == ({"b": 1},)
    assert current() == Context()
