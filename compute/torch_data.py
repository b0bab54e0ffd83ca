"""Stored numbers as torch takes them: tensors, and a dataset whose batches are read at once."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from ..store.views import Array

__all__ = ["Tensor", "ViewDataset", "tensor"]


def tensor(values: Array) -> Tensor:
    """Give numbers as a tensor in the main memory, which may share them; of equal shape and data type."""
    return torch.from_numpy(np.require(values, requirements=["C", "W"]))


class ViewDataset(Dataset[Any]):
    """Rows of a view, each with the number of its class where there are classes.

    An item is `(row, class)`, or `row` alone. A `DataLoader` asks `__getitems__` for a batch, which is one
    read. It goes to worker processes as the question that it answers: none of the rows is copied there.
    """

    def __init__(
        self,
        read: Callable[[Array], Array],
        positions: Array,
        targets: Array | None,
        classes: Sequence[str],
        skipped: Mapping[str, int],
        title: str,
    ) -> None:
        self._read, self._targets, self._title = read, targets, title
        self.positions = positions
        """Where each item stands along the view's first axis, int "item"."""
        self.classes = tuple(classes)
        """The names of the classes: all that the whole set has, in alphabetical order."""
        self.skipped = dict(skipped)
        """How many rows were left out, by reason: `unreadable`, `unlabelled`."""

    def __len__(self) -> int:
        return len(self.positions)

    def __getitem__(self, item: int) -> Any:
        return self.__getitems__([item])[0]

    def __getitems__(self, items: Sequence[int]) -> list[Any]:
        """Read several items at once."""
        chosen = np.asarray(items, dtype=np.intp)
        rows = tensor(self._read(self.positions[chosen]))
        if self._targets is None:
            return list(rows)
        return list(zip(rows, self._targets[chosen].tolist(), strict=True))

    @property
    def targets(self) -> Tensor | None:
        """The number of each item's class, int64 "item"; None without classes."""
        return None if self._targets is None else tensor(self._targets)

    def __repr__(self) -> str:
        parts = [f"{len(self)} rows", *([f"{len(self.classes)} classes"] if self.classes else [])]
        parts += [f"{count} {reason} left out" for reason, count in self.skipped.items() if count]
        return f"<ViewDataset {self._title}: {', '.join(parts)}>"
