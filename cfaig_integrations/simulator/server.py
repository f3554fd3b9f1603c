"""The public class `Simulator`: a server in a thread, and methods to script and to inspect it."""

from __future__ import annotations

import asyncio
import re
import socket
import threading
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, Self, Unpack

import uvicorn

from cfaig_integrations.simulator.app import build_app
from cfaig_integrations.simulator.catalogue import FREE, PriceTable, read_prices
from cfaig_integrations.simulator.gateway.settings import Settings
from cfaig_integrations.simulator.http.connections import protocol_for
from cfaig_integrations.simulator.http.recorder import MAX_REQUESTS, Captured
from cfaig_integrations.simulator.http.reply import Reply
from cfaig_integrations.simulator.scripting.script import AnswerParts, Script, Step, make_answer, make_fault
from cfaig_integrations.simulator.state import State
from cfaig_integrations.simulator.types import Call
from cfaig_integrations.simulator.upstream.client import Upstream

ACCOUNT_ID = "0123456789abcdef0123456789abcdef"
API_TOKEN = "simulator-token-not-a-secret"
GATEWAY_ID = "default"

_REACHED_BY = {"0.0.0.0": "127.0.0.1", "": "127.0.0.1", "::": "::1"}
"""The address by which a local client reaches a server that listens on every address."""
_START_SECONDS = 10.0
_STOP_SECONDS = 5.0


class AnswerFields(AnswerParts, total=False):
    """Arguments of [Simulator.reply][] besides the text."""

    calls: Sequence[Call | Mapping[str, Any]]
    finish: Literal["stop", "length", "tool_calls", "refusal"]


