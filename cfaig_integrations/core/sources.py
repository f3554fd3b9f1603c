"""What a user gives by address, or to be cited, as parts."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Literal, TypeAlias

from cfaig_integrations.core.content import NO_EXTRAS, Extras, Media, Text, extras_of, merged
from cfaig_integrations.errors import UnsupportedContent

MediaKind: TypeAlias = Literal["image", "audio", "video", "file"]


def located(kind: MediaKind, url: str, *, mime: str = "", name: str = "", extras: Extras = NO_EXTRAS) -> Media:
    """Media at an address; a `data:` URL is taken apart.

    Raises:
        UnsupportedContent: It is a `data:` URL in something else than base64.
    """
    if not url.startswith("data:"):
        return Media(kind, url=url, mime=mime, name=name, extras=extras)
    head, _, data = url[5:].partition(",")
    if not head.endswith(";base64"):
        raise UnsupportedContent(
            "A data URL is not in base64.", field="url", value=url[:40], remedy="Write data:<mime>;base64,<data>."
        )
    return Media(kind, data=data, mime=head.removesuffix(";base64") or mime, name=name, extras=extras)


def search_result(title: str, source: str, texts: Sequence[str], extras: Extras = NO_EXTRAS) -> Text:
    """A piece of a source that the answer may cite.

    Anthropic has a block for it (official SDK: `SearchResultBlockParam`), which rides in the extras of its wire. The
    other wires have none: they are given the text, between tags that tell the model where it comes from.

    Args:
        title: Title of the source.
        source: Where it is: an address, or any name that the citation is to give.
        texts: The text, in pieces that are cited one by one.
        extras: What else a wire is to know of it.
    """
    block = {
        "source": source,
        "title": title,
        "content": [{"type": "text", "text": text} for text in texts],
        "citations": {"enabled": True},
    }
    head = f"<search_result title={_quoted(title)} source={_quoted(source)}>"
    shown = "\n".join(["", head, *texts, "</search_result>", ""])
    return Text(shown, extras=merged(extras_of("messages", search_result=block), extras))


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)
