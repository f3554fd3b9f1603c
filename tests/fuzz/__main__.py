"""Fuzzes the readers of responses: `python -m tests.fuzz [--minutes N] [--target NAME] [--save]`.

Prints one line of figures for each target. An input that fails is kept in the folder of the run, which is printed with
its traceback; the exit status is then 1.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib.util
import re
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.fuzz import corpus
from tests.fuzz.targets import TARGETS

_STATUS = re.compile(r"^#(\d+)\s+\w+\s+cov: (\d+) ft: (\d+) .*?rss: (\d+)Mb", re.MULTILINE)


def fuzz(target: str, seconds: float, folder: Path) -> bool:
    """Fuzzes one target for some seconds of CPU time; whether nothing was found."""
    inputs = folder / target
    inputs.mkdir(parents=True, exist_ok=True)
    for each in corpus.read(target):
        (inputs / hashlib.sha1(each).hexdigest()).write_bytes(each)
    failures = folder / "failures"
    failures.mkdir(exist_ok=True)
    # The worker limits the CPU time of an input: these are seconds of the clock, which pass also while others run.
    patience = {"timeout": 900, "report_slow_units": 900}
    options = {"artifact_prefix": f"{failures}/{target}-", "max_len": 6000, "rss_limit_mb": 2048, **patience}
    command = [sys.executable, "-m", "tests.fuzz.worker", target, str(seconds), str(failures), str(inputs)]
    command += [f"-{name}={value}" for name, value in options.items()]
    before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
    with open(folder / f"{target}.log", "w+b") as log:
        ended = subprocess.run(command, stdout=log, stderr=log, check=False).returncode
        log.seek(0)
        text = log.read().decode("utf-8", "replace")
    used = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - before
    rows = _STATUS.findall(text)
    (_, coverage, _, memory), (runs, covered, features, most) = (rows[0], rows[-1]) if rows else [("0",) * 4] * 2
    found = bool(ended or [*failures.glob(f"{target}-*")])
    print(
        f"{target:16} {runs:>9} inputs  {used / 60:5.1f} CPU minutes  {'FAILED' if found else 'nothing found'}"
        f"  coverage {coverage} -> {covered} ({features} features)  memory {memory} -> {most} MB",
        flush=True,
    )
    for failure in sorted(failures.glob(f"{target}-*.txt")):
        print(f"{failure.with_suffix('')}:\n{failure.read_text(encoding='utf-8')}")
    if ended:  # the engine itself, such as memory over its limit
        print(text[-6000:])
    return not found


def main() -> int:
    """Fuzzes all targets, each for an equal part of the time."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--minutes", type=float, default=10, help="of CPU time, for all targets together (10)")
    parser.add_argument("--target", choices=TARGETS, help="the only one; otherwise all")
    parser.add_argument("--folder", type=Path, help="where inputs, failures and logs are kept; otherwise a new one")
    parser.add_argument("--save", action="store_true", help="replaces tests/fuzz/corpus by a cover of all inputs")
    options = parser.parse_args()
    if importlib.util.find_spec("atheris") is None:
        parser.error("atheris is not installed: pip install atheris")
    names = [options.target] if options.target else list(TARGETS)
    folder = options.folder or Path(tempfile.mkdtemp(prefix="fuzz-"))
    print(f"Inputs, failures and logs are in {folder}.", flush=True)
    passed = [fuzz(name, options.minutes * 60 / len(names), folder) for name in names]
    if options.save:
        for name in names:
            corpus.write(name, corpus.smallest_cover(name, [file.read_bytes() for file in (folder / name).iterdir()]))
    return 0 if all(passed) else 1


if __name__ == "__main__":
    sys.exit(main())
