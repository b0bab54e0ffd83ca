"""Picture files that changed or vanished since they were added: noticed, named, and taken in when told."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

import belvedere
from belvedere.query.store import Store
from belvedere.query.upkeep.status import Status
from tests.worlds import World, picture

MODULE = "visual.transformer.resblocks.1.mlp.gelu"


@pytest.fixture
def own(world: World, tmp_path: Path) -> tuple[Store, Path]:
    """A filled store of 300 pictures in a folder that the test may change."""
    photos = Path(shutil.copytree(world.photos, tmp_path / "photos"))
    store = World(world.clip, photos).store(tmp_path / "store")
    store.view("head_descriptions").fill()
    return store, photos


def counts(status: Status) -> tuple[int, int, int]:
    """Give the numbers of ready, missing and stale units."""
    return status.ready, status.missing, status.stale


def test_a_file_that_changed_makes_its_units_and_those_above_stale_and_keeps_them_readable(
    own: tuple[Store, Path],
) -> None:
    store, photos = own
    before = store.view("head_contributions")[280]
    (photos / "00280.png").write_bytes(picture(9000))
    cause = (
        f"images changed on disk: 1 of 300 of 'photos', first {photos}/00280.png; "
        f"belvedere add images photos {photos} takes this in"
    )
    found = {status.view: (counts(status), status.causes) for status in store.status()}
    assert found == {
        "head_contributions[m × photos]": ((1, 0, 1), (cause,)),
        "head_descriptions[m × photos × words]": ((0, 0, 2), (cause,)),
        "head_moments[m × photos]": ((0, 0, 1), (cause,)),
        "text_embeddings[m × words]": ((1, 0, 0), ()),
        "tower_maps[m]": ((1, 0, 0), ()),
    }
    status = store.view("head_contributions").status()
    assert (status.fresh, status.bytes) == (False, store.view("head_contributions").status(disk=False).bytes)
    np.testing.assert_array_equal(store.view("head_contributions")[280], before)
    assert store.view("head_descriptions").fill().filled == 0


def test_when_the_change_is_taken_in_only_what_it_reaches_is_computed(own: tuple[Store, Path]) -> None:
    store, photos = own
    (photos / "00280.png").write_bytes(picture(9000))
    assert store.add_images("photos", photos).changed == 1
    status = store.view("head_contributions").status()
    assert (counts(status), status.causes) == ((1, 0, 1), ("images of 'photos' changed",))
    with belvedere.trace() as seen:
        store.view("head_contributions").fill()
    assert [detail.split("[")[1] for detail in seen.of("compute")] == ["image 256:300]"]
    assert store.view("head_contributions").status().fresh


def test_a_file_that_vanished_is_told_apart_from_one_that_changed(own: tuple[Store, Path]) -> None:
    store, photos = own
    for number in (5, 3):
        (photos / f"{number:05}.png").unlink()
    (photos / "00007.png").write_bytes(b"no picture any more")
    status = store.view("head_contributions").status()
    assert counts(status) == (1, 0, 1)
    assert [cause.partition("; ")[0] for cause in status.causes] == [
        f"images changed on disk: 1 of 300 of 'photos', first {photos}/00007.png",
        f"images gone from disk: 2 of 300 of 'photos', first {photos}/00003.png",
    ]


def test_a_file_that_was_only_touched_or_put_back_is_as_it_was(own: tuple[Store, Path]) -> None:
    store, photos = own
    os.utime(photos / "00003.png", ns=(1, 1))
    (photos / "00004.png").write_bytes(picture(9000))
    (photos / "00004.png").write_bytes(picture(4))
    assert all(status.fresh for status in store.status())


def test_a_change_that_keeps_size_and_moves_the_time_is_found_by_its_bytes(own: tuple[Store, Path]) -> None:
    store, photos = own
    data = bytearray((photos / "00003.png").read_bytes())
    data[-20] ^= 1
    (photos / "00003.png").write_bytes(data)
    os.utime(photos / "00003.png", ns=(1, 1))
    assert counts(store.view("head_contributions").status()) == (1, 0, 1)


def test_a_file_that_is_back_after_its_set_was_added_without_it_is_told(own: tuple[Store, Path]) -> None:
    store, photos = own
    (photos / "00003.png").unlink()
    store.add_images("photos", photos)
    store.view("image_embeddings").fill()
    assert store.view("image_embeddings").status().fresh, "it is absent, and that is what the set says"
    (photos / "00003.png").write_bytes(picture(3))
    status = store.view("image_embeddings").status()
    assert (counts(status), status.absent) == ((1, 0, 1), 1)
    assert status.causes[0].startswith("images that were gone are back on disk: 1 of 300 of 'photos'")


def test_nobody_looks_at_files_when_told_not_to(own: tuple[Store, Path]) -> None:
    store, photos = own
    shutil.rmtree(photos)
    assert counts(store.view("head_contributions").status()) == (0, 0, 2)
    assert store.view("head_contributions").status(disk=False).fresh
    assert all(status.fresh for status in store.status(disk=False))
    reader = belvedere.open(store.path, mode="r")
    assert not any(each.fresh for each in reader.status() if "photos" in each.view)


def test_units_that_are_not_there_are_missing_whatever_became_of_their_files(
    own: tuple[Store, Path],
) -> None:
    store, photos = own
    shutil.rmtree(photos)
    status = store.view("image_embeddings").status()
    assert (counts(status), status.causes) == ((0, 2, 0), ())


def test_one_picture_in_two_blocks_is_looked_at_in_both(world: World, tmp_path: Path) -> None:
    photos = tmp_path / "twins"
    photos.mkdir()
    for number in range(512):
        (photos / f"{number:05}.png").write_bytes(picture(number % 256))
    store = World(world.clip, photos).store(tmp_path / "store")
    store.view("image_embeddings").fill()
    (photos / "00300.png").write_bytes(picture(9000))
    assert counts(store.view("image_embeddings").status()) == (1, 0, 1)


def test_top_images_are_stale_through_the_blocks_beneath(own: tuple[Store, Path]) -> None:
    store, photos = own
    table = store.view("top_images", module=MODULE)
    table.fill()
    (photos / "00280.png").unlink()
    assert counts(table.status()) == (0, 0, 1)


def test_a_data_set_is_looked_at_by_its_files_and_then_by_its_rows(world: World, tmp_path: Path) -> None:
    def shard(numbers: list[int]) -> None:
        rows = [{"bytes": picture(number), "path": None} for number in numbers]
        kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
        pq.write_table(pa.table({"image": pa.array(rows, kind)}), tmp_path / "data" / "train.parquet")

    (tmp_path / "data").mkdir()
    shard([1, 2, 3])
    store = World(world.clip, tmp_path / "data").store(tmp_path / "store")
    view = store.view("image_embeddings")
    view.fill()
    shard([1, 2, 3])
    assert view.status().fresh, "other time, same bytes"
    shard([1, 9, 3])
    (cause,) = view.status().causes
    assert cause.startswith("images changed on disk: 1 of 3 of 'photos', first dataset:")
    (tmp_path / "data" / "train.parquet").unlink()
    (cause,) = view.status().causes
    assert cause.startswith("images gone from disk: 3 of 3 of 'photos'")


def test_pictures_that_were_in_memory_have_no_files_that_could_change(world: World, tmp_path: Path) -> None:
    store = belvedere.open(tmp_path / "store")
    store.add_model("m", world.source)
    store.add_images("drawn", [Image.new("L", (16, 16), shade) for shade in (0, 99)])
    store.view("image_embeddings").fill()
    assert store.view("image_embeddings").status().fresh
