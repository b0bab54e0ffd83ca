"""Things in images with masks are found and scored; masks are taken from folders, tables and data sets."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import belvedere
from belvedere.compute.attribution.segmentation import METRICS
from belvedere.compute.images.masks import decode
from belvedere.compute.images.stretch import over_input
from belvedere.compute.views.relevance_maps import METHODS
from belvedere.store.errors import (
    BadSource,
    NotAnnotated,
    UnitFailed,
    UnknownName,
    UnreadablePicture,
    UnsupportedTower,
)
from tests.shell import Run
from tests.worlds import SIDE, World, add_pictures

CLASSES = ["a dog", "a boat", "a star"]


def mask(number: int) -> np.ndarray:
    """Draw the mask of a picture: a block of it, elsewhere and of another size for each number."""
    found = np.zeros((SIDE, SIDE), np.uint8)
    left, high = number % 9, 3 + number % 5
    found[2 : 2 + high, left : left + 6] = 255
    return found


def add_masks(folder: Path, numbers: range, suffix: str = "png") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for number in numbers:
        Image.fromarray(mask(number)).save(folder / f"{number:05}.{suffix}")
    return folder


@pytest.fixture(scope="module")
def masked(world: World, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store of thirty pictures, twenty of which have masks, and three classes."""
    root = tmp_path_factory.mktemp("masked")
    store = belvedere.open(root / "store")
    store.add_model("m", world.source)
    pictures, masks = add_pictures(root / "photos", range(30)), add_masks(root / "masks", range(20))
    assert store.add_images("photos", pictures, masks=masks).masks == 20
    store.add_texts("classes", CLASSES)
    store.segment("decomposition")
    return root


@pytest.fixture
def store(masked: Path, tmp_path: Path) -> belvedere.Store:
    return belvedere.open(shutil.copytree(masked / "store", tmp_path / "store"))


def test_decomposition_is_the_papers_formula(store: belvedere.Store) -> None:
    tokens = store.view("token_contributions")[:20].sum((1, 2))[:, 1:].astype(np.float64)
    classes = store.view("text_embeddings")[...].astype(np.float64)
    images = store.view("image_embeddings")[:20].astype(np.float64)
    maps = store.view("relevance_maps")
    for image_id in range(20):
        said = int((classes @ images[image_id]).argmax())
        by_class = tokens[image_id] @ classes.T
        literal = (by_class[:, said] - by_class.mean(axis=1)).reshape(2, 2)
        np.testing.assert_allclose(maps[image_id], literal, atol=1e-5)
        assert maps.coords["class"][image_id] == said


def test_scores_are_those_of_the_counts_of_images_with_masks(store: belvedere.Store) -> None:
    found = store.segment(["decomposition", "rollout"])
    assert list(found.method) == ["decomposition", "rollout"]
    assert list(found.images) == [20, 20]
    rows = store.view("segmentation_counts").df()
    assert list(rows.image_id) == list(range(20))
    assert (rows.pixels == SIDE * SIDE).all()
    heat = np.clip(over_input(store.view("relevance_maps")[7], (SIDE, SIDE)), 0, None)
    truth, said = mask(7) > 0, heat > heat.mean()
    row = rows.loc[7]
    assert row.correct == (truth == said).sum()
    assert (row.thing_intersection, row.thing_union) == ((truth & said).sum(), (truth | said).sum())
    assert found.pixel_accuracy[0] == pytest.approx(rows.correct.sum() / rows.pixels.sum())
    iou = [
        rows[f"{each}_intersection"].sum() / rows[f"{each}_union"].sum() for each in ("background", "thing")
    ]
    assert found.mean_iou[0] == pytest.approx(np.mean(iou))
    assert found.mean_average_precision[0] == pytest.approx(rows.average_precision.mean())


