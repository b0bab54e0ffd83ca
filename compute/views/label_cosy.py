"""The view of how neurons answer to pictures that are painted of their labels."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from PIL import Image

from ...store import digest
from ...store.errors import DamagedUnit
from ...store.sets import Painter
from ...store.views import Array, Param, Parts, Unit
from ..instruments.paintings import Asked, Paintings
from ..kinds import Assisted, Made
from ..neurons.judged import Judged, Verdict, best
from ..neurons.pooled import NEURONS
from ..neurons.telling import auroc, shift
from ..work import Amount, Known, Work

if TYPE_CHECKING:
    from ..running.aids import Aids


@dataclass(frozen=True)
class LabelCosy(Assisted, Judged):
    """Whether each neuron answers to pictures painted of its best label more than to the images of the set.

    `cosy_auc` is the share of pairs, a picture and an image, of which the neuron gives more for the picture,
    ties counted half. `cosy_mad` is how far the mean over the pictures lies above that over the images, in
    standard deviations (divided by their number) of the images; 0 where these are all equal (CoSy, Kopf et
    al. 2024, section 4). Images that cannot be read and pictures that show nothing are left out; `n` counts
    the pictures. Pictures are those of `synthetic_images` where painter, prompt, steps and guidance are: a
    picture belongs to its prompt and its number, and not to a neuron.
    """

    photo_painter: Param[Painter]
    """The name of a registered painter; `painter` is the one that labels are made with."""
    photos: Param[int] = 50
    """Pictures of each label."""
    photo_prompt: Param[str] = "a realistic close-up photo of {concept}"
    """What the painter is asked for; `{concept}` stands for the label."""
    photo_steps: Param[int] = 0
    """Steps of diffusion; 0 for as many as the painter takes by default."""
    photo_guidance: Param[float] = -1.0
    """How closely the text is followed (classifier-free guidance); below 0, the painter's own default."""

    version: ClassVar[int] = 2

    def __post_init__(self) -> None:
        """Refuse what cannot be painted."""
        self._paintings.check(self.photos)

    @property
    def _paintings(self) -> Paintings:
        return Paintings(self.photo_painter, self.photo_prompt, self.photo_steps, self.photo_guidance)

    def among(self) -> Mapping[str, Sequence[str]]:
        """Name the metrics."""
        return {"metric": ("cosy_auc", "cosy_mad")}

    def needs(self, index: int) -> Sequence[Unit]:
        """List the unit of labels, and all activations."""
        return (self.labels.units[index], *self.activations.units)

    def contents(self, start: int, stop: int) -> str:
        """Give the digest of the labels, of how they are painted, and of all activations."""
        how = digest.of_facts(self._paintings.facts)
        activations = (unit.key for unit in self.activations.units)
        return digest.of_sequence([self.labelled(start).key, how, *activations])

    def forecast(self, units: Sequence[Unit], known: Known) -> Work:
        """Count the pictures that are not kept, each once, and those that are to go through the model."""
        wanted: set[Asked] = set()
        later = 0
        for unit in units:
            rows = known.rows(self.labels.units[unit.index])
            said = [row["label"] for row in rows or () if row["rank"] == 0 and row["label"] is not None]
            wanted |= {Asked(label, number) for label in said for number in range(self.photos)}
            later += (unit.stop - unit.start) * self.photos if rows is None else 0
        now = sum(self._paintings.kept(asked, known.memos) is None for asked in wanted)
        through = Amount(0, len(wanted) + later)
        return Work(pictures=through, paintings=Amount(0 if later else now, now + later))

    def assist(self, units: Sequence[Unit], parts: Parts, aids: Aids) -> Mapping[str, Made]:
        """Paint what no memo has, run each label's pictures through the model once, and compare."""
        labels = {unit.key: best([self.labels.units[unit.index]], parts) for unit in units}
        said = sorted({label for of in labels.values() for label in of.values() if label is not None})
        wanted = {label: [Asked(label, number) for number in range(self.photos)] for label in said}
        done = self._paintings.painted((asked for of in wanted.values() for asked in of), aids)
        answers: dict[int, Array] = {}
        for label, asked in wanted.items():
            shown = [name for each in asked if (name := done[each]["picture"]) is not None]
            answers |= self._answers(label, shown, labels, units, aids)
        return {
            unit.key: Made(rows=self.rows(self._verdicts(unit, labels[unit.key], answers, parts)))
            for unit in units
        }

    def _answers(
        self,
        label: str,
        shown: Sequence[str],
        labels: Mapping[str, Mapping[int, str | None]],
        units: Sequence[Unit],
        aids: Aids,
    ) -> dict[int, Array]:
        """Give what each neuron with a label gives for the pictures of it; of the others nothing is kept."""
        of = {unit: [each for each, said in labels[unit.key].items() if said == label] for unit in units}
        if not shown:
            return {}
        first = next(unit for unit in units if of[unit])
        given = aids.activations(self.activations, [_opened(first, name, aids) for name in shown])
        return {neuron: given[:, neuron].copy() for neurons in of.values() for neuron in neurons}

    def _verdicts(
        self, unit: Unit, labels: Mapping[int, str | None], answers: Mapping[int, Array], parts: Parts
    ) -> Iterator[Verdict]:
        nothing = np.empty(0, np.float32)
        for start in range(unit.start, unit.stop, NEURONS):
            stop = min(start + NEURONS, unit.stop)
            control = parts.array(self.activations, "activation", (slice(None), slice(start, stop)))
            control = control[~np.isnan(control).any(axis=1)].astype(np.float32)
            for neuron in (each for each in labels if start <= each < stop):
                label, pictures = labels[neuron], answers.get(neuron, nothing)
                images = control[:, neuron - start]
                yield Verdict(neuron, "cosy_auc", auroc(pictures, images), label, None, len(pictures))
                yield Verdict(neuron, "cosy_mad", shift(pictures, images), label, None, len(pictures))


def _opened(unit: Unit, name: str, aids: Aids) -> Image.Image:
    """Open a picture that was painted; where its file was taken away just now, the unit is made again."""
    data = aids.memos.picture(name)
    if data is None:
        raise DamagedUnit(str(unit), [f"painted picture {name[:12]}: removed"])
    return Image.open(io.BytesIO(data)).convert("RGB")
