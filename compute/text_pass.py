"""One forward pass over a block of texts."""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

import numpy as np
import torch

from ..store.views import Unit
from .kinds import Made, TextPass
from .models import Loaded
from .towers.check import directed


def make(unit: Unit, loaded: Loaded, *, batch_size: int, tick: Callable[[int], None]) -> Made:
    """Run the texts that a unit covers through the text tower.

    Texts that need more tokens than the model reads are rows of NaN, listed as absent: cut short they
    would stand for something that nobody wrote. Raises `NoDirection` where the model embeds texts as zeros or
    as no numbers.
    """
    view = cast("TextPass", unit.view)
    texts = view.texts.texts[unit.start : unit.stop]
    rooms = loaded.too_long(texts)
    absent = {
        row: f"needs more than the {room} tokens that the model reads"
        for row, room in enumerate(rooms)
        if room
    }
    rows = [row for row in range(len(texts)) if row not in absent]
    arrays = {
        member.name: np.full((len(texts), *member.shape[1:]), np.nan, member.dtype)
        for member in view.members()
    }
    start = 0
    while start < len(rows):
        batch = rows[start : start + min(batch_size, loaded.fits or batch_size)]
        try:
            features = loaded.encode_texts([texts[row] for row in batch])
        except torch.OutOfMemoryError:
            if len(batch) == 1:
                raise
            loaded.fits = len(batch) // 2
            torch.cuda.empty_cache()
            continue
        with np.errstate(over="ignore", invalid="ignore"):
            directed(np.linalg.norm(features, axis=1), "texts")
        for name, values in view.collect(features).items():
            arrays[name][batch] = values
        start += len(batch)
        tick(len(batch))
    return Made(arrays, absent=absent)
