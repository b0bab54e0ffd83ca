"""A network of four neurons and pictures of one colour each: who answers to what is known exactly."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

import belvedere

CLASSES = {"blue": (20, 30, 200), "green": (30, 200, 40), "red": (210, 30, 20)}
"""The classes of the pictures, with their colours."""
EACH = 12
"""Pictures of each class."""
NEURONS = ("red", "green", "blue", "nothing")
"""What the neurons answer to; the last one is dead."""


class Channels(nn.Module):
    """How red, green and blue a picture is, and a neuron that is dead."""

    def __init__(self) -> None:
        super().__init__()
        self.colours = nn.Linear(3, 4, bias=False)
        self.colours.weight.data = torch.tensor([[2.0, -1, -1], [-1, 2, -1], [-1, -1, 2], [0, 0, 0]])

    def forward(self, images: Tensor) -> Tensor:
        found: Tensor = self.colours(images.mean(dim=(2, 3)))
        return found


def to_tensor(image: Image.Image) -> Tensor:
    return torch.from_numpy(np.array(image.convert("RGB").resize((8, 8))).transpose(2, 0, 1)).float() / 255


def paint(folder: Path) -> Path:
    """Put pictures into a folder for each class; each is a little brighter than the one before."""
    for name, colour in CLASSES.items():
        (folder / name).mkdir(parents=True)
        for number in range(EACH):
            brighter = tuple(each + 3 * number for each in colour)
            Image.new("RGB", (12, 12), brighter).save(folder / name / f"{number}.png")
    return folder


def judged_store(folder: Path) -> belvedere.Store:
    """Make a store with the network, the demo's CLIP, the pictures and some words; nothing is computed."""
    store = belvedere.open(folder / "store")
    store.add_images("colours", paint(folder / "pictures"), labels="folder")
    store.add_model("net", Channels().eval(), transform=to_tensor, transform_id="8 × 8")
    store.add_model("clip", "demo:clip")
    (folder / "words.txt").write_text("red\ngreen\nblue\nnight\nstar\n")
    store.add_texts("words", folder / "words.txt")
    truth = ["text,category", "red,0", "a red star,0", "green,1", "blue,2", "nothing,3"]
    (folder / "truth.csv").write_text("\n".join(truth) + "\n")
    store.add_texts("truth", folder / "truth.csv")
    return store
