"""The public store: names go in, views and answers come out."""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, Self

from ..store import marker
from ..store.errors import BadSource

if TYPE_CHECKING:  # each method imports what it needs: asking for little costs little
    from ..compute.families.family import ModelSource, Transform
    from ..compute.found import Tick
    from ..compute.image_sources import ImageSource
    from ..compute.text_sources import TextSource
    from ..store.failures import Failure
    from ..store.sets import Model
    from .adding import Added
    from .answer import Answer
    from .duck import Params
    from .engine import Engine
    from .lineage import Lineage
    from .naming import Standing
    from .show import Shown
    from .status import Status
    from .verify import Verified


class Store:
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

    def add_model(
        self,
        name: str,
        source: ModelSource,
        *,
        checkpoint: str | os.PathLike[str] | None = None,
        precision: Literal["float32", "float16", "bfloat16"] = "float32",
        transform: Transform | None = None,
        transform_id: str | None = None,
        replace: bool = False,
    ) -> Model:
        """Let a name stand for a model.

        Args:
            name: Letters, digits, "_", "-" and ".".
            source: `open_clip:ARCHITECTURE/TAG`, `open_clip:ARCHITECTURE` with a checkpoint,
                `open_clip:local-dir:FOLDER`, `timm:NAME`, `torchvision:NAME/WEIGHTS`, `demo:clip`; or a
                torch module of your own in evaluation mode. Of that a copy is taken. It is not kept in the
                store, which asks for it again when it is opened anew and something has to be computed.
            checkpoint: A file with the model's weights, in any form that open_clip reads, or for timm and
                torchvision a state dictionary that torch or safetensors wrote.
            precision: The data type to compute in; part of the identity of what is computed.
            transform: For a module of your own: from an RGB picture to a tensor "channel y x".
            transform_id: Your word for that preprocessing. It is part of the identity of what is computed,
                so change it whenever the preprocessing changes.
            replace: Let the name stand for something else than before; what was computed stays.

        Returns:
            The model: its sizes, its modules, and the digests of its weights and preprocessing.

        Raises:
            UnknownName: There is no such architecture, tag or kind of source.
            UnsupportedTower: An open_clip vision tower that cannot be decomposed exactly; nothing was loaded.
            BadSource: Its weights cannot be read or do not fit, or a module of your own is in training mode.
            NameTaken: The name stands for another model.
        """
        from . import adding

        path = None if checkpoint is None else os.fspath(checkpoint)
        return adding.add_model(
            self._engine,
            name,
            source,
            checkpoint=path,
            precision=precision,
            transform=transform,
            transform_id=transform_id,
            replace=replace,
        )

    def add_images(
        self,
        name: str,
        source: ImageSource | None = None,
        *,
        sql: str | None = None,
        labels: Literal["folder"] | None = None,
        replace: bool = False,
        tick: Tick = lambda done, total: None,
    ) -> Added:
        """Let a name stand for an ordered set of images; their bytes are read once, for their digests.

        Adding a name again with the same source, or with a list that has all of the old, appends what is
        new at the end; files that changed keep their place and make what was computed from them stale.

        Args:
            name: Letters, digits, "_", "-" and ".".
            source: A folder, a glob, a list of files, a .csv or .parquet table with path[,label][,grp], a
                Hugging Face data set folder (`FOLDER#SPLIT` where it has several splits; written by
                `save_to_disk` or shards of Parquet), `demo:scenes`, or PIL images or pairs of an image and
                a label, of which the store keeps a copy as PNG.
            sql: Instead of a source: a statement over images that are in the store, such as
                `SELECT image_set, image_id FROM images WHERE label = 'dog'`. No picture is read.
            labels: "folder" takes the class of each image from the first folder below the source.
            replace: Let the name stand for other images than before.
            tick: Told how many of how many images have been read.

        Raises:
            BadSource: There is nothing there, or no picture in it, or one that is named twice.
            NameTaken: The name stands for other images, or for one that the statement leaves out now.
            MissingUnits: The statement's answer would be incomplete.
            MissingExtra: The source needs a library that is not installed.
        """
        from . import adding, subset

        folder = self._engine.folder
        given: ImageSource | subset.Subset
        if source is not None and sql is None:
            given = source
        elif sql is not None and source is None and labels is None:
            given = subset.choose(folder.names, lambda: self.sql(sql, require_complete=True), sql)
        else:
            raise BadSource(
                "images come from a source, perhaps with labels, or from sql: give one of the two"
            )
        return adding.add_images(folder, name, given, labels=labels, replace=replace, tick=tick)

    def add_texts(self, name: str, source: TextSource, *, replace: bool = False) -> Added:
        """Let a name stand for an ordered set of texts.

        Args:
            name: Letters, digits, "_", "-" and ".".
            source: A file of lines (blank ones are left out), a .csv or .parquet table with
                text[,category], a list of texts, `builtin:general` or `demo:scenes`.
            replace: Let the name stand for other texts than before.

        Raises:
            BadSource: There is no such file, or no text in it.
            NameTaken: The name stands for other texts.
        """
        from . import adding

        return adding.add_texts(self._engine.folder, name, source, replace=replace)

    def model(self, name: str) -> Model:
        """Give what is known of a model: its source, sizes, modules and digests; `UnknownName` otherwise."""
        return self._engine.folder.names.model(name)

    def remove(self, name: str, kind: str | None = None, *, dry_run: bool = False) -> Standing:
        """Let a name stand for nothing any more; what was computed under it stays.

        It is found again under any name that stands for the same contents, also one that is added later.

        Args:
            name: The name of a model, a set of images or a set of texts.
            kind: "model", "images" or "texts"; needed only where the name stands for several.
            dry_run: Only say what stands behind the name.

        Raises:
            UnknownName: The name stands for nothing; the message has the nearest.
            BadSource: The name stands for several, and `kind` does not say which is meant.
        """
        from . import naming

        return naming.remove(self._engine, name, kind, dry_run=dry_run)

    def rename(self, old: str, new: str, kind: str | None = None) -> None:
        """Let a new name stand for what an old one does; what was filled under it is found under the new one.

        Args:
            old: The name of a model, a set of images or a set of texts.
            new: Letters, digits, "_", "-" and ".".
            kind: "model", "images" or "texts"; needed only where the old name stands for several.

        Raises:
            UnknownName: The old name stands for nothing; the message has the nearest.
            NameTaken: The new name stands for something.
            BadSource: The old name stands for several, and `kind` does not say which is meant.
        """
        from . import naming

        naming.rename(self._engine, old, new, kind)

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

    def show(self, name: str | None = None, *, rows: int = 5) -> list[Shown]:
        """Tell what a name stands for; without one, say in a line each what the store's names stand for.

        A view's name is one, too; a name that stands for several things gives one entry for each. Of images
        and texts the first `rows` are given. Raises `UnknownName` where it stands for nothing.
        """
        from .show import every, show

        names = self._engine.folder.names
        return every(names) if name is None else show(names, name, rows)

    def views(self) -> list[dict[str, Any]]:
        """Describe every view: its kind, what it holds, its inputs and its parameters."""
        from .catalog import views

        return views()

    def status(self) -> list[Status]:
        """Tell what is there of every view and combination of inputs that was ever filled."""
        from .status import status

        return [status(self._engine.folder, view, view.units) for view in self._filled()]

    def lineage(
        self,
        name: str,
        *,
        model: str | None = None,
        images: str | None = None,
        texts: str | None = None,
        where: str | None = None,
        index: Any = None,
        **parameters: Any,
    ) -> Lineage:
        """Tell where the numbers of a view come from, down to weights, images and texts; nothing is computed.

        Args:
            name: A view.
            model: A model's name; needed where the store has several, as are the next two.
            images: An image set's name.
            texts: A text set's name.
            where: An SQL condition on the rows of a table.
            index: An index of an array, as `store.view(…)[index]` takes it.
            parameters: Parameters of the view.

        Returns:
            A tree of views, each with the units that the numbers go back to, what is known of how they were
            made, and whether they are there. `print` shows it; `to_dict()` is for JSON.

        Raises:
            UnknownName: No view, input or parameter of that name.
            BadSource: `where` for an array, or `index` for a table.
            QueryError: The condition is not understood.
        """
        from .lineage import lineage

        lazy = self.view(name, model=model, images=images, texts=texts, **parameters)
        return lineage(self._engine, lazy, where, index)

    def errors(self) -> list[Failure]:
        """List the images, texts and units that could not be read or made."""
        return self._engine.folder.failures.all()

    def verify(self) -> Verified:
        """Read all units and all lists of images and texts; damaged units count as missing from then on.

        Units are their records and their arrays or tables. What names stand for, recipes, failures and the
        rows of `runs` are not read. In a store that is open to read only, damage is told, and nothing else.
        """
        from .verify import verify

        return verify(self._engine.folder)

    def _filled(self) -> Sequence[Any]:
        from ..compute.views import all_views
        from .sql import belongs, instances

        every = [each for cls in all_views().values() for each in instances(self._engine, cls)]
        return [view for view in every if belongs(self._engine, view)]

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
