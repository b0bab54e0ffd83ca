"""What hands results on: catalogs and bundles that need no Belvedere, and units of other stores."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from ..store.errors import BadSource

if TYPE_CHECKING:  # each method imports what it needs: asking for little costs little
    from ..compute.runner import Progress
    from .engine import Engine
    from .lazy_array import LazyArray
    from .publish import Published
    from .pull import Pulled
    from .store import Store


class Sharing(ABC):
    """The part of a store that hands results on."""

    @property
    @abstractmethod
    def _engine(self) -> Engine:
        """What every question shares."""

    def publish(
        self,
        dest: str | os.PathLike[str] | None = None,
        *,
        arrays: Sequence[LazyArray] = (),
        thumbnails: int = 1000,
        overwrite: bool = False,
        progress: bool | Progress = True,
    ) -> Published:
        """Write what is complete as a DuckDB file, or with `dest` as a folder that needs no Belvedere.

        Without `dest`, `catalog.duckdb` in the store is written anew and renamed into its place: each view
        that is a table, sorted, the catalog's own tables, and `completeness`. Tables that are the same as in
        the catalog before are taken over from it, and where all are, nothing is written. A combination of
        inputs that lacks a unit is not in its table, and `completeness` says so. Nothing is computed.

        Args:
            dest: A folder to be made: the catalog, each table as Parquet, arrays as Zarr, thumbnails, and
                a page that says how to open them.
            arrays: Arrays that go into the folder, as `view` gives them; they must be complete.
            thumbnails: So many images of each set have a thumbnail in the folder, those that the tables
                show first; 0 for none.
            overwrite: Take the place of a bundle that is there.
            progress: As in `fill`.

        Raises:
            ReadOnlyStore: Without `dest`, in a store that was opened with mode "r".
            BadDestination: Something is there (without `overwrite`), or the folder cannot be written.
            BadSource: Arrays are given without `dest`, or something else than an array.
            MissingUnits: An array lacks units.
        """
        from .progress import teller

        if dest is None:
            from .publish import publish

            if arrays:
                raise BadSource("arrays go into a folder of their own: publish(DIR, arrays=[…])")
            return publish(self._engine)
        from .bundle import Order, bundle

        asked = Order(Path(dest).expanduser(), tuple(arrays), thumbnails, overwrite)
        return bundle(self._engine, asked, teller(progress))

    def renew(self) -> str | None:
        """Publish `catalog.duckdb` again where it was published before; see `publish`.

        For after a fill, and so it raises nothing: it gives a line that says what went wrong, if anything.
        """
        from .publish import renew

        return renew(self._engine)

    def pull(
        self,
        other: str | os.PathLike[str],
        view: str | None = None,
        *,
        model: str | None = None,
        images: str | None = None,
        texts: str | None = None,
        dry_run: bool = False,
        progress: bool | Progress = True,
        **parameters: Any,
    ) -> Pulled:
        """Take over from another store what was computed there; nothing is computed, and all is verified.

        A unit is taken over by its key, which is the same wherever it is of the same weights, images, texts
        and parameters, whatever they are called. A unit that is here already stays as it is.

        Args:
            other: The folder of the other store, of which nothing is changed.
            view: Only what this store's view of the inputs below lacks. Without it: all units, and the names
                of models, images and texts that stand for nothing here, with pictures that are kept there.
            model: A model's name in this store; this and the next two as in `Store.view`.
            images: An image set's name in this store.
            texts: A text set's name in this store.
            dry_run: Only say what would be taken over; data are not read then.
            progress: As in `fill`.
            parameters: Parameters of the view.

        Raises:
            NotAStore: There is no store in that folder.
            NewerFormat: It was written by a later Belvedere.
            ReadOnlyStore: This store was opened with mode "r".
            BadSource: The other store is this one.
        """
        from .progress import teller
        from .pull import pull, pull_view

        if view is None:
            named = [
                name
                for name, each in {"model": model, "images": images, "texts": texts, **parameters}.items()
                if each is not None
            ]
            if named:
                raise BadSource(f"{named[0]}=… goes with a view; without one, everything is pulled")
            return pull(self._engine, Path(other), teller(progress), dry_run=dry_run)
        lazy = cast("Store", self).view(view, model=model, images=images, texts=texts, **parameters)
        return pull_view(self._engine, Path(other), lazy._view, teller(progress), dry_run=dry_run)
