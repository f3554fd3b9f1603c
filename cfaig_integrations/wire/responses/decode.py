"""A whole body to a reply, and the values that the last event of a stream has in common with it.

Each part stores in `extras["responses"]` what its output item needs to be sent back unchanged:

| part | extras |
|---|---|
| Text, Refusal | `item`: the message without its content; `part`: the content part without its text; `index` if not 0 |
| Text of a message whose content is a bare string | `item` alone |
| Reasoning | `item`: unchanged |
| ToolCall | `item`: without the id of the call, the name and the arguments |

Every other type of item is an `Opaque`. A content part of an unknown type is an `Opaque` too, in a wrapper of the type
`CONTENT_PART` that holds the same three extras.
"""

from __future__ import annotations

from cfaig_integrations.core.chat import ChatReply, Choice, FinishReason, Usage
from cfaig_integrations.core.content import (
    NO_EXTRAS,
    Citation,
    Extras,
    Opaque,
    Part,
    Reasoning,
    Refusal,
    Text,
    ToolCall,
    Turn,
)
from cfaig_integrations.core.json_types import JsonObject, JsonValue
from cfaig_integrations.core.legal import made_call_id
from cfaig_integrations.errors import ProtocolError
from cfaig_integrations.wire.codec import EmbeddedError
from cfaig_integrations.wire.jsonio import (
    as_str,
    as_text,
    count_of,
    excerpt,
    is_error,
    list_or_empty,
    load_reply,
    malformed_as_protocol_error,
    object_or_empty,
    objects_among,
    objects_of,
    text_of,
    wrong_type,
)

CONTENT_PART = "cfaig.content_part"
PARAGRAPH = "\n\n"
"""Between the sections of one reasoning item."""
_IGNORED_KEYS = frozenset(
    {
        # modeled
        *("id", "model", "object", "output", "output_text", "usage", "error"),
        # the request, repeated; `metadata` and `previous_response_id` are repeated too, but identify the reply
        *("background", "frequency_penalty", "include", "input", "instructions", "max_output_tokens"),
        *("max_tool_calls", "parallel_tool_calls", "presence_penalty", "prompt", "prompt_cache_key"),
        *("prompt_cache_options", "prompt_cache_retention", "reasoning", "safety_identifier", "store"),
        *("temperature", "text", "tool_choice", "tools", "top_logprobs", "top_p", "truncation", "user"),
    }
)


def decode(body: bytes | JsonObject) -> ChatReply:
    """The reply of a whole 2xx body, in Cloudflare's envelope or without.

    Raises:
        ProtocolError: The body is not a response object.
        EmbeddedError: The body is an error.
    """
    response = load_reply(body)
    if response.get("output") is None and response.get("status") != "failed":
        raise ProtocolError("The answer is not a response object: it has no output.", body=excerpt(body))
    with malformed_as_protocol_error("The answer is not a response object", body):
        return _reply(response)


def _reply(response: JsonObject) -> ChatReply:
    require_success(response)
    parts = tuple(part for item in objects_of(response, "output") for part in parts_of(item))
    finish, raw_finish = finish_reason(
        response,
        called=any(isinstance(part, ToolCall) for part in parts),
        refused=any(isinstance(part, Refusal) for part in parts),
    )
    return ChatReply(
        wire="responses",
        id=as_str(response.get("id")),
        model=as_str(response.get("model")),
        choices=(Choice(Turn("assistant", parts, extras=turn_extras(response)), finish, raw_finish),),
        usage=usage_of(response),
        extras=reply_extras(response),
    )


def require_success(response: JsonObject) -> None:
    """Refuses a response object that is an error.

    Raises:
        EmbeddedError: It is one; with the whole object.
    """
    if is_error(response) or response.get("status") == "failed":
        raise EmbeddedError(response)


def usage_of(response: JsonObject) -> Usage | None:
    """Token counts, if there are any."""
    counts = object_or_empty(response.get("usage"))
    if not counts:
        return None
    input_details = object_or_empty(counts.get("input_tokens_details"))
    output_details = object_or_empty(counts.get("output_tokens_details"))
    prompt, output = count_of(counts.get("input_tokens")) or 0, count_of(counts.get("output_tokens")) or 0
    total = count_of(counts.get("total_tokens"))
    return Usage(
        input=prompt,
        output=output,
        total=prompt + output if total is None else total,
        cache_read=count_of(input_details.get("cached_tokens")),
        cache_write=count_of(input_details.get("cache_write_tokens")),
        reasoning=count_of(output_details.get("reasoning_tokens")),
        raw=counts,
    )


