"""Digests of contents: the only identity that anything here has."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from typing import Any


def of_bytes(data: bytes | memoryview) -> str:
    """Give the SHA-256 of some bytes, as 64 hexadecimal digits."""
    return hashlib.sha256(data).hexdigest()


def of_facts(facts: Any) -> str:
    """Give the SHA-256 of plain values in canonical JSON: sorted keys, no spaces, UTF-8.

    Raises `TypeError` for anything but strings, finite numbers, booleans, None, lists and mappings of
    strings, so that no class's `str()` slips into an identity.

    >>> of_facts({"b": 1, "a": [True, None]}) == of_facts({"a": [True, None], "b": 1})
    True
    """
    return of_bytes(canonical(facts))


def key_of(facts: Any) -> str:
    """Give the key under which what has these facts is kept: half of their digest; errors are its."""
    return of_facts(facts)[:32]


def canonical(facts: Any) -> bytes:
    """Write plain values as canonical JSON.

    >>> canonical({"b": 1.5, "a": None})
    b'{"a":null,"b":1.5}'
    """
    text = json.dumps(facts, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return text.encode()


def of_sequence(digests: Iterable[str | bytes]) -> str:
    """Give the digest of an ordered sequence of digests or keys."""
    total = hashlib.sha256()
    for each in digests:
        data = each.encode() if isinstance(each, str) else each
        total.update(len(data).to_bytes(4, "big"))
        total.update(data)
    return total.hexdigest()


def differences(old: Mapping[str, Any], new: Mapping[str, Any], prefix: str = "") -> list[str]:
    """Say field by field where two nested mappings differ.

    >>> differences({"resize": {"mode": "bicubic"}}, {"resize": {"mode": "bilinear"}})
    ['resize.mode changed: bicubic → bilinear']
    """
    found: list[str] = []
    for field in sorted({*old, *new}):
        name = f"{prefix}{field}"
        before, after = old.get(field), new.get(field)
        if isinstance(before, Mapping) and isinstance(after, Mapping):
            found += differences(before, after, f"{name}.")
        elif before != after:
            found.append(f"{name} changed: {_short(before)} → {_short(after)}")
    return found


def _short(value: Any) -> str:
    """Shorten a digest to its first eight digits; leave other values as they are."""
    text = str(value)
    return text[:8] if len(text) == 64 and all(c in "0123456789abcdef" for c in text) else text
