"""A store of two models and two image sets, and the same rows in DuckDB's own tables, told apart by unit."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

import belvedere
from belvedere.query.sql import catalog
from belvedere.query.sql.scan import schema_of
from belvedere.store.records import Record
from belvedere.store.views import AXIS_COLUMNS, ArrayView, View
from tests.worlds import TEXTS, add_pictures, engine, make_clip

MODULE = "visual.transformer.resblocks.1.mlp.gelu"
ARRAYS = (
    "image_embeddings",
    "head_contributions",
    "mlp_contributions",
    "residual_contributions",
    "token_contributions",
    "neuron_activations",
    "text_embeddings",
)
TABLES = ("head_descriptions", "head_roles", "head_top_images", "top_images")
CATALOG = ("models", "image_sets", "images", "text_sets", "texts")
DECLARED = {
    "clear_heads": "SELECT model, image_set, layer, head, role, score FROM head_roles "
    "WHERE layer < 2 AND head = 0",
    "dogs": "SELECT image_set, image_id, vector FROM image_embeddings "
    "JOIN images USING (image_set, image_id) WHERE label = 'dog' AND model = 'm'",
}
PHOTOS = 296
"""A multiple of the 8 images of a small unit, so that what is computed again has the same last bits."""
HALF = "half_contributions"
"""Another precision of `head_contributions`, declared."""


def make(folder: Path) -> Path:
    """Write the store: every combination of two models, of different widths, and two sets is filled."""
    store = belvedere.open(folder / "store")
    store.add_model("m", f"open_clip:local-dir:{make_clip(folder / 'm')}")
    other = make_clip(folder / "n", 1, embed_dim=8, layers=3)
    store.add_model("n", f"open_clip:local-dir:{other}")
    photos = add_pictures(folder / "photos", range(PHOTOS))
    broken = add_pictures(folder / "pets", range(200, 220)) / "00203.png"
    broken.write_bytes(b"no picture")
    for name, files in (("photos", photos), ("pets", folder / "pets")):
        lines = [
            f"{path},{('dog', 'cat', 'star')[(n * n + n // 90) % 3]},{n % 5}"
            for n, path in enumerate(sorted(files.iterdir()))
        ]
        table = folder / f"{name}.csv"
        table.write_text("\n".join(["path,label,grp", *lines]))
        store.add_images(name, table)
    store.add_texts("words", TEXTS)
    store.declare(HALF, "head_contributions", dtype="float16", model="m", images="photos")
    for name, statement in DECLARED.items():
        store.declare(name, sql=statement)
    for view in views(store):
        assert engine(store).fill(view.units).failed == 0
    for name in DECLARED:
        store.refresh(name, progress=False)
    store.close()
    return store.path


def views(store: belvedere.Store) -> list[View]:
    """List the views whose rows SQL sees here: each of every model and image set, or text set."""
    pairs = [(model, images) for model in ("m", "n") for images in ("photos", "pets")]
    found = [_view(store, "text_embeddings", model=model) for model in ("m", "n")]
    for name in (*ARRAYS, *TABLES):
        module = {"module": MODULE} if name in ("neuron_activations", "top_images") else {}
        if name != "text_embeddings":
            found += [_view(store, name, model=model, images=images, **module) for model, images in pairs]
    return [*found, _view(store, HALF)]


def _view(store: belvedere.Store, name: str, **given: str) -> View:
    view: View = store.view(name, **given)._view
    return view


@dataclass(frozen=True)
class Twin:
    """The store's rows in DuckDB's own tables."""

    con: duckdb.DuckDBPyConnection
    """Where each table stands under its name."""
    lacking: duckdb.DuckDBPyConnection
    """Where each lacks the rows of the unit that the variable `gone` names."""
    units: dict[str, list[str]]
    """The units of each table, as paths of records."""

    def rows(self, query: str, params: Any = None) -> pa.Table:
        """Answer a statement."""
        found: pa.Table = self.con.sql(query, params=params or None).to_arrow_table()
        return found

    def without(self, unit: str, query: str, params: Any = None) -> pa.Table:
        """Answer a statement as if a unit had no rows."""
        self.lacking.execute(f"SET VARIABLE gone = '{unit}'")
        found: pa.Table = self.lacking.sql(query, params=params or None).to_arrow_table()
        return found


@contextmanager
def twin(store: belvedere.Store) -> Iterator[Twin]:
    """Copy all rows out of the store: arrays by their indices, tables from their Parquet files."""
    units: dict[str, list[str]] = {}
    rows: dict[str, list[pa.Table]] = {}
    for view in views(store):
        for unit in view.units:
            path = engine(store).folder.records.path(unit)
            name = HALF if view.params().get("dtype") == "float16" else view.name()
            units.setdefault(name, []).append(path)
            made = _cells(store, view, unit.start, unit.stop) if isinstance(view, ArrayView) else None
            found = _part(store, view, path) if made is None else made
            rows.setdefault(name, []).append(found.append_column("unit_", pa.repeat(path, len(found))))
    with duckdb.connect() as con:
        for name, tables in rows.items():
            con.register("found", pa.concat_tables(tables))
            con.execute(f"CREATE TABLE full_{name} AS FROM found")
            con.execute(f"CREATE TABLE {name} AS SELECT * EXCLUDE (unit_) FROM full_{name}")
        for name in CATALOG:
            con.register("found", catalog.table(engine(store).folder, name))
            con.execute(f"CREATE TABLE {name} AS FROM found")
        for name, statement in DECLARED.items():
            con.execute(f"CREATE TABLE {name} AS {statement}")
            units[name] = []
        con.execute("CREATE SCHEMA lacking")
        for name in rows:
            con.execute(
                f"CREATE VIEW lacking.{name} AS SELECT * EXCLUDE (unit_) FROM main.full_{name} "
                "WHERE unit_ <> getvariable('gone')"
            )
        for name, statement in DECLARED.items():
            con.execute(f"CREATE VIEW lacking.{name} AS {statement.replace('FROM ', 'FROM lacking.', 1)}")
        lacking = con.cursor()
        lacking.execute("SET search_path = 'lacking,main'")
        yield Twin(con, lacking, units)


def _part(store: belvedere.Store, view: View, path: str) -> pa.Table:
    record = Record.from_json((store.path / path).read_bytes())
    rows = pq.read_table(store.path / record.attempt / "part.parquet")
    if "place" in rows.column_names:
        rows = rows.filter((pa.compute.field("rank") < 10) & (pa.compute.field("rank") >= -10))
    if view.name() == "top_images":
        rows = rows.filter(pa.compute.field("rank") < 20)
    for name, value in view.called.items():
        rows = rows.append_column(name, pa.repeat(value, len(rows)))
    schema = schema_of(view)
    return rows.select(schema.names).cast(schema)


def _cells(store: belvedere.Store, view: ArrayView, start: int, stop: int) -> pa.Table:
    name, fields = view.name(), {**view.names, **view.constant(), **view.params()}
    given = {
        each: fields[column]
        for each, column in (("model", "model"), ("images", "image_set"), ("texts", "text_set"))
        if column in fields
    }
    more = {each: fields[each] for each in ("module", "dtype") if each in fields}
    values = store.view(name, **given, **more).read((slice(start, stop),), missing="mask")
    columns: Sequence[str] = [*view.columns]
    number = columns[-1]
    axes = [(place, AXIS_COLUMNS.get(axis, axis)) for place, axis in enumerate(view.dims)]
    along = [(place, column) for place, column in axes if column in columns]
    rows = []
    for index in np.ndindex(*[values.shape[place] for place, _ in along]):
        cell = values[index]
        if np.ma.is_masked(cell):
            continue
        row: dict[str, Any] = {**view.pinned}
        for (place, column), position in zip(along, index, strict=True):
            labels = view.coords().get(view.dims[place])
            row[column] = labels[position] if isinstance(labels, tuple) else position + (place == 0) * start
        rows.append({**row, number: np.asarray(cell, np.float32).tolist()})
    return pa.Table.from_pylist(rows, schema=schema_of(view))


def hide(store: belvedere.Store, share: float, dice: random.Random, paths: Sequence[str]) -> list[str]:
    """Let a random share of units lack in a store that is open in memory, after all were there; list them."""
    restore(store)
    gone = [path for path in paths if dice.random() < share]
    for path in gone:
        engine(store).folder.objects.delete(path)
    return gone


def restore(store: belvedere.Store) -> None:
    """Let all units be there again that are on disk, and no others."""
    folder = engine(store).folder
    folder.objects.forget()  # type: ignore[attr-defined]  # it is one in memory
    folder.records._seen.clear()
    engine(store).reader.forget()
