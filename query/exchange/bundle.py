"""A folder that needs no Belvedere: complete tables, chosen arrays, thumbnails, and how to open them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb
import pyarrow as pa

from ...compute.running.report import Progress
from ...store import placing
from ...store.errors import BadDestination, BadSource, MissingUnits, PictureChanged, UnreadablePicture
from ...store.parts import schema
from ...store.sealed import seal
from .. import question
from ..engine import Engine
from . import frozen
from .bundle_page import page
from .frozen import Times
from .publish import Published, again, build, contents, extend, now, quoted, text
from .published import CATALOG

if TYPE_CHECKING:
    from ..lazy.array import LazyArray

ARRAYS = schema(
    {
        **dict.fromkeys(("name", "view", "model", "image_set", "text_set", "module"), "string"),
        **dict.fromkeys(("dims", "shape", "dtype", "path"), "string"),
    }
)
"""The columns of the table of a bundle's arrays."""
THUMBNAILS = schema({"image_set": "string", "image_id": "int64", "thumbnail": "string"})
"""The columns of the table of a bundle's thumbnails; `thumbnail` is below the folder of the bundle."""
QUALITY = 90
"""Of the thumbnails, which are JPEG files."""


@dataclass(frozen=True, slots=True)
class Order:
    """What a bundle is to hold, and where it is to be."""

    dest: Path
    """The folder."""
    arrays: Sequence[LazyArray]
    """The arrays."""
    thumbnails: int
    """So many images of each set have a thumbnail."""
    overwrite: bool
    """Whether to take the place of a bundle that is there."""


def bundle(engine: Engine, order: Order, progress: Progress) -> Published:
    """Publish to a folder, which appears when it is whole; see `Store.publish`."""
    placing.check(order.dest, folder=True, overwrite=order.overwrite)
    root = engine.folder.root
    if order.dest.resolve().is_relative_to(root):
        raise BadDestination(f"{order.dest} lies in the store; a bundle is a folder of its own elsewhere")
    if order.thumbnails < 0:
        raise BadSource(f"thumbnails={order.thumbnails}: a number of images of each set, 0 for none")
    names = _names(engine, order.arrays)

    def run(pool: ThreadPoolExecutor) -> Published:
        with placing.placed(order.dest, overwrite=order.overwrite) as partial:
            with placing.writing(order.dest):
                partial.mkdir()
            return _write(engine, order, names, partial, progress, pool)

    return again(engine, run)


def _names(engine: Engine, arrays: Sequence[LazyArray]) -> list[str]:
    """Name the arrays by their views, by inputs too where several are of one; refuse incomplete ones."""
    from ..lazy.array import LazyArray

    views = []
    for each in arrays:
        if not isinstance(each, LazyArray):
            raise BadSource(f"{each!r} is no array; tables are in a bundle without being named")
        if each._engine.folder.root != engine.folder.root:
            raise BadSource(f"{each.title} is an array of another store; publish it from that one")
        found = each.plan()
        if found.steps:
            lacking = found.wanted - found.reused or found.units
            raise MissingUnits(each.title, lacking, found.wanted, "fill it before it is published")
        views.append(each._view)
    plain = [view.name() for view in views]
    long = ["-".join([view.name(), *view.pinned.values()]) for view in views]
    said = [one if plain.count(one) == 1 else other for one, other in zip(plain, long, strict=True)]
    return [
        one if said.count(one) == 1 else f"{one}-{said[: place + 1].count(one)}"
        for place, one in enumerate(said)
    ]


