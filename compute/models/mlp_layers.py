"""The MLPs of a vision tower that is taken apart: by layer, with their neurons, as modules are named."""

from __future__ import annotations

from ...store.errors import NoLaterHead
from ...store.sets import Model
from ..kinds import refuse_unless_plain


def module(model: Model, layer: int) -> str:
    """Name the module that gives the neurons of a layer's MLP, in a whole model or a vision tower alone."""
    name = f"transformer.resblocks.{layer}.mlp.gelu"
    return name if name in model.modules else f"visual.{name}"


def width(model: Model, layer: int) -> int:
    """Give how many neurons the MLP of a layer has."""
    return model.module(module(model, layer)).shape[-1]


def checked(model: Model, layer: int) -> int:
    """Give a layer counted from 0; `NoLaterHead` for one that is none, or that no head stands after.

    Raises `UnsupportedTower` for a tower in which what later heads read of neurons is not known.
    """
    refuse_unless_plain(model, "second-order effects of neurons")
    layers = model.shape.layers
    if not -layers <= layer < layers:
        raise NoLaterHead(f"layer={layer}: {model.name!r} has {layers} layers, 0 to {layers - 1}")
    if layer % layers == layers - 1:
        raise NoLaterHead(
            f"layer={layer}: no head stands after the last MLP of {model.name!r}, so its neurons have no "
            f"second-order effects; there are layers 0 to {layers - 2}"
        )
    return layer % layers