def test_classes_that_are_called_otherwise_are_shown_by_their_new_names(
    store: belvedere.Store, tmp_path: Path
) -> None:
    before = store.view("segmentation_counts").df()["class"]
    rows = [f"{text},{text.upper()}" for text in CLASSES]
    (tmp_path / "t.csv").write_text("\n".join(["text,category", *rows]) + "\n")
    store.add_texts("classes", tmp_path / "t.csv", replace=True)
    with belvedere.trace() as seen:
        after = store.view("segmentation_counts").df()["class"]
    assert list(after) == [each.upper() for each in before]
    assert {each.partition("/")[0] for each in seen.of("compute")} == {"segmentation_counts"}


def test_how_patches_are_kept_matters_to_decomposition_alone(store: belvedere.Store) -> None:
    def keys(method: str) -> set[str]:
        asked: tuple[dict[str, str], ...] = ({}, {"convention": "clip_prs"}, {"dtype": "float16"})
        views = [store.view("segmentation_counts", method=method, **each)._view for each in asked]
        return {view.units[0].key for view in views}

    assert [len(keys(method)) for method in METHODS] == [3, 1, 1, 1, 1, 1, 1]
    store.segment("raw_attention")
    with belvedere.trace() as seen:
        store.segment("raw_attention", convention="clip_prs")
    assert seen.of("compute") == []


def test_every_method_stands_in_one_table(store: belvedere.Store) -> None:
    every = store.segment()
    assert list(every.method) == list(METHODS)
    rows = store.sql("SELECT method, metric, value, images FROM segmentation_scores").df()
    assert set(rows.method) == set(METHODS)
    assert set(rows.metric) == set(METRICS)
    assert rows.value.between(0, 1).all()
    with belvedere.trace() as seen:
        again = store.segment()
    assert seen.of("compute") == []
    assert again.equals(every)


def test_batches_change_nothing(store: belvedere.Store, masked: Path, world: World, tmp_path: Path) -> None:
    other = belvedere.open(tmp_path / "other")
    other.add_model("m", world.source)
    other.add_images("photos", masked / "photos", masks=masked / "masks")
    other.add_texts("classes", CLASSES)
    for method in ("decomposition", "chefer"):
        ours = store.segment(method, batch_size=8)
        theirs = other.segment(method, batch_size=3)
        np.testing.assert_allclose(
            store.view("relevance_maps", method=method)[...],
            other.view("relevance_maps", method=method)[...],
            atol=1e-5,
        )
        np.testing.assert_allclose(ours[list(METRICS)], theirs[list(METRICS)], atol=1e-2)


def test_more_images_compute_only_what_is_new(store: belvedere.Store, masked: Path, tmp_path: Path) -> None:
    photos = shutil.copytree(masked / "photos", tmp_path / "photos")
    masks = shutil.copytree(masked / "masks", tmp_path / "masks")
    store.add_images("more", photos, masks=masks)
    with belvedere.trace() as seen:
        store.segment("decomposition", images="more")
    assert seen.of("compute") == []  # the same pictures and masks
    add_pictures(photos, range(30, 40))
    add_masks(masks, range(30, 40))
    assert store.add_images("more", photos, masks=masks).masks == 30
    with belvedere.trace() as seen:
        found = store.segment("decomposition", images="more")
    assert list(found.images) == [30]
    assert not [each for each in seen.of("compute") if "patch" in each and "[image 0:" in each]


def test_a_subset_takes_its_masks_along(store: belvedere.Store) -> None:
    chosen = "SELECT image_set, image_id FROM images WHERE image_id BETWEEN 15 AND 24"
    assert store.add_images("few", sql=chosen).masks == 5
    assert list(store.segment("decomposition", images="few").images) == [5]


