"""The public store: names go in, views and answers come out."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, Self

from ..store import marker
from ..store.errors import DamagedObject
from .exchange.sharing import Sharing
from .names.declaring import Declaring
from .names.equipping import Equipping
from .names.registering import Registering
from .seeing.drawing import Drawing
from .seeing.looking import Looking
from .sql.limits import BYTES, SECONDS, UNITS
from .upkeep.keeping import Keeping

if TYPE_CHECKING:  # each method imports what it needs: asking for little costs little
    from ..compute.language.allowance import Allowance, Prices
    from ..compute.running.report import Progress
    from ..store.failures import Failure
    from .engine import Engine
    from .sql.answer import Answer
    from .sql.declared import Usable
    from .sql.duck import Params
    from .sql.forecast import Forecast
    from .upkeep.status import Status
    from .upkeep.verify import Verified


class Store(Registering, Equipping, Declaring, Looking, Drawing, Sharing, Keeping):
    """One folder in which views of models, images and texts are kept, and computed when they are missing.

    Any number of processes may fill it while any number read.
    """

    def __init__(
        self, path: str | os.PathLike[str], mode: Literal["a", "r"] = "a", *, memory: bool = False
    ) -> None:
        """Open a store; see `belvedere.open`."""
        self._root, self._mode, self._memory = Path(path).expanduser(), mode, memory
        marker.check(self._root, mode, memory=memory)

    @cached_property
    def _engine(self) -> Engine:
        from .engine import Engine

        return Engine(self._root, self._mode, memory=self._memory)

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
        from .known import Inputs
        from .lazy.array import LazyArray
        from .lazy.table import LazyTable
        from .named import named

        found = named(self._engine, name, Inputs(model, images, texts), parameters)
        if isinstance(found, ArrayView):
            return LazyArray(self._engine, found)
        assert isinstance(found, TableView)
        return LazyTable(self._engine, found)

    def sql(
        self,
        query: str,
        params: Params = None,
        *,
        fill: bool = False,
        require_complete: bool = False,
        max_units: int | None = UNITS,
        max_seconds: float | None = SECONDS,
        max_bytes: int | str | None = BYTES,
        device: str | None = None,
        batch_size: int | None = None,
        workers: int | None = None,
        retry_failed: bool = False,
        allowance: Allowance | None = None,
        compiled: bool = False,
        progress: bool | Progress = True,
    ) -> Answer:
        """Answer a SELECT over views and the catalog's tables, with DuckDB; nothing is computed unless asked.

        A view's name holds the combinations of inputs that were filled before, and those that the statement's
        literals name, each of an `IN`, too; parameters are at their defaults, but for conditions on heads.
        Views that are arrays have a row for each vector or cell. Rows that are missing are never passed over
        in silence: the answer states its completeness, and fetching rows of an incomplete one warns
        `IncompleteAnswer`.

        Args:
            query: One SELECT, FROM or WITH statement.
            params: Values of its `?` or `$name`.
            fill: Compute the missing units that the statement can touch, and what they are made from. Its
                filters leave units out, and a LIMIT without ORDER BY stops early.
            require_complete: Raise `MissingUnits` rather than answer without some rows.
            max_units: With `fill`, refuse to compute more units than this, those beneath included.
            max_seconds: Likewise, where it can be told from what was computed before; None for no limit.
            max_bytes: Likewise, for what the arrays take on disk: a number, or a text such as "20GB".
            device: Where to compute, such as `cpu` or `cuda:0`; this and the next four as in `View.fill`.
            batch_size: Images or texts in one forward pass; None takes as many as a GPU has room for.
            workers: Threads that decode images.
            retry_failed: Try units again that failed before.
            allowance: What may be spent on language models; no limit unless it is given.
            compiled: Whether torch compiles parts of towers (`Settings.compiled`).
            progress: Show a progress bar where stderr is a terminal; or tell this one.

        Raises:
            UnknownName: A table that there is not; the message has the nearest.
            QueryError: What DuckDB does not like about the statement.
            OverBudget: It would compute too much; the message says which filter makes it less.
        """
        from .completeness import Completeness
        from .sql import duck
        from .sql.answer import Answer

        statement = duck.parse(query)
        if not statement.tables:
            return Answer(duck.hold(query, params), Completeness({}))
        from ..compute.running.report import Settings
        from .amounts import bytes_of
        from .progress import teller
        from .sql.budget import Budget
        from .sql.statement import sql
        from .sql.supply import Filling

        settings = Settings(
            device=device,
            batch_size=batch_size,
            workers=workers,
            retry_failed=retry_failed,
            allowance=allowance,
            compiled=compiled,
        )
        budget = Budget(max_units, max_seconds, None if max_bytes is None else bytes_of(max_bytes))
        filling = Filling(settings, teller(progress), budget) if fill else None
        return sql(self._engine, query, statement, params, require_complete=require_complete, filling=filling)

    def plan(self, query: str, params: Params = None, *, prices: Prices = None) -> Forecast:
        """Tell what `sql(query, params, fill=True)` would compute; nothing is computed, no model started.

        Where only running can tell, as when one table's rows choose those of another or a LIMIT stops early,
        the answer has the least and the most. Errors are those of `sql`.

        Args:
            query: The statement.
            params: Values of its parameters.
            prices: A TOML file, or a mapping: `usd_in` and `usd_out` for a million tokens, by language model.
        """
        from ..compute.language.allowance import Allowance
        from .sql import duck
        from .sql.forecast import forecast

        known = Allowance(prices=prices).known()
        return forecast(self._engine, query, duck.parse(query), params, known)

    def views(self) -> list[dict[str, Any]]:
        """Describe every view, and every declared one: its kind, what it holds, its inputs and parameters."""
        from .sql.catalog import views

        return views(self._engine.folder)

    def status(self, *, disk: bool = True) -> list[Status]:
        """Tell what is there of every view and combination of inputs that was ever filled.

        Files that changed or vanished since their set was added make the units that they went into stale;
        with disk=False nobody looks at files.
        """
        from .sql.declared import usable
        from .sql.other_parameters import Lost
        from .upkeep.on_disk import OnDisk
        from .upkeep.status import out_of_reach, status, unusable

        folder = self._engine.folder
        looked = OnDisk(folder.objects) if disk else None
        declared = list(usable(self._engine))
        found = [
            out_of_reach(title, view.units, view.reason)
            if isinstance(view, Lost)
            else replace(status(folder, view, view.units, looked), view=title)
            for title, view in self._filled(declared)
        ]
        broken = [(each.name, error) for each, error in declared if not isinstance(error, list)]
        return [*found, *(unusable(name, str(error)) for name, error in broken)]

    def errors(self) -> list[Failure]:
        """List the images, texts and units that could not be read or made."""
        return self._engine.folder.failures.all()

    def verify(self, *, deep: bool = False, progress: bool | Progress = True) -> Verified:
        """Read everything that is kept, and list what is not as it was written: removed, cut or changed.

        That is units (records, arrays and tables), what names stand for, lists of images and texts, kept
        pictures, recipes, failures, runs, the marker and the published catalog. Damaged units count as
        missing from then on; damaged failures and runs are set aside; what is derived is removed, and made
        again. In a store that is open to read only, damage is told, and nothing else. A record that is gone
        is a unit that is missing, and a name whose latest version is gone stands for what it did before.

        Args:
            deep: Read too what the store was made from: every image file, and every checkpoint or model
                folder on disk, for its digest (a model is loaded for that). All arrays and tables are
                decoded, and the keys of units compared with what they cover.
            progress: Show a progress bar where stderr is a terminal; or tell this one.
        """
        from .upkeep.verify import verify

        return verify(self._engine, deep=deep, progress=progress)

    def _filled(self, declared: Iterable[Usable] | None = None) -> Sequence[tuple[str, Any]]:
        """List every view that was filled or declared, with what it is called; declared ones may be given."""
        from ..compute.views import all_views
        from .known import of_methods
        from .sql.combinations import Filled, instances
        from .sql.declared import usable
        from .sql.other_parameters import filled_otherwise

        called = [
            (found.name if found.sql else f"{found.name}: {view.title()}", view)
            for found, views in (usable(self._engine) if declared is None else declared)
            for view in (views if isinstance(views, list) else ())
        ]
        filled = Filled(self._engine.folder)
        kept: list[tuple[str, Any]] = []
        for cls in all_views().values():
            try:
                usual = instances(self._engine, cls, among=filled)
            except DamagedObject:  # an import; what is made of it is told as lost below
                if not of_methods(cls):
                    raise
                usual = []
            kept += [(view.title(), view) for view in usual]
            known = [*usual, *(view for _, view in called if isinstance(view, cls))]
            kept += filled_otherwise(self._engine, cls, filled, known)
        return [*kept, *called]

    def close(self) -> None:
        """Let go of what is in memory: models, towers' maps, and with memory=True what was computed."""
        if "_engine" in vars(self):
            self._engine.residents.clear()
            self._engine.reader.forget()
            self._engine.folder.forget()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _repr_html_(self) -> str:
        from .seeing.html import of_store

        return of_store(self)

    def __repr__(self) -> str:
        names = self._engine.folder.names
        counts = f"{len(names.models())} models, {len(names.image_sets())} image sets"
        return f"<Store {self.path.name}: {counts}, {len(names.text_sets())} text sets>"
