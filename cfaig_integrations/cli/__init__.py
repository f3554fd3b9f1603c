"""The command `cfaig`. Needs the extra `cli`; a command that needs another extra says so."""

from __future__ import annotations

try:
    from cfaig_integrations.cli.app import app
except ModuleNotFoundError as error:
    if (error.name or "").partition(".")[0] not in {"typer", "rich"}:
        raise
    raise ImportError("The command cfaig needs the extra 'cli': pip install 'cfaig-integrations[cli]'") from error


def main() -> None:
    """Runs the command."""
    app()


__all__ = ["app", "main"]
