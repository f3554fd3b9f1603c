"""What each format offers besides the conversation."""

from __future__ import annotations

import pytest

from cfaig_integrations.core.content import Wire
from cfaig_integrations.wire.codec import PLAIN, Features, Quirks
from cfaig_integrations.wire.registry import codec

NO_STOP = Quirks(refused=frozenset({"stop"}))
NOT_STORED = Quirks(refused=frozenset({"previous_response_id"}))


@pytest.mark.parametrize(
    ("wire", "quirks", "expected"),
    [
        ("chat_completions", PLAIN, Features(stop_texts=True, body_options=True, stored_replies=False)),
        ("chat_completions", NO_STOP, Features(stop_texts=False, body_options=True, stored_replies=False)),
        ("messages", PLAIN, Features(stop_texts=True, body_options=False, stored_replies=False)),
        ("messages", NO_STOP, Features(stop_texts=False, body_options=False, stored_replies=False)),
        ("responses", PLAIN, Features(stop_texts=False, body_options=False, stored_replies=True)),
        ("responses", NOT_STORED, Features(stop_texts=False, body_options=False, stored_replies=False)),
        ("run", PLAIN, Features(stop_texts=True, body_options=True, stored_replies=False)),
        ("run", NO_STOP, Features(stop_texts=False, body_options=True, stored_replies=False)),
        (
            "run",
            Quirks(run_body="responses"),
            Features(stop_texts=False, body_options=True, stored_replies=False),
        ),
        ("run", Quirks(run_body="native"), Features(stop_texts=True, body_options=True, stored_replies=False)),
    ],
)
def test_features(wire: Wire, quirks: Quirks, expected: Features) -> None:
    assert codec(wire).features(quirks) == expected
