"""Which of the names that there are a name may be misspelt for."""

from __future__ import annotations

import difflib
from collections.abc import Sequence


def nearest(name: str, known: Sequence[str]) -> str:
    """Say which known name is nearest, or which there are.

    >>> nearest("head_descripton", ["head_descriptions", "head_roles"])
    "; did you mean 'head_descriptions'?"
    >>> nearest("x", [])
    '; there is none yet'
    """
    if not known:
        return "; there is none yet"
    close = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    if close:
        return f"; did you mean {close[0]!r}?"
    listed = ", ".join(known[:8]) + (", …" if len(known) > 8 else "")
    return f"; there are {listed}"
