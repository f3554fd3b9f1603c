"""The public names and their signatures are those of `public_api.txt`: nothing that users write changes by accident.

After a change on purpose: `python -m tests.test_public_api > tests/public_api.txt`, and the README's changelog.
"""

from __future__ import annotations

import importlib
import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import cfaig_integrations

LISTING = Path(__file__).with_name("public_api.txt")
PACKAGE = "cfaig_integrations"
MODULES = {
    PACKAGE: None,
    f"{PACKAGE}.langchain": "langchain_core",
    f"{PACKAGE}.llama_index": "llama_index.core",
    f"{PACKAGE}.simulator": "starlette",
}
"""Public modules, and what has to be installed for each."""


def members(name: str, value: Any) -> Iterator[str]:
    """A line for a name, and one for each public member that this package defines."""
    if not inspect.isclass(value):
        yield f"{name}{parameters(value)}" if callable(value) else f"{name}: {type(value).__name__}"
        return
    bases = [base.__name__ for base in value.__mro__[1:] if getattr(cfaig_integrations, base.__name__, None) is base]
    yield f"class {name}({', '.join(bases)})"
    fields: dict[str, Any] = getattr(value, "model_fields", {})
    if not fields and inspect.isfunction(value.__init__) and getattr(value.__init__, "__qualname__", "") != "object":
        yield f"  {name}.__init__{parameters(value.__init__)}"
    for field, info in fields.items():
        if any(field in vars(base).get("__annotations__", {}) for base in value.__mro__ if ours(base)):
            yield f"  {name}.{field} = {default_of(info)}"
    for member in sorted(dir(value)):
        if member.startswith("_") or member in fields:
            continue
        found = inspect.getattr_static(value, member)
        plain = getattr(found, "__func__", getattr(found, "fget", found))
        if getattr(plain, "__module__", "").startswith(PACKAGE) and callable(plain):
            kind = "property " if isinstance(found, property) else ""
            yield f"  {kind}{name}.{member}{parameters(plain)}"


def parameters(function: Any) -> inspect.Signature:
    """Names and defaults; annotations may name private types."""
    found = inspect.signature(function)
    bare = [each.replace(annotation=inspect.Parameter.empty) for each in found.parameters.values()]
    return found.replace(parameters=bare, return_annotation=inspect.Signature.empty)


def ours(kind: type) -> bool:
    return kind.__module__.startswith(PACKAGE)


def default_of(info: Any) -> str:
    if info.is_required():
        return "required"
    return repr(info.default) if info.default_factory is None else f"{info.default_factory.__name__}()"


def listing(module: str) -> list[str]:
    found = importlib.import_module(module)
    return [
        line
        for name in sorted(set(found.__all__) - {"__version__", *unavailable(module)})
        for line in members(name, getattr(found, name))
    ]


def unavailable(module: str) -> set[str]:
    """The names that need a newer version of a framework, or a package, that is not installed."""
    found, names = importlib.import_module(module), set[str]()
    for name in found.__all__:
        try:
            getattr(found, name)
        except ImportError:
            names.add(name)
    return names


@pytest.mark.parametrize(("module", "needed"), MODULES.items(), ids=MODULES)
def test_public_names_and_signatures_are_those_of_the_listing(module: str, needed: str | None) -> None:
    if needed is not None:
        pytest.importorskip(
            needed, reason=f"{needed.upper()} IS ABSENT: the public names of {module} were not compared"
        )
    kept = LISTING.read_text(encoding="utf-8").split(f"[{module}]\n")[1].split("\n\n")[0].splitlines()
    absent = unavailable(module)
    expected = [line for line in kept if not absent.intersection(re.findall(r"^(?:class|  property| ) ?(\w+)", line))]
    assert listing(module) == expected


if __name__ == "__main__":
    print("\n\n".join("\n".join([f"[{module}]", *listing(module)]) for module in MODULES))  # noqa: T201
