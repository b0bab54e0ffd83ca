"""INVERT's search against one that tries every formula, on activations with ties."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from belvedere.compute.neurons.formulas import Classes, Held, classes_of, search

IMAGES = 60
SHAPES, GROUNDS = ("star", "ring", "heart"), ("night", "snow")


def draw(seed: int) -> tuple[Classes, NDArray[np.float32]]:
    """Classes of 60 images, and activations of which many are equal."""
    dice = np.random.default_rng(seed)
    shapes = [str(dice.choice(SHAPES)) for _ in range(IMAGES)]
    grounds = [str(dice.choice(GROUNDS)) for _ in range(IMAGES)]
    values = dice.normal(size=IMAGES) + [shape == "star" for shape in shapes]
    return classes_of([("label", shapes), ("group", grounds)])[0], values.round(1).astype(np.float32)


def auroc(values: NDArray[Any], mask: NDArray[np.bool_]) -> float:
    """Compare all pairs."""
    pairs = [(high > low) + (high == low) / 2 for high in values[mask] for low in values[~mask]]
    return float(np.mean(pairs))


def literal(
    values: NDArray[Any], classes: Classes, length: int, beam: int, most: float
) -> list[tuple[str, float]]:
    """Beam search as it is told: write every formula down, find its images, score it over all pairs."""
    atoms = {name: classes.mask(number) for number, name in enumerate(classes.names)}
    atoms |= {f"NOT {name}": ~mask for name, mask in atoms.items()}
    kept = best({("", (atom,)): mask for atom, mask in atoms.items()}, values, beam, most)
    for _ in range(1, length):
        found = dict(kept)
        for (joint, parts), mask in kept.items():
            for sign, (atom, theirs) in product(("AND", "OR"), atoms.items()):
                mine = parts if joint in ("", sign) else (f"({f' {joint} '.join(parts)})",)
                both = mask & theirs if sign == "AND" else mask | theirs
                found.setdefault((sign, sorted_parts(*mine, atom)), both)
        kept = best(found, values, beam, most)
    return [(f" {joint} ".join(parts), auroc(values, mask)) for (joint, parts), mask in kept.items()]


def sorted_parts(*parts: str) -> tuple[str, ...]:
    return tuple(sorted(parts, key=lambda part: (part.startswith("NOT "), part)))


def best(
    found: dict[tuple[str, tuple[str, ...]], NDArray[np.bool_]], values: NDArray[Any], beam: int, most: float
) -> dict[tuple[str, tuple[str, ...]], NDArray[np.bool_]]:
    """Keep the best that hold for other images than those before them."""
    allowed = {name: mask for name, mask in found.items() if 0 < mask.sum() <= most * IMAGES}

    def order(item: Any) -> Any:
        (joint, parts), mask = item
        text = f" {joint} ".join(parts)
        return (
            -round(auroc(values, mask), 12),
            text.count(" AND ") + text.count(" OR "),
            text.count("NOT "),
            text,
        )

    kept: dict[tuple[str, tuple[str, ...]], NDArray[np.bool_]] = {}
    for name, mask in sorted(allowed.items(), key=order):
        if len(kept) < beam and not any((mask == other).all() for other in kept.values()):
            kept[name] = mask
    return kept


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize(("length", "beam"), [(1, 3), (2, 1), (3, 4)])
def test_the_search_is_the_one_that_is_told(seed: int, length: int, beam: int) -> None:
    classes, values = draw(seed)
    found = search(values, classes, length=length, beam=beam, least=0, most=0.5)
    expected = literal(values, classes, length, beam, 0.5)
    assert [each.formula.text for each in found] == [text for text, _ in expected]
    np.testing.assert_allclose(
        [each.formula.auroc for each in found], [score for _, score in expected], rtol=1e-12
    )
    for each in found:
        assert auroc(values, each.mask) == pytest.approx(each.formula.auroc)


def holds(mask: NDArray[np.bool_], **knobs: Any) -> list[str]:
    """Label a neuron that is 1 for some images and 0 for others."""
    classes, _ = draw(0)
    settings = {"length": 3, "beam": 5, "least": 0, "most": 1.0, **knobs}
    return [each.formula.text for each in search(mask.astype(np.float32), classes, **settings)]


def test_a_neuron_that_is_a_formula_is_called_by_it() -> None:
    classes, _ = draw(0)
    of = {name: classes.mask(number) for number, name in enumerate(classes.names)}
    assert holds(of["star"])[0] == "star"
    assert holds(of["star"] & of["night"])[0] == "night AND star"
    assert holds(of["star"] | of["ring"])[0] == "NOT heart"
    assert holds(of["star"] | of["ring"], most=0.6)[0] != "NOT heart"
    assert holds(of["star"] | of["ring"], most=0.9, length=1)[0] == "NOT heart"
    assert holds((of["star"] | of["heart"]) & of["snow"])[0] == "snow AND NOT ring"
    assert holds((of["star"] & of["snow"]) | of["ring"], beam=20)[0] == "(snow AND star) OR ring"


def test_of_equal_formulas_the_shorter_and_then_the_first_in_the_alphabet_is_kept() -> None:
    classes, _ = draw(0)
    found: list[Held] = search(classes.mask(2).astype(float), classes, length=3, beam=50, least=0, most=1.0)
    texts = [each.formula.text for each in found]
    assert texts[0] == classes.names[2]
    assert len({each.mask.tobytes() for each in found}) == len(found)


def test_formulas_for_too_few_or_too_many_images_are_left_out() -> None:
    classes, values = draw(3)
    for least, most in ((1, 0.2), (18, 0.5), (1, 1.0)):
        found = search(values, classes, length=3, beam=10, least=least, most=most)
        counts = [int(each.mask.sum()) for each in found]
        assert all(least <= count <= most * IMAGES and 0 < count < IMAGES for count in counts)


def test_images_without_a_class_are_left_out_and_a_word_of_two_kinds_is_told_apart() -> None:
    labels = ["water", "ring", None, "ring", "water"]
    groups = ["water", "night", "night", None, "night"]
    classes, there = classes_of([("label", labels), ("group", groups)])
    assert there.tolist() == [0, 1, 4]
    assert classes.names == ("ring", "water (label)", "night", "water (group)")
    assert classes.codes.tolist() == [[1, 0, 1], [3, 2, 2]]


def test_a_kind_with_one_class_tells_nothing_apart() -> None:
    classes, there = classes_of([("label", ["a", "a", None]), ("group", ["x", "y", "x"])])
    assert (classes.names, there.tolist()) == (("x", "y"), [0, 1, 2])
    assert classes_of([("label", ["a", None])])[0].names == ()
