"""`cfaig doctor` against misconfigurations, on servers that share no code with this package."""

from __future__ import annotations

import socket
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest

from cfaig_integrations.cli.diagnosis.findings import Problem
from cfaig_integrations.cli.diagnosis.probes import network_problem
from cfaig_integrations.errors import ConnectFault
from cfaig_integrations.simulator import Simulator
from tests.cli.kit import ACCOUNT, TOKEN, Outcome, Request, Response, Route, environment, error, raw_server, result, run
from tests.reliability.bodies import WHOLE

OTHER = "fedcba9876543210fedcba9876543210"
WORKERS_AI = "@cf/openai/gpt-oss-120b"
SOLD = "openai/gpt-5.4"
DENIED = error(401, 10000, "Authentication error")
MODELS = [{"name": WORKERS_AI}, {"name": "@cf/openai/gpt-oss-20b"}, {"name": "@cf/baai/bge-m3"}]


def listed(request: Request) -> Response:
    """The catalogue's search: by a part of the name."""
    text = request.path.partition("search=")[2].partition("&")[0]
    return result([model for model in MODELS if text in model["name"]])


HEALTHY: Mapping[str, Route] = {
    "GET /user/tokens/verify": result({"id": "t", "status": "active"}),
    "GET /accounts": result([{"id": ACCOUNT, "name": "Mine"}]),
    "GET /ai/models/search": listed,
    "GET /ai-gateway/gateways/default": result({"id": "default", "authentication": True}),
    "GET /ai-gateway/gateways": result([{"id": "default"}, {"id": "staging"}]),
    "GET /ai-gateway/gateways/": error(404, 7002, "Gateway not found"),
    "GET /ai-gateway/billing/credit-balance": result({"balance": 910}),
    "POST /ai/v1/chat/completions": Response(WHOLE["chat_completions"].decode()),
    "POST /ai/v1/responses": Response(WHOLE["responses"].decode()),
}
PAGE = Response("<!doctype html><html><title>Welcome</title></html>", content_type="text/html")
NO_ACCOUNT = error(404, 7003, "Could not route to /accounts/x, perhaps your object identifier is invalid?")


@dataclass
class Case:
    """A misconfiguration: what differs from a healthy account, and what doctor must say."""

    problem: Problem
    fix: str
    detail: str
    routes: Mapping[str, Route] = field(default_factory=dict)
    env: Mapping[str, str | None] = field(default_factory=dict)
    arguments: tuple[str, ...] = ()
    tls: bool = False


