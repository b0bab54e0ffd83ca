"""What other processes and threads do meanwhile: nothing that a reader would notice."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest

import belvedere
from belvedere.compute.running.report import Progress
from belvedere.query.store import Store
from belvedere.store.errors import MissingUnits
from tests.small_views import Letters, LetterSums, small_engine, text_set
from tests.worlds import BLOCK, World, add_pictures, engine, records


def test_a_record_that_another_process_sets_aside_meanwhile_is_missing_and_no_surprise(
    filled: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = filled.view("head_contributions")[:]

    def fresh() -> Any:
        """Open the store again; a record goes away after it was listed, before it is read."""
        view = belvedere.open(filled.path).view("head_contributions")
        reader, look = view._engine.reader, view._engine.reader.absent

        def absent(unit: Any) -> Any:
            monkeypatch.setattr(reader, "absent", look)
            (filled.path / view._engine.folder.records.path(view._view.units[0])).unlink()
            return look(unit)

        monkeypatch.setattr(reader, "absent", absent)
        return view

    with pytest.raises(MissingUnits, match="1 of 2 units"):
        fresh().read(missing="raise")
    filled.view("head_contributions").fill()
    masked = fresh().read(missing="mask")
    assert (masked.mask[:BLOCK].all(), masked.mask[BLOCK:].any()) == (True, False)
    filled.view("head_contributions").fill()
    with belvedere.trace() as seen:
        np.testing.assert_array_equal(fresh()[:], expected)
    (unit,) = seen.of("compute")
    assert unit.startswith("head_contributions/")
    assert unit.endswith("[image 0:256]")


def test_an_answer_lacks_what_goes_away_while_it_is_read_and_says_so(
    filled: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    reader, read = engine(filled).reader, engine(filled).reader.rows

    def rows(unit: Any) -> Any:
        """Read a unit whose record goes away after it was listed."""
        monkeypatch.setattr(reader, "rows", read)
        (filled.path / engine(filled).folder.records.path(unit)).unlink()
        return read(unit)

    monkeypatch.setattr(reader, "rows", rows)
    answer = filled.sql("SELECT DISTINCT layer FROM head_descriptions")
    assert str(answer.completeness) == "head_descriptions lacks 1 of 2 units (m × photos × words)"
    with pytest.warns(belvedere.IncompleteAnswer):
        assert answer.fetchall() == [(1,)]


@pytest.mark.parametrize("mode", ["a", "r"])
def test_a_unit_that_was_given_up_and_made_anew_is_read_by_whoever_knew_the_old_one(
    filled: Store, mode: Literal["a", "r"]
) -> None:
    other = belvedere.open(filled.path, mode=mode)
    heads, expected = other.view("head_contributions"), filled.view("head_contributions")[:]
    rows = other.sql("FROM head_descriptions ORDER BY ALL").fetchall()
    assert np.array_equal(heads.read(missing="raise"), expected)
    filled.gc(max_bytes=0, views=["head_contributions", "head_descriptions"])
    with pytest.raises(MissingUnits, match="2 of 2 units"):
        heads.read(missing="raise")
    assert heads.read(missing="mask").mask.all()
    filled.view("head_descriptions").fill(batch_size=64)
    filled.view("head_contributions").fill(batch_size=64)
    assert np.array_equal(heads.read(missing="raise"), expected)
    assert other.sql("FROM head_descriptions ORDER BY ALL").fetchall() == rows


def test_a_unit_that_takes_the_place_of_one_that_is_being_checked_is_not_set_aside(filled: Store) -> None:
    kept, before = engine(filled).folder.records, records(filled)
    filled.gc(max_bytes=0, views=["head_descriptions"])
    filled.view("head_descriptions").fill(batch_size=64)
    after = records(filled)
    gone = [path for path, record in before.items() if after[path].attempt != record.attempt]
    assert len(gone) == 2
    assert [kept.check(path, before[path]) for path in gone] == [[], []]
    assert records(filled) == after


def test_verify_passes_over_what_another_process_sets_aside_meanwhile(
    filled: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    objects, count = engine(filled).folder.objects, len(records(filled))
    listed = list(objects.list(""))
    (filled.path / next(info.path for info in listed if info.path.startswith("units/"))).unlink()
    monkeypatch.setattr(
        objects, "list", lambda prefix: [info for info in listed if info.path.startswith(prefix)]
    )
    found = filled.verify()
    assert (found.units, found.damage) == (count - 1, ())


def test_a_report_forgets_what_failed_where_another_process_made_it_meanwhile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine, view = small_engine(tmp_path), LetterSums(Letters(text_set(["a", "b", "c"])))
    made = Letters.derive

    def gone(letters: Letters, *_: Any) -> Any:
        monkeypatch.setattr(Letters, "derive", made)
        raise MissingUnits(letters.title(), 1, 1, "they went away")

    class Meanwhile(Progress):
        def end(self) -> None:
            """Let another process do the work once this one's first round is over."""
            monkeypatch.setattr(Meanwhile, "end", Progress.end)
            assert small_engine(tmp_path).fill(view.units).complete

    monkeypatch.setattr(Letters, "derive", gone)
    report = mine.fill(view.units, progress=Meanwhile())
    assert (report.failed, report.skipped, report.complete) == (0, 0, True)


def test_threads_that_fill_one_store_see_what_their_own_images_give(world: World, tmp_path: Path) -> None:
    store = world.store(tmp_path / "store")
    store.add_images("some", add_pictures(tmp_path / "some", range(1000, 1000 + 2 * BLOCK)))
    module = "visual.transformer.resblocks.0.mlp.gelu"
    asked: list[tuple[str, dict[str, Any]]] = [
        ("head_contributions", {"images": "some"}),
        ("neuron_activations", {"images": "photos", "module": module}),
        ("token_contributions", {"images": "photos"}),
        ("neuron_activations", {"images": "some", "module": module}),
    ]
    with ThreadPoolExecutor(len(asked)) as pool:
        together = list(pool.map(lambda each: store.view(each[0], **each[1]).fill(batch_size=16), asked))
    assert all(report.complete for report in together)
    alone = world.store(tmp_path / "alone")
    alone.add_images("some", tmp_path / "some")
    for name, names in asked:
        np.testing.assert_allclose(
            store.view(name, **names)[...], alone.view(name, **names)[...], rtol=1e-5, atol=1e-6
        )
