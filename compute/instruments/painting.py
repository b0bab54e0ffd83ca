"""Painters: text-to-image pipelines of diffusers, from a folder or the hub, or the demo's own.

Each picture has a generator of its own, on the host, seeded for it alone: its noise does not depend on what
else is painted, in which order or batch. What is left to the batch is how the device rounds.
"""

from __future__ import annotations

import importlib.util
import inspect
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ...demo import PAINTER_GUIDANCE, PAINTER_STEPS, painter_dir
from ...store.errors import BadSource, UnknownName
from ..models.model_files import first_line
from ..running.room import in_room
from . import pipeline_folders

if TYPE_CHECKING:
    from PIL import Image

DEMO = "demo:painter"
SOURCES = ("diffusers:REPOSITORY", "diffusers:FOLDER", DEMO)
"""The sources that are known."""
BATCH = 16
"""Pictures that are painted at once, while the device has room for them."""
_FAINT = 2 / 255
"""A picture whose every channel spans no more than this, of 1, shows nothing."""


@dataclass(frozen=True, slots=True)
class Unpainted:
    """What is given back in the place of a picture that shows nothing."""

    reason: str
    """Why: withheld by a safety checker, not finite, or of one colour."""


@dataclass(frozen=True, slots=True)
class Painter:
    """A painter that was found, and not loaded yet."""

    source: str
    """What it was asked for by."""
    name: str
    """Its folder, or its repository on the hub."""

    def facts(self) -> dict[str, Any]:
        """Give what identifies it, made of what JSON has: its pipeline and each part of it, weights and all.

        Reads all weights, one tensor at a time; `BadSource` where they, or other files, cannot be read.
        """
        folder = pipeline_folders.fetch(self.name)
        own = {"defaults": {"steps": PAINTER_STEPS, "guidance": PAINTER_GUIDANCE}}
        return {
            "pipeline": pipeline_folders.settings(folder),
            "parts": pipeline_folders.parts_facts(folder),
            **(own if self.source == DEMO else {}),
        }

    def load(self, device: str, precision: str) -> LoadedPainter:
        """Load it on a device, in float32, float16 or bfloat16; `BadSource` where that cannot be done."""
        import torch
        from diffusers import DiffusionPipeline

        from ..models import loaded

        if precision not in loaded.PRECISIONS:
            raise BadSource(f"precision {precision!r} is none of {', '.join(loaded.PRECISIONS)}")
        place, folder = loaded.place(device), pipeline_folders.fetch(self.name)
        try:
            with _quiet():
                pipeline: Any = DiffusionPipeline.from_pretrained(
                    folder,
                    dtype=getattr(torch, precision),
                    low_cpu_mem_usage=importlib.util.find_spec("accelerate") is not None,
                )
        except Exception as error:  # whatever diffusers raises for parts that are absent or do not fit
            raise BadSource(f"{self.source} cannot be loaded: {first_line(error)}") from error
        pipeline.set_progress_bar_config(disable=True)
        return LoadedPainter(pipeline.to(place))


@dataclass(eq=False, slots=True)
class LoadedPainter:
    """A painter on a device."""

    pipeline: Any
    """The pipeline."""
    fits: int | None = None
    """How many pictures are known to fit at once, after more did not."""

    def paint(
        self, requests: Sequence[tuple[str, int]], *, steps: int, guidance: float
    ) -> list[Image.Image | Unpainted]:
        """Paint a picture for each request.

        Args:
            requests: Prompts, each with the seed of its noise.
            steps: Steps of the scheduler.
            guidance: Weight of the prompt against no prompt; 1 leaves the prompt as it is.

        Returns:
            A picture, or why there is none, for each request, in their order.

        Raises:
            BadSource: The pipeline has no use for one of these.
        """
        told = {"num_inference_steps": steps, "guidance_scale": guidance}
        strange = sorted(set(told) - set(inspect.signature(self.pipeline.__call__).parameters))
        if strange:
            raise BadSource(
                f"{type(self.pipeline).__name__} has no use for {', '.join(strange)}, and cannot be asked"
            )
        painted: list[Image.Image | Unpainted] = []
        for _, found in in_room(self, requests, BATCH, lambda part: self._batch(part, told)):
            painted += found
        return painted

    def _batch(self, requests: Sequence[tuple[str, int]], told: dict[str, Any]) -> list[Any]:
        import torch

        with _quiet():
            made = self.pipeline(
                prompt=[prompt for prompt, _ in requests],
                generator=[torch.Generator("cpu").manual_seed(seed) for _, seed in requests],
                output_type="np",
                **told,
            )
        withheld = getattr(made, "nsfw_content_detected", None) or [False] * len(requests)
        return [_finished(*each) for each in zip(made.images, withheld, strict=True)]


def find(source: str) -> Painter:
    """Find the painter that a source names; no weights are read.

    `diffusers:stable-diffusion-v1-5/stable-diffusion-v1-5`, `diffusers:FOLDER`, or `demo:painter`.

    Raises `UnknownName` for a source of another kind, and `BadSource` for files that are not there, or for
    a pipeline that does not paint from a text alone.
    """
    if source == DEMO:
        name = str(painter_dir())
    elif source.startswith("diffusers:"):
        name = source.removeprefix("diffusers:")
    else:
        raise UnknownName("source of painters", source, SOURCES)
    _refuse_unless_from_text(source, str(pipeline_folders.read_index(name).get("_class_name")))
    path = Path(name).expanduser()
    return Painter(source, str(path.resolve()) if path.is_dir() else name)


def _refuse_unless_from_text(source: str, kind: str) -> None:
    """Raise `BadSource` for a class of pipelines that is unknown, or needs more than a prompt."""
    import diffusers

    known = getattr(diffusers, kind, None)
    if known is None:
        raise BadSource(
            f"{source} is a {kind}, which diffusers {diffusers.__version__} has not; "
            "code that comes with a pipeline is not run"
        )
    takes = inspect.signature(known.__call__).parameters
    needed = {name for name, each in takes.items() if each.default is each.empty}
    needed -= {"self", "prompt", "args", "kwargs"}
    if not {"prompt", "generator"} <= set(takes) or needed or {"image", "num_frames"} & set(takes):
        raise BadSource(
            f"{source} is a {kind}, which does not paint a picture from a text alone; "
            "StableDiffusionPipeline and other text-to-image pipelines do"
        )


def _finished(pixels: Any, withheld: bool) -> Image.Image | Unpainted:
    """Turn pixels (y, x, channel) from 0 to 1 into a picture, or say why they are none."""
    from PIL import Image

    if withheld:
        return Unpainted("the pipeline's safety checker withheld it")
    if not np.isfinite(pixels).all():
        return Unpainted("it has pixels that are no numbers; a precision with more range may help")
    if float(np.ptp(pixels, axis=(0, 1)).max()) <= _FAINT:
        return Unpainted("it is of one colour")
    return Image.fromarray(np.rint(np.clip(pixels, 0, 1) * 255).astype(np.uint8))


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep diffusers and transformers from bars, from hints, and from warnings about their own code."""
    import diffusers
    import transformers

    for library in (diffusers, transformers):
        library.utils.logging.set_verbosity_error()
        library.utils.logging.disable_progress_bar()
    with warnings.catch_warnings():
        for kind in (DeprecationWarning, FutureWarning):
            warnings.filterwarnings("ignore", category=kind, module="diffusers")
        yield