def test_labels_may_say_the_class(masked: Path, world: World, tmp_path: Path) -> None:
    store = belvedere.open(tmp_path / "store")
    store.add_model("m", world.source)
    (tmp_path / "t.csv").write_text("text,category\na dog,dog\na boat,boat\na star,\n")
    store.add_texts("classes", tmp_path / "t.csv")
    names = ["dog", "a star", "bird", "boat"]
    rows = [f"{masked}/photos/{n:05}.png,{names[n % 4]},{masked}/masks/{n:05}.png" for n in range(12)]
    (tmp_path / "i.csv").write_text("\n".join(["path,label,mask", *rows]) + "\n")
    assert store.add_images("photos", tmp_path / "i.csv").masks == 12
    found = store.segment("gradcam", target="label")
    assert list(found.images) == [9]  # a bird is none of the classes
    classes = store.view("relevance_maps", method="gradcam", target="label").read(missing="mask")
    assert classes.mask[2].all()
    counted = store.view("segmentation_counts", method="gradcam", target="label").df()
    assert dict(zip(counted.image_id, counted["class"], strict=True))[4] == "dog"
    assert dict(zip(counted.image_id, counted["class"], strict=True))[5] == "a star"
    store.add_images("plain", masked / "photos", masks=masked / "masks")
    with pytest.raises(NotAnnotated, match="the images 'plain' have no labels that are classes"):
        store.segment("gradcam", images="plain", target="label")


def test_masks_that_do_not_fit_are_refused_by_name(
    store: belvedere.Store, masked: Path, tmp_path: Path
) -> None:
    photos = add_pictures(tmp_path / "p", range(3))
    Image.fromarray(np.zeros((8, 12), np.uint8)).save(add_masks(tmp_path / "small", range(2)) / "00001.png")
    with pytest.raises(
        BadSource, match=r"00001.png has 12 × 8 pixels, and its picture .*00001.png has 16 × 16"
    ):
        store.add_images("new", photos, masks=tmp_path / "small")
    (tmp_path / "empty").mkdir()
    with pytest.raises(
        BadSource, match=r"no picture has a mask in .*empty: the mask of .*00000.png would be called"
    ):
        store.add_images("new", photos, masks=tmp_path / "empty")
    with pytest.raises(BadSource, match="neither a folder nor a"):
        store.add_images("new", photos, masks=tmp_path / "nowhere")
    with pytest.raises(BadSource, match="goes with images that are files"):
        store.add_images("new", "demo:scenes[:3]", masks=masked / "masks")
    for folder in ("a", "b"):
        add_masks(tmp_path / "twice" / folder, range(1))
    with pytest.raises(BadSource, match=r"the mask of .*00000.png is one of"):
        store.add_images("new", photos, masks=tmp_path / "twice")
    (tmp_path / "torn").mkdir()
    (tmp_path / "torn" / "00000.png").write_bytes(b"no picture")
    with pytest.raises(BadSource, match=r"00000.png cannot be read: not a picture"):
        store.add_images("new", photos, masks=tmp_path / "torn")
    (tmp_path / "t.csv").write_text("path\np/00000.png\n")
    with pytest.raises(UnknownName, match=r"no column of .* 'mask'"):
        store.add_images("new", photos, masks=tmp_path / "t.csv")
    assert "new" not in [each["image_set"] for each in store.sql("FROM image_sets").df().to_dict("records")]


def test_a_table_names_masks_that_are_called_otherwise(store: belvedere.Store, tmp_path: Path) -> None:
    add_pictures(tmp_path / "p", range(3))
    add_masks(tmp_path / "m", range(5, 7))
    (tmp_path / "t.csv").write_text("path,mask\np/00000.png,m/00005.png\np/00002.png,m/00006.png\n")
    assert store.add_images("new", tmp_path / "p", masks=tmp_path / "t.csv").masks == 2
    found = store.view("foreground_masks", images="new").read(missing="mask")
    np.testing.assert_array_equal(found[0], mask(5) > 0)
    np.testing.assert_array_equal(found[2], mask(6) > 0)
    assert found.mask[1].all()


def test_a_mask_that_changed_is_told_and_taken_when_it_is_added_again(
    store: belvedere.Store, tmp_path: Path
) -> None:
    photos, masks = add_pictures(tmp_path / "p", range(3)), add_masks(tmp_path / "m", range(3))
    store.add_images("new", photos, masks=masks)
    Image.fromarray(255 - mask(1)).save(masks / "00001.png")
    view = store.view("foreground_masks", images="new")
    with pytest.raises(UnitFailed, match=r"the mask .*00001.png has changed since it was added"):
        view[1]
    store.add_images("new", photos, masks=masks)
    again = store.view("foreground_masks", images="new")
    again.fill(retry_failed=True)
    np.testing.assert_array_equal(again[1], mask(1) == 0)
    assert store.add_images("new", photos).masks == 3  # masks that are not given anew stay


