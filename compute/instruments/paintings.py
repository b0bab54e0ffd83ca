"""Pictures that are painted of texts, each kept by what it follows from."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from PIL import Image

from ...store import digest
from ...store.errors import BadSource
from ...store.sets import Painter
from ..images.pixels import pixels_of, png

if TYPE_CHECKING:
    from ...store.memos import Memos
    from ..running.aids import Aids

VERSION = 1
"""Raised when equal requests would be painted otherwise; units that paintings went into follow from it."""
DEFAULTS = {"steps": 25, "guidance": 7.5}
"""How pictures are painted where neither a view nor the painter says otherwise."""


@dataclass(frozen=True, slots=True)
class Asked:
    """One picture that is to be painted."""

    concept: str
    """What it is of."""
    number: int
    """Which picture of it, from 0."""


@dataclass(frozen=True, slots=True)
class Paintings:
    """How pictures of concepts are asked for; equal requests to one painter share their pictures."""

    painter: Painter
    """Who paints."""
    template: str
    """What the painter is asked for; `{concept}` stands for the concept."""
    steps: int
    """Steps of diffusion; 0 for as many as the painter takes by default."""
    guidance: float
    """How closely the text is followed; below 0, the painter's own default."""

    def check(self, count: int) -> None:
        """Refuse what cannot be painted: `BadSource`."""
        if count < 1 or self.steps < 0:
            raise BadSource(f"{count} pictures in {self.steps} steps: they start at 1 and at 0")
        if "{concept}" not in self.template:
            raise BadSource(f"{self.template!r} has no {{concept}} in it")

    def prompt(self, asked: Asked) -> str:
        """Give what the painter is asked for."""
        return self.template.replace("{concept}", asked.concept)

    @property
    def facts(self) -> dict[str, Any]:
        """How it is painted in the end; units that paintings go into follow from it."""
        return {"version": VERSION, **self._used}

    @property
    def _own(self) -> dict[str, Any]:
        """How the painter paints where nothing is said."""
        return {**DEFAULTS, **self.painter.facts.get("defaults", {})}

    @property
    def _used(self) -> dict[str, Any]:
        """The steps and the guidance that are used."""
        steps, guidance = self.steps or self._own["steps"], self.guidance
        return {"steps": steps, "guidance": float(guidance if guidance >= 0 else self._own["guidance"])}

    def cause(self, asked: Asked) -> dict[str, Any]:
        """Give what a painting follows from."""
        picture = {"painter": self.painter.key, "prompt": self.prompt(asked), "number": asked.number}
        return {**picture, **self.facts}

    def seed(self, asked: Asked) -> int:
        """Give the seed of a painting's noise: the low 63 bits of the digest of what is asked for.

        Steps and guidance that are the painter's own count as not said, whether they are or not.
        """
        own, used = self._own, self._used
        picture = {"painter": self.painter.key, "prompt": self.prompt(asked), "number": asked.number}
        said = {
            "steps": 0 if used["steps"] == own["steps"] else used["steps"],
            "guidance": -1.0 if used["guidance"] == own["guidance"] else used["guidance"],
        }
        return int(digest.of_facts({**picture, **said}), 16) & (2**63 - 1)

    def kept(self, asked: Asked, memos: Memos) -> dict[str, Any] | None:
        """Give what is kept of a painting, if its file is there, too."""
        found = memos.get("paintings", self.cause(asked))
        return found if found is not None and _whole(found, memos) else None

    def painted(self, wanted: Iterable[Asked], aids: Aids) -> dict[Asked, dict[str, Any]]:
        """Paint what is not kept; a batch has paintings of one concept.

        So what a painting looks like, to the last bit, does not depend on which other concepts are asked for.

        Gives of each the digest of its file as `picture`, that of its `pixels`, both None where the painter
        gave nothing that can be shown, and a `status`.
        """
        every = list(dict.fromkeys(wanted))
        done = {asked: found for asked in every if (found := self.kept(asked, aids.memos)) is not None}
        for concept in dict.fromkeys(asked.concept for asked in every):
            lacking = [asked for asked in every if asked.concept == concept and asked not in done]
            for start in range(0, len(lacking), aids.batch_size):
                some = lacking[start : start + aids.batch_size]
                for asked, found in zip(some, self._fresh(some, aids), strict=True):
                    whole = partial(_whole, memos=aids.memos)
                    done[asked] = aids.memos.put("paintings", self.cause(asked), found, whole)
                aids.tick()
        return done

    def _fresh(self, some: Sequence[Asked], aids: Aids) -> Iterator[dict[str, Any]]:
        requests = [(self.prompt(asked), self.seed(asked)) for asked in some]
        for found in aids.instrument(self.painter).paint(requests, **self._used):
            if isinstance(found, Image.Image):
                name = aids.memos.put_picture(png(found))
                yield {"picture": name, "pixels": pixels_of(found), "status": "ok"}
            else:
                yield {"picture": None, "pixels": None, "status": found.reason}


def _whole(found: Mapping[str, Any], memos: Memos) -> bool:
    """Tell whether the file of what is kept of a painting is there, if it has one."""
    return found["picture"] is None or memos.picture(found["picture"]) is not None
