"""SQL: answers state what they lack, filters say what is needed, and nothing is computed by asking."""

from __future__ import annotations

import warnings
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

import belvedere
from belvedere import IncompleteAnswer
from belvedere.query.completeness import Touched
from belvedere.query.store import Store
from belvedere.store.errors import MissingUnits, QueryError, UnknownName
from tests.worlds import World


def touched(store: Store, query: str, params: Any = None) -> tuple[int, int]:
    """Give how many units of head_descriptions a statement needs, and how many of them are ready."""
    found = store.sql(query, params).completeness.views["head_descriptions"]
    return found.needed, found.ready


def test_a_table_of_which_nothing_is_there_is_incomplete_and_never_just_empty(store: Store) -> None:
    answer = store.sql("SELECT * FROM head_descriptions")
    assert answer.completeness.views == {"head_descriptions": Touched(2, 0, ("m × photos × words",))}
    assert not answer.completeness.complete
    with pytest.warns(IncompleteAnswer, match=r"lacks 2 of 2 units \(m × photos × words\)"):
        assert answer.fetchall() == []


def test_every_way_of_fetching_rows_of_an_incomplete_answer_warns(store: Store, capsys: Any) -> None:
    answer = store.sql("SELECT count(*) AS n FROM head_descriptions")
    for fetch in (answer.df, answer.pl, answer.arrow, answer.fetchall, answer.fetchone, answer.show):
        with pytest.warns(IncompleteAnswer):
            fetch()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert (len(answer), answer.columns) == (1, ["n"])
        assert repr(answer) == (
            "<Answer 1 rows × 1 columns, head_descriptions lacks 2 of 2 units (m × photos × words)>"
        )


def test_the_warning_points_at_the_line_that_fetches(store: Store, capsys: Any) -> None:
    answer = store.sql("SELECT count(*) AS n FROM head_descriptions")
    for fetch in (answer.df, answer.pl, answer.arrow, answer.fetchall, answer.fetchone, answer.show):
        with warnings.catch_warnings(record=True) as seen:
            warnings.simplefilter("always")
            fetch()
        assert [(each.category, each.filename) for each in seen] == [(IncompleteAnswer, __file__)]


def test_asked_for_completeness_an_incomplete_answer_raises(store: Store) -> None:
    with pytest.raises(MissingUnits, match="2 of 2 units of head_descriptions are missing"):
        store.sql("FROM head_descriptions", require_complete=True)
    store.view("head_descriptions").where("layer = 1").fill()
    with pytest.raises(MissingUnits, match="1 of 2 units"):
        store.sql("FROM head_descriptions", require_complete=True)
    assert len(store.sql("FROM head_descriptions WHERE layer = 1", require_complete=True)) > 0


def test_no_model_is_started_and_nothing_is_written_by_asking(store: Store) -> None:
    with belvedere.trace() as seen:
        for table in ("head_descriptions", "images", "texts", "views", "units", "models", "runs", "errors"):
            store.sql(f"SELECT count(*) FROM {table}")
    assert {kind for kind, _ in seen.events} <= {"read", "list"}


@pytest.mark.parametrize(
    ("condition", "needed"),
    [
        ("true", 2),
        ("layer = 1", 1),
        ("layer = 7", 0),
        ("layer IN (0, 1)", 2),
        ("layer > 0 AND rank < 3", 1),
        ("layer BETWEEN 1 AND 5", 1),
        ("layer = 0 OR head = 1", 2),
        ("NOT layer = 0", 1),
        ("layer <> 0 AND layer <> 1", 0),
        ("CAST(layer AS BIGINT) = 1", 1),
        ("model = 'm' AND layer = 0", 1),
        ("model = 'else'", 0),
        ("image_set = 'photos'", 2),
        ("text_set LIKE 'w%'", 2),
        ("description = 'a small dog' AND layer = 1", 1),
    ],
)
def test_a_filter_prunes_what_counts_as_needed(kept: Store, condition: str, needed: int) -> None:
    assert touched(kept, f"SELECT * FROM head_descriptions WHERE {condition}") == (needed, needed)


