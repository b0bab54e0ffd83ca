"""The views of neurons keep what every view promises."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from belvedere.testing import ViewContract


class _Contract(ViewContract):
    """Of the last layer's output, 128 neurons of 64 positions and a class token."""

    parameters: ClassVar[Mapping[str, Any]] = {"module": "visual.transformer.resblocks.3.mlp.c_proj"}


class TestNeuronStatistics(_Contract):
    view = "neuron_statistics"


class TestClipDissectLabels(_Contract):
    view = "clip_dissect_labels"


class TestActivationMaps(_Contract):
    view = "activation_maps"


class TestConceptMasks(ViewContract):
    view = "concept_masks"


class TestNetworkDissectionLabels(_Contract):
    view = "network_dissection_labels"
