"""The catalog's own tables: what is registered, kept, failed and run."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import MISSING
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from ...compute.joined import JOINED, Joined
from ...compute.views import all_views, view_class
from ...store import digest
from ...store.folder import Folder
from ...store.parts import schema
from ...store.registry import INSTRUMENTS
from ...store.views import TableView, View
from ..resolve import COLUMN_OF, needed_inputs, parameters
from . import imported_tables
from .columns import columns_of, joined_columns

if TYPE_CHECKING:
    from .declared import Declaration

COLUMNS: dict[str, dict[str, str]] = {
    "models": {
        **dict.fromkeys(("model", "source", "precision", "weights"), "string"),
        **dict.fromkeys(("layers", "heads", "head_dim", "width", "joint", "tokens"), "int32"),
        "note": "string",
    },
    "instruments": dict.fromkeys(("instrument", "kind", "source", "precision", "identity"), "string"),
    "image_sets": {"image_set": "string", "source": "string", "images": "int64"},
    "images": {
        "image_set": "string",
        "image_id": "int64",
        "path": "string",
        "digest": "string",
        "width": "int32",
        "height": "int32",
        "label": "string",
        "grp": "string",
    },
    "text_sets": {"text_set": "string", "source": "string", "texts": "int64"},
    "texts": {"text_set": "string", "text_id": "int64", "text": "string", "category": "string"},
    "views": dict.fromkeys(("view", "kind", "holds", "inputs", "parameters", "summary"), "string"),
    "units": {  # the names are those that a unit was first made under: sets of one content share it
        **dict.fromkeys(("view", "model", "image_set", "text_set", "axis"), "string"),
        **dict.fromkeys(("start", "stop"), "int64"),
        "unit": "string",
        "bytes": "int64",
        "absent": "int64",
        "seconds": "float64",
        **dict.fromkeys(("device", "host", "run", "time"), "string"),
    },
    "errors": {
        **dict.fromkeys(("view", "model", "image_set", "text_set"), "string"),
        "row": "int64",
        **dict.fromkeys(("path", "error", "message", "time", "unit"), "string"),
    },
    "replies": {  # of language models, those that were of use
        **dict.fromkeys(
            ("request", "task", "messages", "text", "finish_reason", "prompt", "model"), "string"
        ),
        "temperature": "float64",
        **dict.fromkeys(("sample", "tokens_in", "tokens_out"), "int64"),
    },
    "runs": {
        **dict.fromkeys(("run", "started", "host"), "string"),
        "pid": "int64",
        "seconds": "float64",
        **dict.fromkeys(("steps", "filled", "reused", "failed", "skipped", "absent"), "int64"),
    },
    **{name: dict(columns) for name, columns in imported_tables.TABLES.items()},
}
"""The tables and their columns, name to Arrow type.

In `units`, model, image_set and text_set are the names that a unit was made under: where another set has the
same contents, the unit serves it too, and is listed once.
"""


def table(folder: Folder, name: str) -> pa.Table:
    """Give one of the catalog's tables."""
    wanted = schema(COLUMNS[name])
    if name == "images":
        sets = {each: folder.names.image_set(each).entries for each in folder.names.image_sets()}
        return _entries("image_set", sets, wanted)
    if name == "texts":
        sets = {each: folder.names.text_set(each).entries for each in folder.names.text_sets()}
        return _entries("text_set", sets, wanted)
    if name in imported_tables.TABLES:
        return imported_tables.table(folder, name)
    return pa.Table.from_pylist(list(_ROWS[name](folder)), schema=wanted)


def _entries(column: str, sets: Mapping[str, pa.Table], wanted: pa.Schema) -> pa.Table:
    """Join the lists of sets, each row with its set's name before it."""
    found = [wanted.empty_table()]
    for name, entries in sets.items():
        names = pa.repeat(pa.scalar(name), len(entries))
        found.append(entries.select(wanted.names[1:]).add_column(0, column, names).cast(wanted))
    return pa.concat_tables(found)


def _models(folder: Folder) -> Iterable[dict[str, Any]]:
    for name in folder.names.models():
        model = folder.names.model(name)
        shape = {axis: getattr(model.tower, axis) for axis in COLUMNS["models"] if hasattr(model.tower, axis)}
        weights = model.image.get("weights")  # none for what was imported
        facts = {"source": model.source, "precision": model.precision, "weights": weights, "note": model.note}
        yield {"model": name, **facts, **shape}


def _instruments(folder: Folder) -> Iterable[dict[str, Any]]:
    for kind, under in INSTRUMENTS.items():
        for name in folder.names.names(under):
            each = folder.names.instrument(kind, name)
            facts = {"source": each.source, "precision": each.precision, "identity": each.key}
            yield {"instrument": name, "kind": kind.__name__.lower(), **facts}


