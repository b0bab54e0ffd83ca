"""Peak memory of a fill, which must not grow with the number of images."""

from __future__ import annotations

import resource
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import belvedere as bv

from .row import Row


def rows() -> Iterator[Row]:
    """Fill 1,000 and 10,000 images, each in a process of its own."""
    few, many = (_peak(count) for count in (1_000, 10_000))
    yield Row("peak memory of filling 10,000 images, against 1,000", many / few, 1.1)


def _peak(images: int) -> int:
    """Give the peak resident memory of a process that fills so many images, in kilobytes."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "benchmarks.memory", folder, str(images)]
        return int(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def fill(folder: Path, images: int) -> int:
    """Fill the demo model's heads for copies of a few scenes under many names; give this process's peak."""
    from belvedere.demo.scenes import scene

    pictures = [scene(index).png() for index in range(20)]
    (folder / "pictures").mkdir()
    for number in range(images):
        (folder / "pictures" / f"{number:05}.png").write_bytes(pictures[number % 20] + str(number).encode())
    store = bv.open(folder / "store")
    store.add_model("clip", "demo:clip")
    store.add_images("copies", folder / "pictures")
    store.view("head_contributions").fill()
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


if __name__ == "__main__":
    print(fill(Path(sys.argv[1]), int(sys.argv[2])))
