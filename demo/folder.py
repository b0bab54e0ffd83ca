"""The image set ``demo:scenes`` as a folder of PNG files beside a table of its truth."""

import csv
from pathlib import Path

from .scenes import test_scenes
from .words import VALUES


def write_scenes(folder: Path, n: int = 2000) -> Path:
    """Write the first n test scenes as ``00000.png``, ``00001.png``, … and their truth as ``truth.csv``.

    Args:
        folder: Where to write; made if absent. Files of the same names are replaced.
        n: How many scenes.

    Returns:
        The path of the table: image_id, shape, colour, number, texture, background, caption, one row for each
        scene.
    """
    folder.mkdir(parents=True, exist_ok=True)
    table = folder / "truth.csv"
    with table.open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file, lineterminator="\n")
        rows.writerow(["image_id", *VALUES, "caption"])
        for scene in test_scenes(n):
            (folder / f"{scene.index:05d}.png").write_bytes(scene.png())
            rows.writerow([scene.index, *scene.attributes.values(), scene.caption])
    return table
