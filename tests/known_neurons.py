"""A network of which it is known what each neuron is about, and demo scenes to ask it with."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn

import belvedere
from belvedere.demo.scenes import training_scenes
from belvedere.demo.words import VALUES

COLOURS, GROUNDS = VALUES["colour"], VALUES["background"]
ODD = ("nothing", "always the same", "night or not")
"""What the last neurons of `grounds` are: dead, constant, and one with two values."""
SCENES = 300


def to_tensor(image: Image.Image) -> Tensor:
    return torch.from_numpy(np.array(image.resize((64, 64))).transpose(2, 0, 1)).float() / 255


@cache
def means() -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The mean colour of the things of each colour, and of the rest of the pictures of each background."""
    things: dict[str, list[NDArray[np.float64]]] = {}
    for scene in training_scenes(240):
        inside = scene.masks.any(axis=0)
        things.setdefault(scene.colour, []).append(scene.pixels()[inside].mean(axis=0) / 255)
        things.setdefault(scene.background, []).append(scene.pixels()[~inside].mean(axis=0) / 255)
    mean = {name: np.mean(each, axis=0) for name, each in things.items()}
    return np.stack([mean[each] for each in COLOURS]), np.stack([mean[each] for each in GROUNDS])


class Nearness(nn.Module):
    """How near each place of a picture is to each of some colours: "image neuron y x"."""

    def __init__(self, colours: NDArray[np.float64]) -> None:
        super().__init__()
        self.register_buffer("wanted", torch.from_numpy(colours).float()[None, :, :, None, None])

    def forward(self, images: Tensor) -> Tensor:
        return -((images[:, None] - self.wanted) ** 2).sum(dim=2)  # type: ignore[operator]


class Grounds(nn.Module):
    """What a picture's rim looks like: a neuron for each background, and three that are of no use."""

    def __init__(self, colours: NDArray[np.float64]) -> None:
        super().__init__()
        self.near = Nearness(colours)

    def forward(self, images: Tensor) -> Tensor:
        rim = torch.cat([images[:, :, :2].flatten(2), images[:, :, -2:].flatten(2)], dim=2).mean(dim=2)
        found = self.near(rim[:, :, None, None])[:, :, 0, 0]
        night = (found.argmax(dim=1) == GROUNDS.index("night")).float()[:, None]
        return torch.cat([found, 0 * night, 0 * night + 0.7, night], dim=1)


class KnownNet(nn.Module):
    """Neurons for colours at each place, and for backgrounds of the whole."""

    def __init__(self) -> None:
        super().__init__()
        colours, grounds = means()
        self.colours, self.grounds = Nearness(colours), Grounds(grounds)

    def forward(self, images: Tensor) -> Tensor:
        found: Tensor = self.grounds(images) + self.colours(nn.functional.avg_pool2d(images, 4)).mean()
        return found


def store_of(path: Path) -> belvedere.Store:
    """Make a store with that network, the demo's CLIP and 300 scenes; nothing is computed."""
    store = belvedere.open(path)
    store.add_images("scenes", f"demo:scenes[:{SCENES}]")
    store.add_model("known", KnownNet().eval(), transform=to_tensor, transform_id="RGB from 0 to 1")
    store.add_model("clip", "demo:clip")
    return store
