"""A small world of rendered scenes, with tiny models really trained on it."""

from pathlib import Path

__all__ = [
    *("PAINTER_GUIDANCE", "PAINTER_STEPS"),
    *("captioner_dir", "classifier_dir", "clip_dir", "painter_dir"),
]

PAINTER_STEPS = 12
"""Steps of its scheduler with which the tiny painter paints best for the time that they take."""
PAINTER_GUIDANCE = 3.0
"""Weight of the prompt against no prompt with which it paints best."""


def clip_dir() -> Path:
    """Return the folder of the tiny CLIP, a checkpoint that open_clip loads as ``local-dir:<folder>``."""
    return Path(__file__).resolve().parent / "data" / "clip"


def classifier_dir() -> Path:
    """Return the folder of the tiny classifier, a model that timm loads as ``local-dir:<folder>``."""
    return Path(__file__).resolve().parent / "data" / "classifier"


def captioner_dir() -> Path:
    """Return the folder of the tiny captioner, a BLIP that transformers loads with ``from_pretrained``."""
    return Path(__file__).resolve().parent / "data" / "captioner"


def painter_dir() -> Path:
    """Return the folder of the tiny painter, a pipeline that diffusers loads by this path."""
    return Path(__file__).resolve().parent / "data" / "painter"
