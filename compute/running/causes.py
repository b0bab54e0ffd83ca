"""What models give for pictures that are in no set of images, by what it follows from."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ...store.sets import Model
from ..views.neuron_activations import NeuronActivations

VERSION = 1
"""Raised when what is kept of equal pictures would change, with the versions of all views made from it."""


def layer_cause(view: NeuronActivations, pixels: Iterable[str]) -> dict[str, Any]:
    """Give what a layer's activations of some pictures follow from."""
    pool = {"pool": view.pool, "token": view.token, "channels": view.channels}
    model = {"model": view.model.identity("image"), "module": view.module}
    version = {"version": [VERSION, view.version]}
    return {**version, **model, **pool, "pixels": list(pixels)}


def embedding_cause(clip: Model, pixels: Iterable[str]) -> dict[str, Any]:
    """Give what the embeddings of some pictures follow from."""
    return {"version": VERSION, "model": clip.identity("image"), "pixels": list(pixels)}
