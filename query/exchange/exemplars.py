"""Writes the images at the top of each neuron in the layout of MILAN (Hernandez et al. 2022)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import lru_cache
from math import prod
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ...compute.running.report import Progress, Settings
from ...compute.views.top_images import TopImages
from ...store import placing
from ...store.errors import BadSelection, BadSource, MissingUnits
from ...store.sealed import seal
from ..lazy.table import LazyTable
from ..seeing.thumbnails import image

Masks = Callable[[int, int, int], NDArray[Any]]
"""From a neuron, an image_id and a side to where the neuron is active in the image: "y x"."""
Pixels = NDArray[np.uint8]
BLOCK = 256
"""Neurons whose rows are read at once."""
HELD = 256
"""Pictures that are held in memory: neighbours share some."""


@dataclass(frozen=True, slots=True)
class Exemplars:
    """What was written."""

    path: Path
    """The folder: DIR/MODULE."""
    neurons: int
    """How many neurons it has."""
    k: int
    """How many images each of them has."""
    side: int
    """Pixels of a picture's side."""
    masked: bool
    """Whether the masks say where a neuron is active; otherwise they are all ones."""
    bytes: int
    """What it takes."""


@dataclass(frozen=True, slots=True)
class Order:
    """What is to be written."""

    dest: Path
    """The folder below which a folder for the module is made."""
    neurons: tuple[int, ...] | None
    """The neurons; all where that is None."""
    side: int
    """Pixels of a picture's side."""
    masks: Masks | None
    """What gives the masks."""
    overwrite: bool
    """Whether to take the place of what is there."""


@dataclass(frozen=True, slots=True)
class _Top:
    """The images at the top of one neuron."""

    neuron: int
    images: Sequence[int]
    activations: Sequence[float]


