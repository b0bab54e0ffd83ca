"""The view of linear maps from what one model embeds images as to what another does."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from ...store import digest
from ...store.errors import BadSelection, BadSource
from ...store.grid import Grid
from ...store.views import Array, Input, Param, Parts, TableView, Unit
from ..heads.aligning import Fit
from ..kinds import Derived, Made
from .image_embeddings import ImageEmbeddings

HELD_OUT = 10
"""Of so many images one is held out, by its bytes."""


@dataclass(frozen=True)
class Aligners(Derived, TableView):
    """A linear map from one model's space to another's, fitted on images that both embed: e' ~ W e + b.

    With it the heads of a model without texts are described by the texts of a CLIP model (Balasubramanian,
    Basu and Feizi 2024, section 3.2): `aligned_descriptions`. A row is a coordinate of the other space, with
    its `weights` and `bias`; `r2` is the share of its variance that the map tells of images that were held
    out, one in ten by its bytes, `cosine` the mean cosine of what the map gives and what the other model
    gives, of these images; the same in all rows, as are the numbers of images.
    """

    embeddings: Input[ImageEmbeddings]
    others: Input[ImageEmbeddings]
    ridge: Param[float] = 1e-4
    """What is added to the variances before they are inverted, as a share of their mean."""
    bound: ClassVar[Mapping[str, str]] = {"others": "other"}
    axis: ClassVar[str] = "coordinate"
    columns: ClassVar[Mapping[str, str]] = {
        "coordinate": "int32",
        "weights": "list[float32]",
        "bias": "float64",
        "r2": "float64",
        "cosine": "float64",
        "fitted": "int64",
        "held_out": "int64",
    }

    def __post_init__(self) -> None:
        """Refuse a ridge below zero, or none."""
        if not 0 <= self.ridge < np.inf:
            raise BadSource(f"ridge={self.ridge}: a share of the mean variance, from 0 on")

    @property
    def grid(self) -> Grid:
        """One unit."""
        joint = self.others.model.shape.joint
        return Grid(joint, joint)

    def needs(self, index: int) -> Sequence[Unit]:
        """List the embeddings of both models."""
        return list({unit.key: unit for unit in (*self.embeddings.units, *self.others.units)}.values())

    def contents(self, start: int, stop: int) -> str:
        """Give the digest of them, in their order."""
        return digest.of_sequence(unit.key for unit in (*self.embeddings.units, *self.others.units))

    def derive(self, unit: Unit, parts: Parts) -> Made:
        """Fit the map, and try it on the images that were held out."""
        fit = Fit(self.embeddings.model.shape.joint, self.others.model.shape.joint)
        for first, second in self._blocks(parts, held_out=False):
            fit.add(first, second)
        held = sum(len(first) for first, _ in self._blocks(parts, held_out=True))
        if fit.count < 2 or held < 2:
            raise BadSelection(
                f"{self.embeddings.images.name!r} has {fit.count} images to fit a map on and {held} to try "
                f"it on, of those that {self.embeddings.model.name!r} and {self.others.model.name!r} could "
                "read both: a map needs two of each, and means something with several times more images "
                f"than its {fit.size[0]} coordinates"
            )
        weights, bias = fit.solve(self.ridge)
        r2, cosine = fit.tried(weights, bias, list(self._blocks(parts, held_out=True)))
        rows = len(bias)
        return Made(
            rows={
                "coordinate": np.arange(rows, dtype=np.int32),
                "weights": weights.astype(np.float32).tolist(),
                "bias": bias,
                "r2": r2,
                "cosine": np.full(rows, cosine),
                "fitted": np.full(rows, fit.count),
                "held_out": np.full(rows, held),
            }
        )

    def matrix(self, parts: Parts) -> Array:
        """Read the map, float32 "coordinate joint".

        Raises `BadSelection` for one that tells no more of images that were held out than their mean does.
        """
        rows = parts.rows(self.units[0])
        told = float(np.nanmean(rows.column("r2").to_numpy()))
        if not told > 0:
            names = f"{self.embeddings.model.name!r} to {self.others.model.name!r}"
            raise BadSelection(
                f"the map from {names} tells nothing of the images that were held out (mean r2 {told:.2f}), "
                "so that texts found through it would mean nothing; fit it on several times more images "
                f"than its {self.embeddings.model.shape.joint} coordinates, or with a larger ridge"
            )
        return np.array(rows.column("weights").to_pylist(), np.float32)

    def _blocks(self, parts: Parts, *, held_out: bool) -> Iterator[tuple[Array, Array]]:
        """Read both embeddings of the images of one kind, block by block, of those that both could read."""
        digests = self.embeddings.images.entries["digest"].to_pylist()
        kept_out = np.array([int(str(each)[:8], 16) % HELD_OUT == 0 for each in digests])
        for unit in self.embeddings.units:
            images = slice(unit.start, unit.stop)
            views = (self.embeddings, self.others)
            pair = [parts.array(view, "embedding", (images, slice(None))) for view in views]
            there = ~np.isnan(pair[0][:, 0]) & ~np.isnan(pair[1][:, 0]) & (kept_out[images] == held_out)
            yield pair[0][there].astype(np.float64), pair[1][there].astype(np.float64)
