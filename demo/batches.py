"""What the tiny CLIP is trained on: a pool of painted scenes, and texts with the truth between the two."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from .captions import sentence, single
from .descriptions import DISTRACTORS
from .dice import Dice
from .scenes import Scene, training_scenes
from .words import VALUES
from .zeroshot import truth

MEAN = (0.422, 0.433, 0.435)
STD = (0.318, 0.283, 0.263)
"""Mean and deviation of the training scenes' colours, by which pictures are normalised."""

_NAMES = tuple(VALUES)
_LESSONS = (
    (0, {"shape": 38, "colour": 10, "number": 22, "texture": 20, "background": 10}),
    (2250, {"shape": 60, "colour": 5, "number": 17, "texture": 13, "background": 5}),
    (5250, {"shape": 32, "colour": 3, "number": 36, "texture": 26, "background": 3}),
)
"""From which step texts name which attribute how often, in percent: what is hard comes more often, later."""
_SHIFT = 4
_NOWHERE, _ANY = -2, -1


@dataclass(frozen=True, slots=True)
class Pool:
    """Painted training scenes."""

    pixels: NDArray[np.uint8]
    """RGB, shape (image, 64, 64, 3)."""
    codes: NDArray[np.int64]
    """Truth, shape (image, attribute)."""


@dataclass(frozen=True, slots=True)
class Batch:
    """One step's pictures and texts."""

    pictures: torch.Tensor
    """Normalised, shape (image, 3, 64, 64)."""
    texts: list[str]
    truth: torch.Tensor
    """Whether a text is true of a picture, boolean, shape (image, text)."""


def open_pool(folder: Path, size: int, draw: Callable[[int], Sequence[Scene]] = training_scenes) -> Pool:
    """Open the pool kept in a folder; paint it first if it is not there in this size.

    Args:
        folder: Where it is kept.
        size: How many scenes.
        draw: Which scenes, when they are painted.
    """
    pixels, codes = folder / f"pixels-{size}.npy", folder / f"codes-{size}.npy"
    if not codes.exists():
        folder.mkdir(parents=True, exist_ok=True)
        scenes = draw(size)
        painted = np.lib.format.open_memmap(pixels, "w+", np.uint8, (size, 64, 64, 3))
        for row, scene in enumerate(scenes):
            painted[row] = scene.pixels()
        painted.flush()
        np.save(codes, truth(scenes))
    return Pool(np.load(pixels, mmap_mode="r"), np.load(codes))


def normalise(pixels: NDArray[np.uint8]) -> torch.Tensor:
    """Turn RGB (image, 64, 64, 3) into what the model reads, (image, 3, 64, 64)."""
    scaled = torch.from_numpy(np.ascontiguousarray(pixels)).float() / 255
    return ((scaled - torch.tensor(MEAN)) / torch.tensor(STD)).permute(0, 3, 1, 2).contiguous()


def move(pixels: NDArray[np.uint8], dice: Dice) -> NDArray[np.uint8]:
    """Shift each picture by up to four pixels and mirror half of them."""
    moved = np.empty_like(pixels)
    padded = np.pad(pixels, ((0, 0), (_SHIFT, _SHIFT), (_SHIFT, _SHIFT), (0, 0)), mode="edge")
    for row in range(len(pixels)):
        top, left = dice.below(2 * _SHIFT + 1), dice.below(2 * _SHIFT + 1)
        part = padded[row, top : top + 64, left : left + 64]
        moved[row] = part[:, ::-1] if dice.below(2) else part
    return moved


def _shares(step: int) -> Mapping[str, int]:
    return [shares for start, shares in _LESSONS if step >= start][-1]


def _about_one(count: int, shares: Mapping[str, int], dice: Dice) -> list[tuple[str, list[int]]]:
    """Write texts about one value each; shares out of a hundred tell how often about which attribute."""
    lottery = tuple(name for name, share in shares.items() for _ in range(share))
    texts = []
    for _ in range(count):
        name = dice.pick(lottery)
        code = dice.below(len(VALUES[name]))
        wanted = [code if name == other else _ANY for other in _NAMES]
        texts.append((single(name, VALUES[name][code], dice), wanted))
    return texts


def _about_some(codes: NDArray[np.int64], dice: Dice) -> list[tuple[str, list[int]]]:
    """Write a sentence about some attributes of each picture."""
    texts = []
    for row in codes.tolist():
        named = [dice.uniform(0, 1) < (0.6 if name == "shape" else 0.45) for name in _NAMES]
        wanted = [code if told else _ANY for code, told in zip(row, named, strict=True)]
        words = {name: VALUES[name][code] for name, code in zip(_NAMES, wanted, strict=True) if code != _ANY}
        texts.append((sentence(words, dice), wanted))
    return texts


def _about_nothing(count: int, dice: Dice) -> list[tuple[str, list[int]]]:
    """Take texts that are true of no scene, and hide some of their words behind an unknown one."""
    texts = []
    for _ in range(count):
        words = dice.pick(DISTRACTORS).split()
        hidden = " ".join("?" if dice.uniform(0, 1) < 0.3 else word for word in words)
        texts.append((hidden, [_NOWHERE] * len(_NAMES)))
    return texts


def make_batch(pool: Pool, step: int, images: int) -> Batch:
    """Make the batch of one training step, a pure function of pool, step and size.

    Args:
        pool: Where the pictures come from.
        step: Which step.
        images: How many pictures; for ten of them there are sixteen texts.
    """
    dice = Dice(0, step)
    rows = np.asarray([dice.below(len(pool.codes)) for _ in range(images)])
    codes = pool.codes[rows]
    about = _about_one(images, _shares(step), dice) + _about_some(codes[: images // 2], dice)
    about += _about_nothing(images // 10, dice)
    wanted = np.asarray([codes_ for _, codes_ in about])
    true = np.all((wanted == _ANY) | (wanted == codes[:, None, :]), axis=2)
    pictures = normalise(move(pool.pixels[rows], dice))
    return Batch(pictures, [text for text, _ in about], torch.from_numpy(true))
