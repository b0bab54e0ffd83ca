"""Which imports say something of the same neurons, and which of them are seen.

An import is not seen where another lists it in `replaces`. A new one lists those whose place it takes, and
all whose places these had taken; and none is put that is in such a list already. So no two list each other.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from .folder import Folder
from .imports import Import

Rows = Sequence[Mapping[str, Any]]


def replaced(every: Iterable[Import]) -> dict[str, str]:
    """Give the imports that are not seen, each with the one by which it was replaced first."""
    found: dict[str, str] = {}
    for each in sorted(every, key=lambda each: len(each.facts["replaces"])):
        for gone in each.facts["replaces"]:
            found.setdefault(gone, each.key)
    return found


def rivals_of(folder: Folder, key: str, facts: Mapping[str, Any], rows: Rows) -> list[Import]:
    """List the imports that are seen and have rows of the same neurons, by the same method.

    Args:
        folder: The store.
        key: The import that is asked for; it is no rival of its own.
        facts: Its facts: `kind`, `target` and `method`.
        rows: The rows of the table of its kind.
    """
    every = list(folder.imports.every(but=key))
    gone, mine = replaced(every), set(_about(facts["kind"], rows))
    return [
        each
        for each in every
        if each.key not in gone
        and all(each.facts[name] == facts[name] for name in ("kind", "target", "method"))
        and not mine.isdisjoint(_about(facts["kind"], _rows(folder, each)))
    ]


def places(rivals: Iterable[Import]) -> list[str]:
    """List the imports whose place is taken with that of some: these, and those that they had replaced."""
    return sorted({key for each in rivals for key in (each.key, *each.facts["replaces"])})


def _rows(folder: Folder, found: Import) -> Rows:
    table = folder.imports.rows(found, found.facts["kind"])
    return [] if table is None else table.to_pylist()


def _about(kind: str, rows: Rows) -> Iterator[tuple[Any, ...]]:
    """Give what each row is about: a neuron, and of ratings a method and a rater, too."""
    names = ("module", "neuron", "method", "rater") if kind == "ratings" else ("module", "neuron")
    return (tuple(row[name] for name in names) for row in rows)