def _write(
    engine: Engine,
    order: Order,
    names: Sequence[str],
    folder: Path,
    progress: Progress,
    pool: ThreadPoolExecutor,
) -> Published:
    """Write all of a bundle into a new folder."""
    time = now()
    chosen = frozenset(question.identity(each._view) for each in order.arrays)
    wanted = contents(engine, frozen.named(engine), Times(time), pool, chosen)
    catalog = folder / CATALOG
    built = build(catalog, wanted.tables)
    arrays = list(_arrays(order.arrays, names, folder, progress))
    shown = _shown(catalog) if order.thumbnails else {}
    places = _chosen(engine, shown, order.thumbnails)
    with placing.writing(order.dest):
        thumbnails = list(_thumbnails(engine, places, folder, progress))
    beside = {
        "arrays": pa.Table.from_pylist(arrays, schema=ARRAYS),
        "thumbnails": pa.Table.from_pylist(thumbnails, schema=THUMBNAILS),
    }
    extend(catalog, [frozen.of_rows(name, rows) for name, rows in beside.items()])
    tables = {**built.rows, **{name: len(rows) for name, rows in beside.items()}}
    with placing.writing(order.dest):
        _parquet(catalog, folder / "tables", sorted(tables))
        (folder / "README.md").write_text(
            page(engine.folder.root.name, time, tables, arrays, wanted.left_out)
        )
        facts = {"store": engine.folder.root.name, "time": time, "belvedere": version("belvedere")}
        (folder / placing.BUNDLE).write_bytes(seal(facts))
    return Published(
        path=order.dest,
        tables=tables,
        made=tuple(tables),
        left_out=wanted.left_out,
        bytes=sum(each.stat().st_size for each in folder.rglob("*") if each.is_file()),
        arrays=tuple(names),
        thumbnails=len(thumbnails),
        unreadable=sum(map(len, places.values())) - len(thumbnails),
    )


def _arrays(
    arrays: Sequence[LazyArray], names: Sequence[str], folder: Path, progress: Progress
) -> Iterator[dict[str, Any]]:
    """Write arrays as plain Zarr; give a row for each."""
    if arrays:
        (folder / "arrays").mkdir()
    for lazy, name in zip(arrays, names, strict=True):
        path = f"arrays/{name}.zarr"
        done = lazy.export(folder / path, progress=progress)
        view = lazy._view
        yield {
            "name": name,
            "view": view.name(),
            **{key: value for key, value in view.pinned.items() if key in ARRAYS.names},
            "dims": ", ".join(done.columns),
            "shape": ", ".join(map(str, done.shape)),
            "dtype": done.dtype,
            "path": path,
        }


def _shown(catalog: Path) -> dict[str, set[int]]:
    """List the images that stand in tables of views, by set."""
    found: dict[str, set[int]] = {}
    with duckdb.connect(catalog, read_only=True) as con:
        tables = con.execute(
            "SELECT table_name FROM duckdb_columns() WHERE column_name IN ('image_set', 'image_id') "
            "AND table_name <> 'images' GROUP BY table_name HAVING count(*) = 2"
        ).fetchall()
        for (name,) in tables:
            rows = con.execute(f"SELECT DISTINCT image_set, image_id FROM {quoted(name)}").fetchall()
            for image_set, image_id in rows:
                found.setdefault(image_set, set()).add(image_id)
    return found


def _chosen(engine: Engine, shown: Mapping[str, set[int]], count: int) -> dict[str, list[int]]:
    """Choose so many images of each set: those that tables show first, and then the first of the rest."""
    names = engine.folder.names
    chosen = {}
    for name in names.image_sets() if count else ():
        every = range(len(names.image_set(name)))
        first = sorted(shown.get(name, ()))
        rest = (place for place in every if place not in shown.get(name, ()))
        chosen[name] = sorted([*first, *rest][:count])
    return chosen


def _thumbnails(
    engine: Engine, chosen: Mapping[str, Sequence[int]], folder: Path, progress: Progress
) -> Iterator[dict[str, Any]]:
    """Write small pictures of images; give a row for each that could be read."""
    from ..seeing.thumbnails import image, thumbnail

    if not any(chosen.values()):
        return
    progress.begin(sum(map(len, chosen.values())), "thumbnails")
    try:
        for name, places in chosen.items():
            (folder / "thumbnails" / name).mkdir(parents=True)
            for place in places:
                progress.advance(1)
                try:
                    picture = image(engine.folder, name, place)
                except (UnreadablePicture, PictureChanged):
                    continue
                path = f"thumbnails/{name}/{place}.jpg"
                thumbnail(picture).save(folder / path, quality=QUALITY)
                yield {"image_set": name, "image_id": place, "thumbnail": path}
    finally:
        progress.end()


def _parquet(catalog: Path, folder: Path, names: Sequence[str]) -> None:
    """Write each table of a catalog as Parquet, too."""
    folder.mkdir()
    with duckdb.connect(catalog, read_only=True) as con:
        for name in names:
            dest = text(folder / f"{name}.parquet")
            con.execute(f"COPY {quoted(name)} TO {dest} (FORMAT parquet, COMPRESSION zstd)")
