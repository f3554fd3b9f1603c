"""Fuzzes one target with atheris: `python -m tests.fuzz.worker TARGET CPU_SECONDS FAILURES [LIBFUZZER_ARGUMENT ...]`.

An input that fails is written to the folder FAILURES with its traceback, the shortest for each place, and the next one
follows.
"""

from __future__ import annotations

import gc
import os
import signal
import sys
import time
import traceback
from pathlib import Path
from random import Random

import atheris  # type: ignore[import-not-found]

with atheris.instrument_imports(include=["cfaig_integrations"]):
    from tests.fuzz import targets
from tests.fuzz.mutations import lengthened, mutated

MOST_CPU_SECONDS = 10
"""Of one input, which takes milliseconds: more is time that is not proportional to its size."""
LONG = 100_000
"""Bytes of the inputs that show it."""
ROUND = 5_000
"""Inputs between two looks at the memory."""
MOST_BLOCKS = 100_000
"""By how much the number of allocated blocks may grow, once caches are filled."""


def main() -> None:
    """Runs until the time is over, which ends in the engine's own summary."""
    target, seconds, failures = sys.argv[1], float(sys.argv[2]), Path(sys.argv[3])
    memory = Memory()

    def test(data: bytes) -> None:
        rng = Random(data)
        if rng.randrange(1000) == 0:
            data = lengthened(data, rng, LONG)
        began = time.process_time()
        try:
            targets.run(target, data)
            used = time.process_time() - began
            assert used < MOST_CPU_SECONDS, f"{len(data)} bytes took {used:.1f} s"
            memory.check()
        except (Exception, targets.TooMuchWork) as error:
            keep(failures, target, data, error)
        if time.process_time() > seconds:
            os.kill(os.getpid(), signal.SIGUSR1)

    def mutate(data: bytes, size: int, seed: int) -> bytes:
        return mutated(data, Random(seed), lambda data, rng: atheris.Mutate(data, len(data) + 64))[:size]

    atheris.Setup([sys.argv[0], *sys.argv[4:]], test, custom_mutator=mutate)
    atheris.Fuzz()


class Memory:
    """The number of allocated blocks, which must not grow with the number of inputs."""

    def __init__(self) -> None:
        self._runs = self._blocks = 0

    def check(self) -> None:
        self._runs += 1
        if self._runs % ROUND == 0:
            gc.collect()
            blocks = sys.getallocatedblocks()
            self._blocks = self._blocks or blocks
            assert blocks < self._blocks + MOST_BLOCKS, f"{self._runs} inputs left {blocks - self._blocks} blocks"


def keep(folder: Path, target: str, data: bytes, error: BaseException) -> None:
    """Writes an input that failed, unless there is a shorter one for the same place."""
    place = traceback.extract_tb(error.__traceback__)[-1]
    path = folder / f"{target}-{type(error).__name__}-{Path(place.filename).stem}-{place.lineno}"
    if not path.exists() or path.stat().st_size > len(data):
        path.write_bytes(data)
        path.with_suffix(".txt").write_text("".join(traceback.format_exception(error))[-6000:], encoding="utf-8")


main()
