"""The scripted server of the other tests."""

from __future__ import annotations

import socket
import struct
import threading

import pytest

from tests.cli.kit import Request, Response, raw_server
from tests.waiting import until

LARGE = Response("x" * 10_000_000)
RESET = struct.pack("ii", 1, 0)
"""Value of `SO_LINGER` with which closing a connection discards what was not read."""


@pytest.mark.parametrize(("fails", "printed"), [(False, ""), (True, "ValueError: broken route")])
def test_the_server_prints_its_own_failures_and_not_that_a_client_left(
    fails: bool, printed: str, capsys: pytest.CaptureFixture[str]
) -> None:
    before, left = {*threading.enumerate()}, threading.Event()

    def route(_: Request) -> Response:
        left.wait()
        if fails:
            raise ValueError("broken route")
        return LARGE

    with raw_server({"GET": route}) as server:
        with socket.create_connection(("127.0.0.1", server.port)) as client:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            client.sendall(b"GET /client/v4/late HTTP/1.1\r\nhost: localhost\r\n\r\n")
            assert until(lambda: server.requests)
        left.set()
        assert until(lambda: len({*threading.enumerate()} - before) == 1)  # the one that accepts connections
    err = capsys.readouterr().err
    assert printed in err
    assert bool(err) is fails
