"""Where in images heads find texts: maps of patches, stretched over the pictures."""

from __future__ import annotations

import operator
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from PIL import Image

from ...compute.heads.conventions import Convention
from ...compute.images.patches import seen_part
from ...compute.images.stretch import over_picture
from ...store import placing
from ...store.errors import BadSource
from ...store.sets import Model
from ...store.views import Array
from ..progress import teller
from .asked_texts import checked, embedded, views_of
from .chosen_heads import Place, heads_where, named_heads
from .heat import Added, laid
from .sheet import ContactSheet, Row, Tile
from .thumbnails import laid_over

if TYPE_CHECKING:
    from ...compute.running.report import Progress
    from ..store import Store

Named = tuple[str, int]
"""An image, by its set and its image_id."""
SMALLEST = 256
"""Pixels of the longer side that an overlay has at least; smaller pictures are enlarged."""


@dataclass(frozen=True, slots=True, eq=False)
class Heatmap:
    """Where one image has what a text says, by what heads add to its embedding from each patch."""

    image_set: str
    """The set that the image is of."""
    image_id: int
    """Its place in the set."""
    text: str
    """What the map is about."""
    heads: tuple[Place, ...]
    """The heads that are summed over; none where it is all of them."""
    patches: Array
    """What is added from each patch, "y x"; its sum is what these heads add from all patches."""
    picture: Image.Image
    """The image."""
    model: Model
    """The model."""

    @property
    def pixels(self) -> Array:
        """The map stretched over the picture, "y x" in its pixels; NaN where the model does not look."""
        return self._over(None)

    def overlay(self, top: float | None = None) -> Image.Image:
        """Lay the map over the picture: red where more is added, blue where less; grey is not looked at.

        `top` is the heat at full strength, the map's largest unless it is given. A picture whose longer side
        is below 256 pixels is enlarged.
        """
        scale = max(1.0, SMALLEST / max(self.picture.size))
        size = (round(self.picture.width * scale), round(self.picture.height * scale))
        picture = self.picture.resize(size, Image.Resampling.BICUBIC) if scale > 1 else self.picture
        heat = self._over((picture.height, picture.width))
        return laid_over(picture, heat, top or float(np.abs(self.patches).max()))

    def _over(self, shape: tuple[int, int] | None) -> Array:
        width, height = self.picture.size
        return over_picture(self.patches, seen_part(self.model, width, height), width, height, shape)


@dataclass(frozen=True, eq=False)
class Heatmaps:
    """Maps of some images for some texts; a notebook shows them, and `save` writes them."""

    maps: Sequence[Sequence[Heatmap]]
    """The maps, those of one image beside each other."""
    title: str
    """What all of them are about."""
    subtitle: str = ""
    """What is taken away from each."""

    def __iter__(self) -> Iterator[Heatmap]:
        return (each for row in self.maps for each in row)

    def __getitem__(self, place: int) -> Heatmap:
        return list(self)[place]

    def __len__(self) -> int:
        return sum(map(len, self.maps))

    @property
    def patches(self) -> Array:
        """All maps at the resolution of patches, "image text y x"."""
        return np.stack([np.stack([each.patches for each in row]) for row in self.maps])

    @property
    def rows(self) -> pd.DataFrame:
        """A row for each map: its sum over patches, its ends, and the patch where it is highest."""
        return pd.DataFrame([_told(each) for each in self])

    @cached_property
    def sheet(self) -> ContactSheet:
        """A row for each image: the picture, and each map laid over it, at one scale."""
        made = []
        for row in self.maps:
            first = row[0]
            tiles = [laid(Tile(each.picture, _caption(each)), each.model, each.patches) for each in row]
            alone = Tile(first.picture, f"{first.image_set}:{first.image_id}")
            made.append(Row([[alone], tiles]))
        return ContactSheet(made, self.title, self.subtitle)

    def save(self, path: str | os.PathLike[str], *, overwrite: bool = False) -> Path:
        """Write a file: `.npy` for the maps of patches, else a PNG; gives the path.

        The PNG of one map is its overlay at the size of the picture, that of several the sheet. Raises
        `BadDestination` where no file can be written, or one is there (without `overwrite`).
        """
        dest = Path(path)
        placing.check(dest, folder=False, overwrite=overwrite)
        if dest.suffix.lower() == ".png" and len(self) > 1:
            return self.sheet.save(dest, overwrite=overwrite)
        if dest.suffix.lower() not in (".png", ".npy"):
            raise BadSource(f"{dest.name}: heatmaps are written as .png or as .npy")
        with (
            placing.placed(dest, overwrite=overwrite) as partial,
            placing.writing(dest),
            partial.open("wb") as to,
        ):
            if dest.suffix.lower() == ".npy":
                np.save(to, self.patches)
            else:
                self[0].overlay().save(to, "PNG", optimize=True)
        return dest

    def _repr_png_(self) -> bytes:
        return self.sheet._repr_png_()


