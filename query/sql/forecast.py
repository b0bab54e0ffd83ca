"""What a statement would compute, found without computing it: the least and the most."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ...compute.language.prices import Price
from ...compute.work import Work
from ..engine import Engine
from ..plan import Cost, Plan
from . import duck
from .statement import lazy_tables, run
from .touching import completeness, scans_of, touched


@dataclass(frozen=True, slots=True)
class Forecast:
    """What a statement would compute; least and most differ where only running can tell."""

    least: Plan
    """What it computes in any case."""
    most: Plan
    """All that it could compute."""
    lacking: str = ""
    """What it asks for that no computing gives: names with which nothing was filled; "" where nothing."""

    @property
    def exact(self) -> bool:
        """Whether it is known what it would compute."""
        return self.least.units == self.most.units

    def rows(self) -> list[dict[str, Any]]:
        """Give a row for each view: units, passes, images, bytes and seconds, each at least and at most.

        `seconds` are None where nothing like it was made yet; a forward pass that the views beneath one table
        share is counted for the first of them, and each table has passes of its own. `work` is what models
        and instruments have to do for all that it could compute, captions, calls, tokens and paintings; None
        where they have nothing to do. Of several views, a last row, `all`, adds up.
        """
        least, most, work = self.least.costs(), self.most.costs(), self.most.work
        found = [_row(view, least.get(view, Cost()), most[view], work.get(view)) for view in most]
        whole = sum(work.values(), Work()) if work else None
        total = _row("all", sum(least.values(), Cost()), sum(most.values(), Cost()), whole)
        return [*found, total] if len(found) > 1 else found

    def __str__(self) -> str:
        lines = [f"incomplete: {self.lacking}"] if self.lacking else []
        if not self.most.steps:
            ready = f"nothing to compute: all {self.most.wanted} units are ready"
            return "\n".join([*([ready] if self.most.wanted or not lines else []), *lines])
        if self.exact:
            return "\n".join([str(self.most), *lines])
        return "\n".join([f"at least:\n{_indented(self.least)}\nat most:\n{_indented(self.most)}", *lines])


def forecast(
    engine: Engine,
    query: str,
    statement: duck.Statement,
    params: duck.Params,
    prices: Mapping[str, Price],
) -> Forecast:
    """Find what a statement would compute; see `Store.plan`.

    The most is what the statement's own filters leave of each table. What it computes in any case is found
    by answering it from what is there: what is missing can only add rows, by which joins ask for more.
    """
    tables = lazy_tables(engine, statement, params, looking=True)
    with duck.unhinted(tables) as con:
        run(con, query, params, tables)
    most = engine.told(engine.plan_in_turn(touched(tables)), prices)
    lacking = completeness(tables).lacking
    if not most.steps or (not statement.limited and len(scans_of(tables)) < 2):
        return Forecast(most, most, lacking)
    tables = lazy_tables(engine, statement, params)
    with duck.connection(tables) as con:
        run(con, query, params, tables)
    missing = [[*scan.seen.missing.values()] for scan in scans_of(tables).values()]
    if statement.limited:
        missing = [[unit for units in missing for unit in units][:1]]
    return Forecast(engine.told(engine.plan_in_turn(missing), prices), most, lacking)


def _row(view: str, least: Cost, most: Cost, work: Work | None) -> dict[str, Any]:
    row: dict[str, Any] = {"view": view}
    for name in ("units", "passes", "images", "bytes", "seconds"):
        row |= {name: getattr(least, name), f"{name}_at_most": getattr(most, name)}
    return {**row, "work": work}


def _indented(plan: Plan) -> str:
    return "\n".join(f"  {line}" for line in str(plan).splitlines())
