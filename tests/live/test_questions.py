"""What is not known for certain about Cloudflare's API, and what the package assumes: one question, one test.

Each docstring asks the question and says what depends on the answer. A failure means that the assumption is
wrong, or no longer right. All of it costs a few hundred tokens.
"""

from __future__ import annotations

import base64
import json
import uuid
from typing import Any

import httpx
import pytest

from cfaig_integrations import AIGateway, ApiError
from cfaig_integrations.langchain import ChatCloudflareAIGateway, CloudflareAIGatewayEmbeddings, gateway_info
from tests.live.conftest import Account

pytestmark = pytest.mark.live

CHAT, RESPONSES, MESSAGES = "/ai/v1/chat/completions", "/ai/v1/responses", "/ai/v1/messages"
EMBEDDINGS, RUN = "/ai/v1/embeddings", "/ai/run"

OPENAI = "openai/gpt-5.4"
ANTHROPIC = "anthropic/claude-haiku-4.5"
WORKERS_AI = "@cf/google/gemma-4-26b-a4b-it"
VECTORS = "@cf/baai/bge-m3"

HELLO = [{"role": "user", "content": "Say hi."}]
LOOK_UP = {
    "name": "look_up",
    "description": "Looks a word up.",
    "parameters": {"type": "object", "properties": {"word": {"type": "string"}}, "required": ["word"]},
}


def chat(model: str, **fields: Any) -> dict[str, Any]:
    """A body for chat completions that costs little."""
    limit = "max_completion_tokens" if model.startswith("openai/") else "max_tokens"
    return {"model": model, "messages": HELLO, limit: 16} | fields


def error_codes(response: httpx.Response) -> list[str]:
    """The codes of a Cloudflare error body, in either of its two shapes (facts §5.5)."""
    body = response.json()
    entries = body.get("errors") or body.get("error") or []
    return [str(entry.get("code")) for entry in entries] if isinstance(entries, list) else [str(entries.get("code"))]


def is_refused(response: httpx.Response) -> bool:
    """Whether the gateway refused the body before billing, as not valid for the model (facts §1.4)."""
    return response.status_code == 400 and "7003" in error_codes(response)


def test_an_unknown_model_is_not_found_on_every_endpoint(account: Account) -> None:
    """Which error body does each endpoint send (facts §5.5)? All of them must become a NotFound with its code."""
    found: dict[str, tuple[str, str]] = {}
    for api in ("chat_completions", "responses", "messages", "run"):
        model = ChatCloudflareAIGateway(model="no-such-author/no-such-model", api=api, **account.arguments)
        with pytest.raises(ApiError) as caught:
            model.invoke("Say hi.", max_tokens=16)
        found[api] = (type(caught.value).__name__, str(caught.value.code))
    with pytest.raises(ApiError) as caught:
        CloudflareAIGatewayEmbeddings(model="no-such-author/no-such-model", **account.arguments).embed_query("Hi.")
    found["embeddings"] = (type(caught.value).__name__, str(caught.value.code))
    assert {kind.removesuffix("Error") for kind, _ in found.values()} == {"NotFound"}, found
    assert {code for _, code in found.values()} == {"7003"}, found


def test_embeddings_ignore_other_dimensions(account: Account) -> None:
    """Does OpenAI's form honor `dimensions` (facts §6.2)? Any length but the model's own is refused here."""
    response = account.post(EMBEDDINGS, {"model": VECTORS, "input": ["Hi."], "dimensions": 256})
    if response.status_code == 200:
        assert len(response.json()["data"][0]["embedding"]) == 1024


def test_embeddings_in_base64_are_not_zeros(account: Account) -> None:
    """Does it honor `encoding_format` (facts §6.2)? The package never sends it, and reads both forms."""
    response = account.post(EMBEDDINGS, {"model": VECTORS, "input": ["Hi."], "encoding_format": "base64"})
    if response.status_code == 200:
        vector = response.json()["data"][0]["embedding"]
        assert any(base64.b64decode(vector)) if isinstance(vector, str) else any(vector)


def test_every_endpoint_names_the_log_entry(account: Account) -> None:
    """Which `cf-aig` headers does each endpoint send (facts §3.7)? Only the log id is promised to users."""
    run = {"model": OPENAI, "input": chat(OPENAI)}
    answers = {
        CHAT: account.post(CHAT, chat(OPENAI)),
        RESPONSES: account.post(RESPONSES, {"model": OPENAI, "input": "Say hi.", "max_output_tokens": 16}),
        MESSAGES: account.post(MESSAGES, {"model": ANTHROPIC, "messages": HELLO, "max_tokens": 16}),
        EMBEDDINGS: account.post(EMBEDDINGS, {"model": VECTORS, "input": ["Hi."]}),
        RUN: account.post(RUN, run),
    }
    headers = {path: sorted(name for name in each.headers if name.startswith("cf-")) for path, each in answers.items()}
    assert all(each.status_code == 200 for each in answers.values()), {p: a.text[:200] for p, a in answers.items()}
    assert all("cf-aig-log-id" in names for names in headers.values()), headers


def test_a_dynamic_route_is_resolved_by_chat_completions(account: Account) -> None:
    """Are dynamic routes served by the REST API (facts §1.6)? The package sends them there; any name will do."""
    response = account.post(CHAT, chat("dynamic/no-such-route"))
    assert response.status_code == 200 or "7000" not in error_codes(response), response.text


