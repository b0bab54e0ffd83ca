"""Training of the tiny painter: an autoencoder of pictures, then a UNet that takes noise from its latents.

The UNet learns the velocity between picture and noise (Salimans and Ho 2022, appendix D) and is told nothing
of the picture one time in ten (Ho and Salimans 2022), so that guidance needs no classifier.
"""

import argparse
import copy
import json
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers.models.attention_processor import AttnProcessor
from numpy.typing import NDArray
from safetensors.torch import load_file
from torch.nn import functional

from . import clip_dir, painter_dir
from .batches import Pool, open_pool
from .dice import Dice
from .diffusion import new_unet, new_vae, save_pipeline, text_encoder, training_noise, whiten
from .prompts import painter_prompt
from .scenes import Scene, scene
from .tokenizer import CONTEXT_LENGTH, build_tokenizer
from .words import VALUES

_SEED = 4
_EVERY = 50
_AVERAGING = 0.995
_TEXT_SHARE = 0.1
"""The text encoder knows its words already: it learns at a tenth of the rate."""


@dataclass(frozen=True, slots=True)
class Schedule:
    """How long and how fast a part learns."""

    steps: int
    """Steps in all, over which the learning rate falls to zero."""
    images: int
    """Pictures in a step."""
    peak: float
    """The largest learning rate."""


def scenes_without_bias(n: int) -> Sequence[Scene]:
    """Return the n scenes that the painter learns from: each shape stands on each background."""
    return tuple(scene(index, seed=_SEED) for index in range(n))


def scaled(pixels: NDArray[np.uint8]) -> torch.Tensor:
    """Turn RGB (image, 64, 64, 3) into what the autoencoder reads: (image, 3, 64, 64) from -1 to 1."""
    return torch.from_numpy(pixels.copy()).permute(0, 3, 1, 2).float() / 127.5 - 1


