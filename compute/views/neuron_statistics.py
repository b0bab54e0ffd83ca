"""The view of what each neuron's activations are like, and whether it can be labelled."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from ...store.views import Input, Param
from ..neurons.activity import NUMBERS, Activity
from .neuron_activations import NeuronActivations


@dataclass(frozen=True)
class NeuronStatistics(Activity):
    """What the activations of each neuron are like, and whether a label of it would say anything.

    `status` is dead (zero for all images), constant (the same for all), tied (fewer than half of the `top_k`
    largest activations stand above the others: which images come next is arbitrary) or ok
    (`compute/neurons/neuron_state.py`). `nonzero` is a share of the images, `ties` how many images have the
    `top_k`-th largest activation, `images` how many could be read; without one the numbers are null.
    """

    activations: Input[NeuronActivations]
    top_k: Param[int] = 10
    """Images at the top of a neuron for which ties are counted."""
    columns: ClassVar[Mapping[str, str]] = {
        "module": "string",
        "neuron": "int32",
        "images": "int64",
        **NUMBERS,
    }