CASES: dict[str, Case] = {
    "no token": Case(
        Problem.NO_TOKEN, "CLOUDFLARE_API_TOKEN", "api_token is missing", env={"CLOUDFLARE_API_TOKEN": None}
    ),
    "a token with its scheme": Case(
        Problem.TOKEN_REJECTED, "without 'Bearer'", "contains a space", env={"CLOUDFLARE_API_TOKEN": "Bearer abc"}
    ),
    "wrong token": Case(
        Problem.TOKEN_REJECTED,
        "bare token",
        "Invalid API Token",
        {"GET /user/tokens/verify": error(401, 1000, "Invalid API Token"), "GET /tokens/verify": DENIED},
    ),
    "token without form": Case(
        Problem.TOKEN_REJECTED,
        "not the global API key",
        "Invalid request headers",
        {
            "GET /user/tokens/verify": error(400, 6003, "Invalid request headers"),
            "GET /tokens/verify": error(400, 6003, "Invalid request headers"),
        },
    ),
    "expired token": Case(
        Problem.TOKEN_INACTIVE,
        "Renew",
        "expired, since 2026-11-01",
        {"GET /user/tokens/verify": result({"status": "expired", "expires_on": "2026-11-01T00:00:00Z"})},
    ),
    "token without Workers AI": Case(
        Problem.NO_WORKERS_AI_PERMISSION,
        "Account > Workers AI > Read",
        "lacks Workers AI > Read",
        {"GET /ai/models/search": DENIED},
    ),
    "token without any permission in its own account": Case(
        Problem.NO_WORKERS_AI_PERMISSION,
        "Account > Workers AI > Read",
        "lacks Workers AI > Read",
        {"GET /ai/models/search": DENIED, "GET /ai-gateway/": error(403, 10000, "Authentication error")},
    ),
    "token that may not list accounts": Case(
        Problem.NO_WORKERS_AI_PERMISSION,
        "Account > Workers AI > Read",
        "or the account is another one",
        {"GET /ai/models/search": DENIED, "GET /ai-gateway/": DENIED, "GET /accounts": result([])},
    ),
    "no account": Case(
        Problem.NO_ACCOUNT, "CLOUDFLARE_ACCOUNT_ID", "account_id is missing", env={"CLOUDFLARE_ACCOUNT_ID": None}
    ),
    "account of somebody else": Case(
        Problem.WRONG_ACCOUNT,
        f"Set CLOUDFLARE_ACCOUNT_ID to {ACCOUNT}",
        f"does not reach {OTHER}",
        {f"GET /accounts/{OTHER}": DENIED},
        {"CLOUDFLARE_ACCOUNT_ID": OTHER},
    ),
    "no such account": Case(
        Problem.WRONG_ACCOUNT,
        "dashboard",
        "Could not route",
        {f"GET /accounts/{OTHER}": NO_ACCOUNT, "GET /accounts?": result([])},
        {"CLOUDFLARE_ACCOUNT_ID": OTHER},
    ),
    "account and gateway swapped": Case(
        Problem.IDS_SWAPPED,
        "Exchange",
        "'default'",
        env={"CLOUDFLARE_ACCOUNT_ID": "default", "CLOUDFLARE_AI_GATEWAY_ID": ACCOUNT},
    ),
    "gateway missing": Case(
        Problem.NO_GATEWAY,
        "CLOUDFLARE_AI_GATEWAY_ID",
        "'prod' does not exist; there are: default, staging",
        env={"CLOUDFLARE_AI_GATEWAY_ID": "prod"},
    ),
    "gateway missing, seen in a call": Case(
        Problem.NO_GATEWAY,
        "Create it",
        "Please configure",
        {
            "GET /ai-gateway/": DENIED,
            "POST /ai/v1/": error(400, 2001, "Please configure AI Gateway in the Cloudflare dashboard"),
        },
        {"CLOUDFLARE_AI_GATEWAY_ID": "prod"},
        ("--yes",),
    ),
    "gateway without authentication": Case(
        Problem.GATEWAY_NOT_AUTHENTICATED,
        "Authenticated Gateway",
        "authentication is off",
        {"GET /ai-gateway/gateways/default": result({"id": "default", "authentication": False})},
        arguments=("--model", SOLD),
    ),
    "gateway without authentication, seen in a call": Case(
        Problem.GATEWAY_NOT_AUTHENTICATED,
        "Authenticated Gateway",
        "required to use unified billing",
        {
            "GET /ai-gateway/": DENIED,
            "POST /ai/v1/": error(402, 2021, "Gateway authentication is required to use unified billing"),
        },
        arguments=("--model", SOLD, "--yes"),
    ),
    "no credits": Case(
        Problem.NO_CREDITS,
        "(BYOK)",
        "$0.00",
        {"GET /ai-gateway/billing/credit-balance": result({"balance": 0})},
        arguments=("--model", SOLD),
    ),
    "no credits, seen in a call": Case(
        Problem.NO_CREDITS,
        "Add credits",
        "Insufficient wholesale credits",
        {
            "GET /ai-gateway/billing/": DENIED,
            "POST /ai/v1/": error(402, 2021, "Insufficient wholesale credits. Please add credits to your account."),
        },
        arguments=("--model", SOLD, "--yes"),
    ),
    "base URL of a website": Case(
        Problem.WRONG_BASE_URL,
        "https://api.cloudflare.com/client/v4",
        "HTML page, titled 'Welcome'",
        {"GET /": PAGE, "GET /user/tokens/verify": PAGE},
    ),
    "base URL of another API": Case(
        Problem.WRONG_BASE_URL,
        "https://api.cloudflare.com/client/v4",
        "has no Cloudflare API",
        {name: Response({"detail": "Not Found"}, 404) for name in HEALTHY},
    ),
    "base URL with the account in it": Case(
        Problem.WRONG_BASE_URL,
        "without /accounts",
        "continues after the account with an unknown path",
        env={"CLOUDFLARE_API_BASE_URL": f"https://api.cloudflare.com/client/v4/accounts/{ACCOUNT}/workers"},
    ),
    "base URL that redirects": Case(
        Problem.WRONG_BASE_URL,
        "Unset CLOUDFLARE_API_BASE_URL",
        "redirects to 'https://login.example.com/",
        {"GET /user/tokens/verify": Response("", 302, headers={"location": "https://login.example.com/start"})},
    ),
    "certificate not trusted": Case(Problem.TLS, "SSL_CERT_FILE", "certificate verify failed", tls=True),
    "model of Workers AI unknown": Case(
        Problem.UNKNOWN_MODEL,
        f"Use {WORKERS_AI}",
        "similar: @cf/openai/gpt-oss-120b",
        arguments=("--model", "@cf/openai/gpt-oss-120"),
    ),
    "model of others unknown": Case(
        Problem.UNKNOWN_MODEL,
        "versions dotted",
        "Model not found: openai/gpt-0",
        {"POST /ai/v1/": error(404, 7003, "Model not found: openai/gpt-0")},
        arguments=("--model", "openai/gpt-0", "--yes"),
    ),
    "model of another kind": Case(
        Problem.UNKNOWN_MODEL, "cfaig models", "is an embedding model", arguments=("--model", "@cf/baai/bge-m3")
    ),
    "format not served": Case(
        Problem.WIRE_NOT_SERVED,
        "one of chat_completions, responses",
        "User Input Error",
        {"POST /ai/v1/messages": error(400, 7003, "Model execution failed (User Input Error): Invalid value at 'a'")},
        arguments=("--model", SOLD, "--api", "messages", "--yes"),
    ),
    "one of two formats not served": Case(
        Problem.WIRE_NOT_SERVED,
        "api='auto'",
        "No such model",
        {"POST /ai/v1/responses": error(400, 5007, f"No such model {WORKERS_AI} or task")},
        arguments=("--yes",),
    ),
    "the provider fails": Case(
        Problem.CALL_FAILED,
        "log entry",
        "Failed to get response from provider",
        {"POST /ai/v1/": error(400, 2005, "Failed to get response from provider")},
        arguments=("--yes",),
    ),
    "the gateway is throttled": Case(
        Problem.CALL_FAILED,
        "back off",
        "rate limit",
        {"POST /ai/v1/": error(402, 2021, "Wholesale rate limit exceeded for this gateway.")},
        arguments=("--yes",),
    ),
    "the API fails": Case(
        Problem.CALL_FAILED, "See the error", "Oops", {"GET /user/tokens/verify": error(500, 1001, "Oops")}
    ),
    "gateway id that cannot be one": Case(
        Problem.INVALID_SETTING, "1 to 64", "not a valid id", env={"CLOUDFLARE_AI_GATEWAY_ID": "my gateway"}
    ),
}


