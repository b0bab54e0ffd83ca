"""Decoded images in batches, a few batches ahead of the model."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING

from ...store.errors import UnreadablePicture
from ...store.sets import ImageSet
from ..images.pictures import Pictures
from ..models.family import Transform

if TYPE_CHECKING:
    from torch import Tensor

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
        self._waiting: deque[list[Future[Tensor]]] = deque()
        self._begun = 0
        self.absent: dict[int, str] = {}
        """Which of the images, counted from the first, could not be decoded, with the reason."""

    def start(self, size: int) -> None:
        """Begin to decode the first batches of this size, before `of` asks for them."""
        self._fill(size)

    def of(
        self, size: int, then: Callable[[], None] = lambda: None
    ) -> Iterator[tuple[int, list[int], list[Tensor]]]:
        """Give each batch's size, and the places (from the first image) and pixels of those readable.

        `then` is called once the last batch has been begun: whoever comes next may begin, too.
        """
        told, start = False, 0
        while start < len(self._paths):
            self._fill(size)
            if not told and self._begun >= len(self._paths):
                told = True
                then()
            batch = self._waiting.popleft()  # of another size, perhaps, where it was begun before
            yield len(batch), *self._readable(start, batch)
            start += len(batch)

    def _fill(self, size: int) -> None:
        while len(self._waiting) < AHEAD and self._begun < len(self._paths):
            stop = min(self._begun + size, len(self._paths))
            rows = range(self._begun, stop)
            self._waiting.append([self._pool.submit(self._decode, row) for row in rows])
            self._begun = stop

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
