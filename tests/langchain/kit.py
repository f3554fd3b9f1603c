"""Messages made of events, as a stream and as a whole answer."""

from __future__ import annotations

from collections.abc import Iterable
from functools import reduce
from operator import add
from typing import cast

from langchain_core.messages import AIMessage, AIMessageChunk

from cfaig_integrations.core.content import Wire
from cfaig_integrations.core.events import Event
from cfaig_integrations.core.fold import fold
from cfaig_integrations.gateway.info import GatewayInfo
from cfaig_integrations.langchain.chunks import ChunkMaker
from cfaig_integrations.langchain.outbound import to_result
from tests.recorded_replies import info

INFO: GatewayInfo = info("chat_completions")


def invoked(events: Iterable[Event], wire: Wire = "chat_completions") -> AIMessage:
    """The message of a whole answer."""
    return cast("AIMessage", to_result(fold(wire, events), info(wire), "asked").generations[0].message)


def summed(events: Iterable[Event], wire: Wire = "chat_completions", *, as_blocks: bool) -> AIMessageChunk:
    """The sum of a stream's chunks."""
    maker = ChunkMaker(info(wire), "asked", as_blocks=as_blocks)
    result = [chunk.message for event in events if (chunk := maker.make(event)) is not None]
    return cast("AIMessageChunk", reduce(add, [*result, maker.last().message]))
