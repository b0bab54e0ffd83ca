"""How often the demo's painter paints what a caption asks for, as the tiny CLIP sees it."""

import argparse
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import open_clip
import torch
from diffusers import DiffusionPipeline
from numpy.typing import NDArray
from PIL import Image

from . import PAINTER_GUIDANCE, PAINTER_STEPS, clip_dir, painter_dir
from .batches import normalise
from .scenes import Scene, scene
from .zeroshot import accuracy, embed_images, truth

_SEED = 6
_BATCH = 25


def asked_scenes(count: int) -> list[Scene]:
    """Return scenes, none of which was trained on, whose captions are asked for."""
    return [scene(index, seed=_SEED) for index in range(count)]


@torch.inference_mode()
def paint(
    folder: Path, prompts: Sequence[str], *, steps: int, guidance: float, scheduler: str | None = None
) -> NDArray[np.uint8]:
    """Paint a picture for each prompt, the first from noise of seed 0 and so on: RGB (image, 64, 64, 3).

    Args:
        folder: The pipeline.
        prompts: What to paint.
        steps: Steps of the scheduler.
        guidance: Weight of the prompt against no prompt.
        scheduler: A class of diffusers in the place of the pipeline's own scheduler.
    """
    pipeline: Any = DiffusionPipeline.from_pretrained(folder, dtype=torch.float32, low_cpu_mem_usage=False)
    pipeline.set_progress_bar_config(disable=True)
    if scheduler is not None:
        known = {each.__name__: each for each in pipeline.scheduler.compatibles}
        pipeline.scheduler = known[scheduler].from_config(pipeline.scheduler.config)
    painted = []
    for start in range(0, len(prompts), _BATCH):
        part = list(prompts[start : start + _BATCH])
        noise = [torch.Generator("cpu").manual_seed(start + row) for row in range(len(part))]
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", category=DeprecationWarning, module="diffusers")
            made = pipeline(
                prompt=part,
                generator=noise,
                num_inference_steps=steps,
                guidance_scale=guidance,
                output_type="np",
            )
        painted.append(np.rint(made.images * 255).astype(np.uint8))
    return np.concatenate(painted)


def judge(pictures: NDArray[np.uint8], scenes: Sequence[Scene]) -> Mapping[str, float]:
    """Return, for each attribute, the share of pictures whose value the tiny CLIP names as it was asked for.

    Args:
        pictures: RGB, (image, 64, 64, 3).
        scenes: What was asked for.
    """
    name = f"local-dir:{clip_dir()}"
    model = open_clip.create_model(name).eval()
    embeddings = embed_images(model, normalise(pictures))
    return accuracy(model, open_clip.get_tokenizer(name), embeddings, truth(scenes))


def sheet(pictures: NDArray[np.uint8], columns: int = 10) -> Image.Image:
    """Lay pictures out in rows."""
    rows = [
        np.concatenate(list(pictures[start : start + columns]), axis=1)
        for start in range(0, len(pictures) // columns * columns, columns)
    ]
    return Image.fromarray(np.concatenate(rows))


def main() -> None:
    """Read the options, paint and judge."""
    parser = argparse.ArgumentParser(prog="python -m belvedere.demo.judge_painter", description=__doc__)
    parser.add_argument("--painter", type=Path, default=painter_dir(), help="folder of the pipeline")
    parser.add_argument("--pictures", type=int, default=500, help="captions, one picture for each")
    parser.add_argument("--steps", type=int, default=PAINTER_STEPS, help="steps of the scheduler")
    parser.add_argument("--guidance", type=float, default=PAINTER_GUIDANCE, help="weight of the prompt")
    parser.add_argument("--scheduler", help="a scheduler of diffusers in the place of the painter's own")
    parser.add_argument("--sheet", type=Path, help="a PNG file for the first hundred pictures")
    given = parser.parse_args()
    scenes = asked_scenes(given.pictures)
    pictures = paint(
        given.painter,
        [each.caption for each in scenes],
        steps=given.steps,
        guidance=given.guidance,
        scheduler=given.scheduler,
    )
    print("  ".join(f"{name} {share:.3f}" for name, share in judge(pictures, scenes).items()))
    if given.sheet is not None:
        sheet(pictures[:100]).save(given.sheet)


if __name__ == "__main__":
    main()
