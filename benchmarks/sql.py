"""What SQL costs: one head of 5,000 images, 20,000 units planned, a neuron looked up in 10 million rows."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa

import belvedere as bv
from belvedere.compute.views import all_views
from belvedere.query.engine import Engine
from belvedere.store import arrays
from belvedere.store.registry import IMAGE_ENTRIES
from belvedere.store.sets import ImageSet, Model, TowerShape
from belvedere.store.views import ArrayView

from .publish import IMAGES, NEURONS, Top
from .row import Row, ratio, seconds

VIT_B = TowerShape(layers=12, heads=12, head_dim=64, width=768, joint=512, tokens=50)
SCANNED, UNITS, ROUNDS, LOOKUPS = 5_000, 20_000, 9, 100
_MADE = {"seconds": 0.1, "device": "cpu", "host": "here", "run": "one", "time": "now"}


def rows() -> Iterator[Row]:
    """Measure each in a store of its own, written without a model."""
    for measured in (_scan, _planning, _lookup):
        with tempfile.TemporaryDirectory() as folder:
            yield from measured(bv.open(Path(folder) / "store"))


def _engine(store: bv.Store, images: int) -> Engine:
    """Register a ViT-B that nobody can run, and images that nobody can read."""
    found: Engine = store._engine
    model = Model("b", "nowhere", None, "float32", VIT_B, {}, {"weights": "w"}, {}, {})
    assert found.folder.names.put_model(model, 0)
    entries = pa.table({"image_id": range(images), "path": [f"{i}.jpg" for i in range(images)]})
    entries = entries.append_column("digest", [[f"{i:064x}" for i in range(images)]])
    for name in IMAGE_ENTRIES.names[3:]:
        entries = entries.append_column(name, pa.nulls(images, IMAGE_ENTRIES.field(name).type))
    assert found.folder.names.put_image_set(ImageSet("photos", "", entries.cast(IMAGE_ENTRIES)), 0)
    return found


def _keep(engine: Engine, view: ArrayView) -> None:
    """Keep random numbers as the units of an array."""
    dice = np.random.default_rng(0)
    for unit in view.units:
        data: dict[str, bytes] = {}
        for member in view.members():
            count = min(unit.stop, member.shape[0]) - unit.start
            drawn = dice.standard_normal((count, *member.shape[1:]), np.float32)
            files = arrays.encode(member, drawn, view.shard)
            data |= {f"{member.name}/{name}": each for name, each in files.items()}
        engine.folder.records.keep(unit, data, absent={}, facts={}, made=_MADE)


def _scan(store: bv.Store) -> Iterator[Row]:
    engine, heads = _engine(store, SCANNED), store.view("head_contributions")
    _keep(engine, heads._view)
    _keep(engine, heads._view.maps)
    query = "SELECT image_id, vector FROM head_contributions WHERE layer = 7 AND head = 3"
    found = store.sql(query).arrow()
    assert np.array_equal(np.array(found["vector"].to_pylist(), np.float32), heads[:, 7, 3])
    what = f"one (layer, head) of {SCANNED:,} images by SQL, against the raw slice"
    yield Row(what, ratio(lambda: store.sql(query).arrow(), lambda: heads[:, 7, 3], ROUNDS), 3.0)


def _planning(store: bv.Store) -> Iterator[Row]:
    engine = _engine(store, 8 * UNITS)
    view = store.view("token_contributions")._view
    assert len(view.units) == UNITS
    for unit in view.units:
        engine.folder.records.keep(unit, {"part": b"x"}, absent={}, facts={}, made=_MADE)
    _keep(engine, view.maps)
    with duckdb.connect() as con:
        con.execute(
            f"CREATE TABLE token_contributions AS SELECT i // 144 AS image_id, i // 12 % 12 AS layer, "
            f"i % 12 AS head FROM range({144 * 8 * UNITS}) AS r(i)"
        )
        for what, where in {
            "one is left": "image_id = 4000",
            "a join leaves 10 images": "image_id IN (SELECT image_id FROM images WHERE image_id % 16000 = 0)",
        }.items():
            query = f"SELECT count(*) FROM token_contributions WHERE {where} AND layer = 99"
            con.execute("CREATE OR REPLACE TABLE images AS SELECT i AS image_id FROM range(160000) AS r(i)")
            plain = _least(lambda query=query: con.execute(query).fetchall())
            ours = _least(lambda query=query: store.sql(query).fetchall())
            yield Row(
                f"planning over {UNITS:,} units where {what}, beyond DuckDB's own", ours - plain, 0.1, "s"
            )
    told = _least(lambda: store.plan("SELECT count(*) FROM token_contributions WHERE image_id >= 9"))
    yield Row(f"plan of a statement that needs all {UNITS:,} units, all ready", told, 0.5, "s")


def _least(call: Any) -> float:
    call()
    return min(seconds(call) for _ in range(ROUNDS))


def _lookup(store: bv.Store) -> Iterator[Row]:
    engine, views = _engine(store, IMAGES), all_views()
    views["top"] = Top  # the list of all views is one object
    try:
        view = store.view("top", images="photos")._view
        engine.fill(view.units)
        query = (
            "SELECT neuron, rank, image_id, activation, path FROM top JOIN images "
            "USING (image_set, image_id) WHERE neuron = ? AND rank < 20 ORDER BY rank"
        )
        asked = np.random.default_rng(0).integers(0, NEURONS, LOOKUPS).tolist()
        assert len(store.sql(query, [asked[0]]).fetchall()) == 20
        taken = [_seconds(store, query, neuron) for neuron in asked]
        what = "one neuron's top 20 of 10 million rows joined with images, by store.sql, p50"
        yield Row(what, 1e3 * median(taken), 50, "ms")
    finally:
        del views["top"]


def _seconds(store: bv.Store, query: str, neuron: int) -> float:
    return seconds(lambda: store.sql(query, [neuron]).fetchall())
