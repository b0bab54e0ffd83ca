"""Many pictures that are cheap to paint: copies of a few scenes under many names, each other bytes."""

from __future__ import annotations

from pathlib import Path

import belvedere as bv
from belvedere.demo.scenes import scene

DIFFERENT = 20


def store_of(folder: Path, **counts: int) -> bv.Store:
    """Make a store of the demo model and of so many pictures in files, by the name of their set."""
    pictures = [scene(index).png() for index in range(DIFFERENT)]
    store = bv.open(folder / "store")
    store.add_model("clip", "demo:clip")
    for name, count in counts.items():
        (folder / name).mkdir()
        for number in range(count):
            content = pictures[number % DIFFERENT] + f"{name} {number}".encode()
            (folder / name / f"{number:05}.png").write_bytes(content)
        store.add_images(name, folder / name)
    return store