def test_images_without_masks_are_refused_with_what_to_do(
    store: belvedere.Store, masked: Path, run: Run
) -> None:
    store.add_images("plain", masked / "photos")
    with pytest.raises(NotAnnotated, match=r"'plain' have no masks: add them again with masks=FOLDER"):
        store.segment(images="plain")
    with pytest.raises(UnknownName, match="no method of segmentation 'dance'"):
        store.segment("dance")
    done = run("segment", "--images", "plain", "--store", store.path)
    assert (done.exit_code, "have no masks" in done.stderr) == (2, True)


def test_one_class_and_long_classes_are_refused(store: belvedere.Store) -> None:
    store.add_texts("one", ["a dog"])
    with pytest.raises(BadSource, match="'one' has one class, and a class is told from others"):
        store.segment("rollout", images="photos", texts="one")
    store.add_texts("long", ["a dog", "star " * 40])
    with pytest.raises(
        UnitFailed, match="1 of the classes' texts are longer than 'm' reads, the first 'star"
    ):
        store.segment("rollout", images="photos", texts="long")


def test_a_mask_is_where_it_is_not_black(tmp_path: Path) -> None:
    there = np.random.default_rng(0).random((5, 7)) < 0.5
    palette = Image.fromarray(there.astype(np.uint8)).convert("P")
    palette.putpalette([90, 10, 20, 0, 0, 0])  # the number counts, and not the colour
    kinds = {
        "l": Image.fromarray(there.astype(np.uint8)),
        "one": Image.fromarray(there),
        "p": palette,
        "deep": Image.fromarray(there.astype(np.uint16) * 256),
        "rgb": Image.fromarray(np.stack([there * 0, there * 7, there * 0], -1).astype(np.uint8)),
    }
    for name, picture in kinds.items():
        picture.save(tmp_path / f"{name}.png")
        np.testing.assert_array_equal(decode((tmp_path / f"{name}.png").read_bytes()), there, err_msg=name)
    kinds["rgb"].convert("RGBA").save(tmp_path / "rgba.png")
    with pytest.raises(UnreadablePicture, match="this is a picture of mode RGBA"):
        decode((tmp_path / "rgba.png").read_bytes())


def test_imagenet_segmentation_is_read_from_its_own_file(world: World, tmp_path: Path) -> None:
    h5py: Any = pytest.importorskip("h5py")
    dice = np.random.default_rng(0)
    pictures = [dice.integers(0, 256, (9 + n, 12, 3), dtype=np.uint8) for n in range(3)]
    truths = [(dice.random(each.shape[:2]) < 0.4).astype(np.uint8) for each in pictures]
    with h5py.File(tmp_path / "gtsegs_ijcv.mat", "w") as file:
        img = file.create_dataset("value/img", (3, 1), dtype=h5py.ref_dtype)
        gt = file.create_dataset("value/gt", (3, 1), dtype=h5py.ref_dtype)
        for row, (picture, truth) in enumerate(zip(pictures, truths, strict=True)):
            img[row, 0] = file.create_dataset(f"#refs#/img{row}", data=picture.transpose(2, 1, 0)).ref
            inner = file.create_dataset(f"#refs#/gt{row}", data=truth.transpose(1, 0))
            cell = file.create_dataset(f"#refs#/cell{row}", (1, 1), dtype=h5py.ref_dtype)
            cell[0, 0] = inner.ref
            gt[row, 0] = cell.ref
    store = belvedere.open(tmp_path / "store")
    added = store.add_images("seg", tmp_path / "gtsegs_ijcv.mat")
    assert (added.count, added.masks) == (3, 3)
    for row, picture in enumerate(pictures):
        np.testing.assert_array_equal(np.asarray(store.image("seg", row)), picture)
    store.add_model("m", world.source)
    store.add_texts("classes", CLASSES)
    assert list(store.segment("decomposition").images) == [3]
    before = {path.name for path in (store.path / "pictures").iterdir()}
    store.gc(dry_run=False)
    assert {path.name for path in (store.path / "pictures").iterdir()} == before
    assert len(before) == 6
    with h5py.File(tmp_path / "other.mat", "w") as file:
        file["value/img"] = np.zeros((1, 1))
    with pytest.raises(BadSource, match="has no value/img and value/gt"):
        store.add_images("other", tmp_path / "other.mat")
    (tmp_path / "old.mat").write_bytes(b"MATLAB 5.0 MAT-file")
    with pytest.raises(BadSource, match=r"old.mat is no MATLAB 7.3 file"):
        store.add_images("old", tmp_path / "old.mat")


