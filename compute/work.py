"""What units that are made with models and instruments will take, told before they are made."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

from ..store.memos import Memos
from ..store.views import Unit
from .by_neuron import ByNeuron

if TYPE_CHECKING:
    import pyarrow as pa

    from ..store.sets import Language
    from .language.asking import Asker


@dataclass(frozen=True, slots=True)
class Amount:
    """A number that lies between two, or is known where they are equal."""

    least: float = 0
    """It is no smaller."""
    most: float = 0
    """It is no larger."""

    def __add__(self, other: Amount) -> Amount:
        return Amount(self.least + other.least, self.most + other.most)

    def __str__(self) -> str:
        digits = 0 if not self.most % 1 else 2 if self.most >= 1 else 4
        least, most = (f"{each:,.{digits}f}" for each in (self.least, self.most))
        if self.least == self.most:
            return most
        return f"{least} to {most}" if self.least else f"up to {most}"


def exactly(count: float) -> Amount:
    """Give a number that is known."""
    return Amount(count, count)


@dataclass(frozen=True, slots=True)
class Work:
    """What some units take beside the images of the sets that they are of."""

    pictures: Amount = Amount()
    """Pictures, crops and paintings that go through a model; what several units share counts once."""
    captions: Amount = Amount()
    """Sentences of a captioner."""
    calls: Amount = Amount()
    """Requests to a language model; attempts that fail and are made again come on top."""
    tokens: Amount = Amount()
    """Tokens of these requests and of the replies to them, as far as they can be told."""
    usd: Amount | None = Amount()
    """Dollars; None where the price is not known."""
    paintings: Amount = Amount()
    """Pictures that are painted."""

    def __add__(self, other: Work) -> Work:
        added: dict[str, Any] = {}
        for each in fields(self):
            mine, theirs = getattr(self, each.name), getattr(other, each.name)
            added[each.name] = None if mine is None or theirs is None else mine + theirs
        return Work(**added)

    def facts(self) -> dict[str, Any]:
        """Give the numbers by name: the most, and where that is another one the least."""
        found: dict[str, Any] = {}
        for each in fields(self):
            amount = getattr(self, each.name)
            found[each.name] = None if amount is None else amount.most
            if amount is not None and amount.least != amount.most:
                found[f"{each.name}_at_least"] = amount.least
        return found

    def __str__(self) -> str:
        told = [
            (self.pictures, "pictures through models"),
            (self.captions, "captions"),
            (self.calls, "language model calls"),
            (self.tokens, "tokens"),
            (self.paintings, "paintings"),
        ]
        parts = [f"{amount} {what}" for amount, what in told if amount.most]
        if self.calls.most and self.usd is not None and self.usd.most:
            parts.append(f"{self.usd} USD")
        return ", ".join(parts)


class Known:
    """What is there already when it is told what units will take."""

    def __init__(
        self,
        memos: Memos,
        rows: Callable[[Unit], pa.Table | None],
        asker: Callable[[Language], Asker],
    ) -> None:
        """Take the memos, what gives a unit's rows where it is done, and what gives a language model."""
        self.memos, self._rows, self.asker = memos, rows, asker
        self.blocks = ByNeuron(self.rows)
        """The rows of units that cover many neurons, where they are done."""

    def rows(self, unit: Unit) -> list[dict[str, Any]] | None:
        """Give the rows of a unit; None where it is not done."""
        found = self._rows(unit)
        return None if found is None else found.to_pylist()

    def lacking(self, kind: str, causes: Iterable[Mapping[str, Any]]) -> int:
        """Count the causes of which no memo is kept."""
        return sum(self.memos.get(kind, cause) is None for cause in causes)
