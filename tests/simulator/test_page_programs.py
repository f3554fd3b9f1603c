"""The page of a gateway with a second server behind it, after a LangGraph agent and a LlamaIndex query engine ran."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from importlib.util import find_spec

import pytest

from cfaig_integrations.simulator import Simulator, Upstream

from .browser import CHROMIUM, Browser
from .test_page import get

pytestmark = pytest.mark.skipif(
    find_spec("langchain") is None or find_spec("llama_index") is None, reason="the programs are of both frameworks"
)


@pytest.fixture(scope="module")
def gateway() -> Iterator[Simulator]:
    """A gateway that forwards to a second server, after the programs have run."""
    with Simulator() as models:
        models.gateway(authentication=False)
        with Simulator(upstream=Upstream(models.legacy_url, key=models.api_token)) as gateway:
            run_agent(gateway)
            run_query_engine(gateway)
            assert [request.method for request in models.requests].count("POST") == 3
            yield gateway


def run_agent(gateway: Simulator) -> None:
    from langchain.agents import create_agent

    from cfaig_integrations.langchain import ChatCloudflareAIGateway

    def weather(city: str) -> str:
        """Weather in a city."""
        return f"Rain in {city}."

    model = ChatCloudflareAIGateway(model="openai/gpt-5.4", gateway_metadata={"team": "travel"}, **address(gateway))
    agent = create_agent(model, [weather])
    result = agent.invoke({"messages": [("user", "What is the weather in Paris?")]})
    assert "Rain in Paris" in result["messages"][-1].text


def run_query_engine(gateway: Simulator) -> None:
    from llama_index.core import Document, MockEmbedding, VectorStoreIndex

    from cfaig_integrations.llama_index import CloudflareAIGateway

    llm = CloudflareAIGateway(model="openai/gpt-4.1", gateway_metadata={"team": "library"}, **address(gateway))
    index = VectorStoreIndex.from_documents(
        [Document(text="Rome is in Italy.")], embed_model=MockEmbedding(embed_dim=4)
    )
    assert "Italy" in str(asyncio.run(index.as_query_engine(llm=llm).aquery("Where is Rome?")))


def address(gateway: Simulator) -> dict[str, str]:
    return {"base_url": gateway.base_url, "account_id": gateway.account_id, "api_token": gateway.api_token}


def test_the_page_tells_the_programs_apart(gateway: Simulator) -> None:
    page = get(gateway)
    rows = list(zip(page.texts("td", "framework"), page.texts("td", "model"), page.texts("td", "status"), strict=True))
    assert ("LangChain", "openai/gpt-5.4", "200") in rows
    assert ("LlamaIndex", "openai/gpt-4.1", "200") in rows
    assert {status for _, _, status in rows} == {"200"}
    travel = get(gateway, key="team", value="travel")
    assert travel.texts("td", "framework") == ["LangChain"] * 2
    entry = get(gateway, next(link for link in travel.links() if link.startswith("/_simulator/logs/")))
    shown = list(zip(entry.texts("span", "role"), entry.texts("div", "text"), strict=True))
    assert ("user", "What is the weather in Paris?") in shown
    assert ("tool result", "Rain in Paris.") in shown
    assert gateway.api_token not in "".join(entry.texts("body"))


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed (Debian: apt-get install chromium)")
def test_a_browser_shows_them(gateway: Simulator) -> None:
    with Browser() as browser:
        browser.look(1400)
        browser.open(gateway.url)
        bars = "Array.from(document.querySelectorAll('figure a'), (e) => e.getAttribute('aria-label'))"
        browser.wait(f"{bars}.some((label) => label.startsWith('travel '))")
        assert browser.evaluate(f"{bars}.some((label) => label.startsWith('library '))")
        browser.follow("td.metadata a[title='Show only team = library']")
        assert browser.evaluate("Array.from(document.querySelectorAll('td.framework'), (e) => e.textContent)") == [
            "LlamaIndex"
        ]
        browser.follow("td.model a")
        assert "Where is Rome?" in browser.evaluate("document.querySelector('.messages').textContent")
