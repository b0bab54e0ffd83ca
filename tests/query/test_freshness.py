"""Identity is content: what is recomputed when images, texts or models change, and what is not."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import belvedere
from belvedere.compute.views import head_moments
from belvedere.query.store import Store
from belvedere.query.upkeep.status import Status
from belvedere.store.errors import NameTaken, WeightsChanged
from tests.worlds import World, add_pictures, edit_weights, make_clip, picture, records


@pytest.fixture(scope="module")
def described(world: World, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A filled store of 300 pictures; not to be written to."""
    store = world.store(tmp_path_factory.mktemp("described") / "store")
    assert store.view("head_descriptions").fill().complete
    return store.path


@pytest.fixture
def own(world: World, described: Path, tmp_path: Path) -> tuple[Store, Path]:
    """A copy of the filled store, of pictures in a folder that the test may change."""
    photos = Path(shutil.copytree(world.photos, tmp_path / "photos"))
    store = belvedere.open(shutil.copytree(described, tmp_path / "store"))
    store.add_images("photos", photos, replace=True)  # from elsewhere; they are the same
    return store, photos


def computed(seen: Any) -> list[str]:
    """Name the view and the span of each unit that was computed."""
    found = (detail.split("/") for detail in seen.of("compute"))
    return sorted(f"{view}[{rest.split('[')[1]}" for view, rest in found)


def counts(status: Status) -> tuple[int, int, int]:
    """Give the numbers of ready, missing and stale units."""
    return status.ready, status.missing, status.stale


def test_appended_images_recompute_only_the_last_partial_block(own: tuple[Store, Path]) -> None:
    store, photos = own
    before = store.view("head_contributions")[:300]
    add_pictures(photos, range(300, 600))
    added = store.add_images("photos", photos)
    assert (added.count, added.new) == (600, 300)
    assert counts(store.view("head_contributions").status()) == (1, 1, 1)
    assert store.view("head_contributions").status().causes == ("images appended: 300 → 600",)
    with belvedere.trace() as seen:
        store.view("head_moments").fill()
    assert computed(seen) == [
        "head_contributions[image 256:512]",
        "head_contributions[image 512:600]",
        "head_moments[image 0:600]",
    ]
    np.testing.assert_allclose(store.view("head_contributions")[:300], before, atol=1e-6)


