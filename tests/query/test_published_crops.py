"""The crops that `preset="paper"` takes, against the released steps one by one; and ties at any depth."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from scipy import ndimage
from torch import Tensor, nn

import belvedere
from belvedere.compute.images.pixels import pixels_of
from belvedere.store.errors import BadSource

SIDE = 375
COUNT, WIDTH, HEIGHT = 5, 2 * SIDE, SIDE
Box = tuple[int, int, int, int]


class Bright(nn.Module):
    """How bright, and how dark, each place of a picture is, up to 3."""

    def __init__(self) -> None:
        super().__init__()
        self.places = nn.Conv2d(3, 2, 1)
        self.places.weight.data = torch.stack([torch.ones(3), -torch.ones(3)])[:, :, None, None]
        self.places.bias.data = torch.tensor([-0.2, 2.5])  # type: ignore[union-attr]
        self.lit = nn.ReLU()

    def forward(self, images: Tensor) -> Tensor:
        found: Tensor = self.lit(self.places(nn.functional.avg_pool2d(images, 8))).mean(dim=(2, 3))
        return found


def prepare(picture: Image.Image) -> Tensor:
    """Bring the shorter side to 64 pixels, and cut out the middle 56."""
    width, height = picture.size
    short = min(width, height)
    small = picture.convert("RGB").resize((round(64 * width / short), round(64 * height / short)))
    left, top = (small.width - 56) // 2, (small.height - 56) // 2
    cut = np.asarray(small.crop((left, top, left + 56, top + 56)))
    return torch.from_numpy(cut.transpose(2, 0, 1).copy()).float() / 255


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> belvedere.Store:
    """A store of that network, and of wide pictures of discs on a dark ground."""
    folder = tmp_path_factory.mktemp("published")
    dice = np.random.default_rng(4)
    for number in range(COUNT):
        picture = Image.new("RGB", (WIDTH, HEIGHT), (30, 30, 40 + number))
        for _ in range(4):
            x, y, size = (int(dice.integers(*of)) for of in ((0, WIDTH), (0, HEIGHT), (30, 130)))
            colour = tuple(int(each) for each in dice.integers(120, 255, 3))
            ImageDraw.Draw(picture).ellipse((x - size, y - size, x + size, y + size), fill=colour)
        picture.save(folder / f"{number}.png")
    store = belvedere.open(folder / "store")
    store.add_images("discs", sorted(folder.glob("*.png")))
    store.add_model("net", Bright().eval(), transform=prepare, transform_id="the middle 56 of 64")
    return store


def literal_boxes(net: nn.Module, picture: Image.Image, neuron: int) -> list[Box]:
    """Take the released steps: boxes in the picture squashed to 375 × 375, the largest first."""
    squashed = picture.resize((SIDE, SIDE))
    with torch.inference_mode():
        images = nn.functional.avg_pool2d(prepare(squashed)[None], 8)
        values = net.lit(net.places(images))[0, neuron].numpy()  # type: ignore[operator]
    wrapped = (values * 255).astype(np.int64).astype(np.uint8)  # a float map as 8 bits, not normalised
    heat = np.asarray(Image.fromarray(wrapped).resize((SIDE, SIDE)))
    white = heat > otsu(heat)
    boxes = sorted(outer(white), key=lambda box: -(box[2] - box[0]) * (box[3] - box[1]))
    kept: list[Box] = []
    for box in boxes:
        whole = (box[2] - box[0]) * (box[3] - box[1]) / SIDE**2
        if len(kept) < 4 and whole < 0.8 and all(iou(box, other) <= 0.5 for other in kept):
            kept.append(box)
    return kept


def otsu(levels: NDArray[np.uint8]) -> int:
    """Try every threshold: the first at which the variance between the two classes is largest."""
    count, level = np.bincount(levels.ravel(), minlength=256).astype(float), np.arange(256.0)
    best, found = -1.0, 0
    for threshold in range(int(levels.min()), int(levels.max())):
        below, above = slice(threshold + 1), slice(threshold + 1, 256)
        sizes = [count[part].sum() for part in (below, above)]
        means = [count[part] @ level[part] / size for part, size in zip((below, above), sizes, strict=True)]
        variance = sizes[0] * sizes[1] * (means[0] - means[1]) ** 2
        if variance > best * (1 + 1e-12):
            best, found = variance, threshold
    return found


def outer(white: NDArray[np.bool_]) -> list[Box]:
    """Give boxes around those white parts that touch the outside, diagonals joined."""
    dark, _ = ndimage.label(np.pad(~white, 1, constant_values=True))
    outside = ndimage.binary_dilation(dark == dark[0, 0], np.ones((3, 3)))[1:-1, 1:-1]
    parts, count = ndimage.label(white, np.ones((3, 3)))
    found: list[Box] = []
    for part in range(1, count + 1):
        ys, xs = np.nonzero(parts == part)
        if outside[parts == part].any():
            found.append((int(xs.min()), int(ys.min()), int(xs.max()) + 1, int(ys.max()) + 1))
    return found


def iou(one: Box, other: Box) -> float:
    """Give what two boxes share, over what either covers."""
    both = max(0, min(one[2], other[2]) - max(one[0], other[0]))
    both *= max(0, min(one[3], other[3]) - max(one[1], other[1]))
    areas = [(box[2] - box[0]) * (box[3] - box[1]) for box in (one, other)]
    return both / (sum(areas) - both)


@pytest.mark.parametrize("neuron", [0, 1])
def test_published_crops_are_cut_from_what_was_squashed_first(store: belvedere.Store, neuron: int) -> None:
    asked: dict[str, Any] = {"module": "lit", "preset": "paper", "k": COUNT}
    rows = store.view("neuron_crops", **asked).where(f"neuron = {neuron}").arrow().to_pylist()
    shown = store.view("neuron_exemplars", exemplars=50, **asked).where(f"neuron = {neuron}")
    pixels = {(row["image_id"], row["crop"]): row["pixels"] for row in shown.arrow().to_pylist()}
    net, some = Bright().eval(), 0
    for image_id in range(COUNT):
        picture = store.image("discs", image_id)
        expected = literal_boxes(net, picture, neuron)
        mine = sorted((row for row in rows if row["image_id"] == image_id), key=lambda row: row["crop"])
        found = [(row["x0"], row["y0"], row["x1"], row["y1"]) for row in mine]
        assert found == [(2 * x0, y0, 2 * x1, y1) for x0, y0, x1, y1 in expected]
        squashed = picture.resize((SIDE, SIDE))
        cut = [squashed.crop(box).resize((SIDE, SIDE)) for box in expected]
        assert [pixels[image_id, crop] for crop in range(len(cut))] == [pixels_of(each) for each in cut]
        assert pixels[image_id, -1] == pixels_of(squashed)
        some += len(expected)
    assert some >= COUNT


def test_ties_are_looked_for_as_deep_as_images_are_looked_at(store: belvedere.Store) -> None:
    with pytest.raises(BadSource, match=r"k=12 top images .* top_k=10 .*; give top_k=12 as well"):
        store.view("neuron_exemplars", module="lit", k=12)
    view = store.view("neuron_exemplars", module="lit", k=12, top_k=12)._view
    assert (view.seen.k, view.statistics.top_k) == (12, 12)
