"""An output item of the Responses wire and the parts that it stands for; the same for whole bodies and for streams.

Each part remembers in `extras["responses"]` what gives its item back word for word:

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
from cfaig_integrations.core.legal import made_call_id
from cfaig_integrations.wire.common import as_str
from cfaig_integrations.wire.fields import count_of, is_list, is_object, objects_of, text_of, unusable
from cfaig_integrations.wire.jsonio import dump_text

CONTENT_PART = "cfaig.content_part"

PARAGRAPH = "\n\n"
"""Between the sections of one reasoning item."""


def parts_of(item: dict[str, Any]) -> tuple[Part, ...]:
    """The parts of one output item, at least one.

    Raises:
        ProtocolError: A field without which there is no part is missing or of the wrong type.
    """
    match type_of(item, "output[]"):
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


def type_of(value: dict[str, Any], what: str) -> str:
    """The type of an item or of a content part.

    Raises:
        ProtocolError: It has none.
    """
    kind = value.get("type")
    if not isinstance(kind, str):
        raise unusable(f"{what}.type", kind, "a string")
    return kind


def _message_parts(item: dict[str, Any]) -> tuple[Part, ...]:
    content = item.get("content")
    head = _without(item, "content")
    if isinstance(content, str):
        return (Text(content, extras={"responses": {"item": head}}),)
    found = objects_of(item, "content", one=True)
    if not found:
        return (Opaque("responses", item),)
    return tuple(_content_part(head, index, part) for index, part in enumerate(found))


def _content_part(head: Mapping[str, Any], index: int, part: dict[str, Any]) -> Part:
    match type_of(part, "content[]"):
        case "output_text" | "text":
            told = _without(part, "text")
            if (found := told.get("annotations")) is not None:
                told["annotations"] = [*filter(is_object, found)] if is_list(found) else []
            citations = tuple(map(citation_of, told.get("annotations") or ()))
            return Text(text_of(part, "text"), citations, _place(head, index, told))
        case "refusal":
            return Refusal(text_of(part, "refusal"), _place(head, index, _without(part, "refusal")))
        case _:
            return Opaque("responses", {"type": CONTENT_PART, **_place(head, index, part)["responses"]})


def _place(head: Mapping[str, Any], index: int, part: Mapping[str, Any]) -> Extras:
    where = {"item": head, "part": part}
    return {"responses": {**where, "index": index} if index else where}


def citation_of(annotation: dict[str, Any]) -> Citation:
    """An annotation of a text: of a web page, a file, or a file in a container."""
    return Citation(
        url=as_str(annotation.get("url")),
        title=as_str(annotation.get("title")) or as_str(annotation.get("filename")),
        start=count_of(annotation.get("start_index")),
        end=count_of(annotation.get("end_index")),
        raw=annotation,
    )


def _reasoning_text(item: dict[str, Any]) -> str:
    """The summary, or else the reasoning itself where a vendor shows it."""
    for source in ("summary", "content"):
        sections: Any = item.get(source)
        texts = [text for text in map(_section, sections) if text] if is_list(sections) else []
        if texts:
            return PARAGRAPH.join(texts)
    return ""


def _section(section: Any) -> str:
    return as_str(section.get("text") if is_object(section) else section)


def _call(item: dict[str, Any], field: str) -> ToolCall:
    name, given = item.get("name"), item.get(field)
    if not isinstance(name, str):
        raise unusable(f"{item['type']}.name", name, "a string")
    arguments = "" if given is None else given if isinstance(given, str) else dump_text(given)
    return ToolCall(
        id=as_str(item.get("call_id")) or as_str(item.get("id")) or made_call_id(name, arguments),
        name=name,
        arguments=arguments,
        kind="custom" if field == "input" else "function",
        extras={"responses": {"item": _without(item, "call_id", "name", field)}},
    )


def _without(value: dict[str, Any], *keys: str) -> dict[str, Any]:
    return {key: kept for key, kept in value.items() if key not in keys}
