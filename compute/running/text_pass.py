"""One forward pass over a block of texts, for every view that needs it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from typing import cast

import numpy as np
from torch import Tensor

from ...store.errors import InexactDecomposition
from ...store.views import Array, Unit
from ..kinds import Made, TextModulePass, TextPass, TextRows, TextTowerPass
from ..models.loaded import Loaded
from ..models.modules import Watch
from ..towers.check import TOLERANCE, check, directed
from .image_pass import narrowed
from .room import in_room


def make(
    units: Sequence[Unit], loaded: Loaded, *, batch_size: int, tick: Callable[[int], None]
) -> dict[str, Made]:
    """Run the texts that some units cover, all of them the same, through the text tower.

    Texts that need more tokens than the model reads are rows of NaN, listed as absent: cut short they
    would stand for something that nobody wrote. Raises `NoDirection` where the model embeds texts as zeros or
    as no numbers, and `InexactDecomposition` where the terms of a tower that is taken apart do not sum to the
    model's own embedding within the tolerance of its precision.
    """
    views = [cast("TextRows", unit.view) for unit in units]
    texts = views[0].texts.texts[units[0].start : units[0].stop]
    rooms = loaded.too_long(texts)
    absent = {
        row: f"needs more than the {room} tokens that the model reads"
        for row, room in enumerate(rooms)
        if room
    }
    rows = [row for row in range(len(texts)) if row not in absent]
    arrays = [_empty(view, len(texts)) for view in views]
    worst: float | None = None
    with _Pass(loaded, views) as running:

        def run(batch: Sequence[int]) -> tuple[list[Mapping[str, Array]], float | None]:
            return running.part([texts[row] for row in batch])

        for batch, (found, error) in in_room(loaded, rows, batch_size, run):
            for view, mine, values in zip(views, arrays, found, strict=True):
                for member in view.members():
                    mine[member.name][list(batch)] = narrowed(values[member.name], member)
            if error is not None:
                worst = max(error, worst or 0.0)
            tick(len(batch))
    facts = {} if worst is None else {"relative_error": worst}
    return {
        unit.key: Made(mine, absent=absent, facts=facts) for unit, mine in zip(units, arrays, strict=True)
    }


def _empty(view: TextRows, count: int) -> dict[str, Array]:
    return {
        member.name: np.full((count, *member.shape[1:]), np.nan, member.dtype) for member in view.members()
    }


class _Pass:
    """A text tower, watched where views need that while the `with` block lasts."""

    def __init__(self, loaded: Loaded, views: Sequence[TextRows]) -> None:
        self._loaded, self._views, self._hooks = loaded, views, ExitStack()
        towers = [view for view in views if isinstance(view, TextTowerPass)]
        modules = (view.module for view in views if isinstance(view, TextModulePass))
        self._watch = Watch(loaded.net, dict.fromkeys(modules, Tensor.detach))
        self._tokens = any(view.tokens for view in towers)
        self._tracer = loaded.text_tower.watch() if towers else None

    def __enter__(self) -> _Pass:
        self._hooks.enter_context(self._watch)
        if self._tracer is not None:
            self._hooks.enter_context(self._tracer)
        return self

    def __exit__(self, *raised: object) -> None:
        self._hooks.close()

    def part(self, texts: Sequence[str]) -> tuple[list[Mapping[str, Array]], float | None]:
        """Run a batch; give what each view takes of it, and the relative error of its sum."""
        if self._tracer is None:
            tokens = self._loaded.tokens(texts)
            features = self._loaded.encode_tokens(tokens)
            with np.errstate(over="ignore", invalid="ignore"):
                directed(np.linalg.norm(features, axis=1), "texts")
            outputs = self._watch.take()
            return [self._taken(view, features, tokens, outputs) for view in self._views], None
        trace = self._tracer(self._loaded.tokens(texts), self._tokens)
        directed(trace.norm, "texts")
        error, allowed = check(trace, self._loaded.text_constants), TOLERANCE[self._views[0].model.precision]
        if not error <= allowed:
            raise InexactDecomposition(error, allowed)
        return [cast("TextTowerPass", view).collect(trace) for view in self._views], error

    def _taken(
        self, view: TextRows, features: Array, tokens: Tensor, outputs: Mapping[str, Tensor]
    ) -> Mapping[str, Array]:
        """Give what a view takes of a batch: of a module's output, or of what the tower gives."""
        if isinstance(view, TextModulePass):
            return view.collect(outputs[view.module], self._loaded.lengths(tokens))
        return cast("TextPass", view).collect(features)