class Simulator:
    """A local server that behaves like Cloudflare AI Gateway.

    Use it with `with` or `async with`, or call `start` and `stop`. It listens on 127.0.0.1 in a daemon thread. All of
    its methods may be called from any thread.

    Example:
        >>> with Simulator() as sim:
        ...     sim.reply("Hello!")
        ...     # POST f"{sim.base_url}/accounts/{sim.account_id}/ai/v1/chat/completions"
    """

    def __init__(
        self,
        port: int = 0,
        *,
        host: str = "127.0.0.1",
        account_id: str = ACCOUNT_ID,
        api_token: str = API_TOKEN,
        database: str | Path = ":memory:",
        host_names: Sequence[str] = (),
        upstream: Upstream | str | None = None,
        prices: str | Path | None = None,
        keep_requests: int = MAX_REQUESTS,
        seed: int | None = None,
        dynamic_routes: Mapping[str, str | Sequence[str]] | None = None,
        pace: float = 0.0,
        log_delay: float = 0.0,
    ) -> None:
        """Create the simulator; `start` makes it listen.

        Args:
            port (int, default 0): TCP port; 0 takes any free one.
            host (str, default "127.0.0.1"): Address to listen on.
            account_id (str, default "0123456789abcdef0123456789abcdef"): Id of the simulated account.
            api_token (str, default "simulator-token-not-a-secret"): The API token that is accepted.
            database (str | Path, default ":memory:"): File for gateways and logs, or `:memory:`.
            host_names (sequence of str, default empty): Domain names by which clients reach the server, besides
                `localhost`. A request whose `Host` header is another name is refused, so that no web page can reach the
                server through a name of its own.
            upstream (Upstream | str, default None): An OpenAI- or Anthropic-compatible server to which calls are
                forwarded, or its base URL, such as `http://127.0.0.1:11434/v1`; None lets the fake model answer.
            prices (str | Path, default None): JSON file with dollars per million tokens: `{"openai/gpt-4.1": {"input":
                2, "output": 8}}`. Models of an upstream server that it does not list are free.
            keep_requests (int, default 10000): How many of the last requests `requests` holds.
            seed (int, default None): Seed for the random parts of identifiers.
            dynamic_routes (mapping, default None): Route name to model for `dynamic/<route>`, or to models that are
                tried in turn; None accepts any name.
            pace (float, default 0.0): Seconds between the events of a stream, for demonstrations.
            log_delay (float, default 0.0): Seconds until a stream's log entry can be read; Cloudflare takes about 0.5.
        """
        self.account_id = account_id
        self.api_token = api_token
        self._host = host
        self._port = port
        self._state = State(
            account_id=account_id,
            api_token=api_token,
            database=database,
            seed=seed,
            dynamic_routes=dynamic_routes,
            host_names=host_names,
            keep_requests=keep_requests,
            prices=PriceTable(read_prices(prices) if prices is not None else (), others=FREE if upstream else None),
            upstream=Upstream(upstream) if isinstance(upstream, str) else upstream,
            pace=pace,
            log_delay=log_delay,
        )
        self._server: uvicorn.Server | None = None
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    @property
    def url(self) -> str:
        """`http://127.0.0.1:PORT`."""
        host = _REACHED_BY.get(self._host, self._host)
        return f"http://[{host}]:{self._port}" if ":" in host else f"http://{host}:{self._port}"

    @property
    def base_url(self) -> str:
        """Replaces `https://api.cloudflare.com/client/v4`."""
        return f"{self.url}/client/v4"

    @property
    def legacy_url(self) -> str:
        """Replaces `https://gateway.ai.cloudflare.com/v1/{account_id}/default/compat`."""
        return f"{self.url}/v1/{self.account_id}/{GATEWAY_ID}/compat"

    @property
    def custom_url(self) -> str:
        """What stands for a custom domain's `https://ai.example.com/compat`, of the gateway `default`."""
        return f"{self.url}/compat"

    @property
    def environment(self) -> dict[str, str]:
        """Environment variables that point a user's program at the simulator."""
        return {
            "CLOUDFLARE_API_TOKEN": self.api_token,
            "CLOUDFLARE_ACCOUNT_ID": self.account_id,
            "CLOUDFLARE_API_BASE_URL": self.base_url,
            "CLOUDFLARE_AI_GATEWAY_ID": GATEWAY_ID,
        }

    def start(self) -> Self:
        """Start listening; returns when requests are served.

        Raises:
            OSError: The port is in use.
            RuntimeError: The simulator is already running.
        """
        if self._thread is not None:
            raise RuntimeError("the simulator is already running; call stop() first")
        listener = self._bind()
        config = uvicorn.Config(
            build_app(self._state), http=protocol_for(self._state.connections), loop="asyncio", lifespan="off",
            ws="none", log_config=None, access_log=False, server_header=False, headers=[("server", "cloudflare")],
            timeout_keep_alive=60, timeout_graceful_shutdown=1,
        )  # fmt: skip
        self._server = server = uvicorn.Server(config)
        started = threading.Event()

        async def serve() -> None:
            self._loop = asyncio.get_running_loop()
            asyncio.get_running_loop().create_task(_announce(server, started))
            await server.serve(sockets=[listener])
            if self._state.upstream is not None:
                await self._state.upstream.close()

        self._thread = threading.Thread(target=asyncio.run, args=(serve(),), name="simulator", daemon=True)
        self._thread.start()
        if not started.wait(_START_SECONDS):
            raise RuntimeError("the simulator did not start")
        return self

    def stop(self) -> None:
        """Close every connection and stop listening; the logs stay readable."""
        if self._thread is None or self._server is None or self._loop is None:
            return
        self._server.should_exit = True
        self._server.force_exit = True
        self._loop.call_soon_threadsafe(self._state.connections.abort_all)
        self._thread.join(_STOP_SECONDS)
        self._thread = self._server = self._loop = None

    def _bind(self) -> socket.socket:
        # asyncio sets TCP_NODELAY only on sockets that name their protocol (`asyncio.base_events._set_nodelay`).
        family = socket.AF_INET6 if ":" in self._host else socket.AF_INET
        listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((self._host, self._port))
        except OSError as error:
            listener.close()
            raise OSError(
                error.errno, f"the simulator cannot listen on {self._host}:{self._port}: {error.strerror}"
            ) from error
        self._port = listener.getsockname()[1]
        return listener

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    async def __aenter__(self) -> Self:
        return await asyncio.to_thread(self.start)

    async def __aexit__(self, *_: object) -> None:
        await asyncio.to_thread(self.stop)

    def reply(self, text: str = "", *, times: int | None = 1, **answer: Unpack[AnswerFields]) -> None:
        """Queue an answer; requests beyond the queue are answered by the fake model.

        Args:
            text: Text of the answer.
            times: For how many requests; None for all that follow.
            **answer: Tool calls (each a `Call`, or a mapping with `name`, `arguments`, `id`), reasoning and so on.
        """
        self._state.script.add_reply(Step(make_answer({"text": text, **answer})), times)

    def reply_raw(
        self,
        status: int = 200,
        body: bytes | str | None = None,
        *,
        headers: Mapping[str, str] | None = None,
        content_type: str = "application/json",
        chunks: Iterable[bytes] | None = None,
        times: int | None = 1,
    ) -> None:
        """Queue a response in exact bytes, such as a recording; the request's body is not checked.

        Args:
            status: HTTP status.
            body: The body; one of type `text/event-stream` is sent event by event.
            headers: Headers that are added to the gateway's, or replace them.
            content_type: Content type.
            chunks: The body in pieces, each sent by itself; instead of `body`.
            times: For how many requests; None for all that follow.
        """
        if body is not None and chunks is not None:
            raise ValueError("body and chunks exclude each other: pass one of them")
        pieces, is_stream = list(chunks or ()), content_type.startswith("text/event-stream")
        if body is not None:
            whole = body.encode() if isinstance(body, str) else body
            pieces = re.findall(rb"(?s).+?(?:\n\n|\Z)", whole) if is_stream else [whole]
        streamed = is_stream or len(pieces) > 1
        self._state.script.add_reply(Reply(status, content_type, pieces, dict(headers or {}), streamed=streamed), times)

    def fault(self, name: str, times: int | None = 1, after: int = 0, **details: Any) -> None:
        """Queue a failure from `FAULTS`.

        Args:
            name: Its name; `a+b` applies two effects to one response.
            times: For how many requests; None for all that follow. A retry within the gateway counts as a request.
            after: Number of requests that succeed before.
            **details: Changes to the fault's details.

        Raises:
            ValueError: No fault has this name.
            TypeError: The fault has no such detail.
        """
        self._state.script.add_fault(make_fault(name, details), times, after)

    def gateway(self, gateway: str = GATEWAY_ID, **settings: Any) -> Settings:
        """Create a gateway or change its settings, which have the names of the management API."""
        gateways = self._state.gateways
        existing = gateways.find(self.account_id, gateway)
        if existing is None:
            return gateways.create(self.account_id, gateway, settings)
        current = {name: value for name, value in existing.items() if name not in _NO_SETTINGS}
        return gateways.replace(self.account_id, gateway, {**current, **settings})

    def advance(self, seconds: float) -> None:
        """Advance the clock: cache entries expire, rate limits reset."""
        self._state.clock.advance(seconds)

    def reset(self) -> None:
        """Delete requests, logs, gateways, cache, rate limits, and everything queued."""
        self._state.reset()

    @property
    def script(self) -> Script:
        """The queues of scripted answers and faults."""
        return self._state.script

    @property
    def requests(self) -> list[Captured]:
        """All requests so far, oldest first, except those of `/_simulator/`."""
        return self._state.recorder.requests

    @property
    def connections(self) -> int:
        """TCP connections open now."""
        return len(self._state.connections)

    @property
    def connections_total(self) -> int:
        """TCP connections since the start."""
        return self._state.connections.total

    @property
    def in_flight(self) -> int:
        """Requests whose response is not finished."""
        return self._state.recorder.in_flight

    @property
    def queued(self) -> tuple[int, int]:
        """Numbers of scripted answers and of faults that are still queued."""
        return self._state.script.waiting

    def logs(self, gateway: str = GATEWAY_ID, **filters: Any) -> list[dict[str, Any]]:
        """Log entries, oldest first, with the bodies as text under `request` and `response`.

        Args:
            gateway: Id of the gateway.
            **filters: Fields that must be equal; of `metadata`, entries that must be present.
        """
        where = "account = ? AND gateway = ?"
        existing = self._state.logs.select((where, (self.account_id, gateway)), bodies=True)
        return [dict(entry) for entry in existing if _matches(entry, filters)]


_NO_SETTINGS = frozenset({"id", "account_id", "created_at", "modified_at"})


async def _announce(server: uvicorn.Server, started: threading.Event) -> None:
    while not server.started:
        await asyncio.sleep(0.002)
    started.set()


def _matches(entry: Mapping[str, Any], filters: Mapping[str, Any]) -> bool:
    expected = dict(filters)
    metadata: Mapping[str, Any] | None = expected.pop("metadata", None)
    current: Mapping[str, Any] = entry["metadata"] or {}
    if metadata is not None and any(current.get(key) != value for key, value in metadata.items()):
        return False
    return all(entry[name] == value for name, value in expected.items())
