"""What a statement asks for by name has to be there, in whatever words it is asked for."""

from __future__ import annotations

from typing import Any

import pytest

from belvedere import Store
from belvedere.query.completeness import Touched
from belvedere.query.sql import duck
from belvedere.query.sql.asking import Asking

NAMED: list[tuple[str, Any]] = [
    ("text_set IS NOT DISTINCT FROM 'two'", None),
    ("text_set IN ('words', 'two')", None),
    ("'two' = text_set OR text_set = 'words'", None),
    ("text_set = 'words' OR image_set = 'more'", None),
    ("text_set = ANY(['words', 'two'])", None),
    ("text_set = ANY(?)", [["words", "two"]]),
    ("text_set IN ['words', 'two']", None),
    ("text_set IN $sets", {"sets": ["words", "two"]}),
    ("list_contains(?, text_set)", [["words", "two"]]),
    ("text_set IN (SELECT unnest(?))", [["words", "two"]]),
    ("text_set IN (VALUES ('words'), ('two'))", None),
    ("text_set = (SELECT 'two') OR text_set = 'words'", None),
    ("text_set = 't' || 'wo' OR text_set = 'words'", None),
    ("upper(text_set) IN ('WORDS', 'TWO')", None),
    ("coalesce(text_set, '') IN ('words', 'two')", None),
    ("CASE WHEN text_set = 'two' THEN true ELSE text_set = 'words' END", None),
    ("(image_set, text_set) IN (('photos', 'words'), ('photos', 'two'))", None),
    ("(image_set, text_set) = ('photos', 'two') OR text_set = 'words'", None),
    ("text_set IN (SELECT text_set FROM texts WHERE text_set IN ('words', 'two'))", None),
    ("(image_set = 'photos' AND text_set = 'words') OR (image_set = 'more' AND text_set = 'words')", None),
    ("(image_set, text_set) IN (VALUES ('photos', 'words'), ('photos', 'two'))", None),
    ("(image_set, text_set) IN (SELECT 'photos', unnest(['words', 'two']))", None),
    ("text_set IN (SELECT t FROM (VALUES ('words'), ('two')) v(t))", None),
    ("text_set IN (SELECT t FROM unnest(['words', 'two']) v(t))", None),
    ("text_set IN (SELECT 'tw' || t FROM (VALUES ('o')) v(t)) OR text_set = 'words'", None),
    ("text_set = (SELECT text_set FROM text_sets WHERE text_set = 'two') OR text_set = 'words'", None),
    ("'two' IN (text_set, image_set) OR text_set = 'words'", None),
    ("NOT NOT (text_set IN ('words', 'two'))", None),
    (
        "EXISTS (SELECT 1 FROM texts t WHERE t.text_set = head_descriptions.text_set AND t.text_set = 'two')",
        None,
    ),
    ("text_set IN ('words', 'tow')", None),
    ("text_set = ANY(['words', 'tow'])", None),
    ("list_contains(?, text_set)", [["words", "tow"]]),
]
"""Conditions that name what was never filled, beside what was."""

STATEMENTS = [
    "SELECT count(*) FILTER (text_set = 'two'), count(*) FROM TABLE",
    "SELECT sum(CASE WHEN text_set = 'two' THEN variance END) FROM TABLE",
    "WITH q AS (SELECT 'two' s UNION ALL SELECT 'words') SELECT count(*) FROM TABLE JOIN q ON s = text_set",
    "WITH q(s) AS (VALUES ('two'), ('words')) SELECT count(*) FROM TABLE JOIN q ON text_set = q.s",
    "SELECT count(*) FROM TABLE JOIN (VALUES ('two'), ('words')) AS v(text_set) USING (text_set)",
    "SELECT count(*) FROM TABLE h JOIN texts t USING (text_set) WHERE t.text_set IN ('words', 'two')",
    "WITH v(text_set) AS (VALUES ('two'), ('words')) SELECT count(*) FROM TABLE WHERE text_set IN (FROM v)",
    "WITH v(s) AS (VALUES ('two')) SELECT (SELECT count(*) FROM TABLE h WHERE h.text_set = v.s) FROM v",
    "WITH v(i, t) AS (VALUES ('photos', 'two')) SELECT count(*) FROM TABLE "
    "WHERE (image_set, text_set) IN (SELECT i, t FROM v)",
    "SELECT count(*) FROM unnest(['two', 'words']) v(text_set) LEFT JOIN TABLE USING (text_set)",
    "SELECT count(*) FROM TABLE NATURAL JOIN (SELECT 'two' AS text_set)",
    "SELECT count(*) FROM (VALUES ('o')) v(l) LEFT JOIN TABLE ON text_set = 'tw' || l",
    "FROM (PIVOT TABLE ON text_set IN ('words', 'two') USING avg(variance) GROUP BY layer)",
    "SELECT count(*) FROM (FROM TABLE) WHERE text_set = ANY(['words', 'two'])",
    "WITH q AS (FROM TABLE) SELECT count(*) FROM q WHERE text_set IS NOT DISTINCT FROM 'two' OR layer = 1",
    "SELECT count(*) FROM TABLE WHERE text_set = 'words' UNION ALL "
    "SELECT count(*) FROM TABLE WHERE text_set = 'two'",
    "SELECT count(*) FROM TABLE a LEFT JOIN TABLE b ON a.layer = b.layer AND b.text_set = 'two' "
    "WHERE a.text_set = 'words'",
    "SELECT count(*) FROM TABLE a, TABLE b WHERE a.text_set = 'words' AND b.text_set IN ('words', 'two')",
]
"""Statements over head_descriptions that do so elsewhere than in a condition of their own."""

