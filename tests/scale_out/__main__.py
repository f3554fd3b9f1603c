"""Embeds numbered texts in worker processes, and counts what is stored.

    python -m tests.scale_out [--engine ray|alone] [--texts 50000] [--workers 2] [--kill] [--delay 0.0]
                              [--address local] [--folder FOLDER]

Prints JSON: rows in and out, duplicates, lost rows, vectors that are not those of their text, workers killed, texts
sent, and rows per second from the first stored file on, that is, without the start of the workers. `alone` does the
same work in this process, without Ray. `--delay` is the time in seconds that the server takes for an answer. With the
`--address` of a Ray cluster and a `--folder` that its nodes share, the gateway of the environment is called instead of
that server; then neither vectors nor texts sent are checked.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from cfaig_integrations.langchain import CloudflareAIGatewayEmbeddings
from tests.waiting import until

BLOCK = 1000
"""Rows of a file."""
LOCAL = {"num_cpus": 2, "object_store_memory": 200_000_000, "include_dashboard": False}
VECTOR = pa.list_(pa.float32())


class Embed:
    """A worker. The first that reaches the text `stop_at` waits there, after its requests, until it is killed."""

    def __init__(self, model: CloudflareAIGatewayEmbeddings, stop_at: int, waiting: Path) -> None:
        self.model, self.stop_at, self.waiting = model, stop_at, waiting

    def __call__(self, batch: pa.Table) -> pa.Table:
        vectors = self.model.embed_documents(batch["text"].to_pylist())
        if batch["id"][0].as_py() == self.stop_at and not any(self.waiting.iterdir()):
            (self.waiting / str(os.getpid())).touch()
            threading.Event().wait()
        return batch.append_column("vector", pa.array(vectors, VECTOR))


def add_texts(batch: pa.Table) -> pa.Table:
    return batch.append_column("text", pa.array(f"Order {number} was delivered." for number in batch["id"].to_pylist()))


@contextmanager
def server(address: str, delay: float) -> Iterator[str]:
    """URL of a server, to which the environment leads; empty on a cluster, whose nodes cannot reach it."""
    if address != "local":
        yield ""
        return
    command = [sys.executable, "-m", "tests.scale_out.server", str(delay)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        url = f"http://127.0.0.1:{process.stdout.readline().strip()}"
        os.environ["CLOUDFLARE_API_BASE_URL"] = url
        os.environ["CLOUDFLARE_API_TOKEN"] = "token"
        os.environ["CLOUDFLARE_ACCOUNT_ID"] = "0" * 32
        yield url
        process.terminate()


def files(folder: Path) -> list[Path]:
    return list(folder.glob("*.parquet"))


def alone(texts: int, folder: Path) -> None:
    """The work without Ray."""
    embed = Embed(CloudflareAIGatewayEmbeddings(model="@cf/baai/bge-small-en-v1.5"), -1, folder)
    for start in range(0, texts, BLOCK):
        rows = add_texts(pa.table({"id": range(start, min(start + BLOCK, texts))}))
        pq.write_table(embed(rows), folder / f"{start:09}.parquet")


def with_ray(options: argparse.Namespace, waiting: Path) -> None:
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    import ray

    local: dict[str, Any] = LOCAL if options.address == "local" else {}
    ray.init(options.address, **local, log_to_driver=False, logging_level="ERROR")
    model = CloudflareAIGatewayEmbeddings(model="@cf/baai/bge-small-en-v1.5", max_retries=10)
    stop_at = options.texts // BLOCK // 2 * BLOCK if options.kill else -1
    ray.data.range(options.texts, override_num_blocks=-(-options.texts // BLOCK)).map_batches(
        add_texts, batch_format="pyarrow"
    ).map_batches(
        Embed,
        fn_constructor_args=(model, stop_at, waiting),
        batch_format="pyarrow",
        batch_size=BLOCK,
        num_cpus=0.5,
        compute=ray.data.ActorPoolStrategy(size=options.workers),
    ).write_parquet(options.folder, mode="overwrite")
    ray.shutdown()


def watch(working: threading.Thread, folder: Path, waiting: Path) -> tuple[list[int], float]:
    """Kills the worker that waits for it, and shows how many files are stored.

    Returns:
        The killed processes, and rows per second from the first file on.
    """
    killed: list[int] = []
    shown, first, begun, running = 0, 0, 0.0, True
    while running:
        working.join(timeout=0.05)
        running = working.is_alive()
        for process in map(int, (path.name for path in waiting.iterdir())):
            if process not in killed:
                os.kill(process, signal.SIGKILL)
                killed.append(process)
        stored = len(files(folder))
        if stored > shown:
            print(f"{stored} files", file=sys.stderr)
            first, begun = first or stored, begun or time.monotonic()
            shown = stored
    rows = (len(files(folder)) - first) * BLOCK
    return killed, rows / (time.monotonic() - begun) if rows else 0.0


def is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return True


def report(options: argparse.Namespace, killed: list[int], url: str) -> dict[str, Any]:
    """What is stored, and what the server received."""
    table = pq.read_table(options.folder)
    stored: list[int] = table["id"].to_pylist()
    result = {
        "rows in": options.texts,
        "rows out": len(stored),
        "duplicates": len(stored) - len(set(stored)),
        "lost": len(set(range(options.texts)) - set(stored)),
        "workers killed": sum(until(lambda process=process: not is_alive(process)) for process in killed),
    }
    if url:
        vectors = table["vector"].combine_chunks()
        firsts = vectors.values.take(vectors.offsets[:-1]).to_pylist()
        result["wrong vectors"] = sum(number != first for number, first in zip(stored, firsts, strict=True))
        with urllib.request.urlopen(url) as response:
            result["texts sent"] = int(response.read())
    return result


def main() -> None:
    """Embeds, counts and prints."""
    parser = argparse.ArgumentParser(prog="python -m tests.scale_out", description=__doc__)
    parser.add_argument("--engine", choices=["ray", "alone"], default="ray")
    parser.add_argument("--texts", type=int, default=50_000)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--kill", action="store_true", help="kill a worker midway; with --address local")
    parser.add_argument("--delay", type=float, default=0.0)
    parser.add_argument("--address", default="local")
    parser.add_argument("--folder", default="", help="where to store; default: a temporary folder")
    options = parser.parse_args()
    served = server(options.address, options.delay)
    with tempfile.TemporaryDirectory() as stored, tempfile.TemporaryDirectory() as waits, served as url:
        options.folder = options.folder or stored
        folder, waiting = Path(options.folder), Path(waits)
        work = partial(with_ray, options, waiting) if options.engine == "ray" else partial(alone, options.texts, folder)
        working = threading.Thread(target=work)
        working.start()
        killed, rate = watch(working, folder, waiting)
        result = report(options, killed, url) | {"rows per second": round(rate)}
    print(json.dumps(result))


if __name__ == "__main__":
    main()
