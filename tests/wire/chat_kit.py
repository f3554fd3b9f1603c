"""Chat completions for tests: a stream to the same body, a body to the same stream, the expected echo.

Written from the format, not from the codec, and shares no code with it.
"""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

NOISE = {"object", "p", "obfuscation", "error", "prompt_token_ids", "token_ids", "kv_transfer_params"}
REASONING = ("reasoning_content", "reasoning", "reasoning_text")


def sse(*chunks: dict[str, Any] | str, done: bool = True) -> str:
    """An event stream of chunks; strings are sent as they are."""
    lines = [chunk if isinstance(chunk, str) else json.dumps(chunk, ensure_ascii=False) for chunk in chunks]
    return "".join(f"data: {line}\n\n" for line in [*lines, *(["[DONE]"] if done else [])])


def delta(index: int = 0, *, finish: str | None = None, **values: Any) -> dict[str, Any]:
    """A chunk with one delta."""
    choice = {"index": index, "delta": values, "finish_reason": finish}
    return {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 7, "model": "m", "choices": [choice]}


def body(message: dict[str, Any], *, finish: str | None = "stop", **more: Any) -> bytes:
    """A chat completion with one answer."""
    choice = {"index": 0, "message": {"role": "assistant", **message}, "finish_reason": finish}
    whole = {"id": "chatcmpl-1", "object": "chat.completion", "created": 7, "model": "m", "choices": [choice]}
    return json.dumps({**whole, **more}).encode()


def chunks_of(text: str) -> list[dict[str, Any]]:
    """The JSON chunks of a recorded stream."""
    lines = text.replace("\r\n", "\n").split("\n")
    return [json.loads(line[5:]) for line in lines if line.startswith("data:") and line[5:].strip() != "[DONE]"]


def empty(value: Any) -> bool:
    """Whether a value says nothing."""
    return value in (None, "", [], {}) or (isinstance(value, dict) and not any(value.values()))


def whole_of(text: str) -> dict[str, Any]:
    """The body that a recorded stream stands for."""
    whole: dict[str, Any] = {"choices": {}}
    for chunk in chunks_of(text):
        for key, value in chunk.items():
            if key in ("choices", *NOISE) or empty(value):
                continue
            if key in ("id", "model"):
                whole.setdefault(key, value)
            elif isinstance(value, dict) and key != "usage":
                whole[key] = {**whole.get(key, {}), **value}
            else:
                whole[key] = value
        for part in chunk.get("choices") or []:
            _add_choice(whole["choices"].setdefault(part.get("index", 0), {"message": {}}), part)
    if "usage" in whole.get("x_groq", {}):
        whole.setdefault("usage", whole["x_groq"]["usage"])
        del whole["x_groq"]["usage"]
    whole["choices"] = [{**choice, "index": index} for index, choice in sorted(whole["choices"].items())]
    return whole


def _add_choice(choice: dict[str, Any], part: dict[str, Any]) -> None:
    for key, value in part.items():
        if key == "logprobs" and not empty(value):
            joined = choice.setdefault("logprobs", {})
            for name, items in value.items():
                joined[name] = [*(joined.get(name) or []), *(items or [])] or None
        elif key not in ("delta", "message", "index") and not empty(value):
            choice[key] = value
    for key, value in part["delta"].items():
        if not empty(value) and key not in ("role", "channel"):
            _add_delta(choice["message"], key, value)


def _add_delta(message: dict[str, Any], key: str, value: Any) -> None:
    if key == "tool_calls":
        for piece in value:
            _add_piece(message.setdefault("tool_calls", []), piece)
    elif key == "content" and isinstance(value, list):
        _add_blocks(message, value)
    elif key == "content" and isinstance(message.get("content"), list):
        _add_blocks(message, [{"type": "text", "text": value}])
    elif key == "reasoning_details":
        _add_details(message.setdefault(key, []), value)
    elif isinstance(value, list):
        message.setdefault(key, []).extend(value)
    else:
        message[key] = message.get(key, "") + value


def _add_piece(calls: list[dict[str, Any]], piece: dict[str, Any]) -> None:
    call = next((call for call in calls if call["index"] == piece["index"]), None)
    if call is None:
        call = {**piece, "function": {"arguments": "", **piece["function"]}}
        calls.append(call)
    else:
        call["function"]["arguments"] += piece["function"]["arguments"]


