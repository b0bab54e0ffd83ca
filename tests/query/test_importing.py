"""Imported arrays: read as any other view, never computed, and never mistaken for something else."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import belvedere
from belvedere.compute.running.report import Progress
from belvedere.query.exchange.importing import Imported
from belvedere.query.lazy.array import LazyArray
from belvedere.store.errors import (
    AbsentRows,
    BadSource,
    CannotRun,
    MissingUnits,
    NameTaken,
    NoTextTower,
    NotImported,
    ReadOnlyStore,
    UnknownName,
    UnsuitableModule,
    UnsupportedTower,
)
from tests.worlds import World, add_pictures, contents, orphans, records

IMAGES, NEURONS = 300, 5
dice = np.random.default_rng(3)
ACTS: NDArray[np.float32] = dice.normal(size=(IMAGES, NEURONS)).astype(np.float32)
HEADS: NDArray[np.float32] = dice.normal(size=(IMAGES, 2, 3, 4)).astype(np.float32)
MLPS: NDArray[np.float32] = dice.normal(size=(IMAGES, 3, 4)).astype(np.float32)


@pytest.fixture(scope="session")
def listed(world: World, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with the world's 300 images and no model; not to be written to."""
    store = belvedere.open(tmp_path_factory.mktemp("listed") / "store")
    store.add_images("photos", world.photos)
    return store.path


@pytest.fixture
def store(listed: Path, tmp_path: Path) -> belvedere.Store:
    """A copy of it."""
    return belvedere.open(shutil.copytree(listed, tmp_path / "store"))


@pytest.fixture
def acts(tmp_path: Path) -> Path:
    np.save(tmp_path / "acts.npy", ACTS)
    return tmp_path / "acts.npy"


def take(store: belvedere.Store, path: Path, name: str = "rn50", **said: Any) -> Imported:
    """Import activations of layer4 of the photos, unless something else is said."""
    given = {"images": "photos", "module": "layer4", **said}
    return store.import_arrays(name, path, progress=False, **given)


def activations(store: belvedere.Store, **asked: Any) -> LazyArray:
    view = store.view("neuron_activations", **{"module": "layer4", **asked})
    assert isinstance(view, LazyArray)
    return view


def test_activations_are_read_like_any_other_and_nothing_is_computed(
    store: belvedere.Store, acts: Path
) -> None:
    assert take(store, acts) == Imported(
        view="neuron_activations[rn50 × photos × layer4]",
        dims=("image", "neuron"),
        shape=(IMAGES, NEURONS),
        dtype="float32",
        written=2,
        reused=0,
        absent=0,
    )
    view = activations(belvedere.open(store.path, mode="r"))
    with belvedere.trace() as seen:
        np.testing.assert_array_equal(view[:], ACTS)
        np.testing.assert_array_equal(view[250:260, [4, 0]], ACTS[250:260, [4, 0]])
    assert (seen.of("load"), seen.of("compute"), orphans(store)) == ([], [], [])
    assert (view.status().ready, view.status().missing, view.status().absent) == (2, 0, 0)


def test_top_images_and_sql_work_on_them_at_once(store: belvedere.Store, acts: Path) -> None:
    take(store, acts)
    assert store.view("top_images", module="layer4").fill(progress=False).complete
    found = store.sql(
        "SELECT neuron, rank, image_id, activation FROM top_images WHERE rank < 2 ORDER BY 1, 2"
    )
    best = np.argsort(-ACTS, axis=0, kind="stable")[:2].T
    expected = [(n, r, int(i), float(ACTS[i, n])) for n in range(NEURONS) for r, i in enumerate(best[n])]
    assert found.completeness.complete
    assert found.fetchall() == expected


def test_as_many_neurons_as_there_are_classes_are_read_and_ranked(
    store: belvedere.Store, tmp_path: Path
) -> None:
    values = np.random.default_rng(5).normal(size=(IMAGES, 1000)).astype(np.float32)
    np.save(tmp_path / "fc.npy", values)
    take(store, tmp_path / "fc.npy", module="fc")
    np.testing.assert_array_equal(activations(store, module="fc")[:], values)
    np.testing.assert_array_equal(activations(store, module="fc")[250:, 990:], values[250:, 990:])
    best = store.view("top_images", module="fc", k=1).df()
    assert best["image_id"].tolist() == values.argmax(axis=0).tolist()


@pytest.mark.parametrize("dtype", ["float16", "float64"])
def test_other_widths_are_kept_in_float32(dtype: str, store: belvedere.Store, tmp_path: Path) -> None:
    values = ACTS.astype(np.float16).astype(dtype)
    np.save(tmp_path / "acts.npy", values)
    assert take(store, tmp_path / "acts.npy").dtype == dtype
    found = activations(store)[:]
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, values.astype(np.float32))


