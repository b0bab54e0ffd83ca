"""Honest views that need no model and count their calls: letters, sums of them, rows of numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
import pyarrow as pa

from belvedere.compute.kinds import Derived, Made
from belvedere.query.engine import Engine
from belvedere.store import digest, marker
from belvedere.store.grid import Grid
from belvedere.store.registry import TEXT_ENTRIES
from belvedere.store.sets import TextSet
from belvedere.store.views import Array, ArrayView, Axis, Input, Member, Param, Parts, TableView, Unit


def text_set(texts: Sequence[str], name: str = "words") -> TextSet:
    """Make a text set that is not registered anywhere."""
    rows = [{"text_id": i, "text": text, "category": None} for i, text in enumerate(texts)]
    return TextSet(name, "a list", pa.Table.from_pylist(rows, schema=TEXT_ENTRIES))


def small_engine(path: Path) -> Engine:
    """Open an empty store in which the views below can be filled."""
    marker.check(path, "a")
    return Engine(path, "a")


class _Letters(Derived, ArrayView):
    texts: TextSet
    block: int
    axis: ClassVar[str] = "text"
    width: ClassVar[int] = 3

    @property
    def grid(self) -> Grid:
        return Grid(len(self.texts), self.block)

    def contents(self, start: int, stop: int) -> str:
        return self.texts.contents(start, stop)

    @property
    def dims(self) -> tuple[str, ...]:
        return ("text", "letter")

    @property
    def shape(self) -> tuple[int, ...]:
        return (len(self.texts), self.width)

    def members(self) -> tuple[Member, ...]:
        return (Member("letters", self.dims, self.shape, "float32", (2, self.width)),)

    def show(self, parts: Parts, selection: tuple[Axis, ...]) -> Array:
        return parts.array(self, "letters", selection)


@dataclass(frozen=True)
class Letters(_Letters):
    """How often a, b and c occur in each text; or the same number everywhere."""

    texts: Input[TextSet]
    block: Param[int] = 4
    value: Param[Literal["count", "zero", "nan"]] = "count"
    broken: ClassVar[set[int]] = set()
    calls: ClassVar[list[int]] = []

    def derive(self, unit: Unit, parts: Parts) -> Made:
        self.calls.append(unit.index)
        if unit.index in self.broken:
            raise ArithmeticError(f"block {unit.index} cannot be counted")
        texts = self.texts.texts[unit.start : unit.stop]
        found = np.array([[text.count(letter) for letter in "abc"] for text in texts], np.float32)
        made = {"count": found, "zero": found * 0, "nan": found * np.nan}[self.value]
        return Made(arrays={"letters": made}, facts={"texts": len(texts)})


@dataclass(frozen=True)
class LetterSums(Derived, ArrayView):
    """The letters of two blocks added up."""

    letters: Input[Letters]
    axis: ClassVar[str] = "text"

    @property
    def grid(self) -> Grid:
        return Grid(len(self.letters.texts), 2 * self.letters.block)

    def contents(self, start: int, stop: int) -> str:
        return digest.of_sequence(unit.key for unit in self._beneath(start, stop))

    def needs(self, index: int) -> Sequence[Unit]:
        return self._beneath(*self.grid.span(index))

    def _beneath(self, start: int, stop: int) -> tuple[Unit, ...]:
        block = self.letters.block
        return self.letters.units[start // block : -(-stop // block)]

    @property
    def dims(self) -> tuple[str, ...]:
        return ("letter",)

    @property
    def shape(self) -> tuple[int, ...]:
        return (Letters.width,)

    @property
    def shard(self) -> int:
        return 1

    def members(self) -> tuple[Member, ...]:
        shape = (len(self.grid), Letters.width)
        return (Member("sums", ("unit", "letter"), shape, "float32", (1, Letters.width)),)

    def derive(self, unit: Unit, parts: Parts) -> Made:
        found = parts.array(self.letters, "letters", (slice(unit.start, unit.stop),))
        return Made(arrays={"sums": found.sum(axis=0, keepdims=True)})

    def show(self, parts: Parts, selection: tuple[Axis, ...]) -> Array:
        found: Array = parts.array(self, "sums").sum(axis=0)[selection]
        return found


@dataclass(frozen=True)
class Numbers(Derived, TableView):
    """Rows of every kind of number, some null, drawn by layer."""

    texts: Input[TextSet]
    rows: Param[int] = 40
    axis: ClassVar[str] = "layer"
    layers: ClassVar[int] = 6
    calls: ClassVar[list[int]] = []
    columns: ClassVar[Mapping[str, str]] = {
        "layer": "int32",
        "head": "int32",
        "rank": "int64",
        "score": "float64",
        "part": "float32",
        "word": "string",
    }

    @property
    def grid(self) -> Grid:
        return Grid(self.layers, 1)

    def contents(self, start: int, stop: int) -> str:
        return digest.of_sequence([str(start), self.texts.contents(0, len(self.texts))])

    def derive(self, unit: Unit, parts: Parts) -> Made:
        self.calls.append(unit.index)
        return Made(rows=numbers(unit.start, self.rows))


def numbers(layer: int, rows: int) -> dict[str, Any]:
    """Draw the rows of one layer: ties, negative values, nulls, NaN, and words with quotes."""
    dice = np.random.default_rng(layer)

    def some(values: Sequence[Any]) -> list[Any]:
        return [None if dice.random() < 0.15 else value for value in values]

    return {
        "layer": [layer] * rows,
        "head": [int(n) for n in dice.integers(0, 4, rows)],
        "rank": some([int(n) for n in dice.integers(-3, 9, rows)]),
        "score": some([float("nan") if n > 1.3 else float(n) for n in np.round(dice.normal(size=rows), 1)]),
        "part": some([float(np.float32(n)) for n in dice.integers(-2, 3, rows) / 4]),
        "word": some([str(dice.choice(["", "a", "dog's", "Dog", "ß%_", "b"])) for _ in range(rows)]),
    }
