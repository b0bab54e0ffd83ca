"""Declared views: other parameters under a name of their own, and tables that a statement defines."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import belvedere
from belvedere import Store
from belvedere.query.completeness import Touched
from belvedere.store.errors import (
    BadName,
    BadSource,
    MissingUnits,
    NameTaken,
    QueryError,
    UnknownName,
)
from tests.shell import Run
from tests.worlds import World, add_pictures, engine

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

    def test_one_of_the_views_that_a_name_stands_for(self, filled: Store) -> None:
        asked: dict[str, Any] = {
            "model": "m",
            "texts": "words",
            "module": "visual.transformer.resblocks.1.mlp.gelu",
        }
        filled.declare("mine", "neuron_labels", method="clip_dissect", m=1, **asked)
        (found,) = [each for each in filled.declared() if each.name == "mine"]
        assert (found.view, found.parameters["m"]) == ("clip_dissect_labels", 1)
        assert set(filled.sql("SELECT method, clip FROM mine", fill=True).fetchall()) == {
            ("clip_dissect", "m")
        }
        with pytest.raises(UnknownName, match="clip_disect"):
            filled.declare("other", "neuron_labels", method="clip_disect", **asked)

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

    def test_it_is_shown_and_has_a_lineage(self, filled: Store) -> None:
        filled.declare("firsts", sql=FIRST)
        filled.refresh()
        (shown,) = filled.show("firsts")
        assert (shown.kind, shown.holds) == ("view", f"Declared: {FIRST}")
        assert [each["column"] for each in shown.lists["columns"]] == ["layer", "head", "description"]
        told = str(filled.lineage("firsts"))
        assert "head_descriptions[m × photos × words]" in told

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


class TestIdentity:
    """After whatever happens beneath, a declared table is what its statement answers, or not complete."""

    def same(self, store: Store, name: str, statement: str) -> None:
        answer = store.sql(f"FROM {name}", fill=True)
        assert answer.completeness.complete
        assert sorted(answer.fetchall()) == sorted(store.sql(statement, fill=True).fetchall())

    def test_of_names(self, filled: Store) -> None:
        statement = "SELECT model, image_set, count(*) AS n FROM head_descriptions GROUP BY ALL"
        filled.declare("counted", sql=statement)
        self.same(filled, "counted", statement)
        filled.rename("m", "renamed")
        self.same(filled, "counted", statement)
        assert filled.sql("SELECT DISTINCT model FROM counted").fetchall() == [("renamed",)]

    def test_of_what_is_chosen_on_reading(self, filled: Store) -> None:
        filled.declare("few_of", "head_descriptions", m=2)
        filled.declare("counted", sql="SELECT count(*) AS n FROM few_of")
        self.same(filled, "counted", "SELECT count(*) AS n FROM few_of")
        filled.declare("few_of", "head_descriptions", m=5, replace=True)
        self.same(filled, "counted", "SELECT count(*) AS n FROM few_of")

    def test_of_sets_of_the_same_images(self, filled: Store, world: World) -> None:
        filled.add_images("again", world.photos)
        filled.view("image_embeddings", images="again").fill()
        statement = "SELECT image_set, count(*) AS n FROM image_embeddings GROUP BY ALL"
        filled.declare("counted", sql=statement)
        self.same(filled, "counted", statement)
        assert len(filled.sql("FROM counted")) == 2

    def test_what_a_read_needs_beside_is_made_again(self, filled: Store) -> None:
        statement = "SELECT layer, head, count(*) AS n FROM head_contributions GROUP BY ALL"
        filled.declare("counted", sql=statement)
        for record in (filled.path / "units/tower_maps").rglob("*.json"):
            record.unlink()
        self.same(belvedere.open(filled.path), "counted", statement)

    def test_a_unit_that_goes_away_meanwhile_is_never_left_out(
        self, filled: Store, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        from belvedere.query.sql.defined import Defined

        filled.declare("counted", sql="SELECT layer, count(*) AS n FROM head_descriptions GROUP BY ALL")
        derive, gone = Defined.derive, list((filled.path / "units/head_descriptions").rglob("*.json"))

        def late(*given: Any) -> Any:
            gone[0].unlink(missing_ok=True)
            return derive(*given)

        monkeypatch.setattr(Defined, "derive", late)
        with pytest.raises(MissingUnits, match="1 of 2 units of head_descriptions"):
            filled.sql("FROM counted", fill=True)
        monkeypatch.undo()
        assert len(belvedere.open(filled.path).sql("FROM counted", fill=True)) == 2

    @pytest.mark.parametrize(
        ("statement", "what"),
        [
            ("FROM 'numbers.csv'", "the file 'numbers.csv'"),
            ("FROM read_csv('numbers.csv')", r"read_csv\(\)"),
            ("SELECT now() AS n FROM images", r"now\(\)"),
            ("SELECT random() AS n", r"random\(\)"),
            ("SELECT count(*) AS n FROM units", "the table 'units', which changes"),
        ],
    )
    def test_what_could_change_unnoticed_is_refused(
        self, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, statement: str, what: str
    ) -> None:
        (tmp_path / "numbers.csv").write_text("n\n1\n")
        monkeypatch.chdir(tmp_path)
        with pytest.raises(QueryError, match=f"it reads {what}"):
            store.declare("kept", sql=statement)

    def test_columns_that_differ_by_case_alone_are_refused(self, store: Store) -> None:
        with pytest.raises(QueryError, match="two columns 'x'"):
            store.declare("both_x", sql='SELECT 1 AS x, 2 AS "X"')

    def test_one_that_cannot_be_used_any_more_stands_in_nobodys_way(self, filled: Store) -> None:
        filled.declare("mine", "head_roles", model="m")
        filled.declare("one", sql="SELECT 1 AS x")
        filled.remove("m")
        told = {each.view: each for each in filled.status()}
        assert (told["mine"].failed, told["mine"].causes[0][:12]) == (1, "no model 'm'")
        assert filled.publish().tables["views"] > 1
        with pytest.raises(UnknownName, match="no model 'm'"):
            filled.refresh()
        assert filled.sql("FROM one").fetchall() == [(1,)]

    def test_deep_declarations_are_worked_out_once(self, store: Store) -> None:
        store.declare("t0", sql="SELECT 1 AS x")
        store.declare("t1", sql="SELECT 1 AS x")
        for number in range(2, 14):
            store.declare(f"t{number}", sql=f"SELECT a.x FROM t{number - 1} a JOIN t{number - 2} b USING (x)")
        assert len(store.sql("FROM t13 WHERE x = 1", fill=True)) == 1
        assert store.sql("FROM t13", fill=True).fetchall() == [(1,)]

    def test_a_circle_that_two_processes_made_is_refused(self, store: Store) -> None:
        names = engine(store).folder.names
        store.declare("one", sql="SELECT 1 AS x")
        store.declare("two", sql="FROM one")
        facts = names.declared("one")
        assert facts is not None
        assert names.put_declared("one", {**facts, "sql": "FROM two"}, names.version("declared", "one"))
        with pytest.raises(QueryError, match="is made from itself"):
            store.sql("FROM two")
        assert all(each.failed for each in store.status() if each.view in ("one", "two"))

    def test_a_stale_one_names_a_cause(self, store: Store) -> None:
        store.declare("sets", sql="SELECT count(*) AS n FROM text_sets")
        store.refresh()
        store.add_texts("more", ["a text"])
        state = store.view("sets").status()
        assert (state.stale, state.causes) == (1, ("what sets is made from has changed",))

    def test_a_file_of_any_set_beneath_is_looked_at(self, world: World, tmp_path: Path) -> None:
        store = belvedere.open(tmp_path / "store")
        store.add_model("m", world.source)
        for name, numbers in (("one", range(3)), ("two", range(3, 6))):
            store.add_images(name, add_pictures(tmp_path / name, numbers))
            store.view("image_embeddings", images=name).fill()
        store.declare("counted", sql="SELECT image_set, count(*) AS n FROM image_embeddings GROUP BY ALL")
        store.refresh()
        (tmp_path / "two/00004.png").unlink()
        state = store.view("counted").status()
        assert (state.ready, state.stale) == (0, 1)


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
