"""What a zero-shot classifier still names rightly with some components of each embedding ablated.

An image's logits are the inner products of its unit-norm embedding e with the classes W, and e is a sum of
components (`compute/heads/conventions.py`). To mean-ablate a set S of them is to put the mean over the
images in the place of each (Gandelsman, Efros and Steinhardt, "Interpreting CLIP's Image Representation via
Text-Based Decomposition", ICLR 2024, section 3.2):

    logits = W e − Σ_S W (c_S − mean c_S)

No component is ever written out in the joint space: with c = M~ x for the few coordinates x that are kept of
it, W c = (W M~) x, and W M~ is made once. What the components add to the logits is made once for each, and
any number of sets are sums of it: one product with the matrix that says which set has which component.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from threading import Lock
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

Floats = NDArray[np.floating[Any]]
Ints = NDArray[np.integer[Any]]
Bools = NDArray[np.bool_]
Mode = Literal["mean", "zero", "class_mean"]

AT_ONCE = 512
"""Images that are read at a time, while as many are worked on."""
HELD = 2**25
"""Numbers that are held of all images; of more, what the means were taken of is read a second time."""
_LIMITED = Lock()
"""Held while each of our threads multiplies by itself: what BLAS takes is a matter of the process."""
ROOM = 2**22
"""Numbers of what the components add to the logits that are held at a time by each thread."""


@dataclass(frozen=True, slots=True)
class Block:
    """Some images: their embeddings and what is kept of each component."""

    embeddings: Floats
    """Unit-norm embeddings, "image joint"; a row of NaN is an image that could not be read."""
    coordinates: Sequence[Floats]
    """Of each component, "image coordinate"."""

    def only(self, rows: Bools) -> Block:
        """Keep some of the images."""
        if rows.all():
            return self
        return Block(self.embeddings[rows], [each[rows] for each in self.coordinates])


@dataclass(frozen=True, slots=True)
class Components:
    """The components that can be ablated, of a set of images."""

    images: int
    """How many images there are."""
    read: Callable[[slice], Block]
    """Reads some of them."""
    maps: Sequence[Floats]
    """What turns the coordinates of each component into what it adds to the logits, "coordinate class"."""
    classes: Floats
    """The unit-norm embeddings of the classes, "class joint"."""

    def held(self) -> Components:
        """Read all images once, where they have room in memory."""
        if self.images * (self.classes.shape[1] + sum(map(len, self.maps))) > HELD:
            return self
        blocks = {images.start: block for images, block in self.blocks()}
        return replace(self, read=lambda images: blocks[images.start])

    def blocks(self) -> Iterator[tuple[slice, Block]]:
        """Read all images, some at a time, the next ones while the caller is busy with these."""
        parts = [slice(start, min(start + AT_ONCE, self.images)) for start in range(0, self.images, AT_ONCE)]
        with ThreadPoolExecutor(1, "read") as ahead:
            coming = [ahead.submit(self.read, images) for images in parts[:1]]
            for images, after in zip(parts, [*parts[1:], None], strict=True):
                block = coming.pop().result()
                if after is not None:
                    coming.append(ahead.submit(self.read, after))
                yield images, block


def predictions(components: Components, sets: Bools, truth: Ints, mode: Mode) -> tuple[Ints, Bools]:
    """Name the class of each image with each set of components ablated.

    Args:
        components: The components and the images.
        sets: Which set has which component, "set component".
        truth: The class of each image, "image".
        mode: What stands in the place of a component: its mean over the images, nothing, or its mean over
            the images of the same class.

    Returns:
        The class with the largest logit, the first of equal ones, "set image"; and which images could be
        read, "image": the others have no class, −1.
    """
    found = np.full((len(sets), components.images), -1, np.int32)
    components = components.held()
    groups = truth if mode == "class_mean" else np.zeros_like(truth)
    means = None if mode == "zero" else _means(components, groups)
    with _LIMITED, threadpool_limits(1, "blas"), ThreadPoolExecutor(os.cpu_count()) as pool:
        for images, block in components.blocks():
            there = _readable(block)
            places, block = images.start + np.flatnonzero(there), block.only(there)
            named = pool.map(
                lambda some, block=block, places=places: logits(
                    block, components, sets, means, groups[places], some
                ).argmax(axis=2),
                _parts(len(places), components),
            )
            if len(places):
                found[:, places] = np.concatenate(list(named), axis=1)
    return found, found[0] >= 0 if len(sets) else np.zeros(components.images, bool)


def logits(
    block: Block,
    components: Components,
    sets: Bools,
    means: Sequence[Floats] | None,
    groups: Ints,
    some: slice,
) -> Floats:
    """Give the logits of some images of a block, "set image class", in the precision of what is given.

    `means` are those of each component's coordinates, "group coordinate", `groups` the row of each image of
    the block among them; without means the components are taken away.
    """
    base = block.embeddings[some] @ components.classes.T
    added = np.empty((len(components.maps), *base.shape), base.dtype)
    for number, (coordinates, to_logits) in enumerate(zip(block.coordinates, components.maps, strict=True)):
        away = coordinates[some]
        if means is not None:
            away = away - means[number][groups[some]]
        np.matmul(away, to_logits, out=added[number])
    taken = sets.astype(base.dtype) @ added.reshape(len(added), base.size)
    left: Floats = np.subtract(base, taken.reshape(len(sets), *base.shape))
    return left


def _means(components: Components, groups: Ints) -> list[Floats]:
    """Average the coordinates of each component over the readable images of each group, in float64."""
    count = np.zeros(int(groups.max(initial=0)) + 1)
    totals = [np.zeros((len(count), len(each))) for each in components.maps]
    for images, block in components.blocks():
        there = _readable(block)
        block, rows = block.only(there), groups[images][there]
        member = np.zeros((len(count), len(rows)))
        member[rows, np.arange(len(rows))] = 1
        count += member.sum(axis=1)
        for total, each in zip(totals, block.coordinates, strict=True):
            total += member @ each
    kind = components.maps[0].dtype if components.maps else np.dtype("float32")
    return [(total / np.maximum(count, 1)[:, None]).astype(kind) for total in totals]


def _parts(images: int, components: Components) -> list[slice]:
    """Cut the images of a block so that what is held of each part has room."""
    each = max(1, len(components.maps)) * len(components.classes)
    step = max(1, ROOM // each)
    return [slice(start, start + step) for start in range(0, images, step)]


def _readable(block: Block) -> Bools:
    unread: Bools = np.logical_or.reduce(np.isnan(block.embeddings), axis=1)
    return ~unread


def random_sets(heads: int, size: int, draws: int, seed: int) -> Bools:
    """Draw sets of as many heads, without heads twice, "draw head"; draw k is the same for any `draws`."""
    found = np.zeros((draws, heads), bool)
    for draw in range(draws):
        found[draw, np.random.default_rng([seed, draw]).permutation(heads)[:size]] = True
    return found
