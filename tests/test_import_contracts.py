"""Each import contract is broken once in a copy, and import-linter reports it."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]

BREACHES = {
    "core imports a wire": ("core/content.py", "import cfaig_integrations.wire.sse"),
    "core imports pydantic": ("core/content.py", "import pydantic"),
    "errors import core": ("errors.py", "import cfaig_integrations.core.content"),
    "a wire imports the gateway": ("wire/sse.py", "import cfaig_integrations.gateway.options"),
    "a wire imports another": ("wire/messages/decode.py", "import cfaig_integrations.wire.responses"),
    "a wire imports httpx": ("wire/sse.py", "import httpx"),
    "the gateway imports httpx": ("gateway/retry.py", "import httpx"),
    "the gateway imports the client": ("gateway/retry.py", "import cfaig_integrations.client.pool"),
    "the client imports a framework": ("client/sync.py", "import langchain_core"),
    "the client imports an adapter": ("client/sync.py", "import cfaig_integrations.langchain"),
    "an adapter names a wire": ("langchain/inbound.py", "import cfaig_integrations.wire.messages"),
    "an adapter imports httpx": ("langchain/inbound.py", "import httpx"),
    "the other adapter names a wire": ("llama_index/fields.py", "import cfaig_integrations.wire.messages"),
    "the other adapter imports httpx": ("llama_index/fields.py", "import httpx"),
    "an adapter imports the other": ("llama_index/fields.py", "import cfaig_integrations.langchain.base"),
    "the other imports the one": ("langchain/base.py", "import cfaig_integrations.llama_index.fields"),
    "the simulator imports core": ("simulator/fake_model/__init__.py", "import cfaig_integrations.core.content"),
    "the simulator imports the client": ("simulator/fake_model/__init__.py", "import cfaig_integrations.client.sync"),
    "the client imports the simulator": ("client/sync.py", "import cfaig_integrations.simulator"),
}


def lint(root: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", "from importlinter.cli import lint_imports_command; lint_imports_command()"]
    environment = {"PYTHONPATH": str(root), "PATH": "/usr/bin:/bin", "HOME": str(root)}
    return subprocess.run(
        [*command, "--no-cache"], cwd=root, env=environment, capture_output=True, text=True, check=False
    )


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("package")
    shutil.copy(ROOT / "pyproject.toml", root)
    shutil.copytree(
        ROOT / "cfaig_integrations", root / "cfaig_integrations", ignore=shutil.ignore_patterns("__pycache__")
    )
    return root


def test_the_contracts_hold(package: Path) -> None:
    result = lint(package)
    assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.parametrize("breach", BREACHES)
def test_a_breach_is_seen(package: Path, breach: str) -> None:
    name, statement = BREACHES[breach]
    file = package / "cfaig_integrations" / name
    intact = file.read_text(encoding="utf-8")
    file.write_text(f"{intact}\n{statement}\n", encoding="utf-8")
    try:
        result = lint(package)
    finally:
        file.write_text(intact, encoding="utf-8")
    assert result.returncode == 1, result.stdout + result.stderr
    assert "BROKEN" in result.stdout
