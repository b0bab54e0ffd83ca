"""What shows what is there: names, images, what stands at the top, and where numbers come from."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, cast

from ..store.errors import UnknownName

if TYPE_CHECKING:  # each method imports what it needs: asking for little costs little
    import pandas as pd
    from PIL.Image import Image

    from ..compute.allowance import Allowance
    from ..compute.conventions import Convention
    from ..compute.retrieval import Measure
    from ..compute.runner import Progress
    from .engine import Engine
    from .heatmaps import Heatmaps, Named
    from .lineage import Lineage
    from .sheet import ContactSheet
    from .show import Shown
    from .similar import Similar
    from .store import Store
    from .top import Top


class Looking(ABC):
    """The part of a store that shows."""

    @property
    @abstractmethod
    def _engine(self) -> Engine:
        """What every question shares."""

    @property
    def _store(self) -> Store:
        return cast("Store", self)

    def show(self, name: str | None = None, *, rows: int = 5) -> list[Shown]:
        """Tell what a name stands for; without one, say in a line each what the store's names stand for.

        A view's name is one, too; a name that stands for several things gives one entry for each. Of images
        and texts the first `rows` are given. Raises `UnknownName` where it stands for nothing.
        """
        from .show import every, show

        engine = self._engine
        return every(engine.folder.names) if name is None else show(engine, name, rows)

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

    def synthetic_image(self, picture: str) -> Image:
        """Open a painted picture by the digest that stands in the table `synthetic_images`.

        Raises:
            UnknownName: No picture of that digest is kept, or its bytes are not those that were painted.
        """
        from io import BytesIO

        from PIL import Image as Pictures

        data = self._engine.folder.memos.picture(picture)
        if data is None:
            raise UnknownName("painted picture", picture, (), "the table synthetic_images lists them")
        return Pictures.open(BytesIO(data)).convert("RGB")

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

    def segment(
        self,
        methods: str | Sequence[str] = (),
        *,
        model: str | None = None,
        images: str | None = None,
        texts: str | None = None,
        device: str | None = None,
        batch_size: int = 32,
        workers: int | None = None,
        retry_failed: bool = False,
        allowance: Allowance | None = None,
        progress: bool | Progress = True,
        **parameters: Any,
    ) -> pd.DataFrame:
        """Segment images into thing and background without training, and say how well that goes.

        What is missing of `segmentation_scores` is filled: Gandelsman et al. (2024), section 5.3, with their
        measures, and six methods to compare with.

        Args:
            methods: `decomposition`, `lrp`, `partial_lrp`, `rollout`, `raw_attention`, `gradcam`, `chefer`;
                one, several, or all unless given.
            model: A model's name; this and the next two as in `view`.
            images: A set of images that have masks: the demo's scenes, or added with masks=….
            texts: A set of texts, which are the classes.
            device: Where to run; this and the next four as in `fill`.
            batch_size: Images or texts in one forward pass.
            workers: Threads that decode images.
            retry_failed: Try units again that failed before.
            allowance: Nothing is spent here.
            progress: As in `fill`.
            parameters: Parameters of the view, such as target="label".

        Returns:
            A row for each method: model, image_set, text_set, method, pixel_accuracy, mean_iou,
            mean_average_precision (from 0 to 1) and images, over how many.

        Raises:
            UnknownName: No method of that name.
            NotAnnotated: The images have no masks.
            BadSource: There is one class, or one that is longer than the model reads.
            UnitFailed: Something that is missing cannot be computed.
        """
        from ..compute.runner import Settings
        from .segmenting import segment

        asked = [methods] if isinstance(methods, str) else list(methods)
        inputs = {"model": model, "images": images, "texts": texts}
        settings = Settings(device, batch_size, workers, retry_failed, allowance)
        return segment(self._store, asked, inputs, settings, progress, parameters)

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

    def similar(
        self,
        to: int | str,
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
        (Gandelsman et al. 2024, section 4; `compute/retrieval.py`). Exact: every image is scored. What is
        missing of `chosen_contributions` is filled, from kept factors where these are there.

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
            BadSelection: The set has no such image, it could not be read, or the model has no such head.
            BadSource: The text is empty or longer than the model reads, or `count` is not positive.
            QueryError: The condition is not understood.
            UnitFailed: The condition chooses no head, or something that is missing cannot be computed.
        """
        from .resolve import Inputs
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

        lazy = self._store.view(name, model=model, images=images, texts=texts, **parameters)
        return lineage(self._engine, lazy, where, index)
