"""The view of the pictures that are painted of each candidate label."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from ...store import digest
from ...store.grid import Grid
from ...store.memos import Memos, path_of, path_of_picture
from ...store.sets import Painter
from ...store.views import Input, Param, Parts, TableView, Unit
from ..instruments.paintings import Asked, Paintings
from ..kinds import Assisted, Made
from ..work import Amount, Known, Work
from .label_candidates import LabelCandidates

if TYPE_CHECKING:
    from ..running.aids import Aids


@dataclass(frozen=True)
class SyntheticImages(Assisted, TableView):
    """Pictures of each candidate label by a text-to-image model, as PNG in the store.

    A picture belongs to the painter, its settings, the text and its number: neurons, layers and models that
    have a candidate in common share its pictures. Its noise is drawn on the CPU by a seed that is a digest of
    these, so that order, batch and selection change nothing in it (Describe-and-Dissect, section 3.3).
    `picture` is the digest of the file (`store.synthetic_image(picture)` opens it); it is null where the
    painter gave a black frame, and `status` says so.
    """

    candidates: Input[LabelCandidates]
    painter: Param[Painter]
    """The name of a registered painter."""
    paintings: Param[int] = 10
    """Pictures of each candidate."""
    steps: Param[int] = 0
    """Steps of diffusion; 0 for as many as the painter takes by default."""
    guidance: Param[float] = -1.0
    """How closely the text is followed (classifier-free guidance); below 0, the painter's own default."""
    template: Param[str] = "{concept}"
    """What the painter is asked for; `{concept}` stands for the candidate."""
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "default": {},
        "paper": {"template": "One realistic image of {concept}", "steps": 50, "guidance": 7.5},
    }
    version: ClassVar[int] = 3
    axis: ClassVar[str] = "neuron"
    columns: ClassVar[Mapping[str, str]] = {
        "module": "string",
        "neuron": "int32",
        "concept": "string",
        "number": "int32",
        "seed": "int64",
        "picture": "string",
        "pixels": "string",
        "status": "string",
    }

    def __post_init__(self) -> None:
        """Refuse what cannot be painted."""
        self._paintings.check(self.paintings)

    @property
    def _paintings(self) -> Paintings:
        return Paintings(self.painter, self.template, self.steps, self.guidance)

    @property
    def grid(self) -> Grid:
        """One neuron a unit."""
        return self.candidates.grid

    def constant(self) -> Mapping[str, str]:
        """Name the module."""
        return self.candidates.constant()

    def needs(self, index: int) -> Sequence[Unit]:
        """List the neuron's candidates."""
        return (self.candidates.units[index],)

    def contents(self, start: int, stop: int) -> str:
        """Give the digest of the neuron's candidates, and of how they are painted."""
        how = digest.of_facts(self._paintings.facts)
        return digest.of_sequence([self.candidates.units[start].key, how])

    def concepts(self, unit: Unit, parts: Parts) -> list[str]:
        """List the candidates of a unit's neuron, each once, by letters."""
        return self._named(parts.rows(self.candidates.units[unit.start]).to_pylist())

    def _named(self, rows: Sequence[Mapping[str, Any]]) -> list[str]:
        return sorted({row["candidate"] for row in rows if row["candidate"]})

    def named(self, rows: Sequence[Mapping[str, Any]], memos: Memos) -> Iterable[str]:
        """Give the paths of the paintings and of their files."""
        for row in rows:
            yield path_of("paintings", self._paintings.cause(Asked(row["concept"], row["number"])))
            if row["picture"] is not None:
                yield path_of_picture(row["picture"])

    def forecast(self, units: Sequence[Unit], known: Known) -> Work:
        """Count the pictures that are not kept, each once."""
        wanted: set[Asked] = set()
        later = 0
        for unit in units:
            rows = known.rows(self.candidates.units[unit.start])
            wanted |= set(self._asked(self._named(rows or ())))
            later += self.candidates.most * self.paintings if rows is None else 0
        now = sum(self._paintings.kept(asked, known.memos) is None for asked in wanted)
        return Work(paintings=Amount(0 if later else now, now + later))

    def assist(self, units: Sequence[Unit], parts: Parts, aids: Aids) -> Mapping[str, Made]:
        """Paint what no memo has, all neurons' pictures in the same batches."""
        wanted = {unit.key: self._asked(self.concepts(unit, parts)) for unit in units}
        done = self._paintings.painted((asked for found in wanted.values() for asked in found), aids)
        return {
            unit.key: Made(rows=self._rows(unit.start, [(asked, done[asked]) for asked in wanted[unit.key]]))
            for unit in units
        }

    def _asked(self, concepts: Sequence[str]) -> list[Asked]:
        return [Asked(concept, number) for concept in concepts for number in range(self.paintings)]

    def _rows(self, neuron: int, found: Sequence[tuple[Asked, Mapping[str, Any]]]) -> dict[str, list[Any]]:
        module = self.candidates.captions.exemplars.seen.top.activations.module
        return {
            "module": [module] * len(found),
            "neuron": [neuron] * len(found),
            "concept": [asked.concept for asked, _ in found],
            "number": [asked.number for asked, _ in found],
            "seed": [self._paintings.seed(asked) for asked, _ in found],
            **{name: [each[name] for _, each in found] for name in ("picture", "pixels", "status")},
        }