def test_values_of_parameters_prune_as_literals_do(kept: Store) -> None:
    assert touched(kept, "FROM head_descriptions WHERE layer = ?", [1]) == (1, 1)
    assert touched(kept, "FROM head_descriptions WHERE layer = $layer", {"layer": 1}) == (1, 1)
    assert kept.sql("SELECT $a || $b", {"a": "x", "b": "y"}).fetchall() == [("xy",)]


def test_rows_are_those_of_the_view_whatever_columns_are_asked_for(kept: Store) -> None:
    rows = kept.view("head_descriptions").df()
    asked = kept.sql("SELECT rank, description, model FROM head_descriptions ORDER BY layer, head, rank").df()
    assert asked.to_dict("list") == rows[["rank", "description", "model"]].to_dict("list")
    assert kept.sql("SELECT count(*) FROM head_descriptions").fetchone() == (len(rows),)
    assert kept.sql("SELECT count(*) FROM HEAD_DESCRIPTIONS WHERE Layer = 1").fetchone() == (
        int((rows["layer"] == 1).sum()),
    )


def test_a_join_with_the_catalog_finds_each_text(kept: Store) -> None:
    query = """
        SELECT count(*), count(*) FILTER (description = text)
        FROM head_descriptions JOIN texts USING (text_set, text_id)
    """
    total = len(kept.view("head_descriptions").df())
    assert kept.sql(query).fetchall() == [(total, total)]


@pytest.fixture
def two(filled: Store, world: World) -> Store:
    """A store with two models, of which one is filled."""
    filled.add_model("half", world.source, precision="bfloat16")
    return filled


def test_of_two_models_the_table_holds_the_one_that_was_filled(two: Store) -> None:
    answer = two.sql("SELECT DISTINCT model FROM head_descriptions")
    assert answer.completeness.complete
    assert answer.fetchall() == [("m",)]


def test_a_statement_that_names_the_other_model_lacks_its_units(two: Store) -> None:
    answer = two.sql("FROM head_descriptions WHERE model = 'half'")
    assert answer.completeness.views["head_descriptions"] == Touched(2, 0, ("half × photos × words",))
    both = two.sql("FROM head_descriptions WHERE model IN ('m', 'half') AND layer = 1")
    assert both.completeness.views["head_descriptions"] == Touched(2, 1, ("half × photos × words",))
    other = two.sql("FROM head_descriptions WHERE model <> 'x' AND layer = 1")
    assert other.completeness.complete  # it names no model that it asks for
    wrong = two.sql("FROM head_descriptions WHERE model IN ('m', 'hlaf')")
    assert (
        str(wrong.completeness)
        == "head_descriptions: there is nothing with model='hlaf'; did you mean 'half'?"
    )
    two.view("head_descriptions", model="half").where("layer = 0").fill()
    answer = two.sql("SELECT DISTINCT model, layer FROM head_descriptions ORDER BY ALL")
    assert answer.completeness.views["head_descriptions"] == Touched(4, 3, ("half × photos × words",))
    with pytest.warns(IncompleteAnswer):
        assert answer.fetchall() == [("half", 0), ("m", 0), ("m", 1)]


def test_of_two_models_that_were_never_filled_the_table_says_that_it_holds_nothing(
    store: Store, world: World
) -> None:
    store.add_model("half", world.source, precision="bfloat16")
    answer = store.sql("SELECT count(*) FROM head_descriptions")
    assert not answer.completeness.complete
    assert str(answer.completeness) == (
        "head_descriptions: none of the combinations of inputs that the statement admits was filled; "
        "fill one, or name its inputs in the statement; what was filled with parameters that are not the "
        "defaults needs a name of its own (belvedere declare)"
    )
    with pytest.raises(MissingUnits, match="none of the combinations"):
        store.sql("SELECT count(*) FROM head_descriptions", require_complete=True)