def _add_blocks(message: dict[str, Any], blocks: list[dict[str, Any]]) -> None:
    joined = message.setdefault("content", [])
    for block in blocks:
        if joined and joined[-1]["type"] == block["type"] == "text":
            joined[-1]["text"] += block["text"]
        elif joined and joined[-1]["type"] == block["type"] == "thinking":
            text = "".join(chunk["text"] for chunk in joined[-1]["thinking"] + block["thinking"])
            joined[-1] |= {**block, "thinking": [{"type": "text", "text": text}]}
        else:
            joined.append(json.loads(json.dumps(block)))


def _add_details(joined: list[dict[str, Any]], details: list[dict[str, Any]]) -> None:
    for detail in details:
        same = next((old for old in joined if (old["index"], old["type"]) == (detail["index"], detail["type"])), None)
        if same is None:
            joined.append(dict(detail))
            continue
        for key, value in detail.items():
            grows = key in ("text", "summary", "data") or (key == "signature" and same.get(key) != value)
            same[key] = (same.get(key) or "") + value if grows and value is not None else value


def stream_of(whole: dict[str, Any], size: int = 7) -> str:
    """A stream that a body may have been: text in pieces of `size`, tool calls by index, the rest at once."""
    chunks: list[dict[str, Any]] = []
    facts = {key: value for key, value in whole.items() if key not in ("choices", "usage")}

    def say(index: int, finish: str | None = None, facts_of: dict[str, Any] | None = None, **values: Any) -> None:
        choice = {"index": index, "delta": values, **(facts_of or {}), "finish_reason": finish}
        chunks.append({**facts, "choices": [choice], "usage": None})

    for choice in whole["choices"]:
        index, message = choice.get("index", 0), dict(choice["message"])
        say(index, role="assistant", content="")
        for key in (*REASONING, "reasoning_details", "content", "refusal"):
            value = message.pop(key, None)
            for piece in _pieces(value, size) if isinstance(value, str) else [value]:
                if piece is not None:
                    say(index, **{key: piece})
        for number, call in enumerate(message.pop("tool_calls", None) or []):
            function = {**call["function"], "arguments": ""}
            say(index, tool_calls=[{**call, "index": number, "function": function}])
            for piece in _pieces(call["function"].get("arguments") or "", size):
                say(index, tool_calls=[{"index": number, "function": {"arguments": piece}}])
        say(index, **message)
        more = {key: choice[key] for key in choice if key not in ("message", "delta", "index", "finish_reason")}
        say(index, finish=choice.get("finish_reason"), facts_of=more)
    chunks.append({**facts, "choices": [], "usage": whole.get("usage")})
    return sse(*chunks)


def _pieces(text: str, size: int) -> list[str]:
    return [text[at : at + size] for at in range(0, len(text), size)]


def expected_echo(message: dict[str, Any], counts: Counter[str]) -> dict[str, Any]:
    """The message that must go back, and in `counts` what may not go back as it came.

    - content null or absent -> "" (facts §9.2)
    - tool call `index` left out: servers that check refuse it (github.com/mistralai/mistral-common/pull/165)
    - tool call `type` added where absent; without an id one is made; absent or empty arguments -> "{}": the API demands
      all three
    - a key whose value says nothing is not repeated
    - of two reasoning fields the first goes back (facts §5.2)
    - audio goes back as its id, which is all the API takes (official SDK)
    """
    echo: dict[str, Any] = {"role": "assistant", "content": ""}
    if message.get("content") is None:
        counts["content null"] += 1
    filled = [field for field in REASONING if message.get(field)]
    for key, value in message.items():
        if empty(value) or key in ("role", "channel"):
            counts["empty key"] += key != "content" and value is not None
        elif key == "tool_calls":
            echo[key] = [_expected_call(call, counts) for call in value]
        elif key == "audio":
            echo[key] = {"id": value["id"]}
        elif key in filled[1:]:
            counts["second reasoning field"] += 1
        else:
            echo[key] = value
    return echo


def _expected_call(call: dict[str, Any], counts: Counter[str]) -> dict[str, Any]:
    expected = {key: value for key, value in call.items() if key != "index" and not empty(value)}
    counts["call index"] += "index" in call
    counts["call type"] += "type" not in expected
    counts["call id"] += "id" not in expected
    expected.setdefault("type", "function")
    expected.setdefault("id", "made")
    if "function" in expected:
        counts["call arguments"] += not expected["function"].get("arguments")
        expected["function"] = {**expected["function"], "arguments": expected["function"].get("arguments") or "{}"}
    return expected
