"""Hand-made requests and response objects, and the streams in which servers of different habits would send these."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, Literal, TypeAlias

from cfaig_integrations.core.chat import ChatRequest
from cfaig_integrations.core.content import Media, Part, Text, Turn
from cfaig_integrations.wire.codec import PLAIN, Quirks
from cfaig_integrations.wire.responses import CODEC

Json: TypeAlias = dict[str, Any]
Style: TypeAlias = Literal[
    "official", "unnamed events", "no added events", "done items only", "terminal only", "done texts only",
    "content counted on", "ids change", "never counts", "late opaque items",
]  # fmt: skip
STYLES: tuple[Style, ...] = Style.__args__

HELLO = Turn("user", (Text("hello"),))
PNG = Media("image", data="iVBORw0K", mime="image/png")


def body_of(*turns: Turn, quirks: Quirks = PLAIN, **fields: Any) -> Json:
    return CODEC.encode(ChatRequest("m", turns or (HELLO,), **fields), stream=False, quirks=quirks)


def items_of(*turns: Turn, **fields: Any) -> list[Json]:
    return body_of(*turns, **fields)["input"]


def user(*parts: Part) -> Turn:
    return Turn("user", parts)


def assistant(*parts: Part) -> Turn:
    return Turn("assistant", parts)


CITATION = {
    "type": "url_citation",
    "url": "https://example.org/a",
    "title": "A",
    "start_index": 0,
    "end_index": 5,
}


def text_part(text: str, *annotations: Json, **more: Any) -> Json:
    return {"type": "output_text", "text": text, "annotations": list(annotations), **more}


def message(*content: Json, id_: str = "msg_1", **more: Any) -> Json:
    base = {"type": "message", "id": id_, "role": "assistant", "status": "completed"}
    return {**base, "content": list(content), **more}


def reasoning(*summary: str, id_: str = "rs_1", **more: Any) -> Json:
    texts = [{"type": "summary_text", "text": text} for text in summary]
    return {"type": "reasoning", "id": id_, "summary": texts, **more}


def call(arguments: str = '{"city":"Oslo"}', id_: str = "fc_1", call_id: str = "call_1", **more: Any) -> Json:
    return {
        "type": "function_call",
        "id": id_,
        "call_id": call_id,
        "name": "weather",
        "status": "completed",
        "arguments": arguments,
        **more,
    }


def custom(text: str = "print(1)", id_: str = "ctc_1") -> Json:
    return {"type": "custom_tool_call", "id": id_, "call_id": "call_c", "name": "python", "input": text}


SEARCH = {
    "type": "web_search_call",
    "id": "ws_1",
    "status": "completed",
    "action": {"type": "search", "query": "oslo"},
}
REFUSAL = {"type": "refusal", "refusal": "No."}
USAGE = {
    "input_tokens": 10,
    "input_tokens_details": {"cached_tokens": 4, "cache_write_tokens": 2},
    "output_tokens": 7,
    "output_tokens_details": {"reasoning_tokens": 3},
    "total_tokens": 17,
}


def response(*output: Json, status: str = "completed", **more: Any) -> Json:
    return {
        "id": "resp_1",
        "object": "response",
        "created_at": 1,
        "status": status,
        "model": "m-1",
        "error": None,
        "incomplete_details": None,
        "output": list(output),
        "usage": USAGE,
        "metadata": {},
        **more,
    }


OUTPUTS: dict[str, list[Json]] = {
    "nothing": [],
    "a text": [message(text_part("Hello, world", logprobs=[]))],
    "an empty text": [message(text_part(""))],
    "two parts and a citation": [message(text_part("Hello, world", CITATION, dict(CITATION, start_index=7)), REFUSAL)],
    "a phase": [
        message(text_part("First"), phase="commentary"),
        message(text_part("Last"), id_="msg_2", phase="final_answer"),
    ],
    "a summary of two sections": [reasoning("One.", "Two.", encrypted_content="gAAA"), message(text_part("So."))],
    "raw reasoning": [reasoning(content=[{"type": "reasoning_text", "text": "hm"}]), message(text_part("So."))],
    "both": [reasoning("Short.", content=[{"type": "reasoning_text", "text": "long"}]), message(text_part("So."))],
    "hidden reasoning": [reasoning(encrypted_content="gAAA"), call()],
    "calls side by side": [call(), call("{}", "fc_2", "call_2", namespace="crm"), custom()],
    "cut arguments": [call('{"city":"Os')],
    "object arguments": [call({"city": "Oslo"})],  # type: ignore[arg-type]
    "server tools": [SEARCH, dict(SEARCH, id="ws_2"), message(text_part("Found", CITATION))],
    "tool between texts": [message(text_part("Let me look. ")), SEARCH, message(text_part("Found."), id_="msg_2")],
    "unknown item": [{"type": "dream", "id": "x", "of": ["sheep"]}, message(text_part("Awake."))],
    "unknown content": [message(text_part("a"), {"type": "smell", "of": "tea"}, text_part("b"))],
    "a message of nothing": [message(), message(text_part("something"), id_="msg_2")],
    "a bare string": [message(content="plain")],
    "one id for two items": [reasoning("A."), reasoning("B."), message(text_part("So."))],
    "no ids": [
        {"type": "reasoning", "summary": [{"type": "summary_text", "text": "Hm"}]},
        {"type": "message", "role": "assistant", "content": [text_part("Yes")]},
        {"type": "function_call", "call_id": "call_1", "name": "weather", "arguments": "{}"},
    ],
}


def stream(answer: Json, style: Style = "official") -> str:
    """`answer` as the text of an event stream, cut into deltas of a few characters."""
    return "".join(sse(event, named=style != "unnamed events") for event in events(answer, style))


def sse(event: Json, *, named: bool = True) -> str:
    name = f"event: {event['type']}\n" if named and "type" in event else ""
    return f"{name}data: {json.dumps(event, ensure_ascii=False)}\n\n"


def events(answer: Json, style: Style = "official") -> Iterator[Json]:
    started = {**answer, "status": "in_progress", "output": [], "usage": None}
    if style != "terminal only":
        yield {"type": "response.created", "response": started}
        yield {"type": "response.in_progress", "response": started}
        late: list[Json] = []
        for index, item in enumerate(answer["output"]):
            for event in _item_events(item, style):
                at = 0 if style == "never counts" else index
                placed = {"output_index": at, **event, "sequence_number": 1}
                if style == "late opaque items" and event["type"] == "response.output_item.done" and item is SEARCH:
                    late.append(placed)
                else:
                    yield placed
        yield from late
    yield {"type": f"response.{answer['status']}", "response": answer}


def _item_events(item: Json, style: Style) -> Iterator[Json]:
    if style in ("official", "unnamed events", "content counted on", "ids change", "never counts", "late opaque items"):
        yield {"type": "response.output_item.added", "item": _bare(item)}
    if style != "done items only":
        for event in _growth(item, style):
            if not (style == "done texts only" and (event["type"].endswith(".delta") or "part" in event)):
                yield {"item_id": item.get("id", ""), **event}
    if style != "done texts only":
        renamed = style == "ids change" and _is_modeled(item)
        yield {"type": "response.output_item.done", "item": dict(item, id="new") if renamed else item}


def _is_modeled(item: Json) -> bool:
    if item["type"] == "message" and isinstance(item["content"], list):
        return bool(item["content"]) and all(part["type"] in ("output_text", "refusal") for part in item["content"])
    return item["type"] in ("message", "reasoning", "function_call", "custom_tool_call")


def _bare(item: Json) -> Json:
    empty = {"content": [], "summary": [], "arguments": "", "input": "", "status": "in_progress"}
    return {key: empty.get(key, value) for key, value in item.items() if key != "encrypted_content"}


def _growth(item: Json, style: Style) -> Iterator[Json]:
    match item["type"]:
        case "message" if isinstance(item["content"], list):
            for index, part in enumerate(item["content"]):
                yield from _content(part, index + (3 if style == "content counted on" else 0))
        case "reasoning":
            for source, event_name in (("summary", "reasoning_summary_text"), ("content", "reasoning_text")):
                for index, section in enumerate(item.get(source, [])):
                    where = {f"{source}_index": index}
                    yield from _texts(f"response.{event_name}", section["text"], "text", where)
        case "function_call" if isinstance(item["arguments"], str):
            yield from _texts("response.function_call_arguments", item["arguments"], "arguments", {})
        case "custom_tool_call":
            yield from _texts("response.custom_tool_call_input", item["input"], "input", {})
        case "web_search_call":
            yield {"type": "response.web_search_call.searching"}
        case _:
            pass


def _content(part: Json, index: int) -> Iterator[Json]:
    where = {"content_index": index}
    yield {"type": "response.content_part.added", **where, "part": {"type": part["type"]}}
    if part["type"] == "output_text":
        yield from _texts("response.output_text", part["text"], "text", where)
        for number, annotation in enumerate(part["annotations"]):
            fields = {"annotation": annotation, "annotation_index": number}
            yield {"type": "response.output_text.annotation.added", **where, **fields}
    elif part["type"] == "refusal":
        yield from _texts("response.refusal", part["refusal"], "refusal", where)
    yield {"type": "response.content_part.done", **where, "part": part}


def _texts(kind: str, text: str, field: str, where: Json) -> Iterator[Json]:
    for at in range(0, len(text), 3):
        yield {"type": f"{kind}.delta", **where, "delta": text[at : at + 3], "obfuscation": "xyz"}
    yield {"type": f"{kind}.done", **where, field: text}
