"""`cfaig` itself."""

from __future__ import annotations

import subprocess
import sys

import pytest

from cfaig_integrations import __version__
from tests.cli.kit import environment, run


def test_the_version_is_printed() -> None:
    outcome = run("--version", env=environment(None))
    assert (outcome.code, outcome.stdout) == (0, f"cfaig-integrations {__version__}\n")


@pytest.mark.parametrize("package", ["typer", "rich"])
def test_without_its_extra_the_command_says_what_to_install(package: str) -> None:
    program = f"import sys; sys.modules[{package!r}] = None; from cfaig_integrations.cli import main; main()"
    outcome = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    (line,) = outcome.stderr.splitlines()
    assert (outcome.returncode, "cfaig-integrations[cli]" in line) == (1, True)


@pytest.mark.parametrize(
    ("command", "text"),
    [
        ("embed", "Lines per request [default: the most]."),
        ("logs", "Most entries [default: 20; with --totals all]."),
        ("doctor", "doctor asks before it sends them, and skips them without a terminal unless --yes is set."),
    ],
)
def test_help_is_complete_and_its_paragraphs_are_filled(command: str, text: str) -> None:
    outcome = run(command, "--help", env=environment(None, COLUMNS="200"))
    assert text in outcome.stdout