def rate(step: int, schedule: Schedule) -> float:
    """Return the learning rate: a rise over 30 steps, a plateau, and a fall to zero in the last quarter.

    On the plateau a run can still be made longer or shorter than it was meant to be.
    """
    rise, left = min(30, schedule.steps // 10 + 1), schedule.steps - step
    return schedule.peak * min((step + 1) / rise, 1.0, 4 * left / schedule.steps)


class Learner:
    """A model that learns, its running average, and a file in which both outlast a stop."""

    def __init__(self, model: Any, state: Path, slow: Sequence[torch.nn.Module] = ()) -> None:
        self.model, self._state = model, state
        self.averaged = copy.deepcopy(model).requires_grad_(False).eval()
        later = {id(weight) for part in slow for weight in part.parameters()}
        fast = [weight for weight in model.parameters() if id(weight) not in later]
        kept_back = [weight for weight in model.parameters() if id(weight) in later]
        groups = [{"params": fast, "share": 1.0}, {"params": kept_back, "share": _TEXT_SHARE}]
        self._optimiser = torch.optim.AdamW(groups, lr=0.0, betas=(0.9, 0.98), weight_decay=0.01)
        self.step = 0
        if state.exists():
            self._take_up()

    def run(self, schedule: Schedule, until: int, loss: Callable[[int], torch.Tensor]) -> None:
        """Take the steps before `until` that were not taken yet.

        Args:
            schedule: How long and how fast.
            until: The step before which to stop.
            loss: The loss of one step, a pure function of the model and the step's number.
        """
        began, recent = time.monotonic(), []
        while self.step < until:
            torch.manual_seed(self.step)
            with torch.autocast("cpu", torch.bfloat16):
                found = loss(self.step)
            recent.append(self._learn(found, rate(self.step, schedule)))
            if self.step % _EVERY == 0 or self.step == until:
                told = f"{self._state.stem} step {self.step}  {time.monotonic() - began:.0f} s"
                print(f"{told}  loss {np.mean(recent):.4f}", flush=True)
                recent = []
                self._keep()

    def _learn(self, loss: torch.Tensor, pace: float) -> float:
        """Take one step and return its loss."""
        for group in self._optimiser.param_groups:
            group["lr"] = pace * group["share"]
        self._optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self._optimiser.step()
        self.step += 1
        fresh = max(1 - _AVERAGING, 9 / (self.step + 9))
        with torch.no_grad():
            pairs = zip(self.averaged.parameters(), self.model.parameters(), strict=True)
            for average, weight in pairs:
                average.lerp_(weight, fresh)
        return float(loss.detach())

    def _keep(self) -> None:
        kept = {
            "model": self.model.state_dict(),
            "averaged": self.averaged.state_dict(),
            "optimiser": self._optimiser.state_dict(),
            "step": self.step,
        }
        torch.save(kept, self._state.with_suffix(".new"))
        os.replace(self._state.with_suffix(".new"), self._state)

    def _take_up(self) -> None:
        kept = torch.load(self._state, weights_only=True)
        self.model.load_state_dict(kept["model"])
        self.averaged.load_state_dict(kept["averaged"])
        self._optimiser.load_state_dict(kept["optimiser"])
        self.step = kept["step"]


def reconstruction(vae: Any, pictures: torch.Tensor, things: torch.Tensor) -> torch.Tensor:
    """Return how far pictures come back from what they were.

    Single pixels count, and means of 2 × 2 and of 4 × 4 of them, or the few numbers of a latent go to fine
    grain first. Things count six times as much as what they stand on, or the grass takes them all.

    Args:
        vae: The autoencoder.
        pictures: Pictures, (image, 3, 64, 64).
        things: Where their things are, (image, 1, 64, 64).
    """
    code = vae.encode(pictures).latent_dist
    off = vae.decode(code.sample()).sample.float() - pictures
    weight = 1 + 5 * functional.max_pool2d(things, 5, stride=1, padding=2)
    total: torch.Tensor = 1e-4 * code.kl().mean() / code.mean[0].numel()
    for side in (1, 2, 4):
        coarse = functional.avg_pool2d(off, side).abs() * functional.avg_pool2d(weight, side)
        total = total + coarse.mean() / weight.mean()
    return total


def train_vae(work: Path, pool: Pool, schedule: Schedule, until: int) -> Any:
    """Train the autoencoder, or take it up again."""
    torch.manual_seed(0)
    learner = Learner(new_vae(), work / "vae.pt")

    def loss(step: int) -> torch.Tensor:
        dice = Dice(8, step)
        rows = [dice.below(len(pool.pixels)) for _ in range(schedule.images)]
        masks = [scene(row, seed=_SEED).masks.any(axis=0) for row in rows]
        things = torch.from_numpy(np.stack(masks)[:, None]).float()
        return reconstruction(learner.model, scaled(pool.pixels[rows]), things)

    learner.run(schedule, until, loss)
    return learner.averaged


@torch.no_grad()
def white_latents(vae: Any, pool: Pool, path: Path) -> torch.Tensor:
    """Return white latents (image, channel, 16, 16) of a pool, and make the autoencoder give such.

    They are kept in a file as the autoencoder gave them before.
    """
    if not path.exists():
        parts = (scaled(pool.pixels[start : start + 100]) for start in range(0, len(pool.pixels), 100))
        with torch.autocast("cpu", torch.bfloat16):
            means = [vae.encode(part).latent_dist.mean.float() for part in parts]
        torch.save(torch.cat(means), path)
    return whiten(vae, torch.load(path, weights_only=True))


def train_unet(
    work: Path, pool: Pool, latents: torch.Tensor, schedule: Schedule, until: int
) -> torch.nn.ModuleDict:
    """Train the UNet with its text encoder, or take them up again."""
    torch.manual_seed(1)
    tokenizer = build_tokenizer()
    told = json.loads((clip_dir() / "open_clip_config.json").read_text(encoding="utf-8"))
    weights = load_file(clip_dir() / "open_clip_model.safetensors")
    encoder = text_encoder(weights, told["model_cfg"]["text_cfg"], tokenizer)
    unet = new_unet()
    unet.set_attn_processor(AttnProcessor())
    both = torch.nn.ModuleDict({"unet": unet, "encoder": encoder})
    learner = Learner(both, work / "unet.pt", slow=(encoder,))
    noising = training_noise()
    names = [
        [values[code] for values, code in zip(VALUES.values(), codes, strict=True)] for codes in pool.codes
    ]

    def loss(step: int) -> torch.Tensor:
        dice = Dice(7, step)
        rows = [dice.below(len(latents)) for _ in range(schedule.images)]
        texts = [painter_prompt(dict(zip(VALUES, names[row], strict=True)), dice) for row in rows]
        ids = tokenizer(texts, padding="max_length", truncation=True, max_length=CONTEXT_LENGTH)["input_ids"]
        clean = latents[rows]
        noise = torch.randn_like(clean)
        spread = (torch.arange(schedule.images) + torch.rand(schedule.images)) / schedule.images
        times = (spread * len(noising.timesteps)).long()
        noisy, wanted = noising.add_noise(clean, noise, times), noising.get_velocity(clean, noise, times)
        states = encoder(torch.tensor(ids)).last_hidden_state
        found: torch.Tensor = (unet(noisy, times, states).sample.float() - wanted).square().mean()
        return found

    learner.run(schedule, until, loss)
    trained: torch.nn.ModuleDict = learner.averaged
    return trained


def train(out: Path, work: Path, *, pool_size: int, vae: Schedule, unet: Schedule, until: int) -> None:
    """Train the tiny painter and save it; take up where an earlier run of the same work folder stopped.

    Where that run had come to the end, the pipeline is only saved.

    Args:
        out: The folder of the pipeline.
        work: The folder of the painted pool, its latents and the state of the training.
        pool_size: Painted scenes.
        vae: How the autoencoder learns.
        unet: How the UNet learns.
        until: The step of the UNet before which to stop.
    """
    pool = open_pool(work, pool_size, scenes_without_bias)
    trained = train_vae(work, pool, vae, vae.steps)
    latents = white_latents(trained, pool, work / f"latents-{pool_size}-{vae.steps}.pt")
    both = train_unet(work, pool, latents, unet, until)
    save_pipeline(trained, both["unet"], both["encoder"], build_tokenizer(), out)


def main() -> None:
    """Read the options and train."""
    parser = argparse.ArgumentParser(prog="python -m belvedere.demo.train_painter", description=__doc__)
    parser.add_argument("--out", type=Path, default=painter_dir(), help="folder of the pipeline")
    parser.add_argument(
        "--work", type=Path, default=Path("build/train-painter"), help="folder of pool and states"
    )
    parser.add_argument("--vae-steps", type=int, default=2600, help="steps of the autoencoder")
    parser.add_argument("--steps", type=int, default=7600, help="steps of the UNet")
    parser.add_argument("--pool", type=int, default=20000, help="painted scenes")
    given = parser.parse_args()
    torch.set_num_threads(1)
    train(
        given.out,
        given.work,
        pool_size=given.pool,
        vae=Schedule(given.vae_steps, images=4, peak=1.5e-3),
        unet=Schedule(given.steps, images=32, peak=1e-3),
        until=given.steps,
    )


if __name__ == "__main__":
    main()
