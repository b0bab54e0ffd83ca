"""What draws what is there: contact sheets, tops, look-alikes, heatmaps and figures."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, SupportsIndex, cast

if TYPE_CHECKING:  # each method imports what it needs: asking for little costs little
    from pathlib import Path

    import pandas as pd

    from ...compute.heads.conventions import Convention
    from ...compute.heads.retrieval import Measure
    from ...compute.running.report import Progress
    from ..store import Store
    from .heatmaps import Heatmaps, Named
    from .sheet import ContactSheet
    from .similar import Similar
    from .top import Top


class Drawing:
    """The part of a store that draws."""

    @property
    def _store(self) -> Store:
        return cast("Store", self)

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

        return contact_sheet(self._store, rows, by=by, caption=caption, title=title, subtitle=subtitle)

    def top(
        self,
        place: str,
        *,
        model: str | None = None,
        images: str | None = None,
        texts: str | None = None,
        direction: str | None = None,
        count: int | None = None,
        heat: bool = False,
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
            heat: Lay over each picture of a head what the head adds from each patch along the description:
                red for more, blue for less. That fills `token_contributions` of the images that are shown.
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
        return top(self._store, place, inputs, direction=direction, count=count, heat=heat, progress=progress)

    def heatmap(
        self,
        images: str | Named | Iterable[str | Named],
        text: str | Sequence[str] | None = None,
        *,
        contrast: str | Sequence[str] | None = None,
        heads: str | Iterable[str | tuple[int, int]] | None = None,
        where: str | None = None,
        model: str | None = None,
        texts: str | None = None,
        convention: Convention = "own",
        progress: bool | Progress = True,
    ) -> Heatmaps:
        """Show where in images heads find what a text says (Gandelsman et al. 2024, sections 3.3 and 5).

        The heat of a patch is what heads add to the image's embedding from it, c[i,l,h,t] summed over the
        heads, times the text's unit-norm embedding. The class token, which lies nowhere, is left out.

        All heads are read from `patch_contributions`, some from `token_contributions`; of the images that are
        shown what is missing is filled, eight at a time.

        Args:
            images: `SET:ID` such as "scenes:12", a pair of a set and an image_id, or several of these.
            text: One text or several, of the user's own. Without one, and with one head, each image is shown
                by those of the head's descriptions that its contribution is most and least along.
            contrast: A text whose map is taken away from each, or several of which the mean map is.
            heads: Only these heads, such as "3.1", "3.*" or "2.0,3.1", or pairs of numbers; all unless given.
            where: Only heads for which this SQL condition holds, on `layer` and `head`, the columns of
                `head_roles` and `head_descriptions` or the texts' `category`, such as "role = 'shape'"; or
                the name of a declared view with the columns layer and head.
            model: A model's name; needed where the store has several whose heads are known.
            texts: A text set's name, for descriptions and roles.
            convention: How the LayerNorm's mean and the biases are shared out; see docs/methods.md.
            progress: As in `fill`.

        Returns:
            A `Heatmap` for each image and text, with `patches` "y x", `pixels` in the size of the picture,
            NaN where the model does not look, and `overlay()`; together: `sheet`, `rows` and `save`.

        Raises:
            BadSource: A text is empty or longer than the model reads; heads are named in two ways; the
                preprocessing is none of which it is known what it shows.
            BadSelection: No such image or head, or `where` holds for no head.
            UnreadablePicture: An image cannot be read.
        """
        from .heatmaps import heatmap

        return heatmap(
            self._store,
            images,
            text,
            contrast=contrast,
            heads=heads,
            where=where,
            model=model,
            texts=texts,
            convention=convention,
            progress=progress,
        )

    def figure(
        self,
        kind: str,
        dest: str | os.PathLike[str],
        *,
        place: str | None = None,
        model: str | None = None,
        images: str | None = None,
        texts: str | None = None,
        overwrite: bool = False,
        **parameters: Any,
    ) -> Path:
        """Draw a figure of what is kept, as PNG or SVG by the file's suffix; what is missing is filled.

        Args:
            kind: `heads`, `head`, `neuron`, `ablation`, `textsets` or `segmentation`.
            dest: A .png or .svg file.
            place: The head, as `LAYER.HEAD`, or the neuron, as `MODULE:NEURON`, of `head` and `neuron`.
            model: A model's name; this and the next two as in `view`.
            images: An image set's name.
            texts: A text set's name; of `ablation` and `segmentation` the classes.
            overwrite: Take the place of a file.
            parameters: Of `ablation`, `textsets` and `segmentation` those of their views, such as
                mode="zero", classes=… and method="lrp"; heads=… of `ablation`, a condition or a list of
                them, says which are drawn (unless given, up to eight that are kept).

        Raises:
            UnknownName: There is no such figure.
            BadSource: Another suffix, a head or neuron is not named, or is where there is none, or parameters
                are given of a figure that has none.
            BadDestination: No file can be written there, or one is there (without `overwrite`).
        """
        from ..figures.draw import figure

        given = {"model": model, "images": images, "texts": texts}
        return figure(self._store, kind, dest, place, given, parameters, overwrite=overwrite)

    def similar(
        self,
        to: SupportsIndex | str,
        *,
        heads: str | None = None,
        model: str | None = None,
        images: str | None = None,
        measure: Measure = "cosine",
        count: int = 12,
        convention: Convention = "own",
        progress: bool | Progress = True,
    ) -> Similar:
        """Look up the images nearest to an image, or to a text, as chosen heads see them.

        An image is seen as the sum of what these heads add to its embedding, a text as its embedding
        (Gandelsman et al. 2024, section 4; `compute/heads/retrieval.py`). Exact: every image is scored. What
        is missing of `chosen_contributions` is filled, from kept factors where these are there.

        Args:
            to: The number of an image of the set that is searched, or any text.
            heads: Which heads: `LAYER.HEAD`, such as "3.1"; an SQL condition on layer, head and the columns
                of `head_roles`, `head_descriptions` and `texts`; or the name of a declared table with the
                columns layer and head. All heads, unless said.
            model: A model's name; this and the next as in `view`.
            images: The name of the image set that is searched.
            measure: "cosine" or "dot".
            count: So many images; fewer where there are fewer.
            convention: How the LayerNorm's mean and the biases are shared out; see docs/methods.md.
            progress: As in `fill`.

        Returns:
            The `rows`, nearest first, of equal ones the first, and the `sheet`. The image itself is not among
            them; images that could not be read are left out.

        Raises:
            BadSelection: The set has no such image, it could not be read, the model has no such head, or the
                condition chooses none.
            BadSource: The text is empty or longer than the model reads, or `count` is not positive.
            QueryError: The condition is not understood.
            UnitFailed: Something that is missing cannot be computed.
        """
        from ..known import Inputs
        from .similar import similar

        return similar(
            self._store,
            to,
            Inputs(model, images),
            heads,
            measure=measure,
            count=count,
            convention=convention,
            progress=progress,
        )
