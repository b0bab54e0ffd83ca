"""The view of what a captioner says of each neuron's exemplars."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from ...store import digest
from ...store.errors import BadSource
from ...store.grid import Grid
from ...store.memos import Memos, path_of
from ...store.sets import Captioner
from ...store.views import Input, Param, Parts, TableView, Unit
from ..kinds import Assisted, Made
from ..work import Amount, Known, Work
from .neuron_exemplars import NeuronExemplars, shown_in

if TYPE_CHECKING:
    from PIL import Image

    from ..running.aids import Aids


@dataclass(frozen=True)
class Captions(Assisted, TableView):
    """A captioner's sentence about each exemplar, as it came: greedy, and without a prompt.

    Sentences are kept by the pixels that they are about, the captioner and how it decodes; so each picture is
    captioned once, whichever neurons, layers and models share it.
    """

    exemplars: Input[NeuronExemplars]
    captioner: Param[Captioner]
    """The name of a registered captioner."""
    max_new_tokens: Param[int] = 32
    """The most tokens of a sentence."""
    min_length: Param[int] = 5
    """The fewest tokens of a sentence."""
    version: ClassVar[int] = 3
    axis: ClassVar[str] = "neuron"
    columns: ClassVar[Mapping[str, str]] = {
        "module": "string",
        "neuron": "int32",
        "rank": "int32",
        "pixels": "string",
        "caption": "string",
    }

    def __post_init__(self) -> None:
        """Refuse sentences of no length."""
        if not 0 <= self.min_length <= self.max_new_tokens or not self.max_new_tokens:
            raise BadSource(
                f"min_length={self.min_length}, max_new_tokens={self.max_new_tokens}: they start at 0 and "
                "at 1, and the first is no larger than the second"
            )

    @property
    def grid(self) -> Grid:
        """One neuron a unit."""
        return self.exemplars.grid

    def constant(self) -> Mapping[str, str]:
        """Name the module."""
        return self.exemplars.constant()

    def needs(self, index: int) -> Sequence[Unit]:
        """List the neuron's exemplars."""
        return (self.exemplars.units[index],)

    def contents(self, start: int, stop: int) -> str:
        """Give the digest of the neuron's exemplars."""
        return digest.of_sequence([self.exemplars.units[start].key])

    def assist(self, units: Sequence[Unit], parts: Parts, aids: Aids) -> Mapping[str, Made]:
        """Caption what no memo has; a batch has pictures of one neuron."""
        made = {}
        for unit in units:
            rows = parts.rows(self.exemplars.units[unit.start]).to_pylist()
            made[unit.key] = Made(rows=self._rows(rows, self._said(rows, aids)))
        return made

    def _said(self, rows: Sequence[Mapping[str, Any]], aids: Aids) -> dict[str, str]:
        """Give the sentence about each picture in some rows, by its pixels."""
        wanted = {row["pixels"]: row for row in rows}
        said = self._known(wanted, aids)
        lacking = [pixels for pixels in wanted if pixels not in said]
        for start in range(0, len(lacking), aids.batch_size):
            some = lacking[start : start + aids.batch_size]
            pictures = [self.exemplars.picture(aids, shown_in(wanted[pixels])) for pixels in some]
            for pixels, sentence in zip(some, self._sentences(pictures, aids), strict=True):
                kept = aids.memos.put("captions", self._cause(pixels), {"caption": sentence})
                said[pixels] = str(kept["caption"])
            aids.tick()
        return said

    def named(self, rows: Sequence[Mapping[str, Any]], memos: Memos) -> Iterable[str]:
        """Give the paths of the sentences."""
        return (path_of("captions", self._cause(row["pixels"])) for row in rows)

    def forecast(self, units: Sequence[Unit], known: Known) -> Work:
        """Count the pictures of which no sentence is kept, each once."""
        pixels: set[str] = set()
        later = 0
        for unit in units:
            rows = known.rows(self.exemplars.units[unit.start])
            pixels |= {row["pixels"] for row in rows or ()}
            later += self.exemplars.exemplars if rows is None else 0
        now = known.lacking("captions", map(self._cause, pixels))
        return Work(captions=Amount(0 if later else now, now + later))

    def _known(self, wanted: Mapping[str, Any], aids: Aids) -> dict[str, str]:
        found = {pixels: aids.memos.get("captions", self._cause(pixels)) for pixels in wanted}
        return {pixels: str(each["caption"]) for pixels, each in found.items() if each is not None}

    def _sentences(self, pictures: Sequence[Image.Image], aids: Aids) -> list[str]:
        captioner = aids.instrument(self.captioner)
        found: list[str] = captioner.caption(
            pictures, max_new_tokens=self.max_new_tokens, min_length=self.min_length
        )
        return found

    def _cause(self, pixels: str) -> dict[str, Any]:
        decoding = {"max_new_tokens": self.max_new_tokens, "min_length": self.min_length}
        made = {"version": self.version, "captioner": self.captioner.key}
        return {**made, **decoding, "pixels": pixels}

    def _rows(self, found: Sequence[Mapping[str, Any]], said: Mapping[str, str]) -> dict[str, list[Any]]:
        return {
            **{name: [row[name] for row in found] for name in ("module", "neuron", "rank", "pixels")},
            "caption": [said[row["pixels"]] for row in found],
        }
