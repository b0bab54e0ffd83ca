"""`xarray.open_dataset(path, engine="belvedere", view=…)`: a view of a store as an xarray data set."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any, ClassVar, Literal, get_args

from xarray import Dataset, Variable
from xarray.backends import BackendEntrypoint

from ..store.errors import BadSource
from ..store.marker import MARKER, Mode
from .lazy.array import LazyArray
from .lazy.reading import Missing
from .lazy.table import LazyTable
from .lazy.view import check_missing
from .lazy.xarray_array import facts, identifying, variables
from .sql.catalog import views
from .store import Store


class BelvedereBackend(BackendEntrypoint):
    """Opens a view of a Belvedere store; xarray finds it by the entry point `belvedere`."""

    description: ClassVar[str] = "Open a view of a Belvedere store"
    open_dataset_parameters: ClassVar[tuple[str, ...] | None] = (
        *("filename_or_obj", "drop_variables", "view", "model", "images", "texts", "missing", "mode"),
    )

    def guess_can_open(self, filename_or_obj: Any) -> bool:
        """Tell whether this is a folder that is marked as a store."""
        try:
            return (Path(os.fspath(filename_or_obj)) / MARKER).is_file()
        except TypeError:
            return False

    def open_dataset(  # type: ignore[override]  # xarray passes on what a backend names
        self,
        filename_or_obj: str | os.PathLike[str],
        *,
        drop_variables: str | Iterable[str] | None = None,
        view: str | None = None,
        model: str | None = None,
        images: str | None = None,
        texts: str | None = None,
        missing: Missing = "fill",
        mode: Mode = "r",
        **parameters: Any,
    ) -> Dataset:
        """Give a view under its own name with its coordinates; numbers are read when they are looked at.

        The columns of a table, which are read at once, lie along `row`. With mode "r", the default, looking
        computes nothing, and what is missing raises `MissingUnits`; with mode "a" it is filled.

        Args:
            filename_or_obj: The store's folder.
            drop_variables: Names of variables and coordinates to leave out.
            view: The view's name.
            model: A model's name, and so on as in `Store.view`, its parameters included.
            images: An image set's name.
            texts: A text set's name.
            missing: As in `LazyArray.to_xarray`; a table knows "fill" and "raise".
            mode: How the store is opened.
            parameters: The view's own.

        Raises:
            BadSource: No view is named, or `missing` is another word.
            NotAStore: The folder holds no store.
            UnknownName: No view, input or parameter of that name.
        """
        if view is None:
            listed = ", ".join(each["view"] for each in views())
            raise BadSource(f"a store is opened with xarray a view at a time, view=…; there are {listed}")
        store = Store(filename_or_obj, mode)
        found = store.view(view, model=model, images=images, texts=texts, **parameters)
        dropped = {drop_variables} if isinstance(drop_variables, str) else set(drop_variables or ())
        make: Any = _array if isinstance(found, LazyArray) else _table
        made: Dataset = make(found, missing, dropped)
        made.set_close(store.close)
        return made


def _array(array: LazyArray, missing: Missing, dropped: set[str]) -> Dataset:
    check_missing(missing, get_args(Missing))
    known = variables(array, missing, remember=False)
    itself = {array._view.name()} - dropped
    coords = {name for name in known if name != array._view.name()} - dropped
    made = Dataset(
        {name: known[name] for name in itself},
        coords={name: each for name, each in known.items() if name in coords},
        attrs=facts(array._view),
    )
    for each in identifying(coords):
        made = made.set_xindex(each)
    return made


def _table(table: LazyTable, missing: Literal["fill", "raise"], dropped: set[str]) -> Dataset:
    rows = table.arrow(missing=missing).drop_columns(list(table._view.called))
    kept = [name for name in rows.column_names if name not in dropped]
    columns = {name: Variable("row", rows[name].to_numpy()) for name in kept}
    return Dataset(columns, attrs=facts(table._view))
