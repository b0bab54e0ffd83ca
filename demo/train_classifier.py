"""Training of the tiny classifier: a ResNet of timm that names all five attributes of painted scenes.

The last layer has no weights below zero, and each neuron before it pays for every class that it speaks for:
so a neuron comes to stand for few of them.
"""

import argparse
import json
import os
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import timm
import torch
from numpy.typing import NDArray
from safetensors.torch import save_file
from torch import nn

from . import classifier_dir
from .backgrounds import SIDE
from .batches import MEAN, STD, Pool, move, normalise, open_pool
from .dice import Dice
from .scenes import scene
from .training import Schedule, run
from .words import VALUES
from .zeroshot import truth

ARCHITECTURE = "resnet10t"
CLASSES = tuple(value for values in VALUES.values() for value in values)
"""What the outputs stand for: the values of all attributes, one attribute after the other."""
_WIDTHS = [len(values) for values in VALUES.values()]
_ARGUMENTS: dict[str, Any] = {
    "channels": [24, 48, 96, 128],
    "stem_width": 16,
    "output_stride": 8,
    "num_classes": len(CLASSES),
}
_VALIDATION_SEED = 3
_PRICE = 0.05
"""What each class costs that a neuron speaks for, on average over neurons."""


def build() -> nn.Module:
    """Build the model with random weights: 64 × 64 pictures, last maps of 128 channels and 8 × 8 places."""
    net: nn.Module = timm.create_model(ARCHITECTURE, pretrained=False, **_ARGUMENTS)
    return net


def config() -> dict[str, Any]:
    """Return the ``config.json`` by which timm builds the model again."""
    pictures = {
        "input_size": [3, SIDE, SIDE],
        "fixed_input_size": False,
        "interpolation": "bicubic",
        "crop_pct": 1.0,
        "crop_mode": "center",
        "mean": list(MEAN),
        "std": list(STD),
        "first_conv": "conv1.0",
        "classifier": "fc",
        "label_names": list(CLASSES),
    }
    return {
        "architecture": ARCHITECTURE,
        "num_classes": len(CLASSES),
        "num_features": _ARGUMENTS["channels"][-1],
        "model_args": _ARGUMENTS,
        "pretrained_cfg": {**pictures, "num_classes": len(CLASSES)},
    }


def save(net: nn.Module, out: Path) -> None:
    """Save the model as a timm folder in half precision; a reader sees old files or new, none torn."""
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out.parent) as name:
        fresh = Path(name)
        (fresh / "config.json").write_text(json.dumps(config(), indent=2) + "\n", encoding="utf-8")
        state = {
            key: value.half() if value.is_floating_point() else value
            for key, value in net.state_dict().items()
        }
        save_file({key: value.contiguous() for key, value in state.items()}, fresh / "model.safetensors")
        for file in fresh.iterdir():
            file.chmod(0o644)
            os.replace(file, out / file.name)


def classification_loss(net: nn.Module, pictures: torch.Tensor, codes: NDArray[np.int64]) -> torch.Tensor:
    """Return the sum over attributes of the cross-entropy of a softmax over its values, with the price.

    Args:
        net: The classifier.
        pictures: Normalised, (image, 3, 64, 64).
        codes: The truth, (image, attribute).
    """
    with torch.autocast("cpu", torch.bfloat16):
        logits = net(pictures)
    parts = torch.split(logits.float(), _WIDTHS, dim=1)
    wanted = torch.from_numpy(codes)
    losses = [nn.functional.cross_entropy(part, wanted[:, column]) for column, part in enumerate(parts)]
    return torch.stack(losses).sum() + _PRICE * spoken_for(net.get_parameter("fc.weight")).mean()


def spoken_for(weights: torch.Tensor) -> torch.Tensor:
    """Return for how many classes each neuron speaks: (Σ w)² / Σ w², which equal weights make their count.

    Args:
        weights: The last layer's, none below zero, (class, neuron).
    """
    return weights.sum(dim=0) ** 2 / (weights**2).sum(dim=0).clamp_min(1e-9)


@torch.no_grad()
def _settle(net: nn.Module) -> None:
    net.get_parameter("fc.weight").clamp_(min=0)


@torch.inference_mode()
def accuracy(net: nn.Module, pictures: torch.Tensor, codes: NDArray[np.int64]) -> dict[str, float]:
    """Return for each attribute the share of pictures whose largest output among its values is the true one.

    Args:
        net: The classifier, in evaluation mode.
        pictures: Normalised, (image, 3, 64, 64).
        codes: The truth, (image, attribute).
    """
    logits = torch.cat([net(part) for part in torch.split(pictures, 250)])
    guesses = [part.argmax(dim=1).numpy() for part in torch.split(logits, _WIDTHS, dim=1)]
    return {name: float(np.mean(guesses[place] == codes[:, place])) for place, name in enumerate(VALUES)}


def _loss(net: nn.Module, pool: Pool, step: int, images: int) -> torch.Tensor:
    """Return the loss of one step, on pictures that its number chooses."""
    dice = Dice(5, step)
    rows = [dice.below(len(pool.codes)) for _ in range(images)]
    return classification_loss(net, normalise(move(pool.pixels[rows], dice)), pool.codes[rows])


def train(
    out: Path, work: Path, schedule: Schedule, *, images: int, pool_size: int, held_out_size: int
) -> None:
    """Train the classifier and save it; take up where an earlier run of the same work folder stopped.

    Args:
        out: The folder of the model.
        work: The folder of the painted pool and the state of the training.
        schedule: How long and how fast.
        images: Pictures in a step.
        pool_size: Painted training scenes.
        held_out_size: Scenes, without the bias, on which its accuracy is told now and then.
    """
    torch.manual_seed(0)
    net, pool = build(), open_pool(work, pool_size)
    held_out = [scene(index, seed=_VALIDATION_SEED) for index in range(held_out_size)]
    pictures, codes = normalise(np.stack([one.pixels() for one in held_out])), truth(held_out)
    run(
        net.train(),
        work / "classifier.pt",
        schedule,
        loss=lambda step: _loss(net, pool, step, images),
        examine=lambda: accuracy(net, pictures, codes),
        save=lambda: save(net, out),
        settle=lambda: _settle(net),
    )


def main() -> None:
    """Read the options and train."""
    parser = argparse.ArgumentParser(prog="python -m belvedere.demo.train_classifier", description=__doc__)
    parser.add_argument("--out", type=Path, default=classifier_dir(), help="folder of the model")
    parser.add_argument(
        "--work", type=Path, default=Path("build/train-clip"), help="folder of pool and state"
    )
    parser.add_argument("--steps", type=int, default=1500, help="steps in all")
    parser.add_argument("--images", type=int, default=64, help="pictures in a step")
    parser.add_argument("--pool", type=int, default=30000, help="painted training scenes")
    parser.add_argument("--held-out", type=int, default=1000, help="scenes to examine it on")
    parser.add_argument("--rate", type=float, default=3e-3, help="largest learning rate")
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
