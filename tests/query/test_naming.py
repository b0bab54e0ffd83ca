"""Names are removed and renamed; what was computed stays, found under whatever name has its contents."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import belvedere
from belvedere.query.names.naming import Standing
from belvedere.store.errors import BadName, BadSource, NameTaken, ReadOnlyStore, UnknownName
from belvedere.store.registry import Registry
from tests.worlds import TEXTS, World, add_pictures, contents, engine, picture

ROLES = "SELECT DISTINCT model, image_set, text_set FROM head_descriptions"


def names(store: belvedere.Store) -> list[list[str]]:
    found = engine(store).folder.names
    return [found.models(), found.image_sets(), found.text_sets()]


def states(store: belvedere.Store) -> dict[str, tuple[int, int]]:
    return {each.view: (each.ready, each.units) for each in store.status()}


def test_a_removed_name_is_gone_and_what_was_computed_is_found_again(
    filled: belvedere.Store, world: World
) -> None:
    before, rows = contents(filled), filled.view("image_embeddings")[:]
    behind = filled.remove("photos")
    assert (behind.kind, behind.name, behind.shared) == ("images", "photos", ())
    assert names(filled) == [["m"], [], ["words"]]
    with pytest.raises(UnknownName, match=r"no image set 'photos'; there is none yet"):
        filled.view("image_embeddings", images="photos")
    assert filled.sql("SELECT count(*) FROM images").fetchall() == [(0,)]
    assert [view for view in states(filled) if "photos" in view] == []
    assert contents(filled) == before
    assert filled.add_images("again", world.photos).new == 300
    view = filled.view("image_embeddings", images="again")
    assert view.fill().filled == 0
    assert np.array_equal(view[:], rows)


def test_a_removed_name_may_be_given_again(filled: belvedere.Store, world: World) -> None:
    for kind, name in (("texts", "words"), ("model", "m"), ("images", "photos")):
        filled.remove(name, kind)
    assert names(filled) == [[], [], []]
    assert filled.add_texts("words", ["one text"]).new == 1
    filled.add_model("m", world.source)
    assert filled.add_images("photos", world.photos).new == 300
    assert filled.view("image_embeddings").status().ready == 2
    assert names(belvedere.open(filled.path, mode="r")) == [["m"], ["photos"], ["words"]]


def test_what_stands_behind_a_name_is_told_before_it_goes(filled: belvedere.Store, world: World) -> None:
    filled.add_images("twin", world.photos)
    units = [each for each in filled.status() if "photos" in each.view]
    behind = filled.remove("photos", dry_run=True)
    assert behind == Standing(
        "images", "photos", sum(each.ready for each in units), sum(each.bytes for each in units), ("twin",)
    )
    assert behind.units >= 10
    assert filled.remove("twin", dry_run=True) == Standing("images", "twin", 0, 0, ("photos",))
    assert names(filled)[1] == ["photos", "twin"]
    reader = belvedere.open(filled.path, mode="r")
    assert reader.remove("words", dry_run=True).shared == ()
    assert reader.remove("m", dry_run=True).units == sum(each.ready for each in filled.status())
    with pytest.raises(ReadOnlyStore, match="opened with mode"):
        reader.remove("words")


def test_under_a_new_name_everything_that_was_filled_is_there(filled: belvedere.Store) -> None:
    before, rows = states(filled), filled.sql(ROLES.replace("DISTINCT", "layer, ")).fetchall()
    for old, new in (("m", "model"), ("photos", "pictures"), ("words", "phrases")):
        filled.rename(old, new)
    assert names(filled) == [["model"], ["pictures"], ["phrases"]]
    fresh = belvedere.open(filled.path)
    for store in (filled, fresh):
        answer = store.sql(ROLES)
        assert answer.completeness.complete
        assert answer.fetchall() == [("model", "pictures", "phrases")]
        assert len(store.sql(ROLES.replace("DISTINCT", "layer, "))) == len(rows)
        renamed = {
            view.replace("[m", "[model").replace("photos", "pictures").replace("words", "phrases"): counts
            for view, counts in before.items()
        }
        assert states(store) == renamed
    assert fresh.view("head_descriptions").fill().filled == 0


def test_the_old_name_may_be_given_to_other_images(filled: belvedere.Store, tmp_path: Path) -> None:
    filled.rename("photos", "old")
    filled.add_images("photos", add_pictures(tmp_path / "p", [700, 701]))
    assert filled.view("image_embeddings", images="photos").status().ready == 0
    assert filled.view("image_embeddings", images="old").status().ready == 2
    filled.rename("photos", "new")
    with pytest.raises(NameTaken, match="image set 'old' is there already; take another name, or remove it"):
        filled.rename("new", "old")
    filled.remove("old")
    filled.rename("new", "old")
    assert filled.view("image_embeddings", images="old").shape == (2, 12)


def test_errors_follow_a_name_and_go_when_the_picture_is_mended(world: World, tmp_path: Path) -> None:
    store = belvedere.open(tmp_path / "store")
    store.add_model("m", world.source)
    folder = add_pictures(tmp_path / "p", range(3))
    (folder / "00001.png").write_text("broken")
    store.add_images("x", folder)
    assert store.view("image_embeddings").fill().absent == 1
    store.rename("x", "y")
    assert [dict(error.inputs) for error in store.errors()] == [{"model": "m", "image_set": "y"}]
    (folder / "00001.png").write_bytes(picture(1))
    store.add_images("y", folder)
    assert store.view("image_embeddings").fill().complete
    assert store.errors() == []


def test_the_kind_is_needed_only_where_a_name_stands_for_several(store: belvedere.Store) -> None:
    store.add_texts("m", TEXTS)
    with pytest.raises(
        BadSource, match="'m' stands for a model and a set of texts; say which: model or texts"
    ):
        store.remove("m")
    with pytest.raises(BadSource, match="say which: model or texts"):
        store.rename("m", "n")
    store.rename("m", "photos", "texts")
    assert names(store) == [["m"], ["photos"], ["photos", "words"]]
    assert store.remove("m").kind == "model"


@pytest.mark.parametrize(
    ("words", "error", "message"),
    [
        (
            ("photo",),
            UnknownName,
            r"no model, set of images, texts, or instrument 'photo'; did you mean 'photos'\?",
        ),
        (("photos", "texts"), UnknownName, "no set of texts 'photos'; there are words"),
        (("photos", "image"), UnknownName, r"no kind of name 'image'; did you mean 'images'\?"),
        (("../x",), UnknownName, "no model, set of images, texts, or instrument"),
    ],
)
def test_names_that_stand_for_nothing_are_refused(
    store: belvedere.Store, words: tuple[str, ...], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        store.remove(*words)
    with pytest.raises(error, match=message):
        store.rename(words[0], "new", *words[1:])
    assert names(store) == [["m"], ["photos"], ["words"]]


def test_a_new_name_has_to_be_one_and_to_be_free(store: belvedere.Store) -> None:
    with pytest.raises(BadName, match="'a b' cannot name a set of images"):
        store.rename("photos", "a b")
    with pytest.raises(NameTaken, match="image set 'photos' is there already"):
        store.rename("photos", "photos")
    store.rename("photos", "words")
    assert names(store) == [["m"], ["words"], ["words"]]


def _meanwhile(monkeypatch: pytest.MonkeyPatch, kind: str, act: Any) -> None:
    """Do something once, just before a version of a name of this kind is put that says it is removed."""
    real = Registry._put

    def late(self: Registry, put: Any, name: str, after: int, facts: Any) -> bool:
        if put == kind and facts == {"removed": True}:
            monkeypatch.setattr(Registry, "_put", real)
            act()
        return real(self, put, name, after, facts)

    monkeypatch.setattr(Registry, "_put", late)


def test_images_that_another_process_adds_meanwhile_are_not_lost(
    store: belvedere.Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, other = add_pictures(tmp_path / "p", range(2)), belvedere.open(store.path)
    store.add_images("x", folder)
    add_pictures(folder, [2])
    _meanwhile(monkeypatch, "images", lambda: other.add_images("x", folder))
    store.rename("x", "y")
    assert names(store)[1] == ["photos", "y"]
    assert store.view("image_embeddings", images="y").shape == (3, 12)


def test_of_two_processes_that_remove_a_name_the_second_is_told(
    store: belvedere.Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = belvedere.open(store.path)
    _meanwhile(monkeypatch, "texts", lambda: other.remove("words"))
    with pytest.raises(UnknownName, match="no text set 'words'; there is none yet"):
        store.remove("words")
    _meanwhile(monkeypatch, "images", lambda: other.remove("photos"))
    store.rename("photos", "kept")
    assert names(store)[1:] == [["kept"], []]


def test_after_a_rename_stale_units_still_name_their_cause_and_count(world: World, tmp_path: Path) -> None:
    photos = Path(shutil.copytree(world.photos, tmp_path / "photos"))
    store = World(world.clip, photos).store(tmp_path / "store")
    store.view("head_contributions").fill()
    store.view("head_contributions", dtype="float16").fill(slice(0, 10))
    store.rename("photos", "shots")
    assert store.remove("shots", dry_run=True).units == 3, "two units in full precision, one in half"
    (photos / "00003.png").write_bytes(picture(900))
    store.add_images("shots", photos)
    status = store.view("head_contributions").status()
    assert (status.ready, status.stale, status.causes) == (1, 1, ("images of 'shots' changed",))
