"""Models in worker processes of Ray and Dask. Both run in processes of their own: Ray leaves threads and sockets."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

if find_spec("ray") is None or find_spec("dask") is None:
    pytest.skip("needs Ray and Dask: pip install -e '.[test-scale-out]'", allow_module_level=True)


def printed(*arguments: str) -> Any:
    """The JSON that a module prints last."""
    ran = subprocess.run(
        [sys.executable, "-m", *arguments], capture_output=True, text=True, check=False, cwd=Path(__file__).parents[2]
    )
    assert ran.returncode == 0, ran.stderr
    return json.loads(ran.stdout.splitlines()[-1])


def test_every_text_is_stored_once_although_a_worker_dies() -> None:
    report = printed("tests.scale_out", "--kill")
    del report["rows per second"]
    assert report == {
        "rows in": 50_000,
        "rows out": 50_000,
        "duplicates": 0,
        "lost": 0,
        "workers killed": 1,
        "wrong vectors": 0,
        "texts sent": 51_000,  # the killed worker had sent a batch of 1,000
    }


def test_models_of_both_frameworks_work_unchanged_in_workers() -> None:
    report = printed("tests.scale_out.calls")
    assert report["ray"] == [True] * 7
    assert report["dask"] == [True] * 2
    assert all("CLOUDFLARE_API_TOKEN" in error and "pickle" in error for error in report["without token"])
    assert report["limited"]
    assert report["requests"] == 3
