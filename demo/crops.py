"""Crops of scenes, and captions that say only what is still to be seen in them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from .backgrounds import SIDE
from .captions import caption, tidy
from .dice import Dice
from .scenes import Scene, training_scenes
from .words import FORMS, VALUES

Box = tuple[int, int, int, int]
"""Left, top, right, bottom in pixels, the last two exclusive."""

_LEAST = 16
_SEEN, _SHAPED, _WHOLE = 0.12, 0.45, 0.92
_PATTERN = 70
_GROUND = 0.1


@dataclass(frozen=True, slots=True)
class Sight:
    """What is seen of a scene in a crop."""

    things: int
    """How many things are seen, whole or in part."""
    whole: bool
    """Whether every thing that is seen is seen whole."""
    shaped: bool
    """Whether enough of one is seen to tell its shape."""
    patterned: bool
    """Whether enough is seen to tell the texture."""
    grounded: bool
    """Whether the background is seen."""


def outlines(scene: Scene) -> NDArray[np.uint8]:
    """Return which thing each pixel shows, from 1, and 0 for the background; shape (64, 64)."""
    found = np.zeros((SIDE, SIDE), dtype=np.uint8)
    for number, mask in enumerate(scene.masks, 1):
        found[mask] = number
    return found


def open_outlines(folder: Path, size: int) -> NDArray[np.uint8]:
    """Open the outlines of the training scenes kept in a folder; draw them first if they are not there."""
    path = folder / f"outlines-{size}.npy"
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        drawn = np.stack([outlines(scene) for scene in training_scenes(size)])
        with path.with_suffix(".new").open("wb") as file:
            np.save(file, drawn)
        path.with_suffix(".new").replace(path)
    kept: NDArray[np.uint8] = np.load(path, mmap_mode="r")
    return kept


def draw_box(dice: Dice) -> Box:
    """Draw the box of a crop: sides of 16 to 64 pixels, the longer at most twice the shorter."""
    width = _LEAST + dice.below(SIDE - _LEAST + 1)
    low, high = max(_LEAST, (width + 1) // 2), min(SIDE, 2 * width)
    height = low + dice.below(high - low + 1)
    left, top = dice.below(SIDE - width + 1), dice.below(SIDE - height + 1)
    return left, top, left + width, top + height


def look(outline: NDArray[np.uint8], box: Box) -> Sight:
    """Tell what of a scene is seen in a box. Pure.

    Args:
        outline: The scene's outlines, shape (64, 64).
        box: The part that is looked at.
    """
    left, top, right, bottom = box
    every = np.bincount(outline.ravel(), minlength=2)
    here = np.bincount(outline[top:bottom, left:right].ravel(), minlength=len(every))
    shares = here[1:] / np.maximum(every[1:], 1)
    seen = shares >= _SEEN
    return Sight(
        things=int(seen.sum()),
        whole=bool((shares[seen] >= _WHOLE).all()),
        shaped=bool((shares >= _SHAPED).any()),
        patterned=bool(here[1:].sum() >= _PATTERN),
        grounded=bool(here[0] >= _GROUND * here.sum()),
    )


def describe(attributes: Mapping[str, str], sight: Sight) -> str:
    """Caption what is seen of a scene: ``"striped red stars in the night sky"`` where some are cut off.

    Args:
        attributes: The truth about the scene; its number may be that of the scene, which is not looked at.
        sight: What is seen.

    Returns:
        A sentence of five words or more; without a number where a thing is cut off, ``"shape"`` for a shape
        that cannot be told, ``"close up"`` for a background that is not seen.
    """
    words = {name: FORMS[name][value][0] for name, value in attributes.items()}
    place = words["background"]["place"] if sight.grounded else "close up"
    if not sight.things:
        return tidy(f"an empty scene {place}")
    number = VALUES["number"][min(sight.things, 4) - 1]
    if sight.whole and sight.shaped and sight.patterned and sight.grounded:
        return caption({**attributes, "number": number})
    one = sight.things == 1
    shape = words["shape"]["shape" if one else "shapes"] if sight.shaped else ("shape" if one else "shapes")
    texture = words["texture"]["texture"] if sight.patterned else ""
    count = FORMS["number"][number][0]["number"] if sight.whole else ("a" if one else "")
    return tidy(f"{count} {texture} {words['colour']['colour']} {shape} {place}")


def cut(pixels: NDArray[np.uint8], box: Box) -> NDArray[np.uint8]:
    """Cut a box out of a picture and enlarge it to the picture's size again, RGB (64, 64, 3)."""
    part = Image.fromarray(pixels).crop(box).resize((SIDE, SIDE), Image.Resampling.BICUBIC)
    return np.asarray(part)


def words_of_captions() -> Sequence[str]:
    """Return every word that a caption of a scene or of a crop can have, sorted."""
    texts = ["a an empty scene close up shape shapes"]
    for values in FORMS.values():
        texts += [word for forms in values.values() for word in forms[0].values()]
    return sorted({word for text in texts for word in text.split()})
