"""Network Dissection on images of one's own: masks are of the images' labels, or number their concepts."""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn

import belvedere
from belvedere.cli.entry import main
from belvedere.compute.neurons.overlap import enlarged
from belvedere.demo.scenes import Scene
from belvedere.demo.scenes import test_scenes as scenes
from belvedere.demo.words import VALUES
from belvedere.store.errors import BadSource, NotAnnotated, UnknownName
from tests.known_neurons import store_of

COLOURS, GROUNDS = VALUES["colour"], VALUES["background"]
COUNT = 40
ASKED: dict[str, Any] = {"model": "known", "module": "colours"}
"""The layer with a neuron for each colour."""


def number(concept: str) -> int:
    """Number a concept in masks: colours from 1, backgrounds from 101."""
    return COLOURS.index(concept) + 1 if concept in COLOURS else GROUNDS.index(concept) + 101


def mask(scene: Scene) -> NDArray[np.uint8]:
    """Paint where a scene's colour and background are; its upper left corner is of no concept."""
    found = np.where(scene.masks.any(axis=0), number(scene.colour), number(scene.background)).astype(np.uint8)
    found[:6, :6] = 255
    return found


def written(folder: Path, chosen: Sequence[Scene]) -> None:
    """Write scenes whose bytes are nobody's, their masks, and a table of the masks' numbers."""
    for name in ("photos", "masks"):
        (folder / name).mkdir()
    for scene in chosen:
        pixels = scene.pixels().copy()
        pixels[0, 0] = 0
        Image.fromarray(pixels).save(folder / "photos" / f"{scene.index:03}.png")
        Image.fromarray(mask(scene)).save(folder / "masks" / f"{scene.index:03}.png")
    rows = [f"{number(each)},{each}" for each in (*COLOURS, *GROUNDS)]
    (folder / "concepts.csv").write_text("\n".join(["value,concept", *rows]))


@pytest.fixture
def store(tmp_path: Path) -> belvedere.Store:
    """A store with the network, and scenes and masks beside it."""
    written(tmp_path, scenes(COUNT))
    return store_of(tmp_path / "store")


def test_numbers_of_masks_name_what_a_neuron_is_about(store: belvedere.Store, tmp_path: Path) -> None:
    concepts = tmp_path / "concepts.csv"
    added = store.add_images("own", tmp_path / "photos", masks=tmp_path / "masks", concepts=concepts)
    assert added.masks == COUNT
    masks = store.view("concept_masks", model="known", images="own", mask_side=64)
    names = masks._view.concepts
    assert names == (*COLOURS, *GROUNDS), "in the order of the table"
    truth = masks[...]
    for row, scene in enumerate(scenes(COUNT)):
        for place, name in enumerate(names):
            np.testing.assert_array_equal(truth[row, place], mask(scene) == number(name))
    np.testing.assert_array_equal(masks[3:9, 2:7, ::2, 5], truth[3:9, 2:7, ::2, 5])
    rows = store.view("network_dissection_labels", images="own", mask_side=64, **ASKED).df()
    maps = store.view("activation_maps", images="own", **ASKED)[...]
    for row in rows[rows["status"] == "ok"].dropna(subset="label").itertuples():
        active = enlarged(maps[:, row.neuron], 64, 64).astype(np.float32) > row.threshold
        there = truth[:, names.index(row.label)]
        assert row.score == pytest.approx((active & there).sum() / (active | there).sum())
    best = rows[rows["rank"] == 0].set_index("neuron")["label"]
    assert best.tolist() == list(COLOURS)


def test_without_numbers_a_mask_is_of_its_images_label(store: belvedere.Store, tmp_path: Path) -> None:
    table = ["path,label,mask"]
    for scene in scenes(COUNT):
        thing = Image.fromarray((scene.masks.any(axis=0) * 255).astype(np.uint8))
        thing.save(tmp_path / "masks" / f"{scene.index:03}.png")
        label = "" if scene.index == 4 else scene.colour
        table.append(f"photos/{scene.index:03}.png,{label},masks/{scene.index:03}.png")
    (tmp_path / "table.csv").write_text("\n".join(table))
    store.add_images("own", tmp_path / "table.csv")
    masks = store.view("concept_masks", model="known", images="own", mask_side=64)
    assert masks.fill(progress=False).absent == 1
    found = masks.read(missing="mask")
    assert [row for row in range(COUNT) if found.mask[row].all()] == [4]
    with pytest.raises(belvedere.BelvedereError, match="it has a mask, and neither a label nor concepts"):
        masks[4]
    for row, scene in enumerate(scenes(COUNT)):
        if row != 4:
            place = masks._view.concepts.index(scene.colour)
            np.testing.assert_array_equal(found[row, place], scene.masks.any(axis=0))
            assert found[row].sum() == scene.masks.any(axis=0).sum()
    rows = store.view("network_dissection_labels", images="own", **ASKED).df()
    seen = {each.colour for each in scenes(COUNT) if each.index != 4}
    best = rows[rows["rank"] == 0].set_index("neuron")["label"]
    assert {best[place] for place, colour in enumerate(COLOURS) if colour in seen} == seen


