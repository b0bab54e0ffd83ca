"""How much a statement may compute before it is refused, and what would make it less."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from ...store.errors import OverBudget
from ...store.views import Unit
from ..plan import Plan
from .limits import BYTES, SECONDS, UNITS


@dataclass(frozen=True, slots=True)
class Budget:
    """What one statement may compute; None for what is not limited."""

    units: int | None = UNITS
    """Units, those beneath included."""
    seconds: float | None = SECONDS
    """Predicted seconds, where there is a prediction."""
    bytes: int | None = BYTES
    """Predicted bytes of arrays."""

    def exceeded(self, units: int, seconds: float | None, nbytes: int) -> str | None:
        """Say which limit is exceeded; None where none is."""
        if self.units is not None and units > self.units:
            return f"max_units={self.units:,}"
        if self.seconds is not None and seconds is not None and seconds > self.seconds:
            return f"max_seconds={self.seconds:,.0f}"
        if self.bytes is not None and nbytes > self.bytes:
            return f"max_bytes={self.bytes:,}"
        return None


class Spending:
    """What a statement has had computed so far."""

    def __init__(self, budget: Budget) -> None:
        self._budget = budget
        self._units, self._seconds, self._bytes = 0, 0.0, 0

    def spend(self, found: Plan, units: Sequence[Unit], plan: Callable[[Sequence[Unit]], Plan]) -> None:
        """Count what is about to be computed for some units; `OverBudget` where that is too much.

        `plan` tells what computing others would take, to find the filter that would make it less.
        """
        units_now, bytes_now = self._units + found.units, self._bytes + found.bytes
        seconds_now = None if found.seconds is None else self._seconds + found.seconds
        limit = self._budget.exceeded(units_now, seconds_now, bytes_now)
        if limit is not None:
            raise OverBudget(units_now, seconds_now, bytes_now, self._refusal(found, limit, units, plan))
        self._units, self._bytes = units_now, bytes_now
        self._seconds += found.seconds or 0.0

    def _refusal(
        self, found: Plan, limit: str, units: Sequence[Unit], plan: Callable[[Sequence[Unit]], Plan]
    ) -> str:
        listed = ", ".join(f"{count:,} of {view}" for view, count in found.by_view().items())
        parts = [f"{found.units:,} units ({listed})"]
        if found.images:
            parts.append(f"{found.images:,} images through the model")
        parts.append(f"{found.bytes / 1e6:,.1f} MB of arrays")
        if found.seconds is not None:
            parts.append(f"about {found.seconds:,.0f} s")
        before = f" ({self._units:,} units that it computed before are kept)" if self._units else ""
        ways = list(_ways(units, found, plan))
        hint = f"it takes less with {', or '.join(ways)}" if ways else _smaller(units)
        return (
            f"the statement would compute {', '.join(parts)}: more than {limit} allows; nothing of this was "
            f"computed{before}; {hint}; or allow more ({_option(limit)})"
        )


def _ways(units: Sequence[Unit], found: Plan, plan: Callable[[Sequence[Unit]], Plan]) -> Iterator[str]:
    """Name the columns by which a filter would make it less, each with a value and what is left then."""
    view = units[0].view
    for column, value in view.pinned.items():
        some = [u for u in units if u.view.pinned.get(column) == value]
        if len(some) < len(units):
            yield from _way(f"{column} = '{value}'", plan(some), found)
    mine = [unit for unit in units if unit.view is view]
    if view.axis_column and len(mine) > 1:
        first = mine[0]
        single = first.stop == first.start + 1
        condition = f"= {first.start}" if single else f"BETWEEN {first.start} AND {first.stop - 1}"
        yield from _way(f"{view.axis_column} {condition}", plan([first]), found)


def _way(condition: str, left: Plan, found: Plan) -> Iterator[str]:
    if left.units < found.units:
        yield f"{condition} ({left.units:,} units)"


def _smaller(units: Sequence[Unit]) -> str:
    """Say that each unit needs all that it is made from, and what would make that less."""
    images = units[0].view.names.get("image_set")
    if images is None or units[0].view.axis == "image":
        return "no filter makes it less"
    return (
        f"no filter makes it less, since each unit is made from all images of {images!r}; a set of some of "
        f"them does (add_images with sql=…)"
    )


def _option(limit: str) -> str:
    name = limit.partition("=")[0]
    return f"{name}=…, --{name.replace('_', '-')}"