def test_a_filter_that_rules_out_all_that_was_filled_leaves_an_incomplete_answer(two: Store) -> None:
    two.add_texts("colours", ["red", "green"])
    answer = two.sql("SELECT count(*) FROM head_descriptions WHERE text_set <> 'words'")
    assert answer.completeness.empty == ("head_descriptions",)
    with pytest.warns(IncompleteAnswer, match="none of the combinations of inputs"):
        assert answer.fetchall() == [(0,)]
    for condition in ("text_set = 'colours'", "text_set = 'colours' AND layer = 1"):
        answer = two.sql(f"SELECT count(*) FROM head_descriptions WHERE {condition}")
        said = r"there is nothing with text_set='colours'; to fill it, name model \(half, m\), too"
        with pytest.warns(IncompleteAnswer, match=said):
            assert answer.fetchall() == [(0,)]
    for condition in ("text_set = 'colours' AND layer = 7", "text_set <> 'colours'"):
        assert two.sql(f"FROM head_descriptions WHERE {condition}").completeness.complete, condition


def test_an_empty_store_answers_that_it_holds_nothing(tmp_path: Path) -> None:
    store = belvedere.open(tmp_path)
    assert not store.sql("FROM head_descriptions").completeness.complete
    assert store.sql("FROM images").fetchall() == []
    assert store.sql("SELECT count(*) FROM views").completeness.complete


