"""What neurons really are: the texts with which their labels are compared."""

from __future__ import annotations

from collections.abc import Sequence

from ...store.errors import CannotJudge
from ...store.sets import References
from ..views.neuron_activations import NeuronActivations


def references(neurons: NeuronActivations, given: References | None) -> list[list[str]]:
    """Give the references of each neuron of a layer; none for a neuron that nothing is said of.

    A set of texts has the number of its neuron as the category of each, or no categories and a text for each
    neuron in order. Without one, the neurons are those of a last layer: one for each class of the images, by
    the classes' names in the alphabet's order.

    Raises `CannotJudge` where the texts, or the classes, are not of these neurons.
    """
    width = neurons.shape[1]
    if given is None:
        classes = sorted({each for each in neurons.images.entries["label"].to_pylist() if each})
        if len(classes) != width:
            lacking = f"{neurons.images.name!r} has {len(classes)} classes for its {width} neurons"
            raise CannotJudge(
                neurons.module,
                lacking,
                "references=… names a set of texts, one for each neuron or with its number as category",
            )
        return [[each] for each in classes]
    if any(each is not None for each in given.categories):
        return _by_number(neurons, given, width)
    if len(given) != width:
        lacking = f"{given.name!r} has {len(given)} texts for its {width} neurons"
        raise CannotJudge(neurons.module, lacking, "give each text the number of its neuron as category")
    return [[each] for each in given.texts]


def _by_number(neurons: NeuronActivations, given: References, width: int) -> list[list[str]]:
    found: list[list[str]] = [[] for _ in range(width)]
    for text, category in zip(given.texts, given.categories, strict=True):
        number = int(category) if category is not None and category.isdecimal() else width
        if number >= width:
            lacking = f"the text {text!r} of {given.name!r} is of {category!r}, which is none of its neurons"
            raise CannotJudge(neurons.module, lacking, f"these are 0 to {width - 1}")
        found[number].append(text)
    return found


def written(texts: Sequence[str]) -> str | None:
    """Write the references of a neuron into one field; None for none."""
    return "; ".join(texts) or None
