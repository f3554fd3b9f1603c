"""A request that may have been billed is not silently sent again: what the server saw, over raw connections."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import httpx
import httpx2
import pytest

from cfaig_integrations import AIGateway
from cfaig_integrations.client.sync import Client
from cfaig_integrations.core.content import Text, Turn
from cfaig_integrations.core.decisions import DecisionRequest
from cfaig_integrations.core.vectors import EmbedRequest, RerankRequest
from cfaig_integrations.errors import ConfigError, ConnectFault, GatewayError, ProtocolError, RateLimited
from cfaig_integrations.gateway.models.embeddings import DEFAULT_DECISION_MODEL
from tests.client.conftest import REQUEST, Driver, connect, driver, pauses
from tests.client.loopback import JSON, WHOLE, Loopback, Reply, loopback, streamed
from tests.reliability import bodies

__all__ = ["driver", "pauses"]
LOST = Reply(silent=True, end="cut")
LOGGED = [JSON | {"cf-aig-log-id": f"log{number}"} for number in range(4)]


@pytest.mark.parametrize("end", ["cut", "reset"])
def test_a_connection_that_was_used_before_proves_nothing(server: Loopback, pauses: list[float], end: Any) -> None:
    """The server closes it after it has read the request, which looks like closing an idle connection."""
    client = Client(connect(server))
    client.chat(REQUEST)
    server.script.append(Reply(silent=True, end=end))
    with pytest.raises(ConnectFault, match="retry_after_send") as caught:
        client.chat(REQUEST)
    assert [seen.connection for seen in server.seen] == [1, 1]
    assert (caught.value.requests_sent, caught.value.maybe_billed, caught.value.retryable) == (1, True, False)
    assert pauses == []


def test_retry_after_send_repeats_a_request_that_was_lost(server: Loopback, pauses: list[float]) -> None:
    client = Client(connect(server, retry_after_send=True))
    client.chat(REQUEST)
    server.script.append(LOST)
    assert client.chat(REQUEST)[1].attempts == 2
    assert [seen.connection for seen in server.seen] == [1, 1, 2]


def test_a_connection_that_the_server_closed_while_idle_is_not_used(server: Loopback) -> None:
    client = Client(connect(server))
    server.script.append(Reply(raw=b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % len(WHOLE) + WHOLE, end="cut"))
    client.chat(REQUEST)
    assert server.until(lambda: server.open == 0)
    assert client.chat(REQUEST)[1].attempts == 1
    assert [seen.connection for seen in server.seen] == [1, 2]


def test_a_request_that_was_not_written_to_its_end_is_sent_again(
    server: Loopback, driver: Driver, pauses: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is larger than the buffers of both sides, and the server reads nothing of it.

    Asyncio reports that only if it has noticed before the last write; if not, the request counts as sent.
    """
    server.greeting = b""
    long = replace(REQUEST, turns=(Turn("user", (Text("x" * 40_000_000),)),))
    monkeypatch.setattr("tests.client.conftest.REQUEST", long)
    with pytest.raises(ConnectFault) as caught:
        driver.chat(connect(server))
    error = caught.value
    assert error.retryable is not error.maybe_billed
    assert ("before the request was sent" in error.message) is error.retryable
    assert error.requests_sent == server.accepted
    assert error.requests_sent == 3 or error.maybe_billed
    assert driver.name == "async" or error.requests_sent == 3


@pytest.mark.parametrize("library", [httpx, httpx2], ids=["httpx", "httpx2"])
@pytest.mark.parametrize("lost", [True, False])
def test_a_users_own_client_is_retried_alike(
    server: Loopback, driver: Driver, pauses: list[float], library: Any, lost: bool
) -> None:
    client = library.Client() if driver.name == "sync" else library.AsyncClient()
    to = connect(server)
    if lost:
        server.usual = LOST
    else:
        server.stop()
    with pytest.raises(ConnectFault) as caught:
        driver.chat(to, client=client)
    assert (caught.value.maybe_billed, caught.value.requests_sent) == ((True, 1) if lost else (False, 3))


