"""Units that a filter, or values that a join leaves, rule out: never one that has rows of these."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pyarrow.compute as pc
import pytest
from hypothesis import given
from hypothesis import strategies as st

from belvedere.query.sql import duck
from belvedere.query.sql.pruning import OneOf, Place, Pruner, holding
from belvedere.query.sql.scan import preferred, schema_of
from belvedere.query.sql.settled import superset
from tests.small_views import Letters, Numbers, text_set

LETTERS = Letters(text_set([f"t{n}" for n in range(1030)]), 3)
NUMBERS = Numbers(text_set(["a"], "one"))
SCHEMA = schema_of(NUMBERS)


@given(st.lists(st.integers(-2, 8), unique=True), st.sampled_from([["one"], ["two"], ["one", "two"]]))
def test_units_with_one_of_some_values_are_left(layers: list[int], names: list[str]) -> None:
    places = [Place(NUMBERS, 0, 4), Place(NUMBERS, 5, 6)]
    found = holding(places, [OneOf("layer", sorted(layers)), OneOf("text_set", names), OneOf("rank", [])])
    expected = [index for index in (0, 1, 2, 3, 5) if index in layers and "one" in names]
    assert [place.first for place in found] == expected


def test_a_filter_on_the_axis_leaves_whole_runs_where_it_holds_for_all_of_them() -> None:
    view, pruner = _Wide(), Pruner()
    schema = schema_of(view)
    field = pc.field("text_id")
    for predicate, runs in (
        (field >= 0, [(0, 128), (128, 256), (256, 344)]),
        (field >= 128 * 3, [(128, 256), (256, 344)]),
        (pc.field("n") == 3, [(0, 128), (128, 256), (256, 344)]),
        (field == 1000, [(333, 334)]),
        (field > 4000, []),
    ):
        assert [
            place[1:] for place in pruner.surviving(schema, pruner.runs(schema, [view], predicate), predicate)
        ] == runs


class _Wide(Letters):
    """Letters with a column for their axis, in 344 units."""

    columns = {"text_id": "int64", "n": "int64"}  # noqa: RUF012

    def __init__(self) -> None:
        super().__init__(LETTERS.texts, 3)


@pytest.mark.parametrize(
    ("query", "known"),
    [
        ("SELECT a FROM t WHERE b = 'x' AND a > 3", True),
        ("SELECT a FROM t ORDER BY random() LIMIT 3", True),  # all of t, which holds these three
        ("SELECT DISTINCT ON (b) a FROM t", True),
        ("SELECT max(a) FROM t GROUP BY b", True),
        ("SELECT a FROM (FROM t LIMIT 3)", False),
        ("SELECT a FROM t USING SAMPLE 3", False),
        ("SELECT a FROM t TABLESAMPLE 10%", False),
        ("SELECT first(a) FROM t", False),
        ("SELECT a FROM t WHERE random() < 0.5", False),
        ("SELECT a FROM t WHERE b > current_date", False),
        ("SELECT a FROM t QUALIFY row_number() OVER (ORDER BY b) = 1", False),
        ("SELECT a FROM t WHERE a NOT IN (SELECT a FROM t LIMIT 1)", False),
        ("SELECT a FROM range(3) AS r(a)", False),
    ],
)
def test_what_may_give_other_rows_each_time_is_not_looked_up(query: str, known: bool) -> None:
    assert (superset(duck.parse(query).node) is not None) is known


def test_rules_are_not_meant_where_a_language_model_is_there_too() -> None:
    def named(**pinned: str) -> Any:
        said = {key: value for key, value in pinned.items() if key == "language"}
        facts = {"pinned": {"model": "net", **pinned}, "instruments": said}
        return SimpleNamespace(**facts, choices=dict, fields=tuple)

    rules, gpt, none = named(language="rules"), named(language="gpt"), named()
    other = named(language="rules", module="fc")
    assert preferred([rules]) == [rules]
    assert preferred([rules, gpt, none]) == [gpt, none]
    assert preferred([rules, gpt, other]) == [gpt, other]
