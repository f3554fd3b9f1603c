"""The problems that `cfaig doctor` tells apart: exit code, title and fix of each."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Any, Literal, TypeAlias

Status: TypeAlias = Literal["ok", "warning", "failed", "skipped"]

_TOKENS = "https://dash.cloudflare.com/profile/api-tokens"
_GATEWAYS = "https://dash.cloudflare.com/?to=/:account/ai/ai-gateway"


class Problem(Enum):
    """A problem: exit code, title, fix."""

    NO_TOKEN = 10, "no API token", f"Create one at {_TOKENS} and set CLOUDFLARE_API_TOKEN."
    TOKEN_REJECTED = (
        11,
        "the API token is rejected",
        f"Set CLOUDFLARE_API_TOKEN to the bare token, as it was shown when it was created at {_TOKENS}: not the global "
        "API key, not a token's id, and without 'Bearer'.",
    )
    TOKEN_INACTIVE = 12, "the API token is not active", f"Renew or enable it, or create another one, at {_TOKENS}."
    NO_WORKERS_AI_PERMISSION = (
        13,
        "the token may not call models",
        f"Add the permission Account > Workers AI > Read to the token at {_TOKENS}; it is needed for models of other "
        "vendors too, and AI Gateway permissions do not include it.",
    )
    NO_GATEWAY_PERMISSION = (
        14,
        "the token may not read gateways and logs",
        f"Add the permission Account > AI Gateway > Read to the token at {_TOKENS}; logs and costs need it, calls do "
        "not.",
    )
    NO_ACCOUNT = (
        15,
        "no account id",
        "Set CLOUDFLARE_ACCOUNT_ID to the 32 hexadecimal digits after https://dash.cloudflare.com/ in the dashboard.",
    )
    WRONG_ACCOUNT = (
        16,
        "the account does not exist, or the token does not reach it",
        "Set CLOUDFLARE_ACCOUNT_ID to the 32 hexadecimal digits after https://dash.cloudflare.com/ in the dashboard.",
    )
    IDS_SWAPPED = (
        17,
        "account id and gateway id are swapped",
        "Exchange the values of CLOUDFLARE_ACCOUNT_ID and CLOUDFLARE_AI_GATEWAY_ID.",
    )
    NO_GATEWAY = (
        18,
        "the gateway does not exist",
        f"Create it at {_GATEWAYS}, or set CLOUDFLARE_AI_GATEWAY_ID to one that exists.",
    )
    GATEWAY_NOT_AUTHENTICATED = (
        19,
        "the gateway's authentication is off",
        "Turn on Authenticated Gateway in the gateway's settings: Cloudflare sells models of other vendors (Unified "
        "Billing) on authenticated gateways only.",
    )
    NO_CREDITS = (
        20,
        "the account has no credits",
        f"Add credits at {_GATEWAYS} (Credits Available > Manage), or store the provider's key in the gateway (BYOK).",
    )
    WRONG_BASE_URL = (
        21,
        "the base URL is not that of Cloudflare's API",
        "Unset CLOUDFLARE_API_BASE_URL, or set it to https://api.cloudflare.com/client/v4 (without /accounts).",
    )
    NO_NETWORK = (
        22,
        "the server cannot be reached",
        "Check the network, DNS and firewall: the host must be reachable from here.",
    )
    PROXY = (
        23,
        "the proxy does not work",
        "Correct or unset HTTPS_PROXY, HTTP_PROXY and ALL_PROXY, or add the host to NO_PROXY.",
    )
    TLS = (
        24,
        "the server's certificate is not trusted",
        "If a company proxy inspects TLS, set SSL_CERT_FILE to its CA certificates; check the machine's clock too.",
    )
    UNKNOWN_MODEL = (
        25,
        "the model does not exist",
        "List models with 'cfaig models'; ids look like author/model (versions dotted: 4.5) or @cf/author/model.",
    )
    WIRE_NOT_SERVED = 26, "the model is not served in this format", "Use api='auto', or one of the model's formats."
    CALL_FAILED = 27, "the call failed", "See the error; 'cfaig logs' has the call if it reached the gateway."
    INVALID_SETTING = 28, "a setting is not valid", "Correct the value."

    def __init__(self, code: int, title: str, fix: str) -> None:
        self.code = code
        self.title = title
        self.fix = fix


@dataclass(frozen=True, slots=True)
class Finding:
    """The result of one check.

    Attributes:
        status: A warning does not change the exit code.
        problem: Of a warning or a failure.
        fix: How to fix it; empty: the problem's usual fix.
    """

    check: str
    status: Status
    detail: str
    problem: Problem | None = None
    fix: str = ""

    @property
    def remedy(self) -> str:
        """How to fix it; empty without a problem."""
        return self.fix or ("" if self.problem is None else self.problem.fix)

    def fields(self) -> dict[str, Any]:
        """The finding as JSON."""
        fields: dict[str, Any] = {"check": self.check, "status": self.status, "detail": self.detail}
        if self.problem is not None:
            fields |= {"problem": self.problem.name.lower(), "exit_code": self.problem.code, "fix": self.remedy}
        return fields


def failed(check: str, problem: Problem, detail: str, fix: str = "") -> Finding:
    """A check that failed."""
    return Finding(check, "failed", detail, problem, fix)


def exit_code(findings: list[Finding]) -> int:
    """That of the first failure, or 0."""
    return next((each.problem.code for each in findings if each.problem and each.status == "failed"), 0)
