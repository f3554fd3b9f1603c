"""What the README shows runs as it stands there."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from cfaig_integrations.simulator import Simulator

README = (Path(__file__).resolve().parents[1] / "README.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", README, flags=re.MULTILINE | re.DOTALL)


def test_every_python_block_runs(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    namespace: dict[str, Any] = {}
    with Simulator() as simulator:
        for name, value in simulator.environment.items():
            monkeypatch.setenv(name, value)
        for block in blocks("python"):
            exec(compile(block, "README.md", "exec"), namespace)
    printed = capsys.readouterr().out
    assert "input_tokens" in printed
    assert "'name': 'weather', 'args': {'city': 'Paris'}" in printed


def test_the_two_commands_are_one_line_each() -> None:
    commands = [
        line for block in blocks("bash") for line in block.splitlines() if line.startswith("python3.11 -m venv")
    ]
    assert len(commands) == 2
    assert commands[0].endswith("cfaig demo")
    assert "pytest" in commands[1]
