"""The command `cfaig`."""

from __future__ import annotations

import json
import re
import subprocess
import sys

import pytest
from typer.testing import CliRunner

from cfaig_integrations import __version__
from cfaig_integrations.cli import app
from cfaig_integrations.cli.demo import CALLS, TOKENS_IN, TOKENS_OUT, estimate


def run(*arguments: str, env: dict[str, str | None] | None = None) -> tuple[int, str]:
    result = CliRunner().invoke(app, list(arguments), env=env)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code, result.output


LANGCHAIN_CALLS = 8
"""A streamed answer, two rounds with a tool, structured output, four wires."""
LLAMA_INDEX_CALLS = 7
"""Documents and question embedded, nodes ranked, an answer, structured output, and two steps of an agent."""
GATEWAY_CALLS = 5
"""A miss and a hit, a 429 and its retry, a truncated stream."""


def logged(output: str) -> tuple[str, int]:
    """What the demo shows of the gateway's log, and how many calls that are."""
    log = output.partition("The gateway's log")[2]
    return log, len(re.findall(r"\b\d\d:\d\d:\d\d\b", log))


@pytest.fixture(scope="module")
def output() -> str:
    """What the demo prints."""
    code, printed = run("demo")
    assert code == 0
    return printed


def test_demo_shows_both_frameworks_and_the_log(output: str) -> None:
    assert output.count("Cloudflare keeps the first five entries") >= 2, "the others are broken into cells of a table"
    assert output.count("Cloudflare keeps the") == 6
    assert output.count("calls read_section({'heading': 'Errors'})") == 2
    assert output.count("MetadataRule(entries=5, characters=200)") == 2
    assert output.count("slow down") == 2
    assert "from the section Metadata" in output
    assert "is not installed" not in output
    log, calls = logged(output)
    assert calls == LANGCHAIN_CALLS + LLAMA_INDEX_CALLS + GATEWAY_CALLS
    for wire in ("chat/completions", "responses", "messages", "run"):
        assert wire in log
    for entry in ("part=wires", "part=query", "part=agent", "agent=reader", "op=index_construction"):
        assert entry in log
    assert log.count("app=cfaig-demo") == calls


def test_demo_shows_what_the_gateway_does(output: str) -> None:
    assert re.search(r"^cache MISS  cost \$0\.\d*[1-9]\d*  log \S+$", output, flags=re.MULTILINE)
    assert re.search(r"^cache HIT   cost     \$0\.00  log \S+$", output, flags=re.MULTILINE)
    assert "429 Rate limited, retried: 2 requests" in output
    assert re.search(r"received '.+', then StreamBroken", output)
    assert re.search(r"^total +20 +1 +1 ", output, flags=re.MULTILINE)
    assert "cfaig doctor" in output.partition("Next steps")[2]


def test_rows_of_the_demo_fit_and_log_ids_are_whole(output: str) -> None:
    rows = output.partition("four wire formats")[2].splitlines()
    streamed = [line for line in rows if len(line) > 100]
    assert all(line.startswith("Cloudflare keeps the first five") for line in streamed)
    ids = [line.split()[0] for line in rows if re.search(r"\b\d\d:\d\d:\d\d\b", line)]
    assert len(ids) == 20
    assert all(re.fullmatch(r"[0-9a-f-]{36}", each) for each in ids)


def test_the_summary_as_json_and_the_estimate_of_the_costs() -> None:
    code, printed = run("demo", "--json")
    summary = json.loads(printed)
    assert (code, summary["entries"], summary["models"]["openai/gpt-5.4"]["cached"]) == (0, 20, 1)
    models = summary["models"].values()
    assert sum(model["calls"] for model in models) - GATEWAY_CALLS + 2 == CALLS
    assert sum(model["tokens_in"] for model in models) <= TOKENS_IN
    assert sum(model["tokens_out"] for model in models) <= TOKENS_OUT
    assert "estimated cost $0." in estimate()


def test_demo_without_the_simulator_says_so_in_one_line() -> None:
    program = (
        "import sys\n"
        "sys.modules['starlette'] = None\n"
        "sys.argv = ['cfaig', 'demo']\n"
        "from cfaig_integrations.cli import main\n"
        "main()"
    )
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stdout) == (1, "")
    (line,) = ended.stderr.splitlines()
    assert "pip install 'cfaig-integrations[simulator]'" in line


@pytest.mark.parametrize(
    ("package", "framework", "extra", "calls"),
    [
        ("llama_index", "LlamaIndex", "llama-index", LANGCHAIN_CALLS + GATEWAY_CALLS),
        ("langchain_core", "LangChain", "langchain", LLAMA_INDEX_CALLS + GATEWAY_CALLS),
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
    assert code == 2
    assert "CLOUDFLARE_ACCOUNT_ID" in output
    assert output.index("estimated cost") < output.index("CLOUDFLARE_ACCOUNT_ID")


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
