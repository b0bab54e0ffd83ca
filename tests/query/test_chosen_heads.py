"""Heads that a condition chooses, as what other views are made from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import pytest

import belvedere
from belvedere.compute.heads.head_sets import Heads, HeadSet
from belvedere.compute.kinds import Derived, Made
from belvedere.compute.views import all_views
from belvedere.compute.views.head_moments import HeadMoments
from belvedere.store import digest
from belvedere.store.errors import BadSelection, BadSource, QueryError, UnknownName
from belvedere.store.grid import Grid
from belvedere.store.views import Input, Parts, TableView, Unit
from tests.worlds import TEXTS, make_clip


@dataclass(frozen=True)
class HeadCounts(Derived, TableView):
    """How many heads a condition chooses."""

    moments: Input[HeadMoments]
    heads: Input[Heads] = None
    axis: ClassVar[str] = "table"
    columns: ClassVar[Mapping[str, str]] = {"heads": "string", "count": "int32"}

    @property
    def grid(self) -> Grid:
        return Grid(1, 1)

    def constant(self) -> Mapping[str, str]:
        return {"heads": self.heads.condition} if self.heads else {}

    def needs(self, index: int) -> Sequence[Unit]:
        return (*self.moments.units, *(self.heads.units if self.heads else ()))

    def contents(self, start: int, stop: int) -> str:
        return digest.of_sequence(unit.key for unit in self.needs(0))

    def derive(self, unit: Unit, parts: Parts) -> Made:
        found = len(self.heads.read(parts)) if self.heads else 0
        return Made(rows={"heads": [self.heads.condition if self.heads else None], "count": [found]})


@pytest.fixture(autouse=True)
def _known(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the view above be one of all."""
    monkeypatch.setitem(all_views(), "head_counts", HeadCounts)


def counted(store: belvedere.Store, condition: str) -> int:
    table = store.view("head_counts", heads=condition)
    assert table.fill(progress=False).complete
    return int(table.df()["count"][0])


def test_a_condition_on_places_needs_no_descriptions(store: belvedere.Store) -> None:
    plan = store.view("head_counts", heads="layer = 1 AND head < 1").plan()
    assert "head_roles" not in str(plan)
    assert counted(store, "layer = 1 AND head < 1") == 1
    assert counted(store, "layer >= 0") == 4


def test_one_head_is_one_head_wherever_it_is_named(store: belvedere.Store) -> None:
    assert [counted(store, each) for each in ("1.0", "0.1", " 1.1 ")] == [1, 1, 1]
    kept = store.view("head_counts", heads="1.0")._view.heads
    assert kept.read(store._engine.reader) == [(1, 0)]
    found = store.sql("SELECT heads, count FROM head_counts WHERE heads = '1.0'")
    assert (found.fetchall(), found.completeness.complete) == ([("1.0", 1)], True)


def test_a_head_that_no_model_has_cannot_be_declared(store: belvedere.Store) -> None:
    with pytest.raises(BadSelection, match=r"no head 9\.9"):
        store.declare("gone", "ablations", heads="9.9")
    assert "gone" not in {row["view"] for row in store.views()}


def test_a_condition_on_roles_computes_them_once_somebody_asks(store: belvedere.Store) -> None:
    table = store.view("head_counts", heads="score >= 0")
    assert "head_roles" in str(table.plan())
    assert counted(store, "score >= 0") == 4
    assert counted(store, "layer = 0 AND (role = 'none' OR role <> 'none')") == 2


def test_a_head_is_chosen_where_one_of_its_descriptions_fits(filled: belvedere.Store) -> None:
    rows = filled.sql("SELECT layer, head, description FROM head_descriptions WHERE rank < 2").fetchall()
    dogs = {(layer, head) for layer, head, text in rows if "dog" in text}
    assert dogs
    assert counted(filled, "description LIKE '%dog%' AND rank < 2") == len(dogs)
    assert counted(filled, "category IS NULL OR category = 'x'") == 4


def test_a_declared_table_of_heads_is_a_condition_too(store: belvedere.Store) -> None:
    store.declare(
        "first", sql="SELECT layer, head FROM head_roles WHERE layer = 0 ORDER BY score DESC LIMIT 1"
    )
    assert counted(store, "first") == 1
    store.declare("first", sql="SELECT layer, head FROM head_roles WHERE layer = 0", replace=True)
    assert counted(store, "first") == 2


def test_what_was_filled_with_a_condition_has_rows_in_sql(store: belvedere.Store) -> None:
    assert counted(store, "layer = 1") == 2
    assert counted(store, "head = 0 AND layer = 1") == 1
    assert store.view("head_counts").fill(progress=False).complete
    found = store.sql("SELECT heads, count FROM head_counts ORDER BY count")
    assert found.completeness.complete
    assert found.fetchall() == [(None, 0), ("head = 0 AND layer = 1", 1), ("layer = 1", 2)]
    assert [each.view for each in store.status() if "head_counts" in each.view and each.ready == 1] == [
        "head_counts[m × photos]",
        "head_counts[m × photos × head = 0 AND layer = 1]",
        "head_counts[m × photos × layer = 1]",
    ]