@pytest.mark.parametrize(
    ("query", "error", "message"),
    [
        ("FROM head_descripton", UnknownName, "no table 'head_descripton'; did you mean 'head_descriptions'"),
        ("FROM qqq", UnknownName, "no table 'qqq'; there are"),
        ("SELECT layers FROM head_descriptions", QueryError, '(?s)"layers" not found.*"layer"'),
        ("SELECT 1; SELECT 2", QueryError, "one statement is answered at a time, not 2"),
        ("", QueryError, "one statement is answered at a time, not 0"),
        ("DROP TABLE images", QueryError, "only one SELECT"),
        ("INSERT INTO texts VALUES (1)", QueryError, "only one SELECT"),
        ("COPY (FROM images) TO 'stolen.csv'", QueryError, "only one SELECT"),
        ("ATTACH 'other.duckdb'", QueryError, "only one SELECT"),
        ("SELECT * FROM (PIVOT head_descriptions ON layer USING count(*))", QueryError, "only one SELECT"),
        ("SELEC 1", QueryError, "syntax error"),
        ("FROM query_table('head_descriptions')", QueryError, r"query_table\(\) hides which tables are read"),
        ("FROM head_moments", QueryError, "head_moments holds an array, which SQL does not show"),
        ("FROM images WHERE image_id = ?", QueryError, "(?i)parameter"),
        ("SHOW TABLES", QueryError, "SHOW is not answered; FROM views lists the views"),
        ("SELECT * FROM (SHOW ALL TABLES)", QueryError, "SHOW is not answered"),
        ("DESCRIBE", QueryError, "SHOW is not answered"),
        ("DESCRIBE head_descripton", UnknownName, "did you mean 'head_descriptions'"),
    ],
)
def test_a_statement_that_cannot_be_answered_says_why(
    kept: Store, query: str, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        kept.sql(query)


def test_variables_of_python_are_no_tables(kept: Store) -> None:
    frame = kept.view("head_descriptions").df()
    with pytest.raises(UnknownName, match="no table 'frame'"):
        kept.sql("FROM frame")
    with pytest.raises(QueryError, match="frame"):
        kept.sql("SELECT * FROM main.frame")
    assert len(frame) > 0


def test_a_with_may_take_the_name_of_a_table_that_it_reads(kept: Store) -> None:
    query = (
        "WITH head_descriptions AS (FROM head_descriptions WHERE layer = 1) SELECT * FROM head_descriptions"
    )
    assert touched(kept, query) == (1, 1)
    query = "SELECT (WITH texts AS (SELECT 7 AS n) SELECT n FROM texts) AS n, count(*) FROM texts"
    assert kept.sql(query).fetchall() == [(7, 12)]


def test_tables_in_every_corner_of_a_statement_are_counted(kept: Store) -> None:
    for query in (
        "SELECT (SELECT max(rank) FROM head_descriptions WHERE layer = 1)",
        "SELECT 1 WHERE EXISTS (FROM head_descriptions WHERE layer = 1)",
        "WITH a AS (FROM head_descriptions), b AS (FROM a WHERE layer = 1) SELECT count(*) FROM b",
        "SELECT text_id FROM texts WHERE text_id IN (SELECT text_id FROM head_descriptions WHERE layer = 1)",
        "SELECT text_id FROM texts UNION ALL SELECT text_id FROM head_descriptions WHERE layer = 1",
        "SELECT * FROM texts LEFT JOIN (FROM head_descriptions WHERE layer = 1) USING (text_id)",
    ):
        assert touched(kept, query) == (1, 1), query


def test_statements_without_a_table_are_answered(kept: Store) -> None:
    answer = kept.sql("SELECT 40 + ? AS n, 'x' AS x", [2])
    assert (answer.fetchall(), answer.columns, len(answer)) == ([(42, "x")], ["n", "x"], 1)
    assert answer.completeness.complete
    assert answer.fetchone() == (42, "x")


def test_a_value_has_one_type_whether_or_not_a_table_is_read(kept: Store) -> None:
    values = (
        "sum(n) AS small, sum(n * 9000000000000000000::HUGEINT) AS large, avg(n) AS mean, "
        "sum(n::DECIMAL(5, 2)) AS money, max(n::SMALLINT) AS short, list(n ORDER BY n) AS every"
    )
    read = kept.sql(f"SELECT {values} FROM (SELECT text_id AS n FROM texts)")
    made = kept.sql(f"SELECT {values} FROM range(12) t(n)")
    expected = (66, 66 * 9e18, 5.5, Decimal("66.00"), 11, list(range(12)))
    assert read.fetchall() == made.fetchall() == [expected]
    assert [type(value) for value in read.fetchall()[0]] == [type(value) for value in expected]
    assert read.arrow().equals(made.arrow())
    assert [str(kind) for kind in read.df().dtypes][:3] == ["int64", "float64", "float64"]
    assert kept.sql("SELECT sum(text_id) AS n FROM texts WHERE false").fetchall() == [(None,)]


def test_columns_of_one_name_are_kept_where_a_table_is_read(kept: Store) -> None:
    answer = kept.sql('SELECT text_id AS a, sum(text_id) AS a, 1 AS "b""c" FROM texts GROUP BY 1 ORDER BY 1')
    assert (answer.columns, answer.fetchone()) == (["a", "a", 'b"c'], (0, 0, 1))
    assert answer.arrow().column_names == ["a", "a", 'b"c']


def test_a_table_can_be_described(store: Store) -> None:
    answer = store.sql("SELECT column_name, column_type FROM (DESCRIBE head_roles)")
    assert answer.completeness.complete
    assert answer.fetchall()[2:5] == [("text_set", "VARCHAR"), ("layer", "INTEGER"), ("head", "INTEGER")]
    assert [row[0] for row in store.sql("SUMMARIZE texts").fetchall()] == [
        *("text_set", "text_id", "text", "category")
    ]


def test_statements_of_several_stores_and_threads_keep_their_tables_apart(
    kept: Store, tmp_path: Path
) -> None:
    other = belvedere.open(tmp_path)
    other.add_texts("few", ["one", "two"])
    expected = {id(kept): [("words", 12)], id(other): [("few", 2)]}

    def ask(store: Store) -> bool:
        answer = store.sql("SELECT text_set, count(*) FROM texts GROUP BY 1")
        return answer.fetchall() == expected[id(store)]

    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(ask, [kept, other] * 10))


