"""torch: tensors, batches in order, and data sets that a loader reads a batch of at once."""

from __future__ import annotations

import multiprocessing
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

import belvedere
from belvedere.demo.scenes import test_scenes as scenes
from belvedere.query.store import Store
from belvedere.store.errors import AbsentRows, BadSelection, BadSource, MissingUnits, UnknownName
from tests.crew import LIBRARIES
from tests.worlds import World, add_pictures

ROOT = Path(__file__).parents[2]


@pytest.fixture
def torn(world: World, tmp_path: Path) -> Store:
    """Twelve pictures in a table: two have no label, one of those and another are no pictures."""
    photos = add_pictures(tmp_path / "photos", range(12))
    labels = {number: "cat" if number % 3 else "ant" for number in range(12)}
    rows = [f"{n:05}.png,{'' if n in (4, 5) else labels[n]},{'ab'[n // 6]}" for n in range(12)]
    (photos / "table.csv").write_text("\n".join(["path,label,grp", *rows]))
    for number in (5, 9):
        (photos / f"{number:05}.png").write_bytes(b"not a picture")
    store = belvedere.open(tmp_path / "torn")
    store.add_model("m", world.source)
    store.add_images("torn", photos / "table.csv")
    return store


def test_a_tensor_has_the_numbers_that_numpy_has(kept: Store) -> None:
    view = kept.view("head_contributions")
    for index in (..., 3, (0, 0, 0, 0), slice(None, None, -7), ([3, 1], -1), np.s_[:0]):
        found = view.to_torch(index)
        assert (found.dtype, found.device.type) == (torch.float32, "cpu")
        np.testing.assert_array_equal(found.numpy(), view[index])
    assert kept.view("head_moments").to_torch().dtype == torch.float64


def test_a_tensor_of_what_is_missing_raises_or_has_nan(store: Store, torn: Store) -> None:
    with pytest.raises(MissingUnits):
        store.view("image_embeddings").to_torch(missing="raise")
    assert store.view("image_embeddings").to_torch(missing="mask").isnan().all()
    torn.view("image_embeddings").fill()
    rows = torn.view("image_embeddings").to_torch(missing="mask").isnan().any(1)
    assert torch.nonzero(rows).flatten().tolist() == [5, 9]
    with pytest.raises(AbsentRows):
        torn.view("image_embeddings").to_torch()


@pytest.mark.parametrize("index", [..., np.s_[280:3:-1, 1], np.s_[[7, 299, 7], [1, 0], [0]], np.s_[:0]])
def test_batches_put_together_are_the_array(kept: Store, index: Any) -> None:
    view = kept.view("head_contributions")
    batches = list(view.iter_batches(64, index=index))
    outer = view._outer(index, "raise")
    assert [len(batch) for batch in batches[:-1]] == [64] * (len(batches) - 1)
    places = np.arange(300)[index[0] if isinstance(index, tuple) else index]
    np.testing.assert_array_equal(np.concatenate([[], *(batch.positions for batch in batches)]), places)
    if len(places):
        found = np.concatenate([batch.values for batch in batches])
        np.testing.assert_allclose(found, outer, atol=1e-6)


def test_a_batch_fills_no_more_than_the_units_it_touches(store: Store) -> None:
    batches = store.view("token_contributions").iter_batches(5, index=slice(2, 40))  # 8 images a unit
    filled = []
    for _ in range(3):
        with belvedere.trace() as seen:
            next(batches)
        filled.append([each.split("[")[1] for each in seen.of("compute")])
    assert filled == [["layer 0:2]", "image 0:8]"], ["image 8:16]"], ["image 16:24]"]]
    assert store.view("token_contributions").status().ready == 3


def test_batches_raise_for_images_that_could_not_be_read_or_skip_them(torn: Store) -> None:
    view = torn.view("image_embeddings")
    first, second, *rest = view.iter_batches(4, absent="skip")
    assert [batch.positions.tolist() for batch in (first, second, *rest)] == [
        *([0, 1, 2, 3], [4, 6, 7], [8, 10, 11])
    ]
    np.testing.assert_array_equal(second.values, view[[4, 6, 7]])
    assert [len(each) for each in view.iter_batches(1, index=slice(4, 7), absent="skip")] == [1, 1]
    with pytest.raises(AbsentRows, match="no row for image 5"):
        list(view.iter_batches(4))


def test_batches_that_cannot_be_given_are_refused_at_once(store: Store) -> None:
    view = store.view("image_embeddings")
    refused: list[tuple[type[Exception], str, Any]] = [
        (BadSource, "batch_size=0: it starts at 1", lambda: view.iter_batches(0)),
        (BadSource, "missing='mask' is not known", lambda: view.iter_batches(missing="mask")),
        (
            BadSource,
            'absent=\'drop\' is not known; there are "raise", "skip"',
            lambda: view.iter_batches(absent="drop"),
        ),
        (
            BadSelection,
            "the axis image stays in batches: for a single row take 3:4",
            lambda: view.iter_batches(index=3),
        ),
        (BadSelection, "image 300 is outside", lambda: view.iter_batches(index=[300])),
        (MissingUnits, "1 of 1 units", lambda: next(view.iter_batches(missing="raise"))),
    ]
    for error, message, call in refused:
        with pytest.raises(error, match=message):
            call()
    assert view.status().ready == 0


