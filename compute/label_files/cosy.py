"""What CoSy (Kopf et al.) measures of labels on synthetic images: AUC, MAD and a rank test."""

from __future__ import annotations

from collections.abc import Iterator

from .entries import Adapter, Cells, Place, Score, Unreadable, check_share, numbers

NAMES = {"cosy_auc": "auc", "cosy_mad": "mad", "cosy_u": "u1", "cosy_p": "p"}
"""The measures, and their columns."""


def _read(place: Place, cells: Cells) -> Iterator[Score]:
    found = numbers(cells, NAMES)
    if not found:
        raise Unreadable("no number in any of its columns")
    for name in ("cosy_auc", "cosy_p"):
        check_share(NAMES[name], found.get(name))
    for name, value in found.items():
        yield Score(place, cells["concept"], name, value)


ADAPTER = Adapter(
    "cosy",
    1,
    "scores",
    frozenset({"neuron", "concept", "auc", "mad"}),
    _read,
    optional=frozenset({"u1", "p"}),
    unit="neuron",
)
