"""From a module's output to one number for each neuron of each image."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from torch import Tensor

Pool = Literal["mean", "max", "cls", "token"]
TextPool = Literal["mean", "max", "last", "token"]
Channels = Literal["auto", "first", "last"]


def layout(shape: tuple[int, ...], channels: Channels) -> tuple[int, int]:
    """Give how many neurons and how many positions a module's output of one image has.

    `shape` is "neuron", "token neuron" or "neuron y x" with y = x. Where the neurons' axis is not the last of
    two or the first of three, or a map is not square, `channels` says "first" or "last". Raises `ValueError`
    for a map of which that is not plain, and for any other number of axes.

    >>> layout((50, 768), "auto"), layout((64, 7, 7), "auto"), layout((7, 7, 96), "last")
    ((768, 50), (64, 49), (96, 49))
    """
    if len(shape) not in (1, 2, 3):
        raise ValueError(f"its output for one image has {len(shape)} axes ({' × '.join(map(str, shape))})")
    if len(shape) == 1:
        return shape[0], 1
    if channels == "auto" and len(shape) == 3 and not shape[1] == shape[2] != shape[0]:
        listed = " × ".join(map(str, shape))
        raise ValueError(f"of its output {listed} it is not plain which axis has the neurons")
    place = 0 if _is_first(shape, channels) else len(shape) - 1
    positions = 1
    for axis, length in enumerate(shape):
        positions *= length if axis != place else 1
    return shape[place], positions


def map_side(shape: tuple[int, ...], channels: Channels) -> tuple[int, int]:
    """Give height and width of the map of one neuron in a module's output of one image.

    Positions are those of "neuron y x", or where there is one axis of them a square, row by row, before
    which there may be a class token. Raises `ValueError` where they are no map of more than one position.

    >>> map_side((64, 7, 5), "first"), map_side((50, 768), "auto"), map_side((49, 768), "auto")
    ((7, 5), (7, 7), (7, 7))
    """
    count = layout(shape, channels)[1]
    if len(shape) == 3:
        height, width = shape[1:] if _is_first(shape, channels) else shape[:2]
    else:
        height = width = math.isqrt(count)
    if count == 1 or count - height * width not in (0, 1):
        what = "it gives one number a neuron" if count == 1 else f"its {count} positions are no map"
        raise ValueError(what)
    return height, width


def maps(output: Tensor, image_axis: int, channels: Channels) -> Tensor:
    """Give the maps of all neurons, in float32, without a class token: "image neuron y x"."""
    moved = output.movedim(image_axis, 0).float()
    shape = tuple(moved.shape[1:])
    height, width = map_side(shape, channels)
    if not _is_first(shape, channels):
        moved = moved.movedim(-1, 1)
    return moved.flatten(2)[:, :, -height * width :].reshape(*moved.shape[:2], height, width)


def _is_first(shape: tuple[int, ...], channels: Channels) -> bool:
    return channels == "first" or (channels == "auto" and len(shape) == 3)


def pool_texts(output: Tensor, text_axis: int, lengths: Tensor, how: TextPool, token: int) -> Tensor:
    """Pool the output of a batch of texts over each text's own tokens, in float32: "text neuron".

    Args:
        output: A module's output, "text token neuron" or "text neuron", with the texts along `text_axis`.
        text_axis: Where the texts are.
        lengths: How many tokens each text has of its own, "text"; what follows is padding.
        how: "mean" and "max" over these; "last" takes the last of them, the end of the text, "token" the
            position that is given, padding or not.
        token: A position.
    """
    moved = output.movedim(text_axis, 0).float()
    if moved.ndim == 2:
        return moved
    if how == "token":
        return moved[:, token]
    last = (lengths - 1).clamp(min=0)
    if how == "last":
        return moved[last.new_tensor(range(len(moved))), last]
    own = last.new_tensor(range(moved.shape[1]))[None, :, None] <= last[:, None, None]
    if how == "max":
        return moved.where(own, -math.inf).amax(dim=1)
    return moved.where(own, 0).sum(dim=1) / own.sum(dim=1)


def pool(output: Tensor, image_axis: int, how: Pool, token: int, channels: Channels) -> Tensor:
    """Pool the output of a batch over positions, in float32: "image neuron".

    Args:
        output: A module's output, with the images along `image_axis`.
        image_axis: Where the images are.
        how: "mean" and "max" over all positions, the class token where there is one included; "cls" takes
            the first position, "token" the one that is given.
        token: A position, counted row by row where positions have two axes.
        channels: Where the neurons are; see `layout`.
    """
    moved = output.movedim(image_axis, 0).float()
    if moved.ndim == 2:
        return moved
    if _is_first(tuple(moved.shape[1:]), channels):
        moved = moved.flatten(2).transpose(1, 2)
    else:
        moved = moved.flatten(1, -2)  # "image token neuron", from either
    if how == "mean":
        return moved.mean(dim=1)
    return moved.amax(dim=1) if how == "max" else moved[:, 0 if how == "cls" else token]
