"""Figures of the classifier and the captioner on unseen scenes: `python -m belvedere.demo.examine`."""

import argparse
from collections.abc import Sequence

import numpy as np
import timm
import torch
from numpy.typing import NDArray
from transformers import BlipForConditionalGeneration, PreTrainedTokenizerFast

from . import captioner_dir, classifier_dir
from .batches import normalise
from .captions import named_rightly
from .crops import cut, describe, draw_box, look, outlines
from .dice import Dice
from .scenes import Scene, test_scenes
from .train_captioner import write
from .train_classifier import accuracy
from .words import VALUES
from .zeroshot import truth

EXPLAINED = 0.95
"""The AUROC from which one value of one attribute explains a neuron."""

Numbers = NDArray[np.float64]


def auroc(values: Numbers, marks: NDArray[np.bool_]) -> float:
    """Return how likely a marked item has the larger value than one that is not; ties count half. Pure.

    Args:
        values: One number for each item.
        marks: Which items are marked, neither none nor all.
    """
    _, place, counts = np.unique(values, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[place]
    marked = int(marks.sum())
    above = ranks[marks].sum() - marked * (marked + 1) / 2
    return float(above / (marked * (len(marks) - marked)))


def explained(activations: Numbers, codes: NDArray[np.int64]) -> list[tuple[str, float]]:
    """Return for each neuron the value that explains it best, and how well.

    Args:
        activations: One number for each picture and neuron, (image, neuron).
        codes: The truth, (image, attribute).

    Returns:
        The value's name and its AUROC, for each neuron.
    """
    marks = {
        value: codes[:, column] == code
        for column, values in enumerate(VALUES.values())
        for code, value in enumerate(values)
    }
    found = []
    for neuron in activations.T:
        shares = {value: auroc(neuron, mark) for value, mark in marks.items()}
        best = max(shares, key=lambda value: shares[value])
        found.append((best, shares[best]))
    return found


@torch.inference_mode()
def _last_maps(net: torch.nn.Module, pictures: torch.Tensor) -> Numbers:
    """Return what the last block gives: (image, channel, y, x)."""
    features: Sequence[torch.Tensor] = [net.forward_features(part) for part in torch.split(pictures, 250)]  # type: ignore[operator]
    maps: Numbers = torch.cat(list(features)).double().numpy()
    return maps


def _row(name: str, shares: dict[str, float]) -> str:
    return f"{name:34s}" + "".join(f"{share:11.3f}" for share in shares.values())


def _classifier(scenes: Sequence[Scene], pictures: torch.Tensor) -> list[str]:
    net = timm.create_model(f"local-dir:{classifier_dir()}", pretrained=True).eval()
    codes, maps = truth(scenes), _last_maps(net, pictures)
    lines = [_row("classifier", accuracy(net, pictures, codes))]
    for pool, pooled in (("mean", maps.mean((2, 3))), ("max", maps.max((2, 3)))):
        good = [value for value, share in explained(pooled, codes) if share >= EXPLAINED]
        lines.append(
            f"of {maps.shape[1]} neurons of its last block, {pool} over places, one value explains "
            f"{len(good)} (AUROC ≥ {EXPLAINED}), {len(set(good))} different values"
        )
    return lines


def _captioner(scenes: Sequence[Scene], pictures: torch.Tensor) -> list[str]:
    model = BlipForConditionalGeneration.from_pretrained(captioner_dir(), dtype=torch.float32)
    tokenizer = PreTrainedTokenizerFast.from_pretrained(captioner_dir())
    whole = named_rightly(write(model, tokenizer, pictures), [one.caption for one in scenes])
    dice, crops, true = Dice(8), [], []
    for one in scenes:
        box = draw_box(dice)
        crops.append(cut(one.pixels(), box))
        true.append(describe(one.attributes, look(outlines(one), box)))
    part = named_rightly(write(model, tokenizer, normalise(np.stack(crops))), true)
    return [_row("captioner, whole scenes", whole), _row("captioner, random crops", part)]


def main() -> None:
    """Examine both models and print what was found."""
    parser = argparse.ArgumentParser(prog="python -m belvedere.demo.examine", description=__doc__)
    parser.add_argument("--images", type=int, default=2000, help="test scenes to examine them on")
    scenes = test_scenes(parser.parse_args().images)
    pictures = normalise(np.stack([one.pixels() for one in scenes]))
    print(f"{f'of {len(scenes)} test scenes':34s}" + "".join(f"{name:>11s}" for name in VALUES))
    for line in [*_classifier(scenes, pictures), *_captioner(scenes, pictures)]:
        print(line)


if __name__ == "__main__":
    main()
