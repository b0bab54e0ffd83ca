"""Training of the tiny CLIP: open_clip's own model on painted scenes, saved as one of its checkpoints.

A text is true of any picture that has what it names; the contrast (Radford et al. 2021, section 2.3) takes
all true pairs of a batch as positives (Khosla et al. 2020, equation 2) instead of one partner each.
"""

import argparse
import json
import math
import os
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from open_clip import CLIP
from safetensors.torch import save_file
from transformers import PreTrainedTokenizerFast

from . import clip_dir
from .batches import MEAN, STD, Batch, Pool, make_batch, normalise, open_pool
from .scenes import scene
from .tokenizer import CONTEXT_LENGTH, build_tokenizer, save_tokenizer
from .training import Schedule, run
from .zeroshot import accuracy, embed_images, truth

_VALIDATION_SEED = 3


def config(vocabulary: int) -> dict[str, Any]:
    """Return the ``open_clip_config.json`` of the tiny CLIP for this many words."""
    vision = {
        "image_size": 64,
        "patch_size": 8,
        "layers": 4,
        "width": 128,
        "head_width": 32,
        "pool_type": "tok",
    }
    text = {
        "context_length": CONTEXT_LENGTH,
        "vocab_size": vocabulary,
        "hf_tokenizer_name": "belvedere-demo",
        "width": 128,
        "heads": 4,
        "layers": 2,
    }
    preprocess = {"mean": list(MEAN), "std": list(STD), "interpolation": "bicubic", "resize_mode": "shortest"}
    model = {"embed_dim": 64, "vision_cfg": vision, "text_cfg": text}
    return {"model_cfg": model, "preprocess_cfg": preprocess}


def contrast(logits: torch.Tensor, true: torch.Tensor) -> torch.Tensor:
    """Return the contrastive loss with every true pair as a positive, over rows and columns.

    Args:
        logits: Scaled similarities, (image, text).
        true: Which pairs are true, of the same shape; rows or columns without any are left out.
    """
    return (_one_way(logits, true) + _one_way(logits.T, true.T)) / 2


def _one_way(logits: torch.Tensor, true: torch.Tensor) -> torch.Tensor:
    some = true.any(dim=1)
    positives = true[some].float()
    scores = torch.log_softmax(logits[some], dim=1)
    return -((scores * positives).sum(dim=1) / positives.sum(dim=1)).mean()


def _tokenize(tokenizer: PreTrainedTokenizerFast, texts: list[str]) -> torch.Tensor:
    ids = tokenizer(texts, padding="max_length", truncation=True, max_length=CONTEXT_LENGTH)["input_ids"]
    return torch.tensor(ids)


def _loss(model: CLIP, tokenizer: PreTrainedTokenizerFast, batch: Batch) -> torch.Tensor:
    images = model.encode_image(batch.pictures, normalize=True)
    texts = model.encode_text(_tokenize(tokenizer, batch.texts), normalize=True)
    return contrast(model.logit_scale.exp() * images @ texts.T, batch.truth)


@torch.no_grad()
def _settle(model: CLIP) -> None:
    """Keep the scale of similarities within the bounds of the paper."""
    model.logit_scale.clamp_(0, math.log(100))


def save(model: CLIP, tokenizer: PreTrainedTokenizerFast, out: Path) -> None:
    """Save the model as an open_clip folder in half precision; a reader sees old files or new, none torn."""
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out.parent) as name:
        fresh = Path(name)
        save_tokenizer(tokenizer, fresh)
        text = json.dumps(config(len(tokenizer)), indent=2) + "\n"
        (fresh / "open_clip_config.json").write_text(text, encoding="utf-8")
        weights = {key: value.half().contiguous() for key, value in model.state_dict().items()}
        save_file(weights, fresh / "open_clip_model.safetensors", metadata={"format": "pt"})
        for file in fresh.iterdir():
            file.chmod(0o644)
            os.replace(file, out / file.name)


def _validation(size: int) -> Pool:
    scenes = [scene(index, seed=_VALIDATION_SEED) for index in range(size)]
    return Pool(np.stack([one.pixels() for one in scenes]), truth(scenes))


def _examine(model: CLIP, tokenizer: PreTrainedTokenizerFast, held_out: Pool) -> dict[str, float]:
    embeddings = embed_images(model, normalise(held_out.pixels))
    return accuracy(model, lambda texts: _tokenize(tokenizer, texts), embeddings, held_out.codes)


def train(
    out: Path,
    work: Path,
    *,
    steps: int,
    until: int,
    images: int,
    pool_size: int,
    held_out_size: int,
    peak: float,
) -> None:
    """Train the tiny CLIP and save it; take up where an earlier run of the same work folder stopped.

    Where that run had come to the end, the model is only saved.

    Args:
        out: The folder of the checkpoint.
        work: The folder of the painted pool and the state of the training.
        steps: Steps in all, over which the learning rate falls to zero.
        until: The step before which to stop.
        images: Pictures in a step.
        pool_size: Painted training scenes.
        held_out_size: Scenes, without the bias, on which its accuracy is told now and then.
        peak: The largest learning rate.
    """
    torch.manual_seed(0)
    tokenizer = build_tokenizer()
    model = CLIP(**config(len(tokenizer))["model_cfg"])
    pool, held_out = open_pool(work, pool_size), _validation(held_out_size)
    run(
        model,
        work / "state.pt",
        Schedule(steps, until, peak),
        loss=lambda step: _loss(model, tokenizer, make_batch(pool, step, images)),
        examine=lambda: _examine(model, tokenizer, held_out),
        save=lambda: save(model, tokenizer, out),
        settle=lambda: _settle(model),
    )


def main() -> None:
    """Read the options and train."""
    parser = argparse.ArgumentParser(prog="python -m belvedere.demo.train_clip", description=__doc__)
    parser.add_argument("--out", type=Path, default=clip_dir(), help="folder of the checkpoint")
    parser.add_argument(
        "--work", type=Path, default=Path("build/train-clip"), help="folder of pool and state"
    )
    parser.add_argument("--steps", type=int, default=6100, help="steps in all")
    parser.add_argument("--images", type=int, default=64, help="pictures in a step")
    parser.add_argument("--pool", type=int, default=30000, help="painted training scenes")
    parser.add_argument("--held-out", type=int, default=1000, help="scenes to examine it on")
    parser.add_argument("--rate", type=float, default=1e-3, help="largest learning rate")
    given = parser.parse_args()
    train(
        given.out,
        given.work,
        steps=given.steps,
        until=given.steps,
        images=given.images,
        pool_size=given.pool,
        held_out_size=given.held_out,
        peak=given.rate,
    )


if __name__ == "__main__":
    main()