def test_masks_of_wide_pictures_are_cut_as_the_model_cuts_them(tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "masks").mkdir()
    halves = np.zeros((64, 200), np.uint8)
    halves[:, 100:] = 1
    Image.new("RGB", (200, 64), "teal").save(tmp_path / "photos" / "a.png")
    Image.fromarray(halves).save(tmp_path / "masks" / "a.png")
    store = belvedere.open(tmp_path / "store")
    store.add_model("net", "demo:classifier")
    store.add_images("wide", tmp_path / "photos", masks=tmp_path / "masks", concepts={1: "right"})
    found = store.view("concept_masks", mask_side=64)[0, 0]
    np.testing.assert_array_equal(found, np.arange(64)[None, :].repeat(64, 0) >= 32)


def test_what_masks_are_of_is_kept_in_subsets_and_when_images_come(
    store: belvedere.Store, tmp_path: Path
) -> None:
    late = tmp_path / "photos" / "039.png"
    data = late.read_bytes()
    late.unlink()
    asked: dict[str, Any] = {"masks": tmp_path / "masks", "concepts": tmp_path / "concepts.csv"}
    store.add_images("own", tmp_path / "photos", **asked)
    before = store.view("concept_masks", model="known", images="own")[...]
    query = "SELECT image_set, image_id FROM images WHERE image_set = 'own' AND image_id IN (7, 3) ORDER BY 2"
    store.add_images("few", sql=query)
    few = store.view("concept_masks", model="known", images="few")
    assert few._view.concepts == store.view("concept_masks", model="known", images="own")._view.concepts
    np.testing.assert_array_equal(few[...], before[[3, 7]])
    late.write_bytes(data)
    assert store.add_images("own", tmp_path / "photos", masks=tmp_path / "masks").new == 1
    after = store.view("concept_masks", model="known", images="own")
    np.testing.assert_array_equal(after[:39], before)
    assert after[39].any(), "what the numbers stand for holds for images that come later"


