"""How well numbers tell two groups apart."""

from __future__ import annotations

import numpy as np

from ...store.views import Array


def auroc(inside: Array, outside: Array) -> float | None:
    """Give the chance that one of the first is larger than one of the second, ties counted half.

    None where there is none of one of them.

    >>> auroc(np.array([2.0, 3.0]), np.array([1.0, 2.0]))
    0.875
    """
    if not len(inside) or not len(outside):
        return None
    from scipy.stats import rankdata

    ranks = rankdata(np.concatenate([inside, outside]), method="average")
    above = ranks[: len(inside)].sum() - len(inside) * (len(inside) + 1) / 2
    return float(above / (len(inside) * len(outside)))


def shift(inside: Array, outside: Array) -> float | None:
    """Give how far the mean of the first lies above that of the second, in deviations of the second.

    The deviation is that of all of them (divided by their number); 0 where it is 0, None where there is none
    of one of them.
    """
    if not len(inside) or not len(outside):
        return None
    one, other = inside.astype(np.float64), outside.astype(np.float64)
    deviation = float(other.std())
    same = deviation == 0 or bool((other == other[0]).all())
    return 0.0 if same else float((one.mean() - other.mean()) / deviation)
