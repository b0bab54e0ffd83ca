"""Training of the tiny captioner: a BLIP of transformers that tells what is seen of painted scenes."""

import argparse
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import BlipForConditionalGeneration, PreTrainedTokenizerFast

from . import blip, captioner_dir
from .batches import Pool, move, normalise, open_pool
from .captions import caption, named_rightly
from .crops import cut, describe, draw_box, look, open_outlines
from .dice import Dice
from .scenes import scene
from .training import Schedule, run
from .words import VALUES

_VALIDATION_SEED = 3
_CROPS = 0.4
"""The share of a step's pictures that are crops."""


@dataclass(frozen=True, slots=True)
class Lesson:
    """One step's pictures and what is to be said of them."""

    pictures: torch.Tensor
    """Normalised, shape (image, 3, 64, 64)."""
    captions: list[str]


def _named(codes: NDArray[np.int64]) -> dict[str, str]:
    return {name: values[code] for (name, values), code in zip(VALUES.items(), codes.tolist(), strict=True)}


def shelve(codes: NDArray[np.int64]) -> list[list[int]]:
    """Sort pictures by shape and background: who describes pictures for others should not share their bias.

    Args:
        codes: The truth, (image, attribute).

    Returns:
        The rows of each pair that occurs.
    """
    names = list(VALUES)
    shelves: dict[tuple[int, ...], list[int]] = {}
    for row, pair in enumerate(codes[:, [names.index("shape"), names.index("background")]].tolist()):
        shelves.setdefault(tuple(pair), []).append(row)
    return [shelves[pair] for pair in sorted(shelves)]


def make_lesson(
    pool: Pool, shelves: list[list[int]], outlines: NDArray[np.uint8], step: int, images: int
) -> Lesson:
    """Make the pictures and captions of one training step, a pure function of pool, step and size.

    Args:
        pool: Where the pictures come from.
        shelves: Their rows by shape and background, from which equally many are taken.
        outlines: Their outlines, shape (image, 64, 64).
        step: Which step.
        images: How many pictures; four in ten are crops.
    """
    dice = Dice(4, step)
    rows = [dice.pick(dice.pick(shelves)) for _ in range(images)]
    pictures, captions = move(pool.pixels[rows], dice), []
    for place, row in enumerate(rows):
        named = _named(pool.codes[row])
        if place < _CROPS * images:
            box = draw_box(dice)
            pictures[place] = cut(pool.pixels[row], box)
            captions.append(describe(named, look(outlines[row], box)))
        else:
            captions.append(caption(named))
    return Lesson(normalise(pictures), captions)


def captioning_loss(
    model: BlipForConditionalGeneration, tokenizer: PreTrainedTokenizerFast, lesson: Lesson
) -> torch.Tensor:
    """Return the mean cross-entropy of each next word of the captions."""
    texts = tokenizer(lesson.captions, padding="longest", return_tensors="pt")
    wanted = texts["input_ids"].masked_fill(texts["attention_mask"] == 0, -100)
    with torch.autocast("cpu", torch.bfloat16):
        told = model(
            pixel_values=lesson.pictures,
            input_ids=texts["input_ids"],
            attention_mask=texts["attention_mask"],
            labels=wanted,
        )
    loss: torch.Tensor = told.loss
    return loss


@torch.inference_mode()
def write(
    model: BlipForConditionalGeneration, tokenizer: PreTrainedTokenizerFast, pictures: torch.Tensor
) -> list[str]:
    """Caption normalised pictures (image, 3, 64, 64) greedily."""
    captions: list[str] = []
    for part in torch.split(pictures, 250):
        ids = model.generate(part, max_new_tokens=blip.ROOM, do_sample=False)
        captions += tokenizer.batch_decode(ids, skip_special_tokens=True)
    return captions


def train(
    out: Path, work: Path, schedule: Schedule, *, images: int, pool_size: int, held_out_size: int
) -> None:
    """Train the captioner and save it; take up where an earlier run of the same work folder stopped.

    Args:
        out: The folder of the model and its processor.
        work: The folder of the painted pool and the state of the training.
        schedule: How long and how fast.
        images: Pictures in a step.
        pool_size: Painted training scenes.
        held_out_size: Scenes, without the bias, on which its accuracy is told now and then.
    """
    torch.manual_seed(0)
    tokenizer = blip.captions_tokenizer()
    model = blip.build(tokenizer)
    pool, outlines = open_pool(work, pool_size), open_outlines(work, pool_size)
    shelves = shelve(pool.codes)
    blip.lend_eyes(model, blip.usual_spread(normalise(np.array(pool.pixels[:200]))))
    held_out = [scene(index, seed=_VALIDATION_SEED) for index in range(held_out_size)]
    pictures, true = (
        normalise(np.stack([one.pixels() for one in held_out])),
        [one.caption for one in held_out],
    )
    run(
        model.train(),
        work / "captioner.pt",
        schedule,
        loss=lambda step: captioning_loss(
            model, tokenizer, make_lesson(pool, shelves, outlines, step, images)
        ),
        examine=lambda: named_rightly(write(model, tokenizer, pictures), true),
        save=lambda: blip.save(model, tokenizer, out),
    )


def main() -> None:
    """Read the options and train."""
    parser = argparse.ArgumentParser(prog="python -m belvedere.demo.train_captioner", description=__doc__)
    parser.add_argument("--out", type=Path, default=captioner_dir(), help="folder of the model")
    parser.add_argument(
        "--work", type=Path, default=Path("build/train-clip"), help="folder of pool and state"
    )
    parser.add_argument("--steps", type=int, default=5000, help="steps in all")
    parser.add_argument("--images", type=int, default=32, help="pictures in a step")
    parser.add_argument("--pool", type=int, default=30000, help="painted training scenes")
    parser.add_argument("--held-out", type=int, default=500, help="scenes to examine it on")
    parser.add_argument("--rate", type=float, default=8e-4, help="largest learning rate")
    given = parser.parse_args()
    train(
        given.out,
        given.work,
        Schedule(given.steps, given.steps, given.rate),
        images=given.images,
        pool_size=given.pool,
        held_out_size=given.held_out,
    )


if __name__ == "__main__":
    main()
