"""`cfaig embed`: outputs, resumption, and that no line is embedded twice."""

from __future__ import annotations

import json
import signal
import subprocess
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.cli.kit import RawServer, Request, Response, environment, error, raw_server, result, run, start
from tests.waiting import PATIENCE, until

MODEL = "@cf/baai/bge-m3"
PATH = f"POST /ai/run/{MODEL}"
SIZE = 1024
LINES = [f"text {number}" for number in range(40)]
OPTIONS = ("--batch-size", "4")
SIDED = ("--model", "@cf/qwen/qwen3-embedding-0.6b")
"""A model that distinguishes queries from documents, and takes an instruction."""


def vector(text: str) -> list[float]:
    return [float(text.rpartition(" ")[2]) + 0.5, *[0.25] * (SIZE - 1)]


def embedded(request: Request) -> Response:
    texts = next(request.body[name] for name in ("text", "documents", "queries") if name in request.body)
    return result({"shape": [len(texts), SIZE], "data": [vector(text) for text in texts]})


@pytest.fixture
def texts(tmp_path: Path) -> Path:
    file = tmp_path / "texts.txt"
    file.write_text("\n".join(LINES) + "\n")
    return file


def lines_of(server: RawServer) -> Counter[str]:
    """How often each line was sent."""
    return Counter(text for request in server.requests for text in request.body["text"])


def records(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text().splitlines()]


def test_jsonl_is_in_the_order_of_the_lines(texts: Path) -> None:
    output = texts.with_name("out.jsonl")
    with raw_server({PATH: embedded}) as server:
        outcome = run("embed", str(texts), "-o", str(output), *OPTIONS, "--json", env=environment(server))
        assert len(server.requests) == 10
    assert outcome.code == 0
    assert {name: outcome.json[name] for name in ("lines", "embedded", "resumed", "dimensions")} == {
        "lines": 40,
        "embedded": 40,
        "resumed": 0,
        "dimensions": SIZE,
    }
    assert records(output) == [
        {"index": index, "text": text, "embedding": vector(text)} for index, text in enumerate(LINES)
    ]
    assert {file.name for file in texts.parent.iterdir()} == {"texts.txt", "out.jsonl"}


@pytest.mark.parametrize(
    ("options", "fields"),
    [
        ((), {"documents": LINES}),
        (("--query", "--instruction", "Find it."), {"queries": LINES, "instruction": "Find it."}),
    ],
)
def test_texts_are_documents_unless_they_are_queries(
    texts: Path, options: tuple[str, ...], fields: dict[str, Any]
) -> None:
    with raw_server({"POST /ai/run/": embedded}) as server:
        output = str(texts.with_name("out.npy"))
        arguments = ("--concurrency", "1", *SIDED, *options)
        assert run("embed", str(texts), "-o", output, *arguments, env=environment(server)).code == 0
        sent = [request.body for request in server.requests]
    joined = {
        name: [text for body in sent for text in body[name]] for name in ("documents", "queries") if name in sent[0]
    }
    assert {**sent[0], **joined} == fields


def test_npy_is_read_by_numpy(texts: Path) -> None:
    numpy = pytest.importorskip("numpy")
    output = texts.with_name("out.npy")
    with raw_server({PATH: embedded}) as server:
        assert run("embed", str(texts), "-o", str(output), env=environment(server)).code == 0
    rows = numpy.load(output)
    assert (rows.shape, rows.dtype) == ((40, SIZE), numpy.float32)
    assert rows.tolist() == [vector(text) for text in LINES]


@contextmanager
def process(server: RawServer, texts: Path, output: Path, *more: str) -> Iterator[subprocess.Popen[str]]:
    arguments = ("embed", str(texts), "-o", str(output), *OPTIONS, *more)
    with start(server, *arguments, stderr=subprocess.PIPE, text=True) as running:
        try:
            yield running
        finally:
            running.kill()


class Held:
    """Answers some requests at once, and the others after `release`."""

    def __init__(self, free: int) -> None:
        self.free = free
        self.release = threading.Event()
        self.started = 0
        self._lock = threading.Lock()

    def __call__(self, request: Request) -> Response:
        with self._lock:
            self.started += 1
            number = self.started
        if number > self.free:
            assert self.release.wait(PATIENCE)
        return embedded(request)


