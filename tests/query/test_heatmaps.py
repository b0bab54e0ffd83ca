"""Heatmaps are what heads add from patches along any text, on the part of the picture that is seen."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import belvedere
from belvedere.compute.images.stretch import over_input
from belvedere.store.errors import BadDestination, BadSelection, BadSource, QueryError, UnknownName
from tests.shell import Run
from tests.worlds import TEXTS, World


@pytest.fixture(scope="module")
def shared(filled_once: Path, tmp_path_factory: pytest.TempPathFactory) -> belvedere.Store:
    """A store of the small world with roles, to which maps are added as they are asked for."""
    import shutil

    store = belvedere.open(shutil.copytree(filled_once, tmp_path_factory.mktemp("heat") / "store"))
    store.view("head_roles").fill()
    return store


def words(store: belvedere.Store, *texts: str) -> np.ndarray:
    """Embed texts by way of a text set of their own, which is removed again."""
    store.add_texts("own", [*texts])
    found = np.asarray(store.view("text_embeddings", texts="own")[...], np.float64)
    store.remove("own")
    return found


def literal(
    store: belvedere.Store, image_id: int, heads: list[tuple[int, int]], direction: np.ndarray
) -> np.ndarray:
    """Sum c[i,l,h,t] · direction head by head and patch by patch."""
    tokens = store.view("token_contributions")[image_id].astype(np.float64)
    heat = np.zeros(4)
    for layer, head in heads:
        for patch in range(4):
            heat[patch] += tokens[layer, head, 1 + patch] @ direction
    return heat.reshape(2, 2)


EVERY = [(layer, head) for layer in range(2) for head in range(2)]


def test_all_heads_are_mapped_unless_some_are_named(shared: belvedere.Store) -> None:
    found = shared.heatmap(["photos:3", ("photos", 20)], ["a red boat", "two hats"])
    boat, hats = words(shared, "a red boat", "two hats")
    assert found.patches.shape == (2, 2, 2, 2)
    for row, image_id in enumerate((3, 20)):
        for column, text in enumerate((boat, hats)):
            wanted = literal(shared, image_id, EVERY, text)
            np.testing.assert_allclose(found.patches[row, column], wanted, atol=1e-5)
    one = found[1]
    assert (one.image_set, one.image_id, one.text, one.heads) == ("photos", 3, "two hats", ())
    np.testing.assert_allclose(one.pixels, over_input(one.patches, (16, 16)), atol=1e-12)
    some = shared.heatmap("photos:3", "two hats", heads="1.*,0.1")
    np.testing.assert_allclose(some[0].patches, literal(shared, 3, [(0, 1), (1, 0), (1, 1)], hats), atol=1e-5)
    assert some.title == "What heads 0.1, 1.0, 1.1 of “m” add from each patch"


def test_a_contrast_takes_the_mean_map_away(shared: belvedere.Store) -> None:
    boat, hats, star = words(shared, "a red boat", "two hats", "a star")
    found = shared.heatmap("photos:3", "a red boat", contrast=["two hats", "a star"], heads=[(1, 0)])
    wanted = literal(shared, 3, [(1, 0)], boat) - literal(shared, 3, [(1, 0)], (hats + star) / 2)
    np.testing.assert_allclose(found[0].patches, wanted, atol=1e-5)
    assert found.subtitle == "less the mean of “two hats”, “a star”"
    assert shared.heatmap("photos:3", "a star", contrast="a star")[0].patches.max() == 0


def test_tokens_are_read_where_they_alone_are_kept(store: belvedere.Store) -> None:
    tokens = store.view("token_contributions")[3].astype(np.float64)
    with belvedere.trace() as seen:
        found = store.heatmap("photos:3", "a red boat")
    assert not [each for each in seen.of("compute") if "contributions" in each]
    assert store.view("patch_contributions").status().ready == 0
    (boat,) = words(store, "a red boat")
    wanted = (tokens.sum((0, 1))[1:] @ boat).reshape(2, 2)
    np.testing.assert_allclose(found[0].patches, wanted, atol=1e-5)


def test_eight_images_are_filled_for_one_that_is_shown(store: belvedere.Store) -> None:
    store.heatmap("photos:9", "a red boat")
    assert store.view("patch_contributions").status().ready == 1
    with belvedere.trace() as seen:
        again = store.heatmap(["photos:9", "photos:15"], ["a red boat"])
    assert seen.of("load") == []
    assert len(again) == 2


def test_heads_are_chosen_by_where_they_are_and_what_they_do(shared: belvedere.Store) -> None:
    last = shared.heatmap("photos:3", "a star", where="layer = 1 AND head < 1")
    assert last[0].heads == ((1, 0),)
    rows = shared.sql(
        "SELECT layer, head, role, description FROM head_roles JOIN head_descriptions "
        "USING (model, image_set, text_set, layer, head)"
    ).df()
    said = rows.description[0]
    wanted = rows[rows.description == said][["layer", "head"]].drop_duplicates().itertuples(index=False)
    found = shared.heatmap("photos:3", "a star", where=f"description = '{said}'")
    assert found[0].heads == tuple(sorted((int(layer), int(head)) for layer, head in wanted))


def test_a_head_shows_each_image_by_its_nearest_and_furthest_description(shared: belvedere.Store) -> None:
    found = shared.heatmap(["photos:3", "photos:8"], heads="1.1")
    said = shared.view("head_descriptions").where("layer = 1 AND head = 1").df()
    texts = shared.view("text_embeddings")[...]
    for row, image_id in zip(found.maps, (3, 8), strict=True):
        whole = shared.view("head_contributions")[image_id, 1, 1]
        along = {text: float(texts[TEXTS.index(text)] @ whole) for text in said.description}
        assert [each.text for each in row] == [
            max(along, key=along.__getitem__),
            min(along, key=along.__getitem__),
        ]
        for each in row:
            wanted = literal(shared, image_id, [(1, 1)], texts[TEXTS.index(each.text)].astype(float))
            np.testing.assert_allclose(each.patches, wanted, atol=1e-5)


def test_the_map_lies_on_what_the_model_sees_of_a_wide_picture(world: World, tmp_path: Path) -> None:
    store = belvedere.open(tmp_path / "store")
    store.add_model("m", world.source)
    pixels = np.random.default_rng(0).integers(0, 256, (20, 50, 3), dtype=np.uint8)
    store.add_images("wide", [Image.fromarray(pixels)])
    one = store.heatmap("wide:0", "a star")[0]
    assert one.pixels.shape == (20, 50)
    assert np.isnan(one.pixels[:, :15]).all()
    assert np.isnan(one.pixels[:, 35:]).all()
    np.testing.assert_allclose(one.pixels[:, 15:35], over_input(one.patches, (20, 20)), atol=1e-9)
    drawn = one.overlay()
    assert drawn.size == (256, 102)
    assert np.asarray(drawn)[:, :60].min() > 160  # paler where the model does not look


def test_images_that_are_named_twice_keep_their_places(shared: belvedere.Store) -> None:
    found = shared.heatmap(["photos:3", "photos:8", "photos:3"], "a star")
    assert [each.image_id for each in found] == [3, 8, 3]


def test_what_is_asked_wrongly_is_refused(shared: belvedere.Store, tmp_path: Path) -> None:
    cases: list[tuple[type[Exception], str, tuple[object, ...], dict[str, object]]] = [
        (
            BadSelection,
            "no head 7.0 in 'm'; there are 2 layers of 2 heads",
            ("photos:3", "a star"),
            {"heads": "7.0"},
        ),
        (BadSelection, "no layer 2 in 'm'; there are 2 layers", ("photos:3", "a star"), {"heads": "2.*"}),
        (BadSelection, "no head 0.-1 in 'm'", ("photos:3", "a star"), {"heads": [(0, -1)]}),
        (BadSource, "and not 3", ("photos:3", 3), {}),
        (BadSource, "and not nan", ("photos:3", float("nan")), {}),
        (BadSource, "such as 'scenes:12', not 3", (3, "a star"), {}),
        (BadSource, "is no image: SET:ID", ([("photos", 1.5)], "a star"), {}),
        (BadSource, "is no image: SET:ID", ([("photos", True)], "a star"), {}),
        (BadSource, "is no image: SET:ID", ([3], "a star"), {}),
        (
            BadSource,
            "'layer = 3 AND head IN .0, 2.' is no list of heads.*where=…",
            ("photos:3", "a star"),
            {"heads": "layer = 3 AND head IN (0, 2)"},
        ),
        (BadSource, "'1' is no head: LAYER.HEAD such as 3.1", ("photos:3", "a star"), {"heads": "1"}),
        (
            BadSelection,
            "'layer > 5' chooses none of the heads that there are",
            ("photos:3", "a star"),
            {"where": "layer > 5"},
        ),
        (
            BadSelection,
            "role = 'dance'\" chooses none of the heads that there are; roles there are",
            ("photos:3", "a star"),
            {"where": "role = 'dance'"},
        ),
        (QueryError, "colour", ("photos:3", "a star"), {"where": "colour = 'red'"}),
        (BadSource, "give one of the two", ("photos:3", "a star"), {"heads": "0.0", "where": "layer = 0"}),
        (BadSource, "needs more than the 12 tokens .*ask with fewer words", ("photos:3", "star " * 40), {}),
        (BadSource, "heatmap takes one text or several", ("photos:3", " "), {}),
        (BadSource, "without a text each image is shown by the descriptions of one head", ("photos:3",), {}),
        (BadSource, "'photos' is no image: SET:ID, such as scenes:12", ("photos", "a star"), {}),
        (BadSelection, "no image 300 in 'photos', which has images 0 to 299", ("photos:300", "a star"), {}),
        (UnknownName, "no image set 'photo'", ("photo:3", "a star"), {}),
    ]
    for error, message, given, named in cases:
        with pytest.raises(error, match=message):
            shared.heatmap(*given, **named)  # type: ignore[arg-type]
    found = shared.heatmap("photos:3", "a star")
    with pytest.raises(BadSource, match="heatmaps are written as"):
        found.save(tmp_path / "map.jpg")
    (tmp_path / "map.npy").write_bytes(b"mine")
    with pytest.raises(BadDestination, match="is there already"):
        found.save(tmp_path / "map.npy")


def test_the_command_draws_and_tells(world: World, shared: belvedere.Store, run: Run, tmp_path: Path) -> None:
    done = run(
        "heatmap",
        "photos:3",
        "--text",
        "a star",
        "--out",
        tmp_path / "one.png",
        "--csv",
        "--store",
        shared.path,
    )
    assert done.exit_code == 0, done.output
    header, row = done.stdout.splitlines()
    assert header == "image_set,image_id,text,sum,lowest,highest,y,x"
    assert row.startswith("photos,3,a star,")
    with Image.open(tmp_path / "one.png") as drawn:
        assert drawn.size == (256, 256)
    several = [
        "heatmap",
        "photos:3",
        "photos:4",
        "--text",
        "a star",
        "--text",
        "a hat",
        "--head",
        "1.0",
        "--head",
        "0.*",
    ]
    assert run(*several, "--out", tmp_path / "maps.npy", "--store", shared.path).exit_code == 0
    assert np.load(tmp_path / "maps.npy").shape == (2, 2, 2, 2)
    assert run(*several, "--out", tmp_path / "maps.png", "--store", shared.path).exit_code == 0
    with Image.open(tmp_path / "maps.png") as sheet:
        assert sheet.width >= 600
    refused = run("heatmap", "photos:3", "--text", "a star", "--head", "9.9", "--store", shared.path)
    assert refused.exit_code == 2
    assert "no head 9.9" in refused.stderr
