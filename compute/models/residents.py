"""Models that stay in memory between fills, so that a notebook does not load one for each read."""

from __future__ import annotations

from collections import OrderedDict
from threading import RLock
from typing import TYPE_CHECKING, Any

from ...store import digest
from ...store.sets import Instrument, Model

if TYPE_CHECKING:
    from .families.own import Own
    from .loaded import Loaded

RESIDENT = 2
"""How many models stay in memory; the one used longest ago goes first."""


class Residents:
    """The models in memory of one open store."""

    def __init__(self) -> None:
        self._loaded: OrderedDict[str, Loaded] = OrderedDict()
        self._own: dict[str, Own] = {}
        self._instrument: tuple[str, Any] | None = None
        self.turn = RLock()
        """Held by the thread that runs a model: hooks see what any other thread runs through it, too."""

    def give(self, model: Model, own: Own) -> None:
        """Hand over the module that a registered model of one's own is."""
        self._own[_key(model)] = own
        for key in [each for each in self._loaded if each.startswith(_key(model))]:
            del self._loaded[key]

    def clear(self) -> None:
        """Let go of all of them."""
        self._loaded.clear()
        self._instrument = None

    def instrument(self, each: Instrument, device: str) -> Any:
        """Give a captioner, language model or painter, loaded if it is not; one at a time is in memory."""
        from ..instruments import sources as instruments

        key = f"{each.key} {device}"
        if self._instrument is None or self._instrument[0] != key:
            self._instrument = None
            self._instrument = key, instruments.load(each, device)
        return self._instrument[1]

    def get(self, model: Model, device: str) -> Loaded:
        """Give a model on a device, loaded if it is not yet."""
        from .loaded import load
        from .sources import find

        key = f"{_key(model)} {device}"
        if key not in self._loaded:
            while len(self._loaded) >= RESIDENT:
                self._loaded.popitem(last=False)
            found = self._own.get(_key(model)) or find(model.source, model.checkpoint)
            self._loaded[key] = load(model, found, device)
        self._loaded.move_to_end(key)
        return self._loaded[key]


def _key(model: Model) -> str:
    """Give the digest of all that a model is, its name aside."""
    return digest.of_facts({"image": model.identity("image"), "text": model.identity("text")})
