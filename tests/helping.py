"""What units are made with, outside of a run."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import belvedere
from belvedere.compute.images.pictures import Pictures
from belvedere.compute.models.loaded import Loaded
from belvedere.compute.running.aids import Aids
from tests.worlds import engine


def helping(store: belvedere.Store, loaded: Loaded | None = None) -> Aids:
    """Give what units of a store are made with; any model is `loaded`, or what the store has of it."""
    lower = engine(store)
    given: dict[str, Any] = {
        **{"load": lambda model: loaded or lower.residents.get(model, "cpu")},
        **{"bench": None, "asker": None, "give_up": None, "batch_size": 8},
        **{"pictures": Pictures(lower.folder.objects), "memos": lower.folder.memos},
        **{"pool": ThreadPoolExecutor(2), "tick": lambda: None},
    }
    return Aids(**given)
