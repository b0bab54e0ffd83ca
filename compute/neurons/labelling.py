"""How candidates that were scored become labels: the best, and none of two that say the same."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from ...store import digest
from ...store.errors import BadSource
from ...store.grid import Grid
from ...store.views import Parts, TableView, Unit
from ..kinds import Assisted, Made
from .neuron_labels import COLUMNS
from .pooled import NEURONS
from .summarised import silence

if TYPE_CHECKING:
    from ...store.sets import Clip
    from ..running.aids import Aids
    from ..views.label_candidates import LabelCandidates
    from ..views.neuron_exemplars import NeuronExemplars


class Scored(Protocol):
    """A table of candidates, each with its score and its position among those of its neuron."""

    @property
    def clip(self) -> Clip:
        """The model by which texts are compared."""

    @property
    def grid(self) -> Grid:
        """One neuron a unit."""

    @property
    def units(self) -> Sequence[Unit]:
        """The units."""

    def constant(self) -> Mapping[str, str]:
        """Name the module."""


class Labelled(Assisted, TableView):
    """Labels that are chosen from candidates, by their scores."""

    scores: Scored
    labels: int
    distinct: float
    method: ClassVar[str]
    unscored: ClassVar[str]
    """The status of a neuron with candidates of which none was scored."""
    axis: ClassVar[str] = "neuron"
    columns: ClassVar[Mapping[str, str]] = {**COLUMNS, "evidence": "string"}

    def __post_init__(self) -> None:
        """Refuse numbers that mean nothing."""
        if self.labels < 1 or not -1 <= self.distinct <= 1:
            raise BadSource(f"labels={self.labels}, distinct={self.distinct}: from 1, and a cosine")

    @property
    def grid(self) -> Grid:
        """One neuron a unit."""
        return self.scores.grid

    def constant(self) -> Mapping[str, str]:
        """Name the module and the method."""
        return {**self.scores.constant(), "method": self.method}

    def needs(self, index: int) -> Sequence[Unit]:
        """List the neuron's scores, candidates, and the statistics of its block."""
        return (
            self.scores.units[index],
            self.candidates.units[index],
            self._exemplars.statistics.units[index // NEURONS],
        )

    def contents(self, start: int, stop: int) -> str:
        """Give the digest of the neuron's scores."""
        return digest.of_sequence([self.scores.units[start].key])

    @property
    def _exemplars(self) -> NeuronExemplars:
        return self.candidates.captions.exemplars

    @property
    @abstractmethod
    def candidates(self) -> LabelCandidates:
        """Where its labels are from."""

    def assist(self, units: Sequence[Unit], parts: Parts, aids: Aids) -> Mapping[str, Made]:
        """Choose the labels of some neurons."""
        return {unit.key: Made(rows=self._rows(unit, parts, aids)) for unit in units}

    def _rows(self, unit: Unit, parts: Parts, aids: Aids) -> dict[str, list[Any]]:
        state = self._state(unit, parts)
        found: list[tuple[Any, ...]] = []
        if state == "ok":
            scored = self._scored(unit, parts)
            clip = self.scores.clip
            short = aids.whole(clip, [row["concept"] for row in scored])
            best = [row for row in scored if row["concept"] in short and row["score"] is not None]
            if best:
                from .ranking import distinct

                texts = aids.text_embeddings(clip, [row["concept"] for row in best])
                best = [best[at] for at in distinct(texts, self.labels, self.distinct)]
            else:
                state = "too_long" if scored else self._why(unit, parts)
            found = [(rank, row["concept"], row["score"], row["score_name"]) for rank, row in enumerate(best)]
        found = found or [(0, None, None, None)]
        module, key = self.constant()["module"], self.scores.units[unit.start].key
        rows: dict[str, list[Any]] = {name: [] for name in self.columns}
        for each in found:
            for name, value in zip(
                self.columns, (module, unit.start, self.method, *each, state, key), strict=True
            ):
                rows[name].append(value)
        return rows

    def _scored(self, unit: Unit, parts: Parts) -> list[dict[str, Any]]:
        """List the rows of a neuron's scores, the best first."""
        return sorted(parts.rows(self.scores.units[unit.start]).to_pylist(), key=lambda row: row["position"])

    def _state(self, unit: Unit, parts: Parts) -> str:
        exemplars = self._exemplars
        rows = parts.rows(exemplars.statistics.units[unit.start // NEURONS]).to_pylist()
        return exemplars.state(unit.start, rows)

    def _why(self, unit: Unit, parts: Parts) -> str:
        """Say why a neuron has no candidate with a score."""
        rows = parts.rows(self.candidates.units[unit.start]).to_pylist()
        return silence(rows) or (self.unscored if rows else "empty")
