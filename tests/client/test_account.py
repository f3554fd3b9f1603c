"""Logs in pages, bodies of calls, models, gateways, credits, web search and costs, over a real socket."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from types import SimpleNamespace
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from cfaig_integrations import gateway_context
from cfaig_integrations.client.api import AIGateway, RunCost
from cfaig_integrations.client.async_api import AsyncAIGateway
from cfaig_integrations.errors import ApiError, ConfigError, NotFound, ProtocolError
from cfaig_integrations.gateway.costs import CONCURRENCY
from cfaig_integrations.gateway.info import read_info
from cfaig_integrations.gateway.run_result import RunResult
from tests.client.gateway_api import ACCOUNT, Api, json_reply
from tests.client.loopback import Loopback, Reply, Seen

MISSING = Reply([b'{"success":false,"errors":[{"code":7002,"message":"Log not found"}],"result":null}'], status=404)


@pytest.fixture(params=[False, True], ids=["sync", "async"])
def api(request: pytest.FixtureRequest, server: Loopback) -> Api:
    return Api(server, asynchronous=request.param)


def listed(entries: list[dict[str, Any]], **info: Any) -> Reply:
    more = {"result_info": info} if info else {}
    return json_reply({"success": True, "result": entries, "errors": [], "messages": [], **more})


def found(result: Any) -> Reply:
    return json_reply({"success": True, "result": result, "errors": [], "messages": []})


def log(name: str, cost: float | None = 0.5, **fields: Any) -> dict[str, Any]:
    return {"id": name, "model": "gpt-5.4", "cost": cost, "cached": False, **fields}


def target(server: Loopback, index: int = 0) -> tuple[str, dict[str, list[str]]]:
    parts = urlsplit(server.seen[index].line.split()[1])
    return parts.path.removeprefix("/client/v4/accounts/acc"), parse_qs(parts.query)


def all_logs(api: Api, server: Loopback, **query: Any) -> list[str]:
    arguments = {"base_url": server.base_url, **ACCOUNT}
    if not api.asynchronous:
        return [entry.id for entry in AIGateway(**arguments).logs(**query)]

    async def main() -> list[str]:
        return [entry.id async for entry in AsyncAIGateway(**arguments).logs(**query)]

    return asyncio.run(main())


# Logs


@pytest.mark.parametrize(
    ("replies", "ids"),
    [
        ([listed([log("a"), log("b")], total_count=3), listed([log("c")], total_count=3)], "abc"),
        ([listed([log("a"), log("b")]), listed([log("c")]), listed([])], "abc"),
        ([listed([log("a"), log("b")]), listed([log("b"), log("c")]), listed([log("c")])], "abc"),
        ([listed([])], ""),
    ],
    ids=["total", "no total", "moved to the next page", "none"],
)
def test_logs_of_all_pages(server: Loopback, api: Api, replies: list[Reply], ids: str) -> None:
    server.script += replies
    assert all_logs(api, server, per_page=2, search="x") == list(ids)
    assert [target(server, index)[1]["page"] for index in range(len(replies))] == [
        [str(number)] for number in range(1, len(replies) + 1)
    ]
    path, query = target(server)
    assert path == "/ai-gateway/gateways/gw/logs"
    assert (query["per_page"], query["search"]) == (["2"], ["x"])


def test_a_server_that_ignores_pages_is_asked_twice(server: Loopback, api: Api) -> None:
    server.usual = listed([log("a")])
    assert all_logs(api, server) == ["a"]
    assert len(server.seen) == 2


def test_pages_are_requested_when_they_are_reached(server: Loopback) -> None:
    server.script += [listed([log("a"), log("b")]), listed([log("c")])]
    entries = AIGateway(base_url=server.base_url, **ACCOUNT).logs()
    assert not server.seen
    assert [next(entries).id, next(entries).id] == ["a", "b"]
    assert len(server.seen) == 1


def test_one_page_of_logs(server: Loopback, api: Api) -> None:
    server.usual = listed([log("a")], total_count=90)
    assert [entry.id for entry in api.logs(page=3, gateway_id="other")] == ["a"]
    assert target(server)[0] == "/ai-gateway/gateways/other/logs"
    assert target(server)[1]["page"] == ["3"]
    assert all_logs(api, server, page=2) == ["a"]


@pytest.mark.parametrize("method", ["log", "feedback", "request_body", "response_body", "cost", "run_cost"])
def test_a_call_of_another_gateway(server: Loopback, api: Api, method: str) -> None:
    server.usual = found(log("a"))
    arguments = {"score": 50} if method == "feedback" else {}
    getattr(api, method)("a", gateway_id="other", **arguments)
    assert target(server)[0].startswith("/ai-gateway/gateways/other/logs/a")


def test_awaited_logs_are_the_first_page(server: Loopback) -> None:
    server.usual = listed([log("a")], total_count=90)
    logs = Api(server, asynchronous=True).logs()
    assert (isinstance(logs, list), len(server.seen)) == (True, 1)


@pytest.mark.parametrize("gateway", [AIGateway, AsyncAIGateway])
@pytest.mark.parametrize(
    ("query", "field"),
    [
        ({"filters": [{"key": "a"}]}, "filters"),
        ({"gateway_id": 7}, "gateway_id"),
        ({"per_page": 0}, "per_page"),
        ({"order_by": "cost_usd"}, "order_by"),
        ({"descending": "asc"}, "descending"),
    ],
)
@pytest.mark.parametrize("page", [None, 2])
def test_an_invalid_query_is_refused_at_the_call(
    server: Loopback, gateway: type[AIGateway | AsyncAIGateway], query: dict[str, Any], field: str, page: int | None
) -> None:
    with pytest.raises(ConfigError) as caught:
        gateway(base_url=server.base_url, **ACCOUNT).logs(page=page, **query)  # neither iterated nor awaited
    assert caught.value.field == field
    assert not server.seen


@pytest.mark.parametrize("gateway", [AIGateway, AsyncAIGateway])
@pytest.mark.parametrize("page", [0, -1, True])
def test_pages_of_the_log_count_from_1(server: Loopback, gateway: type[AIGateway | AsyncAIGateway], page: int) -> None:
    with pytest.raises(ConfigError, match="Use 1 or more"):
        gateway(base_url=server.base_url, **ACCOUNT).logs(page=page)
    assert not server.seen


@pytest.mark.parametrize("side", ["request", "response"])
@pytest.mark.parametrize(
    ("reply", "value"),
    [
        (json_reply({"success": False, "result": {"a": 1}}), {"success": False, "result": {"a": 1}}),
        (Reply([b"data: [DONE]\n\n"]), "data: [DONE]\n\n"),
        (Reply([b"\xff\xfb\x90"]), b"\xff\xfb\x90"),
    ],
    ids=["JSON", "text", "bytes"],
)
def test_bodies_of_a_call(server: Loopback, api: Api, side: str, reply: Reply, value: Any) -> None:
    server.usual = reply
    assert getattr(api, f"{side}_body")("log/1") == value
    assert target(server)[0] == f"/ai-gateway/gateways/gw/logs/log%2F1/{side}"


def test_a_late_body_is_requested_again(server: Loopback, api: Api, pauses: list[float]) -> None:
    server.script += [MISSING, json_reply({"a": 1})]
    assert api.request_body("log1") == {"a": 1}
    assert pauses == [0.5]


# Models, gateways, credits


def test_models(server: Loopback, api: Api) -> None:
    entry = {
        "id": "uuid",
        "name": "@cf/meta/llama",
        "description": "A model",
        "task": {"id": "t", "name": "Text Generation"},
        "tags": ["a"],
        "properties": [{"property_id": "context_window", "value": "8192"}, {"property_id": "price", "value": [{}]}],
    }
    other = {"id": "uuid2", "name": "@cf/baai/bge"}
    server.script += [listed([entry], total_count=2), listed([other], total_count=2)]
    one, two = api.models(search="llama", task="Text Generation", author="meta")
    path, query = target(server)
    assert path == "/ai/models/search"
    assert query == {
        "search": ["llama"],
        "task": ["Text Generation"],
        "author": ["meta"],
        "page": ["1"],
        "per_page": ["50"],
    }
    assert (one.name, one.task, one.tags, one.context_window) == ("@cf/meta/llama", "Text Generation", ("a",), 8192)
    assert one.properties["price"] == [{}]
    assert (two.name, two.task, two.context_window, two.raw) == ("@cf/baai/bge", "", None, other)


def test_gateways(server: Loopback, api: Api) -> None:
    server.usual = listed([{"id": "gw", "authentication": True, "cache_ttl": 0, "collect_logs": "?"}], total_count=1)
    (entry,) = api.gateways()
    assert target(server)[0] == "/ai-gateway/gateways"
    assert (entry.id, entry.authentication, entry.cache_ttl, entry.collect_logs) == ("gw", True, 0, None)


def test_credits(server: Loopback, api: Api) -> None:
    server.usual = found({"balance": 1234, "has_default_payment_method": False, "topup_config": {}})
    balance = api.credits()
    assert server.seen[0].line.startswith("GET /client/v4/accounts/acc/ai-gateway/billing/credit-balance ")
    assert (balance.balance, balance.has_default_payment_method) == (1234.0, False)
    assert balance.raw["topup_config"] == {}


@pytest.mark.parametrize(
    ("method", "reply"),
    [
        ("models", found({"a": 1})),
        ("models", listed([{"description": "nameless"}])),
        ("gateways", listed([1])),  # type: ignore[list-item]
        ("credits", found({"balance": "much"})),
        ("credits", found(None)),
    ],
)
def test_an_answer_that_cannot_be_read(server: Loopback, api: Api, method: str, reply: Reply) -> None:
    server.usual = reply
    with pytest.raises(ProtocolError):
        getattr(api, method)()


# Web search


ITEMS = [{"url": "https://a.example", "title": "A", "description": "About a", "favicon": "x"}, {"url": "https://b"}]


@pytest.mark.parametrize("wrapped", [False, True], ids=["bare", "in an envelope"])
def test_web_search(server: Loopback, api: Api, wrapped: bool) -> None:
    body = {"items": ITEMS, "metadata": {"provider": "exa"}}
    server.usual = json_reply({"success": True, "result": body} if wrapped else body, **{"cf-aig-log-id": "log1"})
    with gateway_context(metadata={"team": "docs"}):
        search = api.web_search("What is Cloudflare?", provider="exa", limit=2)
    (seen,) = server.seen
    assert seen.line == "POST /client/v4/accounts/acc/ai/websearch/ HTTP/1.1"
    assert json.loads(seen.body) == {
        "query": "What is Cloudflare?",
        "provider": "exa",
        "limit": 2,
        "options": {"gateway": {"id": "gw"}},
    }
    assert json.loads(seen.headers["cf-aig-metadata"]) == {"team": "docs"}
    assert [(page.url, page.title, page.description) for page in search.pages] == [
        ("https://a.example", "A", "About a"),
        ("https://b", "", ""),
    ]
    assert (search.metadata, search.log_id, search.pages[0].raw["favicon"]) == ({"provider": "exa"}, "log1", "x")


def test_unset_arguments_of_a_web_search_are_omitted(server: Loopback, api: Api) -> None:
    server.usual = json_reply({"items": []})
    assert api.web_search("x", gateway={"gateway_id": "other"}).pages == ()
    assert json.loads(server.seen[0].body) == {"query": "x", "options": {"gateway": {"id": "other"}}}


def test_an_error_of_a_web_search(server: Loopback, api: Api) -> None:
    error = {"category": "gateway", "code": "invalid_web_search_input", "status": 400, "retryable": False}
    server.usual = json_reply({"ok": False, "error": error})
    with pytest.raises(ApiError, match="invalid_web_search_input"):
        api.web_search("x")


@pytest.mark.parametrize(
    ("arguments", "field"),
    [({"query": " "}, "query"), ({"query": "x", "limit": 0}, "limit"), ({"query": "x", "provider": 1}, "provider")],
)
def test_an_invalid_web_search_is_not_sent(server: Loopback, api: Api, arguments: dict[str, Any], field: str) -> None:
    with pytest.raises(ConfigError) as caught:
        api.web_search(**arguments)
    assert caught.value.field == field
    assert not server.seen


# Costs


@pytest.mark.parametrize(
    "source",
    [
        "log1",
        SimpleNamespace(log_id="log1"),
        SimpleNamespace(info=SimpleNamespace(log_id="log1")),
        SimpleNamespace(response_metadata={"gateway": {"log_id": "log1"}}),
        SimpleNamespace(
            message=SimpleNamespace(additional_kwargs={}), additional_kwargs={"cf_aig": {"log_id": "log1"}}
        ),
        SimpleNamespace(raw={"cf_aig": {"log_id": "log1"}}),
        SimpleNamespace(generations=[[SimpleNamespace(generation_info={"gateway": {"log_id": "log1"}}, text="a")]]),
        {
            "messages": [
                SimpleNamespace(content="Hi"),
                SimpleNamespace(response_metadata={"gateway": {"log_id": "log1"}}),
            ]
        },
        ["log1", "log1"],
        SimpleNamespace(log_ids=("log1",)),
    ],
    ids=lambda source: str(source)[:60],
)
def test_the_cost_of_a_call(server: Loopback, api: Api, source: Any) -> None:
    server.usual = found(log("log1", 0.25))
    assert api.cost(source) == 0.25
    assert [target(server, index)[0] for index in range(len(server.seen))] == ["/ai-gateway/gateways/gw/logs/log1"]


@pytest.mark.parametrize("source", [None, "an answer", SimpleNamespace(), {"messages": []}, 1], ids=str)
def test_what_has_no_log_id(server: Loopback, api: Api, source: Any) -> None:
    with pytest.raises(ConfigError, match="log id"):
        api.cost(source)
    assert not server.seen


def test_a_call_without_a_price(server: Loopback, api: Api) -> None:
    server.usual = found(log("log1", None))
    assert api.cost("log1") is None


def test_the_cost_of_a_missing_log(server: Loopback, api: Api, pauses: list[float]) -> None:
    server.usual = MISSING
    with pytest.raises(NotFound):
        api.cost("log1")


def test_the_cost_of_all_requests_of_a_call(server: Loopback, api: Api) -> None:
    info = read_info({"cf-aig-log-id": "b"}, wire="run", model="m", attempts=2, earlier_log_ids=("a",))
    error = ApiError("Refused.", status=500, headers={"cf-aig-log-id": "c"})
    error.log_ids = ("a", "c")
    server.usual = found(log("x", 0.25))
    for source in (RunResult({}, (), info), [SimpleNamespace(response_metadata={"gateway": info.as_dict()})], [error]):
        server.seen.clear()
        assert api.cost(source) == 0.5
        assert len({target(server, index)[0] for index in range(2)}) == 2


RUN_LOGS = {
    "a": log("a", 0.1, metadata={"team": "x"}),
    "b": log("b", 0.2, model="other", metadata={"team": "x"}),
    "d": log("d", 0.0, cached=1, metadata='{"team": "y"}'),
    "e": log("e", None, model="other"),
}


def test_the_cost_of_a_run(server: Loopback, api: Api, pauses: list[float]) -> None:
    asked: Counter[str] = Counter()

    def answer(request: Seen) -> Reply:
        name = request.line.split()[1].rpartition("/")[2]
        asked[name] += 1
        return MISSING if name == "c" or (name == "b" and asked[name] == 1) else found(RUN_LOGS[name])

    server.answer = answer
    cost = api.run_cost(["a", "b", "c", "d", "e"], by="team", wait=2.0)
    assert cost == RunCost(
        total=pytest.approx(0.3),  # type: ignore[arg-type]
        by_model={"gpt-5.4": 0.1, "other": 0.2},
        by_metadata={"x": pytest.approx(0.3), "y": 0.0, "": 0.0},  # type: ignore[dict-item]
        calls=4,
        cached=1,
        missing=("c",),
        unpriced=("e",),
    )
    assert pauses == [0.5] * 4
    assert asked == {"a": 1, "b": 2, "c": 5, "d": 1, "e": 1}


def test_the_entries_of_a_run_are_requested_several_at_a_time(server: Loopback, api: Api) -> None:
    server.usual, server.hold = MISSING, CONCURRENCY
    names = [f"log{number}" for number in range(2 * CONCURRENCY)]
    assert api.run_cost(names, wait=0).missing == tuple(names)
    assert server.most_open == CONCURRENCY


def test_another_error_of_a_log_is_raised(server: Loopback, api: Api) -> None:
    server.usual = Reply([b'{"success":false,"errors":[{"code":10000,"message":"no"}]}'], status=403)
    with pytest.raises(ApiError, match="no"):
        api.run_cost([f"{n}" for n in range(40)])
    assert len(server.seen) <= CONCURRENCY


def test_the_cost_of_no_calls(server: Loopback, api: Api) -> None:
    assert api.run_cost([]) == RunCost()
    assert not server.seen


@pytest.mark.parametrize(
    ("arguments", "field"), [({"by": ""}, "by"), ({"wait": -1}, "wait"), ({"wait": "1"}, "wait")], ids=str
)
def test_an_invalid_run_cost_is_not_sent(server: Loopback, api: Api, arguments: dict[str, Any], field: str) -> None:
    with pytest.raises(ConfigError) as caught:
        api.run_cost(["a"], **arguments)
    assert caught.value.field == field
    assert not server.seen
