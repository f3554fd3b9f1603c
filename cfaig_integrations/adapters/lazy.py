"""Public names that are imported on first use (PEP 562), so that importing an adapter's package is cheap."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any


def lazy_names(package: str, modules: Mapping[str, str], *, framework: str, extra: str) -> Callable[[str], Any]:
    """The `__getattr__` of an adapter's package.

    Args:
        package: Name of the package.
        modules: Public name -> module of the package that defines it.
        framework: Top-level module of the framework.
        extra: Extra of this distribution that installs it; the error about a missing framework names it.
    """

    def get(name: str) -> Any:
        if name not in modules:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        try:
            module = import_module(f"{package}.{modules[name]}")
        except ModuleNotFoundError as error:
            if (error.name or "").partition(".")[0] != framework:
                raise
            raise ImportError(
                f"{package} needs the extra {extra!r}: pip install 'cfaig-integrations[{extra}]'"
            ) from error
        return getattr(module, name)

    return get
