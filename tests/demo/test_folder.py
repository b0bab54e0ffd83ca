"""The image set as a folder."""

import csv
from pathlib import Path

from belvedere.demo import scenes
from belvedere.demo.folder import write_scenes


def test_a_folder_holds_the_pictures_and_their_truth(tmp_path: Path) -> None:
    table = write_scenes(tmp_path / "scenes", 5)
    assert table == tmp_path / "scenes" / "truth.csv"
    assert sorted(file.name for file in table.parent.iterdir()) == [
        "00000.png",
        "00001.png",
        "00002.png",
        "00003.png",
        "00004.png",
        "truth.csv",
    ]
    with table.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert rows[0] == {
        "image_id": "0",
        "shape": "square",
        "colour": "blue",
        "number": "3",
        "texture": "striped",
        "background": "night",
        "caption": "three striped blue squares in the night sky",
    }
    for row, scene in zip(rows, scenes.test_scenes(5), strict=True):
        assert row == {"image_id": str(scene.index), **scene.attributes, "caption": scene.caption}
        assert (table.parent / f"{scene.index:05d}.png").read_bytes() == scene.png()


def test_writing_again_changes_nothing(tmp_path: Path) -> None:
    write_scenes(tmp_path, 3)
    before = {file.name: file.read_bytes() for file in tmp_path.iterdir()}
    write_scenes(tmp_path, 3)
    assert {file.name: file.read_bytes() for file in tmp_path.iterdir()} == before
