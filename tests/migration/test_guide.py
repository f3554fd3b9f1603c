"""The migration guide, `notebooks/08_migrating.ipynb`: each line of its tables that replaces another runs."""

from __future__ import annotations

import ast
import json
import re
from pathlib import Path
from typing import Any, NamedTuple

import pytest

pytest.importorskip("langchain_core")
pytest.importorskip("llama_index.core")

import httpx
from langchain_core.messages import SystemMessage
from llama_index.core.llms import ChatMessage

from cfaig_integrations import GatewayOptions, errors
from cfaig_integrations.langchain import (
    ChatCloudflareAIGateway,
    CloudflareAIGatewayEmbeddings,
    CloudflareAIGatewayReranker,
)
from cfaig_integrations.llama_index import CloudflareAIGateway, CloudflareAIGatewayEmbedding
from cfaig_integrations.simulator import Simulator

ROOT = Path(__file__).resolve().parents[2]
GUIDE = ROOT / "notebooks" / "08_migrating.ipynb"
CELLS = json.loads(GUIDE.read_text(encoding="utf-8"))["cells"]
TEXT = "\n\n".join("".join(cell["source"]) for cell in CELLS if cell["cell_type"] == "markdown")
ARGUMENTS = json.loads((Path(__file__).parent / "arguments.json").read_text(encoding="utf-8"))["constructors"]
MODELS = {
    "ChatOpenAI with a base_url": "openai/gpt-5.4",
    "ChatAnthropic": "anthropic/claude-sonnet-4.5",
    "langchain-cloudflare": "@cf/zai-org/glm-5.2",
    "LlamaIndex's OpenAI with llama-index-llms-cloudflare-ai-gateway": "openai/gpt-5.4",
}
"""Section -> the model that `...` stands for."""


class Row(NamedTuple):
    """A row of a table."""

    section: str
    before: str
    now: list[str]
    """Lines of code; empty for what is to be left out."""


def rows() -> list[Row]:
    """The rows of all tables with the columns `before` and `now`."""
    found, section = [], ""
    for line in TEXT.splitlines():
        if line.startswith("## "):
            section = line.removeprefix("## ")
        if line.startswith("| `"):
            before, now, _ = line.strip("|").split("|")
            found.append(Row(section, before.split("`")[1], re.findall("`([^`]+)`", now)))
    return found


ROWS = rows()


def namespace(section: str, simulator: Simulator) -> dict[str, Any]:
    """What the lines of a section use."""
    model = MODELS[section]
    chat, llm = ChatCloudflareAIGateway(model), CloudflareAIGateway(model)
    messages = [ChatMessage("Hi")]
    simulator.reply("Hello.", reasoning="A greeting.", times=2)
    classes = (
        *(ChatCloudflareAIGateway, CloudflareAIGatewayEmbeddings, CloudflareAIGatewayReranker, SystemMessage),
        *(CloudflareAIGateway, CloudflareAIGatewayEmbedding, GatewayOptions),
    )
    return {each.__name__: each for each in classes} | {
        "ACCOUNT": simulator.account_id,
        "TOKEN": simulator.api_token,
        "answer": chat.invoke("Hi"),
        "httpx": httpx,
        "llm": llm,
        "messages": messages,
        "model": chat,
        "response": llm.chat(messages),
    }


class Complete(ast.NodeTransformer):
    """Writes a model in place of `...`."""

    def __init__(self, model: str) -> None:
        self.model = model

    def visit_Constant(self, node: ast.Constant) -> ast.Constant:
        return ast.Constant(self.model) if node.value is ... else node


def use(value: Any) -> None:
    """Sends something with the value of a line."""
    match value:
        case ChatCloudflareAIGateway():
            if value.http_client is None:  # else it is the client of a proxy, and no proxy runs
                value.invoke("Hi")
        case SystemMessage():
            ChatCloudflareAIGateway("anthropic/claude-sonnet-4.5").invoke([value, ("user", "Hi")])
        case CloudflareAIGateway():
            value.chat([ChatMessage("Hi")])
        case CloudflareAIGatewayEmbeddings():
            value.embed_query("Hi")
        case CloudflareAIGatewayEmbedding():
            value.get_query_embedding("Hi")
        case _:
            assert value


@pytest.fixture
def gateway(monkeypatch: pytest.MonkeyPatch) -> Any:
    with Simulator(dynamic_routes={"support": ["openai/gpt-5.4"]}) as simulator:
        simulator.gateway("my-gateway")
        for name, value in simulator.environment.items():
            monkeypatch.setenv(name, value)
        yield simulator


@pytest.mark.parametrize("section", MODELS)
def test_each_line_of_a_section_runs(section: str, gateway: Simulator) -> None:
    names = namespace(section, gateway)
    for row in ROWS:
        if row.section != section:
            continue
        for line in row.now:
            tree = ast.fix_missing_locations(Complete(MODELS[section]).visit(ast.parse(line, mode="eval")))
            use(eval(compile(tree, line, "eval"), names))
        if not row.now:
            check_left_out(row, names)


def check_left_out(row: Row, names: dict[str, Any]) -> None:
    """What the guide says to leave out is an error."""
    old = ast.parse(row.before, mode="eval").body
    assert isinstance(old, ast.Call)
    kind = names["CloudflareAIGateway" if "LlamaIndex" in row.section else "ChatCloudflareAIGateway"]
    for keyword in old.keywords:
        with pytest.raises(errors.ConfigError):
            kind(MODELS[row.section], **{str(keyword.arg): "x"})


def test_each_section_has_a_table() -> None:
    assert {row.section for row in ROWS} == set(MODELS)


BLOCKS = re.findall(r"^```python\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)


def test_arguments_before_are_those_of_the_packages() -> None:
    seen: set[str] = set()
    for code in (*BLOCKS, *(row.before for row in ROWS)):
        for node in ast.walk(ast.parse(code)):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in ARGUMENTS:
                assert {keyword.arg for keyword in node.keywords} <= {*ARGUMENTS[node.func.id]}, code
                seen.add(node.func.id)
    assert seen == set(ARGUMENTS)


def test_the_guide_is_short() -> None:
    assert len(CELLS) <= 25
