"""Parts for media at a URL, and for search results that the answer may cite."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Literal, TypeAlias

from cfaig_integrations.core.content import NO_EXTRAS, Extras, Media, Text, extras_of, merge_extras
from cfaig_integrations.errors import UnsupportedContent

MediaKind: TypeAlias = Literal["image", "audio", "video", "file"]
_PARAMETER = re.compile(r"^;.*|;(?!charset=)[^;]*", re.IGNORECASE)


def media_at(kind: MediaKind, url: str, *, mime: str = "", name: str = "", extras: Extras = NO_EXTRAS) -> Media:
    """Media at a URL; a `data:` URL is split into its type, without parameters but the charset, and its data.

    Raises:
        UnsupportedContent: It is a `data:` URL that is not in base64.
    """
    if not url.startswith("data:"):
        return Media(kind, url=url, mime=mime, name=name, extras=extras)
    head, _, data = url[5:].partition(",")
    if not head.endswith(";base64"):
        raise UnsupportedContent(
            "A data URL is not in base64.", field="url", value=url[:40], remedy="Write data:<mime>;base64,<data>."
        )
    return Media(kind, data=data, mime=_PARAMETER.sub("", head) or mime, name=name, extras=extras)


def search_result(title: str, source: str, texts: Sequence[str], extras: Extras = NO_EXTRAS) -> Text:
    """A passage of a source that the answer may cite.

    Anthropic has a block for it (official SDK: `SearchResultBlockParam`), which is stored in the extras of its wire.
    Other wires have none: they send the text, between tags that name its source.

    Args:
        title: Title of the source.
        source: Its URL, or any name that citations should contain.
        texts: The text, in pieces that are cited separately.
        extras: Further wire-specific fields.
    """
    block = {
        "source": source,
        "title": title,
        "content": [{"type": "text", "text": text} for text in texts],
        "citations": {"enabled": True},
    }
    quoted_title, quoted_source = (json.dumps(value, ensure_ascii=False) for value in (title, source))
    tag = f"<search_result title={quoted_title} source={quoted_source}>"
    text = "\n".join(["", tag, *texts, "</search_result>", ""])
    return Text(text, extras=merge_extras(extras_of("messages", search_result=block), extras))
