"""The view of how well each candidate label fits its neuron."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from PIL import Image

from ...store import digest
from ...store.errors import BadSource, DamagedUnit
from ...store.grid import Grid
from ...store.sets import Clip
from ...store.views import Array, Input, Param, Parts, TableView, Unit
from ..kinds import Assisted, Made
from .neuron_exemplars import shown_in
from .synthetic_images import SyntheticImages

if TYPE_CHECKING:
    from ..aids import Aids
    from ..ranking import Judged, Rules, Score
else:
    from typing import Literal

    Score = Literal["mean", "top", "top_squared", "image_products", "mean_products", "top_squared_products"]


@dataclass(frozen=True)
class CandidateScores(Assisted, TableView):
    """How each neuron answers to the pictures of its candidates, and how like its exemplars these are.

    The pictures of all candidates of a neuron are ranked together by its activation, from `rank_base` down.
    `position` 0 is the best candidate by `score`, which is one of the other columns or, by default, the image
    product times the candidate's place by `top_rank_squared` counted from below (Describe-and-Dissect, Bai et
    al. 2024, section 3.3). Scores compare candidates of one neuron, and not neurons.
    """

    images: Input[SyntheticImages]
    clip: Param[Clip]
    """The name of a registered model of images and texts, by which pictures are compared."""
    score: Param[Score] = "top_squared_products"
    """Which score decides."""
    beta: Param[int] = 5
    """Best pictures of a candidate that `top` and `top_squared` look at."""
    top: Param[int] = 10
    """Best pictures of all candidates that count for image products."""
    rank_base: Param[int] = 1
    """The rank of the best picture: 1, or 0 as released."""
    floor: Param[float] = 0.0
    """The image product of a candidate without a picture among the best; -1 as released."""
    shrink: Param[int] = 0
    """The side to which pictures are shrunk first, as released (32); 0 leaves them as they are."""
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "default": {},
        "paper": {"rank_base": 0, "floor": -1.0, "shrink": 32},
    }
    axis: ClassVar[str] = "neuron"
    columns: ClassVar[Mapping[str, str]] = {
        "module": "string",
        "neuron": "int32",
        "concept": "string",
        "position": "int32",
        "score": "float64",
        "score_name": "string",
        "mean_rank": "float64",
        "top_rank": "float64",
        "top_rank_squared": "float64",
        "image_product": "float64",
        "in_top": "int32",
        "pictures": "int32",
        "activation": "float64",
    }

    def __post_init__(self) -> None:
        """Refuse numbers that mean nothing."""
        for name, least in (("beta", 1), ("top", 1), ("shrink", 0)):
            if getattr(self, name) < least:
                raise BadSource(f"{name}={getattr(self, name)}: it starts at {least}")
        if self.rank_base not in (0, 1):
            raise BadSource(f"rank_base={self.rank_base}: 0 or 1")

    @property
    def rules(self) -> Rules:
        """What the score is made of."""
        from ..ranking import Rules

        return Rules(self.score, self.beta, self.top, self.rank_base, self.floor)

    @property
    def grid(self) -> Grid:
        """One neuron a unit."""
        return self.images.grid

    def constant(self) -> Mapping[str, str]:
        """Name the module."""
        return self.images.constant()

    def needs(self, index: int) -> Sequence[Unit]:
        """List the neuron's painted pictures and exemplars."""
        return (self.images.units[index], self._exemplars.units[index])

    @property
    def _exemplars(self) -> Any:
        return self.images.candidates.captions.exemplars

    def contents(self, start: int, stop: int) -> str:
        """Give the digest of the neuron's painted pictures."""
        return digest.of_sequence([self.images.units[start].key])

    def assist(self, units: Sequence[Unit], parts: Parts, aids: Aids) -> Mapping[str, Made]:
        """Run the painted pictures of some neurons through both models, each picture once."""
        painted = {unit.start: self._painted(unit, parts) for unit in units}
        files = list(dict.fromkeys(row["picture"] for rows in painted.values() for row in rows))
        layer = self._exemplars.seen.top.activations
        pictures = [self._opened(name, painted, aids) for name in files]
        answers = aids.activations(layer, pictures) if pictures else None
        looks = aids.embeddings(self.clip, pictures) if pictures else None
        made = {}
        for unit in units:
            found: list[tuple[Judged, float]] = []
            beside = self._beside(unit, parts, aids) if painted[unit.start] else None
            if answers is not None and looks is not None and beside is not None:
                at = [files.index(row["picture"]) for row in painted[unit.start]]
                concepts = [row["concept"] for row in painted[unit.start]]
                found = self._judged(concepts, answers[at, unit.start], looks[at], beside)
            made[unit.key] = Made(rows=self._rows(unit.start, layer.module, found))
        return made

    def _judged(
        self, concepts: Sequence[str], answers: Array, looks: Array, beside: Array
    ) -> list[tuple[Judged, float]]:
        """Judge a neuron's candidates, each with its pictures' mean activation."""
        from ..ranking import judged

        found = judged(concepts, answers, looks, beside, self.rules)
        of = np.array(concepts)
        return [(each, float(answers[of == each.concept].mean())) for each in found]

    def _beside(self, unit: Unit, parts: Parts, aids: Aids) -> Array | None:
        """Embed a neuron's exemplars; None where it has none."""
        rows = parts.rows(self._exemplars.units[unit.start]).to_pylist()
        shown = [self._exemplars.picture(aids, shown_in(row)) for row in rows]
        return aids.embeddings(self.clip, shown) if shown else None

    def _painted(self, unit: Unit, parts: Parts) -> list[dict[str, Any]]:
        rows = parts.rows(self.images.units[unit.start]).to_pylist()
        return [row for row in rows if row["picture"] is not None]

    def _opened(
        self, name: str, painted: Mapping[int, Sequence[Mapping[str, Any]]], aids: Aids
    ) -> Image.Image:
        """Open a painted picture; where its file is gone, what named it is given up, and painted again."""
        data = aids.memos.picture(name)
        if data is None:
            lost = [n for n, rows in painted.items() if any(row["picture"] == name for row in rows)]
            for neuron in lost:
                aids.give_up(self.images.units[neuron])
            raise DamagedUnit(str(self.images.units[lost[0]]), [f"painted picture {name[:12]}: removed"])
        picture = Image.open(io.BytesIO(data)).convert("RGB")
        return picture.resize((self.shrink, self.shrink)) if self.shrink else picture

    def _rows(self, neuron: int, module: str, found: Sequence[tuple[Judged, float]]) -> dict[str, list[Any]]:
        rows: dict[str, list[Any]] = {name: [] for name in self.columns}
        for position, (each, mean) in enumerate(found):
            ranks = (each.mean_rank, each.top_rank, each.top_rank_squared, each.image_product)
            counts = (each.in_top, each.pictures, mean)
            values = (module, neuron, each.concept, position, each.score, self.score, *ranks, *counts)
            for name, value in zip(self.columns, values, strict=True):
                rows[name].append(value)
        return rows
