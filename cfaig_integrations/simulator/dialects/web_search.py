"""The web search: made-up pages about the query (facts §8.9)."""

from __future__ import annotations

from cfaig_integrations.simulator import tokens
from cfaig_integrations.simulator.dialects.validation import Record, WorkersAIValidator

PROVIDERS = ("ceramic", "exa", "linkup")
_FIELDS = ("query", "provider", "limit", "options", "byokAlias")
_MOST, _DEFAULT = 10, 5
_PAGES = (
    ("https://example.com/{slug}", "{query}: an overview", "What is known about {query}, with sources."),
    (
        "https://example.org/wiki/{slug}",
        "{query} - encyclopedia",
        "An article about {query} and its history.",
    ),
    ("https://example.net/news/{slug}", "News about {query}", "What has changed about {query} this year."),
)


def search(body: Record) -> tuple[Record, int]:
    """The results of a search, and the tokens of its query.

    Raises:
        InvalidBody: A field is missing or not valid.
    """
    validator = WorkersAIValidator()
    validator.only_fields(body, _FIELDS)
    query = validator.required_text(body, "query").strip()
    if not query:
        validator.missing_field(("query",))
    provider = validator.one_of(body.get("provider", PROVIDERS[0]), ("provider",), PROVIDERS)
    limit = validator.integer(body, "limit", most=_MOST) or _DEFAULT
    slug = "-".join("".join(c if c.isalnum() else " " for c in query.lower()).split()) or "search"
    words = {"query": query, "slug": slug}
    items = [
        {name: text.format(**words) for name, text in zip(("url", "title", "description"), page, strict=True)}
        for page in _PAGES[:limit]
    ]
    return {"items": items, "metadata": {"provider": provider, "count": len(items)}}, tokens.count(query)
