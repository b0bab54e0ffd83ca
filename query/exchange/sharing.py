"""What hands results on: catalogs and bundles that need no Belvedere, and units of other stores."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from ...store.errors import BadSource

if TYPE_CHECKING:  # each method imports what it needs: asking for little costs little
    from ...compute.language.allowance import Allowance
    from ...compute.running.report import Progress
    from ..engine import Engine
    from ..lazy.array import LazyArray
    from ..store import Store
    from .exemplars import Exemplars, Masks
    from .publish import Published
    from .pull import Pulled


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
        from ..progress import teller

        if dest is None:
            from .publish import publish

            if arrays:
                raise BadSource("arrays go into a folder of their own: publish(DIR, arrays=[…])")
            return publish(self._engine)
        from .bundle import Order, bundle

        asked = Order(Path(dest).expanduser(), tuple(arrays), thumbnails, overwrite)
        return bundle(self._engine, asked, teller(progress))

    def export_exemplars(
        self,
        dest: str | os.PathLike[str],
        *,
        module: str,
        model: str | None = None,
        images: str | None = None,
        neurons: Sequence[int] | None = None,
        k: int = 15,
        side: int = 224,
        masks: Masks | None = None,
        overwrite: bool = False,
        device: str | None = None,
        batch_size: int | None = None,
        workers: int | None = None,
        retry_failed: bool = False,
        allowance: Allowance | None = None,
        compiled: bool = False,
        progress: bool | Progress = True,
        **parameters: Any,
    ) -> Exemplars:
        """Write the images at the top of each neuron of a module in the layout that MILAN and MAIA read.

        The folder `dest/MODULE` has `images.npy` (uint8, "neuron rank colour y x"), `masks.npy` (uint8 of 0
        and 1, "neuron rank 1 y x"), `ids.csv` and `activations.csv` (a line for each neuron, the image_id and
        the activation at each rank) and `units.npy` (int64, the neurons). What is missing of `top_images` is
        filled first. It is written neuron by neuron, and renamed at its end.

        Args:
            dest: A folder; it is made where there is none.
            module: The module's name.
            model: A model's name; this and the next as in `view`.
            images: An image set's name.
            neurons: Which neurons, in this order; all unless given.
            k: Images of each neuron, at most 100; fewer where the set has fewer.
            side: Pixels of a picture's side: the square that the model's preprocessing lets through.
            masks: Asked for a neuron, an image_id and the side, it gives where the neuron is active, "y x"
                over the same square; without it, every mask is all ones.
            overwrite: Take the place of exemplars that are there.
            device: This and the next four as in `fill`.
            batch_size: Images or texts in one forward pass; None takes as many as a GPU has room for.
            workers: Threads that decode images.
            retry_failed: Try units again, once, that failed before.
            allowance: What may be spent on language models; no limit unless it is given.
            compiled: Whether torch compiles parts of towers (`Settings.compiled`).
            progress: Show a progress bar where stderr is a terminal; or tell this one.
            parameters: Other parameters of `top_images`, such as `pool`.

        Raises:
            BadDestination: Something is there (without `overwrite`), or it cannot be written.
            BadSelection: The module has no such neuron.
            BadSource: A side below 1, or a mask of another shape.
            UnitFailed: A unit of `top_images` could not be made.
            PictureChanged: A picture is gone, or is not the one that was added.
        """
        from ...compute.running.report import Settings
        from ..progress import teller
        from .exemplars import Order, export_exemplars

        lazy = cast("Store", self).view(
            "top_images", model=model, images=images, module=module, k=k, **parameters
        )
        chosen = None if neurons is None else tuple(neurons)
        order = Order(Path(dest).expanduser(), chosen, side, masks, overwrite)
        return export_exemplars(
            lazy,
            order,
            Settings(
                device=device,
                batch_size=batch_size,
                workers=workers,
                retry_failed=retry_failed,
                allowance=allowance,
                compiled=compiled,
            ),
            teller(progress),
        )

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
            view: Only what this store's view of the inputs below lacks, with the captions, replies and
                paintings that its rows are from. Without it: all units, the names of models, images and texts
                that stand for nothing here, with pictures that are kept there, and what was imported from
                files of labels.
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
        from ..progress import teller
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