OTHERS: list[tuple[str, Any]] = [
    ("text_set = 'words'", None),
    ("text_set IS NOT DISTINCT FROM 'words'", None),
    ("text_set <> 'two'", None),
    ("NOT text_set = 'two'", None),
    ("text_set NOT IN ('two', 'tow')", None),
    ("text_set IS DISTINCT FROM 'two'", None),
    ("text_set = ANY(?)", [["words"]]),
    ("(image_set, text_set) IN (('photos', 'words'))", None),
    ("lower(text_set) = 'words'", None),
    ("description = 'two'", None),
    ("contains(text_set, 'two')", None),
    ("text_set LIKE 'two%' OR layer = 1", None),
    ("text_set = 'words' AND image_set <> 'more'", None),
    ("text_set IN (SELECT text_set FROM texts)", None),
    ("text_set = coalesce($t, text_set)", {"t": None}),
    ("($t IS NULL OR text_set = $t)", {"t": None}),
    ("substr(text_set, 1, 1) = 'w'", None),
    ("length(text_set) = 5", None),
    ("coalesce(text_set, 'two') = 'two' OR layer = 1", None),
    ("NOT (text_set = 'two' OR image_set = 'more')", None),
    ("EXISTS (SELECT 1 FROM texts t WHERE t.text_set = 'two')", None),
    ("(SELECT count(*) FROM texts WHERE text_set = 'two') > 0", None),
]
"""Conditions that name nothing but what was filled."""


