"""JSON that carries the digest of its own facts, so that a byte of it that changes is noticed."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from . import digest


def seal(facts: Mapping[str, Any]) -> bytes:
    """Write plain facts as canonical JSON, with the digest of them all as `sha256`.

    Raises `TypeError` or `ValueError` for what canonical JSON does not hold (`store/digest.py`).
    """
    plain = json.loads(json.dumps(facts, allow_nan=False))
    return digest.canonical({**plain, "sha256": digest.of_facts(plain)})


def unseal(data: bytes) -> dict[str, Any]:
    """Read what `seal` wrote; `ValueError` for bytes that are not exactly those."""
    try:
        facts: dict[str, Any] = json.loads(data)
        del facts["sha256"]
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise ValueError(f"no sealed JSON: {error!r}") from error
    if seal(facts) != data:
        raise ValueError("sealed JSON whose bytes changed")
    return facts
