"""`cfaig embed`: a vector for each line of a file; a run that was interrupted is resumed."""

from __future__ import annotations

import hashlib
import os
import signal
import sys
import threading
import time
from collections.abc import Generator, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from types import FrameType
from typing import Annotated, Any, Literal

import typer

from cfaig_integrations.cli import options
from cfaig_integrations.cli.output import INTERRUPTED, console, print_json, progress_bar, reported
from cfaig_integrations.cli.vector_files import PartialFile, finish
from cfaig_integrations.client.concurrency import SIGNAL_SECONDS
from cfaig_integrations.client.sync import Client
from cfaig_integrations.core.vectors import EmbedReply, EmbedRequest
from cfaig_integrations.errors import ConfigError, GatewayError
from cfaig_integrations.gateway.info import GatewayInfo
from cfaig_integrations.gateway.models.embeddings import batch_size as size_of_batches
from cfaig_integrations.gateway.models.embeddings import embed_route

DEFAULT_MODEL = "@cf/baai/bge-m3"
_SUFFIXES = (".jsonl", ".npy")
_RUN_FIELDS = ("model", "side", "dimensions", "pooling", "instruction", "truncate")
"""Fields of the requests that must be equal in a run that is resumed."""


def embed(
    file: Annotated[str, typer.Argument(help="Text file, a text per line; '-' is standard input.")] = "-",
    *,
    output: Annotated[Path, typer.Option("--output", "-o", help="File to write, .jsonl or .npy.", dir_okay=False)],
    model: Annotated[str, typer.Option("--model", "-m")] = DEFAULT_MODEL,
    query: Annotated[bool, typer.Option("--query", help="Embed as queries instead of documents.")] = False,
    dimensions: Annotated[int | None, typer.Option(min=1, show_default=False)] = None,
    pooling: Annotated[Literal["mean", "cls"] | None, typer.Option(show_default=False)] = None,
    instruction: Annotated[str | None, typer.Option(help="Task, sent with queries.", show_default=False)] = None,
    truncate: Annotated[bool | None, typer.Option(help="Cut texts that are too long.", show_default=False)] = None,
    batch_size: Annotated[
        int | None, typer.Option(min=1, help="Lines per request [default: the most].", show_default=False)
    ] = None,
    concurrency: Annotated[int, typer.Option(min=1, max=64, help="Requests at a time.")] = 4,
    skip_empty: Annotated[bool, typer.Option("--skip-empty", help="Leave empty lines out.")] = False,
    restart: Annotated[bool, typer.Option("--restart", help="Discard an unfinished or finished output.")] = False,
    metadata: options.Metadata = None,
    gateway: options.Gateway = None,
    account: options.Account = None,
    base_url: options.BaseUrl = None,
    json: options.Json = False,
) -> None:
    """Embed each line of a file.

    JSONL output has a line per text, {"index", "text", "embedding"}; .npy has a row of float32 per text. Until all
    texts are embedded their vectors are in OUTPUT.partial: after an interrupt or a failure, run the same command again
    to go on. Ctrl-C waits for the requests that were sent, so that no line is embedded twice; a second one does not.

    Exit codes: 0 success, 1 a call failed, 2 an option, file or setting is not valid, 130 interrupted.
    """
    with reported(as_json=json):
        if instruction is not None and not query:
            remedy = "Add --query, or leave it out."
            raise ConfigError("--instruction is sent with queries only.", field="--instruction", remedy=remedy)
        entries = options.metadata_entries(metadata)
        connection = options.connect(account, gateway, base_url, metadata=entries or None)
        request = EmbedRequest(
            model,
            (),
            side="query" if query else "document",
            dimensions=dimensions,
            pooling=pooling,
            instruction=instruction,
            truncate=truncate,
        )
        embed_route(request, legacy=connection.settings.legacy)
        size = size_of_batches(model, batch_size, argument="--batch-size")
        texts = _texts(file, skip_empty=skip_empty)
        partial = _partial_file(output, request, texts, restart=restart)
        job = _Job(Client(connection), request, texts, partial, size, concurrency)
        with closing(partial):
            job.run()
            if job.remaining:
                left = f"{job.remaining} of {len(texts)} lines are left"
                typer.echo(f"Interrupted: {left}; run it again to go on.", err=True)
                raise typer.Exit(INTERRUPTED)
            length = finish(partial, output, texts)
    _summarize(job, output, length, as_json=json)


def _texts(file: str, *, skip_empty: bool) -> dict[int, str]:
    """The texts by the indexes of their lines.

    Raises:
        ConfigError: There is none, one is empty, or the file is not UTF-8.
        OSError: The file cannot be read.
    """
    data = sys.stdin.buffer.read() if file == "-" else Path(file).read_bytes()
    try:
        lines = data.decode("utf-8-sig").split("\n")
    except UnicodeDecodeError as error:
        raise ConfigError(f"{file} is not UTF-8 ({error.reason}).", field="file", remedy="Convert it.") from error
    if lines[-1] == "":
        del lines[-1]
    texts = {index: line.removesuffix("\r") for index, line in enumerate(lines)}
    empty = [index for index, text in texts.items() if not text.strip()]
    if empty and not skip_empty:
        raise ConfigError(
            f"Line {empty[0] + 1} of {file} is empty, which models refuse ({len(empty)} in all).",
            field="file",
            remedy="Remove empty lines, or use --skip-empty.",
        )
    for index in empty:
        del texts[index]
    if not texts:
        raise ConfigError(f"{file} has no text.", field="file", remedy="Use a file with a text per line.")
    return texts


