"""ImageNet-Segmentation: pictures and masks out of `gtsegs_ijcv.mat`, kept in the store.

Guillaumin, Küttel and Ferrari, "ImageNet Auto-Annotation with Segmentation Propagation" (IJCV 2014). The
file is one of MATLAB 7.3, which is HDF5: `value/img` refers to each picture, "colour x y", and `value/gt` to
a cell that refers to its mask, "x y", 1 where the object is.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from ...store.errors import BadSource
from ...store.extras import extra
from . import images_in_memory
from .decoding import to_png
from .found import Found, Tick
from .pictures import Pictures


def read(path: Path, pictures: Pictures, tick: Tick) -> list[Found]:
    """Keep each picture and its mask as PNG, in the order of the file.

    Raises `BadSource` where the file has no such pictures, or one has a mask of another size, and
    `MissingExtra` where h5py is not installed.
    """
    h5py = extra("h5py")
    try:
        file = h5py.File(path, "r")
    except OSError as error:
        raise BadSource(f"{path} is no MATLAB 7.3 file: {error}") from error
    with file:
        if "value/img" not in file or "value/gt" not in file:
            raise BadSource(f"{path} has no value/img and value/gt, as gtsegs_ijcv.mat does")
        images, truths = file["value/img"], file["value/gt"]
        if images.shape != truths.shape:
            raise BadSource(f"{path} has {len(images)} pictures and {len(truths)} masks")
        masks: list[str] = []

        def every() -> Iterator[Image.Image]:
            for row in range(len(images)):
                picture, mask = _one(path, file, row, images[row, 0], truths[row, 0])
                masks.append(pictures.keep(to_png(mask)))
                yield picture

        found = images_in_memory.keep(every(), images, pictures, tick)
    return [replace(each, mask=mask) for each, mask in zip(found, masks, strict=True)]


def _one(path: Path, file: Any, row: int, image: Any, truth: Any) -> tuple[Image.Image, Image.Image]:
    """Read a picture and its mask, which is white where the object is."""
    pixels = np.asarray(file[image]).transpose()
    mask = np.asarray(file[np.asarray(file[truth])[0, 0]]).transpose()
    if pixels.shape[:2] != mask.shape:
        sides = [f"{shape[1]} × {shape[0]}" for shape in (mask.shape, pixels.shape)]
        raise BadSource(
            f"the mask of picture {row} of {path} has {sides[0]} pixels, and the picture {sides[1]}"
        )
    return Image.fromarray(pixels.astype(np.uint8)), Image.fromarray((mask != 0).astype(np.uint8) * 255)
