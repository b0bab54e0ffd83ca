"""The tables of what was taken in from the files of others, as SQL shows them: always whole."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from ...store import digest, parts
from ...store.rivals import replaced

if TYPE_CHECKING:
    from ...store.folder import Folder
    from ...store.imports import Import
    from ...store.sets import Model

_NEURON = {"module": "string", "neuron": "int32"}
COLUMNS: Mapping[str, Mapping[str, str]] = {
    "labels": {
        **_NEURON,
        "rank": "int32",
        "label": "string",
        "score": "float64",
        "score_name": "string",
        "status": "string",
        "annotator": "int32",
        "text_raw": "string",
        "units": "string",
    },
    "scores": {**_NEURON, "label": "string", "name": "string", "value": "float64"},
    "ratings": {
        **_NEURON,
        "method": "string",
        "label": "string",
        "rater": "string",
        "rating": "float64",
        "exemplars": "string",
        "note": "string",
    },
    "rejects": {"line": "int64", "raw": "string", "reason": "string"},
}
"""The tables of one import, each with its columns as they are kept."""
NAMED_BY = {"labels": "imported_labels", "scores": "imported_scores", "ratings": "human_ratings"}
"""What these are called in SQL, where rows of all imports stand."""
_LABELLED = {"model": "string", **_NEURON, "method": "string"}
TABLES: Mapping[str, Mapping[str, str]] = {
    "imported_labels": {
        **_LABELLED,
        **{name: kind for name, kind in COLUMNS["labels"].items() if name not in _LABELLED},
        "import_id": "string",
    },
    "imported_scores": {
        **_LABELLED,
        **{name: kind for name, kind in COLUMNS["scores"].items() if name not in _LABELLED},
        "import_id": "string",
    },
    "human_ratings": {"model": "string", **COLUMNS["ratings"], "import_id": "string"},
    "imports": {
        **dict.fromkeys(("import_id", "source", "digest", "adapter", "model", "method"), "string"),
        **dict.fromkeys(("image_set", "holds"), "string"),
        **dict.fromkeys(("rows_ok", "rows_rejected", "rows_left"), "int64"),
        **dict.fromkeys(("note", "time", "replaced_by"), "string"),
    },
    "import_rejects": {"import_id": "string", **COLUMNS["rejects"]},
}
"""The catalog's tables of imports and their columns.

`holds` is labels, scores or ratings; `rows_left` counts the rows of layers that were not asked for; `units`
lists the units that a label is of together.
"""
_ORDER = frozenset({"model", "module", "neuron", "method", "rank", "annotator", "rater", "import_id", "line"})


def table(folder: Folder, name: str) -> pa.Table:
    """Give one of the catalog's tables of imports, whole and in order.

    Rows of a model stand under every name that it has now; those of an import that another has taken the
    place of are left out. Raises `DamagedObject` where an import is not as it was written: no table is
    given then, rather than a part of it.
    """
    every = list(folder.imports.every())
    gone = replaced(every)
    names = by_target(folder)
    wanted = parts.schema(TABLES[name])
    if name == "imports":
        told = [_import(each, names.get(each.facts["target"], []), gone.get(each.key)) for each in every]
        return pa.Table.from_pylist(sorted(told, key=lambda row: (row["time"], row["import_id"])), wanted)
    found = [wanted.empty_table()]
    kept = next((kind for kind, shown in NAMED_BY.items() if shown == name), "rejects")
    for each in every:
        rows = folder.imports.rows(each, kept) if kept == "rejects" or each.key not in gone else None
        if rows is not None:
            models: Sequence[str] = names.get(each.facts["target"], []) if kept != "rejects" else [""]
            found += [_shown(rows, each, model, wanted) for model in models]
    order = [name for name in wanted.names if name in _ORDER]
    return pa.concat_tables(found).sort_by([(name, "ascending") for name in order])


def _shown(rows: pa.Table, found: Import, model: str, wanted: pa.Schema) -> pa.Table:
    """Put beside the rows of an import what is the same in all of them."""
    said = {"model": model, "method": found.facts["method"], "import_id": found.key}
    columns = [
        rows[name] if name in rows.column_names else pa.repeat(pa.scalar(said[name], pa.string()), len(rows))
        for name in wanted.names
    ]
    return pa.table(columns, schema=wanted)


def _import(found: Import, models: Sequence[str], replaced_by: str | None) -> dict[str, Any]:
    facts = found.facts
    return {
        **{name: facts[name] for name in ("source", "method", "image_set", "rows_ok", "rows_rejected")},
        "import_id": found.key,
        "digest": facts["file"],
        "adapter": " ".join(map(str, facts["adapter"])),
        "model": ", ".join(models) or None,
        "holds": facts["kind"],
        "rows_left": sum(facts["left"].values()),
        "note": facts["note"],
        "time": facts["time"],
        "replaced_by": replaced_by,
    }


def by_target(folder: Folder) -> dict[str, list[str]]:
    """List the names of models by the digest of what has their neurons."""
    names: dict[str, list[str]] = {}
    for model in folder.names.models():
        names.setdefault(target_of(folder.names.model(model)), []).append(model)
    return names


def target_of(model: Model) -> str:
    """Give the digest of what has the neurons: weights and architecture, whatever pictures go through it."""
    facts = {name: model.image[name] for name in ("weights", "architecture") if name in model.image}
    return digest.of_facts(facts or dict(model.image))
