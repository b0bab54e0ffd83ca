"""What shows what is there: names, images, what stands at the top, and where numbers come from."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, cast

from ...store.errors import UnknownName

if TYPE_CHECKING:  # each method imports what it needs: asking for little costs little
    import pandas as pd
    from PIL.Image import Image

    from ...compute.heads.conventions import Convention
    from ...compute.language.allowance import Allowance
    from ...compute.running.report import Progress
    from ..engine import Engine
    from ..store import Store
    from .lineage import Lineage
    from .show import Shown


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

    def segment(
        self,
        methods: str | Sequence[str] = (),
        *,
        model: str | None = None,
        images: str | None = None,
        texts: str | None = None,
        device: str | None = None,
        batch_size: int | None = None,
        workers: int | None = None,
        retry_failed: bool = False,
        allowance: Allowance | None = None,
        compiled: bool = False,
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
            batch_size: Images or texts in one forward pass; None takes as many as a GPU has room for.
            workers: Threads that decode images.
            retry_failed: Try units again that failed before.
            allowance: Nothing is spent here.
            compiled: Whether torch compiles parts of towers (`Settings.compiled`).
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
        from ...compute.running.report import Settings
        from .segmenting import segment

        asked = [methods] if isinstance(methods, str) else list(methods)
        inputs = {"model": model, "images": images, "texts": texts}
        settings = Settings(
            device=device,
            batch_size=batch_size,
            workers=workers,
            retry_failed=retry_failed,
            allowance=allowance,
            compiled=compiled,
        )
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
        from ..known import Inputs
        from .describing import heads_for

        inputs = Inputs(model, images, texts)
        return heads_for(self._engine, text, inputs, convention=convention, progress=progress)

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
