"""The pytest plugin in test sessions of a user, each a process of its own."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable
from importlib.util import find_spec
from inspect import getdoc
from pathlib import Path
from textwrap import dedent

import pytest

ROOT = Path(__file__).resolve().parents[2]
PLUGIN = "cfaig_integrations.simulator.pytest_plugin"
PROGRAM = """
import os
import httpx

def call(**options):
    account = f"{os.environ['CLOUDFLARE_API_BASE_URL']}/accounts/{os.environ['CLOUDFLARE_ACCOUNT_ID']}"
    headers = {"authorization": "Bearer " + os.environ["CLOUDFLARE_API_TOKEN"]}
    body = {"model": "openai/gpt-4.1", "messages": [{"role": "user", "content": "Hello?"}]}
    response = httpx.post(account + '/ai/v1/chat/completions', json=body, headers=headers, **options)
    return response.json()["choices"][0]["message"]["content"] if response.is_success else response.status_code
"""
Session = Callable[[str], str]


@pytest.fixture
def session(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Session:
    """Runs the tests of a source text; returns what pytest prints."""
    for name in ("CLOUDFLARE_API_BASE_URL", "NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "program.py").write_text(PROGRAM, encoding="utf-8")

    def run(source: str) -> str:
        (tmp_path / "test_program.py").write_text(dedent(source), encoding="utf-8")
        done = subprocess.run(
            [sys.executable, "-m", "pytest", "-q", "-p", PLUGIN],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
            # Other plugins are of no use here, and slow to load.
            env={**os.environ, "PYTHONPATH": str(ROOT), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
        )
        return done.stdout + done.stderr

    return run


def outcome(output: str) -> str:
    """`1 failed, 2 passed` and the like."""
    found = re.search(r"^((?:\d+ \w+(?:, )?)+).* in [\d.]+s", output, flags=re.MULTILINE)
    assert found, output
    return found[1].removesuffix(", ")


def test_the_script_ends_with_the_test_and_so_does_the_environment(
    session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):  # which cannot reach the gateway
        monkeypatch.setenv(name, "http://proxy.invalid:1")
    output = session(
        """
        import os
        import threading
        import time
        from program import call

        def test_one(ai_gateway):
            ai_gateway.script([{"text": "one", "times": None}])
            ai_gateway.strict = True
            ai_gateway.simulator.gateway(rate_limiting_limit=1, rate_limiting_interval=600)
            assert call() == "one"

        def test_two(ai_gateway):
            ai_gateway.reply("late", delay=1)
            threading.Thread(target=call, daemon=True).start()
            while not ai_gateway.simulator.in_flight:
                time.sleep(0.01)

        def test_three(ai_gateway):
            assert not ai_gateway.strict
            assert ai_gateway.simulator.in_flight == 0
            assert ai_gateway.requests == ai_gateway.simulator.logs() == []
            assert [call() != "one" for _ in range(2)] == [True, True]

        def test_four():
            assert "CLOUDFLARE_API_BASE_URL" not in os.environ
            assert "NO_PROXY" not in os.environ
        """
    )
    assert outcome(output) == "4 passed", output


def test_failures_name_the_calls_and_the_line_of_the_test(session: Session) -> None:
    output = session(
        """
        from program import call

        def test_hidden_refusal(ai_gateway):
            ai_gateway.strict = True
            ai_gateway.reply("one")
            assert call() == "one"
            assert call() == 422

        def test_after_it(ai_gateway):
            call()

        def test_failure(ai_gateway):
            call()
            assert False

        def test_wrong_script(ai_gateway):
            ai_gateway.reply(txt="Hello")
        """
    )
    assert outcome(output) == "3 failed, 1 passed", output
    refused, failed, wrong = output.split("____ test_")[1:]
    assert "calls without a scripted reply:\n  openai/gpt-4.1: 'Hello?'\n" in refused
    assert "\n2. openai/gpt-4.1 (chat_completions): 'Hello?'\n" in refused
    assert "\n1. openai/gpt-4.1 (chat_completions): 'Hello?'\n" in failed
    assert re.search(r"^> +ai_gateway\.reply\(txt=", wrong, flags=re.MULTILINE)
    assert "no key 'txt'; the keys are: delay, " in wrong
    assert "steps.py" not in wrong


def test_strict_can_be_the_default_of_a_project(session: Session, tmp_path: Path) -> None:
    (tmp_path / "pytest.ini").write_text("[pytest]\nai_gateway_strict = true\n", encoding="utf-8")
    output = session(
        """
        from program import call

        def test_strict(ai_gateway):
            call()

        def test_not_strict(ai_gateway):
            ai_gateway.strict = False
            call()
        """
    )
    assert outcome(output) == "1 failed, 1 passed", output


def test_without_the_extra_it_says_what_to_install(session: Session) -> None:
    output = session(
        """
        import sys
        sys.modules["uvicorn"] = None

        def test_it(ai_gateway):
            pass
        """
    )
    assert outcome(output) == "1 error", output
    assert "pip install 'cfaig-integrations[simulator]'" in output


@pytest.mark.skipif(find_spec("langchain") is None, reason="the example is for LangChain")
def test_the_example_of_the_readme(session: Session) -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    section = readme.partition("\n## Testing your program\n")[2].partition("\n#")[0]
    (source,) = re.findall(r"^```python\n(.*?)^```$", section, flags=re.MULTILINE | re.DOTALL)
    output = session(source)
    assert outcome(output).startswith("1 passed"), output


def test_the_docstring_of_a_reply_names_every_key() -> None:
    from cfaig_integrations.simulator import ScriptedGateway
    from cfaig_integrations.simulator.scripting.script import KEYS

    # Python 3.13 removes the indentation of docstrings.
    fields = (getdoc(ScriptedGateway.reply) or "").partition("Any of these:")[2].partition("Raises:")[0]
    named = [key for keys in re.findall(r"^ {8}([a-z_, ]+):", fields, flags=re.MULTILINE) for key in keys.split(", ")]
    assert sorted(["text", *named]) == list(KEYS)


def test_the_plugin_itself_imports_nothing_but_pytest() -> None:
    code = f"import sys, pytest; before = set(sys.modules); import {PLUGIN}; print(*sorted(set(sys.modules) - before))"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env={"PYTHONPATH": str(ROOT)}
    )
    assert {name.partition(".")[0] for name in done.stdout.split()} <= {"cfaig_integrations"}


def test_failures_of_pytest_itself_list_the_requests(session: Session) -> None:
    output = session("""
        import pytest
        from program import call

        def test_raises(ai_gateway):
            call()
            with pytest.raises(ValueError):
                pass

        def test_fail(ai_gateway):
            call()
            pytest.fail("wrong")
    """)
    assert outcome(output) == "2 failed"
    assert output.count("1. openai/gpt-4.1 (chat_completions): 'Hello?'") == 2


def test_strict_sees_the_calls_after_the_test(session: Session) -> None:
    output = session("""
        import pytest
        from program import call

        @pytest.fixture
        def program(ai_gateway):
            ai_gateway.strict = True
            yield
            assert call() == 400

        def test_teardown(program):
            pass

        def test_next(ai_gateway):
            assert ai_gateway.requests == []
    """)
    assert outcome(output) == "2 passed, 1 error"
    assert "received calls without a scripted reply" in output
