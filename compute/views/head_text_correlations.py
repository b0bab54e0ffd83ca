"""The view of how far the heads of two models are described alike by the texts of one pool."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from ...store import digest
from ...store.grid import Grid
from ...store.views import Input, Param, Parts, Unit
from ..heads.conventions import Convention
from ..heads.crossed import Pairs
from ..heads.moments import Doubles
from ..heads.spread import apart, spread
from ..kinds import Made
from .head_moments import HeadMoments
from .text_embeddings import TextEmbeddings
from .tower_maps import TowerMaps


@dataclass(frozen=True)
class HeadTextCorrelations(Pairs):
    """How alike each head and each head of another model are described by the texts of one pool.

    Each text has a share of a head's variance along what tells it from the others, as `store.heads_for` gives
    it (`compute/heads/spread.py`), by each model's own embeddings; `score` is Pearson's correlation of these
    shares over the texts that both models can read. From -1 to 1; null where a head writes the same for all
    images, or there are fewer than three such texts.
    """

    moments: Input[HeadMoments]
    texts: Input[TextEmbeddings]
    others: Input[HeadMoments]
    other_texts: Input[TextEmbeddings]
    convention: Param[Convention] = "own"
    """How ln_post's mean and the biases are shared out: `own`, or as the published code does it."""
    bound: ClassVar[Mapping[str, str]] = {"others": "other", "other_texts": "other"}

    @property
    def grid(self) -> Grid:
        """One layer of the model a unit."""
        return Grid(self.moments.shape[0], 1)

    @property
    def measure(self) -> str:
        """What its scores are called."""
        return "descriptions"

    def constant(self) -> Mapping[str, str]:
        """Name the other model, and what is measured."""
        return {"other": self.other_texts.model.name, "measure": self.measure}

    def needs(self, index: int) -> Sequence[Unit]:
        """List moments, embeddings and maps of both models."""
        found = (
            *(unit for view in (self.moments, self.others) for unit in view.units),
            *(unit for view in (self.texts, self.other_texts) for unit in view.units),
            *(unit for view in (self.texts, self.other_texts) for unit in TowerMaps(view.model).units),
        )
        return list({unit.key: unit for unit in found}.values())

    def contents(self, start: int, stop: int) -> str:
        """Give the digest of the layer and of all that."""
        return digest.of_sequence([str(start), *(unit.key for unit in self.needs(start))])

    def derive(self, unit: Unit, parts: Parts) -> Made:
        """Correlate the heads of one layer with all heads of the other model."""
        first, second = (
            parts.array(view, "embedding").astype(np.float64) for view in (self.texts, self.other_texts)
        )
        read = ~np.isnan(first).any(axis=1) & ~np.isnan(second).any(axis=1)
        mine = self._shares(self.moments, unit.start, first[read], parts)
        key = digest.of_sequence(["shares", self.convention, *(each.key for each in self.needs(unit.index))])
        theirs = parts.once(key, lambda: self._all_shares(second[read], parts))  # the same for every layer
        scores = correlations(mine, theirs.reshape(len(theirs), -1)).reshape(-1, *theirs.shape[1:])
        rows = self.pairs(unit.start, scores)
        return Made(rows=rows, facts={"texts": int(read.sum())})

    def _all_shares(self, texts: Doubles, parts: Parts) -> Doubles:
        """Give the share of each of the other model's heads along each text, "text layer head"."""
        layers = range(self.others.shape[0])
        return np.stack([self._shares(self.others, layer, texts, parts) for layer in layers], axis=1)

    def _shares(self, moments: HeadMoments, layer: int, texts: Doubles, parts: Parts) -> Doubles:
        """Give the share of each head's variance along each text, "text head"."""
        whole = slice(None)
        found = moments.show(parts, (slice(layer, layer + 1), whole, whole, whole))[0]
        maps = TowerMaps(moments.contributions.model).joint_maps(parts, layer, self.convention)
        return spread(found, maps, apart(texts, texts)).share


def correlations(first: Doubles, second: Doubles) -> Doubles:
    """Give Pearson's correlation of columns "text head" and "text other": "head other".

    A text that is NaN for a head is one that equals the pool's mean, and is left out for all. NaN where a
    column does not vary or fewer than three texts are left.
    """
    alive = [~np.isnan(each).all(axis=0) for each in (first, second)]
    seen = [each[:, some] for each, some in zip((first, second), alive, strict=True)]
    there = ~np.isnan(np.concatenate(seen, axis=1)).any(axis=1)
    found = np.full((first.shape[1], second.shape[1]), np.nan)
    if there.sum() < 3:
        return found
    scaled = []
    for each in seen:
        centred = each[there] - each[there].mean(axis=0)
        lengths = np.linalg.norm(centred, axis=0)
        scaled.append(centred / np.where(lengths > 1e-12, lengths, np.nan))
    found[np.ix_(*alive)] = scaled[0].T @ scaled[1]
    return found
