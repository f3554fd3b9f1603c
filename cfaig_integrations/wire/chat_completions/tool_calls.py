"""Tool calls, whole or in pieces, to events.

Pieces find their call by `index`, and by the last call where the index is missing (facts §5.3); the arguments stay the
text that they are.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from cfaig_integrations.core.events import ArgumentsDelta, Event, PartKind, PartNoted, PartStarted
from cfaig_integrations.core.legal import made_call_id
from cfaig_integrations.wire.chat_completions.values import is_empty, own
from cfaig_integrations.wire.common import as_str
from cfaig_integrations.wire.fields import count_of, object_of, unusable
from cfaig_integrations.wire.jsonio import dump_text, is_object_text

_CALL_KEYS = frozenset({"index", "id", "type", "function", "custom", "name", "arguments", "input"})
_KNOWN_TYPES = frozenset({"function", "custom", ""})
_FRAGMENT = {"index", "function"}
_LEGACY = "function_call"


@dataclass(slots=True)
class Ledger:
    """What the answers of one reply share.

    Attributes:
        id: The reply's id, once known.
        parts: How many parts have begun.
    """

    id: str = ""
    parts: int = 0

    def number(self) -> int:
        """The number of the next part."""
        self.parts += 1
        return self.parts - 1


@dataclass(slots=True)
class _Call:
    part: int
    ordinal: int
    kind: PartKind
    id: str = ""
    id_made: bool = False
    name: str = ""
    started: bool = False
    kept: dict[str, Any] = field(default_factory=dict[str, Any])
    pieces: list[str] = field(default_factory=list[str])


@dataclass(slots=True)
class _Piece:
    """One entry of `tool_calls`, in one form whatever it looked like."""

    index: str | int | None
    id: str
    name: str
    arguments: str
    complete: bool
    kind: PartKind


def _piece(raw: dict[str, Any], legacy: bool) -> _Piece:
    custom = raw.get("type") == "custom"
    # Native calls have name and arguments at the top, facts §9.2.
    inner = object_of(raw, "custom" if custom else "function") or raw
    name, index = inner.get("name"), raw.get("index")
    if name is not None and not isinstance(name, str):
        raise unusable("tool_calls[].function.name", name, "a string")
    arguments = inner.get("input" if custom else "arguments")
    complete = inner is raw and not legacy
    if arguments is None:
        text = ""
    elif isinstance(arguments, str):
        text = arguments
    else:
        text, complete = dump_text(arguments), True
    return _Piece(
        index=_LEGACY if legacy else index if index and isinstance(index, str) else count_of(index),
        id=as_str(raw.get("id")),
        name=name or "",
        arguments=text,
        complete=complete and bool(name),
        kind="custom_tool_call" if custom else "tool_call",
    )


class Calls:
    """The tool calls of one answer."""

    __slots__ = ("_all", "_answer", "_last", "_ledger", "_open")

    def __init__(self, answer: int, *, ledger: Ledger) -> None:
        self._answer = answer
        self._ledger = ledger
        self._all: list[_Call] = []
        self._open: dict[str | int, _Call] = {}
        self._last: _Call | None = None

    def __bool__(self) -> bool:
        """Whether there is any."""
        return bool(self._all)

    def more(self, pieces: list[dict[str, Any]]) -> ArgumentsDelta | None:
        """The event of a delta's `tool_calls` if they are only more arguments of one call that has begun."""
        if len(pieces) != 1 or pieces[0].keys() != _FRAGMENT:
            return None
        function = pieces[0]["function"]
        call = self._open.get(pieces[0]["index"])
        arguments = function.get("arguments")
        if call is None or not call.started or len(function) != 1 or not arguments or type(arguments) is not str:
            return None
        self._last = call
        call.pieces.append(arguments)
        return ArgumentsDelta(call.part, arguments)

    def take(self, raw: dict[str, Any], events: list[Event], *, whole: bool, legacy: bool = False) -> None:
        """Takes one entry of `tool_calls`, or with `legacy` a `function_call`; `whole` entries never continue one."""
        piece = _piece(raw, legacy)
        call = self._call_of(piece, whole=whole)
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
            _keep(call, {"legacy": True}, events)
        elif len(raw) > 2:  # more than the index and the function of a mere fragment
            _keep(call, _unmodelled(raw), events)

    def _call_of(self, piece: _Piece, *, whole: bool) -> _Call | None:
        call = self._last if piece.index is None else self._open.get(piece.index)
        if call is None and not (piece.id or piece.name or piece.arguments):
            return None  # a finalizer of nulls adds no call, facts §5.3
        if call is None or whole or piece.complete or _is_another(call, piece):
            call = _Call(self._ledger.number(), len(self._all), piece.kind)
            self._all.append(call)
        if piece.index is not None:
            self._open[piece.index] = call
        self._last = call
        return call

    def _start(self, call: _Call, events: list[Event], *, complete: bool = False) -> None:
        call.started = True
        arguments = "".join(call.pieces)
        if not call.id:
            facts = (self._ledger.id, str(self._answer), str(call.ordinal), call.name, arguments if complete else "")
            call.id, call.id_made = made_call_id(*facts), True
        events.append(PartStarted(call.part, call.kind, self._answer, call.id, call.name))
        if arguments:
            events.append(ArgumentsDelta(call.part, arguments))
        _keep(call, call.kept, events)

    def end(self, events: list[Event]) -> None:
        """Gives out the calls whose name never came."""
        for call in self._all:
            if not call.started:
                self._start(call, events)


def _is_another(call: _Call, piece: _Piece) -> bool:
    """Whether a piece that points at `call` begins another one all the same."""
    if piece.id and call.id:
        return bool(piece.name) if call.id_made else piece.id != call.id
    if piece.index is None and piece.name and call.name:
        return piece.name != call.name or is_object_text("".join(call.pieces))
    return False


def _unmodelled(raw: dict[str, Any]) -> dict[str, Any]:
    """The keys that are not modelled, such as the `extra_content` that Gemini wants back (facts §5.2)."""
    kept = {key: value for key, value in raw.items() if key not in _CALL_KEYS and not is_empty(value)}
    if (kind := as_str(raw.get("type"))) not in _KNOWN_TYPES:
        kept["type"] = kind
    return kept


def _keep(call: _Call, kept: dict[str, Any], events: list[Event]) -> None:
    """Notes what is kept of a call, once it has begun."""
    if not call.started:
        call.kept |= kept
    elif kept:
        events.append(PartNoted(call.part, own(kept)))
