"""Labels of INVERT (Bykov et al.): a concept, or a formula of concepts, with its AUROC."""

from __future__ import annotations

from collections.abc import Iterator

from .entries import Adapter, Cells, Label, Place, number, numbers


def _read(place: Place, cells: Cells) -> Iterator[Label]:
    """Give the concept; `concept_id`, a WordNet offset or the number of a class, stands beside it."""
    identity = cells["concept_id"].strip()
    more = numbers(cells, {"concept_id": "concept_id"}) if identity.isdecimal() else {}
    yield Label(place, 0, cells["concept"], cells["concept"], number(cells, "metric"), "auroc", more=more)


ADAPTER = Adapter(
    "invert",
    1,
    "labels",
    frozenset({"neuron", "concept", "concept_id", "metric"}),
    _read,
    unit="neuron",
)