def doctor(
    routes: Mapping[str, Route], *arguments: str, env: Mapping[str, str | None] | None = None, tls: bool = False
) -> Outcome:
    """Runs doctor on a healthy account that differs in some routes."""
    healthy = {name: route for name, route in HEALTHY.items() if not name.startswith(tuple(routes))}
    with raw_server({**healthy, **routes}, tls=tls) as server:
        return run("doctor", *arguments, env=environment(server, **(env or {})))


def examine(case: Case, *more: str) -> Outcome:
    return doctor(case.routes, *case.arguments, *more, env=case.env, tls=case.tls)


def failures(outcome: Outcome) -> list[dict[str, Any]]:
    return [check for check in outcome.json["checks"] if check["status"] == "failed"]


@pytest.mark.parametrize("name", CASES)
def test_a_misconfiguration_is_named_with_its_fix_and_exit_code(name: str) -> None:
    case = CASES[name]
    outcome = examine(case, "--json")
    first, report = failures(outcome)[0], outcome.json
    assert (first["problem"], first["exit_code"]) == (case.problem.name.lower(), case.problem.code)
    assert (outcome.code, report["exit_code"], report["ok"]) == (case.problem.code, case.problem.code, False)
    assert case.detail in first["detail"]
    assert case.fix in first["fix"]
    assert TOKEN not in outcome.stdout + outcome.stderr


