"""What every wire does alike: an error that hides in a 2xx answer, Cloudflare's envelope, blocks of another wire."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cfaig_integrations.core.content import Opaque, Wire
from cfaig_integrations.errors import ProtocolError, UnsupportedContent
from cfaig_integrations.wire.jsonio import dump_text, excerpt

MALFORMED = (AttributeError, IndexError, KeyError, OverflowError, RecursionError, TypeError, ValueError)
"""What Python raises where a value of an answer is not of the type that its format says."""


DONE = b"[DONE]"
"""The end marker of streams of chat completions."""


def as_str(value: Any) -> str:
    """An id, a name or a word that should be a string; numbers as their digits, empty if it is anything else."""
    return value if isinstance(value, str) else dump_text(value) if type(value) in (int, float) else ""


def is_error(body: Mapping[str, Any]) -> bool:
    """Whether a body or an event is an error, in any shape that is known (facts §5.5)."""
    return bool(
        body.get("error")
        or body.get("errors")
        or body.get("success") is False
        or body.get("type") in ("error", "response.failed")  # the latter also where chunks were asked for
        or body.get("object") == "error"  # vLLM and Mistral, whose message stands at the top
        or "internalCode" in body
        or ("state" in body and isinstance(result := body.get("result"), dict) and is_error(result))  # pyright: ignore
    )


_KEEP_ALIVE_NAMES = frozenset({"ping", "keepalive", "keep-alive", "keep_alive", "heartbeat"})
_KEEP_ALIVE_DATA = frozenset({b"", b"null", *(name.encode() for name in _KEEP_ALIVE_NAMES)})


def is_keep_alive(name: str, data: bytes) -> bool:
    """Whether a server-sent event only keeps the connection alive, so that nothing of the answer goes with it.

    Args:
        name: The event's name, or the `type` of its JSON object.
        data: The event's data.
    """
    return name in _KEEP_ALIVE_NAMES or data.strip().lower() in _KEEP_ALIVE_DATA


def unwrapped(body: dict[str, Any]) -> dict[str, Any]:
    """The answer inside Cloudflare's envelopes, or `body` if it has none.

    They are `{"result", "success"}` and `{"state", "result"}`, or one around the other (facts §5.2, §14.5).

    Raises:
        ProtocolError: The state is another one than that of a complete answer.
    """
    while "result" in body and not is_error(body):
        state, result = body.get("state"), body["result"]
        if not isinstance(state, str) and "success" not in body:
            break
        if isinstance(state, str) and state.lower() != "completed":
            raise ProtocolError(
                f"The request's state is {state[:100]!r}, not 'Completed': there is no answer in it.",
                body=excerpt(dump_text(body)),
            )
        if not isinstance(result, dict):
            break
        body = result  # pyright: ignore[reportUnknownVariableType]
    return body


_RUN_BY_SERVER: Mapping[Wire, frozenset[str]] = {
    "messages": frozenset(
        {
            "advisor_tool_result",
            "bash_code_execution_tool_result",
            "code_execution_tool_result",
            "fallback",
            "mcp_tool_result",
            "mcp_tool_use",
            "redacted_thinking",
            "server_tool_use",
            "text_editor_code_execution_tool_result",
            "tool_search_tool_result",
            "web_fetch_tool_result",
            "web_search_tool_result",
        }
    ),
    "responses": frozenset(
        {
            "code_interpreter_call",
            "file_search_call",
            "mcp_call",
            "mcp_list_tools",
            "program",
            "program_output",
            "tool_search_call",
            "tool_search_output",
            "web_search_call",
        }
    ),
    "run": frozenset({"executableCode", "codeExecutionResult"}),  # Gemini's, which have no type but a key
}
"""Blocks that tell how the provider came to its answer: the text that follows them already says what they found."""


def require_droppable(part: Opaque, wire: Wire) -> None:
    """Lets a wire leave out another wire's block if nothing that the conversation needs goes with it.

    Raises:
        UnsupportedContent: The block is more than a trace of a tool that the provider ran itself.
    """
    kind = part.raw.get("type") or next(iter(part.raw), None)
    if isinstance(kind, str) and kind in _RUN_BY_SERVER.get(part.wire, ()):
        return
    raise UnsupportedContent(
        f"A block {kind!r} of the {part.wire} wire cannot be sent on the {wire} wire.",
        field="turns",
        value=kind,
        remedy=f"Continue this conversation with api={part.wire!r}, or take the block out of the history.",
    )
