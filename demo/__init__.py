"""A small world of rendered scenes, with tiny models really trained on it."""

from pathlib import Path

__all__ = ["clip_dir"]


def clip_dir() -> Path:
    """Return the folder of the tiny CLIP, a checkpoint that open_clip loads as ``local-dir:<folder>``."""
    return Path(__file__).resolve().parent / "data" / "clip"
