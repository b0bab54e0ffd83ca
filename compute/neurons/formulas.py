"""INVERT: the formula over classes that tells best for which images a neuron is active.

Bykov, Kopf, Nakajima, Kloft and Höhne, "Labeling Neural Representations with Inverse Recognition" (NeurIPS
2023). A formula of classes, such as "star AND NOT night", holds for some images and not for others; its score
is the AUROC with which the neuron's activations tell the two apart: the chance that an image for which it
holds has the larger one, ties counted half. Formulas grow by beam search: the best atoms (a class, or the
negation of one), then all ways to join an atom to one of the best by AND or OR, and so on.

With r the ranks of the activations (equal ones share the mean of theirs) and a formula that holds for n of N
images, AUROC = (sum of their r - n (n + 1) / 2) / (n (N - n)). Every image is in at most one class of a
kind, so that the sums over "f AND c" for all classes c are one count of f's images by class, and those of OR
and NOT follow. Sums of ranks are exact in float64, so that equal formulas have equal scores.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating[Any]]
Doubles = NDArray[np.float64]
Places = NDArray[np.int64]
Mask = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Classes:
    """The classes that images are in: one of each kind, such as what they show and where."""

    names: tuple[str, ...]
    """The classes, no name twice."""
    codes: Places
    """The number of the class that each image is in, "kind image"; kinds share no class."""

    def sums(self, weights: Doubles) -> Doubles:
        """Add up a number of each image by class: "class"."""
        found = np.zeros(len(self.names))
        for kind in self.codes:
            found += np.bincount(kind, weights, len(self.names))
        return found

    def mask(self, number: int) -> Mask:
        """Tell which images are in a class."""
        found: Mask = (self.codes == number).any(axis=0)
        return found


def classes_of(kinds: Sequence[tuple[str, Sequence[str | None]]]) -> tuple[Classes, Places]:
    """Make classes of the words that images have, and list the images that have them all.

    `kinds` has the name of each kind and a word or None for each image. A kind in which fewer than two words
    occur tells nothing apart and is left out. A word of two kinds is called by both: "water (group)".
    """
    told = [(name, words) for name, words in kinds if len(set(words) - {None}) > 1]
    if not told:
        return Classes((), np.empty((0, 0), np.int64)), np.empty(0, np.int64)
    rows = zip(*(words for _, words in told), strict=True)
    there = [image for image, words in enumerate(rows) if None not in words]
    names: list[str] = []
    codes = []
    for name, words in told:
        mine = sorted({str(words[image]) for image in there})
        others = {word for other, theirs in told if other != name for word in theirs}
        place = {word: len(names) + number for number, word in enumerate(mine)}
        codes.append([place[str(words[image])] for image in there])
        names += [f"{word} ({name})" if word in others else word for word in mine]
    return Classes(tuple(names), np.array(codes, np.int64)), np.array(there, np.int64)


@dataclass(frozen=True, slots=True)
class Formula:
    """A formula, and how well a neuron tells for which images it holds."""

    joint: str
    """AND or OR between its parts; nothing where it is a single atom."""
    parts: tuple[str, ...]
    """Its parts, in the order of the alphabet, negations last."""
    length: int
    """Atoms in it."""
    negations: int
    """How many of these are the negation of a class."""
    auroc: float
    """Chance that an image for which it holds has a larger activation than one for which it does not."""

    @property
    def text(self) -> str:
        """Write it down."""
        return f" {self.joint} ".join(self.parts)

    def joined(self, joint: str, atom: str) -> tuple[str, tuple[str, ...]]:
        """Join an atom to it: the sign between the parts, and the parts."""
        mine = self.parts if self.joint in ("", joint) else (f"({self.text})",)
        return joint, tuple(sorted((*mine, atom), key=lambda part: (part.startswith("NOT "), part)))

    @property
    def order(self) -> tuple[int, int, str]:
        """Say where it stands among formulas with its score."""
        return self.length, self.negations, self.text


class Held(NamedTuple):
    """A formula, and for which images it holds."""

    formula: Formula
    """The formula."""
    mask: Mask
    """Whether it holds for each image."""


@dataclass(frozen=True, slots=True)
class _Candidates:
    """Formulas that are known by their scores only; all but `before` has an entry for each."""

    before: Held | None
    """What an atom is joined to."""
    joint: str
    """By what."""
    negated: bool
    """Whether the atom is the negation of a class; entry c is of class c."""
    sums: Doubles
    """Sum of the ranks of the images for which it holds."""
    counts: Doubles
    """Number of these images."""


def search(
    values: Floats, classes: Classes, *, length: int, beam: int, least: int, most: float
) -> list[Held]:
    """Find the formulas that a neuron's activations tell best, the best first.

    Of equal ones the shorter comes first, then the one with fewer negations, then the first in the
    alphabet; of formulas that hold for the same
    images only the first is kept.

    Args:
        values: What the neuron gives for each image.
        classes: The classes of these images.
        length: Atoms of the longest formula.
        beam: Formulas that are kept at each length.
        least: A formula holds for at least so many images; of a few anything is told well by chance.
        most: It holds for at most this share of the images.
    """
    ranks = _ranks(values)
    sums, counts = classes.sums(ranks), classes.sums(np.ones(len(ranks)))
    total, images = float(ranks.sum()), len(ranks)
    kept: list[Held] = []
    for size in range(1, length + 1):
        found = [
            _Candidates(None, "", False, sums, counts),
            _Candidates(None, "", True, total - sums, images - counts),
        ]
        if size > 1:
            found = [each for one in kept for each in _extended(one, classes, ranks, sums, counts)]
        if not found:
            break
        kept = list(_best(kept, found, classes, images, beam, least, most))
    return kept


def _extended(
    one: Held, classes: Classes, ranks: Doubles, sums: Doubles, counts: Doubles
) -> Iterator[_Candidates]:
    """Join every atom to a formula in both ways, by their scores alone.

    What holds for the same images as one of the two is left out: it is set to hold for none.
    """
    holds = one.mask.astype(np.float64)
    both, common = classes.sums(holds * ranks), classes.sums(holds)
    mine, count = float(ranks[one.mask].sum()), float(holds.sum())
    total, images = float(ranks.sum()), len(ranks)
    for joint, negated, joined, held in (
        ("AND", False, both, common),
        ("AND", True, mine - both, count - common),
        ("OR", False, mine + sums - both, count + counts - common),
        ("OR", True, total - sums + both, images - counts + common),
    ):
        atoms = images - counts if negated else counts
        yield _Candidates(one, joint, negated, joined, np.where((held == count) | (held == atoms), 0, held))


def _best(
    kept: Sequence[Held],
    found: Sequence[_Candidates],
    classes: Classes,
    images: int,
    beam: int,
    least: int,
    most: float,
) -> Iterator[Held]:
    """Choose among formulas that were kept and new ones; only what comes near is written down."""
    scores = np.concatenate([_scores(each, images, least, most) for each in found])
    order = np.argsort(-scores, kind="stable")
    new = ((float(scores[at]), int(at)) for at in order if scores[at] >= 0)
    ranked = groupby(_merged([(-each.formula.auroc, each) for each in kept], new), lambda each: each[0])
    seen: set[bytes] = set()
    for score, group in ranked:
        same = [_written(at, found, classes, -score) for _, at in group]
        for formula, mask in sorted(same, key=lambda each: each[0].order):
            one = Held(formula, mask())
            if (holds := np.packbits(one.mask).tobytes()) not in seen:
                seen.add(holds)
                yield one
            if len(seen) == beam:
                return


def _merged(
    kept: Sequence[tuple[float, Held]], new: Iterator[tuple[float, int]]
) -> Iterator[tuple[float, Held | int]]:
    """Go through formulas and numbers of candidates in falling order of their scores."""
    waiting = list(kept)
    for score, at in new:
        while waiting and waiting[0][0] <= -score:
            yield waiting.pop(0)
        yield -score, at
    yield from waiting


def _scores(each: _Candidates, images: int, least: int, most: float) -> Doubles:
    """AUROC of every candidate; -1 where it holds for too few or too many images."""
    count = each.counts
    allowed = (count > 0) & (count < images) & (count >= least) & (count <= most * images)
    safe = np.where(allowed, count, 1)
    found = (each.sums - safe * (safe + 1) / 2) / (safe * np.maximum(images - safe, 1))
    scores: Doubles = np.where(allowed, found, -1.0)
    return scores


def _written(
    at: Held | int, found: Sequence[_Candidates], classes: Classes, auroc: float
) -> tuple[Formula, Callable[[], Mask]]:
    """Write a candidate down, with what tells for which images it holds: few are asked."""
    if isinstance(at, Held):
        return at.formula, lambda: at.mask
    place, number = divmod(at, len(classes.names))
    each = found[place]
    atom = f"{'NOT ' * each.negated}{classes.names[number]}"

    def mask() -> Mask:
        mine: Mask = classes.mask(number) ^ each.negated
        if each.before is None:
            return mine
        return each.before.mask & mine if each.joint == "AND" else each.before.mask | mine

    if each.before is None:
        return Formula("", (atom,), 1, int(each.negated), auroc), mask
    before = each.before.formula
    joint, parts = before.joined(each.joint, atom)
    return Formula(joint, parts, before.length + 1, before.negations + each.negated, auroc), mask


def _ranks(values: Floats) -> Doubles:
    """Rank from 1, equal values by the mean of their ranks."""
    _, place, counts = np.unique(values, return_inverse=True, return_counts=True)
    found: Doubles = (np.cumsum(counts) - (counts - 1) / 2)[place]
    return found
