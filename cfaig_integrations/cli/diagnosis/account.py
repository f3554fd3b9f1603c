"""Checks that cost nothing: settings, token, account, permissions, gateway and credits."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, cast

from cfaig_integrations.cli.diagnosis import probes
from cfaig_integrations.cli.diagnosis.findings import Finding, Problem, Status, failed
from cfaig_integrations.cli.diagnosis.probes import Probe
from cfaig_integrations.errors import ApiError, ConfigError, GatewayError
from cfaig_integrations.gateway.settings import DEFAULT_GATEWAY, Settings

_ACCOUNT = re.compile(r"[0-9a-f]{32}", re.IGNORECASE)
_CENTS = 100
"""Units of the credit balance in a dollar, as public programs read it (facts §8.7)."""


def settings_problem(error: ConfigError) -> Finding:
    """The finding for settings that are missing or not valid."""
    name = error.field.lower()
    text = str(error)
    missing = "is missing" in error.message
    if "base_url" in name:
        return failed("settings", Problem.WRONG_BASE_URL, text)
    if "account" in name:
        return failed("settings", Problem.NO_ACCOUNT if missing else Problem.WRONG_ACCOUNT, text)
    if "token" in name:
        return failed("settings", Problem.NO_TOKEN if missing else Problem.TOKEN_REJECTED, text)
    return failed("settings", Problem.INVALID_SETTING, text.removesuffix(error.remedy).rstrip(), error.remedy)


def check_ids(settings: Settings) -> Finding:
    """Whether account id and gateway id are swapped."""
    account, gateway = settings.account_id, settings.gateway_id or ""
    if _ACCOUNT.fullmatch(gateway) and not _ACCOUNT.fullmatch(account):
        detail = f"the account id {account!r} is not 32 hexadecimal digits, and the gateway id is"
        return failed("settings", Problem.IDS_SWAPPED, detail)
    return Finding("settings", "ok", f"account {account}, gateway {gateway or 'none'}, {settings.base_url}")


def check_token(probe: Probe) -> Finding:
    """Whether the server is Cloudflare's API, and the token valid."""
    try:
        verified, owner = _verified(probe)
    except GatewayError as error:
        problem = probes.network_problem(error, probe.settings.base_url)
        if problem is not None and not probes.has_no_such_path(error):
            return failed("connection", problem[0], f"{error}{problem[1]}")
        if probes.has_no_such_path(error):
            return Finding("token", "skipped", "this server does not verify tokens")
        if isinstance(error, ApiError) and error.status >= 500:
            return failed("token", Problem.CALL_FAILED, str(error))
        return failed("token", Problem.TOKEN_REJECTED, _without_hint(error))
    fields = cast("Mapping[str, Any]", verified if isinstance(verified, Mapping) else {})
    status, expired = fields.get("status"), fields.get("expires_on")
    if status not in (None, "active"):
        return failed("token", Problem.TOKEN_INACTIVE, f"its status is {status}{f', since {expired}' * bool(expired)}")
    return Finding("token", "ok", f"valid, owned by the {owner}")


def _verified(probe: Probe) -> tuple[object, str]:
    """What the server says about the token, and who owns it: an account's is verified at another path (facts §2.1).

    Raises:
        GatewayError: Neither path accepts it.
    """
    try:
        return probe.get("/user/tokens/verify", of_account=False), "user"
    except ApiError as error:
        try:
            return probe.get("/tokens/verify"), "account"
        except ApiError:
            raise error from None


def _without_hint(error: GatewayError) -> str:
    """The message of an error of the API, without the hint that the finding replaces."""
    return str(error).removesuffix(f". {error.hint}") if isinstance(error, ApiError) and error.hint else str(error)


def check_access(probe: Probe) -> tuple[list[Finding], Mapping[str, Any] | None]:
    """What the token may do in the account; and the gateway, if it can be read."""
    settings = probe.settings
    models = _outcome(probe, "/ai/models/search?per_page=1")
    gateway = _outcome(probe, f"/ai-gateway/gateways/{settings.gateway_id or DEFAULT_GATEWAY}")
    errors = [each for each in (models, gateway) if isinstance(each, GatewayError)]
    if len(errors) == 2 and all(probes.has_no_such_path(each) for each in errors):
        detail = f"{settings.base_url} answers, but has no Cloudflare API ({_without_hint(errors[0])})"
        return [failed("connection", Problem.WRONG_BASE_URL, detail)], None
    is_unroutable = isinstance(models, GatewayError) and probes.is_unroutable(models)
    if is_unroutable or (len(errors) == 2 and all(map(probes.is_denied, errors))):
        finding = _account_problem(probe, errors[0], is_unroutable=is_unroutable)
        if finding is not None:
            return [finding], None
    findings = [Finding("account", "ok", f"{settings.account_id} exists")]
    findings.append(_permission(models, "Workers AI > Read", Problem.NO_WORKERS_AI_PERMISSION, "failed"))
    if isinstance(gateway, GatewayError) and probes.is_denied(gateway):
        findings.append(_permission(gateway, "AI Gateway > Read", Problem.NO_GATEWAY_PERMISSION, "warning"))
        return findings, None
    findings.append(Finding("permission", "ok", "AI Gateway > Read"))
    return findings, cast("Mapping[str, Any]", gateway) if isinstance(gateway, Mapping) else {}


