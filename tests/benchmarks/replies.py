"""What the benchmark's server answers: whole and streamed replies of each format, in the shapes of recorded ones."""

from __future__ import annotations

import base64
import json
import random
from array import array
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

Json = dict[str, Any]
WORDS = ["the", "of", "and", "to", "in", "is", "that", "it", "was", "for", "on", "are", "as", "with", "his", "they"]
DIMENSIONS = 1024
CREATED = 1_760_000_000
TOOL = {"name": "tool_0", "id": "call_Ab12Cd34Ef56"}


def pieces(n: int) -> list[str]:
    """A text of n words, as a model streams it."""
    return [WORDS[i % len(WORDS)] if i == 0 else f" {WORDS[i % len(WORDS)]}" for i in range(n)]


def argument_pieces(n: int) -> list[str]:
    """JSON of a tool call's arguments in n parts, at least 3."""
    return ['{"items":["the"', *(f',"{WORDS[i % len(WORDS)]}"' for i in range(n - 2)), "]}"]


def compact(value: object) -> str:
    return json.dumps(value, separators=(",", ":"))


def chat_usage(n: int) -> Json:
    return {
        "prompt_tokens": 27,
        "completion_tokens": n,
        "total_tokens": 27 + n,
        "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": 0, "audio_tokens": 0},
    }


def chat_whole(n: int, tool: bool) -> Json:
    message: Json = {"role": "assistant", "content": "".join(pieces(n)), "refusal": None, "annotations": []}
    if tool:
        function = {"name": TOOL["name"], "arguments": "".join(argument_pieces(n))}
        message |= {"content": None, "tool_calls": [{"id": TOOL["id"], "type": "function", "function": function}]}
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": "tool_calls" if tool else "stop"}
    return {
        "id": "chatcmpl-CQ1aBcDeFgHiJkLmNoPq",
        "object": "chat.completion",
        "created": CREATED,
        "model": "gpt-4o-mini-2024-07-18",
        "choices": [choice],
        "usage": chat_usage(n),
        "service_tier": "default",
        "system_fingerprint": "fp_560af6e559",
    }


