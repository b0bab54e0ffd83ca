"""The labels that imports give neurons, method by method: of each neuron the best."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import pyarrow as pa

from ...compute.neurons import neuron_labels
from ...store import parts
from ...store.rivals import replaced
from ...store.sets import MethodLabels
from .imported_tables import by_target

if TYPE_CHECKING:
    from ...store.folder import Folder
    from ...store.imports import Import

USABLE = frozenset({"ok", "group"})
"""The statuses of labels that say something."""
COLUMNS = {name: kind for name, kind in neuron_labels.COLUMNS.items() if name not in {"module", "method"}}
"""What is said of each neuron; the module and the method are the same for all."""
_FACTS = ("source", "file", "adapter", "rows_ok", "time")
"""What is known of an import that its labels' lineage tells."""


class Of(NamedTuple):
    """What labels are of."""

    model: str
    """The model's name."""
    module: str
    """The module of the neurons."""
    method: str
    """The method, as it was called when the labels were imported."""


@dataclass(frozen=True, slots=True)
class Imported:
    """What imports say of neurons at one moment."""

    seen: Hashable
    """What it was read from: the imports that are seen, and the models that they are of."""
    labels: Mapping[Of, MethodLabels]
    """The labels."""


class ImportedMethods:
    """Reads them, again where an import came, went, or took another's place."""

    def __init__(self, folder: Folder) -> None:
        self._folder = folder
        self._last = Imported(((), ()), {})

    def now(self) -> Imported:
        """Give what imports say; `DamagedObject` where one is not as it was written."""
        every = list(self._folder.imports.every())
        gone = replaced(every)
        there = [each for each in every if each.key not in gone and each.facts["kind"] == "labels"]
        names = by_target(self._folder) if there else {}
        seen = (
            tuple((each.key, *each.parts.values()) for each in there),
            tuple((target, *models) for target, models in sorted(names.items())),
        )
        if seen != self._last.seen:
            self._last = Imported(seen, self._read(there, names))
        return self._last

    def _read(self, there: Iterable[Import], names: Mapping[str, list[str]]) -> dict[Of, MethodLabels]:
        rows: dict[Of, list[dict[str, Any]]] = {}
        imports: dict[Of, dict[str, Mapping[str, Any]]] = {}
        for each in there:
            facts = {name: each.facts[name] for name in _FACTS}
            found = self._folder.imports.rows(each, "labels")
            for row in () if found is None else found.to_pylist():
                for model in names.get(each.facts["target"], ()):
                    of = Of(model, row["module"], each.facts["method"])
                    rows.setdefault(of, []).append({**row, "import": each.key})
                    imports.setdefault(of, {})[each.key] = facts
        return {of: MethodLabels(of.method, best(said), imports[of]) for of, said in rows.items()}


def best(said: Iterable[Mapping[str, Any]]) -> pa.Table:
    """Give the best label of each neuron, a row each in the order of neurons, as an Arrow table.

    Of those that can be used it is the first: the neuron's own before those of groups of neurons, then by
    rank, then by annotator. A neuron with none has a row with the status of its first.
    """
    found: dict[int, Mapping[str, Any]] = {}
    for row in sorted(said, key=_order):
        kept = found.get(row["neuron"])
        if kept is None or (kept["status"] not in USABLE and row["status"] in USABLE):
            found[row["neuron"]] = row
    rows = [found[neuron] for neuron in sorted(found)]
    usable = [row["status"] in USABLE for row in rows]
    told: dict[str, list[Any]] = {name: [row[name] for row in rows] for name in COLUMNS}
    for name in ("label", "score"):
        told[name] = [value if use else None for value, use in zip(told[name], usable, strict=True)]
    return pa.table({**told, "rank": [0] * len(rows)}, schema=parts.schema(COLUMNS))


def _order(row: Mapping[str, Any]) -> tuple[bool, int, int, str]:
    """Put a neuron's labels in order; those of no annotator come first."""
    annotator = -1 if row["annotator"] is None else row["annotator"]
    return row["status"] == "group", row["rank"], annotator, row["import"]
