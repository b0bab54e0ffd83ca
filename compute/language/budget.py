"""What language models may still take: reserved before each call, settled after it."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass

from ...store.errors import BadSource, BudgetSpent
from .messages import LanguageModel
from .prices import FREE, Price


@dataclass(frozen=True, slots=True)
class Limits:
    """The most that may be spent; None for what is not limited."""

    max_calls: int | None = None
    """Requests sent, attempts that failed included."""
    max_tokens: int | None = None
    """Tokens of requests and replies together."""
    max_usd: float | None = None
    """Dollars, by a table of prices."""

    def __post_init__(self) -> None:
        """Refuse limits below nothing."""
        for name in ("max_calls", "max_tokens", "max_usd"):
            value = getattr(self, name)
            if value is not None and not value >= 0:
                raise BadSource(f"{name} is at least 0, not {value}")


@dataclass(frozen=True, slots=True)
class Spent:
    """What was spent, or could be."""

    calls: int = 0
    """Requests sent."""
    tokens_in: int = 0
    """Tokens of requests."""
    tokens_out: int = 0
    """Tokens of replies."""
    usd: float | None = 0.0
    """Dollars; None where the price is not known."""

    def plus(self, other: Spent, sign: int = 1) -> Spent:
        """Add up, or with a sign of -1 subtract."""
        usd = None if self.usd is None or other.usd is None else self.usd + sign * other.usd
        return Spent(
            self.calls + sign * other.calls,
            self.tokens_in + sign * other.tokens_in,
            self.tokens_out + sign * other.tokens_out,
            usd,
        )

    def facts(self) -> dict[str, float]:
        """Give what is known as plain numbers."""
        known: dict[str, float] = {
            "calls": self.calls,
            "tokens_in": self.tokens_in,
            "tokens_out": self.tokens_out,
        }
        return known if self.usd is None else {**known, "usd": self.usd}

    def __str__(self) -> str:
        """Say it in words.

        >>> print(Spent(1, 2000, 30, 0.0123))
        1 call, 2,000 tokens in and 30 out, $0.0123
        """
        told = f"{self.calls:,} call{'s' * (self.calls != 1)}, {self.tokens_in:,} tokens in"
        told += f" and {self.tokens_out:,} out"
        if self.usd is None:
            return told
        return f"{told}, ${self.usd:,.4f}" if self.usd >= 0.01 or not self.usd else f"{told}, ${self.usd:.2g}"


class Purse:
    """What was spent, and is held back for calls under way, by all language models that pay from it."""

    def __init__(self) -> None:
        """Start with nothing spent."""
        self.spent, self.held = Spent(), Spent()
        self.changed = threading.Condition()
        """Held by whoever looks at it or changes it; told of each change."""


class Budget:
    """Calls, tokens and dollars that one language model may take, shared by all threads that ask it.

    Where several pay from one purse, the limits hold for what they take together.
    """

    def __init__(self, limits: Limits, price: Price | None, purse: Purse | None = None) -> None:
        """Start with nothing spent but what the purse says; with a purse of its own unless one is given.

        Raises:
            BadSource: Dollars are limited, and the price is not known.
        """
        if limits.max_usd is not None and price is None:
            raise BadSource(
                f"max_usd={limits.max_usd:g} can be held only where the price of the model is known: "
                "say it in a table of prices (prices=…, --prices FILE)"
            )
        self.limits, self._price = limits, price
        self._purse = purse or Purse()

    @property
    def spent(self) -> Spent:
        """What was spent from the purse so far; calls under way are not in it."""
        return self._purse.spent

    def of(self, tokens_in: int, tokens_out: int, calls: int = 1) -> Spent:
        """Give what some calls come to, at this budget's price."""
        usd = None if self._price is None else self._price.usd(tokens_in, tokens_out)
        return Spent(calls, tokens_in, tokens_out, usd)

    def reserve(self, tokens_in: int, tokens_out: int) -> Spent:
        """Hold back the most that a call can take; waits while what others hold back stands in the way.

        Raises:
            BudgetSpent: It does not fit, and no call is under way that could turn out cheaper.
        """
        wanted, purse = self.of(tokens_in, tokens_out), self._purse
        with purse.changed:
            while limit := self._exceeded(wanted):
                if not purse.held.calls:
                    raise BudgetSpent(
                        limit, purse.spent.facts(), wanted.facts(), self._refusal(limit, wanted)
                    )
                purse.changed.wait()
            purse.held = purse.held.plus(wanted)
        return wanted

    def settle(self, held: Spent, tokens_in: int, tokens_out: int) -> None:
        """Put what a call took in the place of what was held back for it."""
        purse = self._purse
        with purse.changed:
            purse.held = purse.held.plus(held, -1)
            purse.spent = purse.spent.plus(self.of(tokens_in, tokens_out))
            purse.changed.notify_all()

    def _exceeded(self, wanted: Spent) -> str | None:
        total, limits = self._purse.spent.plus(self._purse.held).plus(wanted), self.limits
        if limits.max_calls is not None and total.calls > limits.max_calls:
            return f"max_calls={limits.max_calls:,}"
        if limits.max_tokens is not None and total.tokens_in + total.tokens_out > limits.max_tokens:
            return f"max_tokens={limits.max_tokens:,}"
        if limits.max_usd is not None and total.usd is not None and total.usd > limits.max_usd:
            return f"max_usd={limits.max_usd:g}"
        return None

    def _refusal(self, limit: str, wanted: Spent) -> str:
        name = limit.partition("=")[0]
        option = f"--{name.replace('_', '-')}"
        return (
            f"the budget of {limit} is spent: {self._purse.spent} so far, and the next would take up to "
            f"{wanted}; replies that came are kept; allow more ({name}=…, {option}) to go on from there"
        )


def price(model: LanguageModel, prices: Mapping[str, Price]) -> Price | None:
    """Find what a model costs: nothing where it runs here, else what the table says; None without a table.

    Raises:
        BadSource: There is a table, and it has no price of this model.
    """
    if not model.terms.billed:
        return FREE
    if prices and model.name not in prices:
        raise BadSource(
            f"the table of prices has none of {model.name!r}; it has {', '.join(sorted(prices))}. It names "
            f'models as their endpoint does: ["{model.name}"] with usd_in and usd_out'
        )
    return prices.get(model.name)
