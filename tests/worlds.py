"""A small world for the tests of stores: a random model of two layers, pictures of 16 pixels, a few texts."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

import belvedere
from belvedere.query.engine import Engine
from belvedere.store.records import Record

SIDE, BLOCK = 16, 256
CONFIG: dict[str, Any] = {
    "model_cfg": {
        "embed_dim": 12,
        "vision_cfg": {"image_size": SIDE, "patch_size": 8, "layers": 2, "width": 16, "head_width": 8},
        "text_cfg": {"context_length": 12, "vocab_size": 49408, "width": 8, "heads": 2, "layers": 1},
    },
    "preprocess_cfg": {"mean": [0.5] * 3, "std": [0.25] * 3, "interpolation": "bicubic"},
}
TEXTS = [
    f"{size} {thing}" for size in ("a small", "a large", "no") for thing in ("dog", "star", "boat", "hat")
]


def make_clip(folder: Path, seed: int = 0, **sizes: int) -> Path:
    """Write an open_clip model folder whose every parameter, biases and norms included, is random.

    `sizes` are of the joint space (`embed_dim`) or of the vision tower, where they are others.
    """
    joint = sizes.pop("embed_dim", CONFIG["model_cfg"]["embed_dim"])
    tower = {**CONFIG["model_cfg"]["vision_cfg"], **sizes}
    config = {**CONFIG, "model_cfg": {**CONFIG["model_cfg"], "embed_dim": joint, "vision_cfg": tower}}
    import torch
    from open_clip.model import CLIP
    from safetensors.torch import save_file

    folder.mkdir(parents=True)
    (folder / "open_clip_config.json").write_text(json.dumps(config))
    dice = torch.Generator().manual_seed(seed)
    state = {}
    for name, value in sorted(CLIP(**config["model_cfg"]).state_dict().items()):
        wide = 0.3 if value.ndim > 1 else 0.2
        state[name] = wide * torch.randn(value.shape, generator=dice)
        if name.endswith((".weight", "logit_scale")) and value.ndim < 2:
            state[name] += 1  # norms vary around one
    save_file(state, folder / "open_clip_model.safetensors")
    return folder


def edit_weights(folder: Path, name: str, value: float) -> None:
    """Set one entry of one tensor of a model folder."""
    from safetensors.torch import load_file, save_file

    path = folder / "open_clip_model.safetensors"
    state = load_file(path)
    state[name].view(-1)[0] = value
    save_file(state, path)


def picture(number: int) -> bytes:
    """Draw the picture of a number: noise of 16 × 16 pixels, as PNG."""
    pixels = np.random.default_rng(number).integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8)
    sink = io.BytesIO()
    Image.fromarray(pixels).save(sink, "PNG", compress_level=1)
    return sink.getvalue()


def add_pictures(folder: Path, numbers: Iterable[int]) -> Path:
    """Put pictures into a folder, named so that they sort by number."""
    folder.mkdir(parents=True, exist_ok=True)
    for number in numbers:
        (folder / f"{number:05}.png").write_bytes(picture(number))
    return folder


@dataclass(frozen=True)
class World:
    """The parts of a store that are not the store."""

    clip: Path
    photos: Path

    @property
    def source(self) -> str:
        return f"open_clip:local-dir:{self.clip}"

    def add_to(self, store: belvedere.Store) -> belvedere.Store:
        """Register model `m`, images `photos`, texts `words`."""
        store.add_model("m", self.source)
        store.add_images("photos", self.photos)
        store.add_texts("words", TEXTS)
        return store

    def store(self, path: Path) -> belvedere.Store:
        """Make a store with everything registered and nothing computed."""
        return self.add_to(belvedere.open(path))


def engine(store: belvedere.Store) -> Engine:
    """Give what lies beneath the public store."""
    return store._engine


def records(store: belvedere.Store | Path) -> dict[str, Record]:
    """Read the records of all units, by the path of the record."""
    root = store if isinstance(store, Path) else store.path
    found = sorted((root / "units").rglob("*.json"))
    return {str(path.relative_to(root)): Record.from_json(path.read_bytes()) for path in found}


def contents(store: belvedere.Store | Path) -> dict[str, str]:
    """Digest every data object that belongs to a record, by unit and by its path in the unit."""
    root = store if isinstance(store, Path) else store.path
    return {
        f"{record.unit}/{kept.path}": hashlib.sha256(
            (root / record.attempt / kept.path).read_bytes()
        ).hexdigest()
        for record in records(root).values()
        for kept in record.objects
    }


def orphans(store: belvedere.Store | Path) -> list[str]:
    """List the data objects that belong to no record."""
    root = store if isinstance(store, Path) else store.path
    known = {f"{r.attempt}/{kept.path}" for r in records(root).values() for kept in r.objects}
    there = {str(path.relative_to(root)) for path in (root / "data").rglob("*") if path.is_file()}
    return sorted(there - known)
