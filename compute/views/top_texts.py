"""The view of the texts that activate each neuron most."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from ...store import digest
from ...store.views import Input, Parts, Read, Unit
from ..kinds import BLOCK
from ..neurons.topmost import KEPT, Topmost
from ..topk import TopK
from .text_neuron_activations import TextNeuronActivations

AT_ONCE = 16
"""Units of activations that are read at once."""


@dataclass(frozen=True)
class TopTexts(Topmost):
    """The texts that activate each neuron of a text tower's module most, from rank 0 down.

    Of texts that activate it equally the first comes before. Texts that are longer than the model reads are
    left out. A neuron that gives the same for all texts has the first ones: look at the activations.
    """

    activations: Input[TextNeuronActivations]
    k: Read[int] = 20
    """Texts of each neuron, at most 100."""
    columns: ClassVar[Mapping[str, str]] = {
        "module": "string",
        "neuron": "int32",
        "rank": "int32",
        "text_id": "int64",
        "activation": "float32",
    }

    def needs(self, index: int) -> Sequence[Unit]:
        """List the activations of all texts."""
        return self.activations.units

    def contents(self, start: int, stop: int) -> str:
        """Give the digest of the neurons and of all activations."""
        return digest.of_sequence([f"{start}:{stop}", *(unit.key for unit in self.activations.units)])

    def best(self, parts: Parts, neurons: slice) -> TopK:
        """Read some blocks of texts at a time."""
        best, count = TopK(neurons.stop - neurons.start, KEPT), self.activations.shape[0]
        for start in range(0, count, AT_ONCE * BLOCK):
            some = slice(start, min(start + AT_ONCE * BLOCK, count))
            best.add(
                parts.array(self.activations, "activation", (some, neurons)), np.arange(some.start, some.stop)
            )
        return best
