"""Random statements over lazy tables against the same rows in DuckDB's own."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator
from typing import Any

import duckdb
import pyarrow as pa
import pytest

import belvedere
from belvedere.query.engine import Engine
from belvedere.query.lazy.table import LazyTable
from belvedere.query.sql import duck
from belvedere.query.sql.scan import Scan, Source, schema_of
from belvedere.store.errors import QueryError
from belvedere.store.views import TableView
from tests.comparing import seeds
from tests.small_views import Numbers, numbers, small_engine, text_set

ONE, TWO = Numbers(text_set(["a"], "one")), Numbers(text_set(["b"], "two"), rows=25)
SCHEMA = schema_of(ONE)
CONDITIONS = """layer = 3|layer <> 2|layer IN (1, 4, 9)|layer NOT IN (0, 5)|layer BETWEEN 2 AND 4|layer >= 4
layer < 0|layer = 2.0|layer + 1 = 3|layer % 2 = 0|layer = head|layer IS NULL|layer IS NOT NULL|layer > rank
head = 1|head IN (0, 3)|head <= 1 OR layer = 5|rank > 2|rank IS NULL|rank <> 3|rank IN (1, NULL)|rank < -1
score > 0|score IS NOT NULL|score = 0.1|score <= -0.5|abs(score) < 0.4|part >= 0.25|part = 0.5|part < score
word = 'a'|word <> 'b'|word IS NULL|word = ''|word LIKE '%og%'|word ILIKE 'dog'|word IN ('a', 'dog''s', 'ß%_')
word >= 'a'|starts_with(word, 'd')|coalesce(word, 'b') = 'b'|text_set = 'one'|text_set <> 'one'
text_set IN ('two')|text_set LIKE '%o%'|true|layer IN (SELECT head FROM numbers WHERE text_set = 'two')
score IS DISTINCT FROM 0.1|layer = (SELECT max(head) FROM numbers)|layer > 3
EXISTS (FROM numbers AS o WHERE o.rank = n.rank AND o.layer = 1)
layer = 3 AND text_set = 'two'|part > (SELECT avg(part) FROM numbers WHERE layer = n.layer)"""
FROMS = [
    "SELECT {n}.* FROM numbers AS n WHERE {c}",
    "SELECT count(*), min(score), max(word), count(rank) FROM numbers AS n WHERE {c}",
    "SELECT layer, text_set, sum(rank), count(DISTINCT word) FROM numbers AS n WHERE {c} GROUP BY 1, 2",
    "SELECT n.layer, o.rank, o.word FROM numbers AS n JOIN numbers AS o USING (layer, head) WHERE {c}",
    "SELECT n.word, o.score FROM numbers AS n LEFT JOIN (FROM numbers WHERE layer > 3) AS o "
    "ON n.layer = o.layer AND n.rank = o.rank WHERE {c}",
    "WITH n AS (FROM numbers AS n WHERE {c}) SELECT word, score FROM n UNION ALL SELECT word, part FROM n",
    "SELECT layer, head, rank, score FROM numbers AS n WHERE {c} ORDER BY ALL LIMIT 7",
    "SELECT DISTINCT head, part FROM numbers AS n WHERE {c}",
    "SELECT layer FROM numbers AS n WHERE {c} EXCEPT SELECT layer FROM numbers AS n WHERE rank = 3",
    "SELECT layer, rank() OVER (PARTITION BY layer ORDER BY score, rank, word, part, head, text_set) AS r "
    "FROM numbers AS n WHERE {c}",
]


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Engine:
    """A store in which both tables are filled."""
    found = small_engine(tmp_path_factory.mktemp("fuzz") / "store")
    assert found.fill([*ONE.units, *TWO.units]).filled == 12
    return found


@pytest.fixture(scope="module")
def native() -> Iterator[duckdb.DuckDBPyConnection]:
    """The same rows in a table of DuckDB's own."""
    rows = [
        {"text_set": view.names["text_set"], **dict(zip(made, values, strict=True))}
        for view in (ONE, TWO)
        for layer in range(Numbers.layers)
        for made in [numbers(layer, view.rows)]
        for values in zip(*made.values(), strict=True)
    ]
    with duckdb.connect() as con:
        con.register("arrow", pa.Table.from_pylist(rows, schema=SCHEMA))
        con.execute("CREATE TABLE numbers AS FROM arrow")
        yield con


def statement(dice: random.Random) -> str:
    """Draw a statement with up to four conditions, joined and negated at random."""
    known = CONDITIONS.replace("\n", "|").split("|")
    condition = dice.choice(known)
    for _ in range(dice.randrange(4)):
        other = dice.choice(known)
        shape = dice.choice(["({}) AND ({})", "({}) OR ({})", "NOT ({}) AND ({})", "({}) OR NOT ({})"])
        condition = shape.format(condition, other)
    return dice.choice(FROMS).format(n="n", c=condition)


def scan(engine: Engine) -> Scan:
    """Make a fresh lazy table of both views."""
    both: list[TableView] = [ONE, TWO]
    return Scan(SCHEMA, Source(both, lambda _: True, engine.done, engine.reader))


def rows_of(found: pa.Table) -> Counter[tuple[Any, ...]]:
    """Count rows, in whatever order they come."""
    columns = [
        ["nan" if value != value else value for value in column.to_pylist()] for column in found.columns
    ]
    return Counter(zip(*columns, strict=True))


@pytest.mark.parametrize("seed", seeds(4))
def test_random_statements_give_the_rows_that_a_native_table_gives(
    engine: Engine, native: duckdb.DuckDBPyConnection, seed: int
) -> None:
    dice = random.Random(seed)
    wrong, answered = [], 0
    for _ in range(60):
        query = statement(dice)
        try:
            expected = rows_of(duck.run(native, query))
        except QueryError:
            continue  # ambiguous names in a join
        with duck.connection({"numbers": scan(engine)}) as con:
            answered += 1
            if rows_of(duck.run(con, query)) != expected:
                wrong.append(query)
    assert wrong == []
    assert answered > 40


def test_a_limit_stops_early(engine: Engine) -> None:
    lazy = scan(engine)
    engine.folder.records._seen.clear()
    with belvedere.trace() as seen, duck.connection({"numbers": lazy}) as con:
        assert len(duck.run(con, "SELECT * FROM numbers LIMIT 2")) == 2
    assert len([path for path in seen.of("read") if path.endswith("part.parquet")]) < 6


def test_a_condition_on_a_lazy_table_fills_what_it_needs_until_nothing_lacks(tmp_path: Any) -> None:
    table = LazyTable(small_engine(tmp_path), ONE)
    asked = "layer = (SELECT max(head) FROM numbers WHERE layer = 0) AND rank IS NOT NULL"
    found = table.where(asked).arrow().sort_by("rank")
    highest = max(numbers(0, 40)["head"])
    rows = numbers(highest, 40)
    assert found["rank"].to_pylist() == sorted(rank for rank in rows["rank"] if rank is not None)
