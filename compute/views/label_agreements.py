"""The view of how far two methods agree about each neuron."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from ...store import digest
from ...store.errors import CannotJudge
from ...store.sets import Clip
from ...store.views import Input, Param, Parts, TableView, Unit
from ..kinds import Assisted, Made
from ..neurons.judged import Judged, Verdict, best
from ..neurons.likeness import Likeness

if TYPE_CHECKING:
    from ..running.aids import Aids


@dataclass(frozen=True)
class LabelAgreements(Assisted, Judged):
    """How near the best labels of two methods are to each other: the cosine of the two texts.

    The metric is `agreement:` and the `other` method, whose label is the reference. Texts are embedded as
    they are by the `judge_clip` model's text tower. A neuron that one of them has no label for has no value.
    """

    others: Input[TableView]
    other: Param[str]
    """The method whose labels those of `method` are compared with."""
    judge_clip: Param[Clip]
    """The name of a registered model of images and texts; `clip` is the one that labels are made with."""
    version: ClassVar[int] = 2
    picks: ClassVar[Mapping[str, str]] = {"labels": "method", "others": "other"}

    def __post_init__(self) -> None:
        """Refuse to compare a method with itself: `CannotJudge`."""
        if self.method == self.other:
            raise CannotJudge(
                self.activations.module, f"other={self.other!r} is the method itself", "name another one"
            )

    def among(self) -> Mapping[str, Sequence[str]]:
        """Name the metrics."""
        return {"metric": (f"agreement:{self.other}",)}

    def _beside(self, start: int, stop: int) -> Sequence[Unit]:
        """List the units of the other method's labels that have some neurons."""
        block = self.others.grid.block
        return self.others.units[start // block : -(-stop // block)]

    def needs(self, index: int) -> Sequence[Unit]:
        """List the units of labels, of both methods."""
        return (self.labels.units[index], *self._beside(*self.grid.span(index)))

    def contents(self, start: int, stop: int) -> str:
        """Give the digest of the neurons and of both methods' labels."""
        keys = (unit.key for unit in self._beside(start, stop))
        return digest.of_sequence([f"{start}:{stop}", self.labelled(start).key, *keys])

    def assist(self, units: Sequence[Unit], parts: Parts, aids: Aids) -> Mapping[str, Made]:
        """Compare the labels of some neurons, each text embedded once."""
        ours = {unit.key: best([self.labels.units[unit.index]], parts) for unit in units}
        beside = {each.key: each for unit in units for each in self._beside(unit.start, unit.stop)}
        theirs = best(beside.values(), parts)
        said = {label for of in (*ours.values(), theirs) for label in of.values() if label is not None}
        likeness = Likeness(said, self.judge_clip, aids)
        return {
            unit.key: Made(rows=self.rows(self._verdicts(ours[unit.key], theirs, likeness))) for unit in units
        }

    def _verdicts(
        self, ours: Mapping[int, str | None], theirs: Mapping[int, str | None], likeness: Likeness
    ) -> Iterator[Verdict]:
        for neuron, label in ours.items():
            other = theirs.get(neuron)
            there = label is not None and other is not None
            value = likeness.cosine(str(label), str(other)) if there else None
            yield Verdict(neuron, f"agreement:{self.other}", value, label, other)
