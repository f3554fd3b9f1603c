"""Values that only one wire format understands: what is written is read again, and absent values leave no trace."""

from __future__ import annotations

from typing import Any, get_args

import pytest

from cfaig_integrations.core import hints
from cfaig_integrations.core.content import NO_EXTRAS, Extras, Opaque, Text, Wire, merge_extras

CONTENT = "gAAAA"


@pytest.mark.parametrize(
    "extras",
    [
        hints.anthropic_hints(),
        hints.tool_hints(),
        hints.tool_hints(anthropic={}, openai={}),
        hints.image_detail(None),
        hints.reasoning_signature(None),
        hints.encrypted_reasoning("Hm.", id_="rs_1", encrypted_content=None),
    ],
)
def test_absent_values_are_no_extras(extras: Extras) -> None:
    assert extras == NO_EXTRAS


@pytest.mark.parametrize(
    ("extras", "expected"),
    [
        (hints.reasoning_signature("sig"), ("sig", None, None)),
        (hints.encrypted_reasoning("", id_="rs_1", encrypted_content=CONTENT), (None, "rs_1", CONTENT)),
        (
            merge_extras(
                hints.reasoning_signature("sig"), hints.encrypted_reasoning("", id_=None, encrypted_content=CONTENT)
            ),
            ("sig", None, CONTENT),
        ),
        (NO_EXTRAS, (None, None, None)),
        ({"responses": {"item": 5}}, (None, None, None)),
    ],
)
def test_reasoning_is_recognized(extras: Extras, expected: tuple[Any, ...]) -> None:
    assert hints.reasoning_identity(extras) == expected


@pytest.mark.parametrize(
    ("text", "summary", "expected"),
    [
        ("Hm.", None, [{"type": "summary_text", "text": "Hm."}]),
        ("", None, []),
        ("Hm.", [{"type": "summary_text", "text": "H", "index": 0}], [{"type": "summary_text", "text": "H"}]),
    ],
)
def test_the_summary_of_encrypted_reasoning(text: str, summary: Any, expected: list[Any]) -> None:
    extras = hints.encrypted_reasoning(text, id_=None, encrypted_content=CONTENT, summary=summary)
    [values] = extras.values()
    assert values["item"] == {"type": "reasoning", "summary": expected, "encrypted_content": CONTENT}


@pytest.mark.parametrize("provider", get_args(hints.Provider))
def test_a_native_block_knows_its_provider(provider: hints.Provider) -> None:
    block = hints.native_block(provider, {"type": "x", "index": 3})
    assert block.raw == {"type": "x"}
    assert hints.provider_of(block) == provider


def test_a_block_of_a_shared_format_has_no_provider() -> None:
    owned = {hints.native_block(provider, {}).wire for provider in get_args(hints.Provider)}
    assert {wire for wire in get_args(Wire) if hints.provider_of(Opaque(wire, {})) is not None} == owned


@pytest.mark.parametrize(("part", "expected"), [({"logprobs": [1]}, [1]), ({}, None), (5, None), (None, None)])
def test_log_probabilities_of_a_text(part: object, expected: object) -> None:
    assert hints.text_logprobs(Text("Hi", extras={"responses": {"part": part}})) == expected
