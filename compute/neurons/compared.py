"""Tables that compare the labels of a method with what the neurons really are."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING

from ...store import digest
from ...store.sets import References
from ...store.views import Parts, Unit
from ..kinds import Assisted, Made
from .judged import Judged, Verdict, best
from .references import references, written

if TYPE_CHECKING:
    from ..running.aids import Aids

Pair = tuple[str, str]
"""A label, and a text that it is compared with."""
Values = Mapping[str, Mapping[Pair, float | None]]
"""How near the texts of pairs are, by metric; None where one of them cannot be read whole."""


class Compared(Assisted, Judged):
    """A table of how near labels are to what their neurons really are."""

    references: References | None

    def __post_init__(self) -> None:
        """Refuse references that are not of these neurons: `CannotJudge`."""
        _ = self._real

    @cached_property
    def _real(self) -> list[list[str]]:
        return references(self.activations, self.references)

    def contents(self, start: int, stop: int) -> str:
        """Give the digest of the labels and of their references."""
        real = (digest.of_sequence(each) for each in self._real[start:stop])
        return digest.of_sequence([self.labelled(start).key, *real])

    @abstractmethod
    def compare(self, pairs: Sequence[Pair], aids: Aids) -> Values:
        """Compare the texts of pairs, which are not empty and each there once, in order."""

    def among(self) -> Mapping[str, Sequence[str]]:
        """Name the metrics."""
        return {"metric": self.metrics()}

    @abstractmethod
    def metrics(self) -> Sequence[str]:
        """Name the metrics, of which each label gets a row."""

    def assist(self, units: Sequence[Unit], parts: Parts, aids: Aids) -> Mapping[str, Made]:
        """Compare the labels of some neurons with their references."""
        labels = {unit.key: best([self.labels.units[unit.index]], parts) for unit in units}
        pairs = {
            (label, real)
            for of in labels.values()
            for neuron, label in of.items()
            for real in self._real[neuron]
            if label is not None
        }
        values = self.compare(sorted(pairs), aids) if pairs else {name: {} for name in self.metrics()}
        return {unit.key: Made(rows=self.rows(self._verdicts(labels[unit.key], values))) for unit in units}

    def _verdicts(self, labels: Mapping[int, str | None], values: Values) -> Iterator[Verdict]:
        for neuron, label in labels.items():
            real = self._real[neuron]
            for metric in self.metrics():
                found = [values[metric][label, each] for each in real] if label is not None else []
                yield Verdict(neuron, metric, _mean(found), label, written(real), len(real))


def _mean(values: Sequence[float | None]) -> float | None:
    """Give the mean of some values; None where there are none, or where one is not known."""
    known = [each for each in values if each is not None]
    return sum(known) / len(known) if known and len(known) == len(values) else None