def test_a_data_set_leaves_out_what_has_no_label_or_could_not_be_read(torn: Store) -> None:
    view = torn.view("head_contributions")
    data = view.dataset((slice(None), -1))
    assert (data.positions.tolist(), data.classes) == ([0, 1, 2, 3, 6, 7, 8, 10, 11], ("ant", "cat"))
    assert data.skipped == {"unreadable": 2, "unlabelled": 1}
    assert repr(data) == (
        "<ViewDataset head_contributions[m × torn]: 9 rows, 2 classes, "
        "2 unreadable left out, 1 unlabelled left out>"
    )
    row, target = data[3]
    assert (target, tuple(row.shape)) == (0, (2, 12))
    np.testing.assert_array_equal(row.numpy(), view[3, -1])
    assert data.targets is not None
    assert data.targets.tolist() == [0, 1, 1, 0, 0, 1, 1, 1, 1]


def test_the_classes_of_a_part_are_those_of_the_whole_set(torn: Store) -> None:
    data = torn.view("image_embeddings").dataset([8, 1, 9], label="grp")
    assert (data.positions.tolist(), data.classes) == ([8, 1], ("a", "b"))
    assert [target for _, target in data] == [1, 0]
    alone = torn.view("image_embeddings").dataset(slice(4, 6), label=None)
    assert (len(alone), alone.targets, alone.classes, tuple(alone[0].shape)) == (1, None, (), (12,))


def test_a_label_that_nothing_has_is_refused(kept: Store) -> None:
    with pytest.raises(
        BadSource, match=r"none of the 300 entries of 'photos' has a label; add the set again"
    ):
        kept.view("image_embeddings").dataset()
    with pytest.raises(
        UnknownName, match=r"along the axis image of image_embeddings 'lable'; did you mean 'label'"
    ):
        kept.view("image_embeddings").dataset(label="lable")
    with pytest.raises(UnknownName, match="label=None gives the rows alone"):
        kept.view("head_moments").dataset()


def test_a_loader_reads_a_whole_batch_at_once(torn: Store) -> None:
    data = torn.view("image_embeddings").dataset()
    whole = torn.view("image_embeddings")[data.positions.tolist()]
    with belvedere.trace() as seen:
        rows, targets = next(iter(DataLoader(data, batch_size=9)))
    assert len([path for path in seen.of("read") if "/embedding/" in path]) <= 2  # an index and one chunk
    np.testing.assert_array_equal(rows.numpy(), whole)
    assert targets.dtype == torch.int64


def test_workers_open_the_store_themselves_and_give_the_same_batches(torn: Store) -> None:
    data = torn.view("head_contributions").dataset()
    here = list(DataLoader(data, batch_size=4))
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(LIBRARIES)
    loader = DataLoader(data, batch_size=4, num_workers=2, multiprocessing_context=context)
    for (rows, targets), (known, classes) in zip(loader, here, strict=True):
        assert torch.equal(rows, known)
        assert torch.equal(targets, classes)


def test_a_store_used_in_a_forked_process_says_so_instead_of_waiting_for_ever(kept: Store) -> None:
    code = (
        "import os, sys, belvedere\n"
        "view = belvedere.open(sys.argv[1], 'r').view('image_embeddings')\n"
        "if not os.fork():\n"
        "    try:\n"
        "        view[:3]\n"
        "    except belvedere.BelvedereError as error:\n"
        "        print(type(error).__name__, error, flush=True)\n"
        "    os._exit(0)\n"
        "os.wait()\n"
        "print(view[:3].shape)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, kept.path], cwd=ROOT, capture_output=True, text=True, timeout=60
    )
    first, second = done.stdout.splitlines()
    assert first.startswith("Forked a store was used before this process was forked")
    assert 'multiprocessing_context="forkserver"' in first
    assert second == "(3, 12)"


def test_a_linear_probe_on_what_heads_write_tells_shapes_apart(tmp_path: Path) -> None:
    folder = tmp_path / "scenes"
    folder.mkdir()
    rows = ["path,label"]
    for scene in scenes(192):
        (folder / f"{scene.index:03}.png").write_bytes(scene.png())
        rows.append(f"{scene.index:03}.png,{scene.label}")
    (folder / "scenes.csv").write_text("\n".join(rows))
    store = belvedere.open(tmp_path / "store")
    store.add_model("clip", "demo:clip")
    store.add_images("scenes", folder / "scenes.csv")
    heads = store.view("head_contributions")

    torch.manual_seed(0)
    train, test = (heads.dataset((rows, slice(-2, None))) for rows in (slice(128), slice(128, None)))
    probe = torch.nn.Linear(2 * 4 * 64, len(train.classes))
    optimizer = torch.optim.Adam(probe.parameters(), lr=0.02)
    for _ in range(15):
        for inputs, targets in DataLoader(train, batch_size=64, shuffle=True):
            optimizer.zero_grad()
            loss: Any = torch.nn.functional.cross_entropy(probe(inputs.flatten(1)), targets)
            loss.backward()
            optimizer.step()
    (inputs, targets), *_ = DataLoader(test, batch_size=64)
    accuracy = (probe(inputs.flatten(1)).argmax(1) == targets).double().mean()
    assert accuracy > 3 / len(train.classes)
