"""What LangChain's own packages for OpenAI and Anthropic leave in their messages besides the standard blocks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from cfaig_integrations.core.content import Media, Opaque, Part
from cfaig_integrations.core.hints import Provider, audio_id, native_block
from cfaig_integrations.langchain.media import Block, held
from cfaig_integrations.langchain.reasoning import reasoning


def beside(kept: Mapping[str, Any]) -> Iterator[Part]:
    """What langchain-openai keeps in `additional_kwargs`: the reasoning, what the provider's tools left, and speech."""
    match kept:
        case {"reasoning": {"summary": list()} as item} if _objects(item["summary"]) == item["summary"]:
            yield reasoning(item)
        case _:
            pass
    for item in _objects(kept.get("tool_outputs")):
        yield native_block("openai", item)
    match kept:
        case {"audio": {"id": str(id_)} as audio} if id_:
            words, data = str(audio.get("transcript") or ""), str(audio.get("data") or "")
            yield Media("audio", data=data, text=words, extras=audio_id(id_))
        case _:
            pass


def _objects(found: object) -> list[Block]:
    """The objects in a list, if it holds nothing else."""
    items: list[Any] = [*found] if isinstance(found, list) else []  # pyright: ignore[reportUnknownVariableType]
    return items if all(isinstance(each, dict) for each in items) else []


def is_generated(block: Block, home: Provider | None) -> bool:
    """Whether a block of an answer shows an image that OpenAI's tool made: its id begins so."""
    return home == "openai" and block.get("type") == "image" and str(block.get("id") or "").startswith("ig_")


def generated(block: Block) -> Opaque:
    """The item of OpenAI's image tool whose image a standard block shows."""
    item = {"type": "image_generation_call", "id": block["id"], "result": block.get("base64")}
    return native_block("openai", {**item, **held(block, "extras")})


ITEMS_OF_RESULTS = frozenset(
    {
        "apply_patch_call_output",
        "computer_call_output",
        "local_shell_call_output",
        "mcp_approval_response",
        "shell_call_output",
    }
)
"""OpenAI's items with which a program answers the calls of its built-in tools (SDK: `ResponseInputItemParam`)."""


def item(block: Block) -> Opaque:
    """An item of OpenAI's that stands among the content blocks."""
    return native_block("openai", block)


def item_of_result(kind: str, call_id: str, content: str | Sequence[str | Block], *, failed: bool) -> Opaque:
    """The item that langchain-openai makes of a tool message whose `additional_kwargs` name its type.

    Args:
        kind: One of `ITEMS_OF_RESULTS`.
        call_id: The call.
        content: What the message says.
        failed: The tool failed.
    """
    output = content if isinstance(content, str) or kind == "shell_call_output" or len(content) != 1 else content[0]
    match kind:
        case "mcp_approval_response":
            words = output.strip().lower() if isinstance(output, str) else ""
            facts: Block = {"approval_request_id": call_id, "approve": not failed and words in _YES}
        case "local_shell_call_output":
            facts = {"id": call_id, "output": output}
        case "apply_patch_call_output":
            facts = {"call_id": call_id, "status": "failed" if failed else "completed", "output": output}
        case _:
            facts = {"call_id": call_id, "output": output}
    return native_block("openai", {"type": kind, **facts})


_YES = frozenset({"yes", "y", "true", "ok", "allow", "allowed", "approve", "approved", "accept"})
"""Words that approve; anything else does not."""
