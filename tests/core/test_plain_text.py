"""Which turns are one text and nothing else, so that a framework's message holds all of them."""

from __future__ import annotations

import pytest

from cfaig_integrations.core.content import Citation, Reasoning, Text, Turn

EXTRAS = {"messages": {"key": 1}}


@pytest.mark.parametrize(
    "turn",
    [
        Turn("assistant", ()),
        Turn("assistant", (Text("x"), Text("y"))),
        Turn("assistant", (Reasoning("x"),)),
        Turn("assistant", (Text("x", (Citation("https://a"),)),)),
        Turn("assistant", (Text("x", extras=EXTRAS),)),
        Turn("assistant", (Text("x"),), extras=EXTRAS),
        Turn("assistant", (Text("x"),), name="n"),
    ],
)
def test_a_turn_with_more_than_one_text_is_not_plain(turn: Turn) -> None:
    assert Turn("assistant", (Text("x"),)).is_plain_text
    assert not turn.is_plain_text
