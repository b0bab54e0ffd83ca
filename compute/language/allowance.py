"""What a call may spend on language models, and what their tokens cost."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...store.errors import BadSource

if TYPE_CHECKING:
    from .prices import Price


Prices = str | os.PathLike[str] | Mapping[str, Any] | None
"""What tokens cost: a TOML file, or a mapping, with `usd_in` and `usd_out` by model."""


@dataclass(frozen=True, slots=True)
class Allowance:
    """The most that one call may spend on all language models; None for what is not limited.

    It holds for the call as a whole, such as `fill`, `sql` or `work`, however many views or scans it fills.
    What a request may take is reserved before it is sent, and settled with what it took. A call that comes to
    a limit ends with `BudgetSpent`: what it finished, and every usable reply, is kept.
    """

    max_calls: int | None = None
    """Requests sent, attempts that failed included."""
    max_tokens: int | None = None
    """Tokens of requests and replies together."""
    max_usd: float | None = None
    """Dollars, by `prices`; refused before anything is sent where the model's price is not there."""
    prices: Prices = None
    """A TOML file, or a mapping: `usd_in` and `usd_out`, dollars for a million tokens, by model."""

    def __post_init__(self) -> None:
        """Refuse limits below nothing."""
        for name in ("max_calls", "max_tokens", "max_usd"):
            value = getattr(self, name)
            if value is not None and not value >= 0:
                raise BadSource(f"{name} is at least 0, not {value}")

    def facts(self) -> dict[str, Any]:
        """Give the limits as plain values."""
        return {"max_calls": self.max_calls, "max_tokens": self.max_tokens, "max_usd": self.max_usd}

    def known(self) -> dict[str, Price]:
        """Read the table of prices; `BadSource` where it is none."""
        from .prices import read

        if self.prices is None:
            return {}
        return read(self.prices if isinstance(self.prices, Mapping) else Path(self.prices))