def _partial_file(output: Path, request: EmbedRequest, texts: Mapping[int, str], *, restart: bool) -> PartialFile:
    """The file of the vectors, perhaps with those of an earlier run.

    Raises:
        ConfigError: The output exists, is of another kind, or the earlier run was another one.
    """
    path = output.with_name(f"{output.name}.partial")
    if output.suffix not in _SUFFIXES:
        raise ConfigError(
            f"--output {str(output)!r} ends neither in .jsonl nor in .npy.", field="--output", remedy="Rename it."
        )
    if restart:
        path.unlink(missing_ok=True)
    elif output.exists():
        raise ConfigError(f"{output} exists.", field="--output", remedy="--restart replaces it.")
    digest = hashlib.sha256("\n".join(f"{index} {text}" for index, text in texts.items()).encode("utf-8", "replace"))
    fields = {name: getattr(request, name) for name in _RUN_FIELDS}
    return PartialFile(path, {**fields, "texts": digest.hexdigest()})


@dataclass
class _Job:
    """The requests of one run."""

    client: Client
    request: EmbedRequest
    texts: Mapping[int, str]
    partial: PartialFile
    batch_size: int
    concurrency: int

    def __post_init__(self) -> None:
        self.resumed = len(self.partial.done)
        self.tokens = 0
        self.seconds = 0.0
        self._stopping = threading.Event()

    @property
    def remaining(self) -> int:
        """Texts without a vector."""
        return len(self.texts) - len(self.partial.done)

    @property
    def rate(self) -> float:
        """Lines embedded per second."""
        return (len(self.partial.done) - self.resumed) / self.seconds if self.seconds else 0.0

    def run(self) -> None:
        """Embeds what is left, until all is done, a request fails or the user interrupts.

        Raises:
            GatewayError: A request failed; the others that were sent are waited for, and their vectors kept.
        """
        started, error = time.monotonic(), None
        with _interrupts(self._stopping), progress_bar() as progress, ThreadPoolExecutor(self.concurrency) as threads:
            task = progress.add_task("Embedding", total=len(self.texts), completed=self.resumed, rate="")
            left = [index for index in self.texts if index not in self.partial.done]
            batches = (left[start : start + self.batch_size] for start in range(0, len(left), self.batch_size))
            running: dict[Future[tuple[EmbedReply, GatewayInfo]], list[int]] = {}
            while True:
                while len(running) < self.concurrency and error is None and not self._stopping.is_set():
                    batch = next(batches, None)
                    if batch is None:
                        break
                    texts = tuple(self.texts[index] for index in batch)
                    running[threads.submit(self.client.embed, replace(self.request, texts=texts))] = batch
                if not running:
                    break
                for done in wait(running, SIGNAL_SECONDS, FIRST_COMPLETED).done:
                    batch = running.pop(done)
                    try:
                        reply, _ = done.result()
                    except GatewayError as failure:
                        error = error or failure
                    else:
                        self.partial.add(dict(zip(batch, reply.vectors, strict=True)))
                        self.tokens += reply.usage.input if reply.usage else 0
                self.seconds = time.monotonic() - started
                rate = f"{self.rate:,.0f} lines/s, {self.tokens:,} tokens"
                progress.update(task, completed=len(self.partial.done), rate=rate)
        if error is not None:
            raise error


@contextmanager
def _interrupts(stopping: threading.Event) -> Generator[None]:
    """Within the block the first Ctrl-C only sets the event; the second one ends the process at once."""

    def interrupt(_: int, __: FrameType | None) -> None:
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # so that the second ends it at once
        stopping.set()
        os.write(2, b"\nWaiting for the requests that were sent; Ctrl-C again does not wait.\n")

    before = signal.signal(signal.SIGINT, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _summarize(job: _Job, output: Path, length: int, *, as_json: bool) -> None:
    embedded = len(job.texts) - job.resumed
    fields: dict[str, Any] = {
        "output": str(output),
        "lines": len(job.texts),
        "embedded": embedded,
        "resumed": job.resumed,
        "dimensions": length,
        "tokens": job.tokens,
        "seconds": round(job.seconds, 3),
        "lines_per_second": round(job.rate, 1),
    }
    if as_json:
        print_json(fields)
        return
    before = f" ({job.resumed:,} of an earlier run)" if job.resumed else ""
    speed = f"{job.seconds:.1f} s, {job.rate:,.0f} lines/s, {job.tokens:,} tokens"
    console(stderr=True).print(f"{len(job.texts):,} vectors of {length}{before} in {output}: {speed}.", soft_wrap=True)
