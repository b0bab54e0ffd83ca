"""One pass over a block of images, for every view that needs it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import ExitStack, closing, suppress
from functools import partial
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor

from ...store.errors import InexactDecomposition, UnsupportedTower
from ...store.reader import Reader
from ...store.views import Array, Member, Unit
from ..images.pictures import Pictures
from ..kinds import ImagePass, Made, ModulePass, TowerPass
from ..models.loaded import Loaded
from ..models.modules import Watch
from ..towers.check import TOLERANCE, check, directed
from ..towers.tower import Tracing
from ..towers.trace import Trace
from .ahead import Ahead
from .batches import Batches
from .behind import Behind
from .gather import gather
from .room import in_room
from .steps import Kept, Step

_Taken = tuple[list[Mapping[str, Array]], float | None]
"""What each view takes of some images, and the relative error of their sum, where there is one."""


def make(
    step: Step,
    load: Callable[[], Loaded],
    reader: Reader,
    pictures: Pictures,
    *,
    batch_size: int,
    compiled: bool,
    ahead: Ahead,
    tick: Callable[[int], None],
    keep: Callable[[Mapping[str, Made]], None],
) -> None:
    """Make units that cover the same images: copy the rows that are kept, run the others through the model.

    `keep` is given units as soon as they are whole: those of few images before those of many. The model is
    asked for only where an image has to go through it; `compiled` lets torch compile what it can of a tower
    that is taken apart, where that embeds a first batch the same within the tolerance. Pictures that cannot
    be decoded are rows of NaN, listed as absent. Raises `PictureChanged` for a file that is not the one that
    was added, `NoDirection` where the model embeds as zeros or as no numbers, and `InexactDecomposition`
    where the terms do not sum to the model's own embedding within the tolerance of its precision; no unit
    with that image is kept then.
    """
    drafts = _Drafts(step, reader, keep)
    if step.run:
        loaded = load()
        batches = ahead.batches(step, loaded, pictures)
        size = min(batch_size, step.most)
        decoded = batches.of(size, partial(ahead.begin, batch_size))
        _run(drafts, step.run, _Pass(loaded, drafts.views, compiled=compiled), batches, decoded, tick)
    else:
        tick(step.weight)
    drafts.finish()


class _Draft:
    """A unit on the way: rows are put in their places as they come."""

    def __init__(self, unit: Unit, before: int, copies: Kept, reader: Reader) -> None:
        """Take a unit, whose first image has so many of the step's before it, and the rows that are kept."""
        self.unit, self.view = unit, cast("ImagePass", unit.view)
        self._before, self._length = before, unit.stop - unit.start
        self._copies, self._reader = copies, reader
        self._arrays: dict[str, Array] = {}
        self._absent: dict[int, str] = {}
        self._facts: dict[str, Any] = {}
        self._there = np.zeros(self._length, bool)

    def _open(self) -> None:
        """Make room, once there is something to be put, and take the rows that are kept."""
        if self._arrays:
            return
        self._arrays = {
            member.name: np.full((self._length, *member.shape[1:]), np.nan, member.dtype)
            for member in self.view.members()
        }
        if self._copies:
            self._absent, self._facts = gather(self._copies, self._arrays, self._reader)
            self._there[list(self._copies)] = True

    def put(self, rows: Array, found: Mapping[str, Array], error: float | None) -> None:
        """Take those rows that are its own, counted from the step's first, of what was computed."""
        mine = (rows >= self._before) & (rows < self._before + self._length)
        if not mine.any():
            return
        self._open()
        places = rows[mine] - self._before
        for member in self.view.members():
            values = found[member.name]
            if values.shape[1:] != member.shape[1:]:
                raise UnsupportedTower(
                    self.view.model.name,
                    f"of an image it gives {member.name} of shape {values.shape[1:]}, and its configuration "
                    f"tells of {member.shape[1:]}; is it given pictures of another size?",
                )
            self._arrays[member.name][places] = narrowed(values if mine.all() else values[mine], member)
        self._there[places] = True
        if error is not None and isinstance(self.view, TowerPass):
            self._facts["relative_error"] = max(error, self._facts.get("relative_error", 0.0))

    def lack(self, absent: Mapping[int, str]) -> None:
        """Take note of those of its pictures that could not be decoded."""
        mine = {
            row - self._before: reason
            for row, reason in absent.items()
            if 0 <= row - self._before < self._length
        }
        if mine:
            self._open()
            self._absent |= mine
            self._there[list(mine)] = True

    @property
    def whole(self) -> bool:
        """Whether all rows are there."""
        return bool(self._there.all())

    def finished(self) -> Made:
        """Give the whole unit; `AssertionError` where a row was forgotten."""
        self._open()
        if not self.whole:
            raise AssertionError(f"{self.unit}: {self._there.sum()} images were seen")
        return Made(self._arrays, absent=self._absent, facts=self._facts)


