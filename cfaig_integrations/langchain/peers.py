"""What LangChain's own packages for OpenAI and Anthropic leave in their messages besides the standard blocks.

Knows their habits; knows no message and no wire.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from cfaig_integrations.core.content import Media, Opaque, Part, Wire, extras_of
from cfaig_integrations.langchain.media import Block, held
from cfaig_integrations.langchain.thoughts import reasoning


def beside(kept: Mapping[str, Any]) -> Iterator[Part]:
    """What langchain-openai keeps in `additional_kwargs`: the reasoning, what the provider's tools left, and speech."""
    match kept:
        case {"reasoning": {"summary": list()} as item}:
            yield reasoning(item)
        case _:
            pass
    for item in kept.get("tool_outputs") or ():
        yield native("responses", item)
    match kept:
        case {"audio": {"id": str(id_)} as audio} if id_:
            words, data = str(audio.get("transcript") or ""), str(audio.get("data") or "")
            yield Media("audio", data=data, text=words, extras=extras_of("chat_completions", id=id_))
        case _:
            pass


def native(home: Wire, block: Block) -> Opaque:
    """A provider's own block, without the number that it is given in a stream."""
    return Opaque(home, {key: value for key, value in block.items() if key != "index"})


def is_generated(block: Block, home: Wire | None) -> bool:
    """Whether a block of an answer shows an image that OpenAI's tool made: its id begins so."""
    return home == "responses" and block.get("type") == "image" and str(block.get("id") or "").startswith("ig_")


def generated(block: Block) -> Opaque:
    """The item of OpenAI's image tool whose image a standard block shows."""
    item = {"type": "image_generation_call", "id": block["id"], "result": block.get("base64")}
    return Opaque("responses", {**item, **held(block, "extras")})
