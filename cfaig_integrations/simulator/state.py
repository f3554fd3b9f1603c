"""Everything that one simulator owns."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from starlette.requests import Request

from cfaig_integrations.simulator.clock import Clock, Ids
from cfaig_integrations.simulator.fake_model import PromptMemory
from cfaig_integrations.simulator.gateway.cache import Cache
from cfaig_integrations.simulator.gateway.limits import RateLimits
from cfaig_integrations.simulator.gateway.log_store import LogStore
from cfaig_integrations.simulator.gateway.results import Results
from cfaig_integrations.simulator.gateway.router import Router
from cfaig_integrations.simulator.gateway.routes import Routes
from cfaig_integrations.simulator.gateway.settings import Gateways
from cfaig_integrations.simulator.gateway.spending import Spending
from cfaig_integrations.simulator.gateway.store import Store
from cfaig_integrations.simulator.http.connections import Connections
from cfaig_integrations.simulator.http.recorder import Recorder
from cfaig_integrations.simulator.prices import PriceTable
from cfaig_integrations.simulator.scripting.script import Script
from cfaig_integrations.simulator.upstream import Upstream


@dataclass(slots=True)
class State:
    """The state of the simulated account."""

    account_id: str
    api_token: str
    clock: Clock
    ids: Ids
    store: Store
    logs: LogStore
    gateways: Gateways
    cache: Cache
    limits: RateLimits
    spending: Spending
    prices: PriceTable
    routes: Routes
    router: Router
    script: Script
    recorder: Recorder
    connections: Connections
    prompts: PromptMemory
    files: Results
    """Files of answers, by the name in their URL."""
    jobs: Results
    """Results of runs in the background and of batches."""
    upstream: Upstream | None = None
    """The server that answers instead of the fake model."""
    pace: float = 0.0
    """Seconds between the events of a stream."""
    host_names: frozenset[str] = frozenset()
    """Domain names by which clients reach the server, besides `localhost`."""
    log_delay: float = 0.0
    """Seconds until the log of a stream can be read (facts §8.5: about 0.5 at Cloudflare)."""

    def reset(self) -> None:
        """Return everything to its initial state."""
        self.store.clear()
        self.cache.clear()
        self.limits.clear()
        self.spending.clear()
        self.router.clear()
        self.script.clear()
        self.recorder.clear()
        self.prompts.clear()
        self.files.clear()
        self.jobs.clear()
        self.clock.reset()


def make_state(
    *,
    account_id: str,
    api_token: str,
    database: str | Path,
    seed: int | None,
    dynamic_routes: Mapping[str, str | Sequence[str]] | None,
    pace: float,
    log_delay: float,
    host_names: Collection[str] = (),
    prices: PriceTable | None = None,
    upstream: Upstream | None = None,
    keep_requests: int,
) -> State:
    """The state of a new account."""
    clock = Clock()
    ids = Ids(clock, seed)
    store = Store(database)
    logs, routes = LogStore(store), Routes(store, clock, ids)
    prices = prices or PriceTable()
    return State(
        account_id=account_id,
        api_token=api_token,
        clock=clock,
        ids=ids,
        store=store,
        logs=logs,
        gateways=Gateways(store, clock),
        cache=Cache(clock),
        limits=RateLimits(clock),
        spending=Spending(logs, clock),
        prices=prices,
        routes=routes,
        router=Router(ids, routes, prices, dynamic_routes),
        script=Script(),
        recorder=Recorder(keep_requests),
        connections=Connections(),
        prompts=PromptMemory(),
        files=Results(clock, ids),
        jobs=Results(clock, ids),
        pace=pace,
        log_delay=log_delay,
        host_names=frozenset(host_names),
        upstream=upstream,
    )


def state_of(request: Request) -> State:
    """The state of the application that handles a request."""
    state: State = request.app.state.state
    return state
