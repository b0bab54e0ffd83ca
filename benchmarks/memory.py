"""Peak memory of a fill, which must not grow with the number of images."""

from __future__ import annotations

import resource
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from .copies import store_of
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
    store_of(folder, copies=images).view("head_contributions").fill()
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


if __name__ == "__main__":
    print(fill(Path(sys.argv[1]), int(sys.argv[2])))
