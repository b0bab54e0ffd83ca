"""What stands beside an array: names along an axis, or numbers that are read when they are asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from ..store.views import Array, Coord, Parts


class Coords(Mapping[str, Any]):
    """The coordinates of an array by name; to ask for one of numbers reads it, and fills what is missing."""

    def __init__(self, known: Mapping[str, Coord], read: Callable[[Callable[[Parts], Array]], Array]) -> None:
        self._known, self._read = known, read

    def __getitem__(self, name: str) -> Any:
        found = self._known[name]
        return found if isinstance(found, tuple) else self._read(found)

    def __iter__(self) -> Iterator[str]:
        return iter(self._known)

    def __len__(self) -> int:
        return len(self._known)

    def __repr__(self) -> str:
        return f"<Coords {', '.join(self) or 'none'}>"
