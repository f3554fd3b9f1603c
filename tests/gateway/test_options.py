"""Every option: its header, its range, and how options of a call override those of a model."""

from __future__ import annotations

import json
import pickle
from datetime import timedelta
from typing import Any

import pytest
from pydantic import ValidationError

from cfaig_integrations.errors import ConfigError
from cfaig_integrations.gateway.options import CustomCost, GatewayOptions

# facts §3.1-3.3, written down a second time: field, value, header, what is sent.
SENT: list[tuple[str, Any, str, str]] = [
    ("gateway_id", "prod-1", "cf-aig-gateway-id", "prod-1"),
    ("skip_cache", True, "cf-aig-skip-cache", "true"),
    ("skip_cache", False, "cf-aig-skip-cache", "false"),
    ("cache_ttl", 60, "cf-aig-cache-ttl", "60"),
    ("cache_ttl", 2_592_000, "cf-aig-cache-ttl", "2592000"),
    ("cache_ttl", timedelta(hours=1), "cf-aig-cache-ttl", "3600"),
    ("cache_key", "answers of user 7", "cf-aig-cache-key", "answers of user 7"),
    ("collect_log", False, "cf-aig-collect-log", "false"),
    ("collect_log_payload", False, "cf-aig-collect-log-payload", "false"),
    ("request_timeout", 30_000, "cf-aig-request-timeout", "30000"),
    ("request_timeout", timedelta(seconds=1.5), "cf-aig-request-timeout", "1500"),
    ("max_attempts", 1, "cf-aig-max-attempts", "1"),
    ("max_attempts", 5, "cf-aig-max-attempts", "5"),
    ("retry_delay", 0, "cf-aig-retry-delay", "0"),
    ("retry_delay", 60_000, "cf-aig-retry-delay", "60000"),
    ("retry_delay", timedelta(minutes=1), "cf-aig-retry-delay", "60000"),
    ("backoff", "constant", "cf-aig-backoff", "constant"),
    ("backoff", "linear", "cf-aig-backoff", "linear"),
    ("backoff", "exponential", "cf-aig-backoff", "exponential"),
    ("zdr", True, "cf-aig-zdr", "true"),
    ("no_wholesale", True, "cf-aig-no-wholesale", "true"),
    ("byok_alias", "second", "cf-aig-byok-alias", "second"),
    (
        "custom_cost",
        {"per_token_in": 1e-6, "per_token_out": 2e-6, "per_cache_read_token": 0, "per_cache_write_token": 0.5},
        "cf-aig-custom-cost",
        '{"per_token_in":1e-06,"per_token_out":2e-06,"per_cache_read_token":0.0,"per_cache_write_token":0.5}',
    ),
    ("custom_cost", CustomCost(total_cost=0.25), "cf-aig-custom-cost", '{"total_cost":0.25}'),
    ("event_id", "ev-1", "cf-aig-event-id", "ev-1"),
    ("otel_trace_id", "0af7651916cd43dd8448eb211c80319c", "cf-aig-otel-trace-id", "0af7651916cd43dd8448eb211c80319c"),
    ("otel_trace_id", "0AF7651916CD43DD8448EB211C80319C", "cf-aig-otel-trace-id", "0af7651916cd43dd8448eb211c80319c"),
    ("otel_parent_span_id", "b7ad6b7169203331", "cf-aig-otel-parent-span-id", "b7ad6b7169203331"),
    ("session_affinity", "conversation-9", "x-session-affinity", "conversation-9"),
    ("session_id", "s-1", "cf-aig-session-id", "s-1"),
    ("turn_id", "t-1", "cf-aig-turn-id", "t-1"),
    ("no_session_affinity", True, "cf-aig-no-session-affinity", "true"),
    ("allowed_models", ["acme/one", "other/*"], "cf-aig-allowed-models", "acme/one,other/*"),
    ("allowed_models", "acme/one, other/*", "cf-aig-allowed-models", "acme/one,other/*"),
    ("allowed_providers", ("acme",), "cf-aig-allowed-providers", "acme"),
]

REFUSED: list[tuple[str, Any]] = [
    ("gateway_id", ""),
    ("gateway_id", "x" * 65),
    ("gateway_id", "a b"),
    ("skip_cache", "true"),
    ("skip_cache", 1),
    ("cache_ttl", 59),
    ("cache_ttl", 2_592_001),
    ("cache_ttl", 60.0),
    ("cache_ttl", "60"),
    ("cache_ttl", True),
    ("cache_ttl", timedelta(seconds=60.5)),
    ("cache_ttl", timedelta(days=31)),
    ("cache_key", ""),
    ("cache_key", "zwei\nZeilen"),
    ("cache_key", "a\rb"),
    ("cache_key", "Schlüssel"),
    ("cache_key", " padded"),
    ("cache_key", 7),
    ("request_timeout", 0),
    ("request_timeout", timedelta(0)),
    ("max_attempts", 0),
    ("max_attempts", 6),
    ("max_attempts", timedelta(seconds=2)),
    ("retry_delay", -1),
    ("retry_delay", 60_001),
    ("backoff", "quadratic"),
    ("backoff", ["linear"]),
    ("otel_trace_id", "0af7"),
    ("otel_trace_id", "z" * 32),
    ("otel_parent_span_id", "b7ad6b71692033310"),
    ("allowed_models", []),
    ("allowed_models", ""),
    ("allowed_models", ["a,b"]),
    ("allowed_models", ["a b"]),
    ("allowed_models", 7),
    ("allowed_providers", [None]),
    ("custom_cost", {}),
    ("custom_cost", {"total_cost": 1, "per_token_in": 1}),
    ("custom_cost", {"per_token_in": -1}),
    ("custom_cost", {"per_token_in": float("nan")}),
    ("custom_cost", {"per_token_in": "1"}),
    ("custom_cost", 3),
    ("reject_if_busy", "yes"),
]


