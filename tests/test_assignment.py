"""What is assigned to a field is checked, and what is refused changes nothing, in the classes of both frameworks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from cfaig_integrations import ConfigError, GatewayOptions
from tests.models import CLASSES, every_class

TO = {"account_id": "acc", "api_token": "a-token", "max_retries": 1}
CHAT_CLASSES = ("lc chat", "lc llm", "li llm")
REFUSED: list[tuple[str, Any]] = [
    ("timeout", -1),
    ("timeout", "soon"),
    ("max_retries", 99),
    ("max_retries", "x"),
    ("base_url", "ftp://x"),
    ("base_url", 3),
    ("account_id", "no account"),
    ("account_id", "a-token"),
    ("gateway_id", "no gateway"),
    ("gateway", {"cache_ttl": 1}),
    ("gateway", 3),
    ("gateway_metadata", [1]),
    ("extra_headers", {"x": "y "}),
    ("extra_headers", 3),
    ("api_token", "'a'"),
    ("api_token", 3),
    ("stream_idle_timeout", 0),
    ("run_metadata", "perhaps"),
    ("no_such_field", 1),
]
OF_CHATS: list[tuple[str, Any]] = [
    ("temperature", "x"),
    ("max_tokens", 0),
    ("max_tokens", "x"),
    ("top_p", 2),
    ("stop", 3),
    ("reasoning", "high"),
    ("extra_body", "x"),
    ("api", "soap"),
    ("model", 3),
]


def state(model: Any) -> Any:
    connection = model._clients.sync._connection
    return (
        dict(model.__dict__),
        set(model.model_fields_set),
        connection,
        connection.settings,
        connection.options,
        model._clients.aio._connection,
    )


@pytest.mark.parametrize(
    ("make", "field", "value"),
    [
        pytest.param(make, field, value, id=f"{name}-{field}-{value!r}"[:60])
        for name, make in CLASSES.items()
        for field, value in [*REFUSED, *(OF_CHATS if name in CHAT_CLASSES else [])]
    ],
)
def test_a_refused_assignment_changes_nothing(make: Callable[..., Any], field: str, value: Any) -> None:
    model = make(**TO)
    before = state(model)
    with pytest.raises((ConfigError, ValueError)):
        setattr(model, field, value)
    assert state(model) == before
    model.max_retries = 2  # and it still works
    assert model._clients.sync._connection.max_retries == 2


@every_class
def test_what_is_assigned_counts_in_the_next_call(make: Callable[..., Any]) -> None:
    model = make(**TO)
    model.gateway = {"cache_ttl": 60}
    model.api_token = "another-token"
    model.timeout = (1, 2)
    model.account_id = "acc2"
    connection = model._clients.aio._connection
    assert connection.options == model.gateway == GatewayOptions(cache_ttl=60)
    assert connection.settings.api_token.get_secret_value() == "another-token"
    assert "another-token" not in repr(model)
    assert (connection.timeout, connection.settings.account_id) == ((1, 2), "acc2")


@pytest.mark.parametrize("make", [CLASSES[name] for name in CHAT_CLASSES], ids=CHAT_CLASSES)
def test_a_text_is_one_stop_text_when_it_is_assigned_too(make: Callable[..., Any]) -> None:
    model = make(**TO)
    model.stop = "x"
    model.temperature = 0.25
    assert (model.stop, model.temperature) == (["x"], 0.25)


@pytest.mark.parametrize("deep", [False, True])
def test_a_copy_of_options_has_the_headers_of_its_own_fields(deep: bool) -> None:
    options = GatewayOptions(cache_ttl=60, skip_cache=True)
    assert options.headers(legacy=False)["cf-aig-cache-ttl"] == "60"
    assert options.headers(legacy=True)
    copy = options.model_copy(update={"cache_ttl": 300, "cache_key": "k"}, deep=deep)
    assert copy.headers(legacy=False) == copy.headers(legacy=True) == {
        "cf-aig-cache-ttl": "300",
        "cf-aig-cache-key": "k",
        "cf-aig-skip-cache": "true",
    }  # fmt: skip
    assert options.headers(legacy=False) == {"cf-aig-cache-ttl": "60", "cf-aig-skip-cache": "true"}
    assert options.model_copy(update={"cache_ttl": None}).headers(legacy=False) == {"cf-aig-skip-cache": "true"}
    assert options.model_copy(deep=deep) == options
    for wrong in ({"cache_ttl": 1}, {"cache_tll": 60}):
        with pytest.raises(ValueError, match="cache_ttl"):
            options.model_copy(update=wrong)
