"""Reasoning blocks of LangChain, OpenAI, Anthropic and Mistral to `Reasoning`."""

from __future__ import annotations

from typing import Any

from cfaig_integrations.core.content import NO_EXTRAS, Extras, Reasoning, extras_of
from cfaig_integrations.langchain.media import Block, held


def reasoning(block: Block) -> Reasoning:
    """LangChain's standard block, and OpenAI's item."""
    extras = held(block, "extras")
    text = block.get("reasoning")
    if text is None:
        text = "\n\n".join(str(each.get("text") or "") for each in block.get("summary") or ())
    signature: object = extras.get("signature") or block.get("signature")
    encrypted: object = extras.get("encrypted_content") or block.get("encrypted_content")
    return Reasoning(
        str(text), {**extras_of("messages", signature=signature), **_encrypted_item(block, str(text), encrypted)}
    )


def _encrypted_item(block: Block, text: str, encrypted: object) -> Extras:
    """OpenAI's reasoning item as another package shows it; in a stream it numbers the item's summaries."""
    if not encrypted:
        return NO_EXTRAS
    summary: list[dict[str, Any]] | None = block.get("summary")
    if summary is None:
        summary = [{"type": "summary_text", "text": text}] if text else []
    told = [{key: value for key, value in each.items() if key != "index"} for each in summary]
    item = {"type": "reasoning", "id": block.get("id"), "summary": told, "encrypted_content": encrypted}
    return extras_of("responses", item={key: value for key, value in item.items() if value is not None})


def thinking(block: Block) -> Reasoning:
    """Anthropic's block, whose thought is a text, and Mistral's, where it is a list of them."""
    inner: str | list[Block] = block.get("thinking") or ""
    text = inner if isinstance(inner, str) else "".join(str(each.get("text") or "") for each in inner)
    return Reasoning(text, extras_of("messages", signature=block.get("signature")))
