"""What lets names stand for models, images and texts, and takes names back."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal, cast

from ...store.errors import BadSource

if TYPE_CHECKING:  # each method imports what it needs: asking for little costs little
    from ...compute.images.found import Tick
    from ...compute.images.image_sources import ImageSource
    from ...compute.models.family import ModelSource, Transform
    from ...compute.running.report import Progress
    from ...compute.text_sources import TextSource
    from ...store.sets import Model
    from ..engine import Engine
    from ..exchange.importing import Contributions, Imported, Pooled
    from ..exchange.importing_labels import ImportedLabels
    from ..store import Store
    from .adding import Added
    from .naming import Standing


class Registering(ABC):
    """The part of a store that is about names."""

    @property
    @abstractmethod
    def _engine(self) -> Engine:
        """What every question shares."""

    def add_model(
        self,
        name: str,
        source: ModelSource,
        *,
        checkpoint: str | os.PathLike[str] | None = None,
        precision: Literal["float32", "float16", "bfloat16"] = "float32",
        transform: Transform | None = None,
        transform_id: str | None = None,
        tokenizer: Any = None,
        replace: bool = False,
    ) -> Model:
        """Let a name stand for a model.

        Args:
            name: Letters, digits, "_", "-" and ".".
            source: `open_clip:ARCHITECTURE/TAG`, `open_clip:ARCHITECTURE` with a checkpoint,
                `open_clip:local-dir:FOLDER`, `timm:NAME`, `timm:local-dir:FOLDER`,
                `torchvision:NAME/WEIGHTS`, `hf:REPOSITORY`, `hf:FOLDER`, `demo:clip`, `demo:classifier`; or
                a torch module of your own in evaluation mode. Of that a copy is taken. It is not kept in the
                store, which asks for it again when it is opened anew and something has to be computed.
            checkpoint: A file with the model's weights, in any form that open_clip reads, or for timm and
                torchvision a state dictionary that torch or safetensors wrote.
            precision: The data type to compute in; part of the identity of what is computed.
            transform: For a module of your own: from an RGB picture to a tensor "channel y x".
            transform_id: Your word for that preprocessing. It is part of the identity of what is computed,
                so change it whenever the preprocessing changes.
            tokenizer: For a module of your own with `encode_text`, as open_clip's CLIPs have it, or
                `get_text_features`, as those of transformers do: the tokenizer of either library. Texts are
                embedded by it; its vocabulary is part of the identity of what is computed of them.
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
            tokenizer=tokenizer,
            replace=replace,
        )

    def add_images(
        self,
        name: str,
        source: ImageSource | None = None,
        *,
        sql: str | None = None,
        labels: Literal["folder"] | None = None,
        masks: str | os.PathLike[str] | None = None,
        concepts: str | os.PathLike[str] | Mapping[int, str] | None = None,
        replace: bool = False,
        tick: Tick = lambda done, total: None,
    ) -> Added:
        """Let a name stand for an ordered set of images; their bytes are read once, for their digests.

        Adding a name again with the same source, or with a list that has all of the old, appends what is
        new at the end; files that changed keep their place and make what was computed from them stale.

        Args:
            name: Letters, digits, "_", "-" and ".".
            source: A folder, a glob, a list of files, a .csv or .parquet table with
                path[,label][,grp][,mask], the metadata.csv of Waterbirds (`#val` for a split; label is the
                bird, grp the place), a Hugging Face data set folder (`FOLDER#SPLIT` where it has several
                splits; written by `save_to_disk` or shards of Parquet), `demo:scenes` and `demo:crossed`
                (`demo:scenes[:N]` for the first N), ImageNet-Segmentation's `gtsegs_ijcv.mat`, or PIL images
                or pairs of an image and a label. Of the last two the store keeps a copy as PNG.
            sql: Instead of a source: a statement over images that are in the store, such as
                `SELECT image_set, image_id FROM images WHERE label = 'dog'`. No picture is read.
            labels: "folder" takes the class of each image from the first folder below the source.
            masks: A folder with a mask for each image, at the image's path below the source or by its file
                name, such as `masks/cat/3.png` of `photos/cat/3.jpg`; or a .csv or .parquet table with
                path,mask. A mask has the size of its image, and is black where the background is. Masks
                that are not given anew stay.
            concepts: What each number in these masks stands for, as in `{1: "cat", 2: "grass"}`, or a .csv
                or .parquet table with value,concept. Numbers that are not in it stand for nothing. Without
                it a mask shows where the thing is that the image's label names.
            replace: Let the name stand for other images than before.
            tick: Told how many of how many images have been read.

        Raises:
            BadSource: There is nothing there, or no picture in it, or one that is named twice; or no mask,
                or one of another size than its image; or concepts that are no numbers and names.
            NameTaken: The name stands for other images, or for one that the statement leaves out now.
            MissingUnits: The statement's answer would be incomplete.
            MissingExtra: The source needs a library that is not installed.
        """
        from . import adding, subset

        folder = self._engine.folder
        given: ImageSource | subset.Subset
        if source is not None and sql is None:
            given = source
        elif sql is not None and all(each is None for each in (source, labels, masks, concepts)):
            store = cast("Store", self)
            given = subset.choose(folder.names, lambda: store.sql(sql, require_complete=True), sql)
        else:
            raise BadSource(
                "images come from a source, perhaps with labels, masks, concepts; or from sql: give one"
            )
        with folder.presence.at_work("add images"):  # pictures that it keeps have no name for a while
            place = None if masks is None else os.fspath(masks)
            named = os.fspath(concepts) if isinstance(concepts, os.PathLike) else concepts
            return adding.add_images(
                folder, name, given, labels=labels, masks=place, concepts=named, replace=replace, tick=tick
            )

    def add_texts(
        self,
        name: str,
        source: TextSource,
        *,
        templates: TextSource | None = None,
        replace: bool = False,
    ) -> Added:
        """Let a name stand for an ordered set of texts.

        The set can stand for classes: those are its categories, or its texts where these have none. With
        `templates` each text is written into each template, and `class_embeddings` has the mean of them.

        Args:
            name: Letters, digits, "_", "-" and ".".
            source: A file of lines (blank ones are left out), a .csv or .parquet table with
                text[,category], a list of texts, `builtin:general`, `builtin:words`, `demo:scenes`,
                `demo:classes` or `demo:crossed`.
            templates: A file of lines, a list, or `builtin:templates`: sentences with `{}` for the text.
            replace: Let the name stand for other texts than before.

        Raises:
            BadSource: There is no such file, or no text in it.
            NameTaken: The name stands for other texts.
        """
        from . import adding

        return adding.add_texts(self._engine.folder, name, source, templates, replace=replace)

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
        from ..exchange.importing import import_arrays
        from ..progress import teller

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
            progress=teller(progress),
        )

    def import_labels(
        self,
        file: str | os.PathLike[str],
        *,
        model: str,
        method: str | None = None,
        module: str | Mapping[str, str] | None = None,
        format: str | None = None,  # noqa: A002 - what the command calls it, too
        base: Literal[0, 1] | None = None,
        images: str | None = None,
        note: str | None = None,
        preview: bool = False,
        replace: bool = False,
    ) -> ImportedLabels:
        """Take in labels of neurons that others made, or what people or a measure said of such labels.

        They are seen in SQL as `imported_labels`, `imported_scores` and `human_ratings`, and their imports as
        `imports` and `import_rejects`. The same file, said to be of the same, is taken in once. Nothing but
        `remove_import` takes it away again.

        Args:
            file: A CSV file in UTF-8, with a header.
            model: The name of the model whose neurons they are of.
            method: How the labels were made, in your words; ratings name it themselves.
            module: The module that the units are of. Of a file with a column of layers: only that layer, or a
                mapping of its layers to modules; without it, its layers have to be names of modules.
            format: dnd, clip-dissect, milan, milannotations, netdissect, invert, falcon, cosy, human-ratings
                or ratings; needed where the header does not tell.
            base: The number of the first unit in the file: 1 for netdissect, 0 for all others unless said.
            images: The name of the set of images by which the labels were made; kept beside them.
            note: Where it comes from, in your words; kept beside it, and no part of its identity.
            preview: Write nothing; only say what would be taken in.
            replace: See these instead of other imports that say something of the same neurons.

        Returns:
            How many rows were read, the first five, and the rows that are not taken in, each with the reason.

        Raises:
            BadSource: The file cannot be read, its format, layers or first unit have to be said, or most of
                its units are beyond the module's neurons.
            UnknownName: No model, module, image set, layer of the file or format of that name.
            NameTaken: Another import says something of the same neurons by this method.
        """
        from ..exchange.importing_labels import import_labels

        return import_labels(
            self._engine.folder,
            file,
            model=model,
            method=method,
            module=module,
            form=format,
            base=base,
            images=images,
            note=note,
            preview=preview,
            replace=replace,
        )

    def remove_import(self, import_id: str, *, dry_run: bool = False) -> Mapping[str, Any]:
        """Take away what was imported from one file of labels; what it had replaced is seen again.

        Args:
            import_id: As in the table `imports`.
            dry_run: Only say what it is.

        Returns:
            What is known of it, in plain facts; nothing where its record is damaged.

        Raises:
            UnknownName: No import of that key.
        """
        from ..exchange.importing_labels import remove_import

        return remove_import(self._engine.folder, import_id, dry_run=dry_run).facts

    def model(self, name: str) -> Model:
        """Give what is known of a model: its source, sizes, modules and digests; `UnknownName` otherwise."""
        return self._engine.folder.names.model(name)

    def remove(self, name: str, kind: str | None = None, *, dry_run: bool = False) -> Standing:
        """Let a name stand for nothing any more; what was computed under it stays.

        It is found again under any name that stands for the same contents, also one that is added later.

        Args:
            name: The name of a model, a set of images or a set of texts.
            kind: "model", "images", "texts" or "captioner", …; needed only where the name stands for several.
            dry_run: Only say what stands behind the name.

        Raises:
            UnknownName: The name stands for nothing; the message has the nearest.
            BadSource: The name stands for several, and `kind` does not say which is meant.
        """
        from . import naming

        return naming.remove(self._engine, name, kind, dry_run=dry_run)

    def rename(self, old: str, new: str, kind: str | None = None) -> None:
        """Let a new name stand for what an old one does; what was filled under it is found under the new one.

        Declared views of the old name are of the new one; the statements of others are as they were written.

        Args:
            old: The name of a model, a set of images or a set of texts.
            new: Letters, digits, "_", "-" and ".".
            kind: "model", "images", "texts" or "captioner", …; needed only where the old name stands for
                several.

        Raises:
            UnknownName: The old name stands for nothing; the message has the nearest.
            NameTaken: The new name stands for something.
            BadSource: The old name stands for several, and `kind` does not say which is meant.
        """
        from . import naming

        naming.rename(self._engine, old, new, kind)
