"""JSON that notices a change of its own bytes."""

from __future__ import annotations

import pytest

from belvedere.store.sealed import seal, unseal


def test_what_is_sealed_comes_back() -> None:
    facts = {"name": "photos", "counts": [1, 2.5, None], "nested": {"b": True}}
    assert unseal(seal(facts)) == facts


@pytest.mark.parametrize("place", range(len(seal({"name": "photos", "n": 1}))))
def test_every_flipped_bit_is_noticed(place: int) -> None:
    data = bytearray(seal({"name": "photos", "n": 1}))
    data[place] ^= 1 << (place % 8)
    with pytest.raises(ValueError, match="sealed JSON"):
        unseal(bytes(data))


@pytest.mark.parametrize("data", [b"", b"{}", b"[]", b"\xff", b'{"sha256": "0"}', b'{"a":1}'])
def test_what_was_never_sealed_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match="sealed JSON"):
        unseal(data)
