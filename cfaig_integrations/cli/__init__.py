"""The command `cfaig`. Needs the extra `cli`; a command that needs another extra says so."""

from __future__ import annotations

import sys

_MISSING = "The command cfaig needs the extra 'cli': pip install 'cfaig-integrations[cli]'"

try:
    from cfaig_integrations.cli.app import app
except ModuleNotFoundError as error:
    if (error.name or "").partition(".")[0] not in {"typer", "rich"}:
        raise

    def __getattr__(name: str) -> object:
        raise ImportError(_MISSING) if name == "app" else AttributeError(name)


def main() -> None:
    """Runs the command."""
    if "app" not in globals():
        sys.exit(_MISSING)
    app()  # pyright: ignore[reportPossiblyUnboundVariable]  # it is checked above


__all__ = ["app", "main"]
