"""Texts have a label's words where these stand as they do in the label, in the singular and in any case."""

from __future__ import annotations

import pytest

from belvedere.compute.language.concordance import Concordance

TEXTS = [
    "two Red stars on grass",
    "a star, red",
    "the grass: red star",
    "STARS",
    "a red, blue star",
    "null",
    "",
    "star-shaped; 'stars'",
    "2 berries",
]


@pytest.mark.parametrize(
    ("label", "having"),
    [
        ("red star", [0, 2]),
        ("Red Stars", [0, 2]),
        ("grass with a red star", [0, 2]),  # the groups in any order
        ("star", [0, 1, 2, 3, 4, 7]),
        ("stars red", []),
        ("red", [0, 1, 2, 4]),
        ("null", [5]),
        ("berry", [8]),
        ("2 berries", [8]),
        ("moon", []),
        ("star moon", []),
        ("of the", None),
        ("", None),
        ("?!", None),
    ],
)
def test_a_label_is_found_where_its_words_stand(label: str, having: list[int] | None) -> None:
    assert Concordance(TEXTS).having(label) == having
