"""What the candidate labels of a neuron will take of a language model, before it is asked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from . import prompts
from .asking import Asker
from .budget import Spent
from .candidates import Answer, Chain, Memo, told
from .settings import PRESETS, Settings

LONGEST = 32
"""The most tokens of a caption that is not there yet: as many as captioners are asked for."""
_WORD = "photo "


@dataclass(frozen=True, slots=True)
class Forecast:
    """What will be spent; attempts that fail and are made again come on top."""

    least: Spent
    """If every first reply is usable."""
    most: Spent
    """If every question has to be asked again in stricter words, and every list has to be merged."""
    kept: int
    """Questions to which a usable reply is kept already."""

    @property
    def exact(self) -> bool:
        """Whether the number of calls is known."""
        return self.least.calls == self.most.calls

    def plus(self, other: Forecast) -> Forecast:
        """Add the forecast for another neuron."""
        return Forecast(self.least.plus(other.least), self.most.plus(other.most), self.kept + other.kept)


def forecast(
    captions: Sequence[str] | int,
    ask: Asker,
    *,
    settings: Settings = PRESETS["default"],
    memo: Memo | None = None,
) -> Forecast:
    """Say what `candidates` will take for one neuron, without asking anything.

    Tokens are estimated where the model has no tokenizer here; replies count with the most they may have.

    Args:
        captions: Those of its exemplars, or how many there will be where they are not there yet.
        ask: The language model, with its budget's price.
        settings: What will be done.
        memo: Where replies are kept.
    """
    asked = _Questions(ask, Chain(ask, settings, memo), settings)
    if ask.model.terms.metered:
        if isinstance(captions, int):
            asked.about([_WORD * LONGEST] * captions, certain=False)
        else:
            asked.about(told(captions, settings), certain=True)
    return asked.total()


class _Questions:
    """What is going to be asked, added up."""

    def __init__(self, ask: Asker, chain: Chain, settings: Settings) -> None:
        self._ask, self._chain, self._settings = ask, chain, settings
        self._least = self._most = ask.budget.of(0, 0, 0)
        self._kept = 0

    def total(self) -> Forecast:
        return Forecast(self._least, self._most, self._kept)

    def about(self, captions: Sequence[str], *, certain: bool) -> None:
        """Add all that is asked about captions; certain ones are those that there will be."""
        if self._settings.simplify:
            captions, certain = self._simplified(captions, certain)
        for number in range(self._settings.samples if captions else 0):
            answer = self._question(self._settings.summary_prompt, captions, number, certain)
            parts = self._chain.listed(answer) if answer else ()
            if parts:
                self._question("merge", parts, number, certain)
            elif answer is None and self._settings.comma == "merge":
                longest = [_WORD * self._settings.sampling.max_tokens]
                self._question("merge", longest, number, certain=False)

    def _simplified(self, captions: Sequence[str], certain: bool) -> tuple[list[str], bool]:
        """Add the shortening of captions; gives what is known to come of it, or as long as it may be."""
        brief = _WORD * prompts.find("simplify").words
        phrases = dict[str, str | None]()
        for caption in dict.fromkeys(captions) if certain else captions:
            answer = self._question("simplify", [caption], 0, certain)
            phrases[caption] = answer.verdict.text if answer else None
        if None in phrases.values():
            return [phrases[each] or max(each, brief, key=len) for each in captions], False
        return [phrases[each] or each for each in captions], certain

    def _question(self, task: str, captions: Sequence[str], number: int, certain: bool) -> Answer | None:
        """Add a question that will be asked once or twice; gives the answer that is kept."""
        both = self._chain.both(task, captions, number)
        kept = self._chain.kept(both) if certain else None
        if kept is not None:
            self._kept += 1
            return kept
        first, second = (
            self._ask.budget.of(self._ask.model.tokens(request), request.sampling.max_tokens)
            for request in both
        )
        self._most = self._most.plus(first).plus(second)
        self._least = self._least.plus(first) if certain else self._least
        return None
