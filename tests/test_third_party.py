"""The programs of third-party packages, which `tests/third_party/run.py` installs and runs, are complete."""

from __future__ import annotations

import ast
import tomllib
from pathlib import Path

import pytest

FOLDER = Path(__file__).parent / "third_party"
PACKAGES = tomllib.loads((FOLDER / "packages.toml").read_text(encoding="utf-8"))
PROGRAMS = sorted(path for path in (FOLDER / "programs").glob("*.py") if path.name != "__init__.py")


def test_each_program_has_its_requirements() -> None:
    assert [path.stem for path in PROGRAMS] == sorted(PACKAGES)


@pytest.mark.parametrize("path", PROGRAMS, ids=lambda path: path.stem)
def test_a_program_can_be_run(path: Path) -> None:
    body = ast.parse(path.read_text(encoding="utf-8")).body
    assert [each for each in body if isinstance(each, ast.FunctionDef) and each.name == "run"]