def test_a_third_party_answer_is_not_cached_by_default(account: Account) -> None:
    """Is a third-party answer cached for five minutes by default (facts §7)? The package assumes it is not."""
    body = chat(OPENAI, messages=[{"role": "user", "content": f"Say hi. {uuid.uuid4()}"}])
    account.post(CHAT, body)
    assert account.post(CHAT, body).headers.get("cf-aig-cache-status") != "HIT"


def test_workers_ai_without_a_gateway_leaves_no_log(account: Account) -> None:
    """Does a request without the gateway header bypass it (facts §2.2)? `gateway_id=None` promises that."""
    response = account.post(CHAT, chat(WORKERS_AI), gateway=False)
    assert response.status_code == 200, response.text
    assert "cf-aig-log-id" not in response.headers


def test_one_null_loses_all_metadata(account: Account) -> None:
    """Does one null lose every entry (facts §4)? That is why the package raises for a null."""
    header = json.dumps({"team": "docs", "user": None})
    response = account.post(CHAT, chat(WORKERS_AI), cf_aig_metadata=header)
    assert response.status_code == 200, response.text
    entry = AIGateway(**account.arguments).log(response.headers["cf-aig-log-id"])
    assert not entry.metadata


def test_a_custom_cost_is_the_cost_in_the_log(account: Account) -> None:
    """Does a cost per token reach the log (facts §3.1)? `custom_cost` promises it."""
    cost = json.dumps({"per_token_in": 0.5, "per_token_out": 0.25})
    response = account.post(CHAT, chat(OPENAI), cf_aig_custom_cost=cost)
    assert response.status_code == 200, response.text
    entry = AIGateway(**account.arguments).log(response.headers["cf-aig-log-id"])
    assert entry.tokens_in is not None
    assert entry.tokens_out is not None
    assert entry.cost == pytest.approx(0.5 * entry.tokens_in + 0.25 * entry.tokens_out)


def test_messages_refuse_a_system_list(account: Account) -> None:
    """Must `system` be a string (facts §1.4)? If not, a cache marker could stay on the system text."""
    system = [{"type": "text", "text": "Be brief."}]
    body = {"model": ANTHROPIC, "system": system, "messages": HELLO, "max_tokens": 16}
    assert is_refused(account.post(MESSAGES, body))


def test_a_second_system_message_is_taken(account: Account) -> None:
    """Do Workers AI's chat templates take a second system message (facts §14.3)? It is sent to all of them."""
    system = {"role": "system", "content": "Be brief."}
    response = account.post(CHAT, chat(WORKERS_AI, messages=[system, *HELLO, system, *HELLO]))
    assert response.status_code == 200, response.text


def test_the_closed_schema_of_grok_is_enforced(account: Account) -> None:
    """Are fields that the catalog's schema lacks refused (facts §14.3)? The package raises for them."""
    assert is_refused(account.post(CHAT, chat("xai/grok-4.7", frequency_penalty=0.5)))


def test_the_closed_schema_of_minimax_is_enforced(account: Account) -> None:
    """The same of another author (facts §14.3): there the package leaves `parallel_tool_calls` out."""
    assert is_refused(account.post(CHAT, chat("minimax/m3", parallel_tool_calls=False)))


def test_a_tool_name_of_65_characters_is_refused(account: Account) -> None:
    """Are longer tool names refused (facts §14.3)? The package sends a shorter one in their place."""
    tool = {"type": "function", "function": LOOK_UP | {"name": "x" * 65}}
    assert account.post(CHAT, chat(OPENAI, tools=[tool])).status_code == 400


def test_a_required_tool_is_called_by_workers_ai(account: Account) -> None:
    """Does naming a single tool force it (facts §14.4)? `tool_choice="any"` is sent as its name."""
    model = ChatCloudflareAIGateway(model=WORKERS_AI, max_tokens=256, **account.arguments)
    reply = model.bind_tools([{"type": "function", "function": LOOK_UP}], tool_choice="any").invoke("Say hi.")
    assert [call["name"] for call in reply.tool_calls] == ["look_up"]
    assert gateway_info(reply).wire == "chat_completions"


def test_a_stream_has_one_finish_reason_and_then_its_end_marker(account: Account) -> None:
    """Do chunks carry empty finish reasons (facts §14.2)? Only one that is not empty may end the answer."""
    response = account.post(CHAT, chat(WORKERS_AI, stream=True))
    data = [line.removeprefix("data:").strip() for line in response.text.splitlines() if line.startswith("data:")]
    assert data[-1] == "[DONE]"
    chunks = [json.loads(each) for each in data if each != "[DONE]"]
    reasons = [choice.get("finish_reason") for chunk in chunks for choice in chunk.get("choices") or ()]
    assert len([reason for reason in reasons if reason]) == 1, reasons


def test_an_item_that_was_not_stored_is_not_found_by_its_id(account: Account) -> None:
    """Is the id of an unstored item refused (facts §14.4)? The package takes it off, and sends the item itself."""
    question = {"role": "user", "content": "Say hi."}
    body = {"model": OPENAI, "max_output_tokens": 16, "store": False}
    first = account.post(RESPONSES, body | {"input": [question]})
    assert first.status_code == 200, first.text
    reference = {"type": "item_reference", "id": first.json()["output"][0]["id"]}
    assert account.post(RESPONSES, body | {"input": [question, reference, question]}).status_code in {400, 404}
