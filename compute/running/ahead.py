"""Decoding ahead of the model, across units: the next unit's pictures while the last of this one run."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, cast

from ..kinds import ImagePass
from .batches import Batches
from .steps import Step

if TYPE_CHECKING:
    from ..images.pictures import Pictures
    from ..models.loaded import Loaded


class Ahead:
    """Pictures of steps over images, decoded by threads; those of the next step are begun in time."""

    def __init__(self, pool: ThreadPoolExecutor, following: Callable[[], Step | None]) -> None:
        """Take the threads, and what gives the step after the one that is under way, where it is known."""
        self._pool, self._following = pool, following
        self._now: tuple[Step, Loaded, Pictures] | None = None
        self._begun: tuple[Step, Batches] | None = None

    def batches(self, step: Step, loaded: Loaded, pictures: Pictures) -> Batches:
        """Give the pictures of a step: those that were begun, where it is the one that was foreseen."""
        self._now = (step, loaded, pictures)
        begun, following = self._begun, self._following()
        if begun is not None and _same(begun[0], step):
            self._begun = None
            return begun[1]
        if begun is not None and (following is None or not _same(begun[0], following)):
            self._begun = None  # nobody comes for them
        return _batches(step, loaded, pictures, self._pool)

    def begin(self, batch_size: int) -> None:
        """Begin to decode the pictures of the step that follows, where the same model runs for it."""
        following = self._following()
        if self._now is None or following is None or self._begun is not None:
            return
        step, loaded, pictures = self._now
        view, other = step.view, following.view
        if not isinstance(other, ImagePass) or not following.run or not isinstance(view, ImagePass):
            return
        if view.model.identity("image") == other.model.identity("image"):
            found = _batches(following, loaded, pictures, self._pool)
            found.start(min(batch_size, following.most))
            self._begun = (following, found)


def _same(one: Step, other: Step) -> bool:
    """Tell whether two steps run the same images: one may have lost units to others meanwhile."""
    if not isinstance(one.view, ImagePass) or not isinstance(other.view, ImagePass):
        return False
    if one.run != other.run or one.start != other.start:
        return False
    lists = one.view.images.all_contents, other.view.images.all_contents
    return lists[0] == lists[1] and one.view.model.name == other.view.model.name


def _batches(step: Step, loaded: Loaded, pictures: Pictures, pool: ThreadPoolExecutor) -> Batches:
    images, start = cast("ImagePass", step.view).images, step.start
    return Batches(images, [start + row for row in step.run], loaded.transform, pictures, pool)