def test_the_pool_that_was_said_is_the_only_one_there(store: belvedere.Store, acts: Path) -> None:
    take(store, acts, pool="max")
    np.testing.assert_array_equal(activations(store, pool="max")[:], ACTS)
    told = r"they were imported from acts\.npy, pooled by max; ask for pool='max', and for no other parameter"
    for other in (
        {},
        {"pool": "mean"},
        {"pool": "max", "dtype": "float16"},
        {"pool": "max", "channels": "last"},
    ):
        with pytest.raises(UnsuitableModule, match=told):
            activations(store, **other)
    assert store.view("top_images", module="layer4", pool="max").fill(progress=False).complete
    assert store.sql("SELECT count(*) FROM top_images").fetchall() == [(NEURONS * 20,)]
    assert [(each.view, each.ready) for each in store.status()] == [
        ("neuron_activations[rn50 × photos × layer4]", 2),
        ("top_activations[rn50 × photos × layer4]", 1),
        ("top_images[rn50 × photos × layer4]", 1),
    ]


@pytest.mark.parametrize(
    ("kind", "values", "dims"),
    [
        ("heads", HEADS, ("image", "layer", "head", "joint")),
        ("mlps", MLPS, ("image", "term", "joint")),
        ("class-token", HEADS[:, :, 0], ("image", "layer", "joint")),
    ],
)
def test_contributions_are_read_as_they_were_written(
    kind: str, values: NDArray[np.float32], dims: tuple[str, ...], store: belvedere.Store, tmp_path: Path
) -> None:
    np.save(tmp_path / "prs.npy", values)
    found = take(store, tmp_path / "prs.npy", "b16", module=None, contributions=kind)
    assert (found.view, found.written) == (f"imported_contributions[b16 × photos × {kind}]", 5)
    view = store.view("imported_contributions", convention="clip_prs")
    assert (view.dims, view.shape) == (dims, values.shape)
    np.testing.assert_array_equal(view[:], values)
    np.testing.assert_array_equal(view[60:70, -1, [2, 0]], values[60:70, -1][:, [2, 0]])
    assert dict(view.coords) == ({"term": ("embedding", "mlp[0]", "mlp[1]")} if kind == "mlps" else {})
    assert [each.view for each in store.status()] == [found.view]


def test_they_are_of_no_other_convention_than_the_published_code_has(
    store: belvedere.Store, tmp_path: Path
) -> None:
    np.save(tmp_path / "prs.npy", HEADS)
    take(store, tmp_path / "prs.npy", "b16", module=None, contributions="heads")
    with pytest.raises(UnknownName, match="no value of imported_contributions's convention 'own'"):
        store.view("imported_contributions", convention="own")


def test_an_import_is_no_model_that_could_run(store: belvedere.Store, world: World, tmp_path: Path) -> None:
    np.save(tmp_path / "prs.npy", HEADS)
    take(store, tmp_path / "prs.npy", "b16", module=None, contributions="heads")
    store.add_texts("words", ["a dog"])
    with pytest.raises(UnsupportedTower, match=r"it was imported \(import:prs\.npy\)"):
        store.view("head_contributions")
    with pytest.raises(NoTextTower, match=r"model 'b16' \(import:prs\.npy\) embeds no texts"):
        store.view("text_embeddings")
    with pytest.raises(
        UnsuitableModule, match="they are contributions; ask for the view imported_contributions"
    ):
        activations(store, module="heads")
    with pytest.raises(CannotRun, match="belvedere import arrays takes in what others have computed"):
        store.add_model("again", "import:prs.npy")
    store.add_model("m", world.source)
    with pytest.raises(
        NotImported, match="no contributions were imported as 'm'; belvedere import arrays takes"
    ):
        store.view("imported_contributions", model="m")


def test_the_catalog_says_where_it_comes_from(store: belvedere.Store, acts: Path) -> None:
    take(store, acts, note="from the authors' page")
    models = store.sql("SELECT model, source, precision, weights, layers, note FROM models").fetchall()
    assert models == [("rn50", "import:acts.npy", "float32", None, None, "from the authors' page")]
    (shown,) = store.show("rn50")
    assert shown.facts["note"] == "from the authors' page"
    units = store.sql(
        "SELECT view, model, image_set, start, stop, device FROM units ORDER BY start"
    ).fetchall()
    assert units == [
        ("neuron_activations", "rn50", "photos", 0, 256, "import"),
        ("neuron_activations", "rn50", "photos", 256, 300, "import"),
    ]
    assert store.sql("SELECT steps, filled, failed FROM runs").fetchall() == [(2, 2, 0)]
    said = store._engine.folder.names.model("rn50").imported
    assert said is not None
    kept = sorted(records(store).values(), key=lambda record: record.covers["start"])
    assert [record.facts["imported"] for record in kept] == [
        {"name": "acts.npy", "rows": [start, stop], **said} for start, stop in ((0, 256), (256, 300))
    ]
    assert {key: said[key] for key in ("key", "shape", "dtype", "activations", "pool")} == {
        "key": None,
        "shape": [IMAGES, NEURONS],
        "dtype": "float32",
        "activations": "layer4",
        "pool": "mean",
    }


