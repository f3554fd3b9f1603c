"""A server with scripted responses that knows nothing of this package, and the command to run against it."""

from __future__ import annotations

import json
import os
import ssl
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from typer.testing import CliRunner

from cfaig_integrations.cli import app

ACCOUNT = "0123456789abcdef0123456789abcdef"
CERTIFICATE = Path(__file__).with_name("untrusted.pem")
"""Of a server that nobody trusts, with its key."""
TOKEN = "a-token-of-the-tests"
VARIABLES = (
    *("CLOUDFLARE_API_TOKEN", "CF_AIG_TOKEN", "CF_AI_API_TOKEN", "CF_API_TOKEN"),
    *("CLOUDFLARE_ACCOUNT_ID", "CF_ACCOUNT_ID"),
    *("CLOUDFLARE_AI_GATEWAY_ID", "CLOUDFLARE_GATEWAY_ID", "CF_AIG_GATEWAY_ID"),
    *("CLOUDFLARE_API_BASE_URL", "CFAIG_MODEL"),
    *("HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY", "NO_PROXY", "https_proxy", "http_proxy", "all_proxy", "no_proxy"),
)


@dataclass
class Response:
    """What the server sends."""

    body: Any = field(default_factory=dict)
    status: int = 200
    content_type: str = "application/json"
    headers: Mapping[str, str] = field(default_factory=dict)

    def content(self) -> bytes:
        return self.body.encode() if isinstance(self.body, str) else json.dumps(self.body).encode()


def result(value: Any) -> Response:
    """A successful response of Cloudflare's API."""
    return Response({"success": True, "errors": [], "messages": [], "result": value})


def error(status: int, code: int, message: str) -> Response:
    """An error of Cloudflare's API."""
    return Response(
        {"success": False, "errors": [{"code": code, "message": message}], "messages": [], "result": None}, status
    )


@dataclass
class Request:
    """What the server received."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: Any


Route = Response | Callable[[Request], Response]


class _HTTPServer(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Prints what fails here, and not that a client left: a command that ends or is interrupted does."""
        if not isinstance(sys.exception(), ConnectionError | ssl.SSLError):
            super().handle_error(request, client_address)


class RawServer:
    """Answers by the longest route that begins the path; else with 400/7000, as Cloudflare does."""

    def __init__(self, routes: Mapping[str, Route], *, tls: bool = False) -> None:
        self.routes = dict(routes)
        self.requests: list[Request] = []
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def respond(self) -> None:
                size = int(self.headers.get("content-length") or 0)
                raw = self.rfile.read(size)
                request = Request(self.command, self.path, dict(self.headers), json.loads(raw) if raw else None)
                server.requests.append(request)
                route = server.route(request)
                response = route if isinstance(route, Response) else route(request)
                body = response.content()
                self.send_response(response.status)
                self.send_header("content-type", response.content_type)
                self.send_header("content-length", str(len(body)))
                for name, value in response.headers.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)

            do_GET = do_POST = do_PATCH = do_CONNECT = respond

            def log_message(self, *_: Any) -> None:
                pass

        self._http = _HTTPServer(("127.0.0.1", 0), Handler)
        self._scheme = "https" if tls else "http"
        if tls:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(CERTIFICATE)
            # The handshake belongs to the connection's thread: a client that refuses it must not stop the server.
            self._http.socket = context.wrap_socket(self._http.socket, server_side=True, do_handshake_on_connect=False)
        self._thread = threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        self._thread.start()
        self.port = self._http.server_address[1]

    @property
    def base_url(self) -> str:
        return f"{self._scheme}://127.0.0.1:{self.port}/client/v4"

    def route(self, request: Request) -> Route:
        path = request.path.removeprefix("/client/v4").replace(f"/accounts/{ACCOUNT}", "")
        names = [name for name in self.routes if f"{request.method} {path}".startswith(name)]
        return self.routes[max(names, key=len)] if names else error(400, 7000, "No route for that URI")

    def sent_to(self, method: str) -> list[Request]:
        return [request for request in self.requests if request.method == method]

    def close(self) -> None:
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()


@contextmanager
def raw_server(routes: Mapping[str, Route], *, tls: bool = False) -> Iterator[RawServer]:
    server = RawServer(routes, tls=tls)
    try:
        yield server
    finally:
        server.close()


def environment(server: RawServer | None, **changes: str | None) -> dict[str, str | None]:
    """The environment of a command: nothing of the machine's, and the changes."""
    cleared: dict[str, str | None] = dict.fromkeys(VARIABLES)
    settings = {"CLOUDFLARE_API_TOKEN": TOKEN, "CLOUDFLARE_ACCOUNT_ID": ACCOUNT, "NO_PROXY": "127.0.0.1"}
    base = {} if server is None else {"CLOUDFLARE_API_BASE_URL": server.base_url}
    return {**cleared, **settings, **base, **changes}


def start(server: RawServer, *arguments: str, **options: Any) -> subprocess.Popen[Any]:
    """Starts `cfaig` in a process of its own, with options of `Popen`."""
    variables = {name: value or "" for name, value in environment(server, TERM="dumb").items()}
    command = [sys.executable, "-c", "from cfaig_integrations.cli import main; main()"]
    return subprocess.Popen([*command, *arguments], env=os.environ | variables, **options)


@dataclass
class Outcome:
    """What a command did."""

    code: int
    stdout: str
    stderr: str

    @property
    def json(self) -> Any:
        return json.loads(self.stdout)

    @property
    def lines(self) -> list[Any]:
        return [json.loads(line) for line in self.stdout.splitlines()]


def run(*arguments: str, env: Mapping[str, str | None], stdin: str | None = None) -> Outcome:
    """Runs `cfaig` in this process, without a terminal."""
    outcome = CliRunner().invoke(app, list(arguments), env=env, input=stdin)
    if outcome.exception is not None and not isinstance(outcome.exception, SystemExit):
        raise outcome.exception
    return Outcome(outcome.exit_code, outcome.stdout, outcome.stderr)
