"""A server of embeddings, fast enough for many workers: `python -m tests.scale_out.server [DELAY]` prints its port.

Unlike the simulated gateway it computes no vectors, which would take most of the time of a measurement. The first
number of a vector is that of its text, the others are constant. `GET /` returns how many texts it received.
"""

from __future__ import annotations

import json
import re
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

DIMENSIONS = 384
CONSTANT = "".join(f",{0.01 + place / 1e6:.8f}" for place in range(DIMENSIONS - 1))
DELAY = float(sys.argv[1]) if sys.argv[1:] else 0.0
"""Seconds that a model takes to answer."""


class Handler(BaseHTTPRequestHandler):
    """Answers in the form of `/ai/run`."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    lock = threading.Lock()
    received = 0

    def do_GET(self) -> None:
        self.answer(str(Handler.received))

    def do_POST(self) -> None:
        texts = json.loads(self.rfile.read(int(self.headers["content-length"])))["text"]
        with Handler.lock:
            Handler.received += len(texts)
        time.sleep(DELAY)
        numbers = (re.findall(r"\d+", text)[0] for text in texts)
        rows = ",".join(f"[{number}.0{CONSTANT}]" for number in numbers)
        result = f'{{"shape":[{len(texts)},{DIMENSIONS}],"data":[{rows}],"pooling":"mean"}}'
        self.answer(f'{{"result":{result},"success":true,"errors":[],"messages":[]}}')

    def answer(self, text: str) -> None:
        head = f"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {len(text)}\r\n\r\n"
        self.wfile.write((head + text).encode())

    def log_message(self, format: str, *args: object) -> None:
        pass


class Server(ThreadingHTTPServer):
    """Ends with the process that started it."""

    daemon_threads = True
    request_queue_size = 1024


def main() -> None:
    """Serves until standard input ends."""
    server = Server(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    sys.stdout.write(f"{server.server_port}\n")
    sys.stdout.flush()
    sys.stdin.read()


if __name__ == "__main__":
    main()
