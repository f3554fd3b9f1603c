"""The form that all tables of models share.

Each row begins with the models that it is about, and has the evidence for what it says.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from fnmatch import fnmatchcase
from typing import Protocol, TypeVar

IN_PATH = ("@cf/", "@hf/")
"""How ids of Workers AI's models begin, which are in the path of `/ai/run`."""


class ModelRow(Protocol):
    """A row of such a table."""

    @property
    def models(self) -> str:
        """Patterns of model ids with a space between them: `*` is any text, `[...]` one character of a set."""
        ...

    @property
    def evidence(self) -> str:
        """The sources of all that the row says.

        A section (§) is one of facts.md. "Catalog" is Cloudflare's file of the model, read in November 2026.
        """
        ...


_Row = TypeVar("_Row", bound=ModelRow)


def matching(table: Iterable[_Row], model: str) -> Iterator[_Row]:
    """The rows with a pattern that matches a model id as a whole; the first one counts."""
    return (row for row in table if any(fnmatchcase(model, pattern) for pattern in row.models.split()))
