"""The rules of this code base that a test can check."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import pytest

from cfaig_integrations.core.content import Wire

ROOT = Path(__file__).resolve().parents[1]
MODULES = sorted((ROOT / "cfaig_integrations").rglob("*.py"))
ADAPTER_FOLDERS = ("adapters", "langchain", "llama_index")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def name(path: Path) -> str:
    return str(path.relative_to(ROOT))


def listed_arguments(tree: ast.AST) -> int:
    """Lines of class docstrings that list arguments, most of which `tests/test_docstrings.py` writes."""
    docstrings = [ast.get_docstring(node) or "" for node in ast.walk(tree) if isinstance(node, ast.ClassDef)]
    sections = (re.search(r"^(?:Args|Attributes):\n((?:    .*\n)+)", text, flags=re.MULTILINE) for text in docstrings)
    return sum(section[1].count("\n") for section in sections if section)


@pytest.mark.parametrize("path", MODULES, ids=name)
def test_a_module_has_at_most_400_lines(path: Path) -> None:
    source = path.read_text(encoding="utf-8")
    assert len(source.splitlines()) - listed_arguments(ast.parse(source)) <= 400


def functions(tree: ast.AST) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    return (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))


@pytest.mark.parametrize("path", MODULES, ids=name)
def test_a_function_has_at_most_60_lines(path: Path) -> None:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    long = [
        f"{each.name}: {each.end_lineno - each.lineno + 1}"
        for each in functions(tree)
        if each.end_lineno and each.end_lineno - each.lineno >= 60
    ]
    assert not long


@pytest.mark.parametrize("path", MODULES, ids=name)
def test_a_module_has_a_docstring(path: Path) -> None:
    assert ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))


OUTSIDE = re.compile(r"(?<![.\w/])\.\./|(?<![.\w/])(?:[A-Z]:\\|~/|/(?:home|mnt|opt|root|tmp|Users|work)/)")
"""A path that leaves the repository, or that exists only on somebody's machine."""


@pytest.mark.parametrize("text", ["see ../notes.md", "/home/someone/x", "`/tmp/x`", "C:\\x", "(~/.netrc)"])
def test_a_path_outside_the_repository_is_seen(text: str) -> None:
    assert OUTSIDE.search(text)


@pytest.mark.parametrize("text", ["POST .../gateways", "https://host/compat/work/", "a/../b", "'\\n'"])
def test_a_url_or_a_path_inside_the_repository_is_not_taken_for_one(text: str) -> None:
    assert not OUTSIDE.search(text)


def test_nothing_outside_the_repository_is_referred_to() -> None:
    found = [
        f"{name(path)}:{number}: {line}"
        for path in [ROOT / "README.md", ROOT / "pyproject.toml", *MODULES]
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if OUTSIDE.search(line)
    ]
    assert not found


WIRES = frozenset(get_args(Wire))
QUOTED_WIRE = re.compile(rf"""["']({"|".join(WIRES)})["']""")
ADAPTERS = [path for path in MODULES if path.relative_to(ROOT / "cfaig_integrations").parts[0] in ADAPTER_FOLDERS]


def wire_literals(source: str) -> list[str]:
    """The wire formats that a module names in its strings.

    `messages` is also what frameworks call a conversation: the name of an argument, as in `field="messages"` and
    `{"messages": messages}`, is none.
    """
    tree = ast.parse(source)
    allowed: set[ast.AST] = set()
    for node in ast.walk(tree):
        match node:
            case ast.keyword(arg="field"):
                allowed.add(node.value)
            case ast.Dict():
                pairs = zip(node.keys, node.values, strict=True)
                allowed |= {
                    key for key, value in pairs if key and isinstance(value, ast.Name) and value.id == "messages"
                }
            case _:
                pass
    return [
        f"{node.lineno}: {node.value}"
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and node not in allowed
        if node.value in WIRES or QUOTED_WIRE.search(node.value)
    ]


