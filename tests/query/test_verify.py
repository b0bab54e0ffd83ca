"""Everything that a store keeps, removed, cut or changed by a bit: all of it is listed, by its path."""

from __future__ import annotations

import hashlib
import random
import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

import belvedere
from belvedere.compute.running.report import Report
from belvedere.query.store import Store
from belvedere.query.upkeep.verify import REMEDIES, Verified, verify_at
from belvedere.store.errors import DamagedObject
from belvedere.store.failures import failure
from belvedere.store.sealed import seal
from tests.query.test_damage import cut, empty, flip, remove
from tests.shell import Run
from tests.worlds import World, contents, edit_weights, picture, records

FLIPS = 60


@pytest.fixture(scope="module")
def varied_once(filled_once: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A filled store with every kind of file that there is; not to be written to."""
    store = belvedere.open(shutil.copytree(filled_once, tmp_path_factory.mktemp("varied") / "store"))
    store.add_texts("words", ["a", "b"], replace=True)
    store.add_texts("words", ["a", "b", "c"], replace=True)
    store.rename("words", "nouns")
    store.add_images("drawn", [Image.new("RGB", (16, 16), colour) for colour in ("red", "blue")])
    units = store.view("image_embeddings", images="photos")._view.units
    for unit in units:
        store._engine.folder.failures.put(unit, [failure(unit, "Tried", "before")])
    put = store._engine.folder.objects.put
    catalog = b"no catalog of DuckDB, and as long as one" * 100
    put("catalog.duckdb", catalog)
    put(f"published/{hashlib.sha256(catalog).hexdigest()}.json", seal({"rows": 3}))
    for name in ("summaries/head_roles/1", "uses/2026-01-01", "running/fill"):
        put(f"{name}.json", seal({"facts": [1, 2, 3]}))
    return store.path


@pytest.fixture
def varied(varied_once: Path, tmp_path: Path) -> Path:
    """A copy of it."""
    return shutil.copytree(varied_once, tmp_path / "varied")


def kinds(root: Path) -> dict[str, list[str]]:
    """List all files that `verify` reads, by their kind."""
    found: dict[str, list[str]] = {}
    attempts = {record.attempt for record in records(root).values()}
    for path in sorted(str(each.relative_to(root)) for each in root.rglob("*") if each.is_file()):
        top, attempt = path.split("/")[0], "/".join(path.split("/")[:4])
        if attempt in attempts:
            found.setdefault(f"{top}/{path.split('/')[1]}/{path.removeprefix(attempt)}", []).append(path)
        else:
            found.setdefault("/".join(path.split("/")[:2]) if top == "names" else top, []).append(path)
    return found


def listed(found: Verified) -> list[tuple[str, str]]:
    """Give the paths and what is said of them."""
    return [(each.path, each.what) for each in found.damage]


def test_a_whole_store_has_every_kind_of_file_and_no_damage(varied_once: Path) -> None:
    there = kinds(varied_once)
    tops = {"names/models", "names/images", "names/texts", "sets", "pictures", "recipes", "failures", "runs"}
    assert tops | {"belvedere.json", "catalog.duckdb", "published", "summaries", "uses", "running"} <= {
        *there
    }
    found = belvedere.open(varied_once, mode="r").verify()
    assert (found.damage, found.units) == ((), len(records(varied_once)))
    data = sum(len(record.objects) for record in records(varied_once).values())
    assert found.others == sum(map(len, there.values())) - found.units - data


def test_sixty_flips_over_all_kinds_of_files_are_found_sixty_times(varied: Path) -> None:
    dice, missed, seen = random.Random(20), [], Counter[str]()
    there = kinds(varied)
    data = [path for kind, paths in there.items() if kind.startswith("data/") for path in paths]
    pools = [[paths, data][kind.startswith("data/")] for kind, paths in there.items()]
    pools = [pool for pool in pools if pool is not data] + [data]
    turns = [pool for pool in pools for _ in range(3)]
    turns += [dice.choice(pools) for _ in range(FLIPS - len(turns))]
    for pool in turns:
        path = dice.choice(pool)
        seen[path.split("/")[0]] += 1
        whole = (varied / path).read_bytes()
        bit = dice.randrange(8 * len(whole))
        flip(varied / path, bit)
        found = listed(_read_only(varied))
        if found != [(path, "its bytes changed")]:
            missed.append((path, bit, found))
        (varied / path).write_bytes(whole)
    assert (len(turns), missed) == (FLIPS, [])
    assert min(seen.values()) >= 3


def _read_only(root: Path) -> Verified:
    """Verify without setting anything aside, even where the marker is what is damaged."""
    from belvedere.query.engine import Engine
    from belvedere.query.upkeep.verify import verify

    return verify(Engine(root, "r"))


def test_one_listing_has_all_that_is_removed_cut_or_changed(varied: Path) -> None:
    there, dice = kinds(varied), random.Random(3)
    units = {record.attempt: path for path, record in records(varied).items()}
    expected = {}
    for kind, paths in there.items():
        if kind in ("running", "catalog.duckdb", "names/models"):
            continue
        path = dice.choice(paths)
        what: Callable[[Path], None] = dice.choice([cut, empty])
        size = (varied / path).stat().st_size
        what(varied / path)
        now = (varied / path).stat().st_size
        expected[path] = f"{now} bytes instead of {size}" if kind.startswith("data/") else "its bytes changed"
    hidden = [
        path for path in expected if units.get("/".join(path.split("/")[:4])) in expected
    ]  # a damaged record hides what it lists, which goes with it
    found = dict(listed(verify_at(varied, deep=False, progress=False)))
    assert found == {path: what for path, what in expected.items() if path not in hidden}


@pytest.mark.parametrize("kind", ["sets", "pictures", "recipes", "data/head_descriptions//part.parquet"])
def test_what_is_removed_is_listed(varied: Path, kind: str) -> None:
    path = next(
        path for path in kinds(varied)[kind] if kind != "recipes" or "head_descriptions/m/photos" not in path
    )
    if kind == "sets":  # a list that no name stands for any more is nobody's loss
        path = max(kinds(varied)[kind], key=lambda each: (varied / each).stat().st_size)
    remove(varied / path)
    assert listed(verify_at(varied, deep=False, progress=False)) == [(path, "removed")]


def test_damaged_failures_and_runs_are_told_where_they_are_read_and_set_aside(varied: Path) -> None:
    for kind in ("failures", "runs"):
        cut(varied / kinds(varied)[kind][0])
    store = belvedere.open(varied)
    for ask in (store.errors, lambda: store.sql("FROM errors"), lambda: store.sql("FROM runs")):
        with pytest.raises(
            DamagedObject, match=r"(failures|runs)/.* is damaged \(its bytes changed\); belved"
        ):
            ask()
    assert {each.view for each in store.verify().damage} == {"failures", "runs"}
    assert (len(store.errors()), len(list((varied / "damaged").rglob("*.json")))) == (1, 2)
    assert (store.sql("FROM runs").fetchall() != [], store.verify().damage) == (True, ())


def test_a_damaged_name_stands_for_nothing_and_never_for_what_it_did_before(varied: Path) -> None:
    store = belvedere.open(varied)
    store.add_texts("nouns", ["x", "y"], replace=True)
    latest = max((varied / "names/texts/nouns").iterdir())
    cut(latest)
    fresh = belvedere.open(varied)
    for ask in (
        lambda: fresh.view("text_embeddings", texts="nouns"),
        lambda: fresh.sql("FROM texts"),
        lambda: fresh.add_texts("nouns", ["x", "y", "z"]),
    ):
        with pytest.raises(
            DamagedObject,
            match=r"names/texts/nouns/.*json is damaged .*; add the text set 'nouns' again with",
        ):
            ask()
    assert listed(fresh.verify()) == [(str(latest.relative_to(varied)), "its bytes changed")]
    fresh.add_texts("nouns", ["x", "y"], replace=True)
    assert fresh.view("text_embeddings", texts="nouns")._view.texts.formerly == ("words",)
    assert (len(fresh.verify().damage), fresh.verify().damage) == (1, ())


def test_a_damaged_name_can_be_taken_back(varied: Path) -> None:
    cut(max((varied / "names/texts/nouns").iterdir()))
    store = belvedere.open(varied)
    assert store.remove("nouns").name == "nouns"
    assert store.sql("FROM text_sets").fetchall() == []


def test_a_damaged_recipe_is_named_and_a_fill_writes_it_again(filled: Store) -> None:
    recipe = next((filled.path / "recipes/head_descriptions").rglob("*.json"))
    whole = recipe.read_bytes()
    cut(recipe)
    fresh = belvedere.open(filled.path)
    fresh.add_texts("more", ["a", "b"])
    with pytest.raises(
        DamagedObject, match="belvedere fill head_descriptions for m, photos, words writes it"
    ):
        fresh.sql("FROM head_descriptions")
    assert fresh.view("head_descriptions", texts="words").fill() == Report(reused=2)
    assert recipe.read_bytes() == whole
    assert fresh.verify().damage == ()


def test_what_is_derived_is_removed_where_it_is_damaged(varied: Path) -> None:
    for top in ("summaries", "uses"):
        cut(varied / kinds(varied)[top][0])
    found = verify_at(varied, deep=False, progress=False).damage
    assert [(each.view, each.remedy) for each in found] == [
        (view, REMEDIES[view]) for view in ("summaries", "uses")
    ]
    assert not {"summaries", "uses"} & {*kinds(varied)}


def test_a_record_under_another_key_is_no_record(filled: Store) -> None:
    first, second = sorted(path for path in records(filled) if "/head_contributions/" in path)
    shutil.copy(filled.path / first, filled.path / second)
    assert listed(filled.verify()) == [(second, "its bytes changed")]


def test_deep_reads_image_files_and_models_and_decodes_all_units(world: World, tmp_path: Path) -> None:
    photos = Path(shutil.copytree(world.photos, tmp_path / "photos"))
    clip = Path(shutil.copytree(world.clip, tmp_path / "clip"))
    store = World(clip, photos).store(tmp_path / "store")
    assert store.view("head_contributions").fill().complete
    found = store.verify(deep=True)
    assert (found.damage, found.images, found.models) == ((), 300, 1)
    (photos / "00003.png").write_bytes(picture(9))
    (photos / "00005.png").unlink()
    edit_weights(clip, "visual.ln_post.bias", 3.0)
    found = store.verify(deep=True)
    assert [(each.view, each.unit, each.path) for each in found.damage] == [
        ("images", "photos", str(photos / "00003.png")),
        ("images", "photos", str(photos / "00005.png")),
        ("models", "m", str(clip)),
    ]
    whats = [each.what for each in found.damage]
    assert whats[:2] == ["other bytes than when it was added", "removed"]
    assert "is no longer what open_clip:local-dir:" in whats[2]
    assert store.verify().damage == ()
    assert len(contents(store)) > 0


def test_deep_finds_a_unit_whose_key_is_not_that_of_what_it_covers(filled: Store) -> None:
    from dataclasses import replace

    path, record = next((p, r) for p, r in records(filled).items() if "/head_contributions/" in p)
    other = f"{path.rpartition('/')[0]}/{'0' * 32}.json"
    (filled.path / other).write_bytes(replace(record, unit="0" * 32).to_json())
    assert filled.verify().damage == ()
    assert listed(filled.verify(deep=True)) == [(other, f"the key of what it covers is {record.unit}")]


def test_the_command_lists_all_even_with_a_damaged_marker(run: Run, varied: Path) -> None:
    flip(varied / "belvedere.json", 77)
    cut(varied / kinds(varied)["runs"][0])
    refused = run("status", "--store", varied)
    assert (refused.exit_code, refused.stdout) == (2, "")
    assert "belvedere.json is damaged (its bytes changed); put the one of another store" in refused.stderr
    found = run("verify", "--store", varied, "--csv")
    assert found.exit_code == 1
    lines = found.stdout.splitlines()
    assert [line.split(",")[0] for line in lines] == ["view", "runs", "store"]
    assert (
        "store: put the belvedere.json of another store that this version made in its place" in found.stderr
    )
    assert found.stderr.endswith("other objects: 2 objects are damaged\n")