def test_the_log_id_of_an_answer_that_was_reset_is_kept(server: Loopback, driver: Driver, pauses: list[float]) -> None:
    cut = Reply([WHOLE[:30]], headers=LOGGED[0], end="reset")
    server.script.append(cut)
    with pytest.raises(ConnectFault) as caught:
        driver.chat(connect(server))
    assert (caught.value.log_id, caught.value.log_ids) == ("log0", ("log0",))
    assert "log0" in str(caught.value)
    server.script.extend([cut, replace(cut, headers=LOGGED[1]), Reply(headers=LOGGED[2])])
    info = driver.chat(connect(server, retry_after_send=True))[1]
    assert (info.log_id, info.log_ids) == ("log2", ("log0", "log1", "log2"))


@pytest.mark.parametrize("kind", ["whole", "stream"])
def test_one_event_id_for_all_requests_of_a_call(
    server: Loopback, driver: Driver, pauses: list[float], kind: str
) -> None:
    server.script.extend([Reply(status=429), Reply(status=500), Reply() if kind == "whole" else streamed()])
    driver.chat(connect(server)) if kind == "whole" else driver.events(connect(server))
    assert len(server.seen) == 3
    assert len({seen.headers["cf-aig-event-id"] for seen in server.seen}) == 1
    driver.chat(connect(server))
    assert server.seen[-1].headers["cf-aig-event-id"] != server.seen[0].headers["cf-aig-event-id"]


def test_the_log_ids_of_all_requests_are_on_the_error(server: Loopback, driver: Driver, pauses: list[float]) -> None:
    server.script.extend([Reply(status=429, headers=each) for each in LOGGED[:3]])
    with pytest.raises(RateLimited) as caught:
        driver.chat(connect(server))
    assert (caught.value.log_id, caught.value.log_ids) == ("log2", ("log0", "log1", "log2"))


@pytest.mark.parametrize(
    ("kind", "request_", "body"),
    [
        ("embed", EmbedRequest("@cf/baai/bge-m3", ("Hi",)), bodies.WHOLE["embeddings"]),
        ("rank", RerankRequest("@cf/baai/bge-reranker-base", "Hi", ("Hi",)), bodies.WHOLE["rerank"]),
        (
            "decide",
            DecisionRequest(DEFAULT_DECISION_MODEL, "Hi", {"q": {"type": "noul"}}),
            b'{"answers":{"q":{"noul":1}}}',
        ),
    ],
)
def test_the_log_ids_of_all_requests_are_on_the_result(
    server: Loopback, pauses: list[float], kind: str, request_: Any, body: bytes
) -> None:
    server.script.extend([Reply(status=429, headers=LOGGED[0]), Reply([body], headers=LOGGED[1])])
    info = getattr(Client(connect(server)), kind)(request_)[1]
    assert (info.attempts, info.log_ids) == (2, ("log0", "log1"))


def test_an_error_within_a_stream_has_the_log_ids(server: Loopback, driver: Driver, pauses: list[float]) -> None:
    start = streamed().pieces[:1]
    server.script.extend(
        [Reply(status=429, headers=LOGGED[0]), replace(streamed(*start, end="reset"), headers=LOGGED[1])]
    )
    with pytest.raises(GatewayError) as caught:
        driver.events(connect(server))
    assert (caught.value.log_id, caught.value.log_ids, caught.value.requests_sent) == ("log1", ("log0", "log1"), 2)


def test_a_complete_answer_that_cannot_be_read_is_never_sent_again(
    server: Loopback, driver: Driver, pauses: list[float]
) -> None:
    server.usual = Reply([b'{"choices": 7}'])
    with pytest.raises(ProtocolError) as caught:
        driver.chat(connect(server, retry_after_send=True))
    assert (caught.value.requests_sent, caught.value.maybe_billed, caught.value.retryable) == (1, True, False)


def test_what_costs_nothing_is_not_billed(server: Loopback, pauses: list[float]) -> None:
    gateway = AIGateway(account_id="acc", api_token="tok", base_url=server.base_url)
    for reply, sent in ((Reply([b"[]"]), 1), (LOST, 3)):
        server.usual = reply
        with pytest.raises(GatewayError) as caught:
            gateway.log("l1")
        assert (caught.value.requests_sent, caught.value.maybe_billed) == (sent, False)


def test_retry_after_send_that_is_no_bool_is_refused() -> None:
    with loopback() as server, pytest.raises(ConfigError, match="retry_after_send='yes' is not a bool"):
        connect(server, retry_after_send="yes")