def chat_events(n: int, tool: bool) -> Iterator[str]:
    def chunk(choices: list[Json], usage: Json | None = None) -> str:
        event = {
            "id": "chatcmpl-CQ1aBcDeFgHiJkLmNoPq",
            "object": "chat.completion.chunk",
            "created": CREATED,
            "model": "gpt-4o-mini-2024-07-18",
            "service_tier": "default",
            "system_fingerprint": "fp_560af6e559",
            "choices": choices,
            **({} if usage is None else {"usage": usage}),
            "obfuscation": "q8ZkA2",
        }
        return f"data: {compact(event)}\n\n"

    def choice(delta: Json, finish: str | None = None) -> list[Json]:
        return [{"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}]

    first: Json = {"role": "assistant", "content": None if tool else "", "refusal": None}
    if tool:
        function = {"name": TOOL["name"], "arguments": ""}
        first["tool_calls"] = [{"index": 0, "id": TOOL["id"], "type": "function", "function": function}]
    yield chunk(choice(first))
    for piece in argument_pieces(n) if tool else pieces(n):
        call = {"tool_calls": [{"index": 0, "function": {"arguments": piece}}]}
        yield chunk(choice(call if tool else {"content": piece}))
    yield chunk(choice({}, "tool_calls" if tool else "stop"))
    yield chunk([], chat_usage(n))
    yield "data: [DONE]\n\n"


def response(status: str, output: list[Json], n: int | None) -> Json:
    usage = {
        "input_tokens": 27,
        "input_tokens_details": {"cached_tokens": 0},
        "output_tokens": n,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": 27 + (n or 0),
    }
    absent = ("error", "incomplete_details", "instructions", "max_output_tokens", "max_tool_calls", "user")
    return {
        "id": "resp_68e0f0a1b2c3d4e5f6a7b8c9d0e1f2a3",
        "object": "response",
        "created_at": CREATED,
        "status": status,
        "background": False,
        **dict.fromkeys(absent),
        "model": "gpt-4o-mini-2024-07-18",
        "output": output,
        "parallel_tool_calls": True,
        "previous_response_id": None,
        "reasoning": {"effort": None, "summary": None},
        "service_tier": "default",
        "store": True,
        "temperature": 1.0,
        "text": {"format": {"type": "text"}, "verbosity": "medium"},
        "tool_choice": "auto",
        "tools": [],
        "top_logprobs": 0,
        "top_p": 1.0,
        "truncation": "disabled",
        "usage": None if n is None else usage,
        "metadata": {},
    }


def output_item(content: str | None, tool: bool) -> Json:
    status = "in_progress" if content is None else "completed"
    if tool:
        call = {"arguments": content or "", "call_id": TOOL["id"], "name": TOOL["name"]}
        return {"id": "fc_68e0f0a1b2c3d4e5f6a7", "type": "function_call", "status": status, **call}
    text = {"type": "output_text", "annotations": [], "logprobs": [], "text": content}
    parts = [] if content is None else [text]
    return {
        "id": "msg_68e0f0a1b2c3d4e5f6a7",
        "type": "message",
        "status": status,
        "content": parts,
        "role": "assistant",
    }


def responses_whole(n: int, tool: bool) -> Json:
    content = "".join(argument_pieces(n) if tool else pieces(n))
    return response("completed", [output_item(content, tool)], n)


def responses_events(n: int, tool: bool) -> Iterator[str]:
    parts = argument_pieces(n) if tool else pieces(n)
    content = "".join(parts)
    item = output_item(content, tool)
    place = {"item_id": item["id"], "output_index": 0} | ({} if tool else {"content_index": 0})
    text = {"type": "output_text", "annotations": [], "logprobs": [], "text": ""}
    name = "function_call_arguments" if tool else "output_text"
    events: list[tuple[str, Json]] = [
        ("created", {"response": response("in_progress", [], None)}),
        ("in_progress", {"response": response("in_progress", [], None)}),
        ("output_item.added", {"output_index": 0, "item": output_item(None, tool)}),
        *([] if tool else [("content_part.added", {**place, "part": text})]),
        *((f"{name}.delta", {**place, "delta": part, "obfuscation": "q8ZkA2"}) for part in parts),
        (f"{name}.done", {**place, "arguments" if tool else "text": content}),
        *([] if tool else [("content_part.done", {**place, "part": text | {"text": content}})]),
        ("output_item.done", {"output_index": 0, "item": item}),
        ("completed", {"response": response("completed", [item], n)}),
    ]
    for number, (kind, fields) in enumerate(events):
        event = {"type": f"response.{kind}", "sequence_number": number, **fields}
        yield f"event: response.{kind}\ndata: {compact(event)}\n\n"


def message(content: list[Json], n: int, stop: str | None) -> Json:
    return {
        "id": "msg_01XFDUDYJgAACzvnptvVoYEL",
        "type": "message",
        "role": "assistant",
        "model": "claude-sonnet-4-5-20250929",
        "content": content,
        "stop_reason": stop,
        "stop_sequence": None,
        "usage": {
            "input_tokens": 27,
            "cache_creation_input_tokens": 0,
            "cache_read_input_tokens": 0,
            "cache_creation": {"ephemeral_5m_input_tokens": 0, "ephemeral_1h_input_tokens": 0},
            "output_tokens": n,
            "service_tier": "standard",
        },
    }


def tool_use(arguments: Json) -> Json:
    return {"type": "tool_use", "id": "toolu_01Ab12Cd34Ef56", "name": TOOL["name"], "input": arguments}


def messages_whole(n: int, tool: bool) -> Json:
    if tool:
        return message([tool_use(json.loads("".join(argument_pieces(n))))], n, "tool_use")
    return message([{"type": "text", "text": "".join(pieces(n))}], n, "end_turn")


def messages_events(n: int, tool: bool) -> Iterator[str]:
    block = tool_use({}) if tool else {"type": "text", "text": ""}
    kind, key = ("input_json_delta", "partial_json") if tool else ("text_delta", "text")
    stop = {"stop_reason": "tool_use" if tool else "end_turn", "stop_sequence": None}
    deltas = argument_pieces(n) if tool else pieces(n)
    events: list[Json] = [
        {"type": "message_start", "message": message([], 1, None)},
        {"type": "content_block_start", "index": 0, "content_block": block},
        {"type": "ping"},
        *({"type": "content_block_delta", "index": 0, "delta": {"type": kind, key: delta}} for delta in deltas),
        {"type": "content_block_stop", "index": 0},
        {"type": "message_delta", "delta": stop, "usage": {"input_tokens": 27, "output_tokens": n}},
        {"type": "message_stop"},
    ]
    for event in events:
        yield f"event: {event['type']}\ndata: {compact(event)}\n\n"


def enveloped(result: object) -> Json:
    return {"result": result, "success": True, "errors": [], "messages": []}


def run_whole(n: int, tool: bool) -> Json:
    if tool:
        call = {"name": TOOL["name"], "arguments": json.loads("".join(argument_pieces(n)))}
        return enveloped({"response": None, "tool_calls": [call], "usage": chat_usage(n)})
    return enveloped({"response": "".join(pieces(n)), "tool_calls": [], "usage": chat_usage(n)})


def run_events(n: int, tool: bool) -> Iterator[str]:
    if tool:  # arguments come in parts from newer models only, in the form of Chat Completions
        yield from chat_events(n, tool)
        return
    for piece in pieces(n):
        yield f"data: {compact({'response': piece, 'p': 'abdefghijklmnop'})}\n\n"
    yield f"data: {compact({'response': '', 'usage': chat_usage(n)})}\n\n"
    yield "data: [DONE]\n\n"


WHOLE: dict[str, Callable[[int, bool], Json]] = {
    "chat_completions": chat_whole,
    "responses": responses_whole,
    "messages": messages_whole,
    "run": run_whole,
}
EVENTS: dict[str, Callable[[int, bool], Iterator[str]]] = {
    "chat_completions": chat_events,
    "responses": responses_events,
    "messages": messages_events,
    "run": run_events,
}


@cache
def vectors(count: int) -> list[array[float]]:
    numbers = random.Random(7)
    return [array("f", (numbers.gauss(0, 0.03) for _ in range(DIMENSIONS))) for _ in range(count)]


def embeddings(count: int, encoded: bool, dimensions: int = DIMENSIONS) -> str:
    """A list of embeddings in OpenAI's format: numbers, or base64 if it was asked for."""
    rows = [row[:dimensions] for row in vectors(count)]
    encoded_rows = [f'"{base64.b64encode(row.tobytes()).decode()}"' if encoded else numbers(row) for row in rows]
    data = ",".join(f'{{"object":"embedding","index":{i},"embedding":{row}}}' for i, row in enumerate(encoded_rows))
    usage = compact({"prompt_tokens": 8 * count, "total_tokens": 8 * count})
    return f'{{"object":"list","data":[{data}],"model":"text-embedding-3-small","usage":{usage}}}'


def run_embeddings(count: int) -> str:
    rows = ",".join(map(numbers, vectors(count)))
    result = f'{{"shape":[{count},{DIMENSIONS}],"data":[{rows}],"pooling":"cls"}}'
    return f'{{"result":{result},"success":true,"errors":[],"messages":[]}}'


def numbers(row: array[float]) -> str:
    return "[" + ",".join(f"{number:.9g}" for number in row) + "]"


def ranking(count: int) -> str:
    """Scores of passages, best first."""
    order = random.Random(7).sample(range(count), count)
    return compact(enveloped({"response": [{"id": i, "score": 0.9 - n / 200} for n, i in enumerate(order)]}))
