"""Tool calls, whole or in pieces, to events.

A piece belongs to the call of its `index`, or to the last call where the index is missing (facts §5.3). The arguments
stay text.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from cfaig_integrations.core.events import ArgumentsDelta, Event, PartExtras, PartKind, PartStarted
from cfaig_integrations.core.json_types import JsonObject, JsonValue
from cfaig_integrations.core.legal import made_call_id
from cfaig_integrations.wire.chat_completions.values import CallPiece, call_fields, call_piece, wire_extras
from cfaig_integrations.wire.jsonio import is_object_text


@dataclass(slots=True)
class ReplyState:
    """What the answers of one reply share.

    Attributes:
        id: The reply's id, once it came.
        parts: How many parts have begun.
        text: The pieces of text of all answers.
    """

    id: str = ""
    parts: int = 0
    text: list[str] = field(default_factory=list[str])

    def next_part(self) -> int:
        """The number of the next part."""
        self.parts += 1
        return self.parts - 1


@dataclass(slots=True)
class _Call:
    part: int
    ordinal: int
    kind: PartKind
    id: str = ""
    id_generated: bool = False
    name: str = ""
    started: bool = False
    extras: JsonObject = field(default_factory=dict[str, JsonValue])
    pieces: list[str] = field(default_factory=list[str])


@dataclass(slots=True, eq=False)
class ToolCalls:
    """The tool calls of one answer."""

    answer: int
    reply: ReplyState
    _calls: list[_Call] = field(default_factory=list[_Call])
    _by_index: dict[object, _Call] = field(default_factory=dict[object, _Call])
    _last: _Call | None = None

    def __bool__(self) -> bool:
        """Whether there is any."""
        return bool(self._calls)

    def continuation(self, pieces: JsonValue) -> ArgumentsDelta | None:
        """The event of a delta's `tool_calls` if they are only more arguments of one call that has begun."""
        if isinstance(pieces, list) and len(pieces) == 1 and isinstance(piece := pieces[0], dict) and len(piece) == 2:
            function, call = piece.get("function"), self._by_index.get(piece.get("index"))
            if call is not None and call.started and isinstance(function, dict) and len(function) == 1:
                arguments = function.get("arguments")
                if arguments and isinstance(arguments, str):
                    self._last = call
                    call.pieces.append(arguments)
                    return ArgumentsDelta(call.part, arguments)
        return None

    def take(self, raw: JsonObject, events: list[Event], *, whole: bool, legacy: bool = False) -> None:
        """Takes one entry of `tool_calls`, or with `legacy` a `function_call`; `whole` entries never continue one."""
        piece = call_piece(raw, legacy=legacy)
        call = self._find_or_add(piece, whole=whole)
        if call is None:
            return
        call.pieces.append(piece.arguments)
        if call.started:
            if piece.arguments:
                events.append(ArgumentsDelta(call.part, piece.arguments))
        else:
            call.id = call.id or piece.id
            call.name = piece.name
            if call.name:
                self._start(call, events, complete=piece.complete)
        if legacy:
            _add_extras(call, {"legacy": True}, events)
        elif len(raw) > 2:  # a mere fragment has an index and a function
            _add_extras(call, call_fields(raw), events)

    def _find_or_add(self, piece: CallPiece, *, whole: bool) -> _Call | None:
        call = self._last if piece.index is None else self._by_index.get(piece.index)
        if call is None and not (piece.id or piece.name or piece.arguments):
            return None  # a last chunk of nulls adds no call, facts §5.3
        if call is None or whole or piece.complete or _begins_another(call, piece):
            call = _Call(self.reply.next_part(), len(self._calls), piece.kind)
            self._calls.append(call)
        if piece.index is not None:
            self._by_index[piece.index] = call
        self._last = call
        return call

    def _start(self, call: _Call, events: list[Event], *, complete: bool = False) -> None:
        call.started = True
        arguments = "".join(call.pieces)
        if not call.id:
            seed = (self.reply.id, self.answer, call.ordinal, call.name, arguments if complete else "")
            call.id, call.id_generated = made_call_id(*seed), True
        events.append(PartStarted(call.part, call.kind, self.answer, call.id, call.name))
        if arguments:
            events.append(ArgumentsDelta(call.part, arguments))
        _add_extras(call, call.extras, events)

    def end(self, events: list[Event]) -> None:
        """Adds the calls whose name never came."""
        for call in self._calls:
            if not call.started:
                self._start(call, events)


def _begins_another(call: _Call, piece: CallPiece) -> bool:
    """Whether a piece with the index of `call` nevertheless begins another call."""
    if piece.id and call.id:
        return bool(piece.name) if call.id_generated else piece.id != call.id
    if piece.index is None and piece.name and call.name:
        return piece.name != call.name or is_object_text("".join(call.pieces))
    return False


def _add_extras(call: _Call, extras: JsonObject, events: list[Event]) -> None:
    """Adds what only this wire understands of a call, once the call has begun."""
    if not call.started:
        call.extras |= extras
    elif extras:
        events.append(PartExtras(call.part, wire_extras(extras)))
