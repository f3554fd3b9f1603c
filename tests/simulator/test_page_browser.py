"""The page in a real browser: live updates, filters, an entry, the chart, the keyboard, narrow and dark screens."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from cfaig_integrations.simulator import Simulator
from tests.waiting import until

from .browser import CHROMIUM, Browser
from .conftest import Caller

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed (Debian: apt-get install chromium)")

HOSTILE = "<h1>Hi</h1><script>window.pwned = 1</script><img src=x onerror='window.pwned = 2'>"
ROWS = "document.querySelectorAll('#rows tr').length"


@pytest.fixture(scope="module")
def running_browser() -> Iterator[Browser]:
    with Browser() as browser:
        yield browser


@pytest.fixture
def browser(running_browser: Browser) -> Iterator[Browser]:
    """The browser; what the page reports as an error fails the test."""
    running_browser.look(1400)
    running_browser.events.clear()
    yield running_browser
    assert not errors(running_browser)


def errors(browser: Browser) -> list[Any]:
    """Exceptions of scripts, and resources that were blocked or not found."""
    return [
        event["params"]
        for event in browser.events
        if event["method"] == "Runtime.exceptionThrown"
        or (event["method"] == "Log.entryAdded" and event["params"]["entry"]["level"] == "error")
    ]


def send(caller: Caller, team: str = "docs", prompt: str = "Hello", **fields: Any) -> None:
    headers = {"cf-aig-metadata": json.dumps({"team": team}), "user-agent": "cfaig-integrations/0.1.0 langchain"}
    caller.chat(headers=headers, messages=[{"role": "user", "content": prompt}], **fields)


def open_live(browser: Browser, url: str) -> None:
    browser.open(url)
    browser.wait("document.getElementById('state').textContent === 'Live'")


def texts(browser: Browser, selector: str) -> list[str]:
    script = f"Array.from(document.querySelectorAll({json.dumps(selector)}), (e) => e.textContent)"
    found: list[str] = browser.evaluate(script)
    return found


def test_calls_appear_and_the_page_does_not_grow(browser: Browser, sim: Simulator, caller: Caller) -> None:
    open_live(browser, sim.url)
    assert texts(browser, ".empty") == ["No calls yet. They appear here as they are made."]
    send(caller, team="first")
    browser.wait(f"{ROWS} === 1")
    browser.evaluate("window.row = document.querySelector('#rows tr'); row.querySelector('td.model a').focus()")
    send(caller, team="second")
    browser.wait(f"{ROWS} === 2")
    assert browser.evaluate("document.getElementById('news').textContent") == "1 new call"
    assert browser.evaluate("row.isConnected && row.contains(document.activeElement)"), "the row or its focus was lost"
    browser.evaluate("document.querySelector('.tab').focus()")
    for _ in range(60):
        send(caller)
    browser.wait("document.querySelector('.totals dd').textContent === '62'")
    assert browser.evaluate("document.activeElement.className") == "tab", "the focus was lost"
    assert browser.evaluate(ROWS) == 50
    assert texts(browser, "#pages a") == ["Older calls"]
    elements = browser.evaluate("document.querySelectorAll('*').length")
    for _ in range(60):
        send(caller)
    browser.wait("document.querySelector('.totals dd').textContent === '122'")
    assert browser.evaluate("document.querySelectorAll('*').length") == elements


def test_pause_and_resume(browser: Browser, sim: Simulator, caller: Caller) -> None:
    send(caller)
    open_live(browser, sim.url)
    browser.evaluate("document.getElementById('pause').click()")
    assert browser.evaluate("document.getElementById('pause').ariaPressed") == "true"
    send(caller)
    assert browser.evaluate(f"new Promise((done) => setTimeout(() => done({ROWS}), 2000))") == 1
    browser.evaluate("document.getElementById('pause').click()")
    browser.wait(f"{ROWS} === 2")


def test_a_lost_server_is_found_again(running_browser: Browser) -> None:
    running_browser.look(1400)
    sim = Simulator().start()
    open_live(running_browser, sim.url)
    sim.stop()
    running_browser.wait("document.getElementById('state').textContent === 'Reconnecting'")
    with Simulator(int(sim.url.rpartition(":")[2])) as again, Caller(again) as caller:
        send(caller)
        running_browser.wait(f"document.getElementById('state').textContent === 'Live' && {ROWS} === 1")


def test_filter_open_and_read(browser: Browser, sim: Simulator, caller: Caller) -> None:
    sim.reply(HOSTILE, tokens_in=500_000, tokens_out=1_000_000)
    send(caller, team="search", prompt=HOSTILE)
    send(caller, team="docs")
    send(caller, team=HOSTILE)
    open_live(browser, sim.url)
    assert texts(browser, "td.metadata .chip span:last-child")[1:] == ["docs", "search"]

    assert (
        browser.evaluate("document.querySelector('figure svg a').getAttribute('aria-label')") == "search 1 call $9.00"
    )
    longest = browser.evaluate("Array.from(document.querySelectorAll('rect.cost'), (e) => e.getBBox().width)")
    assert longest[0] == max(longest) > 100

    browser.evaluate("document.querySelector('[name=key]').value = 'team'")
    browser.evaluate("document.querySelector('[name=value]').value = 'search'")
    browser.follow("button[type=submit]")
    browser.wait(f"{ROWS} === 1")
    assert texts(browser, ".active") == ["Remove the filter teamsearch\u00d7"]
    browser.follow("td.model a")
    assert texts(browser, ".messages .text") == [HOSTILE, HOSTILE]
    assert "***" in texts(browser, ".headers td")
    assert sim.api_token not in browser.evaluate("document.documentElement.outerHTML")
    assert HOSTILE in json.loads(texts(browser, "pre")[0])["messages"][0]["content"]
    assert browser.evaluate("window.pwned") is None
    assert browser.evaluate("document.querySelectorAll('main h1').length") == 1
    browser.follow("header .button")
    assert browser.evaluate("window.pwned") is None


def test_choosing_a_status_filters_at_once(browser: Browser, sim: Simulator, caller: Caller) -> None:
    send(caller)
    sim.fault("no_credits")
    send(caller)
    open_live(browser, sim.url)
    browser.evaluate(
        "const status = document.querySelector('[name=status]'); window.before = true; status.value = 'error';"
        "status.dispatchEvent(new Event('change'))"
    )
    browser.wait(f"!window.before && document.readyState === 'complete' && {ROWS} === 1")
    assert texts(browser, "td.status") == ["402"]


def test_the_keyboard_reaches_everything(browser: Browser, sim: Simulator, caller: Caller) -> None:
    send(caller)
    open_live(browser, sim.url)
    browser.evaluate("document.getElementById('pause').click(); document.activeElement.blur()")
    reached: list[str] = []
    while len(reached) < 50:
        browser.press("Tab", 9)
        if browser.evaluate("document.activeElement === document.body"):
            break
        name = "document.activeElement.textContent.slice(0, 20) || document.activeElement.name"
        reached.append(browser.evaluate(name))
        assert browser.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid", reached
    assert reached[0] == "Skip to the content"
    for name in ("Resume", "value", "text", "Filter", "team", "openai/gpt-4.1", "teamdocs"):
        assert name in reached, (name, reached)
    labels = "Array.from(document.querySelectorAll('input:not([type=hidden]), select'), (e) => e.labels.length)"
    assert set(browser.evaluate(labels)) == {1}
    browser.evaluate("document.querySelector('td.model a').focus()")
    browser.press("Enter", 13)
    browser.wait("document.querySelector('.facts')")


@pytest.mark.parametrize("dark", [False, True])
def test_a_narrow_screen_shows_everything(browser: Browser, sim: Simulator, caller: Caller, dark: bool) -> None:
    send(caller, team="a-long-name-" * 10, prompt="long" * 500)
    send(caller, model="openai/a-model-with-a-name-that-is-much-longer-than-the-screen-is-wide-0123456789")
    browser.look(400, dark=dark)
    open_live(browser, sim.url)
    for _ in range(2):
        assert browser.evaluate("document.documentElement.scrollWidth") == 400
        outside = (
            "Array.from(document.querySelectorAll('main *')).filter((e) => e.getBoundingClientRect().right > 400.5)"
        )
        assert browser.evaluate(f"{outside}.map((e) => e.outerHTML.slice(0, 200))") == []
        assert browser.evaluate("getComputedStyle(document.body).backgroundColor") == (
            "rgb(14, 17, 22)" if dark else "rgb(246, 247, 249)"
        )
        if browser.evaluate("Boolean(document.querySelector('#rows'))"):
            assert browser.evaluate("document.getElementById('filters').open") is False
            browser.follow("tr:last-child td.model a")


def test_contrast(browser: Browser, sim: Simulator, caller: Caller) -> None:
    """Text stands out from its background by 4.5 to 1, as WCAG AA asks."""
    send(caller)
    sim.fault("no_credits")
    send(caller)
    for _ in range(2):
        caller.chat(headers={"cf-aig-cache-ttl": "60"})
    for dark in (False, True):
        browser.look(1400, dark=dark)
        open_live(browser, sim.url)
        assert browser.evaluate(CONTRAST) == []


CONTRAST = """
(() => {
  const numbers = (color) => color.match(/[\\d.]+/g).map(Number);
  const light = (color) => {
    const part = (n) => n <= 10 ? n / 3294 : ((n / 255 + 0.055) / 1.055) ** 2.4;
    const [r, g, b] = numbers(color).map(part);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const background = (e) => {
    for (; e; e = e.parentElement) {
      const color = getComputedStyle(e).backgroundColor;
      if (numbers(color)[3] !== 0) return color;
    }
    return "rgb(255, 255, 255)";
  };
  const low = [];
  for (const e of document.querySelectorAll("body *")) {
    const own = Array.from(e.childNodes).some((n) => n.nodeType === 3 && n.data.trim());
    if (!own || e.closest("option, title")) continue;
    const style = getComputedStyle(e);
    const pair = [light(e.closest("svg") ? style.fill : style.color), light(background(e))].sort((a, b) => b - a);
    const ratio = (pair[0] + 0.05) / (pair[1] + 0.05);
    if (ratio < 4.5) low.push(`${e.tagName}.${e.className} ${e.textContent.slice(0, 20)} ${ratio.toFixed(2)}`);
  }
  return low;
})()
"""


def test_the_server_forgets_a_page_that_is_closed(browser: Browser, sim: Simulator) -> None:
    open_live(browser, sim.url)
    browser.open("about:blank#left")
    assert until(lambda: sim.in_flight == 0)
