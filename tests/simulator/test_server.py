"""The server itself: start and stop, ports, connections, scripts over HTTP."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest

from cfaig_integrations.simulator import Simulator
from tests.waiting import PATIENCE, until

from .conftest import Caller


def test_starts_and_stops_listening() -> None:
    sim = Simulator().start()
    assert httpx.get(sim.url).status_code == 200
    sim.stop()
    with pytest.raises(httpx.ConnectError):
        httpx.get(sim.url)


def test_async_context_manager() -> None:
    async def go() -> int:
        async with Simulator() as sim, httpx.AsyncClient() as client:
            return (await client.get(sim.url)).status_code

    assert asyncio.run(go()) == 200


def test_a_port_in_use_is_named(sim: Simulator) -> None:
    port = int(sim.url.rpartition(":")[2])
    with pytest.raises(OSError, match=rf"cannot listen on 127\.0\.0\.1:{port}"):
        Simulator(port).start()


def test_starting_twice_is_an_error(sim: Simulator) -> None:
    with pytest.raises(RuntimeError, match="already"):
        sim.start()


def test_stop_does_not_wait_for_a_stalled_stream() -> None:
    sim = Simulator().start()
    serving = sim._thread
    assert serving is not None
    sim.fault("stall", seconds=60)
    body = {"model": "openai/gpt-4.1", "messages": [{"role": "user", "content": "hi"}], "stream": True}
    with (
        Caller(sim) as call,
        call.http.stream("POST", call.account + "/ai/v1/chat/completions", json=body) as response,
    ):
        sim.stop()
        with pytest.raises(httpx.TransportError):
            response.read()
    assert not serving.is_alive()


def test_environment_points_at_the_simulator(sim: Simulator) -> None:
    found = sim.environment
    assert found["CLOUDFLARE_API_BASE_URL"] == sim.base_url == f"{sim.url}/client/v4"
    assert len(found["CLOUDFLARE_ACCOUNT_ID"]) == 32
    assert found["CLOUDFLARE_AI_GATEWAY_ID"] == "default"


def test_connections_are_counted(sim: Simulator) -> None:
    assert until(lambda: sim.connections == 0)
    total = sim.connections_total
    with Caller(sim).http as one, Caller(sim).http as two:
        one.get(f"{sim.base_url}/user/tokens/verify")
        one.get(f"{sim.base_url}/user/tokens/verify")
        two.get(f"{sim.base_url}/user/tokens/verify")
        assert sim.connections == 2
    assert sim.connections_total == total + 2
    assert [captured.connection for captured in sim.requests] == [total + 1, total + 1, total + 2]
    assert until(lambda: sim.connections == 0)


def test_requests_are_captured_word_for_word(sim: Simulator, caller: Caller) -> None:
    caller.chat(headers={"CF-AIG-Metadata": '{"user": "u"}', "X-Odd": "1"}, temperature=0.5)
    (captured,) = sim.requests
    assert (captured.method, captured.path) == (
        "POST",
        f"/client/v4/accounts/{sim.account_id}/ai/v1/chat/completions",
    )
    assert captured.headers["cf-aig-metadata"] == '{"user": "u"}'
    assert captured.headers["x-odd"] == "1"
    assert captured.body["temperature"] == 0.5
    assert captured.port > 0


def test_in_flight_falls_to_zero_when_a_client_leaves_a_stalled_stream(sim: Simulator, caller: Caller) -> None:
    sim.fault("stall", after_events=1, seconds=30)
    body = {"model": "openai/gpt-4.1", "messages": [{"role": "user", "content": "hi"}], "stream": True}
    with caller.http.stream("POST", caller.account + "/ai/v1/chat/completions", json=body) as response:
        chunks = response.iter_raw()
        assert next(chunks)
        assert sim.in_flight == 1
    assert until(lambda: sim.in_flight == 0)
    assert sim.logs()[0]["success"] is False


def test_in_flight_falls_to_zero_when_a_client_leaves_before_the_first_byte(sim: Simulator, caller: Caller) -> None:
    sim.fault("slow_first_byte", seconds=60)
    body = {"model": "openai/gpt-4.1", "messages": [{"role": "user", "content": "hi"}]}

    async def leave() -> None:
        async with httpx.AsyncClient(headers=caller.http.headers) as client:
            call = asyncio.create_task(client.post(caller.account + "/ai/v1/chat/completions", json=body))
            assert await asyncio.to_thread(until, lambda: sim.queued == (0, 0))
            call.cancel()

    asyncio.run(leave())
    assert until(lambda: sim.in_flight == 0)
    assert sim.logs()[0]["status_code"] == 499


def test_connections_do_not_wait_for_full_packets(sim: Simulator, caller: Caller) -> None:
    caller.chat()
    (connection,) = sim._state.connections._open
    accepted = connection.transport.get_extra_info("socket")
    assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY), "Nagle's algorithm holds streams back by 40 ms"


def test_scripts_over_http(sim: Simulator, caller: Caller) -> None:
    control = f"{sim.url}/_simulator"
    reply = {"text": "as told", "times": 2}
    assert httpx.post(f"{control}/replies", json=reply).json() == {"replies": 1, "faults": 0}
    assert [caller.chat().json()["choices"][0]["message"]["content"] for _ in range(2)] == ["as told"] * 2
    assert httpx.post(f"{control}/faults", json={"name": "edge_502", "after": 1}).status_code == 200
    assert [caller.chat().status_code for _ in range(3)] == [200, 502, 200]
    assert httpx.post(f"{control}/reset").status_code == 200
    assert sim.requests == []
    assert sim.logs() == []


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("faults", {"name": "no_such"}),
        ("faults", {"name": "cut", "speed": 1}),
        ("faults", {"name": "cut", "times": 0}),
        ("replies", {"txt": "a"}),
        ("replies", {"text": 1}),
        ("replies", {"calls": [{"arguments": {}}]}),
        ("replies", {"finish": "bored"}),
        ("replies", ["text"]),
    ],
)
def test_wrong_scripts_are_refused(sim: Simulator, path: str, body: object) -> None:
    answer = httpx.post(f"{sim.url}/_simulator/{path}", json=body)
    assert answer.status_code == 400
    assert answer.json()["error"]
    assert sim.queued == (0, 0)


@pytest.mark.parametrize("times", [0, -1, 1.5, True])
def test_a_script_is_for_a_positive_number_of_requests(sim: Simulator, times: Any) -> None:
    for queue in (sim.reply, sim.reply_raw, partial(sim.fault, "cut")):
        with pytest.raises(ValueError, match=f"times={times}"):
            queue(times=times)
    assert sim.queued == (0, 0)


def test_raw_chunks_keep_their_boundaries(sim: Simulator, caller: Caller) -> None:
    chunks = [b'data: {"a"', b": 1}\n", b"\ndata: [DO", b"NE]\n\n"]
    sim.reply_raw(chunks=chunks, content_type="text/event-stream")
    body = {"model": "openai/gpt-4.1", "anything": "goes", "stream": True}
    with caller.http.stream("POST", caller.account + "/ai/v1/chat/completions", json=body) as response:
        assert b"".join(response.iter_raw()) == b"".join(chunks)
        assert response.headers["transfer-encoding"] == "chunked"


def test_a_database_file_outlives_the_simulator(tmp_path: Path) -> None:
    for _ in range(2):
        with Simulator(database=tmp_path / "sim.db") as sim, Caller(sim) as caller:
            caller.chat()
    assert len(sim.logs()) == 2


def test_command_line() -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "cfaig_integrations.simulator", "--port", "0"],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    try:
        assert process.stdout is not None
        lines = [process.stdout.readline().strip() for _ in range(5)]
        exported = dict(line.removeprefix("export ").split("=", 1) for line in lines[:4])
        url = f"{exported['CLOUDFLARE_API_BASE_URL']}/accounts/{exported['CLOUDFLARE_ACCOUNT_ID']}/ai-gateway/gateways"
        token = exported["CLOUDFLARE_API_TOKEN"]
        assert httpx.get(url, headers={"authorization": f"Bearer {token}"}).json()["success"]
    finally:
        process.terminate()
        process.communicate(timeout=PATIENCE)


def test_command_line_names_a_port_in_use(sim: Simulator) -> None:
    port = sim.url.rpartition(":")[2]
    done = subprocess.run(
        [sys.executable, "-m", "cfaig_integrations.simulator", "--port", port],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert done.returncode == 1
    assert f"127.0.0.1:{port}" in done.stderr


def test_import_without_the_extra_says_what_to_install() -> None:
    code = (
        "import sys\n"
        "sys.modules['uvicorn'] = None\n"
        "import cfaig_integrations.simulator as s\n"
        "try:\n    s.Simulator\nexcept ImportError as e:\n    print(e)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert "pip install 'cfaig-integrations[simulator]'" in done.stdout


def test_raw_socket_garbage_does_no_harm(sim: Simulator, caller: Caller) -> None:
    with socket.create_connection(("127.0.0.1", int(sim.url.rpartition(":")[2]))) as plain:
        plain.sendall(b"no http\r\n\r\n")
        assert b"400" in plain.recv(1000)
    assert caller.chat().status_code == 200


HALF = "\ud83d"  # of a surrogate pair, which JSON can express and UTF-8 cannot
SAYING: list[object] = [{"role": "user", "content": f"say {HALF}"}]


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("v1/chat/completions", {"model": f"openai/{HALF}", "messages": SAYING, "stream": True}),
        ("v1/chat/completions", {"model": "@cf/openai/gpt-oss-120b", "messages": SAYING, "stream": True}),
        (
            "v1/responses",
            {
                "model": "openai/gpt-5", "input": f"say {HALF}", "stream": True, "reasoning": {"effort": "low"},
                "include": ["reasoning.encrypted_content"],
            },
        ),
        (
            "v1/messages",
            {
                "model": "anthropic/claude-haiku-4.5", "messages": SAYING, "max_tokens": 2000, "stream": True,
                "thinking": {"type": "enabled", "budget_tokens": 1024},
            },
        ),
        ("run/@cf/meta/llama-3.1-8b-instruct", {"prompt": f"say {HALF}", "stream": True}),
        ("run/@cf/baai/bge-m3", {"text": HALF}),
        ("run/@cf/baai/bge-reranker-base", {"query": HALF, "contexts": [{"text": HALF}]}),
        ("run/@cf/lykon/dreamshaper-8-lcm", {"prompt": HALF}),
        ("run/@cf/deepgram/aura-2-en", {"text": HALF}),
        ("run/@cf/deepgram/aura-2-en", {"text": HALF, "encoding": "linear16"}),
        ("run/@cf/myshell-ai/melotts", {"prompt": HALF}),
    ],
)  # fmt: skip
def test_half_of_a_surrogate_pair_does_no_harm(
    sim: Simulator, caller: Caller, path: str, body: dict[str, object]
) -> None:
    for stream in {False, bool(body.pop("stream", False))}:
        sent = json.dumps({**body, "stream": True} if stream else body)
        answer = caller.http.post(f"{caller.account}/ai/{path}", content=sent, headers={"cf-aig-gateway-id": "default"})
        assert answer.status_code == 200
        assert sim.logs()[-1]["success"]


def test_many_at_once(sim: Simulator) -> None:
    async def go() -> list[int]:
        headers = {"authorization": f"Bearer {sim.api_token}"}
        url = f"{sim.base_url}/accounts/{sim.account_id}/ai/v1/chat/completions"
        limits = httpx.Limits(max_connections=50)
        async with httpx.AsyncClient(headers=headers, limits=limits, timeout=PATIENCE) as client:

            async def one(number: int) -> int:
                body = {"model": "openai/gpt-4.1", "messages": [{"role": "user", "content": f"say {number}"}]}
                answer = await client.post(url, json=body)
                assert str(number) in answer.json()["choices"][0]["message"]["content"]
                return answer.status_code

            return await asyncio.gather(*(one(number) for number in range(200)))

    assert asyncio.run(go()) == [200] * 200
    assert len(sim.logs()) == 200
    assert sim.in_flight == 0


@pytest.mark.parametrize(("host", "address"), [("0.0.0.0", "127.0.0.1"), ("::1", "[::1]"), ("localhost", "localhost")])
def test_addresses_to_listen_on(host: str, address: str) -> None:
    try:
        sim = Simulator(host=host).start()
    except OSError as error:
        pytest.skip(f"this machine has no {host}: {error}")
    with stopping(sim):
        assert sim.url.startswith(f"http://{address}:")
        assert httpx.get(sim.url).status_code == 200


@contextmanager
def stopping(sim: Simulator) -> Generator[None]:
    try:
        yield
    finally:
        sim.stop()