@pytest.mark.parametrize("concurrency", [1, 3])
def test_an_interrupted_run_goes_on_without_embedding_a_line_twice(texts: Path, concurrency: int) -> None:
    output = texts.with_name("out.jsonl")
    held = Held(free=4)
    with raw_server({PATH: held}) as server:
        with process(server, texts, output, "--concurrency", str(concurrency)) as running:
            assert until(lambda: held.started == 4 + concurrency)
            running.send_signal(signal.SIGINT)
            assert running.stderr is not None
            while "Waiting for the requests" not in running.stderr.readline():
                pass
            held.release.set()
            rest = running.communicate(timeout=PATIENCE)[1]
        assert running.returncode == 130
        left = 40 - 4 * (4 + concurrency)
        assert f"Interrupted: {left} of 40 lines are left" in rest
        assert not output.exists()
        outcome = run("embed", str(texts), "-o", str(output), *OPTIONS, "--json", env=environment(server))
        assert (outcome.code, outcome.json["embedded"], outcome.json["resumed"]) == (0, left, 40 - left)
        assert lines_of(server) == Counter(LINES)
    assert [record["text"] for record in records(output)] == LINES


def test_an_interrupt_that_another_thread_receives_is_not_missed(texts: Path) -> None:
    def interrupted(request: Request) -> Response:
        handler = signal.getsignal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)
        assert until(lambda: signal.getsignal(signal.SIGINT) is not handler)
        return embedded(request)

    with raw_server({PATH: interrupted}) as server:
        arguments = ("embed", str(texts), "-o", str(texts.with_name("out.npy")), *OPTIONS, "--concurrency", "1")
        outcome = run(*arguments, env=environment(server))
    assert (outcome.code, "36 of 40 lines are left" in outcome.stderr) == (130, True)


def test_a_second_interrupt_does_not_wait(texts: Path) -> None:
    held = Held(free=0)
    with raw_server({PATH: held}) as server:
        try:
            with process(server, texts, texts.with_name("out.jsonl")) as running:
                assert until(lambda: held.started)
                running.send_signal(signal.SIGINT)
                assert running.stderr is not None
                while "Waiting for the requests" not in running.stderr.readline():
                    pass
                running.send_signal(signal.SIGINT)
                assert running.wait(PATIENCE) == -signal.SIGINT  # 130 in a shell
        finally:
            held.release.set()


def test_a_killed_run_goes_on_after_its_last_complete_line(texts: Path) -> None:
    output = texts.with_name("out.jsonl")
    partial = texts.with_name("out.jsonl.partial")
    held = Held(free=3)

    def picky(request: Request) -> Response:
        return error(400, 5006, "no") if LINES[20] in request.body["text"] else embedded(request)

    with raw_server({PATH: held}) as server:
        with process(server, texts, output, "--concurrency", "1") as running:
            assert until(lambda: held.started == 4)
            running.kill()
            running.wait()
        held.release.set()
        data = partial.read_bytes()
        partial.write_bytes(data[:-100])  # the last write reached the disk in part
        again = ("embed", str(texts), "-o", str(output), *OPTIONS, "--concurrency", "1")
        for route, code, lines in ((picky, 1, LINES[11:23]), (embedded, 0, LINES[19:])):
            server.requests.clear()
            server.routes[PATH] = route
            assert run(*again, env=environment(server)).code == code
            assert lines_of(server) == Counter(lines)
    assert [record["embedding"] for record in records(output)] == [vector(text) for text in LINES]


def test_a_failed_request_ends_the_run_and_keeps_what_came(texts: Path) -> None:
    output = texts.with_name("out.npy")
    refused = error(400, 5006, "text too long")

    def picky(request: Request) -> Response:
        return refused if LINES[5] in request.body["text"] else embedded(request)

    with raw_server({PATH: picky}) as server:
        outcome = run("embed", str(texts), "-o", str(output), *OPTIONS, "--concurrency", "1", env=environment(server))
        assert (outcome.code, "text too long" in outcome.stderr) == (1, True)
        assert len(server.requests) == 2
        server.routes[PATH] = embedded
        server.requests.clear()
        assert run("embed", str(texts), "-o", str(output), *OPTIONS, env=environment(server)).code == 0
        assert lines_of(server) == Counter(LINES[4:])


