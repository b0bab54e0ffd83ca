"""Models that stay in memory between fills, so that a notebook does not load one for each read."""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING

from ..store.sets import Model

if TYPE_CHECKING:
    from .models import Loaded

RESIDENT = 2
"""How many models stay in memory; the one used longest ago goes first."""


class Residents:
    """The models in memory of one open store."""

    def __init__(self) -> None:
        self._loaded: OrderedDict[str, Loaded] = OrderedDict()

    def clear(self) -> None:
        """Let go of all of them."""
        self._loaded.clear()

    def get(self, model: Model, device: str) -> Loaded:
        """Give a model on a device, loaded if it is not yet."""
        from ..store import digest
        from .models import load

        facts = {"image": model.identity("image"), "text": model.identity("text"), "device": device}
        key = digest.of_facts(facts)
        if key not in self._loaded:
            while len(self._loaded) >= RESIDENT:
                self._loaded.popitem(last=False)
            self._loaded[key] = load(model, device)
        self._loaded.move_to_end(key)
        return self._loaded[key]