def _replies(folder: Folder) -> Iterable[dict[str, Any]]:
    for each in folder.memos.of("reply"):
        request, value = each["cause"]["request"], each["value"]
        told = {name: value.get(name) for name in ("text", "finish_reason", "tokens_in", "tokens_out")}
        yield {
            "request": digest.of_facts(request),
            "task": request["task"],
            "messages": json.dumps(request["messages"], ensure_ascii=False),
            "temperature": request["sampling"]["temperature"],
            "sample": request["sample"],
            "prompt": json.dumps(value.get("prompt", {}), sort_keys=True),
            "model": json.dumps(each["cause"]["model"], sort_keys=True),
            **told,
        }


def _image_sets(folder: Folder) -> Iterable[dict[str, Any]]:
    for name in folder.names.image_sets():
        images = folder.names.image_set(name)
        yield {"image_set": name, "source": images.source, "images": len(images)}


def _text_sets(folder: Folder) -> Iterable[dict[str, Any]]:
    for name in folder.names.text_sets():
        texts = folder.names.text_set(name)
        yield {"text_set": name, "source": texts.source, "texts": len(texts)}


def views(folder: Folder | None = None) -> list[dict[str, Any]]:
    """Describe every view and, of a store, every declared one, one row each."""
    from . import declared

    known = [describe(view) for view in all_views().values()]
    known += [_joined(name, each) for name, each in JOINED.items()]
    return [*known, *(_declared(each) for each in (declared.every(folder) if folder else ()))]


def _joined(name: str, each: Joined) -> dict[str, Any]:
    """Describe in one row a name for several views."""
    first = view_class(name)
    return {
        **describe(first),
        "view": name,
        "holds": ", ".join(c for c in joined_columns(each) if c not in COLUMN_OF.values()),
        "parameters": f"{each.param}={next(iter(each.views))}, and those of {', '.join(each.views.values())}",
        "summary": each.summary,
    }


def _declared(found: Declaration) -> dict[str, Any]:
    """Describe a declared view in one row: what is settled stands as its inputs and parameters."""
    base = describe(all_views()[found.view]) if found.view in all_views() else {}
    settled = {**found.inputs, **found.parameters}
    return {
        "view": found.name,
        "kind": base.get("kind", "table"),
        "holds": base.get("holds", ""),
        "inputs": base.get("inputs", ""),
        "parameters": ", ".join(f"{name}={value}" for name, value in settled.items()),
        "summary": f"Declared: {found.meaning}",
    }


def describe(view: type[View]) -> dict[str, Any]:
    """Describe a view in one row: what it holds, its inputs and parameters with their defaults."""
    defaults = [
        field.name if field.default is MISSING else f"{field.name}={field.default}"
        for field in parameters(view)
    ]
    return {
        "view": view.name(),
        "kind": "table" if issubclass(view, TableView) else "array",
        "holds": ", ".join(c for c in columns_of(view) if c not in COLUMN_OF.values()),
        "inputs": ", ".join(needed_inputs(view)),
        "parameters": ", ".join(defaults),
        "summary": view.summary(),
    }


def _units(folder: Folder) -> Iterable[dict[str, Any]]:
    for path, brief in folder.records.all_briefs():
        covers = brief.covers
        names = {
            column: found["name"] if isinstance(found := covers.get(column), dict) else found
            for column in ("model", "image_set", "text_set")
        }
        yield {
            "view": path.split("/")[1],
            **names,
            **{key: covers[key] for key in ("axis", "start", "stop")},
            "unit": brief.unit,
            "bytes": brief.nbytes,
            "absent": brief.absent,
            **brief.made,
        }


def _errors(folder: Folder) -> Iterable[dict[str, Any]]:
    for failure in folder.failures.all():
        facts = {key: getattr(failure, key) for key in COLUMNS["errors"] if hasattr(failure, key)}
        yield {**facts, **failure.inputs}


def _runs(folder: Folder) -> Iterable[dict[str, Any]]:
    for name in sorted(folder.objects.names("runs/")):
        row = folder.objects.get_sealed(f"runs/{name}.json", "belvedere verify sets it aside")
        yield {column: row.get(column) for column in COLUMNS["runs"]}


_ROWS: dict[str, Callable[[Folder], Iterable[dict[str, Any]]]] = {
    "models": _models,
    "instruments": _instruments,
    "replies": _replies,
    "image_sets": _image_sets,
    "text_sets": _text_sets,
    "views": views,
    "units": _units,
    "errors": _errors,
    "runs": _runs,
}
