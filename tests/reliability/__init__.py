"""What is promised when things fail, and under load. `python -m tests.reliability` runs everything at full size."""

from __future__ import annotations

import os

FULL = os.environ.get("RELIABILITY") == "full"
"""Whether every case is run; by default a part of them, with the other tests."""
