"""OpenAI Responses: answers whole and streamed, and the last ones stored for `previous_response_id`."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from typing import Any

from cfaig_integrations.simulator.catalogue import is_workers_ai, response_model_name
from cfaig_integrations.simulator.dialects import dialect, responses_request
from cfaig_integrations.simulator.dialects.dialect import Dialect
from cfaig_integrations.simulator.json_types import Record
from cfaig_integrations.simulator.types import Answer, Call, InvalidBody, ModelRequest

_ID = 50
_ECHOED: Record = {
    "background": False, "instructions": None, "max_output_tokens": None, "max_tool_calls": None, "metadata": {},
    "parallel_tool_calls": True, "previous_response_id": None, "prompt_cache_key": None, "safety_identifier": None,
    "service_tier": "default", "store": True, "temperature": 1.0, "tool_choice": "auto", "top_logprobs": 0,
    "top_p": 1.0, "truncation": "disabled", "user": None,
}  # fmt: skip
"""Fields that are returned as sent, with their defaults."""
_FUNCTION: Record = {"description": None, "parameters": {"type": "object", "properties": {}}, "strict": True}


def identity(prefix: str) -> str:
    """A new id such as `msg_...`."""
    return dialect.new_id(prefix, _ID).lower()


def output_items(request: ModelRequest, answer: Answer) -> list[Record]:
    """The items of an answer, in the order in which they are streamed."""
    items: list[Record] = []
    if answer.reasoning:
        items.append(_reasoning(request, answer))
    for query in answer.searches:
        action = {"type": "search", "query": query, "queries": [query]}
        items.append({"id": identity("ws_"), "type": "web_search_call", "status": "completed", "action": action})
    if answer.text or answer.refusal or not (answer.calls or items):
        items.append(_message(answer))
    items += [_call(call) for call in answer.calls]
    if dialect.finish_reason(answer) == "length" and "status" in items[-1]:
        items[-1]["status"] = "incomplete"
    return items


def _call(call: Call) -> Record:
    prefix, kind, key = ("ctc_", "custom_tool_call", "input") if call.custom else ("fc_", "function_call", "arguments")
    identified = {"call_id": call.id or dialect.new_id("call_"), "name": call.name}
    return {"id": identity(prefix), "type": kind, "status": "completed", key: dialect.arguments(call), **identified}


def _reasoning(request: ModelRequest, answer: Answer) -> Record:
    """Reasoning: text on Workers AI; elsewhere a summary and encrypted content on request."""
    item: Record = {"id": identity("rs_"), "type": "reasoning", "summary": []}
    if is_workers_ai(request.model):
        return {**item, "content": [{"type": "reasoning_text", "text": answer.reasoning}]}
    reasoning_options: Record = request.echo.get("reasoning") or {}
    if reasoning_options.get("summary") or reasoning_options.get("generate_summary"):
        item["summary"] = [{"type": "summary_text", "text": answer.reasoning}]
    if "reasoning.encrypted_content" in (request.echo.get("include") or []):
        item["encrypted_content"] = dialect.fake_signature(answer.reasoning)
    return item


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
        note = {"type": "url_citation", **dialect.search_result(query)}
        link = f" ([example.com]({note['url']}))"
        notes.append({**note, "start_index": len(text) + 1, "end_index": len(text) + len(link)})
        text += link
    return {**part, "text": text, "annotations": notes}


def usage_of(answer: Answer) -> Record:
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
        "created_at": dialect.now(),
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
        "tools": [{**_FUNCTION, **t} if t.get("type") == "function" else t for t in tools],
        "usage": None,
    }


def finished(response: Record, answer: Answer, items: list[Record]) -> Record:
    """The complete response."""
    cut = dialect.finish_reason(answer) == "length"
    return {
        **response,
        "status": "incomplete" if cut else "completed",
        "completed_at": None if cut else dialect.now(),
        "incomplete_details": {"reason": "max_output_tokens"} if cut else None,
        "output": items,
        "usage": usage_of(answer),
    }


def _events(response: Record, answer: Answer, items: list[Record]) -> Iterator[Record]:
    """All events of a stream; the last one carries the whole response."""
    last = finished(response, answer, items)
    yield {"type": "response.created", "response": response}
    yield {"type": "response.in_progress", "response": response}
    for index, item in enumerate(items):
        yield {"type": "response.output_item.added", "output_index": index, "item": _empty_item(item)}
        for event in _inside(item):
            yield {**event, "item_id": item["id"], "output_index": index}
        yield {"type": "response.output_item.done", "output_index": index, "item": item}
    yield {"type": f"response.{last['status']}", "response": last}


def _empty_item(item: Record) -> Record:
    """An item without its content."""
    empty: dict[str, Record] = {
        "message": {"status": "in_progress", "content": []},
        "function_call": {"status": "in_progress", "arguments": ""},
        "custom_tool_call": {"status": "in_progress", "input": ""},
        "reasoning": {"summary": [], **({"content": []} if "content" in item else {})},
        "web_search_call": {"status": "in_progress"},
    }
    return {**item, **empty[item["type"]]}


def _inside(item: Record) -> Iterator[Record]:
    match item["type"]:
        case "message":
            yield from _part(item["content"][0])
        case "function_call":
            yield from _arguments(item["arguments"], "function_call_arguments", "arguments")
        case "custom_tool_call":
            yield from _arguments(item["input"], "custom_tool_call_input", "input")
        case "reasoning":
            yield from _reasoning_events(item)
        case _:
            for state in ("in_progress", "searching", "completed"):
                yield {"type": f"response.web_search_call.{state}"}


def _part(part: Record) -> Iterator[Record]:
    """Text or refusal: part added, deltas, annotations, done, part done."""
    kind = "refusal" if part["type"] == "refusal" else "output_text"
    key = "refusal" if kind == "refusal" else "text"
    extra: Record = {} if kind == "refusal" else {"logprobs": []}
    blank: Record = {**part, key: "", **({} if kind == "refusal" else {"annotations": []})}
    at = {"content_index": 0}
    yield {"type": "response.content_part.added", **at, "part": blank}
    for piece in dialect.text_fragments(part[key]):
        yield {"type": f"response.{kind}.delta", **at, "delta": piece, **extra}
    for n, note in enumerate(part.get("annotations", [])):
        yield {"type": "response.output_text.annotation.added", **at, "annotation_index": n, "annotation": note}
    yield {"type": f"response.{kind}.done", **at, key: part[key], **extra}
    yield {"type": "response.content_part.done", **at, "part": part}


def _arguments(text: str, name: str, key: str) -> Iterator[Record]:
    for piece in dialect.argument_fragments(text):
        yield {"type": f"response.{name}.delta", "delta": piece}
    yield {"type": f"response.{name}.done", key: text}


def _reasoning_events(item: Record) -> Iterator[Record]:
    for n, part in enumerate(item["summary"]):
        at = {"summary_index": n}
        yield {"type": "response.reasoning_summary_part.added", **at, "part": {**part, "text": ""}}
        for piece in dialect.text_fragments(part["text"]):
            yield {"type": "response.reasoning_summary_text.delta", **at, "delta": piece}
        yield {"type": "response.reasoning_summary_text.done", **at, "text": part["text"]}
        yield {"type": "response.reasoning_summary_part.done", **at, "part": part}
    for n, part in enumerate(item.get("content", [])):
        for piece in dialect.text_fragments(part["text"]):
            yield {"type": "response.reasoning_text.delta", "content_index": n, "delta": piece}
        yield {"type": "response.reasoning_text.done", "content_index": n, "text": part["text"]}


_MAX_STORED = 256
_stored: OrderedDict[str, list[Any]] = OrderedDict()
"""The items of each response and of those before it, by response id."""


def _read(body: dict[str, Any]) -> ModelRequest:
    previous: Any = body.get("previous_response_id")
    if previous is None:
        return responses_request.read(body, [])
    if not isinstance(previous, str) or previous not in _stored:
        raise InvalidBody(f"Previous response with id '{previous}' not found.", param="previous_response_id")
    return responses_request.read(body, _stored[previous])


def _whole(request: ModelRequest, answer: Answer) -> dict[str, Any]:
    items = output_items(request, answer)
    response = finished(in_progress(request), answer, items)
    _store(response["id"], request, items)
    return response


def _stream(request: ModelRequest, answer: Answer) -> Iterator[bytes]:
    items, response = output_items(request, answer), in_progress(request)
    _store(response["id"], request, items)
    events = enumerate(_events(response, answer, items))
    return (dialect.event({**event, "sequence_number": number}) for number, event in events)


def _store(response_id: str, request: ModelRequest, items: list[dict[str, Any]]) -> None:
    body = request.echo
    if body.get("store") is False:
        return
    sent: Any = body.get("input") or []
    input_items: list[Any] = [{"role": "user", "content": sent}] if isinstance(sent, str) else list(sent)
    output_items = [item for item in items if item["type"] != "reasoning"]
    _stored[response_id] = [*_stored.get(body.get("previous_response_id", ""), []), *input_items, *output_items]
    while len(_stored) > _MAX_STORED:
        _stored.popitem(last=False)


_ERROR: Record = {"type": "error", "sequence_number": 0, "code": "server_error", "param": None}
RESPONSES = Dialect(
    _read, _whole, _stream, dialect.openai_error, lambda text: dialect.event({**_ERROR, "message": text})
)