@pytest.mark.parametrize(
    ("change", "before", "more"),
    [
        (lambda texts: texts.write_text("\n".join([*LINES[:-1], "another text 3"])), (), ()),
        (lambda texts: texts.write_text("\n".join(["", *LINES])), (), ("--skip-empty",)),
        (lambda _: None, (), ("--query",)),
        (lambda _: None, (*SIDED, "--query"), (*SIDED, "--query", "--instruction", "Find it.")),
        (lambda _: None, (), ("--truncate",)),
        (lambda _: None, (), ("--model", "@cf/baai/bge-large-en-v1.5")),
    ],
    ids=["text", "line", "side", "instruction", "option", "model"],
)
def test_another_run_does_not_go_on_from_the_partial_file(
    texts: Path, change: Callable[[Path], Any], before: tuple[str, ...], more: tuple[str, ...]
) -> None:
    output = texts.with_name("out.jsonl")
    first = (*OPTIONS, "--concurrency", "1", *before)
    with raw_server({}) as server:
        server.routes["POST /ai/run/"] = lambda request: (
            embedded(request) if len(server.requests) == 1 else error(400, 5006, "no")
        )
        assert run("embed", str(texts), "-o", str(output), *first, env=environment(server)).code == 1
        server.routes["POST /ai/run/"] = embedded
        server.requests.clear()
        change(texts)
        outcome = run("embed", str(texts), "-o", str(output), *more, env=environment(server))
        assert (outcome.code, "--restart discards it" in outcome.stderr) == (2, True)
        assert not server.requests
        assert run("embed", str(texts), "-o", str(output), *more, "--restart", env=environment(server)).code == 0


def test_a_run_that_failed_at_once_does_not_stand_in_the_way_of_another(texts: Path) -> None:
    output = texts.with_name("out.jsonl")
    with raw_server({PATH: embedded, "POST /ai/": error(404, 7003, "Model not found: a/b")}) as server:
        arguments = ("embed", str(texts), "-o", str(output))
        assert run(*arguments, "--model", "a/b", env=environment(server)).code == 1
        assert not [*texts.parent.glob("out.*")]
        assert run(*arguments, env=environment(server)).code == 0


def test_a_finished_output_is_not_embedded_again(texts: Path) -> None:
    output = texts.with_name("out.jsonl")
    with raw_server({PATH: embedded}) as server:
        assert run("embed", str(texts), "-o", str(output), env=environment(server)).code == 0
        server.requests.clear()
        outcome = run("embed", str(texts), "-o", str(output), env=environment(server))
        assert (outcome.code, "--restart replaces it" in outcome.stderr) == (2, True)
        assert not server.requests


def test_standard_input_and_empty_lines(tmp_path: Path) -> None:
    output = tmp_path / "out.jsonl"
    with raw_server({PATH: embedded}) as server:
        stdin = "\ufefftext 1\r\n\r\n text 3\n\u2028text 4\n"
        outcome = run("embed", "-o", str(output), env=environment(server), stdin=stdin)
        assert (outcome.code, "Line 2 of - is empty" in outcome.stderr) == (2, True)
        assert run("embed", "-o", str(output), "--skip-empty", env=environment(server), stdin=stdin).code == 0
    assert [(record["index"], record["text"]) for record in records(output)] == [
        (0, "text 1"),
        (2, " text 3"),
        (3, "\u2028text 4"),
    ]


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (("-o", "out.csv"), "neither in .jsonl nor in .npy"),
        (("-o", "out.jsonl", "--batch-size", "1000"), "at most 100"),
        (("-o", "out.jsonl", "--model", "openai/gpt-5.4/x//"), "not a valid model id"),
        (("-o", "out.jsonl", "--dimensions", "7"), "dimensions"),
        (("-o", "out.jsonl", "--pooling", "cls"), "pooling"),
        (("-o", "out.jsonl", *SIDED, "--instruction", "Find it."), "Add --query"),
        (("-o", "out.jsonl", "--model", "@cf/baai/bge-reranker-base"), "reranking model"),
        ((), "--output"),
    ],
)
def test_an_invalid_option_is_named_before_anything_is_sent(texts: Path, arguments: tuple[str, ...], text: str) -> None:
    changed = [str(texts.with_name(each)) if each.startswith("out.") else each for each in arguments]
    with raw_server({PATH: embedded}) as server:
        outcome = run("embed", str(texts), *changed, env=environment(server))
        assert not server.requests
    assert outcome.code == 2
    assert text in " ".join(outcome.stderr.split())
    assert not [*texts.parent.glob("out.*")]


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    arguments = ("embed", str(tmp_path / "none.txt"), "-o", str(tmp_path / "o.npy"))
    outcome = run(*arguments, env=environment(None))
    assert (outcome.code, "none.txt" in outcome.stderr) == (2, True)
    outcome = run(*arguments, "--json", env=environment(None))
    assert (outcome.code, "none.txt" in json.loads(outcome.stderr)["error"]["message"]) == (2, True)
