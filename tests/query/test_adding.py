"""Names are given once, appended to, replaced when asked, and never lost to another process."""

from __future__ import annotations

import io
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image

import belvedere
from belvedere.compute.images.decoding import decode, measure
from belvedere.compute.images.pictures import Pictures
from belvedere.compute.running import image_pass
from belvedere.store.errors import BadSource, NameTaken
from belvedere.store.views import Member
from tests.worlds import World, add_pictures, engine, picture


def entries(store: belvedere.Store, name: str) -> list[tuple[Any, ...]]:
    query = "SELECT image_id, parse_filename(path), label FROM images WHERE image_set = $name ORDER BY 1"
    return store.sql(query, {"name": name}).fetchall()


def test_a_list_is_not_another_list_of_equal_length(store: belvedere.Store, tmp_path: Path) -> None:
    add_pictures(tmp_path / "a", range(6))
    paths = sorted((tmp_path / "a").iterdir())
    store.add_images("x", paths[:3])
    with pytest.raises(NameTaken, match="image set 'x' stands for 3 images from a list of 3"):
        store.add_images("x", paths[3:])
    assert store.add_images("x", [paths[5], *paths[:3]]).new == 1
    assert [name for _, name, _ in entries(store, "x")] == [paths[place].name for place in (0, 1, 2, 5)]


def test_adding_again_keeps_labels_that_are_not_given_anew(store: belvedere.Store, tmp_path: Path) -> None:
    add_pictures(tmp_path / "p" / "cat", range(2))
    store.add_images("x", tmp_path / "p", labels="folder")
    add_pictures(tmp_path / "p" / "dog", [5])
    store.add_images("x", tmp_path / "p")
    assert [label for _, _, label in entries(store, "x")] == ["cat", "cat", None]
    store.add_images("x", tmp_path / "p", labels="folder")
    assert [label for _, _, label in entries(store, "x")] == ["cat", "cat", "dog"]


def test_files_that_did_not_change_are_not_read_again(
    store: belvedere.Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_pictures(tmp_path / "p", range(3))
    store.add_images("x", tmp_path / "p")
    (tmp_path / "p" / "00001.png").write_bytes(picture(77))
    read: list[str] = []
    real = Pictures.read

    def told(self: Pictures, path: str) -> bytes:
        read.append(Path(path).name)
        return real(self, path)

    monkeypatch.setattr(Pictures, "read", told)
    assert store.add_images("x", tmp_path / "p").new == 0
    assert read == ["00001.png"]


def test_a_path_that_is_named_twice_is_refused(store: belvedere.Store, tmp_path: Path) -> None:
    add_pictures(tmp_path, [1])
    (tmp_path / "t.csv").write_text("path,label\n00001.png,cat\n00001.png,dog\n")
    with pytest.raises(BadSource, match=r"names .*00001\.png twice; copy the file if it is to count twice"):
        store.add_images("x", tmp_path / "t.csv")


def test_labels_are_refused_where_there_is_no_folder(store: belvedere.Store, tmp_path: Path) -> None:
    add_pictures(tmp_path, [1])
    with pytest.raises(BadSource, match="labels='folder' goes with a folder"):
        store.add_images("x", f"{tmp_path}/*.png", labels="folder")
    with pytest.raises(BadSource, match="labels='name': only 'folder' gives labels"):
        store.add_images("x", tmp_path, labels="name")  # type: ignore[arg-type]


def test_of_two_processes_that_append_at_once_neither_loses_its_images(
    store: belvedere.Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_pictures(tmp_path / "p", range(2))
    store.add_images("x", tmp_path / "p")
    add_pictures(tmp_path / "p", [2])
    names = engine(store).folder.names
    real, other = type(names).put_image_set, belvedere.open(store.path)

    def late(self: Any, images: Any, after: int) -> bool:
        monkeypatch.setattr(type(names), "put_image_set", real)
        add_pictures(tmp_path / "p", [3])
        assert other.add_images("x", tmp_path / "p").new == 3
        return real(self, images, after)

    monkeypatch.setattr(type(names), "put_image_set", late)
    add_pictures(tmp_path / "p", [4])
    store.add_images("x", tmp_path / "p")
    assert [place for place, _, _ in entries(store, "x")] == list(range(5))
    assert sorted(name for _, name, _ in entries(store, "x")) == [f"{n:05}.png" for n in range(5)]


def test_categories_that_are_numbers_become_text(store: belvedere.Store, tmp_path: Path) -> None:
    pq.write_table(pa.table({"text": ["a", "b"], "category": [0, 1]}), tmp_path / "t.parquet")
    store.add_texts("numbers", tmp_path / "t.parquet")
    found = store.sql("SELECT text, category FROM texts WHERE text_set = 'numbers' ORDER BY text_id")
    assert found.fetchall() == [("a", "0"), ("b", "1")]


@pytest.mark.parametrize("settings", [{"batch_size": 0}, {"batch_size": -1}, {"workers": 0}])
def test_batches_and_workers_start_at_one(store: belvedere.Store, settings: dict[str, int]) -> None:
    with pytest.raises(BadSource, match="both start at 1"):
        store.view("image_embeddings").fill(**settings)
    assert store.view("image_embeddings").status().ready == 0


def test_decoding_in_threads_leaves_the_filters_of_warnings_alone() -> None:
    data = picture(1)
    before = list(warnings.filters)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(decode, [data] * 200))
        list(pool.map(measure, [data] * 200))
    assert list(warnings.filters) == before


def test_a_picture_with_absurdly_many_pixels_is_unreadable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 200)
    with pytest.raises(belvedere.BelvedereError, match="too large to decode safely"):
        decode(picture(1))


