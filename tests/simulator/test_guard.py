"""Which clients the server answers: hosts, origins, tokens; and how long it waits for those that send nothing."""

from __future__ import annotations

import base64
import contextlib
import socket
from typing import Any

import httpx
import pytest
from starlette.responses import PlainTextResponse
from starlette.types import Receive, Scope, Send

from cfaig_integrations.simulator import Simulator
from cfaig_integrations.simulator.http import connections
from cfaig_integrations.simulator.http.guard import Guard

from .conftest import Caller

TOKEN = "the-api-token"
CONTROL = "/_simulator/static/page.js"
BASIC = base64.b64encode(f"anyone:{TOKEN}".encode()).decode()


async def status_of(path: str, headers: dict[str, Any], client: str = "127.0.0.1", method: str = "GET") -> int:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await PlainTextResponse("reached")(scope, receive, send)

    transport = httpx.ASGITransport(Guard(app, TOKEN, ["ai.example.com"]), client=(client, 5000))
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8787") as http:
        return (await http.request(method, path, headers=headers)).status_code


@pytest.mark.parametrize("path", [CONTROL, "/", "/client/v4/accounts/a/ai/run", "/v1/a/g/compat/chat/completions"])
@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("127.0.0.1:8787", 200),
        ("localhost", 200),
        ("LOCALHOST.:8787", 200),
        ("app.localhost:80", 200),
        ("[::1]:8787", 200),
        ("192.168.1.7:8787", 200),
        ("ai.example.com", 200),
        ("evil.example", 400),
        ("evil.example:8787", 400),
        ("127.0.0.1.evil.example", 400),
        ("localhost.evil.example", 400),
        ("", 400),
    ],
)
async def test_the_host_must_be_an_address_or_a_name_of_the_server(path: str, host: str, status: int) -> None:
    assert await status_of(path, {"host": host}) == status


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize(
    ("origin", "status"),
    [
        ("http://127.0.0.1:8787", 200),
        ("http://127.0.0.1:9999", 403),
        ("http://localhost:8787", 403),
        ("https://evil.example", 403),
        ("null", 403),
    ],
)
async def test_requests_of_other_sites_are_refused(method: str, origin: str, status: int) -> None:
    assert await status_of(CONTROL, {"origin": origin}, method=method) == status


@pytest.mark.parametrize("client", ["192.168.1.7", "10.0.0.1", "2001:db8::1"])
@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 401),
        ({"authorization": "Bearer wrong"}, 401),
        ({"authorization": "Basic !!!"}, 401),
        ({"authorization": "Basic "}, 401),
        ({"authorization": "Basic \u00e9".encode("latin-1")}, 401),
        ({"authorization": f"Bearer {TOKEN}"}, 200),
        ({"authorization": f"Basic {BASIC}"}, 200),
    ],
)
async def test_other_machines_must_send_the_token(client: str, headers: dict[str, Any], status: int) -> None:
    assert await status_of(CONTROL, headers, client) == status
    assert await status_of("/", headers, client) == status
    assert await status_of("/client/v4/x", headers, client) == 200, "the handlers of the API check the token"


def test_the_running_server_checks_hosts(sim: Simulator, caller: Caller) -> None:
    evil = {"host": "evil.example"}
    assert httpx.get(sim.url + CONTROL, headers=evil).status_code == 400
    assert caller.chat(headers=evil).status_code == 400
    assert httpx.get(sim.url + CONTROL).headers["cross-origin-resource-policy"] == "same-origin"
    assert caller.chat().status_code == 200


def is_closed_after(client: socket.socket, byte: bytes) -> bool:
    try:
        client.sendall(byte)
        return client.recv(10) == b""
    except TimeoutError:
        return False
    except ConnectionError:
        return True


REQUESTS: list[Any] = [
    pytest.param(b"", id="nothing"),
    pytest.param(b"POST /client/v4 HT", id="half a request line"),
    pytest.param(b"POST / HTTP/1.1\r\nhost: localhost\r\nx-a: ", id="half the headers"),
    pytest.param(
        b"POST /compat/chat/completions HTTP/1.1\r\nhost: localhost\r\ncontent-length: 100\r\n\r\n{", id="half a body"
    ),
]


@pytest.mark.parametrize("sent", REQUESTS)
def test_a_silent_client_is_disconnected(monkeypatch: pytest.MonkeyPatch, sent: bytes) -> None:
    monkeypatch.setattr(connections, "SILENT_SECONDS", 0.2)
    monkeypatch.setattr(connections, "HEAD_SECONDS", 0.2)
    with Simulator() as sim, socket.create_connection(("127.0.0.1", int(sim.url.rpartition(":")[2])), 20) as client:
        client.sendall(sent)
        with contextlib.suppress(ConnectionResetError):
            assert client.recv(1000) == b"", "the server closes the connection"


def test_headers_that_never_end_are_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "HEAD_SECONDS", 0.3)
    with Simulator() as sim, socket.create_connection(("127.0.0.1", int(sim.url.rpartition(":")[2])), 20) as client:
        client.settimeout(0.05)
        client.sendall(b"GET / HTTP/1.1\r\nx-a: ")
        assert any(is_closed_after(client, b"b") for _ in range(1000))


def test_a_slow_answer_is_not_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "SILENT_SECONDS", 0.2)
    monkeypatch.setattr(connections, "HEAD_SECONDS", 0.2)
    with Simulator() as sim, Caller(sim) as caller:
        sim.fault("slow_first_byte", seconds=1.0)
        assert caller.chat().status_code == 200
