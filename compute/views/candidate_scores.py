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
from ..neurons.pooled import NEURONS
from ..running.causes import embedding_cause, layer_cause
from ..work import Amount, Known, Work
from .neuron_exemplars import NeuronExemplars, shown_in
from .synthetic_images import SyntheticImages

if TYPE_CHECKING:
    from ..neurons.ranking import Judged, Rules, Score
    from ..running.aids import Aids
else:
    from typing import Literal

    Score = Literal[
        "shift", "mean", "top", "top_squared", "image_products", "mean_products", "top_squared_products"
    ]


@dataclass(frozen=True)
class CandidateScores(Assisted, TableView):
    """How each neuron answers to the pictures of its candidates, and how like its exemplars these are.

    `position` 0 is the best candidate by `score`, by default `shift`: how far the mean activation over its
    pictures lies above that over the images of the set, in standard deviations of the latter (CoSy's mean
    activation difference, Kopf et al. 2024, section 4), which compares neurons as well. The pictures of all
    candidates of a neuron are also ranked together by its activation, from `rank_base` down; the paper's
    `top_squared_products` is the image product times the candidate's place by `top_rank_squared` counted from
    below (Describe-and-Dissect, Bai et al. 2024, section 3.3), and compares candidates of one neuron only.
    `compute/neurons/ranking.py` says why it is not the default.
    """

    images: Input[SyntheticImages]
    clip: Param[Clip]
    """The name of a registered model of images and texts, by which pictures are compared."""
    score: Param[Score] = "shift"
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
        "paper": {"score": "top_squared_products", "rank_base": 0, "floor": -1.0, "shrink": 32},
    }
    version: ClassVar[int] = 2
    axis: ClassVar[str] = "neuron"
    columns: ClassVar[Mapping[str, str]] = {
        "module": "string",
        "neuron": "int32",
        "concept": "string",
        "position": "int32",
        "score": "float64",
        "score_name": "string",
        "shift": "float64",
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
        from ..neurons.ranking import Rules

        return Rules(self.score, self.beta, self.top, self.rank_base, self.floor)

    @property
    def grid(self) -> Grid:
        """One neuron a unit."""
        return self.images.grid

    def constant(self) -> Mapping[str, str]:
        """Name the module."""
        return self.images.constant()

    def needs(self, index: int) -> Sequence[Unit]:
        """List the neuron's painted pictures, its exemplars, and the statistics of its block."""
        return (self.images.units[index], self._exemplars.units[index], self._known(index))

    def _known(self, neuron: int) -> Unit:
        """Give the unit of statistics that a neuron is in."""
        return self._exemplars.statistics.units[neuron // NEURONS]

    @property
    def _exemplars(self) -> NeuronExemplars:
        return self.images.candidates.captions.exemplars

    def contents(self, start: int, stop: int) -> str:
        """Give the digest of the neuron's painted pictures and statistics."""
        return digest.of_sequence([self.images.units[start].key, self._known(start).key])

    def assist(self, units: Sequence[Unit], parts: Parts, aids: Aids) -> Mapping[str, Made]:
        """Run the pictures of each candidate through both models, by themselves."""
        layer = self._exemplars.seen.top.activations
        made = {}
        for unit in units:
            painted = self._painted(parts.rows(self.images.units[unit.start]).to_pylist())
            beside = self._beside(unit, parts, aids) if painted else None
            found = [] if beside is None else self._judged(unit, painted, beside, parts, aids)
            made[unit.key] = Made(rows=self._rows(unit.start, layer.module, found))
        return made

    def _judged(
        self, unit: Unit, painted: Mapping[str, Sequence[str]], beside: Array, parts: Parts, aids: Aids
    ) -> list[Judged]:
        """Judge a neuron's candidates."""
        from ..neurons.ranking import Usual, judged

        layer = self._exemplars.seen.top.activations
        concepts: list[str] = []
        answers, looks = [], []
        for concept, names in painted.items():
            pictures = [self._opened(unit, name, aids) for name in names]
            concepts += [concept] * len(names)
            answers.append(aids.activations(layer, pictures)[:, unit.start])
            looks.append(aids.embeddings(self.clip, pictures))
        rows = parts.rows(self._known(unit.start)).to_pylist()
        mine = next(row for row in rows if row["neuron"] == unit.start)
        return judged(
            concepts,
            np.concatenate(answers),
            np.concatenate(looks),
            beside,
            usual=Usual(mine["mean"], mine["std"]),
            rules=self.rules,
        )

    def _beside(self, unit: Unit, parts: Parts, aids: Aids) -> Array | None:
        """Embed a neuron's exemplars; None where it has none."""
        rows = parts.rows(self._exemplars.units[unit.start]).to_pylist()
        shown = [self._exemplars.picture(aids, shown_in(row)) for row in rows]
        return aids.embeddings(self.clip, shown) if shown else None

    def forecast(self, units: Sequence[Unit], known: Known) -> Work:
        """Count the pictures that are to go through the two models, what is shared once."""
        causes: dict[str, tuple[str, Mapping[str, Any], int]] = {}
        later, layer = 0, self._exemplars.seen.top.activations
        for unit in units:
            rows, shown = (known.rows(each) for each in self.needs(unit.index)[:2])
            if rows is None or shown is None or self.shrink:  # the pixels are not known
                paintings = self.images.candidates.most * self.images.paintings
                later += 2 * paintings + self._exemplars.exemplars
                continue
            groups = self._pixels(rows)
            asked = [("activations", layer_cause(layer, group), len(group)) for group in groups]
            asked += [("embeddings", embedding_cause(self.clip, group), len(group)) for group in groups]
            if groups and shown:
                pixels = [row["pixels"] for row in shown]
                asked.append(("embeddings", embedding_cause(self.clip, pixels), len(pixels)))
            causes |= {digest.of_facts([kind, cause]): (kind, cause, n) for kind, cause, n in asked}
        now = sum(n for kind, cause, n in causes.values() if known.memos.get(kind, cause) is None)
        return Work(pictures=Amount(0 if later else now, now + later))

    def _painted(self, rows: Sequence[Mapping[str, Any]]) -> dict[str, list[str]]:
        """List the files of each candidate's pictures, in their order."""
        found: dict[str, list[str]] = {}
        for row in sorted(rows, key=lambda row: (row["concept"], row["number"])):
            if row["picture"] is not None:
                found.setdefault(row["concept"], []).append(row["picture"])
        return found

    def _pixels(self, rows: Sequence[Mapping[str, Any]]) -> list[list[str]]:
        """List the pixels of each candidate's pictures, as long as these are not shrunk."""
        of = {row["picture"]: row["pixels"] for row in rows}
        return [[of[name] for name in names] for names in self._painted(rows).values()]

    def _opened(self, unit: Unit, name: str, aids: Aids) -> Image.Image:
        """Open a painted picture; where its file is gone, what named it is given up, and painted again."""
        data = aids.memos.picture(name)
        if data is None:
            lost = self.images.units[unit.start]
            aids.give_up(lost)
            raise DamagedUnit(str(lost), [f"painted picture {name[:12]}: removed"])
        picture = Image.open(io.BytesIO(data)).convert("RGB")
        return picture.resize((self.shrink, self.shrink)) if self.shrink else picture

    def _rows(self, neuron: int, module: str, found: Sequence[Judged]) -> dict[str, list[Any]]:
        rows: dict[str, list[Any]] = {name: [] for name in self.columns}
        for position, each in enumerate(found):
            own = {"module": module, "neuron": neuron, "position": position, "score_name": self.score}
            for name in self.columns:
                rows[name].append(own[name] if name in own else getattr(each, name))
        return rows
