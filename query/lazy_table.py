"""A table that is computed when somebody first looks, and read from what is kept from then on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from ..store.errors import DamagedUnit, MissingUnits, QueryError
from ..store.views import TableView, Unit, View
from . import duck
from .engine import Engine
from .lazy import Lazy
from .scan import Scan, schema_of

if TYPE_CHECKING:
    import pandas as pd
    import polars as pl
    import pyarrow as pa


@dataclass(frozen=True, slots=True)
class _Condition:
    """What `where` was given."""

    text: str = "true"
    params: tuple[Any, ...] = ()


class LazyTable(Lazy[TableView]):
    """A table view: narrowed with `where`, fetched with `df`, `pl`, `arrow` or `fetchall`."""

    def __init__(self, engine: Engine, view: TableView, condition: _Condition | None = None) -> None:
        super().__init__(engine, view)
        self._condition = condition or _Condition()

    @property
    def columns(self) -> tuple[str, ...]:
        """The names of the columns: inputs first."""
        return tuple(self._schema().names)

    def where(self, condition: str, *params: Any) -> LazyTable:
        """Keep the rows for which an SQL condition holds; only units that can have such rows are computed.

        `params` are the values of `?` in it. Raises `QueryError` when it is not understood.
        """
        known = self._condition
        both = _Condition(f"({known.text}) AND ({condition})", (*known.params, *params))
        narrowed = LazyTable(self._engine, self._view, both)
        narrowed._scan()  # a mistake in the condition shows here, not when rows are fetched
        return narrowed

    def arrow(self, *, missing: Literal["fill", "raise"] = "fill") -> pa.Table:
        """Fetch the rows as an Arrow table, in the order of layers, heads and ranks.

        Raises `MissingUnits` with missing="raise", and `UnitFailed` where a unit cannot be made.
        """
        for _ in range(3):  # a damaged unit is set aside when it is read, and filled on the next round
            units = self._units()
            if missing == "fill":
                self._engine.ensure(units)
            else:
                self._refuse_missing(units)
            try:
                return self._scan()[0]
            except DamagedUnit:
                if missing == "raise" or not self._engine.folder.writable:
                    raise
        raise MissingUnits(self._view.title(), len(units), len(units), "they are damaged again and again")

    def df(self, *, missing: Literal["fill", "raise"] = "fill") -> pd.DataFrame:
        """Fetch the rows as a pandas data frame; see `arrow`."""
        return self.arrow(missing=missing).to_pandas()

    def pl(self, *, missing: Literal["fill", "raise"] = "fill") -> pl.DataFrame:
        """Fetch the rows as a polars data frame; see `arrow`. Needs the extra `polars`."""
        import polars

        frame = polars.from_arrow(self.arrow(missing=missing))
        assert isinstance(frame, polars.DataFrame)
        return frame

    def fetchall(self, *, missing: Literal["fill", "raise"] = "fill") -> list[tuple[Any, ...]]:
        """Fetch the rows as tuples; see `arrow`."""
        columns = self.arrow(missing=missing).to_pydict().values()
        return list(zip(*columns, strict=True))

    def _units(self) -> tuple[Unit, ...]:
        return tuple(self._scan()[1])

    def _schema(self) -> pa.Schema:
        return schema_of(type(self._view), list(self._view.names))

    def _scan(self) -> tuple[pa.Table, list[Unit]]:
        """Read the rows that are there; give them, and every unit that could have some."""
        scan = Scan(self._schema(), [self._view], lambda _: True, self._ready, self._engine.reader)
        axes = [name for name in ("layer", "head", "rank") if name in self._view.columns]
        query = f"SELECT * FROM {self._view.name()} WHERE {self._condition.text} ORDER BY {', '.join(axes)}"
        try:
            with duck.connection({self._view.name(): scan}) as con:
                rows = duck.run(con, query, list(self._condition.params))
        except QueryError:
            if scan.seen.error is not None:
                raise scan.seen.error from None
            raise
        return rows, list(scan.seen.needed.values())

    def _ready(self, view: View) -> set[str]:
        return self._engine.done(view)

    def _refuse_missing(self, units: Sequence[Unit]) -> None:
        done = self._engine.done(self._view)
        missing = sum(unit.key not in done for unit in units)
        if missing:
            hint = "fill() computes them, or a fetch with missing='fill'"
            raise MissingUnits(self._view.title(), missing, len(units), hint)
