"""Rows that units have of a block of neurons, neuron by neuron: read once for all that are looked at."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ..store.views import Parts, Unit

Row = Mapping[str, Any]
KEPT = 4
"""Units whose rows stay sorted; the one used longest ago goes first, as neurons come block by block."""


class ByNeuron:
    """The rows of units that cover many neurons, by neuron."""

    def __init__(self, read: Callable[[Unit], Sequence[Row] | None]) -> None:
        """Take what gives the rows of a unit, each with a `neuron`; None where the unit is not there."""
        self._read = read
        self._known: OrderedDict[str, dict[int, list[Row]] | None] = OrderedDict()

    @classmethod
    def beneath(cls, parts: Parts) -> ByNeuron:
        """Read from units that are there."""
        return cls(lambda unit: parts.rows(unit).to_pylist())

    def of(self, unit: Unit, neuron: int) -> list[Row]:
        """Give the rows of a neuron in a unit that is there."""
        return self.known(unit, neuron) or []

    def known(self, unit: Unit, neuron: int) -> list[Row] | None:
        """Give the rows of a neuron in a unit; None where the unit is not there."""
        if unit.key not in self._known:
            self._known[unit.key] = self._sorted(unit)
            while len(self._known) > KEPT:
                self._known.popitem(last=False)
        self._known.move_to_end(unit.key)
        found = self._known[unit.key]
        return None if found is None else found.get(neuron, [])

    def _sorted(self, unit: Unit) -> dict[int, list[Row]] | None:
        rows = self._read(unit)
        if rows is None:
            return None
        found: dict[int, list[Row]] = {}
        for row in rows:
            found.setdefault(row["neuron"], []).append(row)
        return found
