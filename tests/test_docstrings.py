"""The docstrings of the public classes list every argument with its type, its default and its meaning.

Editors show the text of the source, so the lists are written there: `python -m tests.test_docstrings` adds
names, types and defaults, and to the classes of the frameworks the meaning of the arguments that they inherit.
"""

from __future__ import annotations

import ast
import dataclasses
import inspect
import json
import re
import textwrap
import types
from collections.abc import Callable, Iterator, Sequence
from enum import Enum
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

import pytest
from pydantic import BaseModel, SecretStr

from cfaig_integrations.adapters.fields import GatewayFields
from cfaig_integrations.gateway.connection import TimeoutLike

PACKAGE = "cfaig_integrations"
PLACES = {
    f"{PACKAGE}.langchain": (
        "ChatCloudflareAIGateway",
        "CloudflareAIGatewayLLM",
        "CloudflareAIGatewayEmbeddings",
        "CloudflareAIGatewayReranker",
        "CloudflareAIGatewayDecisionModel",
    ),
    f"{PACKAGE}.llama_index": ("CloudflareAIGateway", "CloudflareAIGatewayEmbedding", "CloudflareAIGatewayRerank"),
    f"{PACKAGE}.simulator": ("Simulator",),
    PACKAGE: ("AIGateway", "AsyncAIGateway", "CustomCost", "GatewayInfo", "GatewayOptions", "RunInfo"),
}
NEEDED = {f"{PACKAGE}.langchain": "langchain_core", f"{PACKAGE}.llama_index": "llama_index.core"}
CLASSES = [(module, name) for module, names in PLACES.items() for name in names]
ENTRY = re.compile(r"^(\w+)(?: \([^)]*\))?:(?: (.*)|$)")
SECTION = re.compile(r"^(Args|Attributes):\n((?: .*\n|\n(?= ))+)", flags=re.MULTILINE)


def public_class(module: str, name: str) -> type[Any]:
    if module in NEEDED:
        pytest.importorskip(NEEDED[module], reason=f"{NEEDED[module].upper()} IS ABSENT: {name} was not compared")
    try:
        found: type[Any] = getattr(import_module(module), name)
    except ImportError as error:
        pytest.skip(str(error))
    return found


def documented(kind: type[Any]) -> Any:
    """What has the docstring with the arguments: the class, or its constructor."""
    return kind.__init__ if SECTION.search(inspect.getdoc(kind.__init__) or "") else kind


def entries(described: Any) -> dict[str, str]:
    """The meanings in a docstring, by argument."""
    section = SECTION.search(f"{inspect.cleandoc(described.__doc__ or '')}\n")
    found: dict[str, str] = {}
    name = ""
    for line in textwrap.dedent(section[2]).splitlines() if section else ():
        if entry := ENTRY.match(line):
            name, found[entry[1]] = entry[1], entry[2] or ""
        elif line.strip():
            found[name] += f" {line.strip()}"
    return {name: meaning.strip() for name, meaning in found.items()}


def arguments(kind: type[Any]) -> Iterator[tuple[str, str]]:
    """Names, with types and defaults."""
    if issubclass(kind, BaseModel):
        ours = [base for base in kind.__mro__ if base.__module__.startswith(PACKAGE)]
        hints = dict(hint for base in reversed(ours) for hint in get_type_hints(base, include_extras=True).items())
        names = [name for name in kind.model_fields if any(name in base.__annotations__ for base in ours)]
        for name in sorted(names, key=rank):
            field = kind.model_fields[name]
            default = None if field.is_required() else field.default
            yield name, described(hints[name], default, required=field.is_required())
        return
    hints = get_type_hints(kind if dataclasses.is_dataclass(kind) else kind.__init__, include_extras=True)
    for name, parameter in inspect.signature(kind).parameters.items():
        yield name, described(hints[name], parameter.default, required=parameter.default is parameter.empty)


def rank(name: str) -> int:
    """What names the model comes first, what names the gateway last."""
    return ("model", "model_name", "api", name).index(name) + (name in GatewayFields.model_fields)


