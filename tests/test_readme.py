"""What the README shows runs as it stands there."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from cfaig_integrations.adapters.fields import ChatFields
from cfaig_integrations.langchain import ChatCloudflareAIGateway
from cfaig_integrations.llama_index import CloudflareAIGateway
from cfaig_integrations.simulator import Simulator

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


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
    _, _, llama = printed.partition("Rain in Paris.\n")
    assert re.search(r"^Rome is in Italy\. 0\.\d+$", llama, flags=re.MULTILINE)
    assert re.search(r"^city='France' ", llama, flags=re.MULTILINE)
    assert "\nMISS\n" in llama


def test_the_constructor_words_are_those_of_the_classes() -> None:
    shown = README.partition("\n## Constructor arguments\n")[2].partition("\n#")[0]
    rows = [line.split("|")[1:3] for line in shown.splitlines() if line.startswith("| `")]
    meant = {word: meaning for words, meaning in rows for word in re.findall(r"`(\w+)`", words)}
    assert meant.keys() >= ChatFields.model_fields.keys()
    langchain, llama = ChatCloudflareAIGateway.model_fields.keys(), CloudflareAIGateway.model_fields.keys()
    for word, meaning in meant.items():
        assert (word in langchain, word in llama) == (
            not meaning.rstrip().endswith(("LlamaIndex only", "for LlamaIndex")),
            not meaning.rstrip().endswith("LangChain only"),
        ), word


def test_the_two_commands_are_one_line_each() -> None:
    commands = [
        line for block in blocks("bash") for line in block.splitlines() if line.startswith("python3.11 -m venv")
    ]
    assert len(commands) == 2
    assert commands[0].endswith("cfaig demo")
    assert "pytest" in commands[1]


def test_the_paths_for_contributors_exist() -> None:
    section = README.partition("\n## Contributing\n")[2]
    named = re.findall(r"`([\w.]+/[\w./]*)`", section)
    assert len(named) > 10
    assert not [
        path for path in named if not any((base / path).exists() for base in (ROOT, ROOT / "cfaig_integrations"))
    ]
