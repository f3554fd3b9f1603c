"""Texts to vectors, and passages to scores: the requests and their replies.

As in chat, None means that the user did not set the value.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

from cfaig_integrations.core.chat import Usage
from cfaig_integrations.core.content import Json
from cfaig_integrations.core.records import record
from cfaig_integrations.errors import ConfigError

Side: TypeAlias = Literal["query", "document"]
"""The role of a text, for models that embed queries and documents differently."""
Pooling: TypeAlias = Literal["mean", "cls"]
"""How a model combines its token vectors; vectors of the two kinds cannot be compared (facts §6.1)."""


@dataclass(frozen=True, slots=True)
class EmbedRequest:
    """Texts to embed.

    Attributes:
        model: Model id as the user wrote it.
        texts: None of them empty.
        side: The role of the texts.
        dimensions: Length of the vectors.
        pooling: How the model pools.
        instruction: The task, sent with queries but not with documents.
        truncate: Whether a text that is too long is truncated rather than refused.
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
    """The vectors of an `EmbedRequest`.

    Attributes:
        vectors: One for each text, in the order of the texts, all of one length.
        usage: Token counts, if the server sent any.
    """

    vectors: tuple[list[float], ...]
    usage: Usage | None = None


@dataclass(frozen=True, slots=True)
class RerankRequest:
    """Passages to score against a query.

    Attributes:
        model: Model id as the user wrote it.
        query: The query.
        passages: The passages.
        top: How many of the best to return; None: all.
        extra_body: Further body fields, merged last, as they are.
    """

    model: str
    query: str
    passages: tuple[str, ...]
    top: int | None = None
    extra_body: Json = field(default_factory=dict[str, Any])


@record
class Ranked:
    """One passage in a ranking.

    Attributes:
        index: Of the passage in the request, from 0.
        score: The higher, the more relevant.
    """

    index: int
    score: float


@dataclass(frozen=True, slots=True)
class RerankReply:
    """The ranking of a `RerankRequest`.

    Attributes:
        ranking: The best first.
        usage: Token counts, if the server sent any.
    """

    ranking: tuple[Ranked, ...]
    usage: Usage | None = None


def checked_texts(texts: Iterable[str]) -> tuple[str, ...]:
    """The texts, if every one of them can be embedded.

    Args:
        texts: A list of texts; not a single string, which would be read as a list of its characters.

    Raises:
        ConfigError: One of them is empty, which models refuse (facts §6.1), or is not text.
    """
    if isinstance(texts, str | bytes):
        raise ConfigError("texts is one text.", field="texts", value=texts, remedy="Pass a list of texts.")
    checked = tuple(texts)
    for index, text in enumerate(checked):
        path = f"texts[{index}]"
        if not isinstance(text, str):  # pyright: ignore[reportUnnecessaryIsInstance]  # users call this without a type checker
            raise ConfigError(f"{path} is a {type(text).__name__}.", field=path, value=text, remedy="Pass a str.")
        if not text:
            raise ConfigError(
                f"{path} is empty, and no model embeds an empty text.", field=path, value=text, remedy="Leave it out."
            )
    return checked


def ranking_of(request: RerankRequest, reply: RerankReply) -> list[tuple[int, float | None]]:
    """Index and score of each returned passage, the best first; empty ones, which are not ranked, come last."""
    ranked: list[tuple[int, float | None]] = [(each.index, each.score) for each in reply.ranking]
    unranked = [(index, None) for index, passage in enumerate(request.passages) if not passage]
    return [*ranked, *unranked][: request.top]