def heatmap(
    store: Store,
    images: str | Named | Iterable[str | Named],
    text: str | Sequence[str] | None,
    *,
    contrast: str | Sequence[str] | None,
    heads: str | Iterable[str | Place] | None,
    where: str | None,
    model: str | None,
    texts: str | None,
    convention: Convention,
    progress: bool | Progress,
) -> Heatmaps:
    """Make maps; see `Store.heatmap`."""
    asked = None if text is None else checked(text, "heatmap")
    taken = [] if contrast is None else checked(contrast, "contrast=")
    shown = _images(images)
    pictures = {each: store.image(*each) for each in shown}
    if heads is not None and where is not None:
        raise BadSource("heads are named, or chosen by where=…: give one of the two")
    added = {}
    for image_set in dict.fromkeys(each for each, _ in shown):
        every = Added(store, model, image_set, None, convention)
        chosen = None if heads is None else named_heads(every.model, heads)
        if where is not None:
            chosen = heads_where(
                store._engine, where, model=every.model, images=image_set, texts=texts, told=teller(progress)
            )
        added[image_set] = every if chosen is None else Added(store, model, image_set, chosen, convention)
    of = next(iter(added.values()))
    if asked is None:
        return _described(store, added, pictures, texts, convention, progress, contrasted=bool(taken))
    engine, told = store._engine, teller(progress)
    words = embedded(engine, views_of(engine, of.model, [*asked, *taken]), told).astype(np.float64)
    directions = words[: len(asked)]
    if taken:
        directions = directions - words[len(asked) :].mean(axis=0)
    _fill(added, shown, told)
    maps = [
        [
            _map(added[each[0]], each, pictures[each], said, direction)
            for said, direction in zip(asked, directions, strict=True)
        ]
        for each in shown
    ]
    minus = f"less {'the mean of ' * (len(taken) > 1)}{', '.join(f'“{each}”' for each in taken)}"
    return Heatmaps(maps, _title(added), minus if taken else "")


