"""Each citation of a fact about the wire points to a section of the page of facts, and users are not sent there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
FACTS = (ROOT / "cfaig_integrations/gateway/facts.md").read_text(encoding="utf-8")
SECTIONS = set(re.findall(r"^#{2,3} (\d+(?:\.\d+)?)\b", FACTS, re.MULTILINE)) | set(
    re.findall(r"^\* (\d+\.\d+):", FACTS, re.MULTILINE)
)
SOURCES = sorted([*(ROOT / "cfaig_integrations").rglob("*.py"), *(ROOT / "tests").rglob("*.py")])


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_citation_resolves(path: Path) -> None:
    cited = set(re.findall(r"§(\d+(?:\.\d+)?)", path.read_text(encoding="utf-8")))
    assert cited <= SECTIONS


def test_the_page_cites_its_own_sections() -> None:
    assert set(re.findall(r"§(\d+(?:\.\d+)?)", FACTS)) <= SECTIONS


def test_users_are_not_sent_to_the_page() -> None:
    assert "§" not in (ROOT / "README.md").read_text(encoding="utf-8")


def test_every_fact_has_a_grade() -> None:
    ungraded = [
        section.splitlines()[0]
        for section in re.split(r"^#{2,3} (?=\d)", FACTS, flags=re.MULTILINE)[1:]
        if section.count("\n") > 2 and not re.search(r"\b[DCOI]\b", section)
    ]
    assert not ungraded
