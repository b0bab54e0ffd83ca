"""How clear heads are, on cases that can be counted by hand, and as a view."""

from __future__ import annotations

import shutil
from math import exp, log
from pathlib import Path

import pytest

import belvedere
from belvedere.compute.heads.clarity import clarity, effective, overlap
from belvedere.store.errors import BadSource
from belvedere.testing import ViewContract


class TestHeadClarity(ViewContract):
    view = "head_clarity"


def test_equal_shares_count_as_many_as_they_are() -> None:
    found = clarity([0.1] * 5, ["a"] * 5, "a", least=0.5)
    assert found.descriptions == pytest.approx(5)
    assert found.categories == pytest.approx(1)
    assert (found.role_share, found.leading) == pytest.approx((1, 0.2))
    assert found.clear_role == "a"
    assert found.explained == pytest.approx(0.5)


def test_one_description_is_one() -> None:
    found = clarity([0.7], ["a"], "a", least=1)
    assert (found.descriptions, found.leading, found.role_share, found.clear_role) == (1, 1, 1, "a")


def test_shares_are_weighed_by_entropy() -> None:
    found = clarity([0.4, 0.2, 0.2], ["a", "b", None], "a", least=0.6)
    by_hand = exp(-(0.5 * log(0.5) + 2 * 0.25 * log(0.25)))
    assert found.descriptions == pytest.approx(by_hand)
    assert found.categories == pytest.approx(effective([2, 1]))
    assert found.role_share == pytest.approx(0.5)
    assert (found.role, found.clear_role) == ("a", "none")


def test_a_head_that_is_spread_has_no_clear_role() -> None:
    spread = clarity([0.1] * 8, ["a", "b", "c", "d"] * 2, "a", least=0.5)
    assert spread.role_share == pytest.approx(0.25)
    assert (spread.role, spread.clear_role) == ("a", "none")
    assert spread.categories == pytest.approx(4)


def test_without_a_role_the_leading_category_is_told_and_is_not_clear() -> None:
    found = clarity([0.5, 0.1], ["a", "b"], "none", least=0.5)
    assert found.role_share == pytest.approx(5 / 6)
    assert found.clear_role == "none"


def test_without_categories_there_is_no_number_of_them() -> None:
    found = clarity([0.5, 0.5], [None, ""], "none", least=0.5)
    assert (found.categories, found.role_share, found.clear_role) == (None, 0.0, "none")


def test_what_nothing_describes_has_no_numbers() -> None:
    found = clarity([], [], "none", least=0.5)
    assert (found.explained, found.leading, found.descriptions, found.role_share) == (0, None, None, None)
    assert found.clear_role == "none"


def test_what_two_distributions_have_in_common() -> None:
    assert overlap({"a": 1, "b": 1}, {"a": 2, "b": 2}) == pytest.approx(1)
    assert overlap({"a": 3, "b": 1}, {"b": 1, "c": 1}) == pytest.approx(0.25)
    assert overlap({"a": 1}, {"b": 1}) == 0
    assert overlap({}, {"b": 1}) is None


def test_the_view_counts_all_descriptions_that_are_kept(whole: Path, tmp_path: Path) -> None:
    with belvedere.open(shutil.copytree(whole, tmp_path / "store")) as store:
        found = store.view("head_clarity", least=0.6).arrow().to_pylist()
        described = store.view("head_descriptions", m=60).arrow().to_pylist()
        roles = {
            (row["layer"], row["head"]): row["role"] for row in store.view("head_roles").arrow().to_pylist()
        }
        pool = store.sql("SELECT category FROM texts ORDER BY text_id").fetchall()
        assert [(row["layer"], row["head"]) for row in found] == [*roles]
        for row in found:
            mine = [
                each for each in described if (each["layer"], each["head"]) == (row["layer"], row["head"])
            ]
            total = sum(each["variance"] for each in mine)
            entropy = sum(-each["variance"] / total * log(each["variance"] / total) for each in mine)
            assert row["descriptions"] == pytest.approx(exp(entropy))
            assert row["explained"] == pytest.approx(mine[-1]["cumulative_variance"])
            assert row["role"] == roles[row["layer"], row["head"]]
            if row["role"] != "none":
                along = sum(each["variance"] for each in mine if pool[each["text_id"]][0] == row["role"])
                assert row["role_share"] == pytest.approx(along / total)
                assert row["clear_role"] == (row["role"] if along / total >= 0.6 else "none")
        with pytest.raises(BadSource, match="least is above 0 and at most 1, not 0"):
            store.view("head_clarity", least=0.0)