def _described(
    store: Store,
    added: dict[str, Added],
    pictures: dict[Named, Image.Image],
    texts: str | None,
    convention: Convention,
    progress: bool | Progress,
    *,
    contrasted: bool,
) -> Heatmaps:
    """Map each image by the descriptions of one head that its contribution is most and least along.

    The joint view of Gandelsman et al. (2024), section 5.1: of a head's descriptions the one along which its
    contribution to the image is largest, and smallest, each with the patches that make it so.
    """
    heads = {each for one in added.values() for each in one.heads or ()}
    if len(heads) != 1 or contrasted:
        raise BadSource(
            "without a text each image is shown by the descriptions of one head: name a text, or one head "
            "(heads='3.1', --head 3.1) and no contrast"
        )
    ((layer, head),) = heads
    descriptions = {
        images: store.view(
            "head_descriptions", model=one.model.name, images=images, texts=texts, convention=convention
        )
        for images, one in added.items()
    }
    _fill(added, [*pictures], teller(progress))
    maps = []
    for (image_set, image_id), picture in pictures.items():
        one = added[image_set]
        names = {"model": one.model.name, "images": image_set}
        said = descriptions[image_set]
        said.fill(progress=progress)
        rows = said.where("layer = ? AND head = ?", layer, head).df()
        if rows.empty:
            raise BadSource(f"head {layer}.{head} has no descriptions: it writes the same for all images")
        every = store.view("text_embeddings", model=one.model.name, texts=rows.text_set[0])
        words = every[rows.text_id.to_list()].astype(np.float64)
        whole = store.view("head_contributions", **names, convention=convention)[image_id, layer, head]
        order = np.argsort(words @ whole, kind="stable")
        ends = [order[-1], order[0]]
        maps.append(
            [_map(one, (image_set, image_id), picture, rows.description[at], words[at]) for at in ends]
        )
    return Heatmaps(maps, _title(added), "by the descriptions that its contribution is most and least along")


def _fill(added: dict[str, Added], shown: Sequence[Named], told: Progress) -> None:
    for image_set, each in added.items():
        each.fill([image_id for named, image_id in shown if named == image_set], told)


def _map(added: Added, shown: Named, picture: Image.Image, text: str, direction: Array) -> Heatmap:
    heat = added.from_patches(shown[1]) @ direction
    return Heatmap(*shown, text, tuple(added.heads or ()), heat, picture, added.model)


def _images(images: str | Named | Iterable[str | Named]) -> list[Named]:
    """Read images as `SET:ID`, or pairs of a set and an image_id."""
    pair = isinstance(images, tuple) and len(images) == 2 and not isinstance(images[1], str | tuple)
    if not isinstance(images, Iterable):
        raise BadSource(f"heatmap takes one image or several, such as 'scenes:12', not {images!r}")
    listed: Any = [images] if isinstance(images, str) or pair else list(images)
    found = []
    for each in listed:
        if isinstance(each, str):
            named = re.fullmatch(r"(.+):(\d+)", each)
            if named is None:
                raise BadSource(f"{each!r} is no image: SET:ID, such as scenes:12")
            found.append((named[1], int(named[2])))
        else:
            found.append(_pair(each))
    if not found:
        raise BadSource("heatmap takes one image or several, such as 'scenes:12'")
    return found


def _pair(named: Any) -> Named:
    """Read a pair of a set and an image_id."""
    try:
        image_set, image_id = named
        if isinstance(image_id, bool) or not isinstance(image_set, str):
            raise TypeError
        return image_set, operator.index(image_id)
    except (TypeError, ValueError):
        raise BadSource(f"{named!r} is no image: SET:ID, such as scenes:12, or a pair (SET, ID)") from None


def _title(added: dict[str, Added]) -> str:
    """Say which heads of which model the maps are of."""
    of = next(iter(added.values()))
    named = sorted({f"{layer}.{head}" for each in added.values() for layer, head in each.heads or ()})
    if not named:
        return f"What all heads of “{of.model.name}” add from each patch"
    listed = ", ".join(named) if len(named) <= 8 else f"{', '.join(named[:7])}, … ({len(named)})"
    heads, adds = ("head", "adds") if len(named) == 1 else ("heads", "add")
    return f"What {heads} {listed} of “{of.model.name}” {adds} from each patch"


def _caption(each: Heatmap) -> str:
    return f"{each.text}\nsum {each.patches.sum():+.3f}"


def _told(each: Heatmap) -> dict[str, Any]:
    y, x = np.unravel_index(int(each.patches.argmax()), each.patches.shape)
    return {
        "image_set": each.image_set,
        "image_id": each.image_id,
        "text": each.text,
        "sum": float(each.patches.sum()),
        "lowest": float(each.patches.min()),
        "highest": float(each.patches.max()),
        "y": int(y),
        "x": int(x),
    }
