"""What the README shows runs as it stands there: each block alone, with the variables that `cfaig serve` prints."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from cfaig_integrations import __version__
from cfaig_integrations.simulator import Simulator

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[tuple[str, str]]:
    """Section and text of each code block."""
    sections = re.split(r"^## (.+)\n", README, flags=re.MULTILINE)
    return [
        (section, block)
        for section, text in zip(sections[1::2], sections[2::2], strict=True)
        for block in re.findall(rf"^```{language}\n(.*?)^```$", text, flags=re.MULTILINE | re.DOTALL)
    ]


PROGRAMS = [block for section, block in blocks("python") if section != "Testing your program"]
"""The example for pytest is run in `tests/simulator/test_pytest_plugin.py`."""
PRINTED = [
    r"^The shop is open from 9 to 17 on weekdays\.\n\d+ [\w-]{36}\nThe shop is open from 9 to 17 on weekdays\.$",
    r"^Rome is in Italy\.\n$",
    r"^MISS\nHIT\n\w+\n$",
    r"\$0\.\d+ {.*'user_id': 'ben'.*\n.*\$0\.\d+ {'user_id': 'ana', 'team': 'docs', 'thread_id': 't1'",
    r"^2 calls, \$0\.\d+; not in the log: \(\)\n{'docs': '\$0\.\d+'}\nthe first: \$0\.\d+\n$",
    r"^city='Paris' quantity=3\nRain in Paris\.\n$",
    r"^Rome is in Italy\.\n$",
    r"^Hello!",
]
"""What each of them prints."""


@pytest.mark.parametrize(("program", "printed"), [*zip(PROGRAMS, PRINTED, strict=True)], ids=range(len(PROGRAMS)))
def test_every_python_block_runs_alone(
    program: str, printed: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with Simulator() as simulator:
        for name, value in simulator.environment.items():
            monkeypatch.setenv(name, value)
        namespace: dict[str, Any] = {}
        exec(compile(program, "README.md", "exec"), namespace)
    assert re.search(printed, capsys.readouterr().out)


def test_the_two_commands_are_one_line_each() -> None:
    commands = [
        line for _, block in blocks("bash") for line in block.splitlines() if line.startswith("python3.11 -m venv")
    ]
    assert len(commands) == 2
    assert commands[0].endswith("cfaig demo")
    assert "pytest" in commands[1]


def test_the_files_that_are_named_exist() -> None:
    """Paths are those of the repository, or, for those who change the code, of the package."""
    named = re.findall(r"`([\w.]+/[\w./]*)`", README.partition("\n## Development\n")[2])
    named += re.findall(r"\]\(((?!https?:)[^)]+)\)", README)
    assert len(named) > 8
    bases = (ROOT, ROOT / "cfaig_integrations")
    assert not [path for path in named if not any((base / path).exists() for base in bases)]


def test_the_page_is_short() -> None:
    assert len(README.splitlines()) <= 300


def test_the_changelog_begins_with_this_version() -> None:
    _, changes = README.split("\n## Changelog and versions\n")
    assert re.findall(r"^\*\*(\S+)\*\*", changes, flags=re.MULTILINE)[0] == __version__
