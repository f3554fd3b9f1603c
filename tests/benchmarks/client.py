"""The process whose instructions are counted: `python -m tests.benchmarks.client` with its jobs as JSON on stdin.

All jobs are prepared, checked and run once; then counting starts, and each is run again, n units and 2n units. Each
counted run is one dump of callgrind. A line of JSON for each job says how many dumps belong to it, or what went wrong.
"""

from __future__ import annotations

import gc
import itertools
import json
import sys
from importlib import import_module
from types import SimpleNamespace
from typing import Any

from tests.benchmarks.instrumentation import Callgrind
from tests.benchmarks.subjects import MEMORY, NETWORK, make, statement


def report(**fields: Any) -> None:
    sys.stdout.write(json.dumps(fields) + "\n")
    sys.stdout.flush()


class Client:
    """Prepares jobs and counts them."""

    def __init__(self, url: str, framework: str, rows: str) -> None:
        import asyncio

        import httpx

        from tests.benchmarks import network, workloads

        self.url, self.framework, self.workloads, self.network = url, framework, workloads, network
        self.rows = workloads.ROWS[rows]
        self.calls = import_module(f"tests.benchmarks.{framework}_calls").Calls()
        self.from_memory = import_module(f"tests.benchmarks.{framework}_calls").from_memory
        self.loop = asyncio.new_event_loop()
        asyncio.set_event_loop(self.loop)
        self.requests: dict[tuple[str, str, int], tuple[str, Any]] = {}
        self.server = httpx.Client(base_url=url)

    def prepare(self, name: str, subject: str, api: str) -> list[Any]:
        """The runs of a job, each checked and warm."""
        work = self.rows[name]
        runs: list[Any] = []
        for n in work.lengths:

            def made(settings: str, n: int = n) -> Any:
                if subject == MEMORY:
                    return self.from_memory(work.kind, work.reply_length(n), "tool=1" in settings)
                if subject == NETWORK:
                    target, payload = self.requests[name, api, n]
                    hold = f"hold={min(n, self.network.CONNECTIONS)}"
                    if "b64=1" in settings:  # whether or not this package asks for it
                        payload = {**payload, "encoding_format": "base64"}
                    return self.network.Endpoint(self.url + target.replace(f"hold={n}", hold), payload)
                return make(subject, self.framework, work.kind, api, f"{self.url}/@{settings}")

            calls = self.network.Calls() if subject == NETWORK else self.calls
            run = self.workloads.prepared(work, n, made, calls, self.loop)
            self.workloads.check(work, n, run(), subject)
            if NETWORK in work.floors and subject not in {MEMORY, NETWORK}:
                last = self.server.get("/last").json()
                self.requests[name, api, n] = last["target"], last["body"]
            runs.append(run)
        if len(runs) == 1:
            run()  # the first opened the connections
        return runs


def count_jobs(url: str, framework: str, rows: str, jobs: list[list[str]]) -> None:
    client = Client(url, framework, rows)
    # A client under valgrind is 50 times slower: its idle connections would expire. For httpcore no time passes.
    clock = SimpleNamespace(monotonic=itertools.repeat(0.0).__next__)
    for module in ("_async", "_sync"):
        vars(import_module(f"httpcore.{module}.http11"))["time"] = clock
    runs: list[list[Any]] = []
    for job in jobs:
        try:
            runs.append(client.prepare(*job))
        except Exception as error:  # of any package: the job is left out, with its reason
            runs.append([])
            report(job=job, error=f"{type(error).__name__}: {error}"[:300])
    callgrind = Callgrind()
    gc.collect()
    gc.freeze()
    callgrind.start()
    for job, each in zip(jobs, runs, strict=True):
        for run in each:
            gc.collect()
            callgrind.zero()
            run()
            callgrind.dump()
        if each:
            report(job=job, dumps=len(each))


def count_first_call(url: str, framework: str, subject: str, api: str) -> None:
    """Counts an import, and a first model with its first call, in a process that has done nothing else."""
    callgrind = Callgrind()
    callgrind.start()
    callgrind.zero()
    exec(statement(subject, framework))
    callgrind.dump()
    base = f"{url}/@n=20"
    calls = import_module("tests.benchmarks.network" if subject == NETWORK else f"tests.benchmarks.{framework}_calls")
    made = calls.Calls()
    callgrind.zero()
    if subject == NETWORK:
        question = {"model": "m", "messages": [{"role": "user", "content": "Say hello in one short sentence."}]}
        model = calls.Endpoint(f"{base}/chat/completions", question)
    elif subject == MEMORY:
        model = calls.from_memory("chat", 20, False)
    else:
        model = make(subject, framework, "chat", api, base)
    made.call(model)
    callgrind.dump()
    report(job=["import", subject, api], dumps=1)
    report(job=["first call", subject, api], dumps=1)


if __name__ == "__main__":
    arguments: dict[str, Any] = json.load(sys.stdin)
    (count_first_call if "subject" in arguments else count_jobs)(**arguments)