def test_the_command_shows_methods_side_by_side(store: belvedere.Store, run: Run, tmp_path: Path) -> None:
    words = ["segment", "--method", "decomposition", "--method", "raw_attention", "--store", store.path]
    done = run(*words, "--csv")
    assert done.exit_code == 0, done.output
    header, *rows = done.stdout.splitlines()
    assert header == "model,image_set,text_set,method,pixel_accuracy,mean_iou,mean_average_precision,images"
    assert [row.split(",")[3] for row in rows] == ["decomposition", "raw_attention"]
    photos, masks = add_pictures(tmp_path / "p", range(2)), add_masks(tmp_path / "m", range(1))
    added = run("add", "images", "new", photos, "--masks", masks, "--store", store.path)
    assert added.stdout == "images new: 2, 2 of them new, 1 with masks\n"


def test_plain_relevance_is_refused_in_half_precision(store: belvedere.Store) -> None:
    store.add_model("half", "demo:clip", precision="float16")
    asked = {"model": "half", "images": "photos", "texts": "classes"}
    with pytest.raises(UnsupportedTower, match="in float16 lrp gives other maps than in float32"):
        store.view("relevance_maps", method="lrp", **asked)
    assert store.view("relevance_maps", method="chefer", **asked).shape[1:] == (8, 8)


def test_a_method_given_as_a_parameter_is_refused(store: belvedere.Store) -> None:
    with pytest.raises(BadSource, match="methods are named by methods="):
        store.segment(method="lrp")


def test_masks_that_changed_on_disk_make_what_was_counted_with_them_stale(
    world: World, tmp_path: Path
) -> None:
    store = belvedere.open(tmp_path / "store")
    store.add_model("m", world.source)
    pictures, masks = add_pictures(tmp_path / "photos", range(6)), add_masks(tmp_path / "masks", range(6))
    store.add_images("photos", pictures, masks=masks)
    store.add_texts("classes", CLASSES)
    store.segment("decomposition")
    Image.fromarray(255 - mask(2)).save(masks / "00002.png")
    (masks / "00004.png").unlink()
    (masks / "00005.png").touch()
    found = {each.view.partition("[")[0]: each for each in store.status()}
    assert found["relevance_maps"].stale == found["patch_contributions"].stale == 0
    assert found["foreground_masks"].stale == found["segmentation_scores"].stale == 1
    assert found["segmentation_counts"].causes == (
        f"masks changed on disk: 1 of 6 of 'photos', first {masks}/00002.png; "
        f"belvedere add images photos {pictures} takes this in, with --masks",
        f"masks gone from disk: 1 of 6 of 'photos', first {masks}/00004.png; "
        f"belvedere add images photos {pictures} takes this in, with --masks",
    )
    damage = store.verify(deep=True).damage
    assert [each.what for each in damage] == ["other bytes than when it was added", "removed"]
    store.add_images("photos", pictures, masks=masks, replace=True)
    assert {each.stale for each in store.status() if "foreground" in each.view} == {1}
    assert store.segment("decomposition").images[0] == 5
