"""What the package is from outside: its names, and what importing it costs."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import cfaig_integrations
from cfaig_integrations import errors

ROOT = Path(__file__).resolve().parents[1]


def imported(statement: str) -> set[str]:
    """Top-level packages that a fresh process has loaded after a statement."""
    code = f"{statement}\nimport sys\nprint(*sorted({{name.partition('.')[0] for name in sys.modules}}))"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    return set(ran.stdout.split())


HEAVY = {"anyio", "httpcore", "httpx", "langchain_core", "llama_index", "pydantic", "pydantic_core", "starlette"}


def test_importing_the_package_imports_nothing_else() -> None:
    assert not imported("import cfaig_integrations") & HEAVY


def test_errors_need_nothing_either() -> None:
    assert not imported("from cfaig_integrations import RateLimited") & HEAVY


def test_options_need_no_http_and_no_framework() -> None:
    assert imported("from cfaig_integrations import GatewayOptions") & HEAVY <= {"pydantic", "pydantic_core"}


def test_the_client_needs_no_framework() -> None:
    loaded = imported("from cfaig_integrations import AIGateway")
    assert "httpx" in loaded
    assert not loaded & {"langchain_core", "llama_index", "starlette"}


@pytest.mark.parametrize("name", cfaig_integrations.__all__)
def test_every_name_is_there(name: str) -> None:
    assert getattr(cfaig_integrations, name) is not None
    assert name in dir(cfaig_integrations)


def test_every_error_is_offered() -> None:
    assert set(errors.__all__) <= set(cfaig_integrations.__all__)


def test_a_name_that_is_not_there() -> None:
    with pytest.raises(AttributeError, match="no_such_name"):
        _ = cfaig_integrations.no_such_name


ABSENT = """
import sys
class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "{framework}":
            raise ModuleNotFoundError("No module named " + name, name=name)
sys.meta_path.insert(0, Absent())
try:
    from cfaig_integrations.{adapter} import {name}
except ImportError as error:
    print(error)
"""


@pytest.mark.parametrize(
    ("adapter", "name", "framework", "extra"),
    [
        ("langchain", "ChatCloudflareAIGateway", "langchain_core", "langchain"),
        ("langchain", "CloudflareAIGatewayEmbeddings", "langchain_core", "langchain"),
        ("llama_index", "CloudflareAIGateway", "llama_index", "llama-index"),
        ("llama_index", "CloudflareAIGatewayEmbedding", "llama_index", "llama-index"),
        ("llama_index", "CloudflareAIGatewayRerank", "llama_index", "llama-index"),
    ],
)
def test_a_missing_framework_names_its_extra(adapter: str, name: str, framework: str, extra: str) -> None:
    code = ABSENT.format(adapter=adapter, name=name, framework=framework)
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert f"pip install 'cfaig-integrations[{extra}]'" in ran.stdout
