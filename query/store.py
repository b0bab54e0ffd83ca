"""The public store: names go in, views and answers come out."""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, Self

from ..store import marker

if TYPE_CHECKING:  # each method imports what it needs: asking for little costs little
    from ..compute.families.family import ModelSource, Transform
    from ..compute.image_sources import ImageSource, Tick
    from ..compute.runner import Progress
    from ..compute.text_sources import TextSource
    from ..store.failures import Failure
    from ..store.sets import Model
    from .adding import Added
    from .answer import Answer
    from .duck import Params
    from .engine import Engine
    from .importing import Contributions, Imported, Pooled
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
        source: ImageSource,
        *,
        labels: Literal["folder"] | None = None,
        replace: bool = False,
        tick: Tick = lambda done, total: None,
    ) -> Added:
        """Let a name stand for an ordered set of images; their bytes are read once, for their digests.

        Adding a name again with the same source, or with a list that has all of the old, appends what is
        new at the end; files that changed keep their place and make what was computed from them stale.

        Args:
            name: Letters, digits, "_", "-" and ".".
            source: A folder, a glob, a list of files, a .csv or .parquet table with path[,label][,grp], or
                `demo:scenes`.
            labels: "folder" takes the class of each image from the first folder below the source.
            replace: Let the name stand for other images than before.
            tick: Told how many of how many images have been read.

        Raises:
            BadSource: There is nothing there, or no picture in it.
            NameTaken: The name stands for other images.
        """
        from . import adding

        folder = self._engine.folder
        return adding.add_images(folder, name, source, labels=labels, replace=replace, tick=tick)

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

    def import_arrays(
        self,
        name: str,
        path: str | os.PathLike[str],
        *,
        images: str,
        module: str | None = None,
        pool: Pooled | None = None,
        contributions: Contributions | None = None,
        key: str | None = None,
        note: str | None = None,
        narrow: bool = False,
        absent_nan: bool = False,
        replace: bool = False,
        progress: bool | Progress = True,
    ) -> Imported:
        """Take in an array that others have computed, under the name of a model that cannot run.

        Its rows are the images of a registered set, in their order. It is kept in float32 and never computed:
        activations as the view `neuron_activations`, contributions as `imported_contributions`.

        Args:
            name: Letters, digits, "_", "-" and "."; a name for each file.
            path: A .npy file, or a .pt, .pth or .safetensors file with a tensor. No code in it is run.
            images: The name of the set of images.
            module: For activations, "image neuron": the name of the module that gave them.
            pool: How these were pooled over positions; "mean" unless said.
            contributions: For those of the code of Gandelsman et al. (2024): "heads" (its attn file, "image
                layer head joint"), "mlps" (mlp, "image term joint") or "class-token" (cls_attn, "image layer
                joint").
            key: Which tensor of several in the file.
            note: Where it comes from, in your words; kept beside it, and no part of its identity.
            narrow: Round float64 that float32 does not hold exactly.
            absent_nan: Take rows of nothing but NaN as images that could not be read.
            replace: Let the name stand for something else than before.
            progress: Show a progress bar where stderr is a terminal; or tell this one.

        Raises:
            BadSource: The file cannot be read, does not fit, or has numbers that are not finite.
            UnknownName: No image set, or no tensor in the file, of that name.
            NameTaken: The name stands for another file, or for something else that was said of it.
        """
        from .importing import import_arrays
        from .lazy import told

        return import_arrays(
            self._engine,
            name,
            path,
            images=images,
            module=module,
            pool=pool,
            contributions=contributions,
            key=key,
            note=note,
            narrow=narrow,
            absent_nan=absent_nan,
            replace=replace,
            progress=told(progress),
        )

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

    def __repr__(self) -> str:
        names = self._engine.folder.names
        counts = f"{len(names.models())} models, {len(names.image_sets())} image sets"
        return f"<Store {self.path.name}: {counts}, {len(names.text_sets())} text sets>"