@pytest.mark.parametrize("name", ["no token", "wrong token", "gateway missing", "model of others unknown"])
def test_the_report_for_people_says_the_same(name: str) -> None:
    case = CASES[name]
    outcome = examine(case)
    text = " ".join(outcome.stdout.split())
    assert outcome.code == case.problem.code
    assert case.problem.title in text
    assert case.fix in text
    assert f"(exit code {case.problem.code})" in text
    assert max(map(len, outcome.stdout.splitlines())) <= 100


def test_every_problem_has_its_own_exit_code_and_is_provoked() -> None:
    codes = [problem.code for problem in Problem]
    assert len(set(codes)) == len(codes)
    assert min(codes) >= 10
    provoked = {case.problem for case in CASES.values()}
    elsewhere = {Problem.NO_NETWORK, Problem.PROXY, Problem.NO_GATEWAY_PERMISSION}
    assert provoked | elsewhere == set(Problem)


def closed_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port


@pytest.mark.parametrize(
    ("env", "problem", "fix"),
    [
        ({}, Problem.NO_NETWORK, "DNS"),
        ({"HTTP_PROXY": "http://127.0.0.1:{port}", "NO_PROXY": None}, Problem.PROXY, "HTTPS_PROXY"),
        ({"HTTP_PROXY": "gopher://127.0.0.1:{port}", "NO_PROXY": None}, Problem.PROXY, "HTTPS_PROXY"),
        ({"CLOUDFLARE_API_BASE_URL": "http://nowhere.invalid/client/v4"}, Problem.WRONG_BASE_URL, "Unset"),
    ],
    ids=["nothing listens", "proxy is down", "proxy of another kind", "no such host"],
)
def test_a_server_that_cannot_be_reached(env: dict[str, str | None], problem: Problem, fix: str) -> None:
    port = closed_port()
    base = {"CLOUDFLARE_API_BASE_URL": f"http://127.0.0.1:{port}/client/v4"}
    changes = {name: value and value.format(port=port) for name, value in {**base, **env}.items()}
    outcome = run("doctor", "--json", env=environment(None, **changes))
    (failure,) = failures(outcome)
    assert (outcome.code, failure["problem"]) == (problem.code, problem.name.lower())
    assert fix in failure["fix"]


