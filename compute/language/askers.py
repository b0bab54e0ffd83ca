"""Language models as one run asks them: with its budget and its patience, and from what is in memory."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .allowance import Allowance
from .asking import Asker
from .budget import Budget, Limits, price
from .retrying import Policy, Retries

if TYPE_CHECKING:
    from ...store.sets import Language
    from ..models.residents import Residents
    from ..running.report import Settings


class Askers:
    """What a run remembers of the language models that it asks: all but the models themselves.

    A model is taken from the residents each time, and held by none but who asks it; so a chat model makes
    room on the device for the painter that comes after it.
    """

    def __init__(self, residents: Residents, settings: Settings) -> None:
        """Take where models are, and what they may take together; nothing is loaded."""
        self._residents, self._device = residents, settings.runs_on
        self._allowance, self._purse = settings.allowance or Allowance(), settings.purse
        self._known: dict[str, tuple[Budget, Retries]] = {}

    def __call__(self, language: Language) -> Asker:
        """Give a language model, loaded if it is not, with what is left of its budget and of our patience."""
        model = self._residents.instrument(language, self._device())
        if language.key not in self._known:
            limits, cost = Limits(**self._allowance.facts()), price(model, self._allowance.known())
            self._known[language.key] = Budget(limits, cost, self._purse), Retries(model.name, Policy())
        budget, retries = self._known[language.key]
        return Asker(model, budget=budget, policy=retries, identity=language.facts)
