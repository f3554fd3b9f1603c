"""`cfaig doctor`: finds what is wrong with a configuration, and says how to fix it."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import replace
from typing import Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table

from cfaig_integrations._version import __version__
from cfaig_integrations.cli import options
from cfaig_integrations.cli.diagnosis import account as account_checks
from cfaig_integrations.cli.diagnosis import calls as call_checks
from cfaig_integrations.cli.diagnosis.findings import Finding, Problem, Status, exit_code
from cfaig_integrations.cli.diagnosis.probes import Probe
from cfaig_integrations.cli.output import console, print_json, progress_bar, reported
from cfaig_integrations.errors import ConfigError
from cfaig_integrations.gateway.connection import Connection
from cfaig_integrations.gateway.models.routes import Api

_MARKS: Mapping[Status, str] = {
    "ok": "[green]ok[/green]",
    "warning": "[yellow]warning[/yellow]",
    "failed": "[red]FAILED[/red]",
    "skipped": "[dim]skipped[/dim]",
}
_SOLVED_BY_A_CALL = (Problem.NO_CREDITS, Problem.GATEWAY_NOT_AUTHENTICATED)


def doctor(
    *,
    model: Annotated[str, typer.Option("--model", "-m", envvar="CFAIG_MODEL")] = options.DEFAULT_CHAT_MODEL,
    api: Annotated[Api, typer.Option(help="Check this format only.")] = "auto",
    yes: Annotated[
        bool, typer.Option("--yes", "-y", help="Send the test calls, which cost a little, without asking.")
    ] = False,
    calls: Annotated[bool, typer.Option(help="Whether to offer test calls at all.")] = True,
    gateway: options.Gateway = None,
    account: options.Account = None,
    base_url: options.BaseUrl = None,
    json: options.Json = False,
) -> None:
    """Check token, permissions, account, gateway, credits, and that the model answers in each of its formats.

    Reading costs nothing. The test calls cost a little: doctor asks before it sends them, and skips them without a
    terminal unless --yes is set.
    """
    examination = _Examination(model, api, as_json=json, send=yes, offer=calls)
    with reported(as_json=json):
        if yes and not calls:
            remedy = "Leave one of them out."
            raise ConfigError("--yes sends the test calls, --no-calls does not.", field="--yes", remedy=remedy)
        examination.run(account, gateway, base_url)
    examination.show()
    raise typer.Exit(exit_code(examination.findings))


def exit_codes() -> str:
    """The exit codes, for the command's help."""
    codes = "\n\n".join(f"{problem.code}  {problem.title}" for problem in Problem)
    return f"Exit codes:\n\n0  no problem\n\n{codes}"


class _Examination:
    """The checks in order; one that makes the next ones pointless is the last."""

    def __init__(self, model: str, api: Api, *, as_json: bool, send: bool, offer: bool) -> None:
        self._model = model
        self._api: Api = api
        self._as_json = as_json
        self._send = send
        self._offer = offer
        self._notes = console(stderr=True)
        self.findings: list[Finding] = []

    def _add(self, *findings: Finding) -> bool:
        """Adds findings; whether the checks go on."""
        self.findings.extend(findings)
        return not any(each.status == "failed" for each in findings)

    def run(self, account: str | None, gateway: str | None, base_url: str | None) -> None:
        """Checks everything."""
        try:
            connection = options.connect(account, gateway, base_url, max_retries=0)
        except ConfigError as error:
            self._add(account_checks.settings_problem(error))
            return
        settings = connection.settings
        if settings.legacy:
            self._add(Finding("settings", "ok", f"{settings.base_url} (only calls can be checked on this host)"))
            self._check_calls(connection)
            return
        if not self._add(account_checks.check_ids(settings)):
            return
        with self._notes.status("Checking the account") if self._notes.is_terminal else nullcontext():
            goes_on = self._check_account(Probe(connection))
        if goes_on:
            self._check_calls(connection)

    def _check_account(self, probe: Probe) -> bool:
        if not self._add(account_checks.check_token(probe)):
            return False
        access, gateway = account_checks.check_access(probe)
        if not self._add(*access):
            return False
        is_sold = not self._model.startswith(("@", "workers-ai/@"))
        exists = self._add(account_checks.check_gateway(probe, gateway, is_sold=is_sold))
        if not exists and self.findings[-1].problem is Problem.NO_GATEWAY:
            return False
        self._add(account_checks.check_credits(probe, is_sold=is_sold))
        return self._add(call_checks.check_model(probe, self._model))

    def _check_calls(self, connection: Connection) -> None:
        try:
            wires = call_checks.wires_of(self._model, self._api, legacy=connection.settings.legacy)
        except ConfigError as error:
            self._add(Finding("model", "failed", str(error), Problem.UNKNOWN_MODEL))
            return
        if not self._consent(len(wires)):
            reason = "they cost a little; --yes sends them" if self._offer else "--no-calls is set"
            self._add(Finding("test calls", "skipped", f"not sent: {reason}"))
            return
        with progress_bar() as progress:
            task = progress.add_task("Calling", total=len(wires), rate="")
            results = call_checks.check_calls(connection, self._model, wires, lambda: progress.advance(task))
        self._add(*results)
        if any(each.status == "ok" for each in results):  # calls work without them, as with a provider's key
            self.findings = [
                replace(each, status="warning") if each.problem in _SOLVED_BY_A_CALL and each not in results else each
                for each in self.findings
            ]

    def _consent(self, number: int) -> bool:
        """Whether the user wants calls that cost something."""
        if self._send or not self._offer:
            return self._offer
        if not (sys.stdin.isatty() and self._notes.is_terminal):
            return False
        calls = "1 test call" if number == 1 else f"{number} test calls"
        tokens = f"about 20 input and at most {call_checks.MAX_TOKENS} output tokens"
        cost = "on most models a small fraction of a cent"
        return typer.confirm(f"Send {calls} to {self._model}, {tokens} each ({cost})?", default=False, err=True)

    def show(self) -> None:
        """Prints what was found."""
        code = exit_code(self.findings)
        if self._as_json:
            checked: list[dict[str, Any]] = [each.fields() for each in self.findings]
            print_json({"ok": code == 0, "exit_code": code, "version": __version__, "checks": checked})
            return
        stdout = console()
        stdout.print(_rows(self.findings))
        problems = [each for each in self.findings if each.status == "failed"]
        failures = f"[red]{len(problems)} failed[/red] (exit code {code})"
        stdout.print(f"\n{failures if problems else '[green]No problem.[/green]'}")


def _rows(findings: list[Finding]) -> Table:
    """The findings, each with its fix below it."""
    rows = Table.grid(padding=(0, 2, 0, 0))
    rows.add_column(no_wrap=True)
    rows.add_column(no_wrap=True, style="bold")
    rows.add_column(overflow="fold")
    for finding in findings:
        title = f"{finding.problem.title}: " if finding.problem else ""
        fix = f"\n[bold]Fix:[/bold] {escape(finding.remedy)}" if finding.remedy else ""
        rows.add_row(_MARKS[finding.status], finding.check, f"{escape(title + finding.detail)}{fix}")
    return rows
