"""A table that is computed when somebody first looks, and read from what is kept from then on."""

from __future__ import annotations

from dataclasses import dataclass
from os import PathLike
from typing import TYPE_CHECKING, Any, Literal

from ...compute.language.allowance import Allowance
from ...compute.running.report import Progress, Settings
from ...store.errors import BadSelection, DamagedUnit, MissingUnits, QueryError
from ...store.extras import extra
from ...store.views import TableView, Unit
from ..engine import ROUNDS, Engine
from ..sql import duck
from ..sql.scan import Ready, Scan, Seen, Source, schema_of
from .view import Lazy, check_missing

if TYPE_CHECKING:
    import pandas as pd
    import polars as pl
    import pyarrow as pa

    from ..exchange.export import Exported


@dataclass(frozen=True, slots=True)
class _Condition:
    """What `where` was given."""

    text: str = ""
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
        text = f"({known.text}) AND ({condition})" if known.text else condition
        both = _Condition(text, (*known.params, *params))
        narrowed = LazyTable(self._engine, self._view, both)
        narrowed._units()  # a mistake in the condition shows here, not when rows are fetched
        return narrowed

    def arrow(self, *, missing: Literal["fill", "raise"] = "fill") -> pa.Table:
        """Fetch the rows as an Arrow table, in the order in which the view makes them.

        Raises `MissingUnits` with missing="raise", `BadSource` for another word than "fill" and "raise", and
        `UnitFailed` where a unit cannot be made.
        """
        check_missing(missing, ("fill", "raise"))
        damages = 0
        while True:  # what is missing is filled, what is damaged set aside: each round gets further
            try:
                rows, seen = self._scan(self._engine.done)
            except DamagedUnit:
                damages += 1
                if missing == "raise" or damages == ROUNDS or not self._engine.folder.writable:
                    raise
                continue
            if not seen.missing:
                return rows
            if missing == "raise":
                hint = "fill() computes them, or a fetch with missing='fill'"
                raise MissingUnits(self._view.title(), len(seen.missing), len(seen.needed), hint)
            self._engine.ensure(list(seen.missing.values()))

    def df(self, *, missing: Literal["fill", "raise"] = "fill") -> pd.DataFrame:
        """Fetch the rows as a pandas data frame; see `arrow`."""
        return self.arrow(missing=missing).to_pandas()

    def pl(self, *, missing: Literal["fill", "raise"] = "fill") -> pl.DataFrame:
        """Fetch the rows as a polars data frame; see `arrow`. `MissingExtra` without the extra `polars`."""
        frame: pl.DataFrame = extra("polars").from_arrow(self.arrow(missing=missing))
        return frame

    def fetchall(self, *, missing: Literal["fill", "raise"] = "fill") -> list[tuple[Any, ...]]:
        """Fetch the rows as tuples; see `arrow`."""
        columns = self.arrow(missing=missing).to_pydict().values()
        return list(zip(*columns, strict=True))

    def _repr_html_(self) -> str:
        from ..seeing.html import of_table

        return of_table(self)

    def export(
        self,
        dest: str | PathLike[str],
        *,
        form: Literal["parquet", "csv"] | None = None,
        missing: Literal["fill", "raise"] = "fill",
        overwrite: bool = False,
        device: str | None = None,
        batch_size: int | None = None,
        workers: int | None = None,
        retry_failed: bool = False,
        allowance: Allowance | None = None,
        compiled: bool = False,
        progress: bool | Progress = True,
    ) -> Exported:
        """Write the rows for other programs, unit by unit; those that are missing are filled first.

        `dest` ends in .parquet or .csv, or `form` says the format. It is written under another name and
        renamed at its end, so that what bears the name is whole. With missing="raise", missing units raise.

        Raises:
            BadDestination: Something is there (without `overwrite`), or no such format.
            MissingUnits: Units are missing, and are not to be filled or cannot be.
            UnitFailed: A unit could not be made.
        """
        from ..exchange.export_table import export_table

        check_missing(missing, ("fill", "raise"))
        settings = Settings(
            device=device,
            batch_size=batch_size,
            workers=workers,
            retry_failed=retry_failed,
            allowance=allowance,
            compiled=compiled,
        )
        return export_table(self, dest, form, missing, settings, progress, overwrite=overwrite)

    def _units(self) -> tuple[Unit, ...]:
        """List the units that could have rows for which the condition holds; nothing is read."""
        return tuple(self._scan(lambda _: set())[1].needed.values())

    def _asked(self) -> tuple[Unit, ...]:
        """List the units that are to be filled; `BadSelection` where the condition leaves none."""
        units = self._units()
        if self._view.units and not units:
            column, last = self._view.axis_column, self._view.units[-1].stop - 1
            there = f"; it has {column} 0 to {last}" if column else ""
            holds = f"for which {self._condition.text} holds"
            raise BadSelection(f"no unit of {self._view.title()} can have a row {holds}{there}")
        return units

    def _schema(self) -> pa.Schema:
        return schema_of(self._view)

    def _scan(self, ready: Ready) -> tuple[pa.Table, Seen]:
        """Read the rows of the units that are ready; say which units could have some, and which lack."""
        scan = Scan(self._schema(), Source([self._view], lambda _: True, ready, self._engine.reader))
        condition = self._condition.text or "true"
        query = f"SELECT * FROM {self._view.name()} WHERE ({condition})"
        try:
            with duck.connection({self._view.name(): scan}) as con:
                rows = duck.run(con, query, list(self._condition.params))
        except QueryError:
            if scan.seen.error is not None:
                raise scan.seen.error from None
            raise
        return rows, scan.seen