@pytest.mark.parametrize(("field", "value", "header", "sent"), SENT)
def test_header_of_each_option(field: str, value: Any, header: str, sent: str) -> None:
    options = GatewayOptions(**{field: value})
    legacy = field == "byok_alias"
    assert options.headers(legacy=legacy) == {header: sent}
    assert GatewayOptions.of({field: value}) == options
    assert pickle.loads(pickle.dumps(options)).headers(legacy=legacy) == {header: sent}


def test_every_field_is_tested_here() -> None:
    assert {field for field, *_ in SENT} | {"reject_if_busy", "otel_active_span"} == set(GatewayOptions.model_fields)


@pytest.mark.parametrize(("field", "value"), REFUSED)
def test_invalid_values_are_rejected(field: str, value: Any) -> None:
    with pytest.raises(ValidationError) as raw:
        GatewayOptions(**{field: value})
    assert field in str(raw.value)
    with pytest.raises(ConfigError) as caught:
        GatewayOptions.of({field: value})
    assert caught.value.field.startswith(f"gateway.{field}")
    assert caught.value.remedy


def test_the_error_names_the_range() -> None:
    with pytest.raises(ValueError, match=r"cache_ttl must be .* from 60 to 2592000, not 5"):
        GatewayOptions(cache_ttl=5)


@pytest.mark.parametrize(
    ("make", "nearest"),
    [
        (lambda: GatewayOptions(cache_tll=60), "cache_ttl"),  # type: ignore[call-arg]
        (lambda: GatewayOptions.of({"skip_cahce": True}), "skip_cache"),
        (lambda: CustomCost(per_token_input=1.0), "per_token_in"),  # type: ignore[call-arg]
    ],
)
def test_an_unknown_field_is_rejected_with_a_suggestion(make: Any, nearest: str) -> None:
    with pytest.raises((ConfigError, ValueError), match=f"did you mean {nearest}"):
        make()


@pytest.mark.parametrize("value", [3, "skip_cache", ["skip_cache"], {1: 2}])
def test_other_types_are_rejected(value: Any) -> None:
    with pytest.raises(ConfigError):
        GatewayOptions.of(value)


def test_unset_options_are_omitted() -> None:
    assert GatewayOptions().headers(legacy=False) == GatewayOptions().headers(legacy=True) == {}
    assert GatewayOptions.of(None) == GatewayOptions()
    assert GatewayOptions().body_options() == {}


def test_reject_if_busy_is_a_body_field() -> None:
    options = GatewayOptions(reject_if_busy=False)
    assert options.headers(legacy=False) == {}
    assert options.body_options() == {"rejectIfBusy": False}


@pytest.mark.parametrize(("field", "value", "legacy"), [("byok_alias", "a", False), ("gateway_id", "g", True)])
def test_an_option_of_the_other_host_is_rejected(field: str, value: str, legacy: bool) -> None:
    """Unified endpoints look at the alias `default` only (facts §2.3)."""
    options = GatewayOptions(**{field: value})  # type: ignore[arg-type]
    with pytest.raises(ConfigError) as caught:
        options.headers(legacy=legacy)
    assert (caught.value.field, caught.value.value) == (field, value)


def test_fields_of_a_call_override_those_of_the_model() -> None:
    model = GatewayOptions(skip_cache=True, cache_ttl=60, event_id="model")
    model.headers(legacy=False)  # built and kept; what is merged from it must not be taken for it
    call = GatewayOptions(skip_cache=False, max_attempts=2)
    assert call.over(model) == GatewayOptions(skip_cache=False, cache_ttl=60, event_id="model", max_attempts=2)
    assert call.over(model).headers(legacy=False)["cf-aig-skip-cache"] == "false"
    assert call.over(None) is call
    assert GatewayOptions().over(model) == model


def test_options_are_immutable() -> None:
    options = GatewayOptions(skip_cache=True)
    options.headers(legacy=False)["cf-aig-skip-cache"] = "changed"
    assert options.headers(legacy=False) == {"cf-aig-skip-cache": "true"}
    with pytest.raises(ValidationError):
        options.skip_cache = False  # type: ignore[misc]
    assert hash(options) == hash(GatewayOptions(skip_cache=True))


def test_every_header_is_one_line_of_ascii() -> None:
    for field, value, _, _ in SENT:
        options = GatewayOptions(**{field: value})
        for name, text in options.headers(legacy=field == "byok_alias").items():
            assert f"{name}: {text}".isascii()
            assert f"{name}: {text}".isprintable()


def test_costs_are_sent_as_json() -> None:
    assert json.loads(str(CustomCost(per_token_in=1e-7, per_token_out=0))) == {"per_token_in": 1e-7, "per_token_out": 0}
