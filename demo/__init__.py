"""A small world of rendered scenes, with tiny models really trained on it."""

from pathlib import Path

__all__ = ["captioner_dir", "classifier_dir", "clip_dir"]


def clip_dir() -> Path:
    """Return the folder of the tiny CLIP, a checkpoint that open_clip loads as ``local-dir:<folder>``."""
    return Path(__file__).resolve().parent / "data" / "clip"


def classifier_dir() -> Path:
    """Return the folder of the tiny classifier, a model that timm loads as ``local-dir:<folder>``."""
    return Path(__file__).resolve().parent / "data" / "classifier"


def captioner_dir() -> Path:
    """Return the folder of the tiny captioner, a BLIP that transformers loads with ``from_pretrained``."""
    return Path(__file__).resolve().parent / "data" / "captioner"
