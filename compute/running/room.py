"""Work cut to the room that a device has: half as much at once, each time it had none."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Protocol, TypeVar

import torch

Item = TypeVar("Item")
Found = TypeVar("Found")


class Roomy(Protocol):
    """A model on a device, which remembers how much it takes at once."""

    fits: int | None
    """The largest batch that is known to fit, after one did not."""


def in_room(
    model: Roomy, items: Sequence[Item], most: int, run: Callable[[Sequence[Item]], Found]
) -> Iterator[tuple[Sequence[Item], Found]]:
    """Run items through a model some at a time, each part with what was made of it.

    Args:
        model: What runs; the size that fits is kept in it.
        items: All that is to be run, in order.
        most: At most so many at once, however much room there is.
        run: Makes something of a part. It is called again, with half of it, where the device had no room.

    Raises `torch.OutOfMemoryError` where there is no room for one.
    """
    start = 0
    while start < len(items):
        part = items[start : start + min(most, model.fits or most)]
        found = _tried(run, part)
        if found is None:
            model.fits = len(part) // 2
            torch.cuda.empty_cache()  # after the frames that held the batch are gone
            continue
        yield part, found[0]
        start += len(part)


def _tried(run: Callable[[Sequence[Item]], Found], part: Sequence[Item]) -> tuple[Found] | None:
    """Run a part; None where there was no room for it, and there may be for half of it."""
    try:
        return (run(part),)
    except RuntimeError as error:
        if len(part) == 1 or not _lacks_room(error):
            raise
        return None


def _lacks_room(error: RuntimeError) -> bool:
    """Tell whether a device had no room; MPS and processors say so in the message alone."""
    said = ("out of memory", "can't allocate memory", "not enough memory")
    return isinstance(error, torch.OutOfMemoryError) or any(each in str(error) for each in said)