def test_a_renamed_model_recomputes_nothing(store: belvedere.Store) -> None:
    counted(store, "score >= 0")
    store.rename("m", "other")
    assert store.view("head_counts", heads="score >= 0").status().ready == 1


def test_a_condition_on_places_chooses_among_the_heads_of_each_tower(
    store: belvedere.Store, tmp_path: Path
) -> None:
    store.add_model("big", f"open_clip:local-dir:{make_clip(tmp_path / 'big', layers=3, width=24)}")
    found = {}
    for model in ("m", "big", "m"):
        view = store.view("head_counts", model=model, heads="head >= 0")
        assert view.fill(progress=False).complete
        found[model] = int(view.df()["count"][0])
    assert found == {"m": 4, "big": 9}


def test_a_condition_that_speaks_of_names_follows_them(store: belvedere.Store) -> None:
    condition = "rank < 1 AND (text_set = 'words' OR layer = 1)"
    store.add_texts("others", TEXTS)
    for texts in ("words", "others"):
        assert store.view("head_roles", texts=texts).fill(progress=False).complete
    assert counted(store, condition) == 4
    store.rename("words", "old")
    report = store.view("head_counts", heads=condition).fill(progress=False)
    assert "there is nothing with text_set='words'" in report.reasons[0]
    assert counted(store, condition.replace("words", "old")) == 4


def test_texts_that_nobody_asked_about_change_nothing(store: belvedere.Store) -> None:
    condition = "text_set = 'words' AND category IS NULL"
    counted(store, condition)
    store.add_texts("more", ["a thing"])
    assert store.view("head_counts", heads=condition).status().ready == 1


@pytest.mark.parametrize(
    ("condition", "error", "said"),
    [
        ("colour = 'red'", QueryError, "is no condition on heads: there is no column 'colour'; it can speak"),
        ("background", UnknownName, "no declared view 'background'.*nor is it a condition on heads"),
        ("layer = ", QueryError, "is no condition on heads"),
        ("1) OR (1=1", QueryError, "is no condition on heads"),
        (" ", BadSource, "is no condition on heads such as"),
        ("", BadSource, "is no condition on heads such as"),
        ("true", QueryError, "it speaks of no column, .* such as"),
        ("1", QueryError, "it speaks of no column"),
        ("-1.0", QueryError, "it speaks of no column"),
        ("layer", QueryError, "it has a value, and is neither true nor false; .* such as"),
        ("1.2", BadSelection, r"no head 1\.2 in 'm'; there are 2 layers of 2 heads"),
        (3, BadSource, "takes a condition on heads, not 3"),
    ],
)
def test_what_is_no_condition_is_refused_at_once(
    store: belvedere.Store, condition: str, error: type[Exception], said: str
) -> None:
    with pytest.raises(error, match=said):
        store.view("head_counts", heads=condition)


def test_a_condition_that_chooses_nothing_fails_by_name(store: belvedere.Store) -> None:
    report = store.view("head_counts", heads="layer = 7").fill(progress=False)
    assert not report.complete
    assert "'layer = 7' chooses none of the heads" in " ".join(each.message for each in store.errors())


def test_a_declared_view_without_the_columns_of_heads_chooses_none(store: belvedere.Store) -> None:
    store.declare("places", sql="SELECT head FROM head_roles WHERE text_set = 'words'")
    with pytest.raises(
        QueryError, match="'places' chooses no heads: it has the columns head, and lacks layer"
    ):
        store.view("head_counts", heads="places")


def test_a_role_that_no_head_has_is_told_with_those_that_there_are(store: belvedere.Store) -> None:
    assert not store.view("head_counts", heads="role = 'backgruond'").fill(progress=False).complete
    roles = store.sql("SELECT DISTINCT role FROM head_roles ORDER BY role").fetchall()
    said = " ".join(each.message for each in store.errors())
    assert f"roles there are: {', '.join(role for (role,) in roles)}" in said


def test_several_text_sets_have_to_be_told_apart(store: belvedere.Store) -> None:
    store.add_texts("more", ["a thing", "two things"])
    with pytest.raises(BadSource, match="say by which, with AND text_set"):
        store.view("head_counts", heads="role = 'none'")
    assert counted(store, "(role = 'none' OR role <> 'none') AND text_set = 'more'") == 4


def test_a_set_of_heads_is_a_table(store: belvedere.Store) -> None:
    view = store.view("head_counts", heads="layer = 1")._view
    assert isinstance(view.heads, HeadSet)
    assert view.heads.title().startswith("chosen_heads")