def test_images_that_come_with_further_concepts_leave_full_blocks_fresh(tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    rows = ["path,label,mask"]
    for number in range(260):
        Image.new("RGB", (8, 8), (number % 250, 9, 9)).save(tmp_path / "photos" / f"{number:03}.png")
        rows.append(f"photos/{number:03}.png,{'late' if number > 258 else 'cat'},mask.png")
    Image.new("L", (8, 8), 1).save(tmp_path / "mask.png")
    store = belvedere.open(tmp_path / "store")
    store.add_model("net", "demo:classifier")
    for count in (260, 261):
        (tmp_path / "table.csv").write_text("\n".join(rows[:count]))
        store.add_images("own", tmp_path / "table.csv")
        view = store.view("concept_masks", mask_side=8)
        assert view.plan().units == (2 if count == 260 else 1)
        assert view.fill(progress=False).complete
    assert view._view.concepts == ("cat", "late")
    assert view[259].any(axis=(1, 2)).tolist() == [False, True]


def test_sets_whose_masks_mean_several_things_are_refused(store: belvedere.Store, tmp_path: Path) -> None:
    store.add_images("own", tmp_path / "photos", masks=tmp_path / "masks", concepts=tmp_path / "concepts.csv")
    (tmp_path / "others").mkdir()
    Image.new("RGB", (64, 64)).save(tmp_path / "others" / "003.png")
    store.add_images("plain", tmp_path / "others", masks=tmp_path / "masks")
    with pytest.raises(BadSource, match="in some masks of 'both' numbers stand for concepts, and of others"):
        store.add_images("both", sql="SELECT image_set, image_id FROM images WHERE image_set <> 'scenes'")


def test_a_mask_stands_upright_as_its_own_orientation_says(tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "masks").mkdir()
    Image.new("RGB", (64, 64), "teal").save(tmp_path / "photos" / "a.png")
    upper = np.zeros((64, 64), np.uint8)
    upper[:32] = 1
    exif = Image.Exif()
    exif[274] = 3  # turned by 180 degrees
    Image.fromarray(upper).save(tmp_path / "masks" / "a.png", exif=exif)
    store = belvedere.open(tmp_path / "store")
    store.add_model("net", "demo:classifier")
    store.add_images("own", tmp_path / "photos", masks=tmp_path / "masks", concepts={1: "lower"})
    found = store.view("concept_masks", mask_side=64)[0, 0]
    np.testing.assert_array_equal(found, np.arange(64)[:, None].repeat(64, 1) >= 32)


def test_other_names_for_the_numbers_and_other_masks_make_other_masks(
    store: belvedere.Store, tmp_path: Path
) -> None:
    asked: dict[str, Any] = {"masks": tmp_path / "masks", "concepts": {1: "one", 2: "two"}}
    store.add_images("own", tmp_path / "photos", **asked)
    first = store.view("concept_masks", model="known", images="own")
    assert first.fill(progress=False).complete
    store.add_images("own", tmp_path / "photos", masks=tmp_path / "masks", concepts={1: "eins", 2: "zwei"})
    second = store.view("concept_masks", model="known", images="own")
    assert second._view.concepts == ("eins", "zwei")
    assert second.plan().units == 1
    assert second.fill(progress=False).complete
    Image.new("L", (64, 64), 1).save(tmp_path / "masks" / "000.png")
    os.utime(tmp_path / "masks" / "000.png", (1, 1))
    store.add_images("own", tmp_path / "photos", masks=tmp_path / "masks")
    third = store.view("concept_masks", model="known", images="own")
    assert third._view.concepts == ("eins", "zwei")
    assert third[0, 0].all()


def test_colours_and_numbers_too_large_are_no_masks_of_numbers(
    store: belvedere.Store, tmp_path: Path
) -> None:
    Image.new("RGB", (64, 64), "red").save(tmp_path / "masks" / "001.png")
    Image.fromarray(np.full((64, 64), 70_000, np.int32)).save(tmp_path / "masks" / "002.tif")
    (tmp_path / "masks" / "002.png").unlink()
    store.add_images("own", tmp_path / "photos", masks=tmp_path / "masks", concepts={1: "one"})
    masks = store.view("concept_masks", model="known", images="own")
    for row, why in ((1, "its pixels are colours"), (2, "its numbers go beyond 65535")):
        with pytest.raises(belvedere.BelvedereError, match=why):
            masks[row]


@pytest.mark.parametrize(
    ("table", "error", "why"),
    [
        ("value,concept\nx,cat", BadSource, "'x' = 'cat'; each is a number from 0 to 65535 and a name"),
        ("value,concept\n-1,cat", BadSource, "'-1' = 'cat'"),
        ("value,concept\n1,", BadSource, "'1' = ''; each is a number"),
        ("value,concept\n1,cat\n1,dog", BadSource, "1 stands for 'cat' and for 'dog'"),
        ("value,concept\n", BadSource, "names no number"),
        ("number,concept\n1,cat", UnknownName, "value"),
    ],
)
def test_a_table_that_cannot_be_is_refused_and_adds_nothing(
    store: belvedere.Store, tmp_path: Path, table: str, error: type[Exception], why: str
) -> None:
    (tmp_path / "bad.csv").write_text(table)
    with pytest.raises(error, match=why):
        store.add_images("own", tmp_path / "photos", masks=tmp_path / "masks", concepts=tmp_path / "bad.csv")
    assert "own" not in store._engine.folder.names.image_sets()


def test_concepts_without_masks_and_masks_without_concepts_are_refused(
    store: belvedere.Store, tmp_path: Path
) -> None:
    with pytest.raises(BadSource, match="these images come without masks"):
        store.add_images("own", tmp_path / "photos", concepts={1: "one"})
    with pytest.raises(BadSource, match=r"is no \.csv or \.parquet table"):
        store.add_images("own", tmp_path / "photos", masks=tmp_path / "masks", concepts="classes.txt")
    store.add_images("own", tmp_path / "photos", masks=tmp_path / "masks")
    with pytest.raises(NotAnnotated, match="--masks DIR --concepts FILE"):
        store.view("concept_masks", model="known", images="own")
    with pytest.raises(BadSource, match="mask_side=0: from 1 to 512"):
        store.view("concept_masks", model="known", images="scenes", mask_side=0)


def test_the_command_takes_the_table(store: belvedere.Store, tmp_path: Path) -> None:
    said = CliRunner().invoke(
        main,
        [
            *("add", "images", "own", str(tmp_path / "photos"), "--masks", str(tmp_path / "masks")),
            *("--concepts", str(tmp_path / "concepts.csv"), "--store", str(tmp_path / "store")),
        ],
    )
    assert said.exit_code == 0, said.output
    assert "40 with masks" in said.output
    assert store.view("concept_masks", model="known", images="own").shape == (COUNT, 14, 112, 112)


def test_masks_in_which_no_number_means_anything_make_no_labels(
    store: belvedere.Store, tmp_path: Path
) -> None:
    store.add_images("own", tmp_path / "photos", masks=tmp_path / "masks", concepts={77: "nowhere"})
    labels = store.view("network_dissection_labels", images="own", **ASKED)
    assert labels.fill(progress=False).failed == 1
    (said,) = {each.message for each in store.errors()}
    assert said.startswith(
        "in no mask of 'own' is any of its 1 concepts: are the masks' numbers those of the"
    )


def test_masks_that_changed_are_told(store: belvedere.Store, tmp_path: Path) -> None:
    asked: dict[str, Any] = {"masks": tmp_path / "masks"}
    assert store.add_images("own", tmp_path / "photos", **asked, concepts={1: "one"}).changed == 0
    assert store.add_images("own", tmp_path / "photos", **asked).changed == 0
    Image.new("L", (64, 64), 1).save(tmp_path / "masks" / "000.png")
    assert store.add_images("own", tmp_path / "photos", **asked).changed == 1
    assert store.add_images("own", tmp_path / "photos", **asked, concepts={1: "eins"}).changed == COUNT


class Brightness(nn.Module):
    """A map of how bright a picture is, and one of how dark."""

    def forward(self, images: Tensor) -> Tensor:
        bright = images.mean(dim=1, keepdim=True)
        return torch.cat([bright, -bright], dim=1)


def test_where_preprocessing_pads_no_position_counts(tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "masks").mkdir()
    dice = np.random.default_rng(0)
    for number in range(6):
        pixels = dice.integers(60, 255, (16, 32), np.uint8)
        Image.fromarray(np.stack([pixels] * 3, axis=-1)).save(tmp_path / "photos" / f"{number}.png")
        Image.fromarray((pixels < 110).astype(np.uint8)).save(tmp_path / "masks" / f"{number}.png")

    def padded(picture: Image.Image) -> Tensor:
        found = torch.zeros(3, 32, 32)  # as dark as can be, above and below the picture
        found[:, 8:24] = torch.from_numpy(np.array(picture.resize((32, 16))).transpose(2, 0, 1)).float() / 255
        return found

    store = belvedere.open(tmp_path / "store")
    store.add_model("net", nn.Sequential(Brightness()).eval(), transform=padded, transform_id="padded")
    store.add_images("own", tmp_path / "photos", masks=tmp_path / "masks", concepts={1: "dark"})
    rows = store.view("network_dissection_labels", module="0", quantile=0.2, mask_side=32).df()
    best = rows[(rows["neuron"] == 1) & (rows["rank"] == 0)].iloc[0]
    maps = store.view("activation_maps", module="0")[:, 1, 8:24]
    masks = store.view("concept_masks", mask_side=32)[:, 0, 8:24]
    assert best.threshold == np.sort(maps.reshape(-1))[::-1][int(0.2 * maps.size)]
    active = maps > best.threshold
    assert best.score == pytest.approx((active & masks).sum() / (active | masks).sum())
    assert (best.label, best.score > 0.7) == ("dark", True)


def test_masks_that_changed_are_the_cause_also_after_images_came(
    store: belvedere.Store, tmp_path: Path
) -> None:
    late = [tmp_path / "photos" / f"{number:03}.png" for number in (38, 39)]
    kept = {each: each.read_bytes() for each in late}
    for each in late:
        each.unlink()
    asked: dict[str, Any] = {"masks": tmp_path / "masks", "concepts": tmp_path / "concepts.csv"}
    labels = partial(store.view, "network_dissection_labels", images="own", **ASKED)
    for fewer in (True, False):
        for each in () if fewer else late:
            each.write_bytes(kept[each])
        store.add_images("own", tmp_path / "photos", **asked)
        assert labels().fill(progress=False).complete
    Image.new("L", (64, 64), 1).save(tmp_path / "masks" / "000.png")
    store.add_images("own", tmp_path / "photos", **asked)
    assert labels().status().causes == ("masks of 'own' changed",)


def test_masks_that_changed_beside_images_that_came_are_a_cause_of_their_own(tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "masks").mkdir()

    def write(numbers: range) -> None:
        for number in numbers:
            Image.new("RGB", (8, 8), (number % 250, 9, 9)).save(tmp_path / "photos" / f"{number:03}.png")
            Image.new("L", (8, 8), 1).save(tmp_path / "masks" / f"{number:03}.png")

    write(range(258))
    store = belvedere.open(tmp_path / "store")
    store.add_model("net", "demo:classifier")
    asked: dict[str, Any] = {"masks": tmp_path / "masks", "concepts": {1: "one"}}
    masks = partial(store.view, "concept_masks", images="own", mask_side=8)
    store.add_images("own", tmp_path / "photos", **asked)
    assert masks().fill(progress=False).complete
    write(range(258, 260))
    store.add_images("own", tmp_path / "photos", **asked)
    assert masks().status().causes == ("images appended: 258 → 260",)
    Image.new("L", (8, 8), 0).save(tmp_path / "masks" / "000.png")
    store.add_images("own", tmp_path / "photos", **asked)
    assert set(masks().status().causes) == {"images appended: 258 → 260", "masks of 'own' changed"}
