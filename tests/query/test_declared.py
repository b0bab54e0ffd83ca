"""Declared views: other parameters under a name of their own, and tables that a statement defines."""

from __future__ import annotations

from pathlib import Path

import pytest

import belvedere
from belvedere import Store
from belvedere.query.completeness import Touched
from belvedere.store.errors import BadName, BadSource, NameTaken, QueryError, UnknownName
from tests.shell import Run
from tests.worlds import World, add_pictures

FIRST = "SELECT layer, head, description FROM head_descriptions WHERE rank = 0"


def computed(seen: belvedere.Trace) -> list[str]:
    return [detail.split("/")[0] for detail in seen.of("compute")]


class TestParameters:
    def test_a_name_stands_for_a_view_with_other_parameters(self, filled: Store) -> None:
        filled.declare("svd", "head_descriptions", span="svd", model="m")
        assert not filled.sql("FROM svd").completeness.complete
        with belvedere.trace() as seen:
            answer = filled.sql("FROM svd WHERE layer = 1", fill=True)
        assert computed(seen) == ["head_descriptions"]
        assert answer.columns == filled.sql("FROM head_descriptions").columns
        asked = filled.view("head_descriptions", span="svd").where("layer = 1").fetchall()
        assert sorted(answer.fetchall()) == sorted(asked)
        assert filled.sql("FROM head_descriptions").completeness.views["head_descriptions"].needed == 2

    def test_it_is_a_view_of_that_name_in_python(self, filled: Store) -> None:
        filled.declare("half", "head_contributions", dtype="float16")
        assert filled.view("half").shape == (300, 2, 2, 12)
        with pytest.raises(BadSource, match="half was declared with dtype='float16'"):
            filled.view("half", dtype="float32")
        with pytest.raises(UnknownName, match="no view 'haf'; did you mean 'half'"):
            filled.view("haf")

    def test_it_stands_in_the_table_of_views(self, filled: Store) -> None:
        filled.declare("svd", "head_roles", span="svd", model="m")
        found = filled.sql("SELECT kind, parameters, summary FROM views WHERE view = 'svd'").fetchall()
        assert found == [("table", "model=m, span=svd", "Declared: head_roles with model=m, span=svd")]

    def test_a_module_and_an_array(self, store: Store) -> None:
        store.declare(
            "gelu", "neuron_activations", module="visual.transformer.resblocks.1.mlp.gelu", pool="max"
        )
        answer = store.sql("SELECT count(*), max(activation) FROM gelu", fill=True)
        assert answer.fetchall() == [(300 * 64, store.view("gelu")[:].max().item())]

    def test_what_there_is_not_is_refused(self, store: Store) -> None:
        with pytest.raises(UnknownName, match="no value of head_roles's span 'sdv'; did you mean 'svd'"):
            store.declare("svd", "head_roles", span="sdv")
        with pytest.raises(UnknownName, match="no model 'n'"):
            store.declare("svd", "head_roles", model="n")
        with pytest.raises(QueryError, match="tower_maps holds an array, which SQL does not show"):
            store.declare("svd", "tower_maps", model="m")
        with pytest.raises(UnknownName, match="no input of image_embeddings 'texts'"):
            store.declare("svd", "image_embeddings", texts="words")
        assert store.declared() == []


