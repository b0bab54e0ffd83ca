"""The view of the images that activate each neuron most."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

from ...store import digest
from ...store.views import Input, Parts, Read, Unit
from ..neurons.topmost import Topmost
from ..topk import TopK
from .neuron_activations import NeuronActivations
from .top_activations import TopActivations


@dataclass(frozen=True)
class TopImages(Topmost):
    """The images that activate each neuron of a module most, from rank 0 down; of equal ones the first.

    Exact, and merged from the `top_activations` of each block of images. Images that could not be read are
    left out. A neuron that gives the same for all images has the first images here: look at the activations.
    """

    activations: Input[NeuronActivations]
    k: Read[int] = 20
    """Images of each neuron, at most 100."""
    columns: ClassVar[Mapping[str, str]] = {
        "module": "string",
        "neuron": "int32",
        "rank": "int32",
        "image_id": "int64",
        "activation": "float32",
    }

    @cached_property
    def blocks(self) -> TopActivations:
        """What it is merged from."""
        return TopActivations(self.activations)

    def needs(self, index: int) -> Sequence[Unit]:
        """List the largest activations of each block of images."""
        return self.blocks.units

    def contents(self, start: int, stop: int) -> str:
        """Give the digest of the neurons and of all activations, from which what is merged follows."""
        keys = (unit.key for unit in self.activations.units)
        return digest.of_sequence([f"{start}:{stop}", f"merged from version {TopActivations.version}", *keys])

    def best(self, parts: Parts, neurons: slice) -> TopK:
        """Merge what is largest in each block of images."""
        return self.blocks.merged(parts, neurons)
