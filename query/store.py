"""The public store: names go in, views and answers come out."""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, Self

from ..store import marker
from .keeping import Keeping
from .looking import Looking
from .registering import Registering

if TYPE_CHECKING:  # each method imports what it needs: asking for little costs little
    from ..store.failures import Failure
    from .answer import Answer
    from .duck import Params
    from .engine import Engine
    from .status import Status
    from .verify import Verified


class Store(Registering, Looking, Keeping):
    """One folder in which views of models, images and texts are kept, and computed when they are missing.

    Any number of processes may fill it while any number read.
    """

    def __init__(self, path: str | os.PathLike[str], mode: Literal["a", "r"] = "a") -> None:
        """Open a store; see `belvedere.open`."""
        self._root, self._mode = Path(path).expanduser(), mode
        marker.check(self._root, mode)

    @cached_property
    def _engine(self) -> Engine:
        from .engine import Engine

        return Engine(self._root, self._mode)

    @property
    def path(self) -> Path:
        """The folder."""
        return self._root.resolve()

    def view(
        self,
        name: str,
        *,
        model: str | None = None,
        images: str | None = None,
        texts: str | None = None,
        **parameters: Any,
    ) -> Any:
        """Give a view of registered inputs, lazily: nothing is computed before it is read or filled.

        An input that is not given is the registered one, where there is just one.

        Returns:
            A `LazyArray` for views that are arrays, a `LazyTable` for those that are tables.

        Raises:
            UnknownName: No view, input or parameter of that name; the message has the nearest.
        """
        from ..store.views import ArrayView, TableView
        from .lazy_array import LazyArray
        from .lazy_table import LazyTable
        from .resolve import Inputs, Names, resolve

        names = Names(self._engine.folder.names)
        found = self._engine.same(resolve(names, name, Inputs(model, images, texts), parameters))
        if isinstance(found, ArrayView):
            return LazyArray(self._engine, found)
        assert isinstance(found, TableView)
        return LazyTable(self._engine, found)

    def sql(self, query: str, params: Params = None, *, require_complete: bool = False) -> Answer:
        """Answer a SELECT over table views and the catalog's tables, with DuckDB; nothing is computed.

        A view's name holds the combinations of inputs that were filled before, and the one that the
        statement's literals name. Rows that are missing are never passed over in silence: the answer
        states its completeness, and fetching rows of an incomplete one warns `IncompleteAnswer`.

        Args:
            query: One SELECT, FROM or WITH statement.
            params: Values of its `?` or `$name`.
            require_complete: Raise `MissingUnits` rather than answer without some rows.

        Raises:
            UnknownName: A table that there is not; the message has the nearest.
            QueryError: What DuckDB does not like about the statement.
        """
        from . import duck
        from .answer import Answer
        from .completeness import Completeness

        named = duck.tables_of(query)
        if not named:
            return Answer(duck.hold(query, params), Completeness({}))
        from .sql import sql

        return sql(self._engine, query, named, params, require_complete=require_complete)

    def views(self) -> list[dict[str, Any]]:
        """Describe every view: its kind, what it holds, its inputs and its parameters."""
        from .catalog import views

        return views()

    def status(self) -> list[Status]:
        """Tell what is there of every view and combination of inputs that was ever filled."""
        from .status import status

        return [status(self._engine.folder, view, view.units) for view in self._filled()]

    def errors(self) -> list[Failure]:
        """List the images, texts and units that could not be read or made."""
        return self._engine.folder.failures.all()

    def verify(self) -> Verified:
        """Read all units, lists of images and texts and kept pictures; damaged units count as missing then.

        Units are their records and their arrays or tables. What names stand for, recipes, failures and the
        rows of `runs` are not read. In a store that is open to read only, damage is told, and nothing else.
        """
        from .verify import verify

        return verify(self._engine.folder)

    def _filled(self) -> Sequence[Any]:
        from ..compute.views import all_views
        from .combinations import Filled, instances

        filled = Filled(self._engine.folder.records)
        every = [each for cls in all_views().values() for each in instances(self._engine, cls)]
        return [view for view in every if filled.has(view)]

    def close(self) -> None:
        """Let go of the models, and of the towers' maps, in memory."""
        if "_engine" in vars(self):
            self._engine.residents.clear()
            self._engine.reader.forget()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _repr_html_(self) -> str:
        from .html import of_store

        return of_store(self)

    def __repr__(self) -> str:
        names = self._engine.folder.names
        counts = f"{len(names.models())} models, {len(names.image_sets())} image sets"
        return f"<Store {self.path.name}: {counts}, {len(names.text_sets())} text sets>"
