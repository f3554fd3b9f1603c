"""Texts to vectors, and passages to scores: the requests and their replies.

As in chat, None means that the user said nothing.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

from cfaig_integrations.core.chat import Usage
from cfaig_integrations.core.content import Json
from cfaig_integrations.errors import ConfigError

Side: TypeAlias = Literal["query", "document"]
"""What a text is to a model that embeds questions and what answers them differently."""
Pooling: TypeAlias = Literal["mean", "cls"]
"""How a model makes one vector of many; vectors of the two cannot be compared (facts §6.1)."""


@dataclass(frozen=True, slots=True)
class EmbedRequest:
    """Texts to embed.

    Attributes:
        model: Model id as the user wrote it.
        texts: None of them empty.
        side: What the texts are.
        dimensions: Length of the vectors.
        pooling: How the model pools.
        instruction: The task, told to the model with queries; documents go without.
        truncate: Whether a text that is too long is cut rather than refused.
        extra_body: Further body fields, merged last, as they are.
    """

    model: str
    texts: tuple[str, ...]
    side: Side = "document"
    dimensions: int | None = None
    pooling: Pooling | None = None
    instruction: str | None = None
    truncate: bool | None = None
    extra_body: Json = field(default_factory=dict[str, Any])


@dataclass(frozen=True, slots=True)
class EmbedReply:
    """What came back.

    Attributes:
        vectors: One for each text, in the order of the texts, all of one length.
        usage: Token counts, if told.
    """

    vectors: tuple[list[float], ...]
    usage: Usage | None = None


@dataclass(frozen=True, slots=True)
class RerankRequest:
    """Passages to score against a question.

    Attributes:
        model: Model id as the user wrote it.
        query: The question.
        passages: What may answer it.
        top: How many of the best to return; None: all.
        extra_body: Further body fields, merged last, as they are.
    """

    model: str
    query: str
    passages: tuple[str, ...]
    top: int | None = None
    extra_body: Json = field(default_factory=dict[str, Any])


@dataclass(frozen=True, slots=True)
class Ranked:
    """One passage's place in a ranking.

    Attributes:
        index: Of the passage in the request, from 0.
        score: The higher, the better it answers.
    """

    index: int
    score: float


@dataclass(frozen=True, slots=True)
class RerankReply:
    """What came back.

    Attributes:
        ranking: The best first.
        usage: Token counts, if told.
    """

    ranking: tuple[Ranked, ...]
    usage: Usage | None = None


def checked_texts(texts: Iterable[str], *, word: str = "texts") -> tuple[str, ...]:
    """The texts, if every one of them can be embedded.

    Args:
        texts: A list of texts; not one string, which would be taken for its letters.
        word: The argument they were given as.

    Raises:
        ConfigError: One of them is empty, which models refuse (facts §6.1), or is not text.
    """
    if isinstance(texts, str | bytes):
        raise ConfigError(f"{word} is one text.", field=word, value=texts, remedy="Give a list of texts.")
    checked = tuple(texts)
    for index, text in enumerate(checked):
        where = f"{word}[{index}]"
        if not isinstance(text, str):  # pyright: ignore[reportUnnecessaryIsInstance]  # users call this without a type checker
            raise ConfigError(f"{where} is a {type(text).__name__}.", field=where, value=text, remedy="Give a str.")
        if not text:
            raise ConfigError(
                f"{where} is empty, and no model embeds an empty text.",
                field=where,
                value=text,
                remedy="Leave it out.",
            )
    return checked


def ranking_of(request: RerankRequest, reply: RerankReply) -> list[tuple[int, float | None]]:
    """Place and score of each passage that is kept, the best first; empty ones, which are not ranked, come last."""
    ranked: list[tuple[int, float | None]] = [(found.index, found.score) for found in reply.ranking]
    empty: list[tuple[int, float | None]] = [
        (place, None) for place, passage in enumerate(request.passages) if not passage
    ]
    return [*ranked, *empty][: request.top]
