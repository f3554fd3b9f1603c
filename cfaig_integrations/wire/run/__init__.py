"""Cloudflare's `/ai/run`: an envelope around the format of the model's provider.

A reply's `wire` is `run`, while the extras of its parts stay those of the format that they came in, so that the encoder
of the same format gives them back.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import partial

from cfaig_integrations.core.chat import ChatRequest
from cfaig_integrations.core.content import Wire
from cfaig_integrations.errors import ConfigError
from cfaig_integrations.wire.codec import ChatCodec, Features, Quirks
from cfaig_integrations.wire.run.decode import decode
from cfaig_integrations.wire.run.encode import body_wire, encode
from cfaig_integrations.wire.run.stream import RunDecoder


def run_codec(inner: Callable[[Wire], ChatCodec]) -> ChatCodec:
    """The codec of `run`.

    Args:
        inner: Returns the codec of another wire.
    """

    def limits(request: ChatRequest, quirks: Quirks) -> Iterator[ConfigError]:
        return inner(body_wire(quirks)).limits(request, quirks)

    def features(quirks: Quirks) -> Features:
        return replace(inner(body_wire(quirks)).features(quirks), body_options=True, stored_replies=False)

    def headers(request: ChatRequest, quirks: Quirks) -> Mapping[str, str]:
        headers_of_body = inner(body_wire(quirks)).headers
        return {} if headers_of_body is None else headers_of_body(request, quirks)

    return ChatCodec(
        wire="run",
        encode=partial(encode, inner=inner),
        decode=partial(decode, inner=inner),
        decoder=partial(RunDecoder, inner),
        limits=limits,
        features=features,
        headers=headers,
    )