def _outcome(probe: Probe, path: str, *, of_account: bool = True) -> object:
    """The result at a path, or the error."""
    try:
        return probe.get(path, of_account=of_account)
    except GatewayError as error:
        return error


def _account_problem(probe: Probe, error: GatewayError, *, is_unroutable: bool) -> Finding | None:
    """The finding if the account is not one of the token's; None if it is one, and the token lacks permissions."""
    account = probe.settings.account_id
    reached = _listed_at(probe, "/accounts?per_page=50", of_account=False)
    accounts = {str(each.get("id")): str(each.get("name") or "") for each in reached}
    if account in accounts:
        return None
    if accounts:
        reach = ", ".join(f"{id_} ({name})" if name else id_ for id_, name in list(accounts.items())[:5])
        detail = f"the token does not reach {account}; it reaches {reach}"
        return failed("account", Problem.WRONG_ACCOUNT, detail, f"Set CLOUDFLARE_ACCOUNT_ID to {min(accounts)}.")
    if is_unroutable:
        return failed("account", Problem.WRONG_ACCOUNT, _without_hint(error))
    detail = "everything in the account is denied: the token has no AI permission there, or the account is another one"
    return failed("permission", Problem.NO_WORKERS_AI_PERMISSION, detail)


def _listed_at(probe: Probe, path: str, *, of_account: bool = True) -> list[Mapping[str, Any]]:
    """The list at a path; empty if the token may not read it."""
    listed = _outcome(probe, path, of_account=of_account)
    return cast("list[Mapping[str, Any]]", listed if isinstance(listed, list) else [])


def _permission(outcome: object, name: str, problem: Problem, status: Status) -> Finding:
    match outcome:
        case GatewayError() if probes.is_denied(outcome):
            return Finding("permission", status, f"the token lacks {name}", problem)
        case GatewayError():
            return Finding("permission", "skipped", f"{name} could not be checked ({_without_hint(outcome)})")
        case _:
            return Finding("permission", "ok", name)


def check_gateway(probe: Probe, gateway: Mapping[str, Any] | None, *, is_sold: bool) -> Finding:
    """Whether the gateway exists and is authenticated.

    Args:
        probe: Reads other gateways if it does not exist.
        gateway: Its settings; empty: it does not exist; None: it could not be read.
        is_sold: Whether the model is one of another vendor, which Cloudflare sells on authenticated gateways only.
    """
    name = probe.settings.gateway_id or DEFAULT_GATEWAY
    if gateway is None:
        return Finding("gateway", "skipped", f"{name!r} could not be looked up without AI Gateway > Read")
    if not gateway:
        if name == DEFAULT_GATEWAY:
            return Finding("gateway", "ok", "'default' does not exist yet; the first call creates it")
        names = [str(each.get("id")) for each in _listed_at(probe, "/ai-gateway/gateways?per_page=20")]
        detail = f"{name!r} does not exist" + (f"; there are: {', '.join(names)}" if names else "")
        return failed("gateway", Problem.NO_GATEWAY, detail)
    if gateway.get("authentication") is False:
        detail = f"{name!r} exists, and its authentication is off"
        return Finding("gateway", "failed" if is_sold else "warning", detail, Problem.GATEWAY_NOT_AUTHENTICATED)
    return Finding("gateway", "ok", f"{name!r} exists and is authenticated")


def check_credits(probe: Probe, *, is_sold: bool) -> Finding:
    """Whether there are credits for models of other vendors."""
    credit = _outcome(probe, "/ai-gateway/billing/credit-balance")
    balance = cast("Mapping[str, Any]", credit).get("balance") if isinstance(credit, Mapping) else None
    if not isinstance(balance, int | float):
        reason = f" ({_without_hint(credit)})" if isinstance(credit, GatewayError) else ""
        return Finding("credits", "skipped", f"the balance could not be read{reason}")
    detail = f"${balance / _CENTS:.2f}"
    if balance > 0:
        return Finding("credits", "ok", detail)
    return Finding("credits", "failed" if is_sold else "warning", detail, Problem.NO_CREDITS)