def test_one_file_imported_twice_is_one_thing(store: belvedere.Store, acts: Path, tmp_path: Path) -> None:
    first = take(store, acts)
    before = contents(store)
    copy = shutil.copy(acts, tmp_path / "copy.npy")
    assert take(store, acts) == replace(first, written=0, reused=2)
    assert take(store, Path(copy), "again", note="the same") == replace(
        first, view="neuron_activations[again × photos × layer4]", written=0, reused=2
    )
    assert contents(store) == before
    np.testing.assert_array_equal(activations(store, model="again")[:], ACTS)


def test_two_files_never_meet(store: belvedere.Store, acts: Path, tmp_path: Path) -> None:
    take(store, acts)
    other = tmp_path / "other" / "acts.npy"
    other.parent.mkdir()
    np.save(other, ACTS + 1)
    told = "model 'rn50' stands for import:acts.npy .*, other numbers, or said to be something else; take"
    for path, said in ((other, {}), (acts, {"pool": "max"}), (acts, {"module": "layer3"})):
        with pytest.raises(NameTaken, match=told):
            take(store, path, **said)
    np.testing.assert_array_equal(activations(store)[:], ACTS)
    assert take(store, other, replace=True).written == 2
    np.testing.assert_array_equal(activations(store)[:], ACTS + 1)


def test_one_file_said_to_be_of_two_sets_is_two_things(
    store: belvedere.Store, acts: Path, world: World
) -> None:
    take(store, acts)
    backwards = sorted(world.photos.iterdir(), reverse=True)
    store.add_images("backwards", backwards)
    assert take(store, acts, "mirrored", images="backwards").written == 2
    np.testing.assert_array_equal(activations(store, model="mirrored", images="backwards")[:], ACTS)
    np.testing.assert_array_equal(activations(store, model="rn50", images="backwards")[:], ACTS[::-1])


def test_a_set_chosen_from_the_images_has_their_rows(
    store: belvedere.Store, acts: Path, world: World
) -> None:
    take(store, acts)
    store.add_images("few", sorted(world.photos.iterdir())[100:110])
    np.testing.assert_array_equal(activations(store, images="few")[:], ACTS[100:110])


def test_images_that_came_later_are_missing_and_never_computed(
    store: belvedere.Store, acts: Path, world: World, tmp_path: Path
) -> None:
    take(store, acts)
    assert store.view("top_images", module="layer4").fill(progress=False).complete
    new = add_pictures(tmp_path / "new", range(IMAGES, IMAGES + 20))
    store.add_images("photos", [*sorted(world.photos.iterdir()), *sorted(new.iterdir())])
    view = activations(store)
    assert (view.status().ready, view.status().stale, view.status().causes) == (
        1,
        1,
        ("images appended: 300 → 320",),
    )
    told = (
        r"1 of 2 units of neuron_activations\[rn50 × photos × layer4\] are not there and cannot be computed: "
        r"they were imported from acts\.npy, which is of other images; import a file with a row for each of "
        r"the 320 images of 'photos' \(belvedere import arrays rn50 FILE --images photos --replace\)"
    )
    for ask in (lambda: view[300], view.fill, store.view("top_images", module="layer4").df):
        with pytest.raises(CannotRun, match=told):
            ask()
    with pytest.raises(MissingUnits, match=told):
        view.read(299, missing="raise")
    assert view.plan().lost is not None
    assert str(view.plan()).endswith("--replace)")
    np.testing.assert_array_equal(view[:256], ACTS[:256])
    assert store.errors() == []
    np.save(tmp_path / "more.npy", np.vstack([ACTS, ACTS[:20]]))
    take(store, tmp_path / "more.npy", replace=True)
    np.testing.assert_array_equal(activations(store)[300:], ACTS[:20])


