"""`cfaig` itself."""

from __future__ import annotations

from cfaig_integrations import __version__
from tests.cli.kit import environment, run


def test_the_version_is_printed() -> None:
    outcome = run("--version", env=environment(None))
    assert (outcome.code, outcome.stdout) == (0, f"cfaig-integrations {__version__}\n")
