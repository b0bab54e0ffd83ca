"""One pass over a block of images, for every view that needs it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from functools import partial
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor

from ..store.errors import InexactDecomposition, UnsupportedTower
from ..store.reader import Reader
from ..store.views import Array, Member, Unit
from .ahead import Ahead
from .batches import Batches
from .behind import Behind
from .gather import gather
from .kinds import ImagePass, Made, ModulePass, TowerPass
from .models import Loaded
from .modules import Watch
from .pictures import Pictures
from .room import in_room
from .steps import Kept, Step
from .towers.check import TOLERANCE, check, directed
from .towers.trace import Trace

_Taken = tuple[list[Mapping[str, Array]], float | None]
"""What each view takes of some images, and the relative error of their sum, where there is one."""


def make(
    step: Step,
    load: Callable[[], Loaded],
    reader: Reader,
    pictures: Pictures,
    *,
    batch_size: int,
    ahead: Ahead,
    tick: Callable[[int], None],
) -> dict[str, Made]:
    """Make units that cover the same images: copy the rows that are kept, run the others through the model.

    The model is asked for only where an image has to go through it. Pictures that cannot be decoded are rows
    of NaN, listed as absent. Raises `PictureChanged` for a file that is not the one that was added,
    `NoDirection` where the model embeds as zeros or as no numbers, and `InexactDecomposition` where the
    terms do not sum to the model's own embedding within the tolerance of its precision; nothing is kept then.
    """
    run = step.run
    drafts = [_Draft(unit) for unit in step.units]
    for draft in drafts:
        draft.copy(step.copies(draft.unit), reader)
    if run:
        loaded = load()
        batches = ahead.batches(step, loaded, pictures)
        _run(drafts, run, loaded, batches, batches.of(batch_size, partial(ahead.begin, batch_size)), tick)
    else:
        tick(step.weight)
    return {draft.unit.key: draft.finished() for draft in drafts}


@dataclass(slots=True)
class _Draft:
    """A unit on the way: rows are put in their places as they come."""

    unit: Unit
    arrays: dict[str, Array] = field(init=False)
    absent: dict[int, str] = field(default_factory=dict)
    facts: dict[str, Any] = field(default_factory=dict)
    _there: Array = field(init=False)

    def __post_init__(self) -> None:
        length = self.unit.stop - self.unit.start
        self._there = np.zeros(length, bool)
        self.arrays = {
            member.name: np.full((length, *member.shape[1:]), np.nan, member.dtype)
            for member in self.view.members()
        }

    @property
    def view(self) -> ImagePass:
        return cast("ImagePass", self.unit.view)

    def copy(self, kept: Kept, reader: Reader) -> None:
        """Take rows from what is kept."""
        self.absent, self.facts = gather(kept, self.arrays, reader)
        self._there[list(kept)] = True

    def put(self, rows: Sequence[int], found: Mapping[str, Array]) -> None:
        """Take rows that were computed."""
        for member in self.view.members():
            values = found[member.name]
            if values.shape[1:] != member.shape[1:]:
                raise UnsupportedTower(
                    self.view.model.name,
                    f"of an image it gives {member.name} of shape {values.shape[1:]}, and its configuration "
                    f"tells of {member.shape[1:]}; is it given pictures of another size?",
                )
            self.arrays[member.name][rows] = narrowed(values, member)
        self._there[rows] = True

    def lack(self, absent: Mapping[int, str]) -> None:
        """Take note of pictures that could not be decoded."""
        self.absent |= absent
        self._there[list(absent)] = True

    def finished(self) -> Made:
        """Give the whole unit; `AssertionError` where a row was forgotten."""
        if not self._there.all():
            raise AssertionError(f"{self.unit}: {self._there.sum()} images were seen")
        return Made(self.arrays, absent=self.absent, facts=self.facts)


def _run(
    drafts: Sequence[_Draft],
    rows: Sequence[int],
    loaded: Loaded,
    batches: Batches,
    decoded: Iterator[tuple[int, list[int], list[Tensor]]],
    tick: Callable[[int], None],
) -> None:
    """Run images through the model, batch by batch; one is checked and sorted while the next one runs."""

    def put(some: Sequence[int], future: Future[_Taken]) -> None:
        found, error = future.result()
        for draft, arrays in zip(drafts, found, strict=True):
            draft.put(some, arrays)
            if error is not None and isinstance(draft.view, TowerPass):
                draft.facts["relative_error"] = max(error, draft.facts.get("relative_error", 0.0))

    with closing(Behind[_Taken]()) as behind, _Pass(loaded, [draft.view for draft in drafts]) as running:
        for count, places, pixels in decoded:
            for some, take in running.parts([rows[place] for place in places], pixels):
                behind.put(take, partial(put, some))
            tick(count)
        behind.settle()
    for draft in drafts:
        draft.lack({rows[place]: reason for place, reason in batches.absent.items()})


class _Pass:
    """A model, watched for some views while the `with` block lasts."""

    def __init__(self, loaded: Loaded, views: Sequence[ImagePass]) -> None:
        self._loaded, self._views, self._hooks = loaded, views, ExitStack()
        self._precision = views[0].model.precision
        towers = [view for view in views if isinstance(view, TowerPass)]
        self._tokens = any(view.tokens for view in towers)
        self._patches = any(view.patches for view in towers)
        self._class_token = any(
            view.class_token or view.patches for view in towers
        )  # patches are checked by it
        neurons = sorted({layer for view in towers for layer in view.neurons})
        self._tracer = loaded.tower.watch(neurons) if towers else None
        self._watch = Watch(loaded.net, _looks([view for view in views if isinstance(view, ModulePass)]))

    def __enter__(self) -> _Pass:
        if self._tracer is not None:
            self._hooks.enter_context(self._tracer)
        self._hooks.enter_context(self._watch)
        return self

    def __exit__(self, *raised: Any) -> None:
        self._hooks.close()

    def parts(
        self, rows: Sequence[int], pixels: Sequence[Tensor]
    ) -> Iterator[tuple[Sequence[int], Callable[[], _Taken]]]:
        """Run a batch, in smaller parts once the device has run out of memory.

        Gives for each part its rows, and what checks it and takes from it what each view keeps; that needs
        no device, and may run in another thread while the next part goes through the model.
        """

        def run(places: Sequence[int]) -> Callable[[], _Taken]:
            self._watch.forget()  # what a batch left for which there was no room
            stacked = torch.stack([pixels[place] for place in places])
            return self._part(stacked.pin_memory() if self._loaded.device.type == "cuda" else stacked)

        for places, take in in_room(self._loaded, range(len(rows)), len(rows), run):
            yield [rows[place] for place in places], take

    def _part(self, pixels: Tensor) -> Callable[[], _Taken]:
        pixels = pixels.to(self._loaded.device, non_blocking=True)
        trace = None
        if self._tracer is not None:
            trace = self._tracer(pixels, self._tokens, self._patches, self._class_token)
        else:
            with torch.inference_mode():
                self._loaded.run(pixels)
        return partial(self._taken, trace, self._watch.take())

    def _taken(self, trace: Trace | None, watched: Mapping[str, Mapping[int, Mapping[str, Array]]]) -> _Taken:
        """Check a part, and take from it what each view keeps."""
        error = None
        if trace is not None:
            directed(trace.norm, "images")
            error = check(trace, self._loaded.constants)
            if not error <= TOLERANCE[self._precision]:
                raise InexactDecomposition(error, TOLERANCE[self._precision])
        found: list[Mapping[str, Array]] = []
        for view in self._views:
            if isinstance(view, ModulePass):
                found.append(watched[view.module][id(view)])
            else:
                found.append(cast("TowerPass", view).collect(cast("Any", trace)))
        return found, error


def _looks(views: Sequence[ModulePass]) -> dict[str, Callable[[Tensor], dict[int, Mapping[str, Array]]]]:
    """Say by module what is taken of its output: what each view collects."""

    def look(of: Sequence[ModulePass], output: Tensor) -> dict[int, Mapping[str, Array]]:
        return {id(view): view.collect(output) for view in of}

    names = dict.fromkeys(view.module for view in views)
    return {name: partial(look, [view for view in views if view.module == name]) for name in names}


def narrowed(values: Array, member: Member) -> Array:
    """Bring values to the type that is kept; `OverflowError` where one is too large for it."""
    with np.errstate(over="ignore"):
        narrow = np.asarray(values).astype(member.dtype, copy=False)
    if np.isinf(narrow).any():
        raise OverflowError(f"{member.name} has values too large for {member.dtype}; use dtype='float32'")
    return narrow