def test_a_damaged_unit_is_told_and_mended_by_the_same_file(store: belvedere.Store, acts: Path) -> None:
    take(store, acts)
    record = next(each for each in records(store).values() if each.covers["start"] == 256)
    kept = max(record.objects, key=lambda each: each.size)
    path = store.path / record.attempt / kept.path
    data = bytearray(path.read_bytes())
    data[100] ^= 1
    path.write_bytes(data)
    told = r"1 of 2 units .* they were imported; import acts\.npy again \(belvedere import arrays rn50 FILE"
    with pytest.raises(CannotRun, match=told):
        activations(store)[290]
    found = take(store, acts)
    assert (found.written, found.reused) == (1, 1)
    np.testing.assert_array_equal(activations(store)[:], ACTS)
    assert (store.verify().units, store.verify().damage) == (2, ())


def test_rows_of_nan_are_absent_images_where_that_is_said(store: belvedere.Store, tmp_path: Path) -> None:
    values = ACTS.copy()
    values[[7, 299]] = np.nan
    np.save(tmp_path / "acts.npy", values)
    with pytest.raises(BadSource, match=r"row 7 of acts\.npy is all NaN"):
        take(store, tmp_path / "acts.npy")
    assert take(store, tmp_path / "acts.npy", absent_nan=True).absent == 2
    with pytest.raises(AbsentRows, match=r"no row for image 7 \(its row in acts\.npy is NaN\)"):
        activations(store)[:]
    np.testing.assert_array_equal(activations(store)[8:299], values[8:299])
    found = [(each.row, each.error, each.message) for each in store.errors()]
    reason = "its row in acts.npy is NaN"
    assert sorted(found, key=str) == [(299, "AbsentRow", reason), (7, "AbsentRow", reason)]
    assert str(store.errors()[0].path).endswith(".png")
    assert store.view("top_images", module="layer4").fill(progress=False).complete
    assert store.sql("SELECT count(*) FROM top_images WHERE image_id IN (7, 299)").fetchall() == [(0,)]


@pytest.mark.parametrize(
    ("values", "said", "told"),
    [
        (ACTS[:299], {}, r"acts\.npy has 299 rows, and 'photos' has 300 images: they have to be the same"),
        (HEADS, {}, r"is 300 × 2 × 3 × 4; activations have 2 axes, none empty: image × neuron"),
        (ACTS[:, :0], {}, r"is 300 × 0; activations have 2 axes, none empty"),
        (np.float32(1), {}, r"is no axis; activations have 2 axes"),
        (MLPS, {"module": None, "contributions": "heads"}, r"is 300 × 3 × 4; heads have 4 axes, none empty"),
        (np.where(ACTS > 3, np.inf, ACTS), {}, r"row \d+ of acts\.npy has numbers that are NaN or infinite"),
        (ACTS, {"module": None}, r"say what the file holds: module=… \(--module\)"),
        (ACTS, {"contributions": "heads"}, r"say what the file holds: module=… \(--module\)"),
        (ACTS, {"module": ""}, r"module='' names no module"),
        (HEADS, {"module": None, "contributions": "heads", "pool": "max"}, r"pool='max' goes with module=…"),
    ],
)
def test_what_does_not_fit_is_refused_and_nothing_is_kept(
    values: Any, said: dict[str, Any], told: str, store: belvedere.Store, tmp_path: Path
) -> None:
    np.save(tmp_path / "acts.npy", values)
    with pytest.raises(BadSource, match=told):
        take(store, tmp_path / "acts.npy", **said)
    assert (records(store), contents(store), orphans(store)) == ({}, {}, [])
    assert store.sql("SELECT model FROM models").fetchall() == []


def test_unknown_words_are_refused_by_name(store: belvedere.Store, acts: Path) -> None:
    with pytest.raises(UnknownName, match="no image set 'photo'; did you mean 'photos'"):
        take(store, acts, images="photo")
    with pytest.raises(UnknownName, match="no pool of imported activations 'token'"):
        take(store, acts, pool="token")
    with pytest.raises(UnknownName, match="no kind of contributions 'head'; did you mean 'heads'"):
        take(store, acts, module=None, contributions="head")
    with pytest.raises(ReadOnlyStore, match='open it with mode="a" to import into it'):
        take(belvedere.open(store.path, mode="r"), acts)


class Stopping(Progress):
    """Interrupts an import when the second of its units is made."""

    def begin(self, total: int, what: str) -> None:
        self.left = {"neuron_activations": 1}.get(what, total)

    def advance(self, count: int) -> None:
        self.left -= 1
        if self.left < 0:
            raise KeyboardInterrupt


def test_an_import_that_was_stopped_goes_on_where_it_was(store: belvedere.Store, acts: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        store.import_arrays("rn50", acts, images="photos", module="layer4", progress=Stopping())
    assert store.sql("SELECT model FROM models").fetchall() == []
    assert len(records(store)) == 1
    found = take(store, acts)
    assert (found.written, found.reused) == (1, 1)
    np.testing.assert_array_equal(activations(store)[:], ACTS)
