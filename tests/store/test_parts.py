"""Rows are written as they were declared, or not at all."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from belvedere.store import parts

COLUMNS = {"layer": "int32", "score": "float64", "word": "string"}
ROWS: dict[str, Any] = {"layer": [0, None, 2], "score": [0.5, None, 1], "word": ["a", "b", None]}


def test_rows_come_back_as_they_were() -> None:
    assert parts.decode(parts.encode(COLUMNS, ROWS)).to_pydict() == ROWS


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (
            {**ROWS, "layer": np.array([0.0, 1.7, 2.0])},
            "layer is declared int32, and has numbers",
        ),
        (
            {**ROWS, "more": [1, 2, 3]},
            "made the columns layer, score, word, more; declared are",
        ),
        ({"layer": [0]}, "made the columns layer; declared are layer, score, word"),
    ],
)
def test_rows_of_other_columns_or_kinds_are_refused(rows: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        parts.encode(COLUMNS, rows)
