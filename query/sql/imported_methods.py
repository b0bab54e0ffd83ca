"""The labels that imports give neurons, method by method: of each neuron the best."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ...store.sets import MethodLabels
from .imported_tables import table

if TYPE_CHECKING:
    from ...store.folder import Folder

USABLE = frozenset({"ok", "group"})
"""The statuses of labels that say something."""
SAID = ("neuron", "rank", "label", "score", "score_name", "status", "import_id")


def imported_methods(folder: Folder) -> dict[tuple[str, str, str], MethodLabels]:
    """Give the best label of each neuron of which an import says something, by model, module and method.

    The best is the first by rank, and then by annotator, that can be used; without one there is none.
    Raises `DamagedObject` where an import is not as it was written.
    """
    found: dict[tuple[str, str, str], dict[int, Mapping[str, Any]]] = {}
    for row in sorted(table(folder, "imported_labels").to_pylist(), key=_order):
        of = found.setdefault((row["model"], row["module"], row["method"]), {})
        usable = row["status"] in USABLE
        if row["neuron"] not in of or (usable and of[row["neuron"]]["label"] is None):
            best = {name: row[name] for name in SAID}
            of[row["neuron"]] = {**best, "rank": 0, **({} if usable else {"label": None, "score": None})}
    return {
        key: MethodLabels(key[2], tuple(of[neuron] for neuron in sorted(of))) for key, of in found.items()
    }


def _order(row: Mapping[str, Any]) -> tuple[int, bool, int]:
    """Put a neuron's labels in order; those of no annotator come first."""
    return row["rank"], row["annotator"] is not None, row["annotator"] or 0
