"""Renders an answer as an Anthropic message."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote_plus

from cfaig_integrations.simulator.catalogue import response_model_name
from cfaig_integrations.simulator.dialects import sse
from cfaig_integrations.simulator.types import Answer, ModelRequest

Record = dict[str, Any]

_STOPS = {"stop": "end_turn", "length": "max_tokens", "tool_calls": "tool_use", "refusal": "refusal"}


def content(answer: Answer) -> list[Record]:
    """The blocks of an answer: thinking, searches, text, calls; none for a refusal."""
    if answer.refusal:
        return []
    blocks: list[Record] = []
    if answer.reasoning:
        thinking = answer.reasoning
        blocks.append({"type": "thinking", "thinking": thinking, "signature": sse.fake_signature(thinking)})
    for query in answer.searches:
        blocks += _search(query)
    if answer.text:
        text: Record = {"type": "text", "text": answer.text}
        blocks.append({**text, "citations": _citations(answer)} if answer.searches else text)
    return blocks + [_call(answer, i) for i in range(len(answer.calls))]


def _call(answer: Answer, index: int) -> Record:
    call = answer.calls[index]
    block: Record = {"type": "tool_use", "id": call.id or sse.new_id("toolu_01", 22), "name": call.name}
    # a cut call cannot be shown whole, so its input is empty; the stream gives the part that was written
    return {**block, "input": {} if call.raw else call.arguments, "caller": {"type": "direct"}}


def _source(query: str) -> Record:
    return {"title": f"About {query}", "url": f"https://example.com/about?q={quote_plus(query)}"}


def _search(query: str) -> list[Record]:
    identity = sse.new_id("srvtoolu_01", 22)
    caller = {"type": "direct"}
    page = {
        "type": "web_search_result",
        **_source(query),
        "encrypted_content": sse.fake_signature(query),
        "page_age": None,
    }
    use: Record = {"type": "server_tool_use", "id": identity, "name": "web_search", "input": {"query": query}}
    result: Record = {"type": "web_search_tool_result", "tool_use_id": identity, "content": [page]}
    return [{**use, "caller": caller}, {**result, "caller": caller}]


def _citations(answer: Answer) -> list[Record]:
    kind = "web_search_result_location"
    return [
        {"type": kind, "cited_text": answer.text[:150], **_source(q), "encrypted_index": sse.fake_signature(q)}
        for q in answer.searches
    ]


def stop(answer: Answer) -> Record:
    """Why the answer ends."""
    ending = sse.finish_reason(answer)
    details = {"type": "refusal", "category": None, "explanation": answer.refusal}
    return {
        "stop_reason": "stop_sequence" if ending == "stop" and answer.stopped_by else _STOPS[ending],
        "stop_sequence": answer.stopped_by or None,
        "stop_details": details if answer.refusal else None,
    }


def usage(answer: Answer, tokens_out: int) -> Record:
    """Usage as in `message_start` and whole messages; `input_tokens` excludes cached ones (facts §5.4)."""
    base: Record = {
        "input_tokens": answer.tokens_in - answer.tokens_cached,
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": answer.tokens_cached,
        "cache_creation": {"ephemeral_5m_input_tokens": 0, "ephemeral_1h_input_tokens": 0},
        "output_tokens": tokens_out,
        "service_tier": "standard",
        "inference_geo": "not_available",
    }
    return {**base, **searches(answer)}


def searches(answer: Answer) -> Record:
    """The count of searches, if there were any."""
    if not answer.searches:
        return {}
    return {"server_tool_use": {"web_search_requests": len(answer.searches), "web_fetch_requests": 0}}


def message(request: ModelRequest, answer: Answer) -> Record:
    """A complete message."""
    return {
        "model": response_model_name(request.model),
        "id": sse.new_id("msg_01", 22),
        "type": "message",
        "role": "assistant",
        "content": content(answer),
        **stop(answer),
        "usage": usage(answer, answer.tokens_out),
    }
