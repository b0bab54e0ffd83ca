"""What a language model makes of a few sentences about each neuron: candidate labels, one neuron a unit."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from ...store import digest
from ...store.errors import BadSource, RequestFailed
from ...store.memos import Memos, path_of
from ...store.sets import Language
from ...store.views import Parts, TableView, Unit
from ..kinds import Assisted, Made
from ..work import Amount, Known, Work

if TYPE_CHECKING:
    from ..language.forecasting import Forecast
    from ..language.messages import Sampling
    from ..language.settings import Settings
    from ..running.aids import Aids

Rows = Callable[[Unit], Sequence[Mapping[str, Any]] | None]
"""What gives the rows of a unit; None where it is not there."""
Said = tuple[str, str, str, str, str]
"""Of a sample: the label, its status, the reply as it came, why there is no label, the request's digest."""


class Summarised(Assisted, TableView):
    """Candidate labels of neurons, from sentences that stand in other views."""

    language: Language
    temperature: float
    seed: int
    epoch: int
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

    @property
    @abstractmethod
    def settings(self) -> Settings:
        """How sentences become candidates; `BadSource` for what is none."""

    @property
    def sampling(self) -> Sampling:
        """How replies are drawn; `BadSource` for a temperature that is none."""
        from ..language.messages import Sampling

        if not 0 <= self.temperature <= 2:
            raise BadSource(f"temperature={self.temperature}: from 0 to 2")
        return Sampling(temperature=self.temperature, seed=self.seed, epoch=self.epoch)

    def refuse_what_cannot_be_asked(self) -> None:
        """Raise `BadSource` for choices that are none, and for a language that the rules do not know."""
        wanted = self.settings.language
        if self.summarises and self.language.facts.get("kind") == "rules" and wanted != "en":
            raise BadSource(
                f"label_language={wanted!r}: rules know English only; register a language model that writes "
                "others (belvedere add language NAME openai:MODEL or hf:FOLDER) and name it (language=…)"
            )

    @property
    @abstractmethod
    def sentences(self) -> int:
        """The most sentences of a neuron."""

    @property
    def summarises(self) -> bool:
        """Whether the model is asked; without it the sentences themselves are the candidates."""
        return True

    @abstractmethod
    def told(self, unit: Unit, rows: Rows) -> list[str] | None:
        """List the sentences about a unit's neuron, the best first; None where they are not there yet."""

    def asked(self) -> str:
        """Give the digest of the prompts' words and of how they are sent; nothing where none is."""
        from ..language.candidates import version

        return digest.of_facts({**self.settings.facts(), **version()}) if self.summarises else ""

    def assist(self, units: Sequence[Unit], parts: Parts, aids: Aids) -> Mapping[str, Made | Exception]:
        """Ask about some neurons; as many requests are under way at once as the model takes."""
        rows = once(lambda unit: parts.rows(unit).to_pylist())
        told = [self.told(unit, rows) or [] for unit in units]
        found: Sequence[list[Said] | RequestFailed]
        if self.summarises:
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

        def one(sentences: Sequence[str]) -> list[Said]:
            found = candidates(sentences, ask, settings=self.settings, memo=aids.memos)
            return [(each.text, each.status, each.said, each.reason, each.request) for each in found.samples]

        return ask.tried(one, told)

    def named(self, rows: Sequence[Mapping[str, Any]], memos: Memos) -> Iterable[str]:
        """Give the paths of the replies that decided."""
        from ..language.candidates import KIND

        decided = {row["request"] for row in rows}
        kept = (each["cause"] for each in memos.of(KIND)) if self.summarises else ()
        return (path_of(KIND, cause) for cause in kept if digest.of_facts(cause["request"]) in decided)

    def forecast(self, units: Sequence[Unit], known: Known) -> Work:
        """Count the calls and tokens: at least if every first reply is usable, at most if none is."""
        if not self.summarises:
            return Work()
        from ..language.forecasting import forecast

        ask = known.asker(self.language)
        rows = once(known.rows)
        found = [self.told(unit, rows) for unit in units]
        total = Work()
        for sentences in sorted({tuple(each) for each in found if each is not None}):
            total += _work(forecast(sentences, ask, settings=self.settings, memo=known.memos))
        later = sum(each is None for each in found)
        if later:
            one = _work(forecast(self.sentences, ask, settings=self.settings))
            for _ in range(later):
                total += one
        return total

    def _rows(self, neuron: int, samples: Sequence[Said]) -> dict[str, list[Any]]:
        rows: dict[str, list[Any]] = {name: [] for name in self.columns}
        for number, (text, status, said, reason, request) in enumerate(samples):
            label = text if status == "ok" else None
            values = (self.constant()["module"], neuron, number, label, status, said, reason, request)
            for name, value in zip(self.columns, values, strict=True):
                rows[name].append(value)
        return rows


def once(rows: Rows) -> Rows:
    """Read the rows of each unit once: many neurons share the units of their block."""
    read: dict[str, Sequence[Mapping[str, Any]] | None] = {}

    def found(unit: Unit) -> Sequence[Mapping[str, Any]] | None:
        if unit.key not in read:
            read[unit.key] = rows(unit)
        return read[unit.key]

    return found


def silence(rows: Sequence[Mapping[str, Any]]) -> str | None:
    """Say why some candidates have no label among them: refused or malformed; None where one has."""
    said = [row["status"] for row in rows if row["status"] != "ok"]
    if not rows or len(said) < len(rows):
        return None
    return "refused" if "refused" in said else "malformed"


def _work(found: Forecast) -> Work:
    """Give what a language model will take as work."""
    least, most = found.least, found.most
    known = least.usd is not None and most.usd is not None
    return Work(
        calls=Amount(least.calls, most.calls),
        tokens=Amount(least.tokens_in + least.tokens_out, most.tokens_in + most.tokens_out),
        usd=Amount(least.usd or 0, most.usd or 0) if known else None,
    )
