"""What other processes do between a listing and a read: nothing that a reader would notice."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import belvedere
from belvedere.compute.runner import Progress
from belvedere.query.store import Store
from belvedere.store.errors import MissingUnits
from tests.small_views import Letters, LetterSums, small_engine, text_set
from tests.worlds import BLOCK, engine, records


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
