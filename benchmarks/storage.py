"""Bytes kept for each image, and how fast they are read back as contributions."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import open_clip
import pyarrow as pa
import torch
from PIL import Image

import belvedere as bv
from belvedere.compute.views.head_contributions import HeadContributions
from belvedere.compute.views.head_moments import MOMENTS_BLOCK, HeadMoments
from belvedere.store import arrays
from belvedere.store.registry import IMAGE_ENTRIES
from belvedere.store.sets import ImageSet, Model, TowerShape

from .row import Row, ratio

SHAPES = {
    "ViT-B-32": (TowerShape(12, 12, 64, 768, 512, 50), 7.5),
    "ViT-B-16": (TowerShape(12, 12, 64, 768, 512, 197), 7.5),
    "ViT-L-14": (TowerShape(24, 16, 64, 1024, 768, 257), 11.0),
}
"""Shapes of towers, and by how much smaller than dense contributions what is kept must be."""


def rows() -> Iterator[Row]:
    """Measure bytes of encoded units of true shape, then reads of a filled store."""
    for name, (shape, factor) in SHAPES.items():
        heads, moments, dense = _bytes(shape)
        yield Row(
            f"bytes an image, dense c against what is kept, {name}", dense / heads, factor, at_least=True
        )
        yield Row(f"bytes of moments on top, {name}", 100 * moments / heads, 5.0, "%")
    with tempfile.TemporaryDirectory() as folder:
        yield from _reads(Path(folder))


def _bytes(shape: TowerShape) -> tuple[float, float, float]:
    """Encode one full unit; give bytes an image of heads, of moments, and of dense float32 c."""
    entries = pa.Table.from_pylist([{"image_id": i} for i in range(MOMENTS_BLOCK)], schema=IMAGE_ENTRIES)
    model = Model("m", "", None, "float32", shape, {}, {}, {}, {})
    view = HeadContributions(model, ImageSet("i", "", entries))
    kept = sum(_encoded(member, view.shard) for member in view.members())
    derived = HeadMoments(view)
    moments = sum(_encoded(member, derived.shard) for member in derived.members())
    dense = shape.layers * shape.heads * shape.joint * 4
    return kept / view.shard, moments / MOMENTS_BLOCK, dense


def _encoded(member: Any, shard: int) -> int:
    data = np.zeros((shard, *member.shape[1:]), member.dtype)
    return sum(len(content) for content in arrays.encode(member, data, shard).values())


def _reads(folder: Path) -> Iterator[Row]:
    """Fill a store with a ViT-B-32 of random weights, and read it back."""
    torch.manual_seed(0)
    torch.save(open_clip.create_model("ViT-B-32").state_dict(), folder / "random.pt")
    rng = np.random.default_rng(0)
    (folder / "pictures").mkdir()
    for number in range(512):
        pixels = rng.integers(0, 256, (32, 32, 3), np.uint8)
        Image.fromarray(pixels).save(folder / "pictures" / f"{number:04}.png")
    store = bv.open(folder / "store")
    store.add_model("b32", "open_clip:ViT-B-32", checkpoint=folder / "random.pt")
    store.add_images("noise", folder / "pictures")
    heads = store.view("head_contributions")
    heads.fill()
    view, reader = heads._view, heads._engine.reader
    maps = torch.from_numpy(view.maps.constants(reader).head_map).flatten(0, 1).transpose(1, 2)

    def by_hand() -> torch.Tensor:
        factor = torch.from_numpy(reader.array(view, "factor"))
        scale = reader.array(view, "scalars")
        scaled = factor / torch.from_numpy(scale[:, 0] * scale[:, 2])[:, None, None, None]
        return torch.bmm(scaled.flatten(1, 2).transpose(0, 1), maps)

    yield Row(
        "warm dense read of 512 images, against factors and torch.bmm",
        ratio(lambda: heads[...], by_hand),
        1.3,
    )
