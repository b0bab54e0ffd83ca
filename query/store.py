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
    import pandas as pd
    from PIL.Image import Image

    from ..compute.conventions import Convention
    from ..compute.image_sources import ImageSource, Tick
    from ..compute.runner import Progress
    from ..compute.text_sources import TextSource
    from ..store.failures import Failure
    from ..store.sets import Model
    from .adding import Added
    from .answer import Answer
    from .duck import Params
    from .engine import Engine
    from .sheet import ContactSheet
    from .status import Status
    from .top import Top
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
        source: str,
        *,
        checkpoint: str | os.PathLike[str] | None = None,
        precision: Literal["float32", "float16", "bfloat16"] = "float32",
        replace: bool = False,
    ) -> Model:
        """Let a name stand for a model.

        Args:
            name: Letters, digits, "_", "-" and ".".
            source: `open_clip:ARCHITECTURE/TAG`, `open_clip:ARCHITECTURE` with a checkpoint,
                `open_clip:local-dir:FOLDER`, or `demo:clip`.
            checkpoint: A file with the model's weights, in any form that open_clip reads.
            precision: The data type to compute in; part of the identity of what is computed.
            replace: Let the name stand for something else than before; what was computed stays.

        Returns:
            The model: its sizes, and the digests of its weights and preprocessing.

        Raises:
            UnknownName: There is no such architecture, tag or kind of source.
            UnsupportedTower: Its vision tower cannot be decomposed exactly; nothing was loaded.
            BadSource: Its weights cannot be read or do not fit.
            NameTaken: The name stands for another model.
        """
        from . import adding

        path = None if checkpoint is None else os.fspath(checkpoint)
        folder = self._engine.folder
        return adding.add_model(folder, name, source, checkpoint=path, precision=precision, replace=replace)

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

    def image(self, image_set: str, image_id: int) -> Image:
        """Read an image as RGB, checked against the digest that it was added with.

        Raises:
            UnknownName: No image set of that name.
            BadSelection: The set has no image of that number.
            UnreadablePicture: The file is no picture, or not a whole one, or was gone when it was added.
            PictureChanged: The file is gone, or has other bytes than when it was added.
        """
        from .thumbnails import image

        return image(self._engine.folder, image_set, image_id)

    def contact_sheet(
        self,
        rows: pd.DataFrame,
        *,
        by: Sequence[str] = (),
        caption: Sequence[str] = (),
        title: str = "",
        subtitle: str = "",
    ) -> ContactSheet:
        """Show the images of rows, such as `sql(…).df()` gives; `save` writes the sheet as a PNG file.

        Args:
            rows: At most 600, with image_set, image_id and the columns below.
            by: Columns that have one value in each row of the sheet, in the order of their first rows;
                without any, all images are one row.
            caption: Columns whose values stand below each image, one a line.
            title: What all of it is about.
            subtitle: What else is known of it.

        Raises:
            UnknownName: The rows lack a column.
            BadSource: There are no rows, or more than a sheet has.
            BadSelection: An image set has no image of some number.
        """
        from .contact import contact_sheet

        return contact_sheet(self, rows, by=by, caption=caption, title=title, subtitle=subtitle)

    def top(
        self,
        place: str,
        *,
        model: str | None = None,
        images: str | None = None,
        texts: str | None = None,
        direction: str | None = None,
        count: int | None = None,
        progress: bool | Progress = True,
    ) -> Top:
        """Look up the images at the top of a neuron, or at both ends of what a head writes.

        What is missing of `top_images` or `head_top_images` for this neuron or head is filled.

        Args:
            place: A head as `LAYER.HEAD`, such as "3.1"; a neuron as `MODULE:NEURON`, such as "layer4:17".
            model: A model's name; this and the next two as in `view`.
            images: An image set's name.
            texts: A text set's name, for the descriptions of a head.
            direction: Only this direction of a head: one of its descriptions, or `component 0` and so on;
                without it, its first four descriptions and first two components.
            count: Images of a neuron, 12 unless given, or at each end of a direction, 6 unless given.
            progress: As in `fill`.

        Returns:
            The `rows` in the order in which they are shown, with label, grp and path, and the `sheet`.

        Raises:
            BadSource: `place` is neither a head nor a neuron, or `count` is not positive.
            BadSelection: The model has no such head or neuron.
            UnknownName: No direction of that name; the message has the nearest.
        """
        from .top import top

        inputs = {"model": model, "images": images, "texts": texts}
        return top(self, place, inputs, direction=direction, count=count, progress=progress)

    def heads_for(
        self,
        text: str | Sequence[str],
        *,
        model: str | None = None,
        images: str | None = None,
        texts: str | None = None,
        convention: Convention = "own",
        progress: bool | Progress = True,
    ) -> pd.DataFrame:
        """Rank the heads by how much of what they write is about a text, from their moments.

        With c what a head writes for each image, t the text's unit-norm embedding and m the mean of those of
        a text set, `score` is u·Cov(c)·u / trace Cov(c) for u = (t − m)/|t − m|: the share of the head's
        variance along what tells the text from the others. (Gandelsman et al. 2024, section 4, has heads of
        a property; why it is m that is taken off stands in docs/looking.md.) `share`, `variance` and `mean`
        are those of <c, t> itself, over the images that could be read.

        Moments and embeddings that are missing are computed and kept, also those of the text.

        Args:
            text: One text or several, of the user's own.
            model: A model's name; this and the next two as in `view`.
            images: An image set's name.
            texts: The text set to tell the text from. Where none is registered, u is t.
            convention: How the LayerNorm's mean and the biases are shared out; see docs/methods.md.
            progress: As in `fill`.

        Returns:
            model, image_set, text_set, text, layer, head, score, share, variance, mean and role, the best
            head of each text first. `score` and `share` are NaN where a head writes the same for all images;
            `role` is that of `head_roles` where it is kept.

        Raises:
            BadSource: A text is empty, or longer than the model reads.
            UnitFailed: Something that is missing cannot be computed.
        """
        from .describing import heads_for
        from .resolve import Inputs

        inputs = Inputs(model, images, texts)
        return heads_for(self._engine, text, inputs, convention=convention, progress=progress)

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
