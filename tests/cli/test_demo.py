"""`cfaig demo`: what it shows of both frameworks and of the gateway, and what it costs."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest

from cfaig_integrations.cli.demo import CALLS, TOKENS_IN, TOKENS_OUT, estimate
from tests.cli.kit import environment, run

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
    outcome = run("demo", env=environment(None))
    assert outcome.code == 0
    return outcome.stdout


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
    summary = run("demo", "--json", env=environment(None)).json
    assert (summary["entries"], summary["models"]["openai/gpt-5.4"]["cached"]) == (20, 1)
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
def test_demo_without_a_framework_leaves_its_part_out(
    monkeypatch: pytest.MonkeyPatch, package: str, framework: str, extra: str, calls: int
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    outcome = run("demo", env=environment(None))
    assert outcome.code == 0
    (note,) = [line for line in outcome.stdout.splitlines() if "is not installed" in line]
    assert note.startswith(framework)
    assert f"pip install 'cfaig-integrations[{extra}]'" in note
    assert f"{framework}: " not in outcome.stdout
    assert logged(outcome.stdout)[1] == calls


def test_live_demo_without_an_account_names_the_missing_value() -> None:
    outcome = run("demo", "--live", env=environment(None, CLOUDFLARE_ACCOUNT_ID=None))
    assert outcome.code == 2
    assert -1 < outcome.stderr.find("estimated cost") < outcome.stderr.find("CLOUDFLARE_ACCOUNT_ID")
