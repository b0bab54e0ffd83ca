"""What tokens cost, as the user's own table has it."""

from __future__ import annotations

import math
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...store.errors import BadSource

FIELDS = ("usd_in", "usd_out")
"""The columns of a table of prices: dollars for a million tokens of requests, and of replies."""


@dataclass(frozen=True, slots=True)
class Price:
    """What a model's tokens cost."""

    usd_in: float
    """Dollars for a million tokens of requests."""
    usd_out: float
    """Dollars for a million tokens of replies."""

    def usd(self, tokens_in: int, tokens_out: int) -> float:
        """Give the cost in dollars.

        >>> Price(0.15, 0.6).usd(2_000_000, 1_000_000)
        0.9
        """
        return (tokens_in * self.usd_in + tokens_out * self.usd_out) / 1e6


FREE = Price(0.0, 0.0)
"""What a model on this machine costs."""


def read(source: str | Path | Mapping[str, Any]) -> dict[str, Price]:
    """Read a table of prices: a TOML file, or a mapping, with `usd_in` and `usd_out` by model.

    ```toml
    ["gpt-4o-mini"]
    usd_in = 0.15     # dollars for a million tokens of requests
    usd_out = 0.60    # and of replies
    ```

    Raises:
        BadSource: There is no such file, it is not TOML, or an entry is not two prices.
    """
    if isinstance(source, Mapping):
        return _prices(source, "the table of prices")
    path = Path(source)
    try:
        table = tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        raise BadSource(f"no table of prices {path} can be read: {error.strerror}") from error
    except ValueError as error:
        raise BadSource(f"the table of prices {path} is not TOML: {error}") from error
    return _prices(table, str(path))


def _prices(table: Mapping[str, Any], place: str) -> dict[str, Price]:
    if not table:
        raise BadSource(
            f"{place} names no model: say usd_in and usd_out of one, in dollars for a million tokens"
        )
    return {model: _price(model, entry, place) for model, entry in table.items()}


def _price(model: str, entry: Any, place: str) -> Price:
    if isinstance(entry, Price):
        return entry
    if not isinstance(entry, Mapping) or set(entry) != set(FIELDS):
        there = sorted(entry) if isinstance(entry, Mapping) else entry
        raise BadSource(
            f"{place} has {there!r} for {model!r}, and not usd_in and usd_out, dollars for a million tokens; "
            'a name with a dot stands in quotes, as ["gpt-4.1-mini"]'
        )
    for name in FIELDS:
        value = entry[name]
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < math.inf:
            raise BadSource(f"{place} has {name} = {value!r} for {model!r}, which is no price in dollars")
    return Price(float(entry["usd_in"]), float(entry["usd_out"]))