Y: set[tuple[tuple[str, str], ...]] = {(("image_set", "y"),)}
READ: list[tuple[str, set[tuple[tuple[str, str], ...]]]] = [
    ("WITH t AS (SELECT * FROM t WHERE model = 'x') SELECT * FROM t", {(("model", "x"),)}),
    (
        "SELECT 1 FROM (SELECT 'x' AS m) c JOIN t ON t.model = c.m UNION ALL "
        "SELECT 1 FROM (SELECT 'y' AS m) c JOIN t ON t.model = c.m",
        {(("model", "x"),), (("model", "y"),)},
    ),
    ("WITH given AS (SELECT 'q' AS k) SELECT * FROM t WHERE lower(model) = 'x'", {(("model", "x"),)}),
    ('SELECT * FROM t, (SELECT \'x\' AS k) "a""b" WHERE t.model = lower("a""b".k)', {(("model", "x"),)}),
    ("SELECT * FROM t WHERE NOT (model <> 'x' OR model = 'y')", {(("model", "x"),)}),
    ("SELECT * FROM t WHERE (model, image_set) = (SELECT 'x', 'y')", {(("image_set", "y"), ("model", "x"))}),
    ("SELECT * FROM t LEFT JOIN (VALUES ('x')) v(model) USING (model)", set()),
    ("SELECT * FROM t LEFT JOIN u ON u.model = t.model AND u.model = 'x'", set()),
    ("SELECT * FROM u LEFT JOIN t ON u.model = t.model WHERE u.model = 'x'", {(("model", "x"),)}),
    ("SELECT * FROM t ANTI JOIN (VALUES ('x')) v(model) USING (model)", set()),
    ("SELECT * FROM t WHERE NOT EXISTS (SELECT 1 FROM u WHERE u.model = t.model AND u.model = 'x')", set()),
    ("SELECT 1 FROM u WHERE u.model = 'x' AND EXISTS (FROM t WHERE t.model = u.model)", {(("model", "x"),)}),
    ("FROM (SELECT * REPLACE (upper(model) AS model) FROM t) WHERE model = 'X' AND image_set = 'y'", Y),
    ("FROM (SELECT * EXCLUDE (model), 'x' AS model FROM t) WHERE model = 'x' AND image_set = 'y'", Y),
    ("FROM (SELECT *, layer AS model FROM t) WHERE model = 'x' AND image_set = 'y'", Y),
    ("SELECT * FROM t AS s(image_set, model) WHERE model = 'x'", set()),
    ("SELECT * FROM t WHERE model = 'X' COLLATE NOCASE", {(("model", "x"),)}),
    ("SELECT * FROM t WHERE (model IN ('x')) IS NULL AND image_set = 'y'", Y),
    ("SELECT * FROM t JOIN (SELECT 'x' COLLATE NOCASE AS m) c ON model = c.m WHERE image_set = 'y'", Y),
    (
        "SELECT 1 FROM u b WHERE model = 'x' AND image_set = 'y' AND NOT EXISTS "
        "(SELECT 1 FROM t a WHERE a.model = b.model AND b.image_set = a.image_set AND layer = b.layer)",
        {(("image_set", "y"), ("model", "x"))},
    ),
    (
        "SELECT (SELECT max(layer) FROM t a WHERE a.model = b.model) FROM u b WHERE b.model IN ('x', 'y')",
        {(("model", "x"),), (("model", "y"),)},
    ),
    (
        "SELECT * FROM u, LATERAL (SELECT layer FROM t WHERE t.model = u.model) WHERE u.model = 'x'",
        {(("model", "x"),)},
    ),
    (
        "SELECT 1 FROM u WHERE model = 'x' AND EXISTS (SELECT 1 FROM w WHERE w.model = u.model AND EXISTS "
        "(SELECT 1 FROM t WHERE t.model = w.model AND t.image_set = u.image_set))",
        {(("model", "x"),)},
    ),
    ("SELECT 1 FROM u WHERE u.model = 'x' AND EXISTS (FROM t u WHERE u.model = u.model)", set()),
    ("SELECT 1 FROM u WHERE u.model = 'x' AND EXISTS (FROM t WHERE t.layer = u.layer)", set()),
    ("SELECT * FROM t ORDER BY model = 'x'", set()),
    ("SELECT * FROM (SELECT grp AS model FROM t) WHERE model = 'x'", set()),
    ("SELECT list_filter(['x'], lambda model: model = 'x') FROM t", set()),
    ("SELECT * FROM t WHERE contains()", set()),
    ("SELECT * FROM t, range(1000000000) WHERE model = 'x'", {(("model", "x"),)}),
    ("SELECT * FROM t WHERE model IN (SELECT i::VARCHAR FROM range(1000000000) r(i))", set()),
    (
        "WITH RECURSIVE r AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM r) "
        "SELECT * FROM t JOIN (SELECT n FROM r LIMIT 5) x ON true WHERE model = 'x'",
        {(("model", "x"),)},
    ),
    ("SELECT * FROM t, read_csv('none.csv') c WHERE t.model = c.model", set()),
]
"""Statements over a table `t` and another one, with what they ask for in columns of `t`."""

CATALOG = (
    "SELECT count(*) FROM head_descriptions h JOIN texts t ON t.text = h.description AND t.text_set = 'two'"
)
"""A statement that names a set in the catalog alone."""


@pytest.fixture
def beside(filled: Store) -> Store:
    """A store of which `photos` and `words` were filled, and `more` and `two` were not."""
    filled.add_texts("two", ["a cat", "a dog", "a hat"])
    filled.add_images("more", sql="SELECT image_set, image_id FROM images WHERE image_id < 3")
    return filled


def test_what_is_named_has_to_be_there(beside: Store) -> None:
    for condition, params in NAMED:
        answer = beside.sql(f"SELECT count(*) FROM head_descriptions WHERE {condition}", params)
        assert not answer.completeness.complete, condition


def test_what_is_named_anywhere_in_a_statement_has_to_be_there(beside: Store) -> None:
    for statement in STATEMENTS:
        answer = beside.sql(statement.replace("TABLE", "head_descriptions"))
        assert not answer.completeness.complete, statement


def test_what_is_not_asked_for_is_not_lacking(beside: Store) -> None:
    for condition, params in OTHERS:
        answer = beside.sql(f"SELECT count(*) FROM head_descriptions WHERE {condition}", params)
        assert answer.completeness.complete, (condition, str(answer.completeness))


