"""The view of which patches of each image make it like the class that it is of, by several methods."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, Literal, get_args

import numpy as np

from ...store import digest
from ...store.errors import BadSource, NotAnnotated, UnsupportedTower
from ...store.grid import Grid
from ...store.sets import ImageSet
from ...store.views import Array, ArrayView, Axis, Coord, Input, Member, Param, Parts, Unit
from ..heads.conventions import Convention
from ..kinds import Assisted, Made, refuse_unless_plain
from ..work import Known, Work, exactly
from .class_embeddings import ClassEmbeddings
from .patch_contributions import PatchContributions

if TYPE_CHECKING:
    from ..running.aids import Aids

Method = Literal["decomposition", "lrp", "partial_lrp", "rollout", "raw_attention", "gradcam", "chefer"]
"""The contributions of all heads (Gandelsman et al. 2024), and six methods to compare with."""
METHODS: tuple[Method, ...] = get_args(Method)
BLOCK = 64
"""Images of one unit."""
AT_ONCE = 8
"""Images of which all layers are looked at together; their attention is kept meanwhile."""


@dataclass(frozen=True)
class RelevanceMaps(Assisted, ArrayView):
    """Which patches of each image make it like its class: a map for zero-shot segmentation.

    Classes are those of `class_embeddings`, and an image's class is the one that its embedding is most like
    (with target="label" the one that its label names). By `decomposition` (Gandelsman et al.
    2024, section 5.3) the heat of a patch is what all heads together add from it along the class's text, less
    the mean over all classes. The other methods are files of `compute/attribution/`; they explain the
    similarity with the class's text, and run the images through the model. An image that cannot be read, or
    has no class, is absent. The classes are beside it: `coords["class"]`.
    """

    patches: Input[PatchContributions]
    classes: Input[ClassEmbeddings]
    method: Param[Method] = "decomposition"
    """How patches are found."""
    target: Param[Literal["predicted", "label"]] = "predicted"
    """Which class an image is of: the one that the model says, or that of its label."""
    convention: Param[Convention] = "own"
    """How `decomposition` shares ln_post's mean and the biases out."""
    axis: ClassVar[str] = "image"
    together: ClassVar[int] = 1

    @classmethod
    def choices(cls) -> Mapping[str, Sequence[str]]:
        """Give the methods."""
        return {"method": METHODS}

    def __post_init__(self) -> None:
        """Refuse labels of which none is a class, `NotAnnotated`, and a tower unknown: `UnsupportedTower`.

        Likewise `lrp` in half precision: its shares divide by sums that all but cancel, so that another
        rounding gives another map.
        """
        model = self.patches.model
        if self.method != "decomposition":
            refuse_unless_plain(model, "relevance maps by other methods")
        if self.method == "lrp" and model.precision != "float32":
            raise UnsupportedTower(
                model.name,
                f"in {model.precision} lrp gives other maps than in float32, as it divides by sums that all "
                "but cancel: add the model in that, or name the others (methods=…, --method)",
                wanted="maps by lrp",
            )
        if self.target == "label" and not any(each is not None for each in self._labelled):
            texts = self.classes.embeddings.texts.name
            hint = f"with target='label' a label is a category of {texts!r}, or a text that has none"
            raise NotAnnotated(self._images.name, "labels that are classes", hint)

    @cached_property
    def recipe(self) -> dict[str, Any]:
        """All that identifies it: how patches are kept only where they are what it is made from."""
        found = super().recipe
        if self.method == "decomposition":
            return found
        parameters = {name: each for name, each in found["parameters"].items() if name != "convention"}
        inputs = {**found["inputs"], "patches": self.patches.model.identity("image")}
        return {**found, "parameters": parameters, "inputs": inputs}

    @property
    def _images(self) -> ImageSet:
        return self.patches.images

    @cached_property
    def names_of_classes(self) -> tuple[str, ...]:
        """The names of the classes, in their order."""
        return tuple(self.classes.classes)

    @cached_property
    def _labelled(self) -> list[int | None]:
        """The class of each image by its label; None where that is no class."""
        known: dict[str | None, int] = {name: place for place, name in enumerate(self.names_of_classes)}
        return [known.get(label) for label in self._images.entries["label"].to_pylist()]

    @property
    def grid(self) -> Grid:
        """Blocks of 64 images."""
        return Grid(len(self._images), BLOCK)

    def constant(self) -> Mapping[str, str]:
        """Name the method."""
        return {"method": self.method}

    def needs(self, index: int) -> Sequence[Unit]:
        """List the classes, and by `decomposition` the patches of the block with what they are scaled by."""
        if self.method != "decomposition":
            return self.classes.units
        places = self.patches.grid.touched(range(*self.grid.span(index)))
        patches = (self.patches.units[place] for place in places)
        return (*patches, *self.patches.maps.units, *self.classes.units)

    def contents(self, start: int, stop: int) -> str:
        """Give the digest of the images, of the classes, and of the labels where they say the class."""
        labels = (str(each) for each in self._labelled[start:stop]) if self.target == "label" else ()
        classes = (unit.key for unit in self.classes.units)
        return digest.of_sequence([self._images.contents(start, stop), *classes, *labels])

    @property
    def dims(self) -> tuple[str, ...]:
        """Image, y, x."""
        return ("image", "y", "x")

    @property
    def shape(self) -> tuple[int, ...]:
        """The lengths of these axes, in patches."""
        return self.patches.shape[:3]

    def coords(self) -> Mapping[str, Coord]:
        """The place of each image's class among the classes, int32 "image"; -1 where it has none."""
        return {"class": lambda parts: parts.array(self, "class")}

    def members(self) -> tuple[Member, ...]:
        """The maps and the classes."""
        images, rows, columns = self.shape
        return (
            Member("map", self.dims, self.shape, "float32", (BLOCK, rows, columns)),
            Member("class", ("image",), (images,), "int32", (BLOCK,)),
        )

    def assist(self, units: Sequence[Unit], parts: Parts, aids: Aids) -> Mapping[str, Made]:
        """Make the maps of some blocks of images."""
        words = parts.array(self.classes, "embedding").astype(np.float64)
        if len(words) < 2:
            texts = self.classes.embeddings.texts.name
            raise BadSource(f"{texts!r} has one class, and a class is told from others: give several")
        made = {}
        for unit in units:
            maps = np.full((unit.stop - unit.start, *self.shape[1:]), np.nan, np.float32)
            classes = np.full(len(maps), -1, np.int32)
            if self.method == "decomposition":
                readable = self._decomposed(unit, words, maps, classes, parts)
            else:
                readable = self._attributed(unit, words, maps, classes, aids)
            absent = {
                row: "its label is none of the classes" if row in readable else "it cannot be read"
                for row in np.flatnonzero(classes < 0).tolist()
            }
            made[unit.key] = Made(arrays={"map": maps, "class": classes}, absent=absent)
        return made

    def forecast(self, units: Sequence[Unit], known: Known) -> Work:
        """Count the images that go through the model, beside those of other views."""
        count = sum(unit.stop - unit.start for unit in units)
        return Work() if self.method == "decomposition" else Work(pictures=exactly(count))

    def _classes(self, start: int, rows: Sequence[int], embeddings: Array, words: Array) -> Array:
        """Give the class of some images of a unit; -1 for one that has none."""
        if self.target == "label":
            known = [self._labelled[start + row] for row in rows]
            return np.array([-1 if each is None else each for each in known], np.int32)
        found: Array = (embeddings.astype(np.float64) @ words.T).argmax(axis=1).astype(np.int32)
        return found

    def _decomposed(self, unit: Unit, words: Array, maps: Array, classes: Array, parts: Parts) -> set[int]:
        """Multiply what heads add with the class less the mean of all; give the rows that could be read."""
        apart, readable = words - words.mean(axis=0), set()
        for start in range(unit.start, unit.stop, AT_ONCE):
            images = slice(start, min(start + AT_ONCE, unit.stop))
            embeddings = parts.array(self.patches, "embedding", (images,))
            there = np.flatnonzero(~np.isnan(embeddings[:, 0]))
            rows = (there + start - unit.start).tolist()
            readable.update(rows)
            found = self._classes(unit.start, rows, embeddings[there], words)
            added = self.patches.show(parts, (images, *[slice(None)] * 3))[there]
            heat = np.einsum("iyxj,ij->iyx", added.astype(np.float64), apart[found])
            maps[rows], classes[rows] = np.where((found >= 0)[:, None, None], heat, np.nan), found
        return readable

    def _attributed(self, unit: Unit, words: Array, maps: Array, classes: Array, aids: Aids) -> set[int]:
        """Run images through the model, and ask a method; give the rows that could be read."""
        import torch

        from ..attribution import GRADIENTS, method
        from ..attribution.watching import watch

        loaded, relevance = aids.loaded(self.patches.model), method(self.method)
        readable: set[int] = set()
        for start in range(unit.start, unit.stop, AT_ONCE):
            places = range(start, min(start + AT_ONCE, unit.stop))
            pictures = aids.readable(self._images, places)
            rows = [place - unit.start for place in pictures]
            for batch in aids.batches(loaded, [*pictures.values()], AT_ONCE):
                mine, rows = rows[: len(batch)], rows[len(batch) :]
                found = np.full(len(mine), -1, np.int32)

                def choose(embeddings: Any, mine: Sequence[int] = mine, found: Array = found) -> Any:
                    found[:] = self._classes(unit.start, mine, embeddings.double().cpu().numpy(), words)
                    return torch.from_numpy(words[found]).to(embeddings.device)

                seen = watch(loaded.side, batch, choose, gradients=GRADIENTS[self.method])
                heat = relevance(seen).float().cpu().numpy().reshape(-1, *self.shape[1:])
                if not np.isfinite(heat).all():
                    raise ArithmeticError(
                        f"{self.method} gave relevance that is not finite; nothing was kept"
                    )
                maps[mine] = np.where((found >= 0)[:, None, None], heat, np.nan)
                classes[mine] = found
                readable.update(mine)
        return readable

    def show(self, parts: Parts, selection: tuple[Axis, ...]) -> Array:
        """Give the maps."""
        return parts.array(self, "map", selection)