class _Drafts:
    """The units of a step on the way; each is handed on once it is whole."""

    def __init__(self, step: Step, reader: Reader, keep: Callable[[Mapping[str, Made]], None]) -> None:
        self._left = [_Draft(unit, unit.start - step.start, step.copies(unit), reader) for unit in step.units]
        self._keep = keep
        self.views = list({id(draft.view): draft.view for draft in self._left}.values())
        """Their views, each once."""

    def put(self, rows: Sequence[int], taken: _Taken) -> None:
        """Take what each view keeps of some rows."""
        by_view, error = taken
        found = {id(view): arrays for view, arrays in zip(self.views, by_view, strict=True)}
        for draft in self._left:
            draft.put(np.asarray(rows), found[id(draft.view)], error)
        self._hand_on([draft for draft in self._left if draft.whole])

    def lack(self, absent: Mapping[int, str]) -> None:
        """Take note of pictures that could not be decoded; units that have no others are whole then."""
        for draft in self._left:
            draft.lack(absent)
            if draft.whole:
                self._hand_on([draft])

    def finish(self) -> None:
        """Hand on what is left, which is whole."""
        self._hand_on([*self._left])

    def _hand_on(self, drafts: Sequence[_Draft]) -> None:
        if drafts:
            self._left = [draft for draft in self._left if draft not in drafts]
            self._keep({draft.unit.key: draft.finished() for draft in drafts})


def _run(
    drafts: _Drafts,
    rows: Sequence[int],
    watched: _Pass,
    batches: Batches,
    decoded: Iterator[tuple[int, list[int], list[Tensor]]],
    tick: Callable[[int], None],
) -> None:
    """Run images through the model, batch by batch; one is checked and sorted while the next one runs."""

    def put(some: Sequence[int], absent: Mapping[int, str], future: Future[_Taken]) -> None:
        taken = future.result()
        drafts.lack(absent)
        drafts.put(some, taken)

    with closing(Behind[_Taken]()) as behind, watched as running:
        try:
            for count, places, pixels in decoded:
                absent = {rows[place]: reason for place, reason in batches.absent.items()}
                for some, take in running.parts([rows[place] for place in places], pixels):
                    behind.put(take, partial(put, some, absent))
                tick(count)
            behind.settle()
        except KeyboardInterrupt:  # a worker that is told to end, too: what went through already is kept
            with suppress(Exception):  # what is wrong with it the next run says
                behind.settle()
            raise
    drafts.lack({rows[place]: reason for place, reason in batches.absent.items()})


class _Pass:
    """A model, watched for some views while the `with` block lasts."""

    def __init__(self, loaded: Loaded, views: Sequence[ImagePass], *, compiled: bool) -> None:
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
        self._compiled = loaded.compiled if compiled and towers else None
        self._watch = Watch(loaded.net, _looks([view for view in views if isinstance(view, ModulePass)]))

    def __enter__(self) -> _Pass:
        if self._tracer is not None:
            self._hooks.enter_context(self._tracer)
        self._hooks.enter_context(self._watch)
        if self._compiled is not None and self._compiled.same:
            self._hooks.enter_context(self._compiled.running())
        return self

    def __exit__(self, *raised: Any) -> None:
        self._hooks.__exit__(*raised)

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
            trace = self._traced(pixels)
        else:
            with torch.inference_mode():
                self._loaded.run(pixels)
        return partial(self._taken, trace, self._watch.take())

    def _traced(self, pixels: Tensor) -> Trace:
        """Trace a part; the first one of a model twice, to see whether compiled parts of it do the same."""
        tracer, asked = cast("Tracing", self._tracer), (self._tokens, self._patches, self._class_token)
        if self._compiled is None or self._compiled.same is not None:
            return tracer(pixels, *asked)

        def once() -> Trace:
            self._watch.forget()
            return tracer(pixels, *asked)

        trace, same = self._compiled.prove(once, TOLERANCE[self._precision])
        if same:
            self._hooks.enter_context(self._compiled.running())
        return trace

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