def test_values_too_large_for_half_width_are_refused() -> None:
    member = Member("factor", ("image",), (2,), "float16", (2,))
    with pytest.raises(OverflowError, match="factor has values too large for float16; use dtype='float32'"):
        image_pass.narrowed(np.array([1.0, 70000.0], np.float32), member)


def test_a_mended_picture_leaves_the_errors(world: World, tmp_path: Path) -> None:
    store = belvedere.open(tmp_path / "store")
    store.add_model("m", world.source)
    folder = add_pictures(tmp_path / "p", range(4))
    (folder / "00002.png").write_text("broken")
    store.add_images("x", folder)
    view = "image_embeddings"
    assert store.view(view).fill().absent == 1
    assert [error.row for error in store.errors()] == [2]
    sink = io.BytesIO()
    Image.new("RGB", (16, 16), "red").save(sink, "PNG")
    (folder / "00002.png").write_bytes(sink.getvalue())
    store.add_images("x", folder)
    assert store.view(view).fill().absent == 0
    assert store.errors() == []
    assert store.view(view)[:].shape == (4, 12)


def test_a_batch_of_texts_that_does_not_fit_is_halved(
    store: belvedere.Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    view = store.view("text_embeddings")
    model = engine(store).residents.get(view._view.model, "cpu")
    real, seen = model.encode_tokens, []

    def few(tokens: torch.Tensor) -> Any:
        seen.append(len(tokens))
        if len(tokens) > 4:
            raise torch.OutOfMemoryError
        return real(tokens)

    monkeypatch.setattr(model, "encode_tokens", few)
    assert view.fill(batch_size=12).complete
    assert seen == [12, 6, 3, 3, 3, 3]
    assert np.abs(np.linalg.norm(view[:], axis=1) - 1).max() < 1e-6


def test_what_changed_and_what_is_gone_is_told_and_only_their_rows_go(world: World, tmp_path: Path) -> None:
    store = belvedere.open(tmp_path / "store")
    store.add_model("m", world.source)
    folder = add_pictures(tmp_path / "p", range(4))
    store.add_images("x", folder)
    assert store.view("image_embeddings").fill().complete
    (folder / "00001.png").unlink()
    (folder / "00002.png").write_bytes(picture(99))
    add_pictures(folder, [7])
    added = store.add_images("x", folder)
    assert (added.count, added.new, added.changed, added.gone, added.unreadable) == (5, 1, 1, 1, 0)
    report = store.view("image_embeddings").fill()
    assert (report.filled, report.failed, report.absent) == (1, 0, 1)
    with pytest.raises(belvedere.BelvedereError, match=r"no row for image 1 \(the file was gone when"):
        store.view("image_embeddings")[:]
    add_pictures(folder, [1])
    assert store.add_images("x", folder).gone == 0
    assert store.view("image_embeddings")[:].shape == (5, 12)
