"""One forward pass over a block of images, for every view that needs it."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import cast

import numpy as np
import torch
from torch import Tensor

from ..store.errors import InexactDecomposition, UnreadablePicture
from ..store.sets import ImageSet
from ..store.views import Array, Member, Unit
from .kinds import ImagePass, Made
from .models import Loaded
from .pictures import Pictures
from .towers.check import TOLERANCE, check
from .towers.native import Tracer
from .towers.trace import Trace

AHEAD = 3
"""Batches that are decoded before they are needed."""


def make(
    units: Sequence[Unit],
    loaded: Loaded,
    pictures: Pictures,
    precision: str,
    *,
    batch_size: int,
    pool: ThreadPoolExecutor,
    tick: Callable[[int], None],
) -> dict[str, Made]:
    """Run the images that all units cover through the tower; give what was made by unit key.

    Pictures that cannot be decoded are rows of NaN, listed as absent. Raises `PictureChanged` for a file
    that is not the one that was added, and `InexactDecomposition` where the terms do not sum to the
    model's own embedding within the tolerance of its precision; nothing is kept then.
    """
    first = units[0]
    images = cast("ImagePass", first.view).images
    batches = _Batches(images, first.start, first.stop, loaded, pictures, pool)
    collected: dict[str, list[tuple[Sequence[int], dict[str, Array]]]] = defaultdict(list)
    tokens = any(cast("ImagePass", unit.view).tokens for unit in units)
    worst = 0.0
    with Tracer(loaded.visual, cast("ImagePass", first.view).model.name) as tracer:
        for count, rows, pixels in batches.of(batch_size):
            if rows:
                trace, error = _trace(tracer, torch.stack(pixels), loaded, tokens)
                if not error <= TOLERANCE[precision]:
                    raise InexactDecomposition(error, TOLERANCE[precision])
                worst = max(worst, error)
                for unit in units:
                    collected[unit.key].append((rows, dict(cast("ImagePass", unit.view).collect(trace))))
            tick(count)
    seen = sum(len(rows) for rows, _ in collected[first.key]) + len(batches.absent)
    if seen != first.stop - first.start:
        raise AssertionError(f"{first}: {seen} images were seen")
    facts = {"relative_error": worst}
    return {
        unit.key: Made(_assemble(unit, collected[unit.key]), absent=batches.absent, facts=facts)
        for unit in units
    }


def _trace(tracer: Tracer, pixels: Tensor, loaded: Loaded, tokens: bool) -> tuple[Trace, float]:
    """Trace a batch, in smaller parts once the device has run out of memory."""
    while True:
        size = min(len(pixels), loaded.fits or len(pixels))
        try:
            traces = [
                tracer(part.to(loaded.device, non_blocking=True), tokens)
                for part in torch.split(pixels, size)
            ]
            return _joined(traces), float(np.max([check(trace, loaded.constants) for trace in traces]))
        except torch.OutOfMemoryError:
            if size == 1:
                raise
            loaded.fits = size // 2
            torch.cuda.empty_cache()


def _joined(traces: Sequence[Trace]) -> Trace:
    if len(traces) == 1:
        return traces[0]

    def column(name: str) -> Array:
        return np.concatenate([getattr(trace, name) for trace in traces])

    names = ("factor", "mlp", "mlp_mean", "sigma", "mu", "norm", "embedding")
    token_factor = None if traces[0].token_factor is None else column("token_factor")
    return Trace(token_factor=token_factor, **{name: column(name) for name in names})


def _assemble(unit: Unit, found: Sequence[tuple[Sequence[int], dict[str, Array]]]) -> dict[str, Array]:
    """Put the batches in their rows; rows of pictures that could not be read stay NaN."""
    length = unit.stop - unit.start
    arrays = {}
    for member in cast("ImagePass", unit.view).members():
        whole = np.full((length, *member.shape[1:]), np.nan, member.dtype)
        for rows, batch in found:
            whole[rows] = _narrowed(batch[member.name], member)
        arrays[member.name] = whole
    return arrays


def _narrowed(values: Array, member: Member) -> Array:
    """Bring values to the type that is kept; `OverflowError` where one is too large for it."""
    with np.errstate(over="ignore"):
        narrow = np.asarray(values).astype(member.dtype, copy=False)
    if np.isinf(narrow).any():
        raise OverflowError(f"{member.name} has values too large for {member.dtype}; use dtype='float32'")
    return narrow


class _Batches:
    """Decoded images of one block, a few batches ahead of the model."""

    def __init__(
        self,
        images: ImageSet,
        start: int,
        stop: int,
        loaded: Loaded,
        pictures: Pictures,
        pool: ThreadPoolExecutor,
    ) -> None:
        self._paths = images.entries["path"][start:stop].to_pylist()
        self._digests = images.entries["digest"][start:stop].to_pylist()
        self._loaded, self._pictures, self._pool = loaded, pictures, pool
        self.absent: dict[int, str] = {}

    def of(self, size: int) -> Iterator[tuple[int, list[int], list[Tensor]]]:
        """Give each batch's size, and the rows (from the block's first) and pixels of those readable."""
        starts = range(0, len(self._paths), size)
        waiting: deque[list[Future[Tensor]]] = deque()
        ahead = iter(starts)
        for start in starts:
            while len(waiting) < AHEAD and (following := next(ahead, None)) is not None:
                stop = min(following + size, len(self._paths))
                waiting.append([self._pool.submit(self._decode, row) for row in range(following, stop)])
            batch = waiting.popleft()
            yield len(batch), *self._readable(start, batch)

    def _decode(self, row: int) -> Tensor:
        picture = self._pictures.fetch(str(self._paths[row]), str(self._digests[row]))
        return self._loaded.transform(picture)

    def _readable(self, start: int, batch: list[Future[Tensor]]) -> tuple[list[int], list[Tensor]]:
        rows, pixels = [], []
        for row, future in enumerate(batch, start):
            try:
                pixels.append(future.result())
                rows.append(row)
            except UnreadablePicture as error:
                self.absent[row] = str(error)
        return rows, pixels
