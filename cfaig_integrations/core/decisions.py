"""Questions about a state, which a decision model answers with probabilities."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from cfaig_integrations.core.chat import Usage
from cfaig_integrations.core.content import Json
from cfaig_integrations.core.json_types import JsonObject, JsonValue


@dataclass(frozen=True, slots=True)
class DecisionRequest:
    """A state to decide about.

    Attributes:
        model: Model id as the user wrote it.
        state: Any JSON value.
        questions: The question of each answer's id: its `type`, `instructions` and `criteria`.
        images: `data:` URLs of the state's images.
        extra_body: Further body fields, merged last, as they are.
    """

    model: str
    state: JsonValue
    questions: Mapping[str, JsonObject]
    images: tuple[str, ...] = ()
    extra_body: Json = field(default_factory=dict[str, Any])


@dataclass(frozen=True, slots=True)
class DecisionReply:
    """The answers to a `DecisionRequest`.

    Attributes:
        model: The model that answered; empty if the server does not report it.
        answers: One for each question, in the order of the questions, of the question's type.
        usage: Token counts, if the server sent any.
    """

    model: str
    answers: Mapping[str, JsonObject]
    usage: Usage | None = None