def finish_reason(response: JsonObject, *, called: bool, refused: bool) -> tuple[FinishReason, str]:
    """Why the answer ended, neutral and as the provider writes it.

    A background response that is still `queued` or `in_progress` is a `pause`: it can be retrieved later.
    """
    status = as_str(response.get("status")) or "completed"
    match status:
        case "incomplete":
            reason = as_str(object_or_empty(response.get("incomplete_details")).get("reason")) or status
            match reason:
                case "max_output_tokens":
                    return "length", reason
                case "content_filter":
                    return "content_filter", reason
                case _:
                    return "unknown", reason
        case "queued" | "in_progress":
            return "pause", status
        case "cancelled":
            return "error", status
        case _ if called:
            return "tool_calls", status
        case _ if refused:
            return "refusal", status
        case "completed" | "complete":  # `complete`: Responses API of early 2025
            return "stop", status
        case _:
            return "unknown", status


def turn_extras(response: JsonObject) -> Extras:
    """Whether the provider did not store the response, so that its ids cannot be referred to later."""
    return {"responses": {"stored": False}} if response.get("store") is False else NO_EXTRAS


def reply_extras(response: JsonObject) -> Extras:
    """The unmodeled fields: creation time, service tier, status, incomplete details ..."""
    fields = {key: value for key, value in response.items() if key not in _IGNORED_KEYS and value not in (None, {})}
    return {"responses": fields} if fields else NO_EXTRAS


def parts_of(item: JsonObject) -> tuple[Part, ...]:
    """The parts of one output item, at least one.

    Raises:
        ProtocolError: A required field is missing or of the wrong type.
    """
    match type_of(item, "output[]"):
        case "message":
            return _message_parts(item)
        case "reasoning":
            return (Reasoning(_reasoning_text(item), {"responses": {"item": item}}),)
        case "function_call":
            return (_tool_call(item, "arguments"),)
        case "custom_tool_call":
            return (_tool_call(item, "input"),)
        case _:
            return (Opaque("responses", item),)


def type_of(value: JsonObject, path: str) -> str:
    """The type of an item or of a content part.

    Raises:
        ProtocolError: It has none.
    """
    kind = value.get("type")
    if not isinstance(kind, str):
        raise wrong_type(f"{path}.type", kind, "a string")
    return kind


def _message_parts(item: JsonObject) -> tuple[Part, ...]:
    content = item.get("content")
    head = _without(item, "content")
    if isinstance(content, str):
        return (Text(content, extras={"responses": {"item": head}}),)
    content_parts = objects_of(item, "content", one=True)
    if not content_parts:
        return (Opaque("responses", item),)
    return tuple(_content_part(head, index, part) for index, part in enumerate(content_parts))


def _content_part(head: JsonObject, index: int, part: JsonObject) -> Part:
    match type_of(part, "content[]"):
        case "output_text" | "text":
            rest = _without(part, "text")
            annotations = objects_among(rest.get("annotations"))
            if rest.get("annotations") is not None:
                rest["annotations"] = [*annotations]
            citations = tuple(map(citation_of, annotations))
            return Text(text_of(part, "text"), citations, _part_extras(head, index, rest))
        case "refusal":
            return Refusal(text_of(part, "refusal"), _part_extras(head, index, _without(part, "refusal")))
        case _:
            return Opaque("responses", {"type": CONTENT_PART, **_part_extras(head, index, part)["responses"]})


def _part_extras(head: JsonObject, index: int, part: JsonObject) -> Extras:
    extras: JsonObject = {"item": head, "part": part}
    return {"responses": {**extras, "index": index} if index else extras}


def citation_of(annotation: JsonObject) -> Citation:
    """An annotation of a text: of a web page, a file, or a file in a container."""
    return Citation(
        url=as_str(annotation.get("url")),
        title=as_str(annotation.get("title")) or as_str(annotation.get("filename")),
        start=count_of(annotation.get("start_index")),
        end=count_of(annotation.get("end_index")),
        raw=annotation,
    )


def _reasoning_text(item: JsonObject) -> str:
    """The summary, or else the reasoning itself where a vendor shows it."""
    for source in ("summary", "content"):
        sections = [each.get("text") if isinstance(each, dict) else each for each in list_or_empty(item.get(source))]
        if text := PARAGRAPH.join(filter(None, map(as_str, sections))):
            return text
    return ""


def _tool_call(item: JsonObject, arguments_key: str) -> ToolCall:
    name, value = item.get("name"), item.get(arguments_key)
    if not isinstance(name, str):
        raise wrong_type(f"{item['type']}.name", name, "a string")
    arguments = "" if value is None else as_text(value)
    return ToolCall(
        id=as_str(item.get("call_id")) or as_str(item.get("id")) or made_call_id(name, arguments),
        name=name,
        arguments=arguments,
        kind="custom" if arguments_key == "input" else "function",
        extras={"responses": {"item": _without(item, "call_id", "name", arguments_key)}},
    )


def _without(value: JsonObject, *keys: str) -> dict[str, JsonValue]:
    return {key: kept for key, kept in value.items() if key not in keys}
