"""Everything that one simulator owns."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from starlette.requests import Request

from cfaig_integrations.simulator.catalogue import PriceTable
from cfaig_integrations.simulator.clock import Clock, Ids
from cfaig_integrations.simulator.fake_model import PromptMemory
from cfaig_integrations.simulator.gateway.cache import Results
from cfaig_integrations.simulator.gateway.limits import RateLimits, Spending
from cfaig_integrations.simulator.gateway.log_store import LogStore
from cfaig_integrations.simulator.gateway.routing import Router, Routes
from cfaig_integrations.simulator.gateway.settings import Gateways
from cfaig_integrations.simulator.gateway.store import Store
from cfaig_integrations.simulator.http.connections import Connections
from cfaig_integrations.simulator.http.recorder import Recorder
from cfaig_integrations.simulator.scripting.script import Script
from cfaig_integrations.simulator.upstream.client import Upstream


@dataclass(eq=False, repr=False)  # no repr, which would show the token
class State:
    """The state of the simulated account; the arguments are those of `Simulator`.

    Calls are handled in the server's loop: what only they change needs no lock.
    """

    account_id: str
    api_token: str
    database: str | Path
    seed: int | None
    dynamic_routes: Mapping[str, str | Sequence[str]] | None
    pace: float
    log_delay: float
    host_names: Collection[str]
    prices: PriceTable
    upstream: Upstream | None
    keep_requests: int

    def __post_init__(self) -> None:
        self.clock = Clock()
        self.ids = Ids(self.clock, self.seed)
        self.store = Store(self.database)
        self.logs = LogStore(self.store)
        self.gateways = Gateways(self.store, self.clock)
        self.cache = Results(self.clock, self.ids)
        self.limits = RateLimits(self.clock)
        self.spending = Spending(self.logs, self.clock)
        self.routes = Routes(self.store, self.clock, self.ids)
        self.router = Router(self.ids, self.routes, self.prices, self.dynamic_routes)
        self.script = Script()
        self.recorder = Recorder(self.keep_requests)
        self.connections = Connections()
        self.prompts = PromptMemory()
        self.files = Results(self.clock, self.ids)
        self.jobs = Results(self.clock, self.ids)

    def reset(self) -> None:
        """Return everything to its initial state."""
        for part in (
            self.store, self.cache, self.limits, self.spending, self.router, self.script, self.recorder, self.prompts,
            self.files, self.jobs, self.clock,
        ):  # fmt: skip
            part.clear()


def state_of(request: Request) -> State:
    """The state of the application that handles a request."""
    state: State = request.app.state.state
    return state
