"""Reasoning blocks of LangChain, OpenAI, Anthropic and Mistral to `Reasoning`."""

from __future__ import annotations

from cfaig_integrations.core.content import Reasoning, merged
from cfaig_integrations.core.hints import encrypted_reasoning, reasoning_signature
from cfaig_integrations.langchain.media import Block, held


def reasoning(block: Block) -> Reasoning:
    """LangChain's standard block, and OpenAI's item."""
    extras = held(block, "extras")
    summary: list[Block] | None = block.get("summary")
    text = block.get("reasoning")
    if text is None:
        text = "\n\n".join(str(each.get("text") or "") for each in summary or ())
    signature = reasoning_signature(extras.get("signature") or block.get("signature"))
    encrypted: object = extras.get("encrypted_content") or block.get("encrypted_content")
    item = encrypted_reasoning(str(text), id_=block.get("id"), encrypted_content=encrypted, summary=summary)
    return Reasoning(str(text), merged(signature, item))


def thinking(block: Block) -> Reasoning:
    """Anthropic's block, whose thought is a text, and Mistral's, where it is a list of them."""
    inner: str | list[Block] = block.get("thinking") or ""
    text = inner if isinstance(inner, str) else "".join(str(each.get("text") or "") for each in inner)
    return Reasoning(text, reasoning_signature(block.get("signature")))
