"""Renders an answer as the items of a `response` object."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote_plus

from cfaig_integrations.simulator.catalogue import is_workers_ai, response_model_name
from cfaig_integrations.simulator.dialects import sse
from cfaig_integrations.simulator.types import Answer, Call, ModelRequest

Record = dict[str, Any]

_ID = 50
_ECHOED: Record = {
    "background": False, "instructions": None, "max_output_tokens": None, "max_tool_calls": None, "metadata": {},
    "parallel_tool_calls": True, "previous_response_id": None, "prompt_cache_key": None, "safety_identifier": None,
    "service_tier": "default", "store": True, "temperature": 1.0, "tool_choice": "auto", "top_logprobs": 0,
    "top_p": 1.0, "truncation": "disabled", "user": None,
}  # fmt: skip
"""Fields that are returned as sent, with their defaults."""


def identity(prefix: str) -> str:
    """A new id such as `msg_...`."""
    return sse.new_id(prefix, _ID).lower()


def output(request: ModelRequest, answer: Answer) -> list[Record]:
    """The items of an answer, in the order in which they are streamed."""
    items: list[Record] = []
    if answer.reasoning:
        items.append(_reasoning(request, answer))
    items += [_search(query) for query in answer.searches]
    if answer.text or answer.refusal or not (answer.calls or items):
        items.append(_message(answer))
    items += [_call(call) for call in answer.calls]
    if sse.finish_reason(answer) == "length" and "status" in items[-1]:
        items[-1]["status"] = "incomplete"
    return items


def _call(call: Call) -> Record:
    prefix, kind, key = ("ctc_", "custom_tool_call", "input") if call.custom else ("fc_", "function_call", "arguments")
    identified = {"call_id": call.id or sse.new_id("call_"), "name": call.name}
    return {"id": identity(prefix), "type": kind, "status": "completed", key: sse.arguments(call), **identified}


def _reasoning(request: ModelRequest, answer: Answer) -> Record:
    """Reasoning: text on Workers AI; elsewhere a summary and encrypted content on request."""
    item: Record = {"id": identity("rs_"), "type": "reasoning", "summary": []}
    if is_workers_ai(request.model):
        return {**item, "content": [{"type": "reasoning_text", "text": answer.reasoning}]}
    reasoning_options: Record = request.echo.get("reasoning") or {}
    if reasoning_options.get("summary") or reasoning_options.get("generate_summary"):
        item["summary"] = [{"type": "summary_text", "text": answer.reasoning}]
    if "reasoning.encrypted_content" in (request.echo.get("include") or []):
        item["encrypted_content"] = sse.fake_signature(answer.reasoning)
    return item


def _search(query: str) -> Record:
    action = {"type": "search", "query": query, "queries": [query]}
    return {"id": identity("ws_"), "type": "web_search_call", "status": "completed", "action": action}


def _message(answer: Answer) -> Record:
    part: Record = {"type": "output_text", "annotations": [], "logprobs": [], "text": answer.text}
    if answer.refusal:
        part = {"type": "refusal", "refusal": answer.refusal}
    elif answer.searches:
        part = _cited(part, answer)
    return {"id": identity("msg_"), "type": "message", "status": "completed", "content": [part], "role": "assistant"}


def _cited(part: Record, answer: Answer) -> Record:
    """The text with a link after it for each search, and the annotation that points at the link."""
    text, notes = answer.text, list[Record]()
    for query in answer.searches:
        url = source(query)
        link = f" ([example.com]({url}))"
        note = {"type": "url_citation", "title": f"About {query}", "url": url}
        notes.append({**note, "start_index": len(text) + 1, "end_index": len(text) + len(link)})
        text += link
    return {**part, "text": text, "annotations": notes}


def source(query: str) -> str:
    """The page of the simulated web for a query."""
    return f"https://example.com/about?q={quote_plus(query)}"


def usage(answer: Answer) -> Record:
    """The usage of a finished response."""
    return {
        "input_tokens": answer.tokens_in,
        "input_tokens_details": {"cached_tokens": answer.tokens_cached, "cache_write_tokens": 0},
        "output_tokens": answer.tokens_out,
        "output_tokens_details": {"reasoning_tokens": answer.tokens_reasoning},
        "total_tokens": answer.tokens_in + answer.tokens_out,
    }


def in_progress(request: ModelRequest) -> Record:
    """The response before anything is generated."""
    sent = {k: v for k, v in request.echo.items() if k in _ECHOED and v is not None}
    text: Record = request.echo.get("text") or {}
    reasoning: Record = request.echo.get("reasoning") or {}
    tools: list[Record] = request.echo.get("tools") or []
    return {
        "id": identity("resp_"),
        "object": "response",
        "created_at": sse.now(),
        "status": "in_progress",
        "completed_at": None,
        "error": None,
        "incomplete_details": None,
        "model": response_model_name(request.model),
        "output": [],
        **_ECHOED,
        **sent,
        "reasoning": {"effort": reasoning.get("effort"), "summary": reasoning.get("summary")},
        "text": {"format": text.get("format") or {"type": "text"}, "verbosity": text.get("verbosity") or "medium"},
        "tools": [_tool(t) for t in tools],
        "usage": None,
    }


def _tool(tool: Record) -> Record:
    if tool.get("type") != "function":
        return tool
    return {"description": None, "parameters": {"type": "object", "properties": {}}, "strict": True, **tool}


def finished(response: Record, answer: Answer, items: list[Record]) -> Record:
    """The complete response."""
    cut = sse.finish_reason(answer) == "length"
    return {
        **response,
        "status": "incomplete" if cut else "completed",
        "completed_at": None if cut else sse.now(),
        "incomplete_details": {"reason": "max_output_tokens"} if cut else None,
        "output": items,
        "usage": usage(answer),
    }
