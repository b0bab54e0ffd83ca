"""Names of files that are written where none was given: each for what it shows."""

from __future__ import annotations

import re
from hashlib import sha256

LONGEST = 120
"""Letters of a name at most, without its ending."""
PLAIN = re.compile(r"[\w.:/='\" -]*")
"""What can be told from a name although all but letters, digits and points become dashes."""


def picture_name(*words: str | None) -> str:
    """Name a picture for what it shows; what is None or empty is left out.

    Of words that a name cannot tell apart, such as "layer > 8" and "layer < 8", or that are too long for one,
    the name ends in a digest.

    >>> picture_name("similar", "17", "role = 'colour'")
    'similar-17-role-colour.png'
    >>> picture_name("similar", "17", "layer > 8")
    'similar-17-layer-8-09b610.png'
    """
    there = [each for each in words if each]
    name = re.sub(r"[^\w.]+", "-", " ".join(there)).strip("-")
    if len(name) <= LONGEST and all(PLAIN.fullmatch(each) for each in there):
        return f"{name}.png"
    digest = sha256("\0".join(there).encode()).hexdigest()[:6]
    return f"{name[: LONGEST - 7].strip('-')}-{digest}.png"
