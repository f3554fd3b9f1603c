"""Renders an answer as an Anthropic message, whole or streamed."""

from __future__ import annotations

import json
from collections.abc import Iterator

from cfaig_integrations.simulator.catalogue import response_model_name
from cfaig_integrations.simulator.dialects import dialect, messages_request
from cfaig_integrations.simulator.dialects.dialect import Dialect
from cfaig_integrations.simulator.json_types import Record
from cfaig_integrations.simulator.types import Answer, Call, ModelRequest

_STOPS = {"stop": "end_turn", "length": "max_tokens", "tool_calls": "tool_use", "refusal": "refusal"}


def content_blocks(answer: Answer) -> list[Record]:
    """The blocks of an answer: thinking, searches, text, calls; none for a refusal."""
    if answer.refusal:
        return []
    blocks: list[Record] = []
    if answer.reasoning:
        thinking = answer.reasoning
        blocks.append({"type": "thinking", "thinking": thinking, "signature": dialect.fake_signature(thinking)})
    for query in answer.searches:
        blocks += _search_blocks(query)
    if answer.text:
        citations = [_citation(query, answer) for query in answer.searches]
        blocks.append({"type": "text", "text": answer.text, **({"citations": citations} if citations else {})})
    return blocks + [_call(call) for call in answer.calls]


def _call(call: Call) -> Record:
    block: Record = {"type": "tool_use", "id": call.id or dialect.new_id("toolu_01", 22), "name": call.name}
    # a cut call cannot be shown whole, so its input is empty; the stream gives the part that was written
    return {**block, "input": {} if call.raw else call.arguments, "caller": {"type": "direct"}}


def _search_blocks(query: str) -> list[Record]:
    identity = dialect.new_id("srvtoolu_01", 22)
    caller = {"type": "direct"}
    page = {
        "type": "web_search_result",
        **dialect.search_result(query),
        "encrypted_content": dialect.fake_signature(query),
        "page_age": None,
    }
    use: Record = {"type": "server_tool_use", "id": identity, "name": "web_search", "input": {"query": query}}
    result: Record = {"type": "web_search_tool_result", "tool_use_id": identity, "content": [page]}
    return [{**use, "caller": caller}, {**result, "caller": caller}]


def _citation(query: str, answer: Answer) -> Record:
    place = {"type": "web_search_result_location", "cited_text": answer.text[:150]}
    return {**place, **dialect.search_result(query), "encrypted_index": dialect.fake_signature(query)}


def stop_fields(answer: Answer) -> Record:
    """Why the answer ends."""
    ending = dialect.finish_reason(answer)
    details = {"type": "refusal", "category": None, "explanation": answer.refusal}
    return {
        "stop_reason": "stop_sequence" if ending == "stop" and answer.stopped_by else _STOPS[ending],
        "stop_sequence": answer.stopped_by or None,
        "stop_details": details if answer.refusal else None,
    }


def usage_of(answer: Answer, tokens_out: int) -> Record:
    """Usage as in `message_start` and whole messages; `input_tokens` excludes cached ones (facts §5.4)."""
    searches = {"web_search_requests": len(answer.searches), "web_fetch_requests": 0}
    return {
        "input_tokens": answer.tokens_in - answer.tokens_cached,
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": answer.tokens_cached,
        "cache_creation": {"ephemeral_5m_input_tokens": 0, "ephemeral_1h_input_tokens": 0},
        "output_tokens": tokens_out,
        "service_tier": "standard",
        "inference_geo": "not_available",
        **({"server_tool_use": searches} if answer.searches else {}),
    }


def message(request: ModelRequest, answer: Answer) -> Record:
    """A complete message."""
    return {
        "model": response_model_name(request.model), "id": dialect.new_id("msg_01", 22), "type": "message",
        "role": "assistant", "content": content_blocks(answer), **stop_fields(answer),
        "usage": usage_of(answer, answer.tokens_out),
    }  # fmt: skip


def stream(request: ModelRequest, answer: Answer) -> Iterator[bytes]:
    """All events of a stream, from `message_start` to `message_stop`."""
    return map(dialect.event, _events(request, answer))


def _events(request: ModelRequest, answer: Answer) -> Iterator[Record]:
    blocks = content_blocks(answer)
    no_stop = {"stop_reason": None, "stop_sequence": None, "stop_details": None}
    usage = {k: v for k, v in usage_of(answer, 1).items() if k != "server_tool_use"}
    started: Record = {**message(request, answer), "content": [], **no_stop, "usage": usage}
    yield {"type": "message_start", "message": started}
    if not blocks:
        yield {"type": "ping"}
    calls = iter(answer.calls)
    for index, block in enumerate(blocks):
        yield {"type": "content_block_start", "index": index, "content_block": _empty_block(block)}
        if index == 0:
            yield {"type": "ping"}
        text = dialect.arguments(next(calls)) if block["type"] == "tool_use" else None
        for delta in _deltas(block, text):
            yield {"type": "content_block_delta", "index": index, "delta": delta}
        yield {"type": "content_block_stop", "index": index}
    yield {"type": "message_delta", "delta": stop_fields(answer), "usage": _last_usage(answer)}
    yield {"type": "message_stop"}


def _last_usage(answer: Answer) -> Record:
    left_out = ("cache_creation", "service_tier", "inference_geo")
    return {k: v for k, v in usage_of(answer, answer.tokens_out).items() if k not in left_out}


def _empty_block(block: Record) -> Record:
    """A block without its content; results of server tools are complete."""
    empty: dict[str, Record] = {
        "text": {"text": "", **({"citations": []} if "citations" in block else {})},
        "thinking": {"thinking": "", "signature": ""},
        "tool_use": {"input": {}},
        "server_tool_use": {"input": {}},
    }
    return {**block, **empty.get(block["type"], {})}


def _deltas(block: Record, arguments: str | None) -> Iterator[Record]:
    match block["type"]:
        case "text":
            yield from ({"type": "citations_delta", "citation": c} for c in block.get("citations", []))
            yield from ({"type": "text_delta", "text": piece} for piece in dialect.text_fragments(block["text"]))
        case "thinking":
            for piece in dialect.text_fragments(block["thinking"]):
                yield {"type": "thinking_delta", "thinking": piece}
            yield {"type": "signature_delta", "signature": block["signature"]}
        case "tool_use":
            yield from _json_deltas(arguments or "")
        case "server_tool_use":
            yield from _json_deltas(json.dumps(block["input"], ensure_ascii=False))
        case _:
            return


def _json_deltas(text: str) -> Iterator[Record]:
    """The first fragment is empty, and it is the only one of a call without arguments."""
    for piece in ["", *(dialect.argument_fragments(text) if text != "{}" else [])]:
        yield {"type": "input_json_delta", "partial_json": piece}


MESSAGES = Dialect(
    messages_request.read, message, stream, dialect.anthropic_error,
    lambda text: dialect.event({"type": "error", "error": {"type": "api_error", "message": text}}),
)  # fmt: skip
