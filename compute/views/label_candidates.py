"""The view of what each neuron might be called."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from ...store import digest
from ...store.errors import BadSource, RequestFailed
from ...store.grid import Grid
from ...store.memos import Memos, path_of
from ...store.sets import Language
from ...store.views import Input, Param, Parts, TableView, Unit
from ..kinds import Assisted, Made
from ..work import Amount, Known, Work
from .captions import Captions

if TYPE_CHECKING:
    from ..aids import Aids
    from ..language.forecasting import Forecast
    from ..language.settings import Settings


Said = tuple[str, str, str, str, str]
"""Of a sample: the label, its status, the reply as it came, why there is no label, the request's digest."""


@dataclass(frozen=True)
class LabelCandidates(Assisted, TableView):
    """What a language model makes of the captions of each neuron's exemplars: a few short labels.

    It is asked `samples` times, with the captions in other orders; equal labels are one candidate
    (Describe-and-Dissect, Bai et al. 2024, section 3.2). `status` is ok, refused or malformed, and `said`
    the reply as it came. A usable reply is kept the moment it is there, by its request: it is never asked
    and paid for twice. `preset="paper"` sets the parameters as the released code does.
    """

    captions: Input[Captions]
    language: Param[Language]
    """The name of a registered language model; `rules`, which needs none, where none is registered."""
    label_language: Param[str] = "en"
    """Code of the language of the labels."""
    samples: Param[int] = 5
    """How often the captions are summarised."""
    temperature: Param[float] = 0.3
    """0 for the likeliest reply; above it, replies are drawn."""
    seed: Param[int] = 0
    """Another seed draws other replies."""
    epoch: Param[int] = 0
    """Raised by one to have replies drawn anew that are there already."""
    summarise: Param[bool] = True
    """Whether captions are summarised; without it the captions themselves are the candidates."""
    clean: Param[bool] = True
    """Whether loops and agencies' marks are taken out of captions first."""
    simplify: Param[bool] = False
    """Whether each caption is first shortened by the language model."""
    ranked_first: Param[bool] = False
    """Whether the first summary sees the captions in the order of their exemplars."""
    colon: Param[Literal["prefix", "between"]] = "prefix"
    """Of "a: b: c", what is the label: all after the first colon, or what stands between two of them."""
    comma: Param[Literal["first", "merge"]] = "first"
    """Of a list, what is the label: its first entry, or what the model makes of all when asked again."""
    background: Param[bool] = False
    """Whether a label that ends in "design" or "graphic" is also one with "background" after it."""
    prompt: Param[str] = "summarise"
    """The prompt by which captions are summarised."""
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "default": {},
        "paper": {
            "clean": False,
            "simplify": True,
            "ranked_first": True,
            "colon": "between",
            "comma": "merge",
            "background": True,
            "prompt": "summarise_worked",
        },
    }
    version: ClassVar[int] = 3  # 2 took replies in another language of the same script
    axis: ClassVar[str] = "neuron"
    columns: ClassVar[Mapping[str, str]] = {
        "module": "string",
        "neuron": "int32",
        "sample": "int32",
        "candidate": "string",
        "status": "string",
        "said": "string",
        "reason": "string",
        "request": "string",
    }

    def __post_init__(self) -> None:
        """Refuse what no language model can be asked."""
        if not 0 <= self.temperature <= 2:
            raise BadSource(f"temperature={self.temperature}: from 0 to 2")
        _ = self.settings

    @property
    def settings(self) -> Settings:
        """How captions become candidates; `BadSource` for what is none."""
        from ..language.messages import Sampling
        from ..language.settings import Settings

        return Settings(
            language=self.label_language,
            samples=self.samples,
            clean=self.clean,
            simplify=self.simplify,
            ranked_first=self.ranked_first,
            colon=self.colon,
            comma=self.comma,
            background=self.background,
            summary_prompt=self.prompt,
            sampling=Sampling(temperature=self.temperature, seed=self.seed, epoch=self.epoch),
        )

    @property
    def most(self) -> int:
        """The most candidates of a neuron."""
        if not self.summarise:
            return self.captions.exemplars.exemplars
        return self.samples * (2 if self.background else 1)

    @property
    def grid(self) -> Grid:
        """One neuron a unit: nothing is paid for that was not asked for."""
        return self.captions.grid

    def constant(self) -> Mapping[str, str]:
        """Name the module."""
        return self.captions.constant()

    def needs(self, index: int) -> Sequence[Unit]:
        """List the neuron's captions."""
        return (self.captions.units[index],)

    def contents(self, start: int, stop: int) -> str:
        """Give the digest of the neuron's captions, of the prompts' words and of how they are sent."""
        from ..language.candidates import version

        asked = digest.of_facts({**self.settings.facts(), **version()}) if self.summarise else ""
        return digest.of_sequence([self.captions.units[start].key, asked])

    def assist(self, units: Sequence[Unit], parts: Parts, aids: Aids) -> Mapping[str, Made | Exception]:
        """Ask about some neurons; as many requests are under way at once as the model takes."""
        told = [self.told(unit, parts) for unit in units]
        found: Sequence[list[Said] | RequestFailed]
        if self.summarise:
            found = self._summarised(told, aids)
        else:
            found = [
                [(text, "ok", text, "", "") for text in dict.fromkeys(filter(None, each))] for each in told
            ]
        return {
            unit.key: each if isinstance(each, RequestFailed) else Made(rows=self._rows(unit.start, each))
            for unit, each in zip(units, found, strict=True)
        }

    def _summarised(self, told: Sequence[Sequence[str]], aids: Aids) -> list[list[Said] | RequestFailed]:
        from ..language.candidates import candidates

        ask = aids.asker(self.language)

        def one(captions: Sequence[str]) -> list[Said]:
            found = candidates(captions, ask, settings=self.settings, memo=aids.memos)
            return [(each.text, each.status, each.said, each.reason, each.request) for each in found.samples]

        return ask.tried(one, told)

    def named(self, rows: Sequence[Mapping[str, Any]], memos: Memos) -> Iterable[str]:
        """Give the paths of the replies that decided."""
        from ..language.candidates import KIND

        decided = {row["request"] for row in rows}
        kept = (each["cause"] for each in memos.of(KIND)) if self.summarise else ()
        return (path_of(KIND, cause) for cause in kept if digest.of_facts(cause["request"]) in decided)

    def forecast(self, units: Sequence[Unit], known: Known) -> Work:
        """Count the calls and tokens: at least if every first reply is usable, at most if none is."""
        if not self.summarise:
            return Work()
        from ..language.forecasting import forecast

        ask = known.asker(self.language)
        rows = [known.rows(self.captions.units[unit.start]) for unit in units]
        told = {tuple(self._in_order(each)) for each in rows if each is not None}
        later = sum(each is None for each in rows)
        total = Work()
        for captions in sorted(told):
            total += _work(forecast(captions, ask, settings=self.settings, memo=known.memos))
        if later:
            one = _work(forecast(self.captions.exemplars.exemplars, ask, settings=self.settings))
            for _ in range(later):
                total += one
        return total

    def told(self, unit: Unit, parts: Parts) -> list[str]:
        """List the captions of a unit's neuron, the best exemplar's first."""
        return self._in_order(parts.rows(self.captions.units[unit.start]).to_pylist())

    def _in_order(self, rows: Sequence[Mapping[str, Any]]) -> list[str]:
        return [row["caption"] for row in sorted(rows, key=lambda row: row["rank"])]

    def _rows(self, neuron: int, samples: Sequence[Said]) -> dict[str, list[Any]]:
        rows: dict[str, list[Any]] = {name: [] for name in self.columns}
        for number, (text, status, said, reason, request) in enumerate(samples):
            module = self.captions.exemplars.seen.top.activations.module
            label = text if status == "ok" else None
            values = (module, neuron, number, label, status, said, reason, request)
            for name, value in zip(self.columns, values, strict=True):
                rows[name].append(value)
        return rows


def _work(found: Forecast) -> Work:
    """Give what a language model will take as work."""
    least, most = found.least, found.most
    known = least.usd is not None and most.usd is not None
    return Work(
        calls=Amount(least.calls, most.calls),
        tokens=Amount(least.tokens_in + least.tokens_out, most.tokens_in + most.tokens_out),
        usd=Amount(least.usd or 0, most.usd or 0) if known else None,
    )