def described(hint: Any, default: Any, *, required: bool) -> str:
    words = " | ".join(dict.fromkeys(type_words(hint)))
    if required:
        return words
    if isinstance(default, Enum):  # which stands for an argument that was left out
        default = None
    shown = "empty" if default == () or repr(default) == "<factory>" else default
    shown = json.dumps(shown) if isinstance(default, str) else shown
    return f"{words}, default {shown}"


def type_words(hint: Any) -> Iterator[str]:
    """A type in short."""
    origin = get_origin(hint)
    if origin is Annotated:
        yield from type_words(get_args(hint)[0])
    elif origin in (Union, types.UnionType):
        for each in get_args(hint):
            if each is not type(None):
                yield from type_words(each)
    elif origin is Literal:
        yield from (each for each in get_args(hint) if isinstance(each, str) and not isinstance(each, Enum))
    elif origin is Callable:
        yield "function"
    elif origin is not None:
        of = ", ".join(dict.fromkeys(" | ".join(type_words(each)) for each in get_args(hint) if each is not ...))
        yield f"{origin.__name__.lower()} of {of}" if origin in (list, tuple, Sequence) else origin.__name__.lower()
    else:
        yield {SecretStr: "str", Any: "object", TimeoutLike: "httpx.Timeout"}.get(hint) or hint.__name__


def listed(kind: type[Any]) -> list[tuple[str, str, str]]:
    """Names, types with defaults, and meanings, as they should be in the docstring."""
    bases = [base for base in kind.__mro__[1:] if base.__module__.startswith(PACKAGE)]
    meanings: dict[str, str] = {}
    for source in (*reversed(bases), documented(kind)):
        found = entries(source)
        # What a class copies from its base is the base's; only its own arguments are written here.
        meanings |= {name: text for name, text in found.items() if source in bases or name not in meanings}
    return [(name, words, meanings.get(name, "")) for name, words in arguments(kind)]


def rendered(kind: type[Any], indent: str) -> str:
    return "\n".join(
        textwrap.fill(
            f"{name} ({words}): {meaning}",
            120,
            initial_indent=indent,
            subsequent_indent=f"{indent}    ",
            break_long_words=False,
            break_on_hyphens=False,
        )
        for name, words, meaning in listed(kind)
    )


@pytest.mark.parametrize(("module", "name"), CLASSES, ids=[name for _, name in CLASSES])
def test_every_argument_is_described(module: str, name: str) -> None:
    kind = public_class(module, name)
    docstring = inspect.cleandoc(documented(kind).__doc__ or "")
    assert [argument for argument, _, meaning in listed(kind) if not meaning] == []
    assert rendered(kind, "    ").split() == (SECTION.search(f"{docstring}\n") or [""] * 3)[2].split()
    others = getattr(kind, "model_fields", {}).keys() - {argument for argument, _ in arguments(kind)}
    assert {other for other in others if f"`{other}`" not in docstring} == set()


def write(kind: type[Any]) -> None:
    """Puts the list of the arguments into the source."""
    path = Path(inspect.getsourcefile(kind) or "")
    source = path.read_text(encoding="utf-8")
    node: Any = next(each for each in ast.walk(ast.parse(source)) if getattr(each, "name", "") == kind.__name__)
    if documented(kind) is not kind:
        node = next(each for each in node.body if getattr(each, "name", "") == "__init__")
    lines = source.splitlines(keepends=True)
    start, end = node.body[0].lineno - 1, node.body[0].end_lineno
    indent = " " * node.body[0].col_offset
    text = "".join(lines[start:end])
    heading = f"{indent}{'Args' if issubclass(kind, BaseModel) and kind.__module__.split('.')[1] != 'gateway' else ''}"
    found = re.search(rf"^{indent}(Args|Attributes):\n(?:{indent}    .*\n)+", text, flags=re.MULTILINE)
    if found is None:
        at = text.index(f"\n{indent}Raises:\n") + 1 if f"\n{indent}Raises:\n" in text else text.rindex(indent)
        before, after = text[:at], "\n" + text[at:]
    else:
        before, after = text[: found.start()], text[found.end() :]
    heading = heading.strip() or (found[1] if found else "Args")
    lines[start:end] = [f"{before}{indent}{heading}:\n{rendered(kind, indent + '    ')}\n{after}"]
    path.write_text("".join(lines), encoding="utf-8")


if __name__ == "__main__":
    for place in CLASSES:
        write(public_class(*place))
