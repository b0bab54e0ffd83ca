"""The view of what the activations of a text tower's neurons are like, and whether they can be labelled."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from ...store.views import Input, Param
from ..neurons.activity import NUMBERS, Activity
from .text_neuron_activations import TextNeuronActivations


@dataclass(frozen=True)
class TextNeuronStatistics(Activity):
    """What each neuron of a text tower's module gives for the texts, and whether a label would say anything.

    The columns are those of `neuron_statistics`, over texts in place of images; texts that are longer than
    the model reads are left out, and `texts` counts the others.
    """

    activations: Input[TextNeuronActivations]
    top_k: Param[int] = 10
    """Texts at the top of a neuron for which ties are counted."""
    columns: ClassVar[Mapping[str, str]] = {
        "module": "string",
        "neuron": "int32",
        "texts": "int64",
        **NUMBERS,
    }
