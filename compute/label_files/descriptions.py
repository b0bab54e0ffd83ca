"""Files with `layer,unit` and one description each: of CLIP-Dissect, of MILAN and of MILAN's annotators.

CLIP-Dissect (Oikarinen and Weng) writes `descriptions.csv` with a similarity, and others hand it out without;
MILAN (Hernandez et al.) writes none. MILANNOTATIONS has a row for each of several people, as `summary`.
"""

from __future__ import annotations

from collections.abc import Iterator

from .entries import Adapter, Cells, Label, Place, number

_KEYS = frozenset({"layer", "unit"})


def _described(place: Place, cells: Cells) -> Iterator[Label]:
    score = number(cells, "similarity") if "similarity" in cells else None
    name = "similarity" if score is not None else None
    yield Label(place, 0, cells["description"], cells["description"], score, name)


def _summarised(place: Place, cells: Cells) -> Iterator[Label]:
    yield Label(place, 0, cells["summary"], cells["summary"])


CLIP_DISSECT = Adapter(
    "clip-dissect",
    1,
    "labels",
    _KEYS | {"description"},
    _described,
    optional=frozenset({"similarity"}),
    layer="layer",
    also_like="milan",
)
MILAN = Adapter(
    "milan", 1, "labels", _KEYS | {"description"}, _described, layer="layer", also_like="clip-dissect"
)
MILANNOTATIONS = Adapter(
    "milannotations", 1, "labels", _KEYS | {"summary"}, _summarised, layer="layer", repeats=True
)
