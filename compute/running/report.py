"""What a run is told and what it tells: how to compute, how it goes on, and what became of the units."""

from __future__ import annotations

from dataclasses import dataclass, field, fields, replace
from typing import TYPE_CHECKING, Any

from ...store import markup
from ...store.errors import BadSource
from ..kinds import BLOCK
from ..language.allowance import Allowance
from ..language.budget import Purse

if TYPE_CHECKING:
    from ...store.sets import TowerShape

ON_CPU, ON_GPU = 32, BLOCK
"""Images or texts in one forward pass, unless somebody says: on a GPU those of a whole unit."""
SMALL, LAYER = 128, 4_000_000
"""So many images of a small tower on a CPU, and of others as many as have so many numbers in one layer."""
GPUS = ("cuda", "mps", "xpu")
"""What torch calls devices that want many at once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """How to compute; none of it changes what is kept beyond rounding."""

    device: str | None = None
    """Where to run, such as `cpu` or `cuda:0`; None takes a GPU where there is one."""
    batch_size: int | None = None
    """Images or texts in one forward pass, but for views that keep much of each: of these it has a block,
    or 256 MB. None takes as many as there is room for on a GPU, and 32 on a CPU, or up to 128 images where a
    tower is small."""
    workers: int | None = None
    """Threads that decode images; None takes one for each core."""
    retry_failed: bool = False
    """Whether to try units again that failed before."""
    allowance: Allowance | None = None
    """What may be spent on language models; None for no limit."""
    compiled: bool = False
    """Whether torch compiles parts of a tower that is taken apart, such as its MLPs; that takes a while at
    first, and is left be where compiled parts do not embed a first batch the same."""
    purse: Purse = field(default_factory=Purse, repr=False, compare=False)
    """What was spent of it, by all runs of one call together."""

    def facts(self) -> dict[str, Any]:
        """Give the settings as plain values."""
        plain = {each.name: getattr(self, each.name) for each in fields(self) if each.compare}
        plain.pop("allowance")
        return plain | (self.allowance.facts() if self.allowance else {})

    def __post_init__(self) -> None:
        if any(each is not None and each < 1 for each in (self.batch_size, self.workers)):
            raise BadSource(f"batch_size={self.batch_size}, workers={self.workers}: both start at 1")

    def runs_on(self) -> str:
        """Give the device to run on."""
        if self.device:
            return self.device
        import torch

        return "cuda" if torch.cuda.is_available() else "cpu"

    def at_once(self, device: str, tower: TowerShape | None = None) -> int:
        """Give how many images or texts to begin with in one pass; room that lacks halves it (`room.py`).

        A small tower is given more images on a CPU: what a pass costs in Python keeps other threads waiting.
        """
        if self.batch_size or device.partition(":")[0] in GPUS:
            return self.batch_size or ON_GPU
        fitting = LAYER // (tower.tokens * tower.width) if tower is not None else ON_CPU
        return max(ON_CPU, min(SMALL, fitting))


@dataclass(frozen=True, slots=True)
class Report:
    """What became of the units that were asked for, and of those that they are made from."""

    filled: int = 0
    """Units computed by this call."""
    reused: int = 0
    """Units that were there already, or that another process made meanwhile."""
    failed: int = 0
    """Units that could not be made; the table `errors` says why."""
    skipped: int = 0
    """Units that were not tried because something they are made from failed."""
    absent: int = 0
    """Images and texts that could not be read, in the units filled; the table `errors` lists them."""
    reasons: tuple[str, ...] = field(default=(), compare=False)
    """Why units failed, each reason once."""
    passing: int = field(default=0, compare=False, repr=False)
    """Of those that failed, how many for a reason that may pass, and so are tried again by the next fill."""

    def __add__(self, other: Report) -> Report:
        """Add up what two runs did with different units."""
        counts = {name: count + getattr(other, name) for name, count in self.counts().items()}
        reasons = tuple(dict.fromkeys((*self.reasons, *other.reasons)))
        return Report(**counts, reasons=reasons, passing=self.passing + other.passing)

    def counts(self) -> dict[str, int]:
        """Give the numbers by name."""
        return {each.name: getattr(self, each.name) for each in fields(self) if each.compare}

    def forgiven(self) -> Report:
        """Give it without what failed or was skipped, which is tried again or there by now."""
        return replace(self, failed=0, skipped=0, reasons=(), passing=0)

    @property
    def complete(self) -> bool:
        """Whether every unit that was asked for is there now."""
        return not self.failed and not self.skipped

    def _repr_html_(self) -> str:
        counts = self.counts().items()
        told = ", ".join(f"{count:,} {what}" for what, count in counts if count or what == "filled")
        made, not_made = self.filled + self.reused, self.failed + self.skipped
        progress = markup.bar(made + not_made, (made, markup.READY), (not_made, markup.FAILED))
        hint = markup.warning("store.errors() says why") if not_made or self.absent else ""
        return markup.box(f"<div>{progress} {markup.value(told)}</div>{hint}")


class Progress:
    """Told how a run goes on; this one says nothing."""

    def begin(self, total: int, what: str) -> None:
        """Start a run of so many images (or units, where no image goes through a model)."""

    def advance(self, count: int) -> None:
        """Count some of them as done."""

    def kept(self) -> None:
        """Count one unit as made and kept by this run."""

    def wait(self) -> None:
        """Say that all that is left is being made by other processes; told before each look at that."""

    def end(self) -> None:
        """End the run, whatever ended it."""
