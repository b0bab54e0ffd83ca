"""What an SQL statement gives: rows, and how complete they are."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

from ...store.extras import extra
from ..completeness import Completeness
from .duck import Held

if TYPE_CHECKING:
    import pandas as pd
    import polars as pl
    import pyarrow as pa


class IncompleteAnswer(UserWarning):
    """Rows were fetched of an answer that lacks some; `answer.completeness` says which."""


class Answer:
    """The answer to one statement; fetching rows of an incomplete one warns `IncompleteAnswer`."""

    def __init__(self, rows: Held, completeness: Completeness) -> None:
        self._rows = rows
        self.completeness = completeness
        """For each view that was read, how many of the units that the statement could touch were there."""

    @property
    def columns(self) -> list[str]:
        """The names of the columns."""
        return self._rows.columns

    def arrow(self) -> pa.Table:
        """Give the rows as an Arrow table."""
        return self._fetched().arrow()

    def df(self) -> pd.DataFrame:
        """Give the rows as a pandas data frame."""
        return self._fetched().arrow().to_pandas()

    def pl(self) -> pl.DataFrame:
        """Give the rows as a polars data frame; `MissingExtra` where the extra `polars` is not installed."""
        polars = extra("polars")
        frame: pl.DataFrame = polars.from_arrow(self._fetched().arrow())
        return frame

    def fetchall(self) -> list[tuple[Any, ...]]:
        """Give the rows as tuples."""
        return self._fetched().fetchall()

    def fetchone(self) -> tuple[Any, ...] | None:
        """Give the first row; None where there is none."""
        return self._fetched().fetchone()

    def show(self, rows: int = 20) -> None:
        """Print the first rows as a table."""
        import duckdb

        found = self._fetched().arrow()
        with duckdb.connect() as con:
            con.from_arrow(found).show(max_rows=rows)

    def _fetched(self) -> Held:
        """Give the rows to the public method that was called, and warn whoever called that."""
        if not self.completeness.complete:
            warnings.warn(f"incomplete answer: {self.completeness}", IncompleteAnswer, stacklevel=3)
        return self._rows

    def __len__(self) -> int:
        return len(self._rows)

    def _repr_html_(self) -> str:
        from ..seeing.html import of_answer

        return of_answer(self)

    def __repr__(self) -> str:
        return f"<Answer {len(self)} rows × {len(self.columns)} columns, {self.completeness}>"
