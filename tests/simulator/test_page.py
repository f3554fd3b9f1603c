"""The page of the local gateway, read with a parser: what it shows, how it filters, what it escapes."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from html.parser import HTMLParser
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cfaig_integrations.simulator import ScriptedGateway, Simulator
from cfaig_integrations.simulator.gateway.log_store import Outline
from cfaig_integrations.simulator.page import markup
from cfaig_integrations.simulator.page.chart import metadata_keys, total, totals_by
from cfaig_integrations.simulator.page.entry_page import read_answer
from cfaig_integrations.simulator.page.markup import Markup, tag

from .conftest import Caller

HOSTILE = """<h1 onclick="x()">Hi</h1><script>document.title='pwned'</script>&amp;"'></pre></td>"""
VOID = {"br", "hr", "img", "input", "link", "meta", "rect"}


class Page(HTMLParser):
    """The elements of a page, each with its attributes and its text."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str], list[str]]] = []
        self._open: list[int] = []
        self.feed(text)
        self.close()
        assert not self._open, "an element is not closed"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        names = [name for name, _ in attrs]
        assert len(set(names)) == len(names), (tag, attrs)
        self.elements.append((tag, {name: value or "" for name, value in attrs}, []))
        if tag not in VOID:
            self._open.append(len(self.elements) - 1)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)

    def handle_endtag(self, tag: str) -> None:
        assert self.elements[self._open.pop()][0] == tag

    def handle_data(self, data: str) -> None:
        for index in self._open:
            self.elements[index][2].append(data)

    def texts(self, name: str, class_: str = "") -> list[str]:
        return ["".join(text) for _, _, text in self.select(name, class_)]

    def select(self, name: str, class_: str = "") -> Iterator[tuple[str, dict[str, str], list[str]]]:
        for element in self.elements:
            if element[0] == name and (not class_ or class_ in element[1].get("class", "").split()):
                yield element

    def links(self, class_: str = "") -> list[str]:
        return [attributes["href"] for _, attributes, _ in self.select("a", class_)]


def get(sim: Simulator, path: str = "/", **query: Any) -> Page:
    response = httpx.get(sim.url + path, params=query or None)
    assert response.status_code == 200, response.text
    return Page(response.text)


def send(caller: Caller, *, team: str = "docs", agent: str = "test/1", **fields: Any) -> httpx.Response:
    headers = {
        "cf-aig-metadata": json.dumps({"team": team, "user_id": "u1"}),
        "user-agent": agent,
        "cf-aig-gateway-id": "default",
    }
    return caller.chat(headers=headers, **fields)


@pytest.fixture
def filled(sim: Simulator, caller: Caller) -> Simulator:
    """Four calls: two of a team `docs`, one of `search` that fails, one of `search` on another wire."""
    sim.reply("Bonjour", tokens_in=1_000_000, tokens_out=1_000_000)
    send(caller, agent="cfaig-integrations/0.1.0 langchain")
    send(caller, agent="cfaig-integrations/0.1.0 llama-index", model="openai/gpt-4.1-mini", stream=True)
    sim.fault("no_credits")
    send(caller, team="search", agent="OpenAI/Python 3.57.0")
    headers = {"cf-aig-metadata": '{"team": "search"}', "user-agent": "curl/8.1"}
    body = {"model": "anthropic/claude-haiku-4.5", "max_tokens": 9, "messages": [{"role": "user", "content": "Hi"}]}
    caller.post("/ai/v1/messages", body, headers)
    return sim


def test_a_row_shows_a_call(filled: Simulator) -> None:
    page = get(filled)
    assert page.texts("td", "framework") == ["curl", "OpenAI SDK", "LlamaIndex", "LangChain"]
    assert page.texts("td", "wire") == [
        "Messages",
        *["Chat Completions"] * 1,
        "Chat Completions stream",
        "Chat Completions",
    ]
    assert page.texts("td", "model")[1:] == ["openai/gpt-4.1", "openai/gpt-4.1-mini", "openai/gpt-4.1"]
    assert page.texts("td", "metadata")[2:] == ["teamdocsuser_idu1", "teamdocsuser_idu1"]
    assert page.texts("td", "status") == ["200", "402", "200", "200"]
    assert page.texts("td", "tokens")[3] == "1,000,000 / 1,000,000"
    assert page.texts("td", "cost")[3] == "$10.00"
    assert page.texts("td", "cache") == ["miss"] * 4
    assert all(re.fullmatch(r"[\d.]+ m?s", text) for text in page.texts("td", "latency"))
    assert all(re.search(r"\d\d:\d\d:\d\d$", text) for text in page.texts("td", "time"))


def test_a_cache_hit_is_marked(sim: Simulator, caller: Caller) -> None:
    for _ in range(2):
        caller.chat(headers={"cf-aig-cache-ttl": "60"})
    assert get(sim).texts("td", "cache") == ["HIT", "miss"]


@pytest.mark.parametrize(
    ("query", "frameworks"),
    [
        ({"key": "team", "value": "docs"}, ["LlamaIndex", "LangChain"]),
        ({"key": ["team", "user_id"], "value": ["search", "u1"]}, ["OpenAI SDK"]),
        ({"key": "team", "value": ""}, ["curl", "OpenAI SDK", "LlamaIndex", "LangChain"]),
        ({"key": "", "value": "docs"}, ["curl", "OpenAI SDK", "LlamaIndex", "LangChain"]),
        ({"key": "nothing", "value": "docs"}, []),
        ({"model": "openai/gpt-4.1"}, ["OpenAI SDK", "LangChain"]),
        ({"wire": "messages"}, ["curl"]),
        ({"status": "error"}, ["OpenAI SDK"]),
        ({"status": "ok"}, ["curl", "LlamaIndex", "LangChain"]),
        ({"status": "402"}, ["OpenAI SDK"]),
        ({"status": "cached"}, []),
        ({"text": "BONJOUR"}, ["LangChain"]),
        ({"gateway": "other"}, []),
        ({"model": "openai/gpt-4.1", "key": "team", "value": "docs"}, ["LangChain"]),
    ],
    ids=str,
)
def test_filters(filled: Simulator, query: dict[str, Any], frameworks: list[str]) -> None:
    page = get(filled, **query)
    assert page.texts("td", "framework") == frameworks
    filtered = bool(query.get("key") and query.get("value")) or not {"key", "value"} & query.keys()
    assert page.texts("summary") == ["Filters (active)" if filtered else "Filters"]
    if not frameworks:
        assert page.texts("p", "empty") == ["No call passes these filters."]


def test_links_add_and_remove_filters(filled: Simulator) -> None:
    first = get(filled)
    narrowed = first.links("chip")[0]
    page = get(filled, narrowed)
    assert page.texts("td", "framework") == ["curl", "OpenAI SDK"]
    assert page.texts("a", "active") == ["Remove the filter teamsearch\u00d7"]
    (widened,) = page.links("active")
    assert len(get(filled, widened).texts("td", "framework")) == 4


def test_the_form_keeps_what_is_chosen(filled: Simulator) -> None:
    page = get(filled, model="openai/gpt-4.1", status="402", key="team", value="search", by="user_id", text="Say")
    chosen = [
        "".join(text) for name, attributes, text in page.elements if name == "option" and "selected" in attributes
    ]
    assert chosen == ["openai/gpt-4.1", "Any", "402", "None"]
    fields = [(attributes["name"], attributes.get("value")) for _, attributes, _ in page.select("input")]
    assert fields == [("by", "user_id"), ("key", "team"), ("value", "search"), ("value", ""), ("text", "Say")]


def test_totals(filled: Simulator) -> None:
    page = get(filled)
    totals = dict(zip(page.texts("dt"), page.texts("dd"), strict=True))
    assert (totals["Calls"], totals["Failed"], totals["From cache"]) == ("4", "1 (25%)", "0%")
    assert totals["Tokens in / out"].startswith("1M / 1M")
    assert totals["Cost"] == "$10.00"


def test_the_chart(filled: Simulator) -> None:
    page = get(filled)
    labels = [
        attributes["aria-label"] for _, attributes, _ in page.select("a") if "calls" in attributes.get("aria-label", "")
    ]
    assert labels[0] == "docs 2 calls $10.00"
    assert labels[1].startswith("search 2 calls, 1 failed $0.0000")
    assert re.fullmatch(r"docs 2 calls [\d.]+ m?s · [\d.]+ m?s", labels[2])
    bars = [attributes["width"] for _, attributes, _ in page.select("rect", "cost")]
    assert bars[0] == "100.00%"
    assert float(bars[1].rstrip("%")) < 1
    assert page.texts("a", "tab") == ["team", "user_id"]
    assert [attributes["aria-label"] for _, attributes, _ in page.select("svg") if "aria-label" in attributes] == [
        "Cost by team",
        "Latency by team",
    ]
    other = get(filled, by="user_id")
    assert other.texts("title")[1].startswith("user_id = u1: ")


def outline(value: Any, cost: float = 0.0, duration: float = 1.0, *, success: bool = True) -> Outline:
    metadata = {"user": value, "run_id": f"r{duration}", "op": "chat"}
    return Outline("default", "openai/gpt-4.1", "responses", success, False, 10, 5, cost, duration, metadata)


def test_totals_by_metadata() -> None:
    entries = [outline("ann", cost=1.5), outline(True, cost=2.0), outline(True, success=False)]
    entries += [outline("bob", duration=number) for number in range(1, 21)]
    entries.append(outline("ann")._replace(metadata=None, cached=True))
    true, ann, bob = totals_by("user", entries)
    assert (true.value, true.calls, true.failed, true.cost, true.tokens_in) == ("true", 2, 1, 2.0, 20)
    assert (bob.value, bob.calls, bob.median_duration, bob.p95_duration) == ("bob", 20, 10.5, 19)
    assert ann.calls == 1
    assert (total(entries).calls, total(entries).cached, total([]).p95_duration) == (24, 1, 0)
    assert metadata_keys(entries) == ["user", "op", "run_id"]


def test_the_chart_shows_the_most_expensive_values(sim: Simulator, caller: Caller) -> None:
    for number in range(10):
        sim.reply("a", tokens_in=1000 * (number + 1), tokens_out=1)
        send(caller, team=f"team{number}")
    page = get(sim)
    names = [text.partition(" ")[0] for text in page.texts("text")[::2]]
    assert names[:8] == [f"team{number}" for number in range(9, 1, -1)]
    assert "2 more, with less cost" in page.texts("p", "muted")


def test_without_calls(sim: Simulator) -> None:
    page = get(sim)
    assert page.texts("p", "empty") == ["No calls yet. They appear here as they are made."]
    assert not list(page.select("svg"))


def test_older_calls_are_a_page_away(sim: Simulator, caller: Caller) -> None:
    for number in range(53):
        caller.chat(model=f"openai/gpt-4.1-{number}")
    page = get(sim)
    assert page.texts("td", "model") == [f"openai/gpt-4.1-{number}" for number in range(52, 2, -1)]
    (older,) = [attributes["href"] for _, attributes, _ in page.select("a") if attributes.get("rel") == "next"]
    caller.chat(model="openai/gpt-4.1-new")
    page = get(sim, older)
    assert page.texts("td", "model") == [f"openai/gpt-4.1-{number}" for number in range(2, -1, -1)]
    assert not [attributes for _, attributes, _ in page.select("button") if attributes.get("id") == "pause"]


def test_an_unchanged_log_is_not_sent_again(sim: Simulator, caller: Caller) -> None:
    tag = httpx.get(sim.url).headers["etag"]
    assert httpx.get(sim.url, headers={"if-none-match": tag}).status_code == 304
    caller.chat()
    fresh = httpx.get(sim.url, headers={"if-none-match": tag})
    assert fresh.status_code == 200
    assert fresh.headers["etag"] != tag


def entry_path(sim: Simulator) -> str:
    """The address of the newest entry."""
    return next(link for link in get(sim).links() if link.startswith("/_simulator/logs/"))


def test_an_entry_shows_request_and_response(sim: Simulator, caller: Caller) -> None:
    sim.reply("Bonjour", calls=[{"name": "weather", "arguments": {"city": "Paris"}}], reasoning="Hm")
    send(
        caller,
        model="@cf/openai/gpt-oss-120b",
        messages=[{"role": "system", "content": "Be brief"}, {"role": "user", "content": "Hello"}],
    )
    page = get(sim, entry_path(sim))
    assert page.texts("h1") == ["200 @cf/openai/gpt-oss-120b"]
    facts = dict(zip(page.texts("dt"), page.texts("dd"), strict=True))
    assert (facts["Framework"], facts["Client"], facts["Gateway"]) == ("test", "test/1", "default")
    shown = list(zip(page.texts("span", "role"), page.texts("div", "text"), strict=True))
    assert shown == [
        ("system", "Be brief"),
        ("user", "Hello"),
        ("reasoning", "Hm"),
        ("text", "Bonjour"),
        ("tool call", 'weather {"city":"Paris"}'),
    ]
    request, response = page.texts("pre")
    assert json.loads(request)["messages"][1]["content"] == "Hello"
    assert json.loads(response)["choices"][0]["message"]["content"] == "Bonjour"
    for side, text in (("request", request), ("response", response)):
        raw = httpx.get(f"{sim.url}{entry_path(sim)}/{side}")
        assert raw.headers["content-type"] == "text/plain; charset=utf-8"
        assert json.loads(raw.text) == json.loads(text)


def test_credentials_are_not_shown(sim: Simulator, caller: Caller) -> None:
    secrets = ["sk-provider-key-0123456789", "session=0123456789abcdef", "key-0123456789abcdef"]
    headers = {
        "authorization": f"Bearer {secrets[0]}",
        "cf-aig-authorization": f"Bearer {sim.api_token}",
        "cookie": secrets[1],
        "x-api-key": secrets[2],
        "x-visible": "shown",
    }
    prompt = f"The token is {sim.api_token}, the key is {secrets[0]}."
    body = {"model": "openai/gpt-4.1", "messages": [{"role": "user", "content": prompt}]}
    assert httpx.post(f"{sim.legacy_url}/chat/completions", json=body, headers=headers).status_code == 200
    path = entry_path(sim)
    page = get(sim, path)
    assert "shown" in page.texts("td")
    for url in ("/", path, f"{path}/request", f"{path}/response"):
        text = httpx.get(sim.url + url).text
        assert not [secret for secret in (*secrets, sim.api_token) if secret in text]


def test_hostile_content_is_text(sim: Simulator, caller: Caller) -> None:
    sim.reply(HOSTILE)
    headers = {
        "cf-aig-metadata": json.dumps({HOSTILE[:60]: HOSTILE, "\u202e": "\u202eabc", "odd": "\ud800"}),
        "user-agent": HOSTILE.replace("\n", ""),
    }
    caller.chat(model=f"openai/{HOSTILE}", messages=[{"role": "user", "content": HOSTILE}], headers=headers)
    path = entry_path(sim)
    for url in (
        "/",
        path,
        "/?by=" + "%3Cscript%3E",
        "/?model=%22%3E%3Cscript%3E&text=%3C/title%3E",
        "/_simulator/logs/<script>",
    ):
        page = Page(httpx.get(sim.url + url).text)
        assert [attributes for _, attributes, _ in page.select("script")] == [
            {"src": "/_simulator/static/page.js", "defer": ""}
        ]
        assert not [
            name for _, attributes, _ in page.elements for name in attributes if name.startswith(("on", "style"))
        ]
        assert not [name for name, _, shown in page.elements if "\u202e" in "".join(shown)]
    assert HOSTILE in get(sim, path).texts("div", "text")
    assert f"openai/{HOSTILE}" in get(sim).texts("td", "model")
    narrowed = get(sim).links("chip")[0]
    assert len(get(sim, narrowed).texts("td", "model")) == 1


@given(st.text(st.characters(exclude_characters="\r\x00", exclude_categories=["Cs"])))
def test_any_text_comes_back_from_the_markup(text: str) -> None:
    page = Page(tag("p", text, title=text, data_x=text))
    ((_, attributes, content),) = page.elements
    expected = re.sub(
        "[\x01-\x08\x0b\x0e-\x1f\u202a-\u202e\u2066-\u2069]", lambda match: f"\\u{ord(match[0]):04x}", text
    )
    assert "".join(content) == expected
    assert attributes["title"] == attributes["data-x"] == text


def test_markup_is_not_escaped_twice() -> None:
    assert tag("p", tag("b", "<"), ["&", 1], None, class_="x", hidden=True, lang=None, open=False) == Markup(
        '<p class="x" hidden><b>&lt;</b>&amp;1</p>'
    )
    assert tag("meta", name="viewport") == '<meta name="viewport">'


def test_long_bodies_are_cut(sim: Simulator, caller: Caller) -> None:
    caller.chat(messages=[{"role": "user", "content": "word " * 300_000}])
    page = get(sim, entry_path(sim))
    assert len(page.texts("pre")[0]) == 200_000
    assert "The first 200,000 of" in " ".join(page.texts("p", "muted"))
    assert len(httpx.get(f"{sim.url}{entry_path(sim)}/request").content) > 1_500_000


def test_every_response_forbids_what_the_page_does_not_need(filled: Simulator) -> None:
    paths = [
        "/",
        entry_path(filled),
        f"{entry_path(filled)}/request",
        "/_simulator/logs/none",
        "/_simulator/static/page.js",
    ]
    for path in paths:
        headers = httpx.get(filled.url + path).headers
        policy = headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "no-referrer"


def test_nothing_comes_from_elsewhere(filled: Simulator) -> None:
    for path in ("/", entry_path(filled)):
        page = get(filled, path)
        addresses = [
            attributes[name]
            for _, attributes, _ in page.elements
            for name in ("src", "href", "action")
            if name in attributes
        ]
        assert addresses
        assert all(re.match(r"/(?!/)|#", address) for address in addresses)
    for name, kind in (("page.css", "text/css"), ("page.js", "text/javascript"), ("icon.svg", "image/svg+xml")):
        response = httpx.get(f"{filled.url}/_simulator/static/{name}")
        assert response.headers["content-type"].startswith(kind)
        assert not re.search(r"(?:https?:)?//(?!www\.w3\.org)\w+\.\w+", response.text)


@pytest.mark.parametrize(
    "query",
    [
        {"before": "x"}, {"before": "9" * 40}, {"before": "-1"}, {"status": "9999"}, {"status": "\u00b2\u00b2\u00b2"},
        {"key": ["a", "b"], "value": "1"},
        {"key": [str(number) for number in range(2000)], "value": ["1"] * 2000},
        {"by": "\x00"}, {"model": "\ufffd\x01"},
    ],
    ids=str,
)  # fmt: skip
def test_odd_queries_do_no_harm(filled: Simulator, query: dict[str, Any]) -> None:
    get(filled, **query)


def test_unknown_entries_and_files(sim: Simulator) -> None:
    for path in ("logs/none", "logs/none/request", "static/none", "static/..%2Froutes.py"):
        assert httpx.get(f"{sim.url}/_simulator/{path}").status_code in {400, 404}


def test_the_page_is_not_part_of_what_it_shows(sim: Simulator) -> None:
    get(sim)
    assert sim.requests == []
    assert sim.logs() == []


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/ai/v1/chat/completions", {"model": "openai/gpt-4.1"}),
        ("/ai/v1/chat/completions", {"model": "@cf/openai/gpt-oss-120b"}),
        ("/ai/v1/responses", {"model": "openai/gpt-5.4"}),
        ("/ai/v1/messages", {"model": "anthropic/claude-haiku-4.5", "max_tokens": 999}),
        ("/ai/run/@cf/meta/llama-3.1-8b-instruct", {}),
        ("/ai/run/@cf/openai/gpt-oss-120b", {}),
    ],
    ids=lambda value: str(value) if isinstance(value, str) else value.get("model", ""),
)
def test_answers_are_read_in_every_format(
    sim: Simulator, caller: Caller, path: str, body: dict[str, Any], stream: bool
) -> None:
    parameters = {"type": "object", "properties": {"city": {"type": "string"}}}
    tools: dict[str, list[dict[str, Any]]] = {
        "/ai/v1/responses": [{"type": "function", "name": "weather", "parameters": parameters}],
        "/ai/v1/messages": [{"name": "weather", "input_schema": parameters}],
    }
    chat_tools = [{"type": "function", "function": {"name": "weather", "parameters": parameters}}]
    messages = "input" if path.endswith("responses") else "messages"
    gateway = ScriptedGateway(sim)
    gateway.reply("Two words", tool_calls=[{"name": "weather", "arguments": {"city": "Paris"}}] * 2)
    request = {
        **body,
        messages: [{"role": "user", "content": "Hi"}],
        "stream": stream,
        "tools": tools.get(path, chat_tools),
    }
    response = caller.post(path, request, {"cf-aig-gateway-id": "default"})
    pieces = read_answer(response.text, response.headers["content-type"])
    assert [(piece.kind, re.sub(r"\s", "", piece.text)) for piece in pieces] == [
        ("text", "Twowords"),
        ("tool call", 'weather{"city":"Paris"}'),
        ("tool call", 'weather{"city":"Paris"}'),
    ]


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("path", ["/ai/v1/chat/completions", "/ai/v1/responses"])
def test_calls_of_custom_tools_are_read(sim: Simulator, caller: Caller, path: str, stream: bool) -> None:
    tool: dict[str, Any] = {"type": "custom", "name": "shell"}
    if path.endswith("completions"):
        tool = {"type": "custom", "custom": {"name": "shell"}}
    ScriptedGateway(sim).reply(tool_calls=[{"name": "shell", "arguments": "ls -l"}])
    messages = "input" if path.endswith("responses") else "messages"
    model = "openai/gpt-5.4" if path.endswith("responses") else "openai/gpt-4.1"
    request = {"model": model, messages: [{"role": "user", "content": "Hi"}], "tools": [tool], "stream": stream}
    response = caller.post(path, request)
    pieces = read_answer(response.text, response.headers["content-type"])
    assert [(piece.kind, piece.text) for piece in pieces] == [("tool call", "shell ls -l")]


@pytest.mark.parametrize(
    "body", ["", "{", "null", "[1]", '{"choices": 3}', '{"result": {"data": [[1]]}}', "data: {\n\ndata: 1\n\n"]
)
def test_what_is_no_answer_reads_as_none(body: str) -> None:
    assert read_answer(body, "application/json") == []
    assert read_answer(body, "text/event-stream") == []


@pytest.mark.parametrize(
    ("agent", "name"),
    [
        ("cfaig-integrations/0.1.0 langchain", "LangChain"),
        ("cfaig-integrations/0.1.0 llama-index", "LlamaIndex"),
        ("cfaig-integrations/0.1.0", "cfaig"),
        ("AsyncOpenAI/Python 3.57.0", "OpenAI SDK"),
        ("Anthropic/JS 0.60.0", "Anthropic SDK"),
        ("Cloudflare/Python 5.0", "Cloudflare SDK"),
        ("ai/6.0.1 ai-sdk/openai/3.0 runtime/node.js/20", "Vercel AI SDK"),
        ("python-httpx/0.28.1", "python-httpx"),
        (None, ""),
    ],
)
def test_frameworks(agent: str | None, name: str) -> None:
    assert markup.framework_of(agent) == name


@pytest.mark.parametrize(
    ("dollars", "text"),
    [
        (0, "$0"),
        (12.3, "$12.30"),
        (1234.5, "$1,234.50"),
        (0.00421, "$0.0042"),
        (3.14e-6, "$0.0000031"),
        (0.5, "$0.5"),
        (1e-12, "<$0.000000001"),
    ],
)
def test_money(dollars: float, text: str) -> None:
    assert markup.money(dollars) == text


@pytest.mark.parametrize(
    ("milliseconds", "text"),
    [
        (0, "0 ms"),
        (80.4, "80 ms"),
        (999.6, "1 s"),
        (1250, "1.25 s"),
        (59_949, "59.9 s"),
        (59_950, "1 min 0 s"),
        (125_000, "2 min 5 s"),
    ],
)
def test_durations(milliseconds: float, text: str) -> None:
    assert markup.duration(milliseconds) == text


def test_times_have_a_date_unless_it_is_today() -> None:
    moment = "2026-11-28T12:00:00.000Z"
    local = datetime(2026, 11, 28, 12, tzinfo=UTC).astimezone()
    assert markup.local_time(moment, local) == f"{local:%H:%M:%S}"
    assert markup.local_time(moment, datetime(2026, 12, 24, tzinfo=UTC)) == f"{local:%d %b %H:%M:%S}"


@pytest.mark.parametrize(
    ("number", "text"),
    [(950, "950"), (8936, "8.94k"), (1_000_000, "1M"), (4_560_000, "4.56M"), (2_500_000_000, "2.5G")],
)
def test_compact_numbers(number: int, text: str) -> None:
    assert markup.compact(number) == text


@pytest.mark.parametrize(
    ("text", "short"),
    [
        ("646b12866a762087", "646b1286\u2026"),
        ("0f6ac4a2-2c4b-4b6e-9d0e-1b1a5b1e3f00", "0f6ac4a2\u2026"),
        ("deadbeef", "deadbeef"),
        ("a name", "a name"),
        ("a" * 40, "aaaaaaaa\u2026"),
        ("word " * 10, "word word word\u2026"),
    ],
)
def test_shortened_values(text: str, short: str) -> None:
    assert markup.shorten(text, 15) == short
