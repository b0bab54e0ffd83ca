"""The view of labels in words for the neurons of a text tower."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from ...store import digest
from ...store.errors import BadSource
from ...store.grid import Grid
from ...store.views import Array, Input, Param, Parts, TableView, Unit
from ..kinds import Assisted, Made
from ..neurons.activity import state_in
from ..neurons.neuron_labels import COLUMNS, Label, rows
from ..neurons.pooled import NEURONS
from ..neurons.summarised import Rows, once, silence
from ..neurons.telling import auroc
from .text_label_candidates import TextLabelCandidates

if TYPE_CHECKING:
    from ..language.concordance import Concordance
    from ..running.aids import Aids

METHOD, SCORE = "summarise_and_probe", "auroc"


@dataclass(frozen=True)
class TextNeuronLabels(Assisted, TableView):
    """What each neuron of a text tower's module stands for: the candidates that its activations bear out.

    `score` is the area under the receiver operating characteristic of the neuron's activations, with the
    texts of the set that have the label's words as the positives (`compute/language/concordance.py`); 0.5 is
    chance, and `texts` says how many have them. It is null where fewer than `least` texts have the words, or
    have not: then nothing can be told, and the label stands behind those with a score, in the order in which
    the language model gave it. Of labels that the same texts have, the first is taken.

    A neuron that is dead, constant or tied, as `text_neuron_statistics` has it, has one row with that
    `status` and no label; so has one of which the language model gave nothing usable (refused, malformed) or
    whose top texts say nothing (empty). `evidence` is the key of its unit of `text_label_candidates`.
    """

    candidates: Input[TextLabelCandidates]
    labels: Param[int] = 3
    """Labels of each neuron, at most."""
    least: Param[int] = 5
    """So many texts have a label's words, and have not, or it has no score."""
    together: ClassVar[int] = 64
    axis: ClassVar[str] = "neuron"
    columns: ClassVar[Mapping[str, str]] = {**COLUMNS, "texts": "int64", "evidence": "string"}

    def __post_init__(self) -> None:
        """Refuse numbers that mean nothing."""
        if self.labels < 1 or self.least < 1:
            raise BadSource(f"labels={self.labels}, least={self.least}: both start at 1")

    @property
    def grid(self) -> Grid:
        """One neuron a unit."""
        return self.candidates.grid

    def constant(self) -> Mapping[str, str]:
        """Name the module and the method."""
        return {**self.candidates.constant(), "method": METHOD}

    def needs(self, index: int) -> Sequence[Unit]:
        """List the neuron's candidates, the statistics of its block and all activations."""
        states = self.candidates.statistics
        return (self.candidates.units[index], states.units[index // NEURONS], *states.activations.units)

    def contents(self, start: int, stop: int) -> str:
        """Give the digest of the neuron's candidates, which that of all activations goes into."""
        return digest.of_sequence([self.candidates.units[start].key])

    @cached_property
    def _words(self) -> Concordance:
        """Where the words of the texts stand."""
        from ..language.concordance import Concordance

        return Concordance(self.candidates.top.activations.texts.texts)

    def assist(self, units: Sequence[Unit], parts: Parts, aids: Aids) -> Mapping[str, Made]:
        """Choose the labels of some neurons, whose activations are read together."""
        read = once(lambda unit: parts.rows(unit).to_pylist())
        neurons = np.array([unit.start for unit in units])
        given = parts.array(self.candidates.top.activations, "activation", (slice(None), neurons))
        return {unit.key: Made(rows=self._rows(unit, read, given[:, at])) for at, unit in enumerate(units)}

    def _rows(self, unit: Unit, read: Rows, given: Array) -> dict[str, list[Any]]:
        beneath = self.candidates.units[unit.start]
        states = read(self.candidates.statistics.units[unit.start // NEURONS]) or ()
        state, labels = state_in(states, unit.start), list[Label]()
        if state == "ok":
            said = sorted(read(beneath) or (), key=lambda row: row["sample"])
            concepts = dict.fromkeys(row["candidate"] for row in said if row["candidate"])
            labels = list(self._scored(concepts, given))
            labels.sort(key=lambda label: -1.0 if label.score is None else label.score, reverse=True)
            state = state if labels else silence(said) or "empty"
        module = self.constant()["module"]
        found = rows(module, unit.start, METHOD, SCORE, [state], {0: labels[: self.labels]}, ["texts"])
        return {**found, "evidence": [beneath.key] * len(found["label"])}

    def _scored(self, concepts: Iterable[str], given: Array) -> Iterator[Label]:
        """Score concepts by what the neuron gives for each text; of equal ones, the first."""
        there, known = ~np.isnan(given), set[bytes]()
        for concept in concepts:
            found, inside = self._words.having(concept), np.zeros(len(given), bool)
            inside[found or []] = True
            inside &= there
            if inside.any() and inside.tobytes() in known:
                continue
            known.add(inside.tobytes())
            told = found is not None and min(inside.sum(), (there & ~inside).sum()) >= self.least
            score = auroc(given[inside], given[there & ~inside]) if told else None
            yield Label(concept, score, {"texts": None if found is None else int(inside.sum())})
