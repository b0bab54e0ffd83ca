"""The demo's scenes are known by their bytes alone, and so are their masks."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

import belvedere
from belvedere.demo.scenes import Scene
from belvedere.store.errors import NotAnnotated
from tests.worlds import picture


@pytest.mark.parametrize("view", ["foreground_masks", "concept_masks"])
def test_a_scene_has_its_masks_whatever_its_file_is_called(
    tests: Sequence[Scene], tmp_path: Path, view: str
) -> None:
    scenes, found = tests[3:6], []
    store = belvedere.open(tmp_path / "store")
    store.add_model("clip", "demo:clip")
    for name, called in (("odd", ["00005", "b", "c"]), ("named", ["00003", "00004", "00005"])):
        (tmp_path / name).mkdir()
        for file, scene in zip(called, scenes, strict=True):
            (tmp_path / name / f"{file}.png").write_bytes(scene.png())
        store.add_images(name, tmp_path / name)
        found.append(store.view(view, model="clip", images=name)[...])
    np.testing.assert_array_equal(*found)
    if view == "foreground_masks":
        np.testing.assert_array_equal(found[0], [scene.masks.any(axis=0) for scene in scenes])


def test_scenes_may_stand_after_other_pictures(tests: Sequence[Scene], tmp_path: Path) -> None:
    store = belvedere.open(tmp_path / "store")
    store.add_model("clip", "demo:clip")
    (tmp_path / "mixed").mkdir()
    for name, data in (("a", picture(1)), ("b", tests[7].png())):
        (tmp_path / "mixed" / f"{name}.png").write_bytes(data)
    store.add_images("mixed", tmp_path / "mixed")
    view = store.view("concept_masks")
    assert view.fill(progress=False).complete
    found = view.read(missing="mask")
    assert [bool(each.all()) for each in found.mask] == [True, False]
    (tmp_path / "mixed" / "b.png").unlink()
    store.add_images("others", tmp_path / "mixed")
    with pytest.raises(NotAnnotated, match="masks of concepts"):
        store.view("concept_masks", images="others")
