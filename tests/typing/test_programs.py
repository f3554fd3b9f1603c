"""Type checkers accept what works at run time, and nothing else."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any, get_type_hints

import pytest

pytest.importorskip("langchain_core")
pytest.importorskip("llama_index.core")

from cfaig_integrations import langchain, llama_index
from cfaig_integrations.gateway.migration import ALIASES
from cfaig_integrations.langchain import signatures as langchain_signatures
from cfaig_integrations.llama_index import signatures as llama_signatures

HERE = Path(__file__).parent
SIGNATURES: list[tuple[type[Any], type[Any]]] = [
    (langchain.ChatCloudflareAIGateway, langchain_signatures.ChatModelArguments),
    (langchain.CloudflareAIGatewayLLM, langchain_signatures.LLMArguments),
    (langchain.CloudflareAIGatewayEmbeddings, langchain_signatures.EmbeddingsArguments),
    (langchain.CloudflareAIGatewayReranker, langchain_signatures.RerankerArguments),
    (llama_index.CloudflareAIGateway, llama_signatures.LLMArguments),
    (llama_index.CloudflareAIGatewayEmbedding, llama_signatures.EmbeddingArguments),
    (llama_index.CloudflareAIGatewayRerank, llama_signatures.RerankArguments),
]


@pytest.mark.parametrize(("kind", "arguments"), SIGNATURES, ids=lambda each: each.__name__)
def test_type_checkers_see_every_argument_and_alias(kind: type[Any], arguments: type[Any]) -> None:
    fields = kind.model_fields.keys()
    names = {*fields, *(alias for alias, name in ALIASES.items() if name in fields)}
    assert get_type_hints(arguments).keys() == names - {"model", "model_name"}


def test_pyright_accepts_programs_of_users() -> None:
    """Each `pyright: ignore` in them is a mistake that pyright must see."""
    pyright = shutil.which("pyright", path=str(Path(sys.executable).parent)) or shutil.which("pyright")
    if pyright is None:
        pytest.skip("PYRIGHT IS ABSENT: the programs of tests/typing were not checked")
    command = [pyright, "--project", str(HERE / "pyrightconfig.json"), "--pythonpath", sys.executable, "--outputjson"]
    report = json.loads(subprocess.run(command, capture_output=True, text=True, check=False).stdout)
    assert [f"{each['file']}: {each['message']}" for each in report["generalDiagnostics"]] == []
    assert report["summary"]["filesAnalyzed"] == len(list(HERE.glob("*_program.py")))
