"""Decoded images in batches, a few batches ahead of the model."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

from torch import Tensor

from ..store.errors import UnreadablePicture
from ..store.sets import ImageSet
from .families.family import Transform
from .pictures import Pictures

AHEAD = 3
"""Batches that are decoded before they are needed."""


class Batches:
    """Some images of a set, preprocessed."""

    def __init__(
        self,
        images: ImageSet,
        positions: Sequence[int],
        transform: Transform,
        pictures: Pictures,
        pool: ThreadPoolExecutor,
    ) -> None:
        """Take the positions of images in their set, and threads to decode them in."""
        chosen = images.entries.select(["path", "digest"]).take(list(positions))
        self._paths, self._digests = chosen["path"].to_pylist(), chosen["digest"].to_pylist()
        self._transform, self._pictures, self._pool = transform, pictures, pool
        self.absent: dict[int, str] = {}
        """Which of the images, counted from the first, could not be decoded, with the reason."""

    def of(self, size: int) -> Iterator[tuple[int, list[int], list[Tensor]]]:
        """Give each batch's size, and the places (from the first image) and pixels of those readable."""
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
        return self._transform(picture)

    def _readable(self, start: int, batch: list[Future[Tensor]]) -> tuple[list[int], list[Tensor]]:
        rows, pixels = [], []
        for row, future in enumerate(batch, start):
            try:
                pixels.append(future.result())
                rows.append(row)
            except UnreadablePicture as error:
                self.absent[row] = str(error)
        return rows, pixels
