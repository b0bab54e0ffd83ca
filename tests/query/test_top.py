"""The images at the top of a neuron or a head are looked up, and shown on a sheet."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

import belvedere
from belvedere.query.seeing.top import Head, Neuron, read_place
from belvedere.store.errors import BadSelection, BadSource, UnknownName
from tests.shell import Run

MODULE = "visual.transformer.resblocks.3.mlp.gelu"


@pytest.fixture(scope="module")
def shown_once(whole: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with the top images of the last layer's heads and of one module's neurons."""
    folder = shutil.copytree(whole, tmp_path_factory.mktemp("top") / "store")
    with belvedere.open(folder) as store:
        assert store.view("head_top_images").where("layer = 3").fill().complete
        assert store.view("top_images", module=MODULE).fill().complete
    return folder


@pytest.fixture
def opened(shown_once: Path) -> belvedere.Store:
    return belvedere.open(shown_once, mode="r")


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("3.1", Head(3, 1)),
        ("11.0", Head(11, 0)),
        ("layer4:17", Neuron("layer4", 17)),
        ("a.b:c.2:0", Neuron("a.b:c.2", 0)),
        ("3.1:0", Neuron("3.1", 0)),
    ],
)
def test_places_are_read_and_written(text: str, place: Head | Neuron) -> None:
    assert (read_place(text), str(place)) == (place, text)


@pytest.mark.parametrize("text", ["", "3", "3.", "-1.0", "layer4", "layer4:", ":3", "layer4:-1", "3.1.2"])
def test_what_is_no_place_is_refused(text: str) -> None:
    with pytest.raises(BadSource, match=r"neither a head, LAYER\.HEAD such as 3\.1, nor a neuron"):
        read_place(text)


def test_a_neuron_has_its_images_from_the_top(opened: belvedere.Store) -> None:
    found = opened.top(f"{MODULE}:17", count=5)
    activations = opened.view("neuron_activations", module=MODULE)[:, 17]
    best = np.argsort(-activations, kind="stable")[:5]
    assert found.rows.image_id.tolist() == best.tolist()
    assert found.rows.activation.tolist() == activations[best].tolist()
    known = opened.sql("SELECT label, grp, path FROM images ORDER BY image_id").df()
    assert (found.rows[["label", "grp", "path"]].to_numpy() == known.loc[best].to_numpy()).all()
    (row,) = found.sheet.rows
    assert [tile.caption.split("\n")[1] for tile in row.groups[0]] == known.label[best].tolist()
    assert found.sheet.title == f"Neuron 17 of {MODULE} in “clip”"
    assert found.sheet.subtitle == "over the 40 images of “scenes”"


def test_a_head_has_both_ends_of_its_first_directions(opened: belvedere.Store) -> None:
    found = opened.top("3.0", count=2)
    first = opened.view("head_descriptions").where("layer = 3 AND head = 0 AND rank < 4").df()
    directions = [*first.description, "component 0", "component 1"]
    assert found.rows.direction.tolist() == np.repeat(directions, 4).tolist()
    assert found.rows["rank"].tolist() == [0, 1, -1, -2] * 6
    assert [row.title for row in found.sheet.rows] == directions
    assert [[len(group) for group in row.groups] for row in found.sheet.rows] == [[2, 2]] * 6
    assert found.sheet.headings == ("highest", "lowest")
    share = f"explains {100 * first.variance[0]:.0f} % of the head's variance"
    assert [row.subtitle for row in found.sheet.rows][::5] == [share, ""]
    words = opened.view("text_embeddings")[int(first.text_id[0])]
    scores = opened.view("head_contributions")[:, 3, 0] @ words
    order = np.argsort(scores)
    assert found.rows.image_id[:4].tolist() == [*order[:-3:-1], *order[:2]]


def test_one_direction_of_a_head_is_asked_for(opened: belvedere.Store) -> None:
    found = opened.top("3.0", direction="component 3", count=8)
    assert found.rows.direction.unique().tolist() == ["component 3"]
    assert found.rows["rank"].tolist() == [*range(8), *range(-1, -9, -1)]
    with pytest.raises(
        UnknownName, match=r"no direction of head 3\.0 'componen 3'; did you mean 'component "
    ):
        opened.top("3.0", direction="componen 3")