def test_moments_are_merged_and_only_the_last_block_is_added_up_again(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(head_moments, "MOMENTS_BLOCK", 256)  # 4,096 pictures would take their time
    photos = Path(shutil.copytree(world.photos, tmp_path / "photos"))
    store = World(world.clip, photos).store(tmp_path / "store")
    assert store.view("head_moments").fill().filled == 2 + 2
    add_pictures(photos, range(300, 520))
    store.add_images("photos", photos)
    with belvedere.trace() as seen:
        store.view("head_moments").fill()
    assert computed(seen) == [
        "head_contributions[image 256:512]",
        "head_contributions[image 512:520]",
        "head_moments[image 256:512]",
        "head_moments[image 512:520]",
    ]
    assert store.view("head_moments")[0, 0, 0, 0] == 520


def test_tables_over_a_set_that_grew_are_stale_and_never_shown_as_they_were(own: tuple[Store, Path]) -> None:
    store, photos = own
    add_pictures(photos, range(300, 310))
    store.add_images("photos", photos)
    status = store.view("head_descriptions").status()
    assert (counts(status), status.causes) == ((0, 0, 2), ("images appended: 300 → 310",))
    assert str(status).splitlines()[1:] == ["  images appended: 300 → 310"]
    answer = store.sql("FROM head_descriptions")
    assert len(answer) == 0
    assert str(answer.completeness) == "head_descriptions lacks 2 of 2 units (m × photos × words)"
    store.view("head_descriptions").fill()
    assert counts(store.view("head_descriptions").status()) == (2, 0, 0)
    assert store.sql("FROM head_descriptions").completeness.complete


def test_appended_texts_recompute_texts_and_descriptions_alone(own: tuple[Store, Path]) -> None:
    store, _ = own
    texts = [text for (text,) in store.sql("SELECT text FROM texts ORDER BY text_id").fetchall()]
    store.add_texts("words", [*texts, "a moon"])
    assert store.view("head_descriptions").status().causes == ("texts appended: 12 → 13",)
    with belvedere.trace() as seen:
        store.view("head_descriptions").fill()
    assert computed(seen) == [
        "head_descriptions[layer 0:1]",
        "head_descriptions[layer 1:2]",
        "text_embeddings[text 0:13]",
    ]


def test_texts_that_differ_in_their_second_block_alone_are_told_apart(store: Store, kept: Store) -> None:
    many = [f"word {number}" for number in range(1024)]
    spread = [text for (text,) in kept.sql("SELECT text FROM texts").fetchall()]
    store.add_texts("words", [*many, "nothing"], replace=True)
    store.view("head_descriptions").fill()
    store.add_texts("words", [*many, *spread], replace=True)
    found = store.view("head_descriptions").fetchall()
    again = belvedere.open(store.path)
    for path in list(records(store)):
        if "/head_descriptions/" in path:
            (store.path / path).unlink()
    assert again.view("head_descriptions").fetchall() == found


def test_a_changed_image_makes_its_block_stale_and_no_other(own: tuple[Store, Path]) -> None:
    store, photos = own
    (photos / "00003.png").write_bytes(picture(9000))
    assert counts(store.view("head_contributions").status()) == (1, 0, 1)
    assert store.add_images("photos", photos).new == 0
    status = store.view("head_contributions").status()
    assert (counts(status), status.causes) == ((1, 0, 1), ("images of 'photos' changed",))
    with belvedere.trace() as seen:
        store.view("head_contributions").fill()
    assert computed(seen) == ["head_contributions[image 0:256]"]


def test_an_image_that_changed_back_needs_nothing(own: tuple[Store, Path]) -> None:
    store, photos = own
    (photos / "00003.png").write_bytes(picture(9000))
    store.add_images("photos", photos)
    (photos / "00003.png").write_bytes(picture(3))
    store.add_images("photos", photos)
    assert counts(store.view("head_descriptions").status()) == (2, 0, 0)


def test_an_image_that_is_gone_keeps_its_place_and_comes_back_with_what_is_known_of_it(
    own: tuple[Store, Path],
) -> None:
    store, photos = own
    before = (photos / "00003.png").read_bytes()
    (photos / "00003.png").unlink()
    added = store.add_images("photos", photos)
    assert (added.count, added.new, added.gone) == (300, 0, 1)
    status = store.view("head_contributions").status()
    assert (counts(status), status.causes) == ((1, 0, 1), ("images of 'photos' changed",))
    (photos / "00003.png").write_bytes(before)
    assert store.add_images("photos", photos).gone == 0
    with belvedere.trace() as seen:
        assert store.view("head_contributions")[3].shape == (2, 2, 12)
    assert seen.of("compute") == []


def test_a_name_is_not_given_other_contents_unless_told_to(own: tuple[Store, Path], tmp_path: Path) -> None:
    store, _ = own
    other = add_pictures(tmp_path / "other", range(5))
    with pytest.raises(NameTaken, match=r"image set 'photos' stands for 300 images .*; take another name"):
        store.add_images("photos", other)
    with pytest.raises(NameTaken, match="text set 'words' stands for 12 texts"):
        store.add_texts("words", ["a cat"])
    with pytest.raises(NameTaken, match="model 'm' stands for"):
        store.add_model("m", f"open_clip:local-dir:{make_clip(tmp_path / 'clip', seed=1)}")
    assert counts(store.view("head_descriptions").status()) == (2, 0, 0)
    assert store.add_images("photos", other, replace=True).count == 5
    assert store.view("head_contributions").shape[0] == 5
    assert store.view("head_contributions").status().causes == ("images of 'photos' changed",)


def changed_clip(world: World, folder: Path, how: str) -> Path:
    """Copy the model folder, changed in one way."""
    clip = Path(shutil.copytree(world.clip, folder))
    config = json.loads((clip / "open_clip_config.json").read_text())
    if how == "weights":
        edit_weights(clip, "visual.transformer.resblocks.0.attn.out_proj.bias", 3.0)
    if how == "preprocessing":
        config["preprocess_cfg"]["interpolation"] = "bilinear"
    (clip / "open_clip_config.json").write_text(json.dumps(config))
    return clip


@pytest.mark.parametrize(
    ("how", "cause"),
    [
        ("weights", r"weights changed: [0-9a-f]{8} → [0-9a-f]{8}"),
        ("preprocessing", r"preprocessing changed: interpolation bicubic → bilinear"),
        ("precision", r"precision changed: float32 → bfloat16"),
    ],
)
def test_another_model_under_a_name_makes_all_stale_and_says_why(
    own: tuple[Store, Path], world: World, tmp_path: Path, how: str, cause: str
) -> None:
    store, _ = own
    clip = changed_clip(world, tmp_path / "clip", how)
    precision: Any = "bfloat16" if how == "precision" else "float32"
    store.add_model("m", f"open_clip:local-dir:{clip}", precision=precision, replace=True)
    for view, units in (("head_contributions", 2), ("head_moments", 1), ("head_descriptions", 2)):
        status = store.view(view).status()
        assert counts(status) == (0, 0, units)
        (found,) = status.causes
        assert re.fullmatch(cause, found)
    assert not store.sql("FROM head_descriptions").completeness.complete
    store.add_model("m", world.source, replace=True)
    assert counts(store.view("head_descriptions").status()) == (2, 0, 0)


def test_texts_are_not_stale_when_only_the_image_side_changed(
    own: tuple[Store, Path], world: World, tmp_path: Path
) -> None:
    store, _ = own
    clip = changed_clip(world, tmp_path / "clip", "weights")
    store.add_model("m", f"open_clip:local-dir:{clip}", replace=True)
    assert counts(store.view("text_embeddings").status()) == (1, 0, 0)


def test_two_checkpoints_of_one_architecture_never_meet(store: Store, world: World, tmp_path: Path) -> None:
    store.add_model("other", f"open_clip:local-dir:{changed_clip(world, tmp_path / 'clip', 'weights')}")
    first = store.view("image_embeddings", model="m")[:]
    view = store.view("image_embeddings", model="other")
    assert counts(view.status()) == (0, 2, 0)
    with belvedere.trace() as seen:
        assert not np.allclose(view[:], first)
    assert seen.of("load") == ["other"]
    np.testing.assert_array_equal(store.view("image_embeddings", model="m")[:], first)


def test_one_model_under_two_names_shares_its_units(own: tuple[Store, Path], world: World) -> None:
    store, _ = own
    store.add_model("same", world.source)
    assert store.view("head_descriptions", model="same").fill().filled == 0


def test_weights_that_changed_on_disk_under_a_name_are_refused(world: World, tmp_path: Path) -> None:
    clip = Path(shutil.copytree(world.clip, tmp_path / "clip"))
    store = World(clip, world.photos).store(tmp_path / "store")
    edit_weights(clip, "visual.proj", 1.0)
    with pytest.raises(
        WeightsChanged, match=r"model 'm' is no longer what .*image\.weights changed: .*replace=True"
    ):
        store.view("head_contributions")[0]
    assert records(store) == {}
    assert store.errors() == []
    edit_weights(clip, "visual.proj", float(load(world.clip, "visual.proj")))
    assert store.view("head_contributions")[0].shape == (2, 2, 12)


def load(clip: Path, name: str) -> Any:
    """Give the first entry of a tensor of a model folder."""
    from safetensors.torch import load_file

    return load_file(clip / "open_clip_model.safetensors")[name].view(-1)[0]


def test_parameters_of_a_view_beneath_do_not_make_the_default_stale_or_part_of_a_table(store: Store) -> None:
    store.view("head_descriptions", dtype="float16").fill()
    status = store.view("head_descriptions").status()
    assert (counts(status), status.fresh) == ((0, 2, 0), False)
    assert status.causes == ("never made with dtype=float32; kept is what was made with dtype=float16",)
    answer = store.sql("FROM head_descriptions")
    assert len(answer) == 0
    assert not answer.completeness.complete


def test_other_parameters_are_told_until_something_is_made_with_those_that_are_asked_for(
    own: tuple[Store, Path],
) -> None:
    store, _ = own
    store.view("head_roles").fill()
    other = store.view("head_roles", alpha=0.5)
    assert (counts(other.status()), other.status().causes) == (
        (0, 2, 0),
        ("never made with alpha=0.5; kept is what was made with alpha=0.05",),
    )
    other.where("layer = 0").fill()
    assert (counts(other.status()), other.status().causes) == ((1, 1, 0), ())


def test_a_raised_version_makes_a_view_and_those_above_it_stale(
    own: tuple[Store, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    store, _ = own
    monkeypatch.setattr(head_moments.HeadMoments, "version", 7)
    again = belvedere.open(store.path)
    for view, units in (("head_moments", 1), ("head_descriptions", 2)):
        status = again.view(view).status()
        assert (counts(status), status.causes) == (
            (0, 0, units),
            ("view version of head_moments changed: 1 → 7",),
        )
    assert counts(again.view("head_contributions").status()) == (2, 0, 0)
