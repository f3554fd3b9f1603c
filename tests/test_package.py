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


@pytest.mark.parametrize(
    ("statement", "needed"),
    [
        ("import cfaig_integrations", set()),
        ("from cfaig_integrations import RateLimited", set()),
        ("from cfaig_integrations import GatewayOptions", {"pydantic", "pydantic_core"}),
        ("from cfaig_integrations import AIGateway", HEAVY - {"langchain_core", "llama_index", "starlette"}),
    ],
)
def test_an_import_loads_only_what_it_needs(statement: str, needed: set[str]) -> None:
    loaded = imported(statement)
    assert "cfaig_integrations" in loaded
    assert loaded & HEAVY <= needed


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
sys.modules["{package}"] = None
try:
    from cfaig_integrations.{module} import {name}
except ImportError as error:
    print(error)
"""


@pytest.mark.parametrize(
    ("module", "name", "package", "extra"),
    [
        ("langchain", "ChatCloudflareAIGateway", "langchain_core", "langchain"),
        ("langchain", "CloudflareAIGatewayEmbeddings", "langchain_core", "langchain"),
        ("llama_index", "CloudflareAIGateway", "llama_index", "llama-index"),
        ("llama_index", "CloudflareAIGatewayEmbedding", "llama_index", "llama-index"),
        ("llama_index", "CloudflareAIGatewayRerank", "llama_index", "llama-index"),
        ("simulator", "Simulator", "starlette", "simulator"),
        ("simulator", "Simulator", "uvicorn", "simulator"),
        ("cli", "app", "typer", "cli"),
        ("cli", "app", "rich", "cli"),
    ],
)
def test_a_missing_package_names_its_extra(module: str, name: str, package: str, extra: str) -> None:
    code = ABSENT.format(module=module, name=name, package=package)
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert f"pip install 'cfaig-integrations[{extra}]'" in ran.stdout