@pytest.mark.parametrize(
    ("base_url", "problem"),
    [
        ("https://api.cloudflare.com:443/client/v4", Problem.NO_NETWORK),
        ("https://api.cloudfare.com/client/v4", Problem.WRONG_BASE_URL),
    ],
)
def test_only_another_host_than_cloudflares_may_be_misspelled(
    base_url: str, problem: Problem, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_PROXY", "*")
    error = ConnectFault("The connection failed.")
    error.__cause__ = socket.gaierror(socket.EAI_NONAME, "Name or service not known")
    found = network_problem(error, base_url)
    assert found is not None
    assert found[0] is problem


@pytest.mark.parametrize(
    ("bypass", "problem"),
    [
        ("cloudflare.com", Problem.NO_NETWORK),
        ("example.com, .api.cloudflare.com", Problem.NO_NETWORK),
        ("*", Problem.NO_NETWORK),
        ("flare.com", Problem.PROXY),
        ("", Problem.PROXY),
    ],
)
def test_a_proxy_is_blamed_only_if_it_was_used(bypass: str, problem: Problem, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy.invalid")
    monkeypatch.setenv("NO_PROXY", bypass)
    found = network_problem(ConnectFault("The connection failed."), "https://api.cloudflare.com/client/v4")
    assert found is not None
    assert found[0] is problem


def test_a_token_without_a_status_is_valid() -> None:
    outcome = doctor({"GET /user/tokens/verify": result({"id": "t"})}, "--json")
    assert outcome.code == 0
    assert {"check": "token", "status": "ok", "detail": "valid, owned by the user"} in outcome.json["checks"]


def test_a_healthy_account_costs_nothing_without_consent() -> None:
    with raw_server(HEALTHY) as server:
        outcome = run("doctor", "--json", env=environment(server))
        assert not server.sent_to("POST")
    assert (outcome.code, outcome.json["ok"]) == (0, True)
    assert {check["check"]: check["status"] for check in outcome.json["checks"]} == {
        "settings": "ok",
        "token": "ok",
        "account": "ok",
        "permission": "ok",
        "gateway": "ok",
        "credits": "ok",
        "model": "ok",
        "test calls": "skipped",
    }


def test_without_an_offer_of_test_calls_the_report_says_so() -> None:
    checks = doctor({}, "--json", "--no-calls").json["checks"]
    assert checks[-1] == {"check": "test calls", "status": "skipped", "detail": "not sent: --no-calls is set"}
    outcome = doctor({}, "--yes", "--no-calls")
    assert (outcome.code, outcome.stdout, "Leave one of them out" in outcome.stderr) == (2, "", True)


def test_the_fix_of_a_setting_is_said_once() -> None:
    text = " ".join(examine(CASES["gateway id that cannot be one"]).stdout.split())
    assert text.count("1 to 64") == 1


def test_with_consent_each_format_is_called_once() -> None:
    with raw_server(HEALTHY) as server:
        outcome = run("doctor", "--json", "--yes", "--model", SOLD, env=environment(server))
        assert sorted(request.path.rpartition("/ai/v1/")[2] for request in server.sent_to("POST")) == [
            "chat/completions",
            "responses",
        ]
    assert outcome.code == 0


@pytest.mark.parametrize("model", [SOLD, WORKERS_AI])
def test_on_the_simulated_gateway_everything_is_checked_and_in_order(model: str) -> None:
    with Simulator() as simulator:
        outcome = run("doctor", "--json", "--yes", "--model", model, env=environment(None, **simulator.environment))
    assert {check["status"] for check in outcome.json["checks"]} == {"ok"}, outcome.stdout
    assert {"token", "account", "permission", "gateway", "credits", "model"} <= {
        check["check"] for check in outcome.json["checks"]
    }


@pytest.mark.parametrize(
    "refusal", [error(401, 1000, "Invalid API Token"), error(400, 6003, "Invalid headers"), DENIED]
)
def test_a_token_that_the_account_owns_is_valid(refusal: Response) -> None:
    routes = {"GET /user/tokens/verify": refusal, "GET /tokens/verify": result({"status": "active"})}
    outcome = doctor(routes, "--json")
    assert outcome.code == 0
    assert {"check": "token", "status": "ok", "detail": "valid, owned by the account"} in outcome.json["checks"]


@pytest.mark.parametrize(
    "answer", [error(400, 7000, "No route for that URI"), Response({}, status=404), Response({}, status=405)]
)
def test_a_server_without_the_path_does_not_verify_tokens(answer: Response) -> None:
    routes = {"GET /user/tokens/verify": answer, "GET /tokens/verify": answer}
    outcome = doctor(routes, "--json")
    skipped = {"check": "token", "status": "skipped", "detail": "this server does not verify tokens"}
    assert outcome.code == 0
    assert skipped in outcome.json["checks"]


def test_the_permission_for_logs_is_missed_without_failing() -> None:
    outcome = doctor({"GET /ai-gateway/": DENIED}, "--json")
    (warning,) = [check for check in outcome.json["checks"] if check["status"] == "warning"]
    assert (outcome.code, warning["problem"]) == (0, "no_gateway_permission")
    assert "AI Gateway > Read" in warning["fix"]


@pytest.mark.parametrize("name", ["no credits", "gateway without authentication"])
def test_a_call_that_works_makes_a_missing_condition_a_warning(name: str) -> None:
    outcome = examine(CASES[name], "--json", "--yes")
    (warning,) = [check for check in outcome.json["checks"] if check["status"] == "warning"]
    assert (outcome.code, warning["problem"]) == (0, CASES[name].problem.name.lower())


def test_models_of_workers_ai_need_neither_credits_nor_authentication() -> None:
    routes = {
        "GET /ai-gateway/gateways/default": result({"id": "default", "authentication": False}),
        "GET /ai-gateway/billing/credit-balance": result({"balance": 0}),
    }
    outcome = doctor(routes, "--json")
    assert outcome.code == 0
    assert sorted(check["check"] for check in outcome.json["checks"] if check["status"] == "warning") == [
        "credits",
        "gateway",
    ]