class TestStatements:
    def test_a_statement_is_kept_as_a_table_and_made_once(self, store: Store) -> None:
        store.declare("firsts", sql=FIRST)
        before = store.sql("FROM firsts")
        assert before.completeness.views == {"firsts": Touched(1, 0, ("firsts",))}
        with belvedere.trace() as seen:
            answer = store.sql("SELECT * FROM firsts ORDER BY ALL", fill=True)
        assert computed(seen).count("firsts") == 1
        assert computed(seen).count("head_descriptions") == 2
        assert answer.fetchall() == store.sql(f"{FIRST} ORDER BY ALL").fetchall()
        with belvedere.trace() as seen:
            assert store.sql("SELECT * FROM firsts ORDER BY ALL", fill=True).fetchall() == answer.fetchall()
        assert seen.of("compute") == []

    def test_only_the_units_that_its_filters_leave_are_beneath(self, store: Store) -> None:
        store.declare("late", sql=f"{FIRST} AND layer = 1")
        with belvedere.trace() as seen:
            store.refresh("late")
        assert computed(seen).count("head_descriptions") == 1

    def test_a_change_beneath_makes_it_anew_and_no_change_does_not(
        self, world: World, tmp_path: Path
    ) -> None:
        folder = add_pictures(tmp_path / "photos", range(40))
        store = belvedere.open(tmp_path / "store")
        store.add_model("m", world.source)
        store.add_images("photos", folder)
        store.add_texts("words", ["a dog", "a star", "a boat"])
        store.declare("firsts", sql=FIRST)
        store.declare("counted", sql="SELECT label, count(*) AS n FROM images GROUP BY ALL")
        report = store.refresh()
        assert {name: each.complete for name, each in report.items()} == {"counted": True, "firsts": True}
        again = store.refresh()
        assert [each.filled for each in again.values()] == [0, 0]
        store.add_texts("other", ["unrelated"])
        assert [each.filled for each in store.refresh().values()] == [0, 0]
        add_pictures(folder, range(40, 50))
        store.add_images("photos", folder)
        state = store.view("firsts").status()
        assert (state.stale, state.causes) == (1, ("images appended: 40 → 50",))
        assert not store.sql("FROM firsts").completeness.complete
        with belvedere.trace() as seen:
            assert store.refresh("counted")["counted"].filled == 1
        assert computed(seen) == ["counted"]
        assert store.sql("FROM counted").fetchall() == [(None, 50)]

    def test_declared_views_are_made_from_declared_views(self, filled: Store) -> None:
        filled.declare("svd", "head_descriptions", span="svd")
        filled.declare(
            "spans",
            sql="SELECT 'w' AS span, * FROM head_descriptions UNION ALL FROM (SELECT 's', * FROM svd)",
        )
        filled.declare("few", sql="SELECT span, count(*) AS n FROM spans GROUP BY 1 ORDER BY 1")
        with belvedere.trace() as seen:
            answer = filled.sql("FROM few", fill=True)
        assert [name for name, _ in answer.fetchall()] == ["s", "w"]
        assert computed(seen) == ["head_descriptions", "head_descriptions", "spans", "few"]

    def test_numbers_texts_lists_and_nothing_keep_their_types(self, filled: Store) -> None:
        text = (
            "SELECT sum(layer) AS wide, [1.5, 2] AS list, {'a': 1} AS pair, DATE '2020-01-02' AS day, "
            "NULL AS no, head"
        )
        filled.declare("kinds", sql=f"{text} FROM head_descriptions GROUP BY head ORDER BY head LIMIT 1")
        first = filled.sql("FROM kinds", fill=True).fetchall()
        direct = filled.sql(f"{text} FROM head_descriptions GROUP BY head ORDER BY head LIMIT 1").fetchall()
        assert first == direct

    def test_where_nothing_beneath_was_filled_nothing_is_made_up(self, store: Store, world: World) -> None:
        store.add_model("half", world.source, precision="bfloat16")
        store.declare("firsts", sql=FIRST)
        answer = store.sql("FROM firsts", fill=True)
        assert not answer.completeness.complete
        assert "none of the combinations of inputs" in store.errors()[0].message
        store.view("head_descriptions", model="m").fill()
        assert store.sql("FROM firsts", fill=True).completeness.complete

    def test_what_cannot_be_answered_is_refused_at_once(self, store: Store) -> None:
        for statement, error, message in (
            ("SELECT colour FROM head_roles", QueryError, "colour"),
            ("FROM head_role", UnknownName, "did you mean 'head_roles'"),
            ("DELETE FROM images", QueryError, "only one SELECT"),
            ("SELECT layer, head AS layer FROM head_roles", QueryError, "two columns 'layer'"),
            ("SELECT $n", QueryError, "n"),
        ):
            with pytest.raises(error, match=message):
                store.declare("wrong", sql=statement)
        assert store.declared() == []

    def test_a_circle_is_refused(self, filled: Store) -> None:
        filled.declare("one", sql="SELECT layer FROM head_roles")
        filled.declare("two", sql="SELECT * FROM one")
        with pytest.raises(QueryError, match="'one' would be made from itself"):
            filled.declare("one", sql="SELECT layer FROM two", replace=True)

    def test_names(self, store: Store) -> None:
        for name, error in (
            ("Clear", BadName),
            ("a-b", BadName),
            ("both", BadName),
            ("images", NameTaken),
            ("head_roles", NameTaken),
        ):
            with pytest.raises(error):
                store.declare(name, sql="SELECT 1 AS x")
        store.declare("x", sql="SELECT 1 AS x")
        store.declare("x", sql="SELECT 1 AS x;")
        with pytest.raises(NameTaken, match="'x' was declared as SELECT 1 AS x; take another name"):
            store.declare("x", sql="SELECT 2 AS x")
        store.declare("x", sql="SELECT 2 AS x", replace=True)
        assert store.sql("FROM x", fill=True).fetchall() == [(2,)]

    def test_what_another_is_made_from_is_not_dropped(self, store: Store) -> None:
        store.declare("one", sql="SELECT 1 AS x")
        store.declare("two", sql="FROM one")
        with pytest.raises(BadSource, match="two is made from 'one'; drop that first"):
            store.drop("one")
        store.drop("two", dry_run=True)
        store.drop("two")
        store.drop("one")
        with pytest.raises(UnknownName, match="no table 'one'"):
            store.sql("FROM one")


def test_the_commands_declare_refresh_and_drop(filled: Store, run: Run) -> None:
    where = ("--store", filled.path)
    told = run("declare", "firsts", "--as", FIRST, *where)
    assert (told.exit_code, told.stdout) == (0, f"firsts: {FIRST}\n")
    assert run("sql", "FROM firsts", *where).exit_code == 1
    assert run("refresh", *where).stdout == "firsts: 1 filled units\n"
    assert run("refresh", *where).stdout == "firsts: up to date\n"
    assert "firsts" in run("views", *where).stdout
    assert run("status", "firsts", *where).stdout.splitlines()[-1].split()[:2] == ["firsts", "1"]
    assert "nothing was dropped" in run("drop", "firsts", *where).stdout
    assert run("drop", "firsts", "--yes", *where).stdout.startswith("dropped firsts")
    assert run("sql", "FROM firsts", *where).exit_code == 2
    assert run("declare", "svd", "head_roles", "-p", "span", "svd", *where).exit_code == 0
