"""A whole body to a reply: directly, or as a stream of one chunk where the answer has an unusual form."""

from __future__ import annotations

from cfaig_integrations.core.chat import ChatReply, Choice
from cfaig_integrations.core.content import NO_EXTRAS, Part, Reasoning, Text, ToolCall, Turn
from cfaig_integrations.core.fold import fold
from cfaig_integrations.core.json_types import JsonObject, JsonValue
from cfaig_integrations.core.legal import made_call_id
from cfaig_integrations.core.text import repair_surrogates
from cfaig_integrations.errors import ProtocolError
from cfaig_integrations.wire.chat_completions.stream import ChatCompletionsDecoder
from cfaig_integrations.wire.chat_completions.values import (
    CHOICE_KEYS,
    MESSAGE_KEYS,
    REPLY_KEYS,
    call_fields,
    call_piece,
    citations_of,
    finish_reason,
    native_message,
    reasoning_of,
    unmodeled,
    usage_of,
    wire_extras,
)
from cfaig_integrations.wire.jsonio import (
    as_str,
    excerpt,
    load_reply,
    malformed_as_protocol_error,
    object_or_empty,
    objects_of,
)

_UNUSUAL_KEYS = ("refusal", "function_call", "images", "audio")


def decode(body: bytes | JsonObject) -> ChatReply:
    """The reply of a body: a chat completion or Workers AI's native form, in Cloudflare's envelope or without it.

    Raises:
        ProtocolError: The body is neither.
        EmbeddedError: The body is an error.
    """
    reply = load_reply(body)
    if not reply.get("choices") and "response" not in reply:
        raise ProtocolError(
            f"The answer is not a chat completion: it has the keys {sorted(reply)[:20]}.", body=excerpt(body)
        )
    with malformed_as_protocol_error("The answer is not a chat completion", body):
        return usual_reply(reply) or fold("chat_completions", ChatCompletionsDecoder().take_body(reply))


def usual_reply(reply: JsonObject) -> ChatReply | None:
    """The reply of a body with one answer of text, reasoning and whole tool calls; None if it has anything else.

    Raises:
        ProtocolError: A field of a tool call has the wrong type.
    """
    native, choices = "response" in reply, reply.get("choices")
    if native:
        only: JsonValue = {"message": native_message(reply)}
        choices = [only] if choices is None else None
    choice = choices[0] if isinstance(choices, list) and len(choices) == 1 else None
    if not isinstance(choice, dict) or choice.get("delta") is not None or choice.get("error"):
        return None
    message = choice.get("message")
    if not isinstance(message, dict):
        return None
    id_, fields, rest = as_str(reply.get("id")), unmodeled(reply, REPLY_KEYS), unmodeled(message, MESSAGE_KEYS)
    parts = _parts(message, rest, id_, native=native)
    if parts is None or "usage" in object_or_empty(fields.get("x_groq")):
        return None
    usage, raw_finish = reply.get("usage"), as_str(choice.get("finish_reason"))
    finish = finish_reason(raw_finish, has_calls=bool(parts) and isinstance(parts[-1], ToolCall))
    turn = Turn("assistant", tuple(parts), extras=wire_extras(rest))
    return ChatReply(
        wire="chat_completions",
        id=id_,
        model=as_str(reply.get("model")),
        choices=(Choice(turn, finish, raw_finish, wire_extras(unmodeled(choice, CHOICE_KEYS))),),
        usage=usage_of(usage) if usage and isinstance(usage, dict) else None,
        extras=wire_extras(fields),
    )


def _parts(message: JsonObject, rest: JsonObject, reply_id: str, *, native: bool) -> list[Part] | None:
    """The parts of a message; None if one of them is unusual."""
    content = message.get("content")
    if not isinstance(content, str | None) or any(message.get(key) is not None for key in _UNUSUAL_KEYS):
        return None
    parts: list[Part] = []
    field, reasoning = reasoning_of(message)
    if reasoning:
        parts.append(Reasoning(repair_surrogates(reasoning), wire_extras({"field": field})))
    if content:
        parts.append(Text(repair_surrogates(content), tuple(citations_of(rest.get("annotations")))))
    for number, raw in enumerate(objects_of(message, "tool_calls", one=True)):
        call = call_piece(raw)
        if not call.name or (native and not call.complete):
            return None
        seed = (reply_id, 0, number, call.name, call.arguments if call.complete else "")
        parts.append(
            ToolCall(
                call.id or made_call_id(*seed),
                call.name,
                repair_surrogates(call.arguments),
                "custom" if call.kind == "custom_tool_call" else "function",
                wire_extras(call_fields(raw)) if len(raw) > 2 else NO_EXTRAS,
            )
        )
    return parts