def export_exemplars(lazy: LazyTable, order: Order, settings: Settings, progress: Progress) -> Exemplars:
    """Write exemplars; see `Store.export_exemplars`."""
    view = lazy._view
    assert isinstance(view, TopImages)
    if order.side < 1:
        raise BadSource(f"side={order.side}: a picture's side has at least 1 pixel")
    neurons = _neurons(view, order.neurons)
    k = min(view.k, len(view.activations.images))
    shape = (len(neurons), k, 3, order.side, order.side)
    folder = order.dest / view.activations.module
    with placing.writing(order.dest):
        order.dest.mkdir(exist_ok=True)
    placing.check(folder, folder=True, overwrite=order.overwrite, nbytes=prod(shape) * 4 // 3)
    _fill(lazy, neurons, settings, progress)
    with placing.placed(folder, overwrite=order.overwrite) as partial, placing.writing(folder):
        partial.mkdir()
        try:
            progress.begin(len(neurons), f"exemplars of {view.activations.module}")
            found = _write(lazy, order, neurons, partial, progress)
        finally:
            progress.end()
        facts = {"holds": "exemplars", "view": view.title(), "k": found, "side": order.side}
        (partial / placing.BUNDLE).write_bytes(seal({**facts, "masks": order.masks is not None}))
    size = sum(each.stat().st_size for each in folder.iterdir())
    return Exemplars(folder, len(neurons), found, order.side, order.masks is not None, size)


def _neurons(view: TopImages, asked: Sequence[int] | None) -> list[int]:
    """List the neurons; `BadSelection` for one that the module does not have, or no neuron at all."""
    width = view.grid.length
    if asked is None:
        return list(range(width))
    wrong = [each for each in asked if not 0 <= each < width]
    if wrong or not asked:
        what = f"no neuron {wrong[0]}" if wrong else "no neuron is named"
        raise BadSelection(f"{what}; {view.activations.module!r} has the neurons 0 to {width - 1}")
    return list(dict.fromkeys(asked))


def _blocks(neurons: Sequence[int]) -> Iterator[Sequence[int]]:
    return (neurons[start : start + BLOCK] for start in range(0, len(neurons), BLOCK))


def _narrowed(lazy: LazyTable, neurons: Sequence[int]) -> LazyTable:
    return lazy.where(f"neuron IN ({', '.join(map(str, neurons))})")


def _fill(lazy: LazyTable, neurons: Sequence[int], settings: Settings, progress: Progress) -> None:
    """Fill what is missing of the neurons' top images; `MissingUnits` where that fails."""
    for block in _blocks(neurons):
        part = _narrowed(lazy, block)
        report = lazy._fill(part._units(), settings, progress)
        if not report.complete:
            left = report.failed + report.skipped
            raise MissingUnits(lazy.title, left, len(part._units()), "belvedere errors says why")


def _write(lazy: LazyTable, order: Order, neurons: Sequence[int], folder: Path, progress: Progress) -> int:
    """Write all files of the folder; give how many images each neuron has."""
    view = lazy._view
    assert isinstance(view, TopImages)
    facts, images = view.activations.model.image, view.activations.images

    @lru_cache(maxsize=HELD)
    def pixels(image_id: int) -> Pixels:
        picture = image(lazy._engine.folder, images.name, image_id)
        return np.asarray(square(picture, facts, order.side)).transpose(2, 0, 1)

    k = 0
    with ExitStack() as opened:
        names = ("images.npy", "masks.npy", "ids.csv", "activations.csv")
        files = [opened.enter_context((folder / name).open("wb")) for name in names]
        for top in _tops(lazy, neurons):
            if not k:
                k = len(top.images)
                if not k:
                    raise BadSource(
                        f"no image of {images.name!r} could be read (belvedere errors lists them)"
                    )
                _header(files[0], (len(neurons), k, 3, order.side, order.side))
                _header(files[1], (len(neurons), k, 1, order.side, order.side))
            _one(top, k, order, pixels, files)
            progress.advance(1)
    np.save(folder / "units.npy", np.array(neurons, np.int64))
    return k


def _one(
    top: _Top, k: int, order: Order, pixels: Callable[[int], Pixels], files: Sequence[IO[bytes]]
) -> None:
    """Write what the four files have of one neuron."""
    if len(top.images) != k:
        raise BadSource(f"neuron {top.neuron} has {len(top.images)} images, and others have {k}")
    for image_id in top.images:
        files[0].write(np.ascontiguousarray(pixels(image_id)).tobytes())
        files[1].write(_mask(top.neuron, image_id, order).tobytes())
    files[2].write((",".join(map(str, top.images)) + "\n").encode())
    files[3].write((",".join(f"{each:.8e}" for each in top.activations) + "\n").encode())


def _mask(neuron: int, image_id: int, order: Order) -> Pixels:
    """Ask for the mask of a neuron in an image: 0 and 1."""
    if order.masks is None:
        return np.ones((order.side, order.side), np.uint8)
    found = np.asarray(order.masks(neuron, image_id, order.side))
    if found.shape != (order.side, order.side):
        sizes = " × ".join(map(str, found.shape))
        raise BadSource(
            f"the mask of neuron {neuron} in image {image_id} is {sizes}; asked for was one of "
            f"{order.side} × {order.side}"
        )
    mask: Pixels = (found != 0).astype(np.uint8)
    return mask


def _header(file: IO[bytes], shape: tuple[int, ...]) -> None:
    """Write the beginning of a .npy file whose numbers follow."""
    np.lib.format.write_array_header_1_0(file, {"descr": "|u1", "fortran_order": False, "shape": shape})


def _tops(lazy: LazyTable, neurons: Sequence[int]) -> Iterator[_Top]:
    """Read the images at the top of each neuron, a block of neurons at a time."""
    for block in _blocks(neurons):
        rows = (
            _narrowed(lazy, block)
            .arrow(missing="raise")
            .sort_by([("neuron", "ascending"), ("rank", "ascending")])
        )
        found: dict[int, list[tuple[int, float]]] = {}
        columns = (rows[name].to_pylist() for name in ("neuron", "image_id", "activation"))
        for neuron, image_id, activation in zip(*columns, strict=True):
            found.setdefault(neuron, []).append((image_id, activation))
        for neuron in block:
            pairs = found.get(neuron, [])
            yield _Top(neuron, [each for each, _ in pairs], [each for _, each in pairs])


def square(picture: Image.Image, facts: Mapping[str, Any], side: int) -> Image.Image:
    """Cut a picture to the square that a model's preprocessing lets through, and bring it to a side.

    `facts` is `Model.image`. A central square is cut, as open_clip, torchvision and timm do; preprocessing
    that squashes lets the whole picture through, and of one that is not known the largest square is taken.
    """
    known = facts.get("preprocessing", {})
    if known.get("resize_mode") == "squash" or known.get("crop_mode") == "squash":
        return picture.resize((side, side), Image.Resampling.BICUBIC)
    edge = max(1, round(min(picture.size) * _fraction(known)))
    left, upper = (picture.width - edge) // 2, (picture.height - edge) // 2
    part = picture.crop((left, upper, left + edge, upper + edge))
    return part.resize((side, side), Image.Resampling.BICUBIC)


def _fraction(known: Mapping[str, Any]) -> float:
    """Give which part of the shorter side a preprocessing lets through.

    >>> _fraction({"resize_size": [256], "crop_size": [224]}), _fraction({"crop_pct": 0.95}), _fraction({})
    (0.875, 0.95, 1.0)
    """
    resized, cut = known.get("resize_size"), known.get("crop_size")
    if resized and cut:
        return min(1.0, float(np.ravel(cut)[0]) / float(np.ravel(resized)[0]))
    return min(1.0, float(known.get("crop_pct", 1.0)))