def test_every_package_has_its_place_in_the_layers() -> None:
    tools = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]
    frameworks, *others = tools["importlinter"]["contracts"][0]["layers"]
    adapters = {"adapters", *(each.strip().removeprefix("cfaig_integrations.") for each in frameworks.split("|"))}
    assert set(ADAPTER_FOLDERS) == adapters
    layers = {each.removeprefix("cfaig_integrations.") for each in others} - {"errors"}
    packages = {path.parent.name for path in (ROOT / "cfaig_integrations").glob("*/__init__.py")}
    assert packages == adapters | layers | {"simulator", "cli"}


@pytest.mark.parametrize("path", ADAPTERS, ids=name)
def test_an_adapter_names_no_wire(path: Path) -> None:
    assert not wire_literals(path.read_text(encoding="utf-8"))


@pytest.mark.parametrize(
    "source",
    [
        'extras_of("messages", signature=signature)',
        'extras = {"messages": markers}',
        'extras.get("responses", {})',
        'if wire == "run": pass',
        'match wire:\n    case "chat_completions": pass',
        'remedy = \'Write {"wire": "messages"}.\'',
        'Turn("system", parts, extras={"responses": {"role": role}})',
    ],
)
def test_a_wire_literal_is_found(source: str) -> None:
    assert wire_literals(source)


@pytest.mark.parametrize("source", ['ConfigError("", field="messages")', 'f(**{"messages": messages})', 'x = "a run"'])
def test_the_name_of_an_argument_is_no_wire_literal(source: str) -> None:
    assert not wire_literals(source)


@pytest.mark.parametrize("path", ADAPTERS, ids=name)
def test_an_adapter_imports_at_the_top_of_its_modules(path: Path) -> None:
    """So a dependency that is missing shows when the module is imported, and not in one call among many."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    inner = [
        node for each in functions(tree) for node in ast.walk(each) if isinstance(node, ast.Import | ast.ImportFrom)
    ]
    assert not [ast.unparse(node) for node in inner]


EXTRA_OF = {
    "langchain": ["langchain-agents"],
    "llama_index": ["llama-index"],
    "simulator": ["simulator", "pytest"],
    "cli": ["all"],
}
"""Per folder, the extras whose dependencies its modules may import beside those of the package."""
DISTRIBUTION_OF = {"llama_index": "llama-index-core"}
"""Import names that are not the name of their distribution with underscores."""


def declared(extras: list[str]) -> set[str]:
    """The names of the distributions that the package and some of its extras declare."""
    requirements: list[str] = list(PROJECT["dependencies"])
    for extra in extras:
        requirements += PROJECT["optional-dependencies"][extra]
    names: set[str] = set()
    for requirement in requirements:
        with_extras = re.fullmatch(r"cfaig-integrations\[(.+)\]", requirement)
        names |= declared(with_extras[1].split(",")) if with_extras else set(re.findall(r"^[\w-]+", requirement))
    return names


def imports(tree: ast.AST) -> Iterator[str]:
    """The top-level names of the third-party modules that a module imports, wherever in it."""
    for node in ast.walk(tree):
        match node:
            case ast.Import():
                found = [alias.name for alias in node.names]
            case ast.ImportFrom(module=str(module), level=0):
                found = [module]
            case _:
                continue
        for module in found:
            top = module.partition(".")[0]
            if top not in sys.stdlib_module_names and top != "cfaig_integrations":
                yield top


def test_what_a_module_imports_is_declared() -> None:
    undeclared: dict[str, set[str]] = {}
    for path in MODULES:
        folder = path.relative_to(ROOT / "cfaig_integrations").parts[0]
        modules = imports(ast.parse(path.read_text(encoding="utf-8")))
        needed = {DISTRIBUTION_OF.get(module, module.replace("_", "-")) for module in modules}
        if missing := needed - declared(EXTRA_OF.get(folder, [])):
            undeclared[name(path)] = missing
    assert not undeclared


def test_the_license_is_in_the_package() -> None:
    assert PROJECT["license"] == "MIT"
    for file in PROJECT["license-files"]:
        assert (ROOT / file).read_text(encoding="utf-8").startswith("MIT License\n")
