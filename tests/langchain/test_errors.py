"""Our errors are LangChain's, too."""

from __future__ import annotations

import inspect
import pickle

import pytest
from langchain_core import exceptions as lc

from cfaig_integrations import errors
from cfaig_integrations.langchain.errors import langchain_errors, to_langchain

EVERY_KIND = [kind for _, kind in inspect.getmembers(errors, inspect.isclass) if issubclass(kind, errors.GatewayError)]


def one_of(kind: type[errors.GatewayError]) -> errors.GatewayError:
    if issubclass(kind, errors.ApiError):
        return kind(
            "it failed",
            status=429,
            code=2003,
            retryable=True,
            headers={"cf-ray": "r", "cf-aig-log-id": "l"},
            body={"a": 1},
        )
    return kind("it failed")


@pytest.mark.parametrize("kind", EVERY_KIND)
def test_every_error_is_also_langchains_and_survives_pickling(kind: type[errors.GatewayError]) -> None:
    error = one_of(kind)
    twin = to_langchain(error)
    assert isinstance(twin, kind)
    assert isinstance(twin, lc.ModelError)
    assert twin.is_retryable is (error.retryable or error.maybe_billed)
    assert str(twin) == str(error)
    again = pickle.loads(pickle.dumps(twin))
    assert type(again) is type(twin)
    assert again.__dict__.keys() == twin.__dict__.keys()
    assert str(again) == str(error)


def test_core_reads_the_error_response() -> None:
    twin = to_langchain(one_of(errors.RateLimited))
    assert isinstance(twin, errors.RateLimited)
    response = twin.response  # type: ignore[attr-defined]
    assert (response.status_code, response.json(), response.headers["cf-ray"]) == (429, {"a": 1}, "r")
    assert isinstance(response.text, str)


def test_other_errors_are_unchanged() -> None:
    with pytest.raises(KeyError), langchain_errors():
        raise KeyError("x")
    with pytest.raises(lc.ModelTimeoutError), langchain_errors():
        raise errors.TimeoutFault("slow")
