"""One line of what was timed."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Measured:
    """One line of a bench."""

    what: str
    """What was timed."""
    count: int
    """Images, texts, rows or statements that it took."""
    seconds: float
    """How long it took."""
    ratio: float | None = None
    """Over decoding and the plain pass of as many images: their sum on a processor, whose cores they share,
    and the slower of the two elsewhere. None where that says nothing."""
    bytes_each: int | None = None
    """Bytes that are kept of one image."""

    @property
    def per_second(self) -> float:
        """How many of them go in a second."""
        return self.count / self.seconds