def test_what_is_not_there_is_refused_before_anything_is_computed(bare: Path) -> None:
    with belvedere.open(bare) as store, belvedere.trace() as seen:
        with pytest.raises(
            BadSelection, match=r"no head 3\.9; there are 4 layers of 4 heads, counted from 0"
        ):
            store.top("3.9")
        with pytest.raises(BadSelection, match=f"no neuron 99999 in {MODULE}, which has neurons 0 to 511"):
            store.top(f"{MODULE}:99999")
        with pytest.raises(BadSource, match="count=0: at least one image"):
            store.top("3.1", count=0)
        with pytest.raises(BadSource, match="texts, directions and heat are those of heads"):
            store.top(f"{MODULE}:1", direction="component 0")
        assert seen.of("compute") == []


def test_only_what_is_missing_of_the_head_is_computed(spare: Path) -> None:
    with belvedere.open(spare) as store:
        with belvedere.trace() as seen:
            store.top("2.3")
            assert [unit.split("/")[0] for unit in seen.of("compute")] == ["head_top_images"]
        with belvedere.trace() as again:
            store.top("2.3", direction="component 0")
            assert (again.of("compute"), again.of("load")) == ([], [])


def test_an_image_that_has_changed_is_a_grey_tile(forty: Path, shown_once: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(forty.parent, tmp_path / "scenes")
    with belvedere.open(tmp_path / "store") as store:
        store.add_model("clip", "demo:clip")
        store.add_images("scenes", folder / "scenes.csv")
        rows = store.top(f"{MODULE}:17", count=3).rows
        (folder / f"{rows.image_id[1]:03}.png").write_bytes(b"")
        (row,) = store.top(f"{MODULE}:17", count=3).sheet.rows
        assert [isinstance(tile.picture, str) for tile in row.groups[0]] == [False, True, False]
        assert row.groups[0][1].picture == "has changed"


def test_the_command_prints_rows_and_draws_them(run: Run, shown_once: Path, tmp_path: Path) -> None:
    found = run("top", "3.0", "--count", 1, "--store", shown_once)
    assert found.exit_code == 0
    lines = found.stdout.splitlines()
    assert lines[0].split() == ["direction", "rank", "image_id", "score", "label", "grp"]
    assert len(lines) == 2 + 6 * 2
    assert found.stderr.endswith("the pictures are in clip-scenes-3.0.png\n")
    assert (tmp_path / "clip-scenes-3.0.png").read_bytes().startswith(b"\x89PNG")


def test_the_command_writes_where_it_is_told_and_rows_for_programs(
    run: Run, shown_once: Path, tmp_path: Path
) -> None:
    words = ["top", f"{MODULE}:17", "--count", 3, "--out", tmp_path / "n.png", "--json"]
    rows = json.loads(run(*words, "--store", shown_once).stdout)
    assert [row["rank"] for row in rows] == [0, 1, 2]
    assert set(rows[0]) == {
        *("model", "image_set", "module", "neuron", "rank", "image_id", "activation"),
        *("label", "grp", "path"),
    }
    assert (tmp_path / "n.png").is_file()
    name = f"clip-scenes-{MODULE}-17.png"
    assert run(*words[:4], "--store", shown_once).stderr.endswith(f"the pictures are in {name}\n")


def test_the_command_refuses_what_it_cannot_read(run: Run, shown_once: Path) -> None:
    found = run("top", "third", "--store", shown_once)
    assert (found.exit_code, found.stdout) == (2, "")
    assert found.stderr.startswith("Error: 'third' is neither a head, LAYER.HEAD such as 3.1, nor a neuron")


def test_a_place_that_takes_no_picture_is_refused_before_anything_is_computed(
    run: Run, bare: Path, tmp_path: Path
) -> None:
    (tmp_path / "mine.png").write_text("precious")
    for out, said in (("nodir/x.png", "there is no folder nodir"), ("mine.png", "mine.png is there already")):
        with belvedere.trace() as seen:
            found = run("top", "3.0", "--out", out, "--store", bare)
        assert (found.exit_code, found.stdout, seen.of("compute")) == (2, "", [])
        assert said in found.stderr
    assert (tmp_path / "mine.png").read_text() == "precious"


def test_a_picture_is_replaced_where_that_is_asked_or_the_command_named_it(
    run: Run, shown_once: Path, tmp_path: Path
) -> None:
    named = tmp_path / f"clip-scenes-{MODULE}-17.png"
    for out, more in ((named, ()), (tmp_path / "mine.png", ("--out", "mine.png", "--overwrite"))):
        out.write_text("before")
        assert run("top", f"{MODULE}:17", "--count", 1, *more, "--store", shown_once).exit_code == 0
        assert out.read_bytes().startswith(b"\x89PNG")
