"""The inputs that fuzzing found worth keeping, replayed without its engine."""

from __future__ import annotations

import gc
import sys
from random import Random
from typing import Any

import pytest

from cfaig_integrations.wire.chat_completions.stream import ChatCompletionsDecoder
from cfaig_integrations.wire.decoder import EventDecoder
from tests.fuzz import corpus, targets
from tests.fuzz.mutations import lengthened, mutated
from tests.fuzz.targets import TARGETS, TooMuchWork, run


@pytest.mark.parametrize("target", TARGETS)
def test_every_input_of_the_corpus_passes(target: str) -> None:
    inputs = corpus.read(target)
    assert inputs
    for data in inputs:
        run(target, data)


@pytest.mark.parametrize("target", TARGETS)
def test_the_work_is_proportional_to_the_input(target: str) -> None:
    rng = Random(target)
    for data in sorted(corpus.read(target), key=len)[-3:]:
        run(target, lengthened(data, rng, 20_000))


@pytest.mark.parametrize("target", TARGETS)
def test_some_mutations_of_the_corpus_pass(target: str) -> None:
    rng, inputs = Random(target), corpus.read(target)
    for _ in range(10):
        run(target, mutated(rng.choice(inputs), rng))


def test_reading_leaves_nothing_in_memory() -> None:
    def blocks() -> int:
        for target in TARGETS:
            for data in corpus.read(target)[:4]:
                run(target, data)
        gc.collect()
        return sys.getallocatedblocks()

    before = [blocks(), blocks()][-1]  # the first round fills caches
    assert blocks() < before + 1000


def test_the_corpus_is_small() -> None:
    assert {path.stem for path in corpus.FOLDER.iterdir()} == set(TARGETS)
    assert sum(path.stat().st_size for path in corpus.FOLDER.iterdir()) < 200_000


def test_a_truncated_stream_that_is_accepted_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ChatCompletionsDecoder, "_missing", lambda self: "")
    with pytest.raises(AssertionError, match="was read as"):
        [run("answers", data) for data in corpus.read("answers")]


def test_an_exception_of_another_class_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(self: Any, name: str, data: bytes) -> Any:
        raise KeyError(name)

    monkeypatch.setattr(EventDecoder, "feed", fails)
    with pytest.raises(KeyError):
        run("messages", b"data: {}\n\n")


def test_quadratic_work_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    def quadratic(data: bytes) -> None:
        for _ in data:
            for each in data:
                max(each, 0, key=lambda value: value)

    monkeypatch.setitem(targets.TARGETS, "quadratic", quadratic)
    run("quadratic", b"x" * 50)
    with pytest.raises(TooMuchWork):
        run("quadratic", b"x" * 1000)
