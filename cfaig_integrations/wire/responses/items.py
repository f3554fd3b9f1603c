"""An output item of the Responses wire and the parts that it stands for; the same for whole bodies and for streams.

Knows neither bytes nor requests. Each part remembers in `extras["responses"]` what gives its item back word for word:

| part | extras |
|---|---|
| Text, Refusal | `item`: the message without its content; `part`: the content part without its text; `index` if not 0 |
| Text of a message whose content is a bare string | `item` alone |
| Reasoning | `item`: word for word |
| ToolCall | `item`: without the id of the call, the name and the arguments |

Every other kind of item is an `Opaque`. A content part of an unknown kind is an `Opaque` too, in a wrapper of the type
`CONTENT_PART` that holds the same three extras.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cfaig_integrations.core.content import Citation, Extras, Opaque, Part, Reasoning, Refusal, Text, ToolCall
from cfaig_integrations.errors import ProtocolError
from cfaig_integrations.wire.jsonio import dump_text, excerpt

CONTENT_PART = "cfaig.content_part"

PARAGRAPH = "\n\n"
"""Between the sections of one reasoning item."""


def objects(value: Any, what: str) -> list[dict[str, Any]]:
    """`value` as a list of JSON objects; None is an empty one.

    Raises:
        ProtocolError: It is something else.
    """
    if value is None:
        return []
    if isinstance(value, list) and all(isinstance(entry, dict) for entry in value):  # pyright: ignore[reportUnknownVariableType]
        return value  # pyright: ignore[reportUnknownVariableType]
    raise ProtocolError(f"{what} is not a list of objects.", body=excerpt(str(value)))  # pyright: ignore[reportUnknownArgumentType]


def as_text(value: Any) -> str:
    """Text as text, null as nothing, anything else as compact JSON."""
    if isinstance(value, str):
        return value
    return "" if value is None else dump_text(value)


def parts_of(item: dict[str, Any]) -> tuple[Part, ...]:
    """The parts of one output item, at least one."""
    match item.get("type"):
        case "message":
            return _message_parts(item)
        case "reasoning":
            return (Reasoning(_reasoning_text(item), {"responses": {"item": item}}),)
        case "function_call":
            return (_call(item, "arguments"),)
        case "custom_tool_call":
            return (_call(item, "input"),)
        case _:
            return (Opaque("responses", item),)


def _message_parts(item: dict[str, Any]) -> tuple[Part, ...]:
    content = item.get("content")
    head = _without(item, "content")
    if isinstance(content, str):
        return (Text(content, extras={"responses": {"item": head}}),)
    found = objects(content, "The content of a message")
    if not found:
        return (Opaque("responses", item),)
    return tuple(_content_part(head, index, part) for index, part in enumerate(found))


def _content_part(head: Mapping[str, Any], index: int, part: dict[str, Any]) -> Part:
    match part.get("type"):
        case "output_text" | "text":
            citations = tuple(map(citation_of, objects(part.get("annotations"), "The annotations of a text")))
            return Text(as_text(part.get("text")), citations, _place(head, index, _without(part, "text")))
        case "refusal":
            return Refusal(as_text(part.get("refusal")), _place(head, index, _without(part, "refusal")))
        case _:
            return Opaque("responses", {"type": CONTENT_PART, **_place(head, index, part)["responses"]})


def _place(head: Mapping[str, Any], index: int, part: Mapping[str, Any]) -> Extras:
    where = {"item": head, "part": part}
    return {"responses": {**where, "index": index} if index else where}


def citation_of(annotation: dict[str, Any]) -> Citation:
    """An annotation of a text: of a web page, a file, or a file in a container."""
    start, end = annotation.get("start_index"), annotation.get("end_index")
    return Citation(
        url=as_text(annotation.get("url")),
        title=as_text(annotation.get("title") or annotation.get("filename")),
        start=start if isinstance(start, int) else None,
        end=end if isinstance(end, int) else None,
        raw=annotation,
    )


def _reasoning_text(item: dict[str, Any]) -> str:
    """The summary, or else the reasoning itself where a vendor shows it."""
    for source in ("summary", "content"):
        sections: list[Any] = item[source] if isinstance(item.get(source), list) else []
        texts = [text for text in map(_section, sections) if text]
        if texts:
            return PARAGRAPH.join(texts)
    return ""


def _section(section: Any) -> str:
    value: Any = section
    return as_text(value.get("text") if isinstance(value, dict) else value)  # pyright: ignore[reportUnknownMemberType]


def _call(item: dict[str, Any], field: str) -> ToolCall:
    return ToolCall(
        id=as_text(item.get("call_id") or item.get("id")),
        name=as_text(item.get("name")),
        arguments=as_text(item.get(field)),
        kind="custom" if field == "input" else "function",
        extras={"responses": {"item": _without(item, "call_id", "name", field)}},
    )


def _without(value: dict[str, Any], *keys: str) -> dict[str, Any]:
    return {key: kept for key, kept in value.items() if key not in keys}
