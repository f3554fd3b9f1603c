"""What a token costs: a table of model patterns, which a user's file can precede."""

from __future__ import annotations

import fnmatch
import json
import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from cfaig_integrations.simulator.json_types import is_record, parse_json


@dataclass(frozen=True, slots=True)
class Price:
    """Dollars per million tokens."""

    input: float = 0.0
    output: float = 0.0
    cached_input: float | None = None
    """Tokens read from the provider's prompt cache; None for the price of `input`."""

    def cost(self, tokens_in: int, tokens_out: int, tokens_cached: int = 0) -> float:
        """Dollars for one call; `tokens_cached` are part of `tokens_in`."""
        cached = min(tokens_cached, tokens_in)
        cached_price = self.input if self.cached_input is None else self.cached_input
        return ((tokens_in - cached) * self.input + cached * cached_price + tokens_out * self.output) / 1e6


FREE = Price()

_FIELDS = tuple(field.name for field in fields(Price))
_DEFAULTS: tuple[tuple[str, Price], ...] = (
    (r"@.*bge-small.*", Price(0.02)),
    (r"@.*bge-base.*", Price(0.067)),
    (r"@.*bge-large.*", Price(0.2)),
    (r"@.*bge-m3.*", Price(0.0118)),
    (r"@.*qwen3-embedding.*", Price(0.012)),
    (r"@.*plamo-embedding.*", Price(0.0186)),
    (r"@cf/cloudflare/clef.*", Price(0.09)),
    (r"@(cf|hf)/.*", Price(0.3, 1.0)),
    (r"(ceramic|exa|linkup)/web-search", Price(500.0)),
    (r".*embedding.*", Price(0.1)),
    (r".*(nano|mini|luna|flash|haiku).*", Price(0.4, 1.6)),
    (r".*(sol|opus|astra|fable).*", Price(5.0, 25.0)),
    (r".*", Price(2.0, 8.0)),
)
"""Embedding prices are those of facts §6.1; those of chat models are made up, so that a log has costs to show."""


class PriceTable:
    """Prices by model; the first row whose pattern matches."""

    def __init__(self, rows: Iterable[tuple[str, Price]] = (), *, others: Price | None = None) -> None:
        """Create the table.

        Args:
            rows: Model ids, or patterns with `*`, and their prices; they precede the defaults. An exact id precedes a
                pattern.
            others: The price of every other model, instead of the defaults.
        """
        listed = list(rows)
        self._exact = {pattern: price for pattern, price in listed if "*" not in pattern}
        patterns = [(re.compile(fnmatch.translate(p)), price) for p, price in listed if "*" in p]
        defaults = _DEFAULTS if others is None else ((".*", others),)
        self._patterns = [*patterns, *((re.compile(p), price) for p, price in defaults)]

    def price(self, model: str) -> Price:
        """The price of a model."""
        exact = self._exact.get(model)
        if exact is not None:
            return exact
        return next((price for pattern, price in self._patterns if pattern.fullmatch(model)), FREE)

    def cost(
        self,
        model: str,
        tokens_in: int,
        tokens_out: int,
        tokens_cached: int = 0,
        custom: Mapping[str, float] | None = None,
    ) -> float:
        """Dollars for one call; `custom` is the content of a `cf-aig-custom-cost` header."""
        if custom is None:
            return self.price(model).cost(tokens_in, tokens_out, tokens_cached)
        if "total_cost" in custom:
            return custom["total_cost"]
        price = custom.get("per_token_in", 0.0)
        cached = tokens_cached * (custom.get("per_cache_read_token", price) - price)
        return tokens_in * price + cached + tokens_out * custom.get("per_token_out", 0.0)


def read_prices(file: str | Path) -> list[tuple[str, Price]]:
    """The rows of a price file.

    The file is a JSON object such as `{"openai/gpt-4.1": {"input": 2, "output": 8, "cached_input": 0.5}, "local/*":
    {}}`: dollars per million tokens.

    Raises:
        ValueError: The file has another form; the message names the entry.
        OSError: The file cannot be read.
    """
    try:
        table = parse_json(Path(file).read_bytes())
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{file} is not JSON: {error}") from None
    if not is_record(table):
        raise ValueError(f"{file} must contain a JSON object: model ids and their prices")
    return [(model, _read_price(file, model, price)) for model, price in table.items()]


def _read_price(file: str | Path, model: str, price: Any) -> Price:
    if not is_record(price):
        raise ValueError(f"{file}: the price of {model!r} must be an object with {', '.join(_FIELDS)}")
    unknown = price.keys() - set(_FIELDS)
    if unknown:
        raise ValueError(f"{file}: {model!r} has the unknown field {min(unknown)!r}; use {', '.join(_FIELDS)}")
    for name, value in price.items():
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value) or value < 0:
            raise ValueError(f"{file}: {name} of {model!r} must be dollars per million tokens, not {value!r:.40}")
    return Price(**{name: float(value) for name, value in price.items()})
