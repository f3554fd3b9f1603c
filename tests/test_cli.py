"""The command `cfaig`."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest
from typer.testing import CliRunner

from cfaig_integrations import __version__
from cfaig_integrations.cli import app


def run(*arguments: str, env: dict[str, str | None] | None = None) -> tuple[int, str]:
    result = CliRunner().invoke(app, list(arguments), env=env)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code, result.output


LANGCHAIN_CALLS = 7
"""A streamed answer, two rounds with a tool, four wires."""
LLAMA_INDEX_CALLS = 6
"""Documents and question embedded, nodes ranked, an answer, and two steps of an agent."""


def logged(output: str) -> tuple[str, int]:
    """What the demo shows of the gateway's log, and how many calls that are."""
    log = output.partition("The gateway's log")[2]
    return log, len(re.findall(r"\b\d\d:\d\d:\d\d\b", log))


def test_demo_shows_both_frameworks_and_the_log() -> None:
    code, output = run("demo")
    assert code == 0
    assert output.count("keeps the first five entries") == 6
    assert output.count("calls read_section({'heading': 'Errors'})") == 2
    assert output.count("slow down") == 2
    assert "from the section Metadata" in output
    assert "is not installed" not in output
    log, calls = logged(output)
    assert calls == LANGCHAIN_CALLS + LLAMA_INDEX_CALLS
    for wire in ("chat/completions", "responses", "messages", "run"):
        assert wire in log
    for said in ("part=wires", "part=query", "part=agent", "agent=reader", "op=index_construction"):
        assert said in log
    assert log.count("app=cfaig-demo") == calls


@pytest.mark.parametrize(
    ("package", "framework", "extra", "calls"),
    [
        ("llama_index", "LlamaIndex", "llama-index", LANGCHAIN_CALLS),
        ("langchain_core", "LangChain", "langchain", LLAMA_INDEX_CALLS),
    ],
)
def test_demo_without_a_framework(
    monkeypatch: pytest.MonkeyPatch, package: str, framework: str, extra: str, calls: int
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    code, output = run("demo")
    assert code == 0
    (told,) = [line for line in output.splitlines() if "is not installed" in line]
    assert told.startswith(framework)
    assert f"pip install 'cfaig-integrations[{extra}]'" in told
    assert f"{framework}: " not in output
    assert logged(output)[1] == calls


def test_live_demo_without_an_account_names_the_missing_value(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (
        "CLOUDFLARE_API_TOKEN",
        "CF_AIG_TOKEN",
        "CF_AI_API_TOKEN",
        "CF_API_TOKEN",
        "CLOUDFLARE_ACCOUNT_ID",
        "CF_ACCOUNT_ID",
    ):
        monkeypatch.delenv(name, raising=False)
    code, output = run("demo", "--live")
    assert code == 1
    assert "CLOUDFLARE_ACCOUNT_ID" in output


def test_version() -> None:
    assert run("--version") == (0, f"cfaig-integrations {__version__}\n")


MISSING = """
import sys
for name in {blocked!r}:
    sys.modules[name] = None
try:
    {statement}
except ImportError as error:
    print(error)
"""


@pytest.mark.parametrize(
    ("statement", "blocked", "extra"),
    [
        ("from cfaig_integrations.langchain import ChatCloudflareAIGateway", ["langchain_core"], "langchain"),
        ("from cfaig_integrations.simulator import Simulator", ["starlette"], "simulator"),
        ("from cfaig_integrations.simulator import Simulator", ["uvicorn"], "simulator"),
        ("import cfaig_integrations.cli", ["typer"], "cli"),
        ("import cfaig_integrations.cli", ["rich"], "cli"),
    ],
)
def test_a_missing_extra_is_named(statement: str, blocked: list[str], extra: str) -> None:
    program = MISSING.format(blocked=blocked, statement=statement)
    printed = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    assert f"cfaig-integrations[{extra}]" in printed