@pytest.mark.parametrize(("statement", "named"), READ)
def test_what_is_asked_for_is_read_as_sql_means_it(
    statement: str, named: set[tuple[tuple[str, str], ...]]
) -> None:
    asking = Asking(duck.parse(statement), None)
    assert asking.of({"t": {"model", "image_set"}}, {"model": {"x", "y"}}) == {"t": named}


def test_where_too_many_names_would_combine_those_that_did_stay_together() -> None:
    listed = ", ".join(f"'{number}'" for number in range(60))
    statement = f"SELECT 1 FROM t WHERE image_set = 'a' AND model IN ({listed}) AND heads IN ({listed})"
    found = Asking(duck.parse(statement), None).of({"t": {"model", "image_set", "heads"}}, {})["t"]
    assert (("image_set", "a"), ("model", "7")) in found
    assert (("heads", "7"),) in found
    assert len(found) == 120


def test_a_name_of_the_catalog_is_one_of_a_table_that_is_joined_by_it(beside: Store) -> None:
    assert beside.sql(CATALOG).completeness.complete
    assert not beside.sql(f"{CATALOG} AND t.text_set = h.text_set").completeness.complete


def test_rows_of_values_are_filled_and_nothing_between_them(beside: Store) -> None:
    statement = (
        "SELECT DISTINCT image_set, text_set FROM head_descriptions JOIN (VALUES ('photos', 'two'), "
        "('more', 'words')) v(image_set, text_set) USING (image_set, text_set) ORDER BY ALL"
    )
    answer = beside.sql(statement, fill=True)
    assert answer.completeness.complete
    assert answer.fetchall() == [("more", "words"), ("photos", "two")]
    both = beside.sql("FROM head_descriptions WHERE image_set = 'more' AND text_set = 'two'")
    assert not both.completeness.complete


ROWS = (
    "WHERE (image_set, text_set) = ('photos', 'words')",
    "WHERE (image_set, text_set) IN (('photos', 'words'), ('photos', 'words'))",
    "WHERE (image_set, text_set) IN (VALUES ('photos', 'words'))",
    "JOIN (VALUES ('photos', 'words')) v(i, t) ON image_set = i AND text_set = t",
    "JOIN (VALUES ('words')) AS v(text_set) USING (text_set)",
    "JOIN (SELECT 'words' AS t) ON text_set = t",
    "JOIN given ON text_set = given.t",
    "JOIN unnest(['words']) v(t) ON text_set = t",
)


@pytest.mark.parametrize("rows", ROWS)
def test_what_rows_do_not_name_is_neither_missed_nor_filled(beside: Store, rows: str) -> None:
    beside.view("head_descriptions", images="photos", texts="two").where("layer = 0").fill(progress=False)
    for fill in (False, True):
        given = "WITH given(t) AS (VALUES ('words'))"
        found = beside.sql(f"{given} SELECT count(*) FROM head_descriptions {rows}", fill=fill).completeness
        assert found.complete
        assert found.views == {"head_descriptions": Touched(needed=2, ready=2, inputs=(), filled=0)}


def test_a_misspelt_name_is_told_by_itself(beside: Store) -> None:
    for condition in ("text_set = 'tow'", "text_set IN ('words', 'tow')", "text_set = 'tow' AND layer = 1"):
        said = beside.sql(f"FROM head_descriptions WHERE {condition}").completeness
        assert str(said) == "head_descriptions: there is nothing with text_set='tow'; did you mean 'two'?"


def test_what_two_selects_ask_for_is_not_asked_of_each(beside: Store) -> None:
    beside.view("head_descriptions", images="more", texts="words").fill(progress=False)
    statement = (
        "SELECT count(*) FROM head_descriptions WHERE text_set = 'words' AND image_set = 'more' UNION ALL "
        "SELECT count(*) FROM head_descriptions WHERE image_set = 'photos'"
    )
    assert beside.sql(statement).completeness.complete


def test_what_is_named_is_filled_where_it_can_be_told_from_others(beside: Store) -> None:
    asked = "SELECT DISTINCT text_set FROM head_descriptions WHERE image_set = 'photos' AND text_set = ANY(?)"
    answer = beside.sql(f"{asked} ORDER BY 1", [["words", "two"]], fill=True)
    assert answer.completeness.complete
    assert answer.fetchall() == [("two",), ("words",)]


def test_a_plan_says_what_filling_cannot_make(beside: Store) -> None:
    found = beside.plan("FROM head_descriptions WHERE text_set IN ('words', 'tow')")
    assert found.lacking == "head_descriptions: there is nothing with text_set='tow'; did you mean 'two'?"
    assert str(found).splitlines() == [
        "nothing to compute: all 2 units are ready",
        f"incomplete: {found.lacking}",
    ]