def test_a_view_is_remembered_until_what_it_is_made_from_changes(store: Store) -> None:
    def units() -> Any:
        return store.view("head_descriptions")._view.units

    before = units()
    assert units() is before
    assert store.view("head_descriptions", m=10)._view.units is not before
    store.add_texts("words", ["a dog", "a star"], replace=True)
    assert [unit.key for unit in units()] != [unit.key for unit in before]
    assert touched(store, "FROM head_descriptions") == (2, 0)


def test_the_table_of_views_lists_every_parameter_with_its_default(kept: Store) -> None:
    found = dict(kept.sql("SELECT view, parameters FROM views").fetchall())
    assert found["head_roles"] == ("share=0.8, alpha=0.05, convention=own, span=weights, m=20, dtype=float32")
    assert (found["head_moments"], found["tower_maps"]) == ("dtype=float32, convention=own", "")


def test_the_catalog_lists_what_is_there(kept: Store, world: World) -> None:
    rows = {table: kept.sql(f"FROM {table}").fetchall() for table in ("models", "image_sets", "text_sets")}
    assert rows["models"][0][:3] == ("m", world.source, "float32")
    assert rows["models"][0][4:] == (2, 2, 8, 16, 12, 5, None)
    assert rows["image_sets"] == [("photos", str(world.photos), 300)]
    assert rows["text_sets"] == [("words", "a list of 12", 12)]
    found = kept.sql("SELECT image_id, path, width, height, label FROM images WHERE image_id = 7").fetchall()
    assert found == [(7, str(world.photos / "00007.png"), 16, 16, None)]
    units = kept.sql(
        "SELECT axis, start, stop, absent FROM units WHERE view = 'head_contributions' ORDER BY 2"
    )
    assert units.fetchall() == [("image", 0, 256, 0), ("image", 256, 300, 0)]
    assert kept.sql(
        "SELECT kind FROM views WHERE view = 'head_roles' OR view = 'head_descriptions'"
    ).fetchall()
    assert kept.sql("FROM errors").fetchall() == []


def test_conditions_on_a_table_view_are_checked_when_they_are_given(kept: Store) -> None:
    table = kept.view("head_descriptions")
    with pytest.raises(QueryError, match="layers"):
        table.where("layers = 3")
    with pytest.raises(QueryError, match="syntax"):
        table.where("layer = ")
    found = table.where("layer = ?", 1).where("rank < ? OR rank > ?", 1, 1000)
    assert {(row[3], row[5]) for row in found.fetchall()} == {(1, 0)}
    assert table.columns == tuple(kept.sql("FROM head_descriptions").columns)
    assert table.pl().rows() == table.fetchall()


def test_what_a_statement_asks_for_is_read_from_the_statement_and_not_from_its_comments(two: Store) -> None:
    for listed in ("('m', 'half')", "($$m$$, 'half')", "($one, $other)"):
        params = {"one": "m", "other": "half"} if "$one" in listed else None
        asked = f"FROM head_descriptions -- don't count\nWHERE model IN {listed} AND layer = 1"
        assert not two.sql(asked, params).completeness.complete, listed
    for asked in ("model <= 'm'", "model BETWEEN 'm' AND 'z'", "model NOT IN ('half')", "model LIKE 'm%'"):
        assert two.sql(f"FROM head_descriptions WHERE {asked}").completeness.complete, asked


def test_a_declared_statement_that_asks_for_what_there_is_not_is_no_table(two: Store) -> None:
    two.declare("either", sql="SELECT layer, head FROM head_descriptions WHERE model IN ('m', 'hlaf')")
    assert not two.sql("FROM either", fill=True).completeness.complete
