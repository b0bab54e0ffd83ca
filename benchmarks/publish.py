"""Ten million rows of a table published as a DuckDB file, and one neuron's images looked up in it."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import ClassVar

import duckdb
import numpy as np
import pyarrow as pa

from belvedere.compute.kinds import Derived, Made
from belvedere.query.engine import Engine
from belvedere.query.exchange import frozen, publish
from belvedere.query.exchange.frozen import Combination, Frozen, Named
from belvedere.query.sql.scan import schema_of
from belvedere.store import marker
from belvedere.store.grid import Grid
from belvedere.store.registry import IMAGE_ENTRIES
from belvedere.store.sets import ImageSet
from belvedere.store.views import Input, Parts, TableView, Unit

from .row import Row, ratio, seconds

NEURONS, KEPT, BLOCK, IMAGES = 100_000, 100, 250, 50_000
"""So many neurons with as many rows each, in units of so many neurons, over so many images."""
LOOKUPS = 200


@dataclass(frozen=True)
class Top(Derived, TableView):
    """Rows as `top_images` has them, drawn at random."""

    images: Input[ImageSet]
    axis: ClassVar[str] = "neuron"
    columns: ClassVar[Mapping[str, str]] = {
        "module": "string",
        "neuron": "int32",
        "rank": "int32",
        "image_id": "int64",
        "activation": "float32",
    }

    @property
    def grid(self) -> Grid:
        """Blocks of neurons."""
        return Grid(NEURONS, BLOCK)

    def constant(self) -> Mapping[str, str]:
        """Name the module."""
        return {"module": "layer4"}

    def contents(self, start: int, stop: int) -> str:
        """Nothing but the place."""
        return str(start)

    def derive(self, unit: Unit, parts: Parts) -> Made:
        """Draw the rows of some neurons."""
        dice, count = np.random.default_rng(unit.start), unit.stop - unit.start
        largest = -np.sort(-dice.random((count, KEPT), dtype=np.float32), axis=1)
        return Made(
            rows={
                "module": ["layer4"] * (count * KEPT),
                "neuron": np.repeat(np.arange(unit.start, unit.stop, dtype=np.int32), KEPT),
                "rank": np.tile(np.arange(KEPT, dtype=np.int32), count),
                "image_id": dice.integers(0, IMAGES, count * KEPT),
                "activation": largest.ravel(),
            }
        )


def rows() -> Iterator[Row]:
    """Measure publishing, against DuckDB's own CREATE TABLE from the same Parquet, and a join."""
    with tempfile.TemporaryDirectory() as folder, frozen.threads() as pool:
        yield from _rows(Path(folder), pool)


def _rows(folder: Path, pool: ThreadPoolExecutor) -> Iterator[Row]:
    marker.check(folder / "store", "a")
    engine = Engine(folder / "store", "a")
    entries = pa.table({"image_id": range(IMAGES), "path": [f"{i}.jpg" for i in range(IMAGES)]})
    nulls = {name: pa.nulls(IMAGES, IMAGE_ENTRIES.field(name).type) for name in IMAGE_ENTRIES.names[2:]}
    for name, column in nulls.items():
        entries = entries.append_column(name, column)
    view = Top(ImageSet("photos", "", entries.cast(IMAGE_ENTRIES)))
    engine.fill(view.units)
    named = Named("top_images", schema_of(view), [Combination(view, len(view.units))])
    shown = entries.select(["image_id", "path"]).add_column(
        0, "image_set", pa.repeat(pa.scalar("photos"), IMAGES)
    )
    tables = {
        "top_images": frozen.of_view(engine, named, pool),
        "images": frozen.of_rows("images", shown, "drawn"),
    }
    ours, plain = folder / "ours.duckdb", folder / "plain.duckdb"
    parts = [str(path) for path in sorted((folder / "store" / "data").rglob("*.parquet"))]
    yield Row("publishing 10 million rows", min(_once(ours, tables) for _ in range(5)), 3.0, "s")
    yield Row(
        "publishing them, against CREATE TABLE from the same Parquet",
        ratio(lambda: _ours(ours, tables), lambda: _plain(plain, parts), 3),
        1.5,
    )
    yield Row("one neuron's top 20 of 10 million rows joined with images, p50", 1e3 * _lookup(ours), 10, "ms")


def _once(dest: Path, tables: Mapping[str, Frozen]) -> float:
    return seconds(lambda: _ours(dest, tables))


def _ours(dest: Path, tables: Mapping[str, Frozen]) -> None:
    dest.unlink(missing_ok=True)
    publish.build(dest, tables)


def _plain(dest: Path, parts: list[str]) -> None:
    """Do what DuckDB can do without looking at a digest: one statement, the same columns."""
    dest.unlink(missing_ok=True)
    with duckdb.connect(dest, config={"storage_compatibility_version": publish.STORAGE}) as con:
        con.execute("CREATE TABLE t AS SELECT 'photos' AS image_set, * FROM read_parquet(?)", [parts])


def _lookup(path: Path) -> float:
    query = (
        "SELECT neuron, rank, image_id, activation, path FROM top_images JOIN images "
        "USING (image_set, image_id) WHERE neuron = ? AND rank < 20 ORDER BY rank"
    )
    dice = np.random.default_rng(0)
    with duckdb.connect(path, read_only=True) as con:
        asked = [int(neuron) for neuron in dice.integers(0, NEURONS, LOOKUPS)]
        assert len(con.execute(query, [asked[0]]).fetchall()) == 20
        return median(seconds(lambda: con.execute(query, [asked.pop()]).fetchall()) for _ in range(LOOKUPS))
