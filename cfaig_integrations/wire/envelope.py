"""What whole bodies of all wires share: Cloudflare's envelopes, errors inside a 2xx response, malformed values."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from contextlib import contextmanager

from cfaig_integrations.core.json_types import JsonObject, JsonValue
from cfaig_integrations.errors import ProtocolError
from cfaig_integrations.wire.codec import EmbeddedError
from cfaig_integrations.wire.jsonio import dump_text, excerpt, load_object

MALFORMED = (AttributeError, IndexError, KeyError, OverflowError, RecursionError, TypeError, ValueError)
"""What Python raises where a JSON value is not of the type that its format defines."""


def is_error(body: Mapping[str, JsonValue]) -> bool:
    """Whether a body or an event is an error, in any known shape (facts §5.5)."""
    return bool(
        body.get("error")
        or body.get("errors")
        or body.get("success") is False
        or body.get("type") in ("error", "response.failed")  # the latter also where chunks were requested
        or body.get("object") == "error"  # vLLM and Mistral, whose message stands at the top
        or "internalCode" in body
        or ("state" in body and isinstance(result := body.get("result"), dict) and is_error(result))
    )


def unwrap(body: JsonObject) -> JsonObject:
    """The reply inside Cloudflare's envelopes, or `body` if it has none.

    They are `{"result", "success"}` and `{"state", "result"}`, or one around the other (facts §5.2, §14.5).

    Raises:
        ProtocolError: The state is not that of a complete reply.
    """
    while "result" in body and not is_error(body):
        state, result = body.get("state"), body["result"]
        if not isinstance(state, str) and "success" not in body:
            break
        if isinstance(state, str) and state.lower() != "completed":
            raise ProtocolError(
                f"The request's state is {state[:100]!r}, not 'Completed': the response holds no reply.",
                body=excerpt(dump_text(body)),
            )
        if not isinstance(result, dict):
            break
        body = result
    return body


def open_envelope(body: JsonObject) -> JsonObject:
    """The reply inside Cloudflare's envelopes, as `unwrap`.

    Raises:
        ProtocolError: The state is not that of a complete reply.
        EmbeddedError: The body or the reply is an error.
    """
    if is_error(body):
        raise EmbeddedError(body)
    reply = unwrap(body)
    if is_error(reply):
        raise EmbeddedError(reply)
    return reply


def load_reply(body: bytes | JsonObject) -> JsonObject:
    """The JSON object of a whole body, without Cloudflare's envelopes.

    Raises:
        ProtocolError: It is not a JSON object.
        EmbeddedError: It is an error.
    """
    return open_envelope(load_object(body))


@contextmanager
def malformed_as_protocol_error(message: str, data: bytes | str | JsonObject) -> Generator[None]:
    """Raises what malformed values raise as a `ProtocolError` with `message` and an excerpt of `data`."""
    try:
        yield
    except ProtocolError as error:
        error.body = error.body or excerpt(data) or None
        raise
    except MALFORMED as error:
        raise ProtocolError(f"{message}: {error!r}.", body=excerpt(data) or None) from error
