"""A request to a model's input.

`model` is left out: `/ai/run` takes it beside the input or in its path (facts §1.2). The `native` input of older
Workers AI models is that of chat completions with two exceptions: `response_format` holds the schema itself (facts
§9.1), and there are no `stream_options`, because usage always comes (facts §5.3).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from cfaig_integrations.core.chat import ChatRequest
from cfaig_integrations.core.content import JsonDict, Wire
from cfaig_integrations.wire.codec import PLAIN, ChatCodec, Quirks
from cfaig_integrations.wire.encoding import add_extra_body


def encode(
    request: ChatRequest, *, stream: bool, quirks: Quirks = PLAIN, inner: Callable[[Wire], ChatCodec]
) -> JsonDict:
    """The model's input.

    Raises:
        ConfigError: The model's format cannot carry a part or a value.
    """
    plain = replace(request, extra_body={}) if request.extra_body else request
    if quirks.run_body == "native":
        quirks = _native(quirks)
        if stream:
            plain = replace(plain, stream_usage=False)
    body = inner(body_wire(quirks)).encode(plain, stream=stream, quirks=quirks)
    del body["model"]
    add_extra_body(body, request.extra_body)
    return body


def body_wire(quirks: Quirks) -> Wire:
    """The wire format of a model's input."""
    return "chat_completions" if quirks.run_body == "native" else quirks.run_body


def _native(quirks: Quirks) -> Quirks:
    return replace(quirks, schema_form="bare") if quirks.schema_form == "envelope" else quirks
